/* Takes URIs apart, and says at which byte one is wrong. */
#include <tributary/uri.h>

#include <tributary/alloc.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct parameter {
    const char *name;
    const char *value;
    size_t name_at; /* where they begin in `text` */
    size_t value_at;
};

struct trib_uri {
    const char *text;    /* in the same block of memory, behind this struct */
    const char *scheme;  /* this and all below: in the second half, decoded */
    const char *address;
    size_t address_at;
    size_t parameter_count;
    struct parameter parameters[TRIB_URI_PARAMETERS_MAX];
};

/* Where parsing stands. */
struct cursor {
    const char *text;
    size_t at;
    char *out; /* decoded bytes go here; each byte of text gives at most one, so the room cannot run out */
    struct trib_error *err;
};

/* How much of a URI is quoted in a message, which has to have room for the reason as well. */
enum { QUOTE_MAX = 120 };

/* An error is one line: what could break it, or the terminal, is shown as '?'. */
static void quote(char out[QUOTE_MAX + 4], const char *text)
{
    size_t i;

    for (i = 0; i < QUOTE_MAX && text[i] != '\0'; i++) {
        unsigned char c = (unsigned char)text[i];

        out[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    memcpy(out + i, text[i] != '\0' ? "..." : "", text[i] != '\0' ? 4 : 1);
}

/* `at` counts from 0, the message from 1. */
static int bad(struct trib_error *err, const char *text, size_t at, const char *why)
{
    char quoted[QUOTE_MAX + 4];

    quote(quoted, text);
    return trib_error_set(err, TRIB_ERR_USAGE, 0, "uri %s: byte %zu: %s", quoted, at + 1, why);
}

/* Not <ctype.h>: what a URI may hold does not depend on the locale. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_scheme(struct cursor *cursor)
{
    const char *text = cursor->text;
    size_t at = 0;

    if (!is_letter(text[0]))
        return bad(cursor->err, text, 0, text[0] == '\0' ? "empty, expected scheme:address" : "a scheme begins with a letter");
    while (is_letter(text[at]) || is_digit(text[at]) || (text[at] != '\0' && strchr("+-.", text[at]) != NULL))
        *cursor->out++ = lower(text[at++]);
    if (text[at] == '\0')
        return bad(cursor->err, text, at, "ends without ':', expected scheme:address");
    if (text[at] != ':')
        return bad(cursor->err, text, at, "not a character of a scheme, which ends with ':'");
    *cursor->out++ = '\0';
    cursor->at = at + 1;
    return TRIB_OK;
}

/* One byte of an address or a value, %XX decoded. */
static int decode_byte(struct cursor *cursor)
{
    const char *here = cursor->text + cursor->at;
    int high;
    int low;

    if ((unsigned char)here[0] < 0x20 || here[0] == 0x7f)
        return bad(cursor->err, cursor->text, cursor->at, "a control character, write it as %XX");
    if (here[0] != '%') {
        *cursor->out++ = here[0];
        cursor->at++;
        return TRIB_OK;
    }
    high = hex_digit(here[1]);
    low = high < 0 ? -1 : hex_digit(here[2]);
    if (low < 0)
        return bad(cursor->err, cursor->text, cursor->at, "'%' without two hexadecimal digits");
    if (high == 0 && low == 0)
        return bad(cursor->err, cursor->text, cursor->at, "%00 cannot be part of a name");
    *cursor->out++ = (char)(high * 16 + low);
    cursor->at += 3;
    return TRIB_OK;
}

/* Everything up to `end` or the end of the text; the delimiter is left. */
static int decode_until(struct cursor *cursor, char end)
{
    int code = TRIB_OK;

    while (code == TRIB_OK && cursor->text[cursor->at] != '\0' && cursor->text[cursor->at] != end)
        code = decode_byte(cursor);
    if (code == TRIB_OK)
        *cursor->out++ = '\0';
    return code;
}

static int parse_name(struct cursor *cursor)
{
    const char *text = cursor->text;
    size_t begin = cursor->at;

    while (is_letter(text[cursor->at]) || is_digit(text[cursor->at]) ||
           (text[cursor->at] != '\0' && strchr("_-.", text[cursor->at]) != NULL))
        *cursor->out++ = text[cursor->at++];
    if (cursor->at == begin)
        return bad(cursor->err, text, begin, "expected the name of a parameter");
    if (text[cursor->at] != '=')
        return bad(cursor->err, text, cursor->at, "expected '=' after the name of a parameter");
    *cursor->out++ = '\0';
    cursor->at++;
    return TRIB_OK;
}

static const struct parameter *find(const struct trib_uri *uri, const char *name)
{
    size_t i;

    for (i = 0; i < uri->parameter_count; i++)
        if (strcmp(uri->parameters[i].name, name) == 0)
            return &uri->parameters[i];
    return NULL;
}

/* name=value, and the '&' behind it. */
static int parse_parameter(struct cursor *cursor, struct trib_uri *uri)
{
    struct parameter next = { cursor->out, NULL, cursor->at, 0 };
    int code;

    if (uri->parameter_count == TRIB_URI_PARAMETERS_MAX)
        return bad(cursor->err, cursor->text, cursor->at, "too many parameters");
    code = parse_name(cursor);
    if (code != TRIB_OK)
        return code;
    if (find(uri, next.name) != NULL)
        return bad(cursor->err, cursor->text, next.name_at, "this parameter is given twice");
    next.value = cursor->out;
    next.value_at = cursor->at;
    code = decode_until(cursor, '&');
    if (code != TRIB_OK)
        return code;
    uri->parameters[uri->parameter_count++] = next;
    return TRIB_OK;
}

static int parse(struct cursor *cursor, struct trib_uri *uri)
{
    int code;

    uri->scheme = cursor->out;
    code = parse_scheme(cursor);
    if (code != TRIB_OK)
        return code;
    uri->address = cursor->out;
    uri->address_at = cursor->at;
    code = decode_until(cursor, '?');
    /* What stands here is '?' or, later, '&': each wants a parameter behind it. */
    while (code == TRIB_OK && cursor->text[cursor->at] != '\0') {
        cursor->at++;
        code = parse_parameter(cursor, uri);
    }
    return code;
}

int trib_uri_parse(const char *text, struct trib_uri **ret_uri, struct trib_error *err)
{
    struct cursor cursor = { NULL, 0, NULL, err };
    struct trib_uri *uri;
    size_t len;
    int code;

    if (text == NULL || ret_uri == NULL)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "uri parse: NULL");
    len = strnlen(text, TRIB_URI_MAX + 1);
    if (len > TRIB_URI_MAX)
        return bad(err, text, TRIB_URI_MAX, "longer than 4096 bytes");
    /* Text and decoded parts, which are not longer: where the text has a delimiter they have a NUL. */
    uri = trib_alloc(sizeof(*uri) + 2 * (len + 1));
    if (uri == NULL)
        return trib_error_set(err, TRIB_ERR_NOMEM, 0, "uri parse: no memory");
    uri->text = memcpy(uri + 1, text, len + 1);
    cursor.text = uri->text;
    cursor.out = (char *)(uri + 1) + len + 1;
    code = parse(&cursor, uri);
    if (code != TRIB_OK) {
        trib_free(uri);
        return code;
    }
    *ret_uri = uri;
    return TRIB_OK;
}

void trib_uri_free(struct trib_uri *uri)
{
    trib_free(uri);
}

const char *trib_uri_text(const struct trib_uri *uri)
{
    return uri->text;
}

const char *trib_uri_scheme(const struct trib_uri *uri)
{
    return uri->scheme;
}

const char *trib_uri_address(const struct trib_uri *uri)
{
    return uri->address;
}

const char *trib_uri_parameter(const struct trib_uri *uri, const char *name)
{
    const struct parameter *parameter = find(uri, name);

    return parameter == NULL ? NULL : parameter->value;
}

/* 1 where there is no suffix, 0 where it is none that we know. */
static uint64_t suffix_factor(const char *suffix, int base)
{
    if (suffix[0] == '\0')
        return 1;
    if (base != 10 || suffix[1] != '\0')
        return 0;
    switch (lower(suffix[0])) {
    case 'k':
        return UINT64_C(1) << 10;
    case 'm':
        return UINT64_C(1) << 20;
    case 'g':
        return UINT64_C(1) << 30;
    default:
        return 0;
    }
}

/* NULL, or why it is none. What does not fit is UINT64_MAX, and the caller's bounds refuse it unless they are open. */
static const char *scan_number(const char *value, int base, uint64_t *ret_number)
{
    uint64_t number = 0;
    uint64_t factor;
    size_t i;

    for (i = 0; value[i] >= '0' && value[i] < '0' + base; i++) {
        uint64_t digit = (uint64_t)(value[i] - '0');

        if (number > (UINT64_MAX - digit) / (uint64_t)base)
            return "this number does not fit into 64 bits";
        number = number * (uint64_t)base + digit;
    }
    if (i == 0)
        return base == 8 ? "expected an octal number" : "expected a number";
    factor = suffix_factor(value + i, base);
    if (factor == 0)
        return base == 8 ? "not an octal number" : "not a number (k, m and g may follow the digits)";
    if (number > UINT64_MAX / factor)
        return "this number does not fit into 64 bits";
    *ret_number = number * factor;
    return NULL;
}

int trib_uri_number(const struct trib_uri *uri, const char *name, int base, uint64_t min, uint64_t max,
                    uint64_t fallback, uint64_t *ret_number, struct trib_error *err)
{
    const struct parameter *parameter = find(uri, name);
    uint64_t number = 0;
    const char *why;
    char bounds[96];

    if (base != 8 && base != 10)
        return trib_error_set(err, TRIB_ERR_USAGE, 0, "uri number %s: base %d is neither 8 nor 10", name, base);
    if (parameter == NULL) {
        *ret_number = fallback;
        return TRIB_OK;
    }
    why = scan_number(parameter->value, base, &number);
    if (why != NULL)
        return bad(err, uri->text, parameter->value_at, why);
    if (number < min || number > max) {
        snprintf(bounds, sizeof(bounds),
                 base == 8 ? "not between 0%" PRIo64 " and 0%" PRIo64 : "not between %" PRIu64 " and %" PRIu64, min, max);
        return bad(err, uri->text, parameter->value_at, bounds);
    }
    *ret_number = number;
    return TRIB_OK;
}

static bool is_known(const char *name, const char *const *known)
{
    for (; *known != NULL; known++)
        if (strcmp(name, *known) == 0)
            return true;
    return false;
}

int trib_uri_known(const struct trib_uri *uri, const char *const *known, struct trib_error *err)
{
    size_t i;

    for (i = 0; i < uri->parameter_count; i++)
        if (!is_known(uri->parameters[i].name, known))
            return bad(err, uri->text, uri->parameters[i].name_at, "unknown parameter");
    return TRIB_OK;
}

int trib_uri_bad_address(const struct trib_uri *uri, size_t offset, const char *why, struct trib_error *err)
{
    const char *text = uri->text;
    size_t at = uri->address_at;

    /* Back from the decoded address to what was written: %XX is one byte there, three here. */
    for (; offset > 0 && text[at] != '\0' && text[at] != '?'; offset--)
        at += text[at] == '%' ? 3 : 1;
    return bad(err, text, at, why);
}

int trib_uri_bad_parameter(const struct trib_uri *uri, const char *name, const char *why, struct trib_error *err)
{
    const struct parameter *parameter = find(uri, name);

    return bad(err, uri->text, parameter != NULL ? parameter->value_at : strlen(uri->text), why);
}
