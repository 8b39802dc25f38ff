/* The conformance suite over a transport that is loaded at run time; it and this program share the shared library. */
#include "tests/conformance_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    const char *build = getenv("TRIB_BUILD");
    struct conform_target target;
    struct trib_error err;
    char path[4096];
    int code;

    snprintf(path, sizeof(path), "%s/examples/04-stdio-transport/.libs/stdio.so", build != NULL ? build : ".");
    if (access(path, R_OK) != 0) {
        printf("skipped: %s was not built\n", path); /* without shared libraries */
        return 77;
    }
    if (conform_target_module(path, &target, &err) != TRIB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    code = conformance_check(&target, 1);
    conform_target_done(&target);
    return code;
}
