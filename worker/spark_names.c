/* The numbers of spark-socket: words and eval types, their names, and what they say about layout and data. */
#include <tributary/spark.h>

const char *trib_spark_word_name(int32_t word)
{
    static const char *const names[] = {NULL,   "END_OF_DATA_SECTION", "PYTHON_EXCEPTION_THROWN", "TIMING_DATA",          "END_OF_STREAM",
                                        "NULL", "START_ARROW_STREAM",  "END_OF_MICRO_BATCH",      "START_OF_INIT_MESSAGE"};

    return word < 0 && word >= TRIB_SPARK_INIT ? names[-word] : NULL;
}

struct eval_type {
    int32_t number;
    enum trib_data_shape shape; /* 0: this dialect does not know it */
    const char *name;
};

#define UNKNOWN_SHAPE ((enum trib_data_shape)0)

static const struct eval_type eval_types[] = {
    {0, TRIB_DATA_FRAMES, "NON_UDF"},
    {100, TRIB_DATA_FRAMES, "SQL_BATCHED_UDF"},
    {101, TRIB_DATA_STREAM, "SQL_ARROW_BATCHED_UDF"},
    {200, TRIB_DATA_STREAM, "SQL_SCALAR_PANDAS_UDF"},
    {201, TRIB_DATA_GROUPS, "SQL_GROUPED_MAP_PANDAS_UDF"},
    {202, TRIB_DATA_GROUPS, "SQL_GROUPED_AGG_PANDAS_UDF"},
    {203, TRIB_DATA_GROUPS, "SQL_WINDOW_AGG_PANDAS_UDF"},
    {204, TRIB_DATA_STREAM, "SQL_SCALAR_PANDAS_ITER_UDF"},
    {205, TRIB_DATA_STREAM, "SQL_MAP_PANDAS_ITER_UDF"},
    {206, TRIB_DATA_PAIRS, "SQL_COGROUPED_MAP_PANDAS_UDF"},
    {207, TRIB_DATA_STREAM, "SQL_MAP_ARROW_ITER_UDF"},
    {208, UNKNOWN_SHAPE, "SQL_GROUPED_MAP_PANDAS_UDF_WITH_STATE"},
    {209, TRIB_DATA_GROUPS, "SQL_GROUPED_MAP_ARROW_UDF"},
    {210, TRIB_DATA_PAIRS, "SQL_COGROUPED_MAP_ARROW_UDF"},
    {211, UNKNOWN_SHAPE, "SQL_TRANSFORM_WITH_STATE_PANDAS_UDF"},
    {212, UNKNOWN_SHAPE, "SQL_TRANSFORM_WITH_STATE_PANDAS_INIT_STATE_UDF"},
    {213, UNKNOWN_SHAPE, "SQL_TRANSFORM_WITH_STATE_PYTHON_ROW_UDF"},
    {214, UNKNOWN_SHAPE, "SQL_TRANSFORM_WITH_STATE_PYTHON_ROW_INIT_STATE_UDF"},
    {215, TRIB_DATA_GROUPS, "SQL_GROUPED_MAP_ARROW_ITER_UDF"},
    {216, TRIB_DATA_GROUPS, "SQL_GROUPED_MAP_PANDAS_ITER_UDF"},
    {217, TRIB_DATA_GROUPS, "SQL_GROUPED_AGG_PANDAS_ITER_UDF"},
    {250, TRIB_DATA_STREAM, "SQL_SCALAR_ARROW_UDF"},
    {251, TRIB_DATA_STREAM, "SQL_SCALAR_ARROW_ITER_UDF"},
    {252, TRIB_DATA_GROUPS, "SQL_GROUPED_AGG_ARROW_UDF"},
    {253, TRIB_DATA_GROUPS, "SQL_WINDOW_AGG_ARROW_UDF"},
    {254, TRIB_DATA_GROUPS, "SQL_GROUPED_AGG_ARROW_ITER_UDF"},
    {300, TRIB_DATA_FRAMES, "SQL_TABLE_UDF"},
    {301, TRIB_DATA_STREAM, "SQL_ARROW_TABLE_UDF"},
    {302, TRIB_DATA_STREAM, "SQL_ARROW_UDTF"},
};

static const struct eval_type *find_eval_type(int32_t number)
{
    for (size_t i = 0; i < sizeof(eval_types) / sizeof(eval_types[0]); i++)
        if (eval_types[i].number == number)
            return &eval_types[i];
    return NULL;
}

const char *trib_spark_eval_name(int32_t eval_type)
{
    const struct eval_type *found = find_eval_type(eval_type);

    return found != NULL ? found->name : NULL;
}

enum trib_data_shape trib_spark_eval_shape(int32_t eval_type)
{
    const struct eval_type *found = find_eval_type(eval_type);

    return found != NULL ? found->shape : UNKNOWN_SHAPE;
}

enum trib_spark_layout trib_spark_eval_layout(int32_t eval_type)
{
    if (eval_type == 0)
        return TRIB_SPARK_LAYOUT_COMMAND;
    if (eval_type >= 100 && eval_type <= 254)
        return TRIB_SPARK_LAYOUT_UDFS;
    if (eval_type >= 300 && eval_type <= 302)
        return TRIB_SPARK_LAYOUT_TABLE;
    return TRIB_SPARK_LAYOUT_NONE;
}
