/*
 * The node itself: its addresses, bridges that bypass the rules, and the
 * connections that conntrack remembers.
 */
#ifndef BH_NODE_H
#define BH_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "bh/addr.h"
#include "bh/buf.h"

/*
 * Same-bridge traffic reaches inet hooks only with
 * net.bridge.bridge-nf-call-{ip,ip6}tables = 1 in this network namespace.
 */
enum bh_bridge_state {
	BH_BRIDGE_FILTERED, /* set, or no bridge exists */
	BH_BRIDGE_REPAIRED, /* was off; is set now */
	BH_BRIDGE_BYPASSED, /* off and could not be set: rules do not hold on bridges */
	BH_BRIDGE_COUNT_
};
/*
 * Checks, and with @repair sets it.  @bridge is the name of some bridge, "" if there is
 * none, NULL to look for one.  @text (may be NULL) gets reason and fix.
 */
enum bh_bridge_state bh_node_bridges(const char *bridge, bool repair, struct bh_buf *text);

/*
 * The addresses of this node: of all links of this network namespace, scope global and
 * link, without loopback's.  @on_change is called after one came or went, once for all
 * of a turn of the loop.
 */
struct bh_node_watch;
int bh_node_watch_new(struct bh_node_watch **ret, uv_loop_t *loop, void (*on_change)(void *ctx),
		      void *ctx, struct bh_err *err);
/* Sorted and each once; valid until the loop turns. */
size_t bh_node_watch_addrs(const struct bh_node_watch *w, const struct bh_addr **ret);
/* The IPv4 broadcast addresses of the networks that these are in (RFC 919); as above. */
size_t bh_node_watch_broadcasts(const struct bh_node_watch *w, const struct bh_addr **ret);
void bh_node_watch_free(struct bh_node_watch **w);

/* Where this node's pods get their addresses from, by its CNI configuration. */
struct bh_cni {
	char file[256];          /* the one that is in use: the first of the folder by name */
	char why[256];           /* there are no ranges: why; "" if there are */
	bool is_by_node;         /* spec.podCIDRs of the Node object are the ranges */
	struct bh_range *ranges; /* that no other node's pods have; owned */
	size_t n;
};

/*
 * Reads the folder @dir.  -ENOENT: there is no configuration yet.  Other errors have a
 * text.  bh_cni_done() takes *ret in any case.
 */
int bh_cni_read(const char *dir, struct bh_cni *ret, struct bh_err *err);
void bh_cni_done(struct bh_cni *cni);

/*
 * One connection of conntrack.  Ports are in host byte order, 0 where the protocol
 * has none.
 */
struct bh_conn {
	struct bh_addr src, dst; /* of its first packet: before SNAT, after DNAT */
	struct bh_addr orig_dst; /* before DNAT */
	struct bh_addr back_dst; /* where answers go: the source after SNAT */
	uint16_t src_port, dst_port, orig_dst_port, back_dst_port;
	uint8_t protocol;
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id;
	uint16_t zone;
	uint32_t id;
	bool is_reply_seen;
	/* TCP that was tracked from the middle on: either end may have opened it. */
	bool is_picked_up;
	/*
	 * Left by a cut of version 0.1.0: an entry of an hour with no port in its reply,
	 * for the connection that it was put in the place of.
	 */
	bool is_block;
};

/*
 * The connection table of the network namespace of the thread that opens it.  Used
 * by one thread at a time.  Errors: -EPERM without CAP_NET_ADMIN, -EPROTONOSUPPORT
 * and the like where the kernel has no connection tracking over netlink.
 */
struct bh_conntrack;
int bh_conntrack_new(struct bh_conntrack **ret, struct bh_err *err);
void bh_conntrack_free(struct bh_conntrack **ct);

/* How many entries there are, in this network namespace; costs next to nothing. */
int bh_conntrack_count(struct bh_conntrack *ct, uint32_t *ret, struct bh_err *err);

/* Which entries a listing is of. */
enum bh_conn_side {
	BH_CONN_SIDE_ANY, /* all of both families */
	BH_CONN_SIDE_SRC, /* those whose src is the address */
	BH_CONN_SIDE_DST, /* those whose dst is it */
};

/*
 * Starts a listing.  Kernels before 5.8 list every entry whatever is asked for, and for
 * an IPv6 address all list every IPv6 entry, so the reader looks at the entries, too.
 * @addr is NULL for BH_CONN_SIDE_ANY.
 */
int bh_conntrack_list(struct bh_conntrack *ct, enum bh_conn_side side, const struct bh_addr *addr,
		      struct bh_err *err);

/*
 * Deletes every entry whose src or dst is @addr, at the cost of a look at the table's
 * buckets that are not empty.  -EOPNOTSUPP or -EINVAL: this kernel cannot (Linux can
 * since 6.11, and not for IPv6), and nothing was deleted.
 */
int bh_conntrack_forget(struct bh_conntrack *ct, const struct bh_addr *addr, struct bh_err *err);

/*
 * Whether any entry of this thread's network namespace has one of @addrs, at most
 * BH_CONNTRACK_MAX_PEEK: 1 or 0, or a negative errno where this kernel does not show
 * them in /proc.  Costs about a microsecond for each entry, and a tenth of what a listing
 * costs for the table.
 */
#define BH_CONNTRACK_MAX_PEEK 4
int bh_conntrack_peek(const struct bh_addr *addrs, size_t n);

/* The most entries that one message of the kernel holds, and more. */
#define BH_CONNTRACK_MIN_ROOM 512

/*
 * Goes on with the listing and stores the entries for which @wants (NULL: all) is true
 * until there are at least @max - BH_CONNTRACK_MIN_ROOM or no more: 1 if there may be
 * more, 0 at the end.  -ENOBUFS: some were lost.
 */
int bh_conntrack_read(struct bh_conntrack *ct, bool (*wants)(void *ctx, const struct bh_conn *conn),
		      void *ctx, struct bh_conn *conns, size_t max, size_t *ret_n,
		      struct bh_err *err);

/*
 * Deletes these and no others that took their tuples meanwhile (by id).  *ret_n counts
 * those that were there.  The first error that is not about a connection that is gone
 * is returned, after all were tried.
 */
int bh_conntrack_delete(struct bh_conntrack *ct, const struct bh_conn *conns, size_t n,
			size_t *ret_n, struct bh_err *err);

#endif
