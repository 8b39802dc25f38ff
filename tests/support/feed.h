/* Bytes for readers and queues under test: a pattern that tells where each byte belongs, in chunks of any cut. */
#ifndef TRIBUTARY_TESTS_FEED_H
#define TRIBUTARY_TESTS_FEED_H

#include <tributary/reader.h>

#include <stdbool.h>

/* The byte that the pattern has at this position of the stream. */
static inline uint8_t feed_byte(uint64_t position)
{
    return (uint8_t)(position * 167 + (position >> 8) * 13 + 5);
}

/* A chunk with the pattern's bytes [position, position + len). The test fails where there is no memory. */
struct trib_chunk *feed_chunk(uint64_t position, size_t len);

/* A reader with these marks (0: the defaults). */
struct trib_reader *feed_reader(size_t budget, size_t limit);

/* Feeds bytes [position, position + len) as chunks of `size` bytes, without waiting: the test fails where they have no room. */
void feed_pattern(struct trib_reader *reader, uint64_t position, size_t len, size_t size);

/* Feeds a copy of these bytes as chunks of `size` bytes (0: one chunk). */
void feed_bytes(struct trib_reader *reader, const void *bytes, size_t len, size_t size);

void feed_finish(struct trib_reader *reader);

/* The view holds exactly the pattern's bytes from `position` on. */
void feed_check(struct trib_view view, uint64_t position, size_t len);

struct trib_reader_stats feed_stats(const struct trib_reader *reader);

/* A small generator, the same on every machine. */
static inline uint32_t feed_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* A main for a suite: runs it, prints Check's closing line. */
#define FEED_MAIN(suite)                                                        \
    int main(void)                                                              \
    {                                                                           \
        SRunner *runner = srunner_create(suite());                              \
        int failed;                                                             \
        srunner_run_all(runner, CK_ENV);                                        \
        failed = srunner_ntests_failed(runner);                                 \
        srunner_free(runner);                                                   \
        return failed != 0;                                                     \
    }

/* As ck_assert_int_eq(call, TRIB_OK), without a system call each time. */
#define ck_ok(call)                                                             \
    do {                                                                        \
        int ck_ok_code = (call);                                                \
        if (ck_ok_code != TRIB_OK)                                              \
            ck_abort_msg("%s returned %s", #call, trib_code_name(ck_ok_code));  \
    } while (0)

#endif
