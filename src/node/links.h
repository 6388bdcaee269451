/*
 * Private to node/: the links of this network namespace, kept by the kernel's
 * notifications, and where they lead.
 *
 * A number of a namespace (nsid) is forgotten by the kernel with the namespace, and
 * given to the next one.  DELNSID is told in order with the links, so that a number is
 * never taken for the namespace that had it before.  Nothing but a start and lost
 * notifications lists all links.
 */
#ifndef BH_NODE_LINKS_H
#define BH_NODE_LINKS_H

#include <uthash.h>
#include <uv.h>

#include "link.h"

struct bh_known_link {
	struct bh_link is;
	void *owner; /* for who follows the links; NULL where it sets none */
	UT_hash_handle hh;
};

/* What happened, from within the loop; a link is valid during the call only. */
struct bh_links_events {
	void *ctx;
	/* It came, or leads elsewhere, or has another name or bridge. */
	void (*on_link)(void *ctx, struct bh_known_link *link);
	/* It is gone; freed after the call. */
	void (*on_gone)(void *ctx, struct bh_known_link *link);
	/* Some namespace got a number. */
	void (*on_nsid_new)(void *ctx);
	/* The namespace of that number is gone. */
	void (*on_nsid_gone)(void *ctx, int32_t nsid);
	/* Notifications were lost: what is known of numbers may be wrong.  Links follow. */
	void (*on_loss)(void *ctx);
	/* After all of the above that one turn of the loop brought. */
	void (*on_turn)(void *ctx);
};

struct bh_links_stats {
	uint64_t n_events;   /* messages about links and namespaces */
	uint64_t n_listings; /* of all links */
	uint64_t n_pauses;   /* of listening, because of too many events */
};

struct bh_links;

/*
 * Watches, then lists.  @ask, a socket of bh_link_open(), and *@events are borrowed;
 * nothing is told before the loop runs.
 */
int bh_links_new(struct bh_links **ret, uv_loop_t *loop, struct bh_nl *ask,
		 const struct bh_links_events *events, struct bh_err *err);
/* Nothing is told any more.  Handles are closed by the loop later. */
void bh_links_free(struct bh_links **links);

/* NULL: there is none.  Valid until the loop turns, as is all of what follows. */
struct bh_known_link *bh_links_find(const struct bh_links *links, uint32_t ifindex);
/* The first of all, to be followed by hh.next; NULL: there is none. */
struct bh_known_link *bh_links_all(const struct bh_links *links);
/* ifindex of the bridge that it is a port of; 0: of none, or of a bond or VRF. */
uint32_t bh_links_bridge_of(const struct bh_links *links, const struct bh_known_link *link);
size_t bh_links_count(const struct bh_links *links);
struct bh_links_stats bh_links_stats(const struct bh_links *links);

#endif
