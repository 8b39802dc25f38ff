/* Memory of this process, as the system counts it. */
#ifndef TRIBUTARY_TESTS_RESIDENT_H
#define TRIBUTARY_TESTS_RESIDENT_H

/* Resident set, now and at its peak, in KiB; 0 where the system does not tell, or a tool (sanitizers, valgrind) has memory of its own. */
long resident_kib(void);
long resident_peak_kib(void);

#endif
