/* Reads the few fields of Arrow's flatbuffers that nanoarrow does not hand out, or takes for granted. */
#include "arrow-internal.h"

#include <string.h>

/* nanoarrow verifies a flatbuffer whole, but gives row count and codec only with a decoder that knows the schema. Offsets are
 * safe here because its verifier has walked the same ones. */

static uint16_t get_le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

uint32_t tribi_get_le32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t get_le64(const uint8_t *at)
{
    return tribi_get_le32(at) | (uint64_t)tribi_get_le32(at + 4) << 32;
}

void tribi_arrow_prefix(uint8_t *at, size_t metadata_len)
{
    memset(at, 0xFF, 4);
    for (int i = 0; i < 4; i++)
        at[4 + i] = (uint8_t)(metadata_len >> 8 * i);
}

/* Field number `id` of a table; NULL where the table does not have it. */
static const uint8_t *table_field(const uint8_t *table, unsigned id)
{
    const uint8_t *vtable = table - (int32_t)tribi_get_le32(table);
    size_t at = 4 + 2 * (size_t)id;
    uint16_t offset = at + 2 <= get_le16(vtable) ? get_le16(vtable + at) : 0;

    return offset != 0 ? table + offset : NULL;
}

static const uint8_t *follow(const uint8_t *field)
{
    return field != NULL ? field + tribi_get_le32(field) : NULL;
}

/* Numbers of fields, from Message.fbs and Schema.fbs. */
enum {
    MESSAGE_HEADER = 2,
    BATCH_LENGTH = 0,
    BATCH_COMPRESSION = 3,
    COMPRESSION_CODEC = 0,
    DICTIONARY_DATA = 1,
    SCHEMA_FIELDS = 1,
    SCHEMA_CUSTOM_METADATA = 2,
    FIELD_TYPE = 3,
    FIELD_CHILDREN = 5,
    FIELD_CUSTOM_METADATA = 6,
    PAIR_KEY = 0,
    PAIR_VALUE = 1
};

int tribi_arrow_table_batch(struct trib_arrow_message *message, struct trib_error *err)
{
    const uint8_t *root = follow(message->metadata.data);
    const uint8_t *batch = follow(table_field(root, MESSAGE_HEADER)), *field;

    if (batch != NULL && message->kind == TRIB_ARROW_DICTIONARY)
        batch = follow(table_field(batch, DICTIONARY_DATA));
    if (batch == NULL)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow %s: the message has no batch in it",
                              trib_arrow_kind_name(message->kind));
    field = table_field(batch, BATCH_LENGTH);
    message->rows = field != NULL ? (int64_t)get_le64(field) : 0;
    if (message->rows < 0)
        return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "Arrow %s: %lld rows", trib_arrow_kind_name(message->kind),
                              (long long)message->rows);
    field = follow(table_field(batch, BATCH_COMPRESSION));
    if (field != NULL) {
        field = table_field(field, COMPRESSION_CODEC);
        message->codec = field != NULL && *field != 0 ? TRIB_ARROW_ZSTD : TRIB_ARROW_LZ4;
    }
    return TRIB_OK;
}

/* ---- Schemas ---------------------------------------------------------------------------------------------------- */

typedef bool table_check_fn(const uint8_t *table);

/* Whether all tables of a vector (which may be absent) pass. */
static bool each_table(const uint8_t *vector, table_check_fn *check)
{
    uint32_t count = vector != NULL ? tribi_get_le32(vector) : 0;

    for (uint32_t i = 0; i < count; i++)
        if (!check(follow(vector + 4 + 4 * (size_t)i)))
            return false;
    return true;
}

static bool pair_ok(const uint8_t *pair)
{
    return table_field(pair, PAIR_KEY) != NULL && table_field(pair, PAIR_VALUE) != NULL;
}

/* As deep as the verifier lets fields nest. */
static bool field_ok(const uint8_t *field)
{
    return table_field(field, FIELD_TYPE) != NULL && each_table(follow(table_field(field, FIELD_CUSTOM_METADATA)), pair_ok) &&
           each_table(follow(table_field(field, FIELD_CHILDREN)), field_ok);
}

bool tribi_arrow_table_schema_ok(const uint8_t *metadata)
{
    const uint8_t *schema = follow(table_field(follow(metadata), MESSAGE_HEADER));

    return schema != NULL && each_table(follow(table_field(schema, SCHEMA_CUSTOM_METADATA)), pair_ok) &&
           each_table(follow(table_field(schema, SCHEMA_FIELDS)), field_ok);
}
