/* The echo that Spark's own tests drive: echo, with two words that make it fail. */
#include <tributary/serializer.h>

#include <tributary/spark_udf.h>

#include <string.h>

static const char user_error[] = "simulated user-code error";
static const char class_name[] = "SimulatedError";

static bool is(struct trib_view view, const char *text)
{
    return view.len == strlen(text) && memcmp(view.data, text, view.len) == 0;
}

static int spark_echo_open(const struct trib_event *init, void **ret_state, struct trib_error *err)
{
    if (init->udf_init != NULL && is(init->udf_init->payload, "INIT_ERROR"))
        return trib_error_set(err, TRIB_ERR_UNSUPPORTED, 0, "simulated init failure");
    return trib_serializer_echo.open(init, ret_state, err);
}

static int spark_echo_event(void *state, const struct trib_event *event, struct trib_sender *out, struct trib_error *err)
{
    if (event->kind == TRIB_EVENT_FRAME && is(event->bytes, "ERROR"))
        return trib_error_set(err, TRIB_ERR_FAILED, 0, "%s", user_error);
    return trib_serializer_echo.event(state, event, out, err);
}

static void spark_echo_close(void *state)
{
    trib_serializer_echo.close(state);
}

static void spark_echo_failure(void *state, const struct trib_error *err, struct trib_udf_error *ret_error)
{
    (void)state;
    if (err->code == TRIB_ERR_FAILED)
        ret_error->error_class = (struct trib_view){.data = (const uint8_t *)class_name, .len = sizeof(class_name) - 1};
}

const struct trib_serializer trib_serializer_spark_echo = {
    .size = sizeof(struct trib_serializer),
    .name = "echo",
    .summary = "gives back what comes in; the data ERROR and the payload INIT_ERROR fail",
    .open = spark_echo_open,
    .event = spark_echo_event,
    .close = spark_echo_close,
    .failure = spark_echo_failure,
    .takes = TRIB_TAKES_FRAMES,
};
