/* What a worker answers, the data of DataResponses: checked, counted, and written to a file. */
#ifndef TRIBUTARY_TOOLS_ANSWER_H
#define TRIBUTARY_TOOLS_ANSWER_H

#include "tools/output.h"

#include <inttypes.h>
#include <stdbool.h>

struct answer {
    struct output output;
    bool arrow;              /* Arrow in each, gathered to one stream */
    struct trib_view schema; /* of that stream: the input's, unless the answer brings one */
    struct trib_chunk *own;  /* what it brought */
    bool begun;
    uint64_t batches;
    uint64_t bytes;
    uint64_t rows; /* in Arrow batches */
};

/* One DataResponse. TRIB_ERR_PROTOCOL: not what `arrow` asks for; TRIB_ERR_IO: it cannot be written. */
int answer_put(struct answer *answer, struct trib_view data, struct trib_error *err);

/* After the last one. */
int answer_end(struct answer *answer, struct trib_error *err);

void answer_done(struct answer *answer);

#endif
