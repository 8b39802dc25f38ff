/* A reader that is fed by hand: the bytes come from anywhere, in any pieces, and are taken in the sizes that the parser wants.
 *
 *   cc -o 02-feed 02-feed.c $(pkg-config --cflags --libs libtributary)
 */
#include <tributary/reader.h>

#include <stdio.h>
#include <string.h>

/* Three words, each with its length in front, cut where it is least convenient. */
static const struct {
    const char *bytes;
    size_t len;
} pieces[] = {
    { "\0\0", 2 },
    { "\0\5fi", 4 },
    { "rst\0\0\0\6second\0\0\0\5thi", 20 },
    { "rd", 2 },
};

/* Takes all words that are there; TRIB_AGAIN: the next one has not come yet, and what there is of it stays. */
static int take_words(struct trib_reader *reader, struct trib_error *err)
{
    struct trib_view word;
    int code;

    while ((code = trib_reader_string_be32(reader, 100, &word, err)) == TRIB_OK)
        printf("%.*s\n", (int)word.len, (const char *)word.data);
    return code;
}

static int feed(struct trib_reader *reader, const void *bytes, size_t len, struct trib_error *err)
{
    struct trib_chunk *chunk;
    int code = trib_chunk_wrap(bytes, len, NULL, NULL, &chunk, err); /* around the bytes; nothing is copied */

    if (code != TRIB_OK)
        return code;
    code = trib_reader_feed(reader, chunk, TRIB_NOWAIT, err);
    if (code != TRIB_OK)
        trib_chunk_unref(chunk); /* only what was taken is the reader's */
    return code;
}

int main(void)
{
    struct trib_reader_stats stats = { .size = sizeof(stats) };
    struct trib_reader *reader;
    struct trib_error err;
    int code = trib_reader_new(NULL, &reader, &err);

    if (code == TRIB_OK)
        trib_reader_set_deadline(reader, TRIB_NOWAIT);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]) && code == TRIB_OK; i++) {
        code = feed(reader, pieces[i].bytes, pieces[i].len, &err);
        if (code == TRIB_OK)
            code = take_words(reader, &err);
        if (code == TRIB_AGAIN)
            code = TRIB_OK;
    }
    if (code == TRIB_OK)
        code = trib_reader_finish(reader, &err);
    if (code == TRIB_OK)
        code = take_words(reader, &err);
    if (code != TRIB_EOF) { /* the end after the last word; in the middle of one it would be TRIB_ERR_SHORT */
        fprintf(stderr, "%s: %s\n", trib_code_name(code), code < 0 ? err.message : "");
        return 1;
    }
    trib_reader_stats(reader, &stats);
    printf("%llu bytes, %llu of them copied because a word crossed pieces\n", (unsigned long long)stats.bytes,
           (unsigned long long)stats.copied_crossing);
    trib_reader_free(reader);
    return 0;
}
