/* Options of the commands: the common ones, and values with units. */
#include "tools/tool.h"

#include "conformance/suite.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tool_usage(const struct tool *tool, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    tool_line(tool, "%s; see `tributary %s --help`", text, tool->command->name);
    return TOOL_USAGE;
}

int tool_operands(const struct tool *tool, int argc, int min, int max)
{
    int left = argc - optind;

    if (left < min)
        return tool_usage(tool, "an argument is missing: tributary %s %s", tool->command->name, tool->command->synopsis);
    if (left > max)
        return tool_usage(tool, "%d arguments too many: tributary %s %s", left - max, tool->command->name,
                          tool->command->synopsis);
    return TOOL_OK;
}

/* ---- Transports that are loaded -------------------------------------------------------------------------------- */

static int add_transport(struct tool *tool, const struct trib_transport *transport, struct trib_error *err)
{
    const struct trib_transport **more = realloc(tool->transports, (tool->transport_count + 2) * sizeof(*more));

    if (more == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "load a transport: no memory");
    more[tool->transport_count++] = transport;
    more[tool->transport_count] = NULL;
    tool->transports = more;
    return TRIB_OK;
}

/* The module stays loaded until the process ends: what came from it may still be in use. */
static int load_transport(struct tool *tool, const char *path, struct trib_error *err)
{
    char here[4096];
    const struct trib_transport *transport;
    void *module;
    int rc;

    /* A bare name means a file, as it does to every other command. */
    if (strchr(path, '/') == NULL && snprintf(here, sizeof(here), "./%s", path) < (int)sizeof(here))
        path = here;
    module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL)
        return trib_error_set(err, TRIB_ERR_IO, 0, "load a transport: %s", dlerror());
    rc = conform_module_transport(path, module, &transport, err);
    return rc == TRIB_OK ? add_transport(tool, transport, err) : rc;
}

/* ---- The next option ------------------------------------------------------------------------------------------ */

static int stop(struct tool *tool, int exit_code)
{
    tool->exit_code = exit_code;
    return TOOL_STOP;
}

static int stop_with_help(struct tool *tool)
{
    printf("Usage: tributary %s %s\n%s", tool->command->name, tool->command->synopsis, tool->command->help);
    return stop(tool, TOOL_OK);
}

static const char *wrong_option(char **argv, char *buf, size_t len)
{
    if (optopt != 0 && isprint(optopt) && strncmp(argv[optind - 1], "--", 2) != 0)
        snprintf(buf, len, "-%c", optopt);
    else
        snprintf(buf, len, "%s", argv[optind - 1]);
    return buf;
}

int tool_option(struct tool *tool, int argc, char **argv, const struct option *options)
{
    struct trib_error err;
    char name[128];
    int option;

    for (;;) {
        opterr = 0;
        option = getopt_long(argc, argv, ":h", options, NULL);
        switch (option) {
        case -1:
            return TOOL_END;
        case 'h':
            return stop_with_help(tool);
        case 'T':
            if (load_transport(tool, optarg, &err) != TRIB_OK)
                return stop(tool, tool_fail(tool, &err, "see doc/writing-a-transport.md for what a module exports"));
            break;
        case ':':
            return stop(tool, tool_usage(tool, "option '%s' needs a value", wrong_option(argv, name, sizeof(name))));
        case '?':
            return stop(tool, tool_usage(tool, "unknown option '%s'", wrong_option(argv, name, sizeof(name))));
        default:
            return option;
        }
    }
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

static bool parse_digits(const char *text, char **ret_end, uint64_t *ret_number)
{
    unsigned long long number;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    number = strtoull(text, ret_end, 10);
    if (errno != 0)
        return false;
    *ret_number = number;
    return true;
}

bool tool_number(const struct tool *tool, const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_number)
{
    uint64_t number;
    char *end;

    if (!parse_digits(text, &end, &number) || *end != '\0' || number < min || number > max) {
        tool_usage(tool, "%s %s: not a number from %llu to %llu", option, text, (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *ret_number = number;
    return true;
}

static bool unit_shift(const char *unit, unsigned *ret_shift)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {{"", 0},     {"b", 0},  {"k", 10},   {"kib", 10}, {"m", 20},
                 {"mib", 20}, {"g", 30}, {"gib", 30}, {"t", 40},   {"tib", 40}};

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t at = 0;
        while (unit[at] != '\0' && tolower((unsigned char)unit[at]) == units[i].name[at])
            at++;
        if (unit[at] == '\0' && units[i].name[at] == '\0') {
            *ret_shift = units[i].shift;
            return true;
        }
    }
    return false;
}

bool tool_size(const struct tool *tool, const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_size)
{
    uint64_t number;
    unsigned shift;
    char *end;

    if (!parse_digits(text, &end, &number) || !unit_shift(end, &shift) || number > UINT64_MAX >> shift || number << shift < min ||
        number << shift > max) {
        tool_usage(tool, "%s %s: not a size from %s to %s, such as 64KiB or 1GiB", option, text, tool_word_size(min).text,
                   tool_word_size(max).text);
        return false;
    }
    *ret_size = number << shift;
    return true;
}

bool tool_seconds(const struct tool *tool, const char *option, const char *text, int64_t *ret_ms)
{
    char *end;
    double seconds = isdigit((unsigned char)text[0]) ? strtod(text, &end) : -1.0;

    if (seconds < 0.0 || *end != '\0' || !(seconds <= 1e6)) {
        tool_usage(tool, "%s %s: not a number of seconds", option, text);
        return false;
    }
    *ret_ms = (int64_t)(seconds * 1000.0);
    return true;
}
