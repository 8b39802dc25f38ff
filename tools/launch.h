/* The command line by which Spark starts a worker: flags of engines to come do not matter. */
#ifndef TRIBUTARY_TOOLS_LAUNCH_H
#define TRIBUTARY_TOOLS_LAUNCH_H

#include "tools/tool.h"

/* Does nothing unless --connection is among the arguments. With it, takes those flags out of argv that the table does not have by their whole names, with
 * their values; *argc becomes less, argv stays NULL-terminated. Operands that follow no such flag stay, for the caller to refuse. */
void launch_forget_unknown(const struct option *options, int *argc, char **argv);

/* The URIs of --connection, a path or a port: one or two, in memory of their own. TOOL_USAGE, with a line: it is neither. */
enum { LAUNCH_URIS = 2, LAUNCH_URI_MAX = 384 };
struct launch_address {
    char uris[LAUNCH_URIS][LAUNCH_URI_MAX];
    size_t count;
};
int launch_address(const struct tool *tool, const char *connection, struct launch_address *ret_address);

#endif
