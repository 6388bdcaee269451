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
/* Checks, and with @repair sets it.  @text (may be NULL) gets reason and fix. */
enum bh_bridge_state bh_node_bridges(bool repair, struct bh_buf *text);

/* The addresses of all links (scope global and link); the caller frees *ret. */
int bh_node_addrs(struct bh_addr **ret, size_t *n, struct bh_err *err);

/* Calls @on_change after links or addresses changed (merged within a turn). */
struct bh_node_watch;
int bh_node_watch_new(struct bh_node_watch **ret, uv_loop_t *loop, void (*on_change)(void *ctx),
		      void *ctx, struct bh_err *err);
void bh_node_watch_free(struct bh_node_watch **w);

/* One connection of conntrack, in its original direction after DNAT, before SNAT. */
struct bh_conn {
	struct bh_addr src, dst;
	struct bh_addr orig_dst; /* before DNAT */
	uint8_t protocol;
	uint16_t src_port, dst_port; /* host byte order; 0 where there is none */
	bool is_reply_seen;
	bool is_block; /* left by an earlier cut */
};

enum bh_conn_fate {
	BH_CONN_KEEP,
	BH_CONN_CUT,    /* policy denies it: neither end revives it */
	BH_CONN_FORGET, /* it was somebody else's: its entry goes, and nothing stays */
};

/*
 * Walks conntrack and does to every connection what @judge says.  *ret_cut counts
 * those that were cut or forgotten.  Both families.
 *
 * A cut TCP or UDP connection leaves a block for an hour: an entry of conntrack
 * that makes packets of the original direction count as new ever after.  Without
 * it, the next packet of the other end would open the connection again from
 * there, with our own packets as its replies.  Blocks are shown to @judge too, as
 * the connection they stand for, and go when it says anything but BH_CONN_CUT.
 */
int bh_conntrack_walk(enum bh_conn_fate (*judge)(void *ctx, const struct bh_conn *conn), void *ctx,
		      size_t *ret_cut, struct bh_err *err);

#endif
