/* Fuzzes the receiver of spark-socket, both sides: the first byte chooses side and handshake, the second the size of the pieces. */
#include <tributary/spark.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void feed(struct trib_reader *reader, const uint8_t *data, size_t size, size_t piece)
{
    for (size_t at = 0, len; at < size; at += len) {
        struct trib_chunk *chunk;
        len = size - at < piece ? size - at : piece;
        if (trib_chunk_copy(data + at, len, &chunk, NULL) != TRIB_OK)
            abort();
        if (trib_reader_feed(reader, chunk, TRIB_NOWAIT, NULL) != TRIB_OK) { /* full: the rest is left out */
            trib_chunk_unref(chunk);
            break;
        }
    }
    trib_reader_finish(reader, NULL);
}

/* Touches what an event points to, so that a sanitizer sees where it lies. */
static uint64_t touch(struct trib_view view)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < view.len; i++)
        sum += view.data[i];
    return sum;
}

static uint64_t look_at(const struct trib_event *event)
{
    char text[256];

    if (event->kind == TRIB_EVENT_ARROW && event->arrow.kind == TRIB_ARROW_SCHEMA)
        trib_arrow_describe(&event->arrow, text, sizeof(text), NULL);
    return touch(event->bytes) + touch(event->arrow.metadata) + touch(event->arrow.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_message_options options = TRIB_MESSAGE_OPTIONS_INIT;
    static volatile uint64_t sum; /* keeps the compiler from leaving the touching out */
    struct trib_receiver *receiver;
    struct trib_reader *reader;
    struct trib_event event;
    uint64_t end = 0;

    if (size < 2)
        return 0;
    options.handshake = (enum trib_handshake)(data[0] >> 1 & 3);
    options.align = data[0] & 8 ? 64 : 0;
    if (trib_reader_new(NULL, &reader, NULL) != TRIB_OK)
        abort();
    feed(reader, data + 2, size - 2, data[1] != 0 ? data[1] : size);
    if (trib_receiver_new(&trib_dialect_spark_socket, reader, data[0] & 1 ? TRIB_FROM_WORKER : TRIB_FROM_ENGINE, &options,
                          &receiver, NULL) != TRIB_OK)
        abort();
    do {
        while (trib_receiver_next(receiver, &event, NULL) == TRIB_OK) {
            if (event.offset != end || event.length > size - 2 - end)
                abort();
            end += event.length;
            sum = sum + look_at(&event);
        }
    } while (end < size - 2 && trib_receiver_next_session(receiver, NULL) == TRIB_OK);
    trib_receiver_free(receiver);
    trib_reader_free(reader);
    return 0;
}
