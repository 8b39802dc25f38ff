/* Lines about an execution. */
#include "tools/execute_tell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 700 };

const char *execute_hint(const struct trib_error *err, const char *uri, char *buf, size_t len)
{
    if (err->code == TRIB_ERR_TIMEOUT && err->wanted != 0) /* not by --timeout */
        return EXECUTE_HINT_PATIENCE;
    if (err->sys_errno != ECONNREFUSED && err->sys_errno != ENOENT)
        return tool_hint_dial(err, uri, buf, len);
    snprintf(buf, len, "start a worker first: tributary serve %s --protocol spark-grpc", uri);
    return buf;
}

static int clip(struct trib_view text)
{
    return text.len < TEXT_MAX ? (int)text.len : TEXT_MAX;
}

static void tell_traceback(const struct execute *execute, struct trib_view text)
{
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.data, '\n', text.len);
        struct trib_view line = trib_view_sub(text, 0, newline != NULL ? (size_t)(newline - text.data) : text.len);
        tool_line(execute->tool, "| %.*s", clip(line), (const char *)line.data);
        text = trib_view_sub(text, line.len + (newline != NULL ? 1 : 0), text.len);
    }
}

void execute_tell_error(const struct execute *execute, const char *where, const struct trib_udf_error *error)
{
    bool has_class = error->error_class.len > 0;

    tool_line(execute->tool, "%s: the worker answers in %s: %s%s%.*s: %.*s", execute->uri, where, trib_udf_error_kind_name(error->kind),
              has_class ? " " : "", clip(error->error_class), has_class ? (const char *)error->error_class.data : "", clip(error->message),
              error->message.len > 0 ? (const char *)error->message.data : "");
    tell_traceback(execute, error->traceback);
}

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

static void append(struct execute_times *times, const char *name, int name_len, const char *value, int value_len)
{
    size_t len = strlen(times->metrics);

    snprintf(times->metrics + len, sizeof(times->metrics) - len, "%s%.*s=%.*s", len > 0 ? " " : "", name_len, name, value_len, value);
}

static bool is_number(const struct trib_reply *reply, struct trib_view name)
{
    for (int i = 0; i < TRIB_UDF_METRICS; i++) {
        const char *known = trib_udf_metric_name((enum trib_udf_metric)i);
        if ((reply->metrics.present & 1u << i) != 0 && strlen(known) == name.len && memcmp(known, name.data, name.len) == 0)
            return true;
    }
    return false;
}

/* What a worker says in both forms is told once. */
void execute_note_metrics(struct execute_times *times, const struct trib_reply *reply)
{
    char value[24];

    times->metrics[0] = '\0';
    for (size_t i = 0; i < reply->pair_count; i++) {
        const struct trib_spark_pair *pair = &reply->pairs[i];
        if (!is_number(reply, pair->key))
            append(times, (const char *)pair->key.data, (int)pair->key.len, (const char *)pair->value.data, (int)pair->value.len);
    }
    for (int i = 0; i < TRIB_UDF_METRICS; i++) {
        const char *name = trib_udf_metric_name((enum trib_udf_metric)i);
        if ((reply->metrics.present & 1u << i) == 0)
            continue;
        snprintf(value, sizeof(value), "%" PRIu64, reply->metrics.values[i]);
        append(times, name, (int)strlen(name), value, (int)strlen(value));
    }
}

/* ---- Totals ------------------------------------------------------------------------------------------------------ */

static struct tool_word rows_of(const struct answer *answer)
{
    struct tool_word word = {""};

    if (answer->arrow)
        snprintf(word.text, sizeof(word.text), ", %" PRIu64 " rows", answer->rows);
    return word;
}

static struct tool_word since(const struct execute_times *times, int64_t when)
{
    struct tool_word none = {"never"};

    return when == 0 ? none : tool_word_time(when - times->start);
}

void execute_tell_totals(const struct execute *execute, const struct execute_times *times, uint64_t batches, uint64_t bytes)
{
    const struct answer *answer = execute->answer;
    int64_t elapsed = times->end - times->start;

    tool_line(execute->tool, "%s: %s: sent %" PRIu64 " batches, %s, received %" PRIu64 " batches, %s%s in %s, %s", execute->uri,
              execute->cancels ? "cancelled" : "finished", batches, tool_word_size(bytes).text, answer->batches,
              tool_word_size(answer->bytes).text, rows_of(answer).text, tool_word_time(elapsed).text, tool_word_rate(bytes, elapsed).text);
    tool_line(execute->tool, "%s: times: init %s, first answer %s, last %s, end %s", execute->uri, since(times, times->init).text,
              since(times, times->first).text, since(times, times->last).text, since(times, times->end).text);
    if (times->metrics[0] != '\0')
        tool_line(execute->tool, "%s: metrics: %s", execute->uri, times->metrics);
}
