/* The conformance suite over chunk: channels that were listened for and dialled by name. */
#include "tests/conformance_check.h"

TRIB_CONFORMANCE_URI("chunk:conformance")
