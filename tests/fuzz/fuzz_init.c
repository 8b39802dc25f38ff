/* Fuzzes the parser of the init message: what it takes, the writer writes again, equal to the byte. */
#include <tributary/spark.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trib_reader_options options = TRIB_READER_OPTIONS_INIT;
    const struct trib_spark_init *init;
    struct trib_chunk *written;
    struct trib_reader *reader;

    if (trib_chunk_wrap(data, size, NULL, NULL, &options.initial, NULL) != TRIB_OK)
        return 0;
    if (trib_reader_new(&options, &reader, NULL) != TRIB_OK)
        abort();
    trib_reader_finish(reader, NULL);
    if (trib_spark_init_parse(reader, size, &init, NULL) == TRIB_OK) {
        if (trib_spark_init_chunk(init, &written, NULL) != TRIB_OK || trib_chunk_len(written) != size ||
            (size > 0 && memcmp(trib_chunk_data(written), data, size) != 0))
            abort();
        trib_chunk_unref(written);
        trib_spark_init_free(init);
    }
    trib_reader_free(reader);
    trib_chunk_unref(options.initial);
    return 0;
}
