/*
 * Private to node/: what the kernel tells of links, in this network namespace and
 * across the links into others.
 *
 * All of it needs no other right than CAP_NET_ADMIN, and none at all for what is
 * here.  Nothing enters another network namespace: the kernel numbers the
 * namespaces that links of this one lead to ("nsid", rtnetlink(7), NETLINK_ROUTE
 * messages RTM_GETNSID), and answers questions about them by that number.
 */
#ifndef BH_NODE_LINK_H
#define BH_NODE_LINK_H

#include <net/if.h>

#include "bh/addr.h"
#include "bh/nl.h"

#define BH_NO_NSID (-1)

struct bh_link {
	uint32_t ifindex;
	uint32_t peer;   /* ifindex of the other end, in its namespace; 0: none */
	uint32_t master; /* ifindex of the bridge, bond, ... that it is a port of; 0: none */
	int32_t nsid;    /* of the other end's namespace; BH_NO_NSID: this one, or none */
	bool is_bridge, is_veth;
	bool has_mac;
	uint8_t mac[6]; /* of this end */
	char name[IFNAMSIZ];
};

/*
 * A message RTM_NEWLINK or RTM_DELLINK.  -ENOMSG: of no concern, such as what a
 * bridge tells of its ports (AF_BRIDGE; a DELLINK of that kind means only that the
 * link left the bridge).  -EBADMSG: malformed.
 */
int bh_link_parse(const struct nlmsghdr *msg, struct bh_link *ret);
/* A message RTM_NEWNSID or RTM_DELNSID.  -EBADMSG. */
int bh_nsid_parse(const struct nlmsghdr *msg, int32_t *ret);
/*
 * A message RTM_NEWADDR: 1 and *@ret where it is a link-local IPv6 address of the link
 * @ifindex that is usable, else 0.  -EBADMSG.
 */
int bh_link_local_parse(const struct nlmsghdr *msg, uint32_t ifindex, struct bh_addr *ret);
/*
 * A message RTM_NEWROUTE: 1 and the link where it is a route to one address and goes
 * out at one link without a gateway, else 0.  -EBADMSG.
 */
int bh_host_route_parse(const struct nlmsghdr *msg, uint32_t *ret_ifindex);

/* Makes a socket for the questions below. */
int bh_link_open(struct bh_nl **ret, struct bh_err *err);
/*
 * Calls @on_link for each link of this namespace.  The kernel numbers every
 * namespace that a link leads to while it lists them.
 */
int bh_link_list(struct bh_nl *nl, void (*on_link)(void *ctx, const struct bh_link *link),
		 void (*on_restart)(void *ctx), void *ctx, struct bh_err *err);
/*
 * The number of the namespace that @fd is of; BH_NO_NSID where no link leads there.
 * -EINVAL: it is of no network namespace.
 */
int bh_link_nsid(struct bh_nl *nl, int fd, int32_t *ret, struct bh_err *err);
/* The link @ifindex of namespace @nsid.  -ENODEV: there is none. */
int bh_link_far(struct bh_nl *nl, int32_t nsid, uint32_t ifindex, struct bh_link *ret,
		struct bh_err *err);
/* Its link-local IPv6 addresses, the first @max of them. */
int bh_link_far_locals(struct bh_nl *nl, int32_t nsid, uint32_t ifindex, struct bh_addr *ret,
		       size_t max, size_t *ret_n, struct bh_err *err);
/* The link behind which a route says that exactly @a is; 0 if no route does. */
int bh_link_of_route(struct bh_nl *nl, const struct bh_addr *a, uint32_t *ret, struct bh_err *err);

#endif
