/*
 * Files of assertions: what is accepted keeps its promises.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>

#include "bh/alloc.h"
#include "bh/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	bh_auto(bh_assertions_free) struct bh_assertions *a = NULL;
	const struct bh_assertion *items;
	struct bh_err err = { 0 };
	size_t i, n;

	if (bh_assertions_parse(&a, "f", (const char *)data, len, &err) < 0) {
		if (!*bh_err_text(&err))
			abort();
		return 0;
	}
	n = bh_assertions_items(a, &items);
	if (n == 0 || n > BH_ASSERTIONS_MAX)
		abort();
	for (i = 0; i < n; i++)
		if (!items[i].name || !items[i].src || !items[i].dst ||
		    (items[i].protocol == IPPROTO_ICMP) != (items[i].port == 0))
			abort();
	return 0;
}
