/* The conformance suite over the example that is a transport from outside: two pipes. */
#include "tests/conformance_check.h"

#include <stdio.h>

/* What the module exports; here it is linked in. */
trib_transport_module_fn trib_transport_module;

int main(void)
{
    struct conform_target target;
    struct trib_error err;
    int code;

    if (conform_target_transport(trib_transport_module(), &target, &err) != TRIB_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 99;
    }
    code = conformance_check(&target, 1);
    conform_target_done(&target);
    return code;
}
