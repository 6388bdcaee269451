/*
 * A datagram as bh_nflog_read() walks it, each payload parsed as a packet.
 */
#include <libmnl/libmnl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bh/nflog.h"
#include "bh/nl.h"
#include "bh/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct bh_nflog_msg *m)
{
	struct bh_packet p;
	volatile size_t len = strlen(m->prefix);

	(void)len;
	(void)bh_packet_parse(m->payload, m->payload_len, &p);
	if (m->timestamp_ns % 1000 != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* malloc() aligns for struct nlmsghdr, which the input need not be. */
	void *copy = malloc(size + (size == 0));
	const struct nlmsghdr *h = copy;
	int left = (int)size;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (; bh_nl_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		struct bh_nflog_msg m;

		if (bh_nflog_parse(h, &m) == 0)
			use(&m);
	}
	free(copy);
	return 0;
}
