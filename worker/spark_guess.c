/* Finds out what a captured connection of spark-socket is: which direction, which handshake, by trying each. */
#include <tributary/spark.h>

#include <string.h>

struct candidate {
    enum trib_side side;
    enum trib_handshake handshake;
};

/* From the engine, the two TCP handshakes look alike but for the text: the second is told from the first afterwards. */
static const struct candidate candidates[] = {
    {TRIB_FROM_ENGINE, TRIB_HANDSHAKE_PID},        {TRIB_FROM_ENGINE, TRIB_HANDSHAKE_TCP_DAEMON},
    {TRIB_FROM_WORKER, TRIB_HANDSHAKE_TCP_DAEMON}, {TRIB_FROM_WORKER, TRIB_HANDSHAKE_PID}, /* would take "ok" for a frame */
    {TRIB_FROM_WORKER, TRIB_HANDSHAKE_TCP_DIRECT}, {TRIB_FROM_WORKER, TRIB_HANDSHAKE_NONE},
};

struct trial {
    uint64_t reached; /* bytes of whole events; UINT64_MAX: all of the capture, and a session at least */
    bool ran_out;     /* what follows is not wrong, but not whole */
    bool answer;      /* AUTH was "ok" or "err" */
};

static bool is_answer(struct trib_view text)
{
    return (text.len == 2 && memcmp(text.data, "ok", 2) == 0) || (text.len == 3 && memcmp(text.data, "err", 3) == 0);
}

/* Whether this event can be, where the bytes alone allow it. */
static bool plausible(const struct candidate *candidate, const struct trib_event *event)
{
    if (event->kind == TRIB_EVENT_PID)
        return event->number > 0;
    if (event->kind == TRIB_EVENT_AUTH && candidate->side == TRIB_FROM_WORKER)
        return is_answer(event->bytes) == (candidate->handshake == TRIB_HANDSHAKE_TCP_DAEMON);
    return true;
}

/* Events until they end or go wrong. A connection may carry more than one session. */
static int follow(struct trib_receiver *receiver, struct trib_reader *reader, const struct candidate *candidate,
                  struct trial *trial)
{
    struct trib_event event;
    int rc = TRIB_OK;

    while (rc == TRIB_OK) {
        rc = trib_receiver_next(receiver, &event, NULL);
        if (rc == TRIB_OK && !plausible(candidate, &event))
            return TRIB_OK;
        if (rc == TRIB_OK) {
            trial->reached = event.offset + event.length;
            trial->answer = trial->answer || (event.kind == TRIB_EVENT_AUTH && is_answer(event.bytes));
        }
        if (rc == TRIB_EOF && !trib_reader_finished(reader))
            rc = trib_receiver_next_session(receiver, NULL);
    }
    if (rc == TRIB_EOF && trib_receiver_state(receiver) != TRIB_SESSION_START)
        trial->reached = UINT64_MAX;
    trial->ran_out = rc == TRIB_EOF || rc == TRIB_ERR_SHORT;
    return rc == TRIB_ERR_NOMEM ? rc : TRIB_OK;
}

static int try_candidate(struct trib_chunk *capture, const struct candidate *candidate, struct trial *ret_trial,
                         struct trib_error *err)
{
    struct trib_reader_options reader_options = TRIB_READER_OPTIONS_INIT;
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    int rc;

    reader_options.initial = capture;
    options.handshake = candidate->handshake;
    rc = trib_reader_new(&reader_options, &reader, err);
    if (rc != TRIB_OK)
        return rc;
    trib_reader_finish(reader, NULL);
    rc = trib_receiver_new(&trib_dialect_spark_socket, reader, candidate->side, &options, &receiver, err);
    if (rc == TRIB_OK) {
        rc = follow(receiver, reader, candidate, ret_trial);
        if (rc != TRIB_OK)
            trib_error_set(err, rc, 0, "capture: no memory");
        trib_receiver_free(receiver);
    }
    trib_reader_free(reader);
    return rc;
}

/* A capture that was cut says nothing wrong: between two that got equally far, it is the one that ran out. */
static bool is_better(const struct trial *trial, const struct trial *best)
{
    return trial->reached > best->reached || (trial->reached == best->reached && trial->ran_out && !best->ran_out);
}

int trib_spark_guess(struct trib_chunk *capture, enum trib_side *ret_side, enum trib_handshake *ret_handshake,
                     struct trib_error *err)
{
    struct trial best = {0, false, false};
    size_t chosen = 0;

    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]) && best.reached != UINT64_MAX; i++) {
        struct trial trial = {0, false, false};
        int rc = try_candidate(capture, &candidates[i], &trial, err);
        if (rc != TRIB_OK)
            return rc;
        if (is_better(&trial, &best)) {
            best = trial;
            chosen = i;
        }
    }
    *ret_side = candidates[chosen].side;
    *ret_handshake = candidates[chosen].handshake;
    if (*ret_side == TRIB_FROM_ENGINE && *ret_handshake == TRIB_HANDSHAKE_TCP_DAEMON && best.answer)
        *ret_handshake = TRIB_HANDSHAKE_TCP_DIRECT;
    return TRIB_OK;
}
