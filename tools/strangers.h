/* Lines about peers that break the protocol of a server: one for each, but not more in a second than somebody reads. */
#ifndef TRIBUTARY_TOOLS_STRANGERS_H
#define TRIBUTARY_TOOLS_STRANGERS_H

#include "tools/tool.h"

/* Zeroed at the start; of one thread. */
struct strangers {
    int64_t since; /* the second under way */
    unsigned told;
    unsigned long long passed_over;
};

void strangers_tell(struct strangers *strangers, const struct tool *tool, const char *name, const struct trib_peer *peer,
                    const struct trib_error *err);
/* How many were not told of. */
void strangers_end(struct strangers *strangers, const struct tool *tool, const char *name);

#endif
