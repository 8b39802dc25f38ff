/* The bytes of payloads: zeros, of one piece of memory that is never written. */
#include "tests/interop/grpc/zeros.h"

#include <tributary/writer.h>

#include <sys/mman.h>

static struct trib_chunk *zeros;

bool zeros_init(void)
{
    void *memory = mmap(NULL, ZEROS_MAX, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory != MAP_FAILED && trib_chunk_wrap(memory, ZEROS_MAX, NULL, NULL, &zeros, NULL) == TRIB_OK;
}

const uint8_t *zeros_data(void)
{
    return trib_chunk_data(zeros);
}

int zeros_send(struct trib_writer *writer, const uint8_t *head, size_t head_len, size_t body, struct trib_error *err)
{
    int rc = trib_writer_begin_message(writer, head_len + body, err);

    if (rc == TRIB_OK && head_len > 0)
        rc = trib_writer_bytes(writer, head, head_len, err);
    if (rc == TRIB_OK && body > 0)
        rc = trib_writer_view(writer, trib_view_sub(trib_chunk_view(zeros), 0, body), err);
    if (rc == TRIB_OK)
        rc = trib_writer_end_message(writer, err);
    return rc == TRIB_OK ? trib_writer_flush(writer, err) : rc;
}
