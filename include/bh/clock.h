/*
 * Time.  Policy code never reads the clock; it is handed the time.
 */
#ifndef BH_CLOCK_H
#define BH_CLOCK_H

#include <stdint.h>

#define BH_NS_PER_MS UINT64_C(1000000)
#define BH_NS_PER_S  UINT64_C(1000000000)

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t bh_mono_ns(void);
/* CLOCK_REALTIME in nanoseconds since 1970. */
uint64_t bh_real_ns(void);

#define BH_TIME_STRLEN 31
/* RFC 3339 in UTC with nanoseconds: 2026-01-02T03:04:05.000000006Z. */
const char *bh_time_format(uint64_t real_ns, char buf[BH_TIME_STRLEN]);
/* RFC 3339 with any offset and fraction; -EINVAL otherwise. */
int bh_time_parse(const char *s, uint64_t *ret);

#endif
