/* Decides how much is received beyond what was asked for: read-ahead saves system calls and costs copies.
 *
 * A want that begins in one block and ends in the next is put together by a copy of what the first one held: read-ahead of n
 * bytes costs a copy of up to n bytes, and saves a system call for each want that lies whole within it. A call costs about as
 * much as a copy of 4 KiB (0.3 us), so:
 *
 *  - Big wants (256 KiB and more, 25 us and more to receive) get a block of exactly their size; a call more is 1 % of that. The
 *    small wants between them (a length, a header) read ahead 1/256 of the big one, at most 4 KiB: headers of a few hundred bytes
 *    arrive in one call, and at most 0.4 % of the body is copied.
 *  - Small wants share a window. It begins at 64 KiB (after a big want: small, as above) and doubles as long as the system fills
 *    it, up to 256 KiB, or to 8 of the largest wants that were seen split, at most 512 KiB: larger ones leave the cache (two
 *    CPUs, L2 of 2 MiB: 256 KiB 8.0, 512 KiB 8.5, 1 MiB 6.8 GB/s). Six calls lead from big wants to small ones.
 *  - Every block begins where a want begins, because what a split want had in the last block is moved in front. So a window that
 *    was split h bytes before its end would have ended with a want had it been h bytes shorter: it becomes that. Messages of one
 *    size are then split no more (copied, of 1 GiB: 64 KiB messages 0.02 % instead of 6 %). Where the next block is split again,
 *    sizes vary: the window goes back to its roof, and half of a typical want is copied for each block.
 *  - Where predictions keep failing and wants of 128 KiB and more are split, a split costs 16 calls and more: then wants from 64
 *    KiB on are received exactly, as big ones are; now and then, ever more seldom, the prediction gets another chance. Random
 *    sizes up to 300,000 bytes: 1.8 % copied instead of 19 %. (Up to 100,000: 7.6 % copied, at 0.6 calls per 256 KiB; up to 1
 *    MiB: 1.2 %, 1.0 calls.)
 *  - A window that stays three quarters empty shrinks again, for memory's sake. */
#include "readahead-internal.h"

enum { LULLS_MAX = 16, FAILURES_MAX = 3, PATIENCE_MIN = 64, PATIENCE_MAX = 4096 };
static const size_t first_window = (size_t)64 << 10;
static const size_t low_roof = (size_t)256 << 10;
static const size_t high_roof = (size_t)512 << 10;
static const size_t big_always = (size_t)256 << 10;
static const size_t big_where_sizes_vary = (size_t)64 << 10;
static const size_t costly_split = (size_t)128 << 10;
static const size_t least_after_big = 512;
static const size_t most_after_big = 4096;

static size_t clamp(size_t value, size_t least, size_t most)
{
    return value < least ? least : value > most ? most : value;
}

void tribi_readahead_init(struct tribi_readahead *ahead)
{
    *ahead = (struct tribi_readahead){.window = first_window, .roof = low_roof, .big = big_always, .patience = PATIENCE_MIN};
}

/* The last block ended in the middle of a want of `total` bytes that began at `at`. */
static void split(struct tribi_readahead *ahead, size_t total, size_t at)
{
    ahead->failures += ahead->fitted;
    ahead->roof = clamp(8 * total, low_roof, high_roof);
    ahead->fitted = !ahead->fitted && ahead->window >= ahead->roof && at >= total;
    ahead->window = ahead->fitted ? at : ahead->roof;
    if (ahead->failures >= FAILURES_MAX && total >= costly_split && ahead->big == big_always) {
        ahead->failures = 0;
        ahead->big = big_where_sizes_vary;
        ahead->chance = ahead->patience;
        ahead->patience = (unsigned)clamp(2 * ahead->patience, PATIENCE_MIN, PATIENCE_MAX);
    }
}

/* The last block ended with a want. */
static void ended_well(struct tribi_readahead *ahead)
{
    ahead->failures = 0;
    ahead->patience = PATIENCE_MIN;
}

bool tribi_readahead_is_big(const struct tribi_readahead *ahead, const struct trib_want *want)
{
    return want->head + want->min >= ahead->big;
}

/* Big, or one more chance for the prediction. */
static bool stays_big(struct tribi_readahead *ahead, size_t total)
{
    if (total < big_always && --ahead->chance == 0) {
        ahead->big = big_always;
        ahead->window = ahead->roof;
        ahead->fitted = false;
        return false;
    }
    return true;
}

size_t tribi_readahead_plan(struct tribi_readahead *ahead, const struct trib_want *want, size_t last_len, size_t last_used)
{
    size_t total = want->head + want->min;

    /* A block of another length than the window is from before it grew, or the budget cut it: nothing to learn from. */
    if (last_len > 0 && last_len == ahead->window && want->head > 0 && want->head <= last_used)
        split(ahead, total, last_used - want->head);
    else if (last_len > 0 && last_len == ahead->window && want->head == 0 && ahead->fitted)
        ended_well(ahead);
    if (total >= ahead->big && stays_big(ahead, total)) {
        ahead->window = clamp(total / 256, least_after_big, most_after_big);
        ahead->fitted = false;
        return 0;
    }
    return ahead->window > total ? ahead->window - total : 0;
}

void tribi_readahead_received(struct tribi_readahead *ahead, const struct trib_want *want, size_t room, size_t got)
{
    if (got == room && !tribi_readahead_is_big(ahead, want) && !ahead->fitted && ahead->window < ahead->roof)
        ahead->window = clamp(2 * ahead->window, 0, ahead->roof);
}

bool tribi_readahead_again(struct tribi_readahead *ahead, size_t len, size_t used)
{
    ahead->lulls = used > 0 && used < len / 4 ? ahead->lulls + 1 : 0;
    if (ahead->lulls >= LULLS_MAX && ahead->window > first_window) {
        ahead->lulls = 0;
        ahead->window = clamp(ahead->window / 2, first_window, ahead->roof);
        ahead->fitted = false;
    }
    return len == ahead->window;
}
