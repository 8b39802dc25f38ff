/* `tributary conform`: the conformance suite as a tool. */
#include "tools/tool.h"

#include "conformance/suite.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_module(const char *operand)
{
    size_t len = strlen(operand);

    return len > 3 && strcmp(operand + len - 3, ".so") == 0;
}

/* What has a scheme is a URI: "unix:x", not "/lib/x:y" nor "./x". */
static bool is_path(const char *operand)
{
    size_t scheme = strcspn(operand, ":/");

    return operand[scheme] == '/';
}

static int make_target(const struct tool *tool, const char *operand, struct conform_target *ret_target, struct trib_error *err)
{
    const struct trib_transport *transport;
    char path[4096];

    if (is_module(operand) || is_path(operand)) {
        snprintf(path, sizeof(path), "%s%s", strchr(operand, '/') == NULL ? "./" : "", operand);
        return conform_target_module(path, ret_target, err);
    }
    transport = tool_transport(tool, operand);
    if (transport != NULL && transport->listen == NULL && transport->pair != NULL)
        return conform_target_transport(transport, ret_target, err);
    return conform_target_uri(operand, tool->transports, ret_target, err);
}

/* What every case would say of a URI that cannot be opened is said once. */
static int try_target(const struct tool *tool, const struct conform_target *target)
{
    struct trib_channel_options options = tool_channel_options(tool);
    struct trib_channel *a, *b;
    struct trib_error err;

    if (target->open_pair(target->arg, &options, &a, &b, &err) != TRIB_OK)
        return tool_fail_open(tool, &err, tool_hint(&err));
    trib_channel_free(a);
    trib_channel_free(b);
    return TOOL_OK;
}

/* What each case about data would say of the folder is said once. */
static int check_data(const char *data, struct trib_error *err)
{
    bool any = false;
    DIR *dir;

    if (data == NULL)
        return TRIB_OK;
    dir = opendir(data);
    if (dir == NULL)
        return trib_error_set(err, TRIB_ERR_IO, errno, "read the folder %s", data);
    for (struct dirent *entry = readdir(dir); entry != NULL && !any; entry = readdir(dir))
        any = entry->d_name[0] != '.';
    closedir(dir);
    return any ? TRIB_OK : trib_error_set(err, TRIB_ERR_USAGE, 0, "read the folder %s: it holds no file", data);
}

static int run(struct tool *tool, int argc, char **argv)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'}, TOOL_OPTIONS_TRANSPORT};
    struct conform_target target;
    struct trib_error err;
    const char *data = NULL;
    int option, code;

    while ((option = tool_option(tool, argc, argv, options)) != TOOL_END) {
        if (option != 'd')
            return tool->exit_code;
        data = optarg;
    }
    code = tool_operands(tool, argc, 1, 1);
    if (code != TOOL_OK)
        return code;
    if (check_data(data, &err) != TRIB_OK)
        return tool_fail(tool, &err, "no case was run");
    if (make_target(tool, argv[optind], &target, &err) != TRIB_OK)
        return tool_fail_open(tool, &err, "give a URI, or the path of a transport's module");
    code = try_target(tool, &target);
    if (code == TOOL_OK) {
        target.data_dir = data;
        setvbuf(stdout, NULL, _IOLBF, 0);
        code = conform_run_all(&target, stdout) == 0 ? TOOL_OK : TOOL_FAILED;
    }
    conform_target_done(&target);
    return code;
}

const struct tool_command tool_conform = {
    "conform",
    "[OPTION...] URI|MODULE.so",
    "run the conformance suite against a transport",
    "Runs the conformance suite, which every transport has to pass: against channels of a\n"
    "URI, which is listened on and dialled anew for each case, or against a transport in a\n"
    "module, whose pairs are tested. One line for each case; those that ask for more than the\n"
    "transport says it can do are skipped. Exit code 1 where a case failed.\n\n"
    "  --data DIR           also send every file in DIR in two parts, at each split point\n" TOOL_HELP_TRANSPORT,
    run,
};
