/* Arrow for tests: streams of batches with numbers and words, and where their messages are. */
#ifndef TRIBUTARY_TESTS_ARROW_H
#define TRIBUTARY_TESTS_ARROW_H

#include <tributary/arrow.h>

/* What a stream is made of: columns "number" (int64) and "word" (utf8), batches of so many rows each, whose words have so many letters. */
struct arrow_plan {
    size_t batches;
    size_t rows;
    size_t letters;
};

#define ARROW_MESSAGES_MAX 16

struct arrow_stream {
    uint8_t *bytes;
    size_t len;
    /* Its messages with prefix and body, the schema first; the end marker is not among them. */
    struct trib_view messages[ARROW_MESSAGES_MAX];
    size_t count;
};

/* A stream by plan. Words are lower case and tell row and column; where `upper` is set, upper case. The test fails where it cannot. */
void arrow_make(const struct arrow_plan *plan, bool upper, struct arrow_stream *ret_stream);
/* A stream out of bytes, which are copied. */
void arrow_load(const void *bytes, size_t len, struct arrow_stream *ret_stream);
void arrow_done(struct arrow_stream *stream);

#endif
