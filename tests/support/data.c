/* Finds and loads the data files of the tests. */
#include "tests/support/data.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *data_dir(void)
{
    const char *dir = getenv("TRIB_DATA");

    return dir != NULL && dir[0] != '\0' ? dir : "tests/data";
}

static void full_path(const char *name, char *ret_path, size_t size)
{
    int n = snprintf(ret_path, size, "%s/%s", data_dir(), name);

    ck_assert_msg(n > 0 && (size_t)n < size, "%s: the path is too long", name);
}

void data_load(const char *name, struct data_file *ret_file)
{
    char path[4096];
    FILE *file;
    long len;

    full_path(name, path, sizeof(path));
    file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "open %s: %s", path, strerror(errno));
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    len = ftell(file);
    ck_assert_msg(len >= 0, "size of %s", path);
    rewind(file);
    snprintf(ret_file->name, sizeof(ret_file->name), "%s", name);
    ret_file->len = (size_t)len;
    ret_file->bytes = malloc(ret_file->len + 1);
    ck_assert_ptr_nonnull(ret_file->bytes);
    ck_assert_uint_eq(fread(ret_file->bytes, 1, ret_file->len, file), ret_file->len);
    fclose(file);
}

void data_done(struct data_file *file)
{
    free(file->bytes);
    file->bytes = NULL;
    file->len = 0;
}

static int ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);

    return n >= s && strcmp(name + n - s, suffix) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *joined(const char *sub, const char *name)
{
    size_t size = strlen(sub) + strlen(name) + 2;
    char *path = malloc(size);

    ck_assert_ptr_nonnull(path);
    snprintf(path, size, "%s%s%s", sub, sub[0] != '\0' ? "/" : "", name);
    return path;
}

char **data_list(const char *sub, const char *suffix, size_t *ret_count)
{
    char path[4096];
    size_t count = 0;
    char **names = calloc(1, sizeof(*names));
    DIR *dir;

    ck_assert_ptr_nonnull(names);
    full_path(sub, path, sizeof(path));
    dir = opendir(path);
    for (struct dirent *entry = dir != NULL ? readdir(dir) : NULL; entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.' || !ends_with(entry->d_name, suffix))
            continue;
        names = realloc(names, (count + 2) * sizeof(*names));
        ck_assert_ptr_nonnull(names);
        names[count++] = joined(sub, entry->d_name);
        names[count] = NULL;
    }
    if (dir != NULL)
        closedir(dir);
    qsort(names, count, sizeof(*names), by_name);
    *ret_count = count;
    return names;
}

void data_list_free(char **names)
{
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        free(names[i]);
    free(names);
}

#if defined(__SANITIZE_THREAD__)
#define SPLIT_STEP 11
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SPLIT_STEP 11
#endif
#endif
#ifndef SPLIT_STEP
#define SPLIT_STEP 1
#endif

size_t data_split_step(void)
{
    const char *step = getenv("TRIB_SPLIT_STEP");
    const char *preload = getenv("LD_PRELOAD");

    if (step != NULL && strtoul(step, NULL, 10) > 0)
        return (size_t)strtoul(step, NULL, 10);
    return preload != NULL && strstr(preload, "vgpreload") != NULL ? 61 : SPLIT_STEP;
}
