/* Data files of the tests: where they are, and their bytes. */
#ifndef TRIBUTARY_TESTS_DATA_H
#define TRIBUTARY_TESTS_DATA_H

#include <stddef.h>
#include <stdint.h>

/* The folder: the environment's TRIB_DATA, or tests/data. */
const char *data_dir(void);

struct data_file {
    char name[256]; /* without the folder */
    uint8_t *bytes;
    size_t len;
};

/* Loads a file of the folder (`name` may hold slashes). The test fails where it cannot. */
void data_load(const char *name, struct data_file *ret_file);

/* Frees the bytes and empties *file; twice is safe. */
void data_done(struct data_file *file);

/* Names of the files in the folder `sub` ("" for the folder itself) that end in `suffix`, sorted, as data_load() takes them;
 * NULL-terminated. Free it with data_list_free(). An absent folder gives an empty list. */
char **data_list(const char *sub, const char *suffix, size_t *ret_count);
void data_list_free(char **names);

/* Split points of a file are tried in steps of this: 1, but more where everything is slowed down manyfold (valgrind, a
 * sanitizer of threads), or the environment's TRIB_SPLIT_STEP. */
size_t data_split_step(void);

#endif
