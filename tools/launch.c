/* Spark's launch contract: `COMMAND ... --id ID --connection PATH|PORT`, and whatever newer engines add. */
#include "tools/launch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_BYTES = 107, PORT_MAX = 65535 };

/* ---- Flags ------------------------------------------------------------------------------------------------------ */

static bool is_flag(const char *arg)
{
    return arg[0] == '-' && arg[1] != '\0';
}

/* By its whole name: a shortened one could be a flag of another engine. */
static const struct option *find_flag(const struct option *options, const char *arg)
{
    size_t len = strcspn(arg, "=");

    if (strcmp(arg, "-h") == 0)
        arg = "--help", len = strlen(arg);
    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    for (; options->name != NULL; options++)
        if (strlen(options->name) == len - 2 && strncmp(options->name, arg + 2, len - 2) == 0)
            return options;
    return NULL;
}

/* How many arguments the flag at argv[at] takes up, itself included. */
static int flag_width(const struct option *known, int argc, char **argv, int at)
{
    if (strchr(argv[at], '=') != NULL || at + 1 == argc)
        return 1;
    if (known != NULL)
        return known->has_arg == required_argument ? 2 : 1;
    return is_flag(argv[at + 1]) ? 1 : 2;
}

static bool has_connection(const struct option *options, int argc, char **argv)
{
    const struct option *known;

    for (int at = 1; at < argc; at += is_flag(argv[at]) ? flag_width(known, argc, argv, at) : 1) {
        known = is_flag(argv[at]) ? find_flag(options, argv[at]) : NULL;
        if (known != NULL && strcmp(known->name, "connection") == 0)
            return true;
    }
    return false;
}

void launch_forget_unknown(const struct option *options, int *argc, char **argv)
{
    int kept = 1;

    if (!has_connection(options, *argc, argv))
        return;
    for (int at = 1, width; at < *argc; at += width) {
        const struct option *known = is_flag(argv[at]) ? find_flag(options, argv[at]) : NULL;
        width = is_flag(argv[at]) ? flag_width(known, *argc, argv, at) : 1;
        for (int i = 0; i < width && (known != NULL || !is_flag(argv[at])); i++)
            argv[kept++] = argv[at + i];
    }
    argv[kept] = NULL;
    *argc = kept;
}

/* ---- The address ------------------------------------------------------------------------------------------------ */

/* What means something else in a URI is written as %XX; a path that begins with @ is none in the abstract namespace. */
static void path_uri(const char *path, char *uri)
{
    int n = snprintf(uri, LAUNCH_URI_MAX, "grpc+unix:%s", path[0] == '@' ? "./" : "");

    for (const unsigned char *c = (const unsigned char *)path; *c != '\0'; c++) {
        bool plain = *c > ' ' && *c < 0x7f && *c != '%' && *c != '?' && *c != '#';
        n += snprintf(uri + n, LAUNCH_URI_MAX - (size_t)n, plain ? "%c" : "%%%02X", *c);
    }
}

static int path_address(const struct tool *tool, const char *path, struct launch_address *ret_address)
{
    size_t len = strlen(path) + (path[0] == '@' ? strlen("./") : 0);

    if (len > PATH_MAX_BYTES)
        return tool_usage(tool, "--connection %s: the path has %zu bytes, and a socket's has at most %d", path, len, PATH_MAX_BYTES);
    path_uri(path, ret_address->uris[0]);
    ret_address->count = 1;
    return TOOL_OK;
}

int launch_address(const struct tool *tool, const char *connection, struct launch_address *ret_address)
{
    size_t len = strlen(connection);
    unsigned long port;

    if (len == 0)
        return tool_usage(tool, "--connection: neither a path nor a port");
    if (strspn(connection, "0123456789") != len)
        return path_address(tool, connection, ret_address);
    port = len <= 5 ? strtoul(connection, NULL, 10) : 0;
    if (port == 0 || port > PORT_MAX)
        return tool_usage(tool, "--connection %s: not a port from 1 to %d; a path of digits is written ./%s", connection, PORT_MAX,
                          connection);
    snprintf(ret_address->uris[0], LAUNCH_URI_MAX, "grpc+tcp:127.0.0.1:%lu", port);
    snprintf(ret_address->uris[1], LAUNCH_URI_MAX, "grpc+tcp:[::1]:%lu", port);
    ret_address->count = 2;
    return TOOL_OK;
}
