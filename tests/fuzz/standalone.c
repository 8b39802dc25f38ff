/* Runs a fuzz target over its checked-in corpus, or over the files named, where libFuzzer's own main is not linked. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy on the heap, so that a sanitizer sees a read past its end. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(99);
    }
    long size = ftell(file);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    rewind(file);
    if (data == NULL || size < 0 || fread(data, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(99);
    }
    fclose(file);
    (void)LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 1;
}

static int run_corpus(const char *directory)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        perror(directory);
        exit(99);
    }
    int files = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096];
        if (entry->d_name[0] != '.' && snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name) < (int)sizeof(path))
            files += run_file(path);
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    const char *source = getenv("TRIB_SRC");
    const char *name = strrchr(argv[0], '/');
    int files = 0;

    name = name != NULL ? name + 1 : argv[0];
    if (argc == 1) {
        char corpus[4096];
        snprintf(corpus, sizeof(corpus), "%s/tests/fuzz/corpus/%s", source != NULL ? source : ".", name);
        files = run_corpus(corpus);
    }
    for (int i = 1; i < argc; i++)
        files += run_file(argv[i]);
    printf("%s: %d inputs\n", name, files);
    return files > 0 ? 0 : 99;
}
