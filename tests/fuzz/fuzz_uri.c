/* Fuzzes the parser of URIs: what it takes, it gives back in parts that are strings. */
#include <tributary/uri.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"mode", "backlog", NULL};
    char *text = malloc(size + 1);
    struct trib_error err;
    struct trib_uri *uri;
    uint64_t number;

    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (trib_uri_parse(text, &uri, &err) == TRIB_OK) {
        if (strcmp(trib_uri_text(uri), text) != 0 || strlen(trib_uri_scheme(uri)) == 0 || strlen(trib_uri_address(uri)) > size)
            abort();
        trib_uri_number(uri, "mode", 8, 0, 07777, 0600, &number, &err);
        trib_uri_number(uri, "backlog", 10, 1, UINT64_MAX, 128, &number, &err);
        trib_uri_known(uri, known, &err);
        trib_uri_free(uri);
    } else if (err.code != TRIB_ERR_USAGE || err.message[0] == '\0') {
        abort();
    }
    free(text);
    return 0;
}
