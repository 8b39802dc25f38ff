/* Says control messages and the end of a call through a writer that does not wait. */
#include "udf_speech-internal.h"

#include <stdio.h>

void tribi_speech_add(struct tribi_speech *speech, struct trib_chunk *message)
{
    if (speech->count < TRIBI_SPEECH_MAX)
        speech->messages[speech->count++] = message;
    else
        trib_chunk_unref(message);
}

void tribi_speech_finish(struct tribi_speech *speech, int status, const char *text)
{
    speech->finish = true;
    speech->status = status;
    snprintf(speech->text, sizeof(speech->text), "%s", text != NULL ? text : "");
}

/* TRIB_AGAIN: the callback goes on here. */
static int say(struct tribi_speech *speech, struct trib_chunk *message)
{
    int rc = TRIB_OK;

    if (speech->part == 0)
        rc = trib_writer_begin_message(speech->writer, trib_chunk_len(message), NULL);
    speech->part = rc == TRIB_OK && speech->part == 0 ? 1 : speech->part;
    if (rc == TRIB_OK && speech->part == 1)
        rc = trib_writer_view(speech->writer, trib_chunk_view(message), NULL);
    if (rc != TRIB_OK)
        return rc;
    speech->part = 0;
    rc = trib_writer_end_message(speech->writer, NULL);
    return rc == TRIB_AGAIN ? TRIB_OK : rc; /* it has ended, and stays gathered */
}

static int say_all(struct tribi_speech *speech)
{
    int rc = TRIB_OK;

    while (rc == TRIB_OK && speech->next < speech->count) {
        rc = say(speech, speech->messages[speech->next]);
        if (rc != TRIB_OK)
            break;
        trib_chunk_unref(speech->messages[speech->next]);
        speech->messages[speech->next++] = NULL;
    }
    if (rc == TRIB_OK)
        rc = speech->finish ? trib_writer_finish(speech->writer, speech->status, speech->text[0] != '\0' ? speech->text : NULL, NULL)
                            : trib_writer_flush(speech->writer, NULL);
    return rc;
}

static void on_writable(struct trib_writer *writer, void *arg)
{
    struct tribi_speech *speech = arg;
    int rc;

    (void)writer;
    if (speech->over)
        return;
    rc = say_all(speech);
    speech->since = rc == TRIB_AGAIN ? (speech->since != 0 ? speech->since : trib_now()) : 0;
    if (rc == TRIB_AGAIN || (rc == TRIB_OK && !speech->finish))
        return;
    speech->over = true;
    speech->done(speech->arg);
}

bool tribi_speech_go(struct tribi_speech *speech, struct event_base *base)
{
    int rc = TRIB_OK;

    if (speech->over)
        return true;
    if (!speech->listening) {
        rc = trib_writer_set_callback(speech->writer, base, on_writable, speech, NULL);
        speech->listening = rc == TRIB_OK;
    }
    if (rc == TRIB_OK)
        rc = say_all(speech);
    if (rc == TRIB_AGAIN && speech->since == 0)
        speech->since = trib_now();
    speech->over = rc < 0 || (rc == TRIB_OK && speech->finish);
    return speech->over;
}

void tribi_speech_done(struct tribi_speech *speech)
{
    if (speech->listening)
        trib_writer_set_callback(speech->writer, NULL, NULL, NULL, NULL);
    speech->listening = false;
    for (; speech->next < speech->count; speech->next++)
        speech->messages[speech->next] = trib_chunk_unref(speech->messages[speech->next]);
}
