/* Memory of this process, as the system counts it. */
#ifndef TRIBUTARY_TESTS_RESIDENT_H
#define TRIBUTARY_TESTS_RESIDENT_H

#include <stdint.h>

/* Resident set, now and at its peak, in KiB; 0 where the system does not tell, or a tool (sanitizers, valgrind) has memory of its own. */
long resident_kib(void);
long resident_peak_kib(void);

/* Bytes of the library's blocks, in use and kept for the next. */
uint64_t pool_bytes(void);

#endif
