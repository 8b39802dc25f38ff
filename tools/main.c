/* The program `tributary`: finds the command and runs it. */
#include "tools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct tool_command *const commands[] = {&tool_serve,   &tool_send,    &tool_call, &tool_replay,
                                                      &tool_inspect, &tool_conform, &tool_demo, NULL};

static int print_help(void)
{
    printf("Usage: tributary COMMAND ...\n"
           "Streams and captured sessions over interchangeable channels: Unix sockets, chunks in one\n"
           "process, gRPC, transports of your own.\n\n"
           "Commands:\n");
    for (const struct tool_command *const *command = commands; *command != NULL; command++)
        printf("  %-9s %s\n", (*command)->name, (*command)->summary);
    printf("\nOptions:\n"
           "  --help     print this and exit\n"
           "  --version  print the version and exit\n\n"
           "`tributary COMMAND --help` tells more of a command, tributary(1) of all.\n"
           "Exit code: 0, 1 where something failed or is wrong, 2 where the command line is, a URI\n"
           "in it included, 3 where `call` met a worker that answered with an error.\n");
    return TOOL_OK;
}

static int print_version(void)
{
    printf("tributary %s\n", trib_version());
    return TOOL_OK;
}

static int refuse_more(const char *option, const char *operand)
{
    fprintf(stderr, "tributary: %s takes no argument, such as '%s'; see `tributary --help`\n", option, operand);
    return TOOL_USAGE;
}

static const struct tool_command *find_command(const char *name)
{
    for (const struct tool_command *const *command = commands; *command != NULL; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int run_command(const struct tool_command *command, int argc, char **argv)
{
    struct tool tool = {command, NULL, 0, TOOL_OK};
    int code = command->run(&tool, argc, argv);

    free(tool.transports);
    return code;
}

static bool refuse_start(const char *why)
{
    fprintf(stderr, "tributary: %s; see `tributary --help`\n", why);
    return false;
}

/* --transport FILE.so may stand in front of the command: behind it is where the command looks. */
static bool put_command_first(int argc, char **argv)
{
    int at = 1;
    char *command;

    while (at < argc && strncmp(argv[at], "--transport", strlen("--transport")) == 0)
        at += strcmp(argv[at], "--transport") == 0 ? 2 : 1;
    if (at >= argc)
        return refuse_start(at > argc ? "option '--transport' needs a value" : "no command");
    command = argv[at];
    memmove(&argv[2], &argv[1], (size_t)(at - 1) * sizeof(*argv));
    argv[1] = command;
    return true;
}

static int run(int argc, char **argv)
{
    const struct tool_command *command;

    if (!put_command_first(argc, argv))
        return TOOL_USAGE;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
        return print_help();
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return argc > 2 ? refuse_more(argv[1], argv[2]) : print_version();
    command = find_command(argv[1]);
    if (command == NULL) {
        fprintf(stderr, "tributary: unknown %s '%s'; see `tributary --help`\n", argv[1][0] == '-' ? "option" : "command",
                argv[1]);
        return TOOL_USAGE;
    }
    return run_command(command, argc - 1, argv + 1);
}

/* A socket must not become standard input or output. Opened the wrong way round, so that use of it is still an error. */
static bool fill_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    int code;

    if (!fill_standard())
        return TOOL_FAILED;
    /* A peer or a pager that goes away is an error of write(), with a line of its own. */
    signal(SIGPIPE, SIG_IGN);
    code = run(argc, argv);
    tool_flush();
    if (ferror(stdout) || tool_flush_errno() != 0) {
        fprintf(stderr, "tributary: write standard output: %s\n",
                tool_flush_errno() != 0 ? strerror(tool_flush_errno()) : "not all of it could be written");
        return TOOL_FAILED;
    }
    return code;
}
