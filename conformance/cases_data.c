/* Cases about real traffic: each file of a folder goes over the channel in two parts, at every split point. */
#include "conformance/suite-internal.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum { EVERY_POINT_MAX = 8192, FILE_MAX = 1 << 20 };

struct file {
    char name[256];
    uint8_t *bytes; /* of conform_memory() */
    size_t len;
};

/* ---- Files ----------------------------------------------------------------------------------------------------- */

/* False at a failure; a file that is empty or too large is left out, with len 0. */
static bool load(struct conform_env *env, const char *dir, struct file *file)
{
    char path[2048];
    FILE *stream;
    long len;

    file->len = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, file->name);
    stream = fopen(path, "rb");
    REQUIRE(env, stream != NULL, "cannot open %s", path);
    len = fseek(stream, 0, SEEK_END) == 0 ? ftell(stream) : -1;
    rewind(stream);
    if (len > 0 && len <= FILE_MAX) {
        file->bytes = conform_memory(env, (size_t)len);
        file->len = file->bytes != NULL ? fread(file->bytes, 1, (size_t)len, stream) : 0;
    }
    fclose(stream);
    REQUIRE(env, len >= 0 && (len == 0 || len > FILE_MAX || file->len == (size_t)len), "cannot read %s", path);
    return true;
}

static bool wanted(const struct conform_target *target, const char *name)
{
    const char *suffix = target->data_suffix != NULL ? target->data_suffix : "";
    size_t n = strlen(name), s = strlen(suffix);

    return name[0] != '.' && n < 256 && n >= s && strcmp(name + n - s, suffix) == 0;
}

/* Runs fn on each file; a folder without a file for it is a failure, not a silent success. */
static bool for_each_file(struct conform_env *env, bool (*fn)(struct conform_env *env, struct conform_pair *pair, struct file *file))
{
    const char *name = env->target->data_dir;
    struct conform_pair *pair;
    size_t count = 0;
    bool ok = true;
    DIR *dir;

    if (name == NULL)
        return conform_skip(env, "a folder of data");
    TRY(conform_open(env, NULL, &pair));
    dir = opendir(name);
    REQUIRE(env, dir != NULL, "cannot open the folder %s", name);
    for (struct dirent *entry = readdir(dir); ok && entry != NULL; entry = readdir(dir)) {
        struct file file;

        if (!wanted(env->target, entry->d_name))
            continue;
        snprintf(file.name, sizeof(file.name), "%.255s", entry->d_name);
        ok = load(env, name, &file) && (file.len == 0 || fn(env, pair, &file));
        count += ok && file.len > 0;
    }
    closedir(dir);
    REQUIRE(env, !ok || count > 0, "no file in %s", name);
    return ok;
}

/* ---- Two parts ------------------------------------------------------------------------------------------------- */

/* The next take: lengths as a parser's, in another order for each split point. */
static size_t next_take(size_t *turn, size_t left)
{
    static const size_t takes[] = { 4, 1, 8, 2, 300, 4, 16, 3, 1000, 4, 64, 5, 2500, 7 };
    size_t n = takes[(*turn)++ % (sizeof(takes) / sizeof(takes[0]))];

    return n < left ? n : left;
}

static bool send_part(struct conform_env *env, struct trib_writer *writer, const uint8_t *bytes, size_t len)
{
    const struct trib_view view = { bytes, len, NULL };
    struct trib_error err;

    if (len > 0)
        REQUIRE_OK(env, trib_writer_view(writer, view, &err));
    REQUIRE_OK(env, trib_writer_flush(writer, &err));
    return true;
}

/* Takes until all has been taken, or until TRIB_AGAIN where the deadline says so; the take that met it is asked for again next
 * time. */
static bool take_part(struct conform_env *env, struct trib_reader *reader, const struct file *file, size_t *done, size_t *turn,
                      int64_t deadline)
{
    struct trib_error err;
    struct trib_view view;

    trib_reader_set_deadline(reader, deadline);
    while (*done < file->len) {
        size_t before = *turn;
        size_t n = next_take(turn, file->len - *done);
        int code = trib_reader_take(reader, n, &view, &err);

        if (code == TRIB_AGAIN && deadline == TRIB_NOWAIT) {
            *turn = before;
            return true;
        }
        REQUIRE(env, code == TRIB_OK, "%s: a take of %zu bytes at byte %zu gave %s: %s", file->name, n, *done, trib_code_name(code),
                code < 0 ? err.message : "");
        REQUIRE(env, view.len == n && memcmp(view.data, file->bytes + *done, n) == 0, "%s: bytes %zu to %zu are wrong", file->name,
                *done, *done + n);
        *done += n;
    }
    return true;
}

/* The reader sees the first part alone, takes what it can, and is in the middle of something when the second one comes. */
static bool send_in_two(struct conform_env *env, struct conform_pair *pair, const struct file *file, size_t split)
{
    size_t done = 0, turn = split;

    TRY(send_part(env, pair->wa, file->bytes, split));
    TRY(take_part(env, pair->rb, file, &done, &turn, TRIB_NOWAIT));
    REQUIRE(env, done <= split, "%s: %zu bytes came, %zu were sent", file->name, done, split);
    TRY(send_part(env, pair->wa, file->bytes + split, file->len - split));
    return take_part(env, pair->rb, file, &done, &turn, TRIB_FOREVER);
}

static bool every_split(struct conform_env *env, struct conform_pair *pair, struct file *file)
{
    size_t step = env->target->data_step > 0 ? env->target->data_step : 1;

    if (file->len > EVERY_POINT_MAX) /* at the speed of the small ones this would take too long */
        return true;
    for (size_t split = 0; split < file->len; split += step)
        TRY(send_in_two(env, pair, file, split));
    return true;
}

/* Where not all split points are tried, for want of time, only the beginning goes so slowly. */
static bool byte_by_byte(struct conform_env *env, struct conform_pair *pair, struct file *file)
{
    size_t singles = env->target->data_step > 1 && file->len > 500 ? 500 : file->len, done = 0, turn = 0;

    for (size_t i = 0; i < singles; i++) {
        TRY(send_part(env, pair->wa, file->bytes + i, 1));
        TRY(take_part(env, pair->rb, file, &done, &turn, TRIB_NOWAIT));
    }
    TRY(send_part(env, pair->wa, file->bytes + singles, file->len - singles));
    return take_part(env, pair->rb, file, &done, &turn, TRIB_FOREVER);
}

static bool files_at_every_split(struct conform_env *env)
{
    return for_each_file(env, every_split);
}

static bool files_byte_by_byte(struct conform_env *env)
{
    return for_each_file(env, byte_by_byte);
}

const struct conform_case conform_data_cases[] = {
    { "files in two parts, at every split point", 0, files_at_every_split },
    { "files byte by byte", 0, files_byte_by_byte },
    CONFORM_CASES_END,
};
