/*
 * Which links there are, and where they lead.
 */
#include "links.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "bh/alloc.h"
#include "bh/clock.h"

/* More links than any node has: beyond it new ones are nobody's, which closes them. */
#define MAX_KNOWN_LINKS 65536

#define RCVBUF_BYTES (4u << 20)
/* Datagrams in one turn of the loop. */
#define MAX_DATAGRAMS 64
/* A turn with that much work ends in a pause so many times as long: a fifth of the CPU. */
#define LONG_TURN_MS 5
#define MIN_PAUSE_MS 20
#define PAUSE_FACTOR 4
/* Until a listing that failed is tried again. */
#define RELIST_MS 1000

struct bh_links {
	struct bh_links_events events;
	struct bh_nl *watch, *ask;
	uv_poll_t poll;
	uv_timer_t pause; /* until listening goes on */
	unsigned int n_open_handles;
	struct bh_known_link *links;
	bool is_lost; /* notifications were */
	struct bh_links_stats stats;
};

/* --- the table ---------------------------------------------------------------------------- */

struct bh_known_link *bh_links_find(const struct bh_links *t, uint32_t ifindex)
{
	struct bh_known_link *l;

	HASH_FIND(hh, t->links, &ifindex, sizeof(ifindex), l);
	return l;
}

struct bh_known_link *bh_links_all(const struct bh_links *t)
{
	return t->links;
}

uint32_t bh_links_bridge_of(const struct bh_links *t, const struct bh_known_link *l)
{
	const struct bh_known_link *master = l->is.master ? bh_links_find(t, l->is.master) : NULL;

	/* One of which nothing is known yet is taken for one. */
	return l->is.master && (!master || master->is.is_bridge) ? l->is.master : 0;
}

size_t bh_links_count(const struct bh_links *t)
{
	return HASH_COUNT(t->links);
}

struct bh_links_stats bh_links_stats(const struct bh_links *t)
{
	return t->stats;
}

static bool is_same_link(const struct bh_link *a, const struct bh_link *b)
{
	return a->peer == b->peer && a->master == b->master && a->nsid == b->nsid &&
	       a->is_bridge == b->is_bridge && a->is_veth == b->is_veth &&
	       strcmp(a->name, b->name) == 0;
}

static struct bh_known_link *put_link(struct bh_links *t, const struct bh_link *is)
{
	struct bh_known_link *l = bh_links_find(t, is->ifindex);

	if (l && is_same_link(&l->is, is)) {
		l->is = *is;
		return NULL;
	}
	if (!l && HASH_COUNT(t->links) >= MAX_KNOWN_LINKS)
		return NULL;
	if (!l) {
		l = bh_calloc(1, sizeof(*l));
		l->is.ifindex = is->ifindex;
		HASH_ADD(hh, t->links, is.ifindex, sizeof(l->is.ifindex), l);
	}
	l->is = *is;
	return l;
}

static void tell_link(struct bh_links *t, const struct bh_link *is)
{
	struct bh_known_link *l = put_link(t, is);

	if (l)
		t->events.on_link(t->events.ctx, l);
}

static void remove_link(struct bh_links *t, struct bh_known_link *l)
{
	t->events.on_gone(t->events.ctx, l);
	HASH_DEL(t->links, l);
	free(l);
}

static void forget_nsid(struct bh_links *t, int32_t nsid)
{
	struct bh_known_link *l, *next;

	if (nsid == BH_NO_NSID)
		return;
	t->events.on_nsid_gone(t->events.ctx, nsid);
	HASH_ITER (hh, t->links, l, next)
		if (l->is.nsid == nsid)
			l->is.nsid = BH_NO_NSID;
}

static void on_notification(struct bh_links *t, const struct nlmsghdr *msg)
{
	struct bh_known_link *l;
	struct bh_link link;
	int32_t nsid;

	t->stats.n_events++;
	switch (msg->nlmsg_type) {
	case RTM_NEWLINK:
		if (bh_link_parse(msg, &link) == 0)
			tell_link(t, &link);
		return;
	case RTM_DELLINK:
		l = bh_link_parse(msg, &link) == 0 ? bh_links_find(t, link.ifindex) : NULL;
		if (l)
			remove_link(t, l);
		return;
	case RTM_NEWNSID: t->events.on_nsid_new(t->events.ctx); return;
	case RTM_DELNSID:
		if (bh_nsid_parse(msg, &nsid) == 0)
			forget_nsid(t, nsid);
		return;
	default: return;
	}
}

/* --- all links ----------------------------------------------------------------------------- */

struct listing {
	struct bh_link *items;
	size_t n, cap;
};

static void on_listed(void *ctx, const struct bh_link *link)
{
	struct listing *l = ctx;

	if (l->n >= MAX_KNOWN_LINKS)
		return;
	bh_grow(&l->items, &l->cap, l->n, sizeof(*l->items));
	l->items[l->n++] = *link;
}

static void on_listing_restart(void *ctx)
{
	struct listing *l = ctx;

	l->n = 0;
}

static int list_links(struct bh_links *t, struct listing *ret, struct bh_err *err)
{
	t->stats.n_listings++;
	return bh_link_list(t->ask, on_listed, on_listing_restart, ret, err);
}

static int cmp_listed(const void *a, const void *b)
{
	const struct bh_link *p = a, *q = b;

	return (p->ifindex > q->ifindex) - (p->ifindex < q->ifindex);
}

static void take_listing(struct bh_links *t, struct listing *listing)
{
	struct bh_known_link *l, *next;

	bh_sort(listing->items, listing->n, sizeof(*listing->items), cmp_listed);
	HASH_ITER (hh, t->links, l, next)
		if (!bh_search(&l->is, listing->items, listing->n, sizeof(*listing->items),
			       cmp_listed))
			remove_link(t, l);
	for (size_t i = 0; i < listing->n; i++)
		tell_link(t, &listing->items[i]);
}

static int list_first(struct bh_links *t, struct bh_err *err)
{
	struct listing listing = { .n = 0 };
	int r = list_links(t, &listing, err);

	for (size_t i = 0; r == 0 && i < listing.n; i++)
		put_link(t, &listing.items[i]);
	free(listing.items);
	return r;
}

static void list_after_loss(struct bh_links *t)
{
	struct listing listing = { .n = 0 };

	if (list_links(t, &listing, NULL) == 0) {
		t->is_lost = false;
		t->events.on_loss(t->events.ctx);
		take_listing(t, &listing);
	}
	free(listing.items);
}

/* --- the loop ---------------------------------------------------------------------------- */

static void run_turn(struct bh_links *t);

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	run_turn(bh_container_of(poll, struct bh_links, poll));
}

static void on_pause_end(uv_timer_t *timer)
{
	run_turn(bh_container_of(timer, struct bh_links, pause));
}

/* A flood of events must not take more than a share of the CPU; what is lost is listed. */
static void pause_after(struct bh_links *t, uint64_t took_ms)
{
	uint64_t pause_ms = PAUSE_FACTOR * took_ms, min_ms = t->is_lost ? RELIST_MS : MIN_PAUSE_MS;

	t->stats.n_pauses++;
	uv_poll_stop(&t->poll);
	uv_timer_start(&t->pause, on_pause_end, pause_ms > min_ms ? pause_ms : min_ms, 0);
}

/* Returns how many datagrams came. */
static int drain(struct bh_links *t)
{
	const struct nlmsghdr *msg;
	int i, n;

	for (i = 0; i < MAX_DATAGRAMS; i++) {
		n = bh_nl_recv(t->watch, false, &msg);
		if (n == -ENOBUFS) {
			t->is_lost = true;
			bh_nl_discard(t->watch);
			break;
		}
		if (n < 0)
			break;
		for (; bh_nl_ok(msg, n); msg = mnl_nlmsg_next(msg, &n))
			on_notification(t, msg);
	}
	return i;
}

static void run_turn(struct bh_links *t)
{
	uint64_t start_ns = bh_mono_ns(), took_ms;
	int n = drain(t);

	if (t->is_lost)
		list_after_loss(t);
	t->events.on_turn(t->events.ctx);
	took_ms = (bh_mono_ns() - start_ns) / BH_NS_PER_MS;
	if (n == MAX_DATAGRAMS || t->is_lost || took_ms >= LONG_TURN_MS)
		pause_after(t, took_ms);
	else
		/* Also where it listens already: libuv stops at an error, which a loss is. */
		uv_poll_start(&t->poll, UV_READABLE, on_readable);
}

/* --- life -------------------------------------------------------------------------------- */

static int open_watch(struct bh_links *t, struct bh_err *err)
{
	int r = bh_nl_new(&t->watch, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	/* Losses are noticed, so a smaller one is only slower. */
	(void)bh_nl_set_rcvbuf(t->watch, RCVBUF_BYTES);
	r = bh_nl_join(t->watch, RTNLGRP_LINK, err);
	if (r == 0)
		r = bh_nl_join(t->watch, RTNLGRP_NSID, err);
	return r < 0 ? bh_err_wrap(err, r, "cannot watch links") : 0;
}

static int start_handles(struct bh_links *t, uv_loop_t *loop, struct bh_err *err)
{
	int r = uv_poll_init(loop, &t->poll, bh_nl_fd(t->watch));

	if (r < 0)
		return bh_err(err, r, "cannot watch links: %s", uv_strerror(r));
	uv_timer_init(loop, &t->pause);
	t->poll.data = t->pause.data = t;
	t->n_open_handles = 2;
	uv_poll_start(&t->poll, UV_READABLE, on_readable);
	return 0;
}

static void destroy(struct bh_links *t)
{
	struct bh_known_link *l, *next;

	HASH_ITER (hh, t->links, l, next) {
		HASH_DEL(t->links, l);
		free(l);
	}
	bh_nl_free(&t->watch);
	free(t);
}

int bh_links_new(struct bh_links **ret, uv_loop_t *loop, struct bh_nl *ask,
		 const struct bh_links_events *events, struct bh_err *err)
{
	struct bh_links *t = bh_calloc(1, sizeof(*t));
	int r;

	t->events = *events;
	t->ask = ask;
	/* Watched before they are listed, so that nothing falls in between. */
	r = open_watch(t, err);
	if (r == 0)
		r = list_first(t, err);
	if (r == 0)
		r = start_handles(t, loop, err);
	if (r < 0) {
		destroy(t);
		return r;
	}
	*ret = t;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct bh_links *t = handle->data;

	if (--t->n_open_handles == 0)
		destroy(t);
}

void bh_links_free(struct bh_links **links)
{
	struct bh_links *t = *links;

	if (!t)
		return;
	uv_poll_stop(&t->poll);
	uv_close((uv_handle_t *)&t->poll, on_closed);
	uv_close((uv_handle_t *)&t->pause, on_closed);
	*links = NULL;
}
