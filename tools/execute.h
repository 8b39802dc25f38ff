/* One execution on a worker, played as Spark plays it: Init, payload, data, Finish or Cancel, and all that is answered. */
#ifndef TRIBUTARY_TOOLS_EXECUTE_H
#define TRIBUTARY_TOOLS_EXECUTE_H

#include "tools/answer.h"
#include "tools/input.h"
#include "tools/tool.h"

#include <tributary/engine.h>

struct execute {
    const struct tool *tool;
    const char *uri;
    struct trib_view payload;
    size_t payload_chunk; /* 0: the payload is inline */
    const char *name;     /* of the UDF; NULL: none */
    struct input *input;  /* NULL: no data */
    int *input_stop;      /* closed, and then -1, to end a wait for input; NULL: nothing waits */
    uint64_t total;       /* bytes of the input, 0: unknown */
    struct answer *answer;
    bool cancels; /* after so many batches, instead of Finish */
    uint64_t cancel_after;
    int64_t deadline;
};

/* Lines on stderr say how it went. TOOL_OK: finished, or cancelled as it was asked for; TOOL_REFUSED: the worker told of an error; TOOL_FAILED:
 * anything else. */
int execute_run(struct execute *execute, struct trib_engine *engine);

#endif
