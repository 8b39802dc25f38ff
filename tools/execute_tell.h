/* What `tributary call` tells of an execution: errors of the worker, totals, times, metrics. */
#ifndef TRIBUTARY_TOOLS_EXECUTE_TELL_H
#define TRIBUTARY_TOOLS_EXECUTE_TELL_H

#include "tools/execute.h"

/* As trib_now() counts; 0: it did not come. */
struct execute_times {
    int64_t start;
    int64_t init;  /* InitResponse */
    int64_t first; /* DataResponse */
    int64_t last;
    int64_t end;   /* the terminator */
    char metrics[768]; /* of the terminator, as text */
};

/* Against 30 seconds that --timeout does not move. */
#define EXECUTE_HINT_PATIENCE "is the worker alive? that is how long Spark waits, and --timeout does not change it"

/* What helps against an error of reaching the worker, or of the channel to it; NULL: nothing is known to. May write to buf. */
const char *execute_hint(const struct trib_error *err, const char *uri, char *buf, size_t len);

/* A line, and one for each line of the traceback. */
void execute_tell_error(const struct execute *execute, const char *where, const struct trib_udf_error *error);

void execute_note_metrics(struct execute_times *times, const struct trib_reply *reply);
void execute_tell_totals(const struct execute *execute, const struct execute_times *times, uint64_t batches, uint64_t bytes);

#endif
