/* What the files about the init message share: how a parsed one is held. */
#ifndef TRIBI_SPARK_INIT_H
#define TRIBI_SPARK_INIT_H

#include <tributary/spark.h>

/* Arrays of one message, in one list, so that freeing needs no walk. */
struct tribi_block {
    struct tribi_block *next;
    /* The bytes follow, aligned as the struct is. */
};

/* What trib_spark_init_parse() makes; init comes first, so a pointer to it is one to this. */
struct tribi_parsed_init {
    struct trib_spark_init init;
    struct trib_view content; /* retained: all views lie in it */
    struct tribi_block *blocks;
};

#endif
