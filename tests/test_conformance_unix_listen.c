/* The conformance suite over Unix sockets that were listened on and dialled: by path, and by abstract name. */
#include "tests/conformance_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int by_path(void)
{
    char dir[] = "/tmp/trib-conform-XXXXXX", uri[64];
    int code;

    if (mkdtemp(dir) == NULL)
        return 99;
    snprintf(uri, sizeof(uri), "unix:%s/socket", dir);
    code = conformance_check_uri(uri);
    if (rmdir(dir) != 0 && code == 0) {
        fprintf(stderr, "%s: something was left behind\n", dir);
        code = EXIT_FAILURE;
    }
    return code;
}

static int by_name(void)
{
#ifdef __linux__
    char uri[64];

    snprintf(uri, sizeof(uri), "unix:@trib-conform-%ld", (long)getpid());
    return conformance_check_uri(uri);
#else
    return 0;
#endif
}

int main(void)
{
    int path = by_path();
    int name = by_name();

    return path != 0 ? path : name;
}
