/*
 * How long to wait before trying again.
 */
#ifndef BH_BACKOFF_H
#define BH_BACKOFF_H

#include <stdint.h>

/* Below @n, which is not 0; not for secrets. */
uint32_t bh_random_below(uint32_t n);
/* Between half of @ms and @ms, so that agents do not come back all at once. */
uint32_t bh_jittered(uint32_t ms);
/* After so many failures in a row, 1 at least: twice as long each time, with jitter. */
uint32_t bh_backoff_ms(unsigned int n_failures, uint32_t first_ms, uint32_t last_ms);
/* @ms, but where somebody asked for more, that and up to a quarter of it. */
uint32_t bh_at_least_ms(uint32_t ms, uint32_t at_least_ms);

#endif
