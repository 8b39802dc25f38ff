/* Puts control messages and data together where they were received: a copy is made only of what came to two places. */
#include "udf_intake-internal.h"

#include <inttypes.h>
#include <string.h>

#include "arrow-internal.h"

enum { ALIGN = 64, PIECE = 64 << 10, LARGE = 128 << 10 };

void tribi_intake_init(struct tribi_intake *intake, struct trib_channel *channel)
{
    *intake = (struct tribi_intake){.channel = channel, .control_limit = SIZE_MAX, .data_limit = SIZE_MAX, .align = 1};
    tribi_envelope_init(&intake->envelope);
}

static void forget_part(struct tribi_intake *intake)
{
    intake->have = (struct trib_view){.data = NULL};
    intake->block = NULL;
    intake->size = 0;
    intake->placed = false;
    intake->skip = 0;
}

void tribi_intake_done(struct tribi_intake *intake)
{
    trib_view_release(&intake->have);
    forget_part(intake);
    trib_view_release(&intake->rest);
}

/* ---- Putting together -------------------------------------------------------------------------------------------- */

static bool is_data(const struct tribi_intake *intake)
{
    return intake->envelope.part == TRIBI_ENVELOPE_DATA;
}

static void count_copy(struct tribi_intake *intake, size_t len)
{
    if (is_data(intake))
        intake->copied += len;
}

/* Which byte of the part is to be aligned: the first one, or the first of an Arrow body, as far as its prefix has come. */
static size_t lead(const struct tribi_intake *intake)
{
    size_t length;

    if (!intake->arrow || !is_data(intake) || intake->have.len < TRIBI_ARROW_PREFIX ||
        tribi_arrow_check_prefix(intake->have.data, SIZE_MAX, &length, NULL) != TRIB_OK)
        return 0;
    return length < intake->size ? TRIBI_ARROW_PREFIX + length : 0;
}

/* What nobody asked to be aligned stays where it came, unless it is large: then it has a block of its own in any case. */
static size_t alignment(const struct tribi_intake *intake)
{
    bool asked = intake->align > 1, large = intake->size >= LARGE;

    return !asked && !large ? 1 : ALIGN > intake->align ? ALIGN : intake->align;
}

/* How far behind a multiple of the alignment the part begins. */
static size_t offset(const struct tribi_intake *intake)
{
    return (0 - lead(intake)) & (alignment(intake) - 1);
}

/* A block of our own for the whole part, with what there is of it. */
static int make_block(struct tribi_intake *intake, struct trib_error *err)
{
    size_t skip = offset(intake);
    struct trib_chunk *block;
    int rc = trib_chunk_new(skip + intake->size, alignment(intake), &block, err);
    struct trib_view view;

    if (rc != TRIB_OK)
        return rc;
    view = trib_view_sub(trib_chunk_view(block), skip, intake->have.len);
    /* copy: the part came to more than one place, or to one that is not aligned */
    memcpy(trib_chunk_writable(block) + skip, intake->have.data, intake->have.len);
    count_copy(intake, intake->have.len);
    trib_view_release(&intake->have);
    intake->have = view; /* the block's reference */
    intake->block = block;
    return TRIB_OK;
}

static int add_bytes(struct tribi_intake *intake, struct trib_view bytes, struct trib_error *err)
{
    struct trib_view *have = &intake->have;
    int rc = TRIB_OK;

    if (have->len == 0) {
        *have = trib_view_retain(bytes);
        return TRIB_OK;
    }
    if (bytes.holder == have->holder && bytes.data == have->data + have->len) {
        have->len += bytes.len;
        return TRIB_OK;
    }
    if (intake->block == NULL)
        rc = make_block(intake, err);
    if (rc != TRIB_OK)
        return rc;
    /* copy: as above */
    memcpy((uint8_t *)(uintptr_t)have->data + have->len, bytes.data, bytes.len);
    count_copy(intake, bytes.len);
    have->len += bytes.len;
    return TRIB_OK;
}

static int check_part(struct tribi_intake *intake, struct trib_error *err)
{
    size_t limit = is_data(intake) ? intake->data_limit : intake->control_limit;

    if (intake->envelope.left > limit)
        return trib_error_numbers(err, TRIB_ERR_LIMIT, intake->envelope.left, limit, "%s of %" PRIu64 " bytes, at most %zu are allowed",
                                  is_data(intake) ? "data" : "a control message", intake->envelope.left, limit);
    intake->size = (size_t)intake->envelope.left;
    return TRIB_OK;
}

/* ---- Handing out -------------------------------------------------------------------------------------------------- */

static int hand_out(struct tribi_intake *intake, enum tribi_intake_kind kind, struct tribi_intake_item *ret_item)
{
    *ret_item = (struct tribi_intake_item){.kind = kind, .length = intake->have.len, .bytes = intake->have};
    forget_part(intake);
    return TRIB_OK;
}

/* The message ended. */
static int end_message(struct tribi_intake *intake, struct tribi_intake_item *ret_item, struct trib_error *err)
{
    enum tribi_envelope_part part;
    int rc;

    if (intake->align > 1 && !intake->in_pieces && is_data(intake) && (((uintptr_t)intake->have.data + lead(intake)) & (intake->align - 1)) != 0) {
        rc = make_block(intake, err);
        if (rc != TRIB_OK)
            return rc;
    }
    rc = tribi_envelope_end(&intake->envelope, &part, err);
    intake->mark = false;
    if (rc != TRIB_OK)
        return rc;
    if (part == TRIBI_ENVELOPE_EMPTY)
        return hand_out(intake, TRIBI_INTAKE_EMPTY, ret_item);
    if (part == TRIBI_ENVELOPE_CONTROL)
        return hand_out(intake, TRIBI_INTAKE_CONTROL, ret_item);
    return hand_out(intake, intake->in_pieces ? TRIBI_INTAKE_END : TRIBI_INTAKE_DATA, ret_item);
}

/* A piece that is as much as was received of the data. */
static void hand_piece(struct trib_view bytes, struct tribi_intake_item *ret_item)
{
    *ret_item = (struct tribi_intake_item){.kind = TRIBI_INTAKE_PIECE, .length = bytes.len, .bytes = trib_view_retain(bytes)};
}

/* Uses what was received. TRIB_AGAIN: all of it, and no item is complete. */
static int use_rest(struct tribi_intake *intake, struct tribi_intake_item *ret_item, struct trib_error *err)
{
    while (intake->rest.len > 0) {
        enum tribi_envelope_step step;
        struct trib_view bytes = intake->rest;
        size_t used = 0;
        int rc = tribi_envelope_take(&intake->envelope, bytes.data, bytes.len, &used, &step, err);

        bytes.len = used;
        if (rc == TRIB_OK && step == TRIBI_ENVELOPE_BYTES && !(intake->in_pieces && is_data(intake)))
            rc = add_bytes(intake, bytes, err);
        if (rc != TRIB_OK)
            return rc;
        intake->rest.data += used;
        intake->rest.len -= used;
        if (step == TRIBI_ENVELOPE_BEGIN)
            rc = check_part(intake, err);
        if (rc != TRIB_OK)
            return rc;
        if (is_data(intake) && step == TRIBI_ENVELOPE_BYTES)
            intake->received += used;
        if (is_data(intake) && intake->in_pieces && step != TRIBI_ENVELOPE_MORE) {
            if (step == TRIBI_ENVELOPE_BYTES)
                hand_piece(bytes, ret_item);
            else
                *ret_item = (struct tribi_intake_item){.kind = TRIBI_INTAKE_BEGIN, .length = intake->size};
            return TRIB_OK;
        }
    }
    trib_view_release(&intake->rest);
    return intake->mark ? end_message(intake, ret_item, err) : TRIB_AGAIN;
}

/* ---- Receiving ----------------------------------------------------------------------------------------------------- */

/* The rest of the data in one piece, behind what there is of it; or a little, where that is not what is needed. */
static void fill_want(struct tribi_intake *intake, int64_t deadline, struct trib_want *want)
{
    bool whole = tribi_envelope_in_part(&intake->envelope) && !intake->hold && intake->block == NULL && !(intake->in_pieces && is_data(intake));

    *want = (struct trib_want){.size = sizeof(*want),
                               .min = 1,
                               .align = 1,
                               .deadline = deadline,
                               .budget = trib_channel_budget(intake->channel)};
    if (whole) {
        want->min = (size_t)intake->envelope.left;
        /* More room than for the head alone puts the byte that counts where it should lie. Once there is a place, it stays. */
        if (!intake->placed && intake->have.len > 0)
            intake->skip = offset(intake);
        intake->placed = true;
        want->head = intake->have.len > 0 ? intake->have.len + intake->skip : 0;
        want->next = intake->have.len > 0 ? intake->have.data + intake->have.len : NULL;
        want->align = alignment(intake);
    } else if (tribi_envelope_in_part(&intake->envelope) && !intake->hold) {
        want->min = intake->envelope.left < PIECE ? (size_t)intake->envelope.left : PIECE;
    }
}

/* The transport left room in front of what it received: what there was moves there, and the two are one piece. */
static void move_head(struct tribi_intake *intake, struct trib_view received)
{
    struct trib_view moved = {.data = received.data - intake->have.len, .len = intake->have.len, .holder = received.holder};

    /* copy: what came ahead of the rest; bytes that nobody else sees */
    memcpy((uint8_t *)(uintptr_t)moved.data, intake->have.data, moved.len);
    count_copy(intake, moved.len);
    trib_view_release(&intake->have);
    intake->have = trib_view_retain(moved);
}

static int receive(struct tribi_intake *intake, int64_t deadline, struct trib_error *err)
{
    struct trib_view view = {.data = NULL};
    struct trib_want want;
    unsigned flags = 0;
    int rc;

    fill_want(intake, deadline, &want);
    rc = trib_channel_recv(intake->channel, &want, &view, &flags, err);
    intake->broken = rc < 0 && rc != TRIB_ERR_TIMEOUT;
    if (rc != TRIB_OK)
        return rc;
    if ((flags & TRIB_RECV_HEADROOM) != 0 && want.head > 0 && view.len > 0)
        move_head(intake, view);
    trib_view_release(&intake->rest);
    intake->rest = view;
    intake->mark = (flags & TRIB_RECV_MARK) != 0;
    return TRIB_OK;
}

static int ended(struct tribi_intake *intake, struct trib_error *err)
{
    struct tribi_envelope fresh;

    tribi_envelope_init(&fresh);
    if (memcmp(&fresh, &intake->envelope, sizeof(fresh)) == 0)
        return TRIB_EOF;
    return trib_error_set(err, TRIB_ERR_PROTOCOL, 0, "the stream ended inside a message");
}

int tribi_intake_next(struct tribi_intake *intake, int64_t deadline, struct tribi_intake_item *ret_item, struct trib_error *err)
{
    int rc = TRIB_AGAIN;

    if (tribi_intake_has_some(intake))
        rc = use_rest(intake, ret_item, err);
    while (rc == TRIB_AGAIN) {
        rc = receive(intake, deadline, err);
        if (rc != TRIB_OK)
            return rc == TRIB_EOF ? ended(intake, err) : rc;
        rc = use_rest(intake, ret_item, err);
    }
    return rc;
}
