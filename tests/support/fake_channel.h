/* A channel that does what a script says, and writes down what it was asked. */
#ifndef TRIBUTARY_TESTS_FAKE_CHANNEL_H
#define TRIBUTARY_TESTS_FAKE_CHANNEL_H

#include <tributary/transport.h>

enum { FAKE_LOG_MAX = 4096, FAKE_KEPT_MAX = 4096 };

/* One call of send or recv. TRIB_OK: takes, or gives, at most so many bytes (0: all that there are). Other codes are returned as
 * they are, the negative ones with a message. */
struct fake_step {
    int code;
    size_t bytes;
};

/* One call of send, as it came. */
struct fake_send {
    unsigned flags;
    size_t views;
    size_t offered;
    size_t taken;
    uint64_t message_size;
    int64_t deadline;
};

/* Lives in the test's memory, zeroed and then filled as far as wanted; the counters can be read until fake_channel_done(). */
struct fake_channel {
    /* the script: after its end send takes everything, recv says TRIB_EOF, finish TRIB_OK */
    const struct fake_step *sends;
    size_t send_steps;
    const struct fake_step *recvs;
    size_t recv_steps;
    const uint8_t *input; /* what recv gives, in chunks that wrap it */
    size_t input_len;
    const int *finishes;
    size_t finish_steps;
    bool move_references; /* send moves the references of whole views out, as a transport may that keeps them */

    /* what happened */
    struct fake_send log[FAKE_LOG_MAX];
    size_t send_calls, recv_calls, finish_calls;
    size_t cancels, closes, frees;
    uint8_t *output; /* all that send took */
    size_t output_len;
    int finish_status;
    char finish_text[64];
    size_t want_min; /* of the last recv */

    /* inside */
    size_t input_at;
    size_t output_capacity;
    struct trib_view kept[FAKE_KEPT_MAX];
    size_t kept_count;
    struct trib_channel_ops ops;
    struct {
        trib_ready_fn *fn;
        void *arg;
    } watches[2];
};

/* A channel over *fake with these capabilities. TRIB_CAP_EVENTS: it accepts any pointer as event_base, and fires when told to. */
int fake_channel_new(struct fake_channel *fake, unsigned capabilities, const struct trib_channel_options *options,
                     struct trib_channel **ret_channel, struct trib_error *err);

/* Whether a watch is armed; runs it, as the thread of the base would. */
bool fake_channel_armed(const struct fake_channel *fake, enum trib_direction direction);
void fake_channel_fire(struct fake_channel *fake, enum trib_direction direction);

/* Lets go of the references that were moved out. */
void fake_channel_drop_kept(struct fake_channel *fake);

/* After the channel was freed: frees what it collected. */
void fake_channel_done(struct fake_channel *fake);

#endif
