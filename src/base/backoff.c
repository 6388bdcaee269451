#include "bh/backoff.h"

#include <sys/random.h>

uint32_t bh_random_below(uint32_t n)
{
	uint32_t x = 0;

	/* Early after boot there is none, and then all wait equally long. */
	(void)!getrandom(&x, sizeof(x), GRND_NONBLOCK);
	return x % n;
}

uint32_t bh_jittered(uint32_t ms)
{
	return ms / 2 + bh_random_below(ms / 2 + 1);
}

uint32_t bh_backoff_ms(unsigned int n_failures, uint32_t first_ms, uint32_t last_ms)
{
	uint64_t ms = first_ms;

	while (n_failures-- > 1 && ms < last_ms)
		ms *= 2;
	return bh_jittered(ms < last_ms ? (uint32_t)ms : last_ms);
}

uint32_t bh_at_least_ms(uint32_t ms, uint32_t at_least_ms)
{
	return ms < at_least_ms ? at_least_ms + bh_random_below(at_least_ms / 4 + 1) : ms;
}
