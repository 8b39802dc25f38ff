/* What the commands of `tributary` share: their table, options, error lines, words for sizes, progress. */
#ifndef TRIBUTARY_TOOLS_TOOL_H
#define TRIBUTARY_TOOLS_TOOL_H

#include <tributary/channel.h>
#include <tributary/error.h>
#include <tributary/transport.h>
#include <tributary/types.h>

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tool;

/* Exit codes. */
enum { TOOL_OK = 0, TOOL_FAILED = 1, TOOL_USAGE = 2, TOOL_REFUSED = 3 };

struct tool_command {
    const char *name;
    const char *synopsis;
    const char *summary; /* one line, for the program's help */
    const char *help;    /* what stands below the synopsis in the command's own */
    int (*run)(struct tool *tool, int argc, char **argv); /* argv[0] is the command; returns the exit code */
};

extern const struct tool_command tool_call;
extern const struct tool_command tool_conform;
extern const struct tool_command tool_demo;
extern const struct tool_command tool_inspect;
extern const struct tool_command tool_replay;
extern const struct tool_command tool_send;
extern const struct tool_command tool_serve;

/* One run of one command. */
struct tool {
    const struct tool_command *command;
    const struct trib_transport **transports; /* loaded by --transport, NULL-terminated */
    size_t transport_count;
    int exit_code; /* after tool_option() returned TOOL_STOP */
};

/* ---- Options -------------------------------------------------------------------------------------------------- */

/* Every command has these; its table of long options ends with one of the two. */
#define TOOL_OPTIONS_HELP {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}
#define TOOL_OPTIONS_TRANSPORT {"transport", required_argument, NULL, 'T'}, TOOL_OPTIONS_HELP
#define TOOL_HELP_HELP "  --help               print this and exit\n"
#define TOOL_HELP_TRANSPORT "  --transport FILE.so  also know the transport in this module; may be given again\n" TOOL_HELP_HELP

enum { TOOL_END = -1, TOOL_STOP = -2 };

/* The next option's value from the table; TOOL_END; or TOOL_STOP: return tool->exit_code. It deals with --help and --transport
 * itself. */
int tool_option(struct tool *tool, int argc, char **argv, const struct option *options);

/* One line on stderr with a pointer to the command's help; returns TOOL_USAGE. */
int tool_usage(const struct tool *tool, const char *format, ...) TRIB_PRINTF(2, 3);

/* TOOL_USAGE, with a line, unless between min and max operands are left. */
int tool_operands(const struct tool *tool, int argc, int min, int max);

/* Values of options: false after a line of tool_usage(). Sizes carry KiB, MiB, GiB or k, m, g: all 1024-based. */
bool tool_number(const struct tool *tool, const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_number);
bool tool_size(const struct tool *tool, const char *option, const char *text, uint64_t min, uint64_t max, uint64_t *ret_size);
bool tool_seconds(const struct tool *tool, const char *option, const char *text, int64_t *ret_ms);

/* ---- Error lines ---------------------------------------------------------------------------------------------- */

/* "tributary: COMMAND: TEXT" on stderr, in one write, above a progress bar. */
void tool_line(const struct tool *tool, const char *format, ...) TRIB_PRINTF(2, 3);

/* Controls become spaces, and what is no UTF-8 question marks. */
void tool_clean(char *text, size_t len);

/* The line of an error: what, where and why from the library, and what to do about it. Returns TOOL_FAILED. */
int tool_fail(const struct tool *tool, const struct trib_error *err, const char *hint);

/* The same, of an error of opening a URI. Returns TOOL_USAGE where the URI is what is wrong, else TOOL_FAILED. */
int tool_fail_open(const struct tool *tool, const struct trib_error *err, const char *hint);

/* What helps against an error of listening at a URI, or of a channel of this process. NULL: nothing is known to. */
const char *tool_hint(const struct trib_error *err);

/* Against one of dialling `uri`, or of the channel to that peer. May write to buf. */
const char *tool_hint_dial(const struct trib_error *err, const char *uri, char *buf, size_t len);

/* fflush(stdout); why it failed first is kept for the end of the program. 0: it has not. */
void tool_flush(void);
int tool_flush_errno(void);

/* ---- Channels ------------------------------------------------------------------------------------------------- */

/* Options with the transports of the command line. */
struct trib_channel_options tool_channel_options(const struct tool *tool);

/* The transport of a URI, or NULL where there is none or the URI is none (opening says which). */
const struct trib_transport *tool_transport(const struct tool *tool, const char *uri);

/* TOOL_USAGE, with a line that says what to do instead, where the URI's channels join only threads of one process. */
int tool_check_outside(const struct tool *tool, const char *uri, const char *instead);

/* For a command that speaks gRPC alone: TOOL_USAGE, with a line, where the URI is none, is of another scheme, or has a parameter that is not among `known`
 * (ends with NULL; NULL: whoever opens it looks at those). Of the address only opening says what is wrong. */
int tool_check_grpc(const struct tool *tool, const char *uri, const char *const *known);

/* ---- Words ---------------------------------------------------------------------------------------------------- */

#define TOOL_WORD_MAX 32
struct tool_word {
    char text[TOOL_WORD_MAX];
};

struct tool_word tool_word_size(uint64_t bytes);             /* "534 bytes", "1.00 GiB" */
struct tool_word tool_word_rate(uint64_t bytes, int64_t ns); /* "9.87 GB/s" */
struct tool_word tool_word_time(int64_t ns);                 /* "0.31 s" */

/* ---- Progress: a line on stderr while a command works, if that is a terminal ----------------------------------- */

struct tool_progress {
    const char *what;
    uint64_t total; /* 0: unknown */
    bool sizes;     /* the numbers are bytes */
    int64_t started;
    int64_t shown;
};

void tool_progress_start(struct tool_progress *progress, const char *what, uint64_t total, bool sizes);
void tool_progress_show(struct tool_progress *progress, uint64_t done); /* at most ten times a second */
void tool_progress_end(struct tool_progress *progress);

/* Takes the bar away until the next show, for other text. */
void tool_progress_hide(void);

#endif
