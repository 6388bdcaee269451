/*
 * A datagram as the ports and their questions walk it: every reader of messages about
 * links, namespaces, addresses and routes on every message.
 */
#include <libmnl/libmnl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/node/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_link(const struct bh_link *link)
{
	if (link->ifindex == 0 || link->ifindex > INT32_MAX || link->nsid < BH_NO_NSID ||
	    !link->name[0] || link->name[IFNAMSIZ - 1] || strlen(link->name) >= IFNAMSIZ)
		abort();
}

static void read_all(const struct nlmsghdr *h)
{
	struct bh_link link;
	struct bh_addr a;
	uint32_t ifindex;
	int32_t nsid;

	if (bh_link_parse(h, &link) == 0)
		check_link(&link);
	if (bh_nsid_parse(h, &nsid) == 0 && nsid < BH_NO_NSID)
		abort();
	if (bh_link_local_parse(h, 2, &a) > 0 && !bh_addr_is_link_local(&a))
		abort();
	if (bh_host_route_parse(h, &ifindex) > 0 && ifindex == 0)
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
	for (; bh_nl_ok(h, left); h = mnl_nlmsg_next(h, &left))
		read_all(h);
	free(copy);
	return 0;
}
