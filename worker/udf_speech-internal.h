/* What the I/O thread has to say on a call: whole messages and the end, sent as the peer takes them, without waiting. */
#ifndef TRIBI_UDF_SPEECH_H
#define TRIBI_UDF_SPEECH_H

#include <tributary/chunk.h>
#include <tributary/writer.h>

enum { TRIBI_SPEECH_MAX = 4 };

/* Has the channel's writer to itself from the first call of tribi_speech_go(). */
struct tribi_speech {
    struct trib_writer *writer;
    struct trib_chunk *messages[TRIBI_SPEECH_MAX]; /* whole gRPC messages; references */
    unsigned count, next;
    int part;             /* of the next one that is to be written */
    bool listening;       /* the callback is set */
    bool finish;          /* when all is said: the end, with */
    int status;           /* this */
    char text[200];
    bool over;            /* all is sent, the end too; or it failed */
    int64_t since;        /* it waits for the peer; 0: it does not */
    void (*done)(void *arg); /* the end was sent, or cannot be; not inside a call */
    void *arg;
};

/* Adds a message. The chunk's reference is the speech's, also where there is no room for it: then it is not said. */
void tribi_speech_add(struct tribi_speech *speech, struct trib_chunk *message);

/* When all is said, ends the call. text may be NULL. */
void tribi_speech_finish(struct tribi_speech *speech, int status, const char *text);

/* Sends what can be sent now; the rest from the base. True: the end was sent or cannot be (`done` does not run for it). */
bool tribi_speech_go(struct tribi_speech *speech, struct event_base *base);

void tribi_speech_done(struct tribi_speech *speech);

#endif
