/* Error lines, words for sizes and rates, and channels with the command line's transports. */
#include "tools/tool.h"

#include <tributary/uri.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Error lines ---------------------------------------------------------------------------------------------- */

/* Bytes of the character at text[0] if it may be shown: neither a control nor broken UTF-8, which a terminal might take for one; else 0. */
static size_t shown(const unsigned char *text, size_t len)
{
    size_t n = trib_utf8_len(text, len);
    bool control = n == 1 ? text[0] < ' ' || text[0] == 0x7f : n == 2 && text[0] == 0xc2 && text[1] < 0xa0; /* ASCII's, Latin-1's */

    return control ? 0 : n;
}

void tool_clean(char *text, size_t len)
{
    for (size_t i = 0, n; i < len; i += n > 0 ? n : 1) {
        n = shown((const unsigned char *)text + i, len - i);
        if (n == 0)
            text[i] = (unsigned char)text[i] < 0x80 ? ' ' : '?';
    }
}

void tool_line(const struct tool *tool, const char *format, ...)
{
    char text[1024];
    va_list args;
    int head = snprintf(text, sizeof(text), "tributary: %s: ", tool->command->name);
    size_t len;

    va_start(args, format);
    vsnprintf(text + head, sizeof(text) - (size_t)head - 1, format, args);
    va_end(args);
    len = strlen(text);
    tool_clean(text, len); /* one line, whatever an operand or a peer's text has in it */
    text[len] = '\n';
    tool_progress_hide();
    fwrite(text, 1, len + 1, stderr);
}

int tool_fail(const struct tool *tool, const struct trib_error *err, const char *hint)
{
    tool_line(tool, "%s%s%s", err->message, hint != NULL ? "; " : "", hint != NULL ? hint : "");
    return TOOL_FAILED;
}

/* The library says so of every URI that it does not take; other misuse is a descriptor that a channel cannot be made of. */
static bool is_of_uri(const struct trib_error *err)
{
    return err->code == TRIB_ERR_USAGE && strncmp(err->message, "uri ", strlen("uri ")) == 0;
}

int tool_fail_open(const struct tool *tool, const struct trib_error *err, const char *hint)
{
    tool_fail(tool, err, hint);
    return is_of_uri(err) ? TOOL_USAGE : TOOL_FAILED;
}

const char *tool_hint_dial(const struct trib_error *err, const char *uri, char *buf, size_t len)
{
    if (err->sys_errno == ECONNREFUSED || err->sys_errno == ENOENT) {
        snprintf(buf, len, "start a listener first: tributary serve %s", uri);
        return buf;
    }
    if (err->code == TRIB_ERR_SHORT || err->code == TRIB_ERR_CLOSED)
        return "look at what the peer says";
    return tool_hint(err);
}

const char *tool_hint(const struct trib_error *err)
{
    switch (err->sys_errno) {
    case ENOENT:
        return "make the folder first";
    case EADDRINUSE:
        return "stop that one, or listen elsewhere";
    case EACCES:
    case EPERM:
        return "check the owner and the mode of the path";
    default:
        break;
    }
    switch (err->code) {
    case TRIB_ERR_USAGE:
        return is_of_uri(err) ? "tributary(1) describes the URIs" : NULL;
    case TRIB_ERR_TIMEOUT:
        return "is the peer alive? give it more with --timeout";
    default:
        return NULL;
    }
}

static int flush_errno;

void tool_flush(void)
{
    if (fflush(stdout) != 0 && flush_errno == 0)
        flush_errno = errno;
}

int tool_flush_errno(void)
{
    return flush_errno;
}

/* ---- Channels ------------------------------------------------------------------------------------------------- */

struct trib_channel_options tool_channel_options(const struct tool *tool)
{
    struct trib_channel_options options = TRIB_CHANNEL_OPTIONS_INIT;

    options.transports = tool->transports;
    return options;
}

static const struct trib_transport *find_scheme(const struct trib_transport *const *transports, const char *scheme)
{
    for (; transports != NULL && *transports != NULL; transports++)
        if (strcmp((*transports)->scheme, scheme) == 0)
            return *transports;
    return NULL;
}

const struct trib_transport *tool_transport(const struct tool *tool, const char *uri)
{
    const struct trib_transport *transport;
    struct trib_uri *parsed;

    if (trib_uri_parse(uri, &parsed, NULL) != TRIB_OK)
        return NULL;
    transport = find_scheme(tool->transports, trib_uri_scheme(parsed));
    if (transport == NULL)
        transport = find_scheme(trib_transports(), trib_uri_scheme(parsed));
    trib_uri_free(parsed);
    return transport;
}

int tool_check_outside(const struct tool *tool, const char *uri, const char *instead)
{
    const struct trib_transport *transport = tool_transport(tool, uri);

    if (transport == NULL || (transport->capabilities & TRIB_CAP_REFERENCES) == 0)
        return TOOL_OK;
    return tool_usage(tool, "%s: a %s channel joins threads of one process; %s", uri, transport->scheme, instead);
}

int tool_check_grpc(const struct tool *tool, const char *uri, const char *const *known)
{
    struct trib_uri *parsed;
    struct trib_error err;
    int rc = trib_uri_parse(uri, &parsed, &err);
    bool grpc;

    if (rc != TRIB_OK)
        return tool_fail_open(tool, &err, tool_hint(&err));
    grpc = strcmp(trib_uri_scheme(parsed), "grpc+unix") == 0 || strcmp(trib_uri_scheme(parsed), "grpc+tcp") == 0;
    if (known != NULL)
        rc = trib_uri_known(parsed, known, &err);
    trib_uri_free(parsed);
    if (!grpc)
        return tool_usage(tool, "%s: the scheme is neither grpc+unix nor grpc+tcp", uri);
    return rc == TRIB_OK ? TOOL_OK : tool_fail_open(tool, &err, tool_hint(&err));
}

/* ---- Words ---------------------------------------------------------------------------------------------------- */

struct tool_word tool_word_size(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct tool_word word;
    double number = (double)bytes;
    size_t unit = 0;

    while (number >= 1023.995 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        number /= 1024.0;
        unit++;
    }
    if (unit == 0)
        snprintf(word.text, sizeof(word.text), "%llu byte%s", (unsigned long long)bytes, bytes == 1 ? "" : "s");
    else
        snprintf(word.text, sizeof(word.text), "%.*f %s", number < 10.0 ? 2 : number < 100.0 ? 1 : 0, number, units[unit]);
    return word;
}

struct tool_word tool_word_rate(uint64_t bytes, int64_t ns)
{
    struct tool_word word;
    double rate = ns > 0 ? (double)bytes / (double)ns : 0.0;

    if (rate >= 100.0)
        snprintf(word.text, sizeof(word.text), "%.0f GB/s", rate);
    else if (rate >= 0.01)
        snprintf(word.text, sizeof(word.text), "%.2f GB/s", rate);
    else
        snprintf(word.text, sizeof(word.text), "%.2f MB/s", rate * 1000.0);
    return word;
}

struct tool_word tool_word_time(int64_t ns)
{
    struct tool_word word;
    double seconds = (double)ns / 1e9;

    if (seconds < 0.1)
        snprintf(word.text, sizeof(word.text), "%.2f ms", seconds * 1e3);
    else
        snprintf(word.text, sizeof(word.text), "%.2f s", seconds);
    return word;
}
