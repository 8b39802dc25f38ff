/* Tells of peers that break the protocol, some each second. */
#include "tools/strangers.h"

#include "tools/server.h"

enum { LINES_PER_SECOND = 10 };
#define SECOND INT64_C(1000000000)

void strangers_end(struct strangers *strangers, const struct tool *tool, const char *name)
{
    if (strangers->passed_over > 0)
        tool_line(tool, "%s: %llu more peers went wrong", name, strangers->passed_over);
    strangers->passed_over = 0;
}

void strangers_tell(struct strangers *strangers, const struct tool *tool, const char *name, const struct trib_peer *peer,
                    const struct trib_error *err)
{
    int64_t now = trib_now();
    char buf[SERVER_PEER_MAX];

    if (strangers->since == 0 || now - strangers->since >= SECOND) {
        strangers_end(strangers, tool, name);
        strangers->since = now;
        strangers->told = 0;
    }
    if (strangers->told++ < LINES_PER_SECOND)
        tool_line(tool, "%s: %s: %s", name, server_peer_name(peer, buf, sizeof(buf)), err->message);
    else
        strangers->passed_over++;
}
