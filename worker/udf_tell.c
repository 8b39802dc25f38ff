/* What a session says on the I/O thread: errors, terminators with their metrics, the end. */
#include "worker-internal.h"

#include <tributary/alloc.h>

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Texts ------------------------------------------------------------------------------------------------------ */

/* A protobuf string may hold nothing but UTF-8. */
static void make_text(char *text)
{
    uint8_t *at = (uint8_t *)text;
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = trib_utf8_len(at, left);
        if (n == 0)
            *at = '?';
        n = n > 0 ? n : 1;
        at += n;
        left -= n;
    }
}

static char *copy_text(struct trib_view text)
{
    char *copy = text.data != NULL ? trib_alloc(text.len + 1) : NULL;

    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len); /* copy: the serializer's text ends with its state */
    make_text(copy);
    return copy;
}

void tribi_told_set(struct tribi_told *told, enum trib_udf_error_kind kind, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tribi_told_done(told);
    told->kind = kind;
    told->message = copy_text(tribi_udf_text(text));
}

void tribi_told_copy(struct tribi_told *told, const struct trib_udf_error *error)
{
    tribi_told_done(told);
    told->kind = error->kind;
    told->message = copy_text(error->message);
    told->traceback = copy_text(error->traceback);
    told->error_class = copy_text(error->error_class);
}

void tribi_told_done(struct tribi_told *told)
{
    if (told == NULL)
        return;
    trib_free(told->message);
    trib_free(told->traceback);
    trib_free(told->error_class);
    *told = (struct tribi_told){.message = NULL};
}

static void error_of(const struct tribi_told *told, struct trib_udf_error *ret_error)
{
    *ret_error = (struct trib_udf_error)TRIB_UDF_ERROR_INIT;
    if (told == NULL || told->kind == TRIB_UDF_NO_ERROR)
        return;
    ret_error->kind = told->kind;
    ret_error->message = tribi_udf_text(told->message != NULL ? told->message : "no memory for the text");
    ret_error->traceback = tribi_udf_text(told->traceback);
    ret_error->error_class = tribi_udf_text(told->error_class);
}

/* ---- Metrics ---------------------------------------------------------------------------------------------------- */

static void set(struct trib_udf_metrics *metrics, enum trib_udf_metric metric, uint64_t value)
{
    metrics->present |= 1u << metric;
    metrics->values[metric] = value;
}

void tribi_session_metrics(const struct tribi_session *session, struct trib_udf_metrics *ret_metrics)
{
    const struct tribi_times *times = &session->times;

    *ret_metrics = (struct trib_udf_metrics){.present = 0};
    if (session->engaged || times->started == 0) /* not known yet, or there is nothing to know */
        return;
    set(ret_metrics, TRIB_UDF_BYTES_IN, session->bytes_in);
    set(ret_metrics, TRIB_UDF_BYTES_OUT, session->bytes_out);
    if (session->shape == TRIB_DATA_STREAM) {
        set(ret_metrics, TRIB_UDF_ROWS_IN, session->rows_in);
        if (!session->rows_unknown)
            set(ret_metrics, TRIB_UDF_ROWS_OUT, session->rows_out);
    }
    set(ret_metrics, TRIB_UDF_BATCHES_IN, session->batches_in);
    set(ret_metrics, TRIB_UDF_BATCHES_OUT, session->batches_out);
    set(ret_metrics, TRIB_UDF_INIT_WALL_NANOS, times->open);
    if (times->opened != 0)
        set(ret_metrics, TRIB_UDF_PROCESSING_WALL_NANOS, (uint64_t)(trib_now() - times->opened));
    set(ret_metrics, TRIB_UDF_RECEIVE_WALL_NANOS, times->receive);
    set(ret_metrics, TRIB_UDF_SEND_WALL_NANOS, times->send);
    set(ret_metrics, TRIB_UDF_WORK_WALL_NANOS, times->work);
    set(ret_metrics, TRIB_UDF_WORK_CPU_NANOS, times->cpu);
}

enum { PAIRS = 10, TEXT = 24 };

static void pair_of(struct trib_spark_pair *pair, char *text, const char *key, uint64_t value)
{
    snprintf(text, TEXT, "%" PRIu64, value);
    pair->key = tribi_udf_text(key);
    pair->value = tribi_udf_text(text);
}

/* The same as a map, for an engine of 4.3.0. */
static size_t pairs_of(const struct tribi_session *session, bool good, const struct trib_udf_metrics *metrics,
                       struct trib_spark_pair pairs[PAIRS], char texts[PAIRS][TEXT])
{
    const struct tribi_times *times = &session->times;
    size_t n = 0;

    pairs[n].key = tribi_udf_text("status");
    pairs[n++].value = tribi_udf_text(good ? "ok" : session->state == TRIBI_UDF_CANCELLING ? "cancelled" : "failed");
    if (session->engaged || times->started == 0)
        return n;
    for (enum trib_udf_metric metric = TRIB_UDF_BYTES_IN; metric <= TRIB_UDF_BATCHES_OUT; metric++)
        if ((metrics->present & 1u << metric) != 0)
            pair_of(&pairs[n], texts[n], trib_udf_metric_name(metric), metrics->values[metric]), n++;
    pair_of(&pairs[n], texts[n], "queue_nanos", (uint64_t)(times->started - times->queued)), n++;
    pair_of(&pairs[n], texts[n], "udf_nanos", times->open + times->work), n++;
    pair_of(&pairs[n], texts[n], "transport_nanos", times->receive + times->send), n++;
    return n;
}

/* ---- Saying ----------------------------------------------------------------------------------------------------- */

static void add(struct tribi_session *session, enum trib_reply_kind kind, const struct tribi_told *told)
{
    struct tribi_udf_response response = {.kind = kind};
    bool terminator = kind == TRIB_REPLY_FINISH || kind == TRIB_REPLY_CANCEL;
    bool good = kind == TRIB_REPLY_FINISH && (told == NULL || told->kind == TRIB_UDF_NO_ERROR);
    struct trib_spark_pair pairs[PAIRS];
    struct trib_udf_metrics metrics;
    struct trib_chunk *chunk;
    char texts[PAIRS][TEXT];

    error_of(told, &response.error);
    if (terminator) {
        memset(pairs, 0, sizeof(pairs));
        tribi_session_metrics(session, &metrics);
        response.pair_count = pairs_of(session, good, &metrics, pairs, texts);
        response.pairs = pairs;
        response.metrics = metrics.present != 0 ? &metrics : NULL;
    }
    if (tribi_udf_response_write(&response, &chunk, NULL) == TRIB_OK)
        tribi_speech_add(&session->speech, chunk);
    else
        tribi_session_lose(session, "no memory for a response");
}

static void note(struct tribi_session *session, struct tribi_told *told)
{
    struct trib_udf_error error;

    if (told == NULL || told->kind == TRIB_UDF_NO_ERROR)
        return;
    session->outcome = TRIB_WORKER_FAILED;
    if (session->report.kind == TRIB_UDF_NO_ERROR) {
        error_of(told, &error);
        tribi_told_copy(&session->report, &error);
    }
}

void tribi_session_tell(struct tribi_session *session, enum tribi_udf_place place, struct tribi_told *told)
{
    add(session, place == TRIBI_UDF_IN_INIT ? TRIB_REPLY_INIT : TRIB_REPLY_ERROR, told);
    note(session, told);
    tribi_told_done(told);
    if (session->lost)
        return;
    session->state = TRIBI_UDF_FAILED;
    if (tribi_speech_go(&session->speech, session->worker->base))
        tribi_session_over(session);
}

void tribi_session_terminate(struct tribi_session *session, enum tribi_udf_place place, struct tribi_told *told)
{
    if (place == TRIBI_UDF_IN_INIT || place == TRIBI_UDF_IN_ERROR) {
        add(session, place == TRIBI_UDF_IN_INIT ? TRIB_REPLY_INIT : TRIB_REPLY_ERROR, told);
        note(session, told);
        tribi_told_done(told);
    }
    if (!session->lost)
        add(session, place == TRIBI_UDF_IN_FINISH ? TRIB_REPLY_FINISH : TRIB_REPLY_CANCEL, told);
    note(session, told);
    tribi_told_done(told);
    if (session->lost)
        return;
    if (session->outcome != TRIB_WORKER_FAILED)
        session->outcome = place == TRIBI_UDF_IN_FINISH ? TRIB_WORKER_FINISHED : TRIB_WORKER_CANCELLED;
    session->state = TRIBI_UDF_ENDED;
    tribi_speech_finish(&session->speech, TRIB_GRPC_OK, NULL);
    if (tribi_speech_go(&session->speech, session->worker->base))
        tribi_session_over(session);
}
