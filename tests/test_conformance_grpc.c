/* The conformance suite over gRPC calls that were listened for and dialled: by path, by abstract name, and over TCP. */
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
    snprintf(uri, sizeof(uri), "grpc+unix:%s/socket", dir);
    code = conformance_check_uri(uri);
    if (rmdir(dir) != 0 && code == 0) {
        fprintf(stderr, "%s: something was left behind\n", dir);
        code = EXIT_FAILURE;
    }
    return code;
}

int main(void)
{
    const char *only = getenv("TRIB_GRPC_URI"); /* one address, while looking for a fault */
    int path, tcp;

    if (only != NULL)
        return conformance_check_uri(only);
    path = by_path();
    tcp = conformance_check_uri("grpc+tcp:127.0.0.1:0");
    return path != 0 ? path : tcp;
}
