/* Calls of tests. */
#include "tests/support/grpc_talk.h"

#include <tributary/reader.h>
#include <tributary/writer.h>

#include <check.h>
#include <string.h>

enum { PATIENCE_MS = 20000 };

static struct trib_error err;

static struct trib_reader *reader_of(struct trib_grpc_call *call)
{
    return trib_channel_reader(trib_grpc_call_channel(call));
}

static struct trib_writer *writer_of(struct trib_grpc_call *call)
{
    return trib_channel_writer(trib_grpc_call_channel(call));
}

struct trib_grpc_client *grpc_talk_connect(const char *address)
{
    struct trib_grpc_client *client;

    ck_assert_msg(trib_grpc_connect(address, NULL, &client, &err) == TRIB_OK, "%s", err.message);
    return client;
}

struct trib_grpc_call *grpc_talk_begin(struct trib_grpc_client *client, const char *path)
{
    struct trib_grpc_call *call;

    ck_assert_msg(trib_grpc_call(client, path, NULL, &call, &err) == TRIB_OK, "%s", err.message);
    trib_reader_set_deadline(reader_of(call), trib_deadline_ms(PATIENCE_MS));
    trib_writer_set_deadline(writer_of(call), trib_deadline_ms(PATIENCE_MS));
    return call;
}

void grpc_talk_send(struct trib_grpc_call *call, const void *data, size_t len)
{
    struct trib_writer *writer = writer_of(call);

    ck_assert_msg(trib_writer_begin_message(writer, len, &err) == TRIB_OK && trib_writer_bytes(writer, data, len, &err) == TRIB_OK &&
                      trib_writer_end_message(writer, &err) == TRIB_OK && trib_writer_flush(writer, &err) == TRIB_OK,
                  "%s", err.message);
}

void grpc_talk_send_end(struct trib_grpc_call *call)
{
    ck_assert_msg(trib_writer_finish(writer_of(call), 0, NULL, &err) == TRIB_OK, "%s", err.message);
}

size_t grpc_talk_receive(struct trib_grpc_call *call, const uint8_t **ret_data)
{
    struct trib_view view;
    int rc = trib_reader_take_message(reader_of(call), (size_t)64 << 20, &view, &err);

    ck_assert_msg(rc == TRIB_OK, "%s: %s", trib_code_name(rc), rc < 0 ? err.message : "");
    *ret_data = view.data;
    return view.len;
}

void grpc_talk_expect(struct trib_grpc_call *call, const void *data, size_t len)
{
    const uint8_t *got;
    size_t got_len = grpc_talk_receive(call, &got);

    ck_assert_uint_eq(got_len, len);
    ck_assert(len == 0 || memcmp(got, data, len) == 0);
}

void grpc_talk_expect_status(struct trib_grpc_call *call, int status, const char *text)
{
    struct trib_view view;
    const char *got_text = "";
    int got = -1, rc = trib_reader_take(reader_of(call), 1, &view, &err);

    ck_assert_msg(rc == TRIB_EOF || rc < 0, "%s instead of an end", trib_code_name(rc));
    ck_assert_int_eq(trib_grpc_call_status(call, &got, &got_text), TRIB_OK);
    ck_assert_msg(got == status, "status %d, not %d: %s", got, status, got_text);
    ck_assert_msg(text == NULL || strstr(got_text, text) != NULL, "\"%s\" is not in \"%s\"", text, got_text);
}

void grpc_talk_free(struct trib_grpc_call *call)
{
    trib_channel_free(trib_grpc_call_channel(call));
}

void grpc_talk_expect_service(const char *address)
{
    struct trib_grpc_client *client = grpc_talk_connect(address);
    struct trib_grpc_call *call = grpc_talk_begin(client, "/test/Echo");

    grpc_talk_send(call, "still there", 11);
    grpc_talk_send_end(call);
    grpc_talk_expect(call, "still there", 11);
    grpc_talk_free(call);
    trib_grpc_client_free(client);
}
