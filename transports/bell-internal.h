/* A bell: how another thread reaches an event base that may not be made for threads. */
#ifndef TRIBUTARY_BELL_INTERNAL_H
#define TRIBUTARY_BELL_INTERNAL_H

#include "wake-internal.h"
#include "watch-internal.h"

struct tribi_bell {
    struct tribi_wake wake; /* made at the first watch */
    struct tribi_watch watch;
    trib_ready_fn *fn;
    void *arg;
};

void tribi_bell_init(struct tribi_bell *bell);
void tribi_bell_done(struct tribi_bell *bell); /* twice is safe */

/* Runs fn(arg) once on `base` after the next ring; NULL disarms. On the thread of the base. */
int tribi_bell_arm(struct tribi_bell *bell, struct event_base *base, trib_ready_fn *fn, void *arg, struct trib_error *err);

/* Any thread, between init and done; a trib_ready_fn. Rings that come before an arm are forgotten by it. */
void tribi_bell_ring(void *bell);

#endif
