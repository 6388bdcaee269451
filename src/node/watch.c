/*
 * The addresses of this node, as the kernel has them.
 *
 * They are listed once and followed by notifications: a node with a thousand pods has
 * as many link-local addresses, and two more come with each pod.
 */
#include "bh/node.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "bh/alloc.h"
#include "bh/hash.h"
#include "bh/nl.h"

/* More than any node has; whoever can add addresses shall not fill our memory. */
#define MAX_ADDRS     65536
#define MAX_DATAGRAMS 64
/* Until a listing that failed is tried again. */
#define RELIST_MS 1000

/* An address of a link: several may have the same. */
struct item {
	struct item_key {
		uint32_t ifindex;
		struct bh_addr addr;
		uint8_t prefix_len;
	} key; /* without anything between its members that is not zero */
	bool is_listed;
	UT_hash_handle hh;
};

struct bh_node_watch {
	uv_poll_t poll;
	uv_timer_t relist;
	unsigned int n_open_handles;
	struct bh_nl *watch, *ask;
	void (*on_change)(void *ctx);
	void *ctx;
	struct item *items;
	bool is_lost;    /* notifications were, and nothing has been listed since */
	bool is_changed; /* since the lists were made */
	struct bh_addr *addrs, *broadcasts;
	size_t n_addrs, n_broadcasts;
};

/* --- addresses of links ------------------------------------------------------------------ */

static int on_attr(const struct nlattr *a, void *ctx)
{
	const struct nlattr **attrs = ctx;

	if (mnl_attr_get_type(a) <= IFA_MAX)
		attrs[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static bool is_of_interest(const struct ifaddrmsg *i)
{
	return i->ifa_scope == RT_SCOPE_UNIVERSE || i->ifa_scope == RT_SCOPE_LINK ||
	       i->ifa_scope == RT_SCOPE_SITE;
}

/* True with *@ret for an address that others can use. */
static bool parse(const struct nlmsghdr *msg, struct item_key *ret)
{
	const struct nlattr *attrs[IFA_MAX + 1] = { 0 }, *a;
	const struct ifaddrmsg *i = mnl_nlmsg_get_payload(msg);

	if ((msg->nlmsg_type != RTM_NEWADDR && msg->nlmsg_type != RTM_DELADDR) ||
	    mnl_nlmsg_get_payload_len(msg) < sizeof(*i) || !is_of_interest(i) ||
	    mnl_attr_parse(msg, sizeof(*i), on_attr, attrs) != MNL_CB_OK)
		return false;
	/* Where there is a peer, IFA_ADDRESS is the peer's. */
	a = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = i->ifa_index;
	ret->prefix_len = i->ifa_prefixlen;
	return a && bh_addr_from_bytes(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a),
				       &ret->addr) == 0;
}

static void put(struct bh_node_watch *w, const struct item_key *key)
{
	struct item *item;

	HASH_FIND(hh, w->items, key, sizeof(*key), item);
	if (!item && HASH_COUNT(w->items) < MAX_ADDRS) {
		item = bh_calloc(1, sizeof(*item));
		memcpy(&item->key, key, sizeof(*key));
		HASH_ADD(hh, w->items, key, sizeof(item->key), item);
		w->is_changed = true;
	}
	if (item)
		item->is_listed = true;
}

static void drop(struct bh_node_watch *w, struct item *item)
{
	HASH_DEL(w->items, item);
	free(item);
	w->is_changed = true;
}

static void follow(struct bh_node_watch *w, const struct nlmsghdr *msg)
{
	struct item_key key;
	struct item *item;

	if (!parse(msg, &key))
		return;
	if (msg->nlmsg_type == RTM_NEWADDR) {
		put(w, &key);
		return;
	}
	HASH_FIND(hh, w->items, &key, sizeof(key), item);
	if (item)
		drop(w, item);
}

/* --- all of them ---------------------------------------------------------------------------- */

static int on_listed(const struct nlmsghdr *msg, void *ctx)
{
	struct item_key key;

	if (parse(msg, &key))
		put(ctx, &key);
	return 0;
}

static int list(struct bh_node_watch *w, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[64];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct item *item, *next;
	int r;

	h->nlmsg_type = RTM_GETADDR;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifaddrmsg));
	HASH_ITER (hh, w->items, item, next)
		item->is_listed = false;
	/* Listed again after an interruption, what was there before it stays for now. */
	r = bh_nl_request(w->ask, h, on_listed, NULL, w, err);
	if (r < 0)
		return bh_err_wrap(err, r, "cannot list addresses");
	HASH_ITER (hh, w->items, item, next)
		if (!item->is_listed)
			drop(w, item);
	return 0;
}

static int cmp_addr(const void *a, const void *b)
{
	return bh_addr_cmp(a, b);
}

/* Replaces *@list by @new, sorted and each once; true if it is another one now. */
static bool replace(struct bh_addr **list, size_t *n_list, struct bh_addr *new, size_t n)
{
	size_t kept = 0;
	bool is_same;

	bh_sort(new, n, sizeof(*new), cmp_addr);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || !bh_addr_eq(&new[i], &new[kept - 1]))
			new[kept++] = new[i];
	is_same = kept == *n_list && (kept == 0 || memcmp(new, *list, kept * sizeof(*new)) == 0);
	free(*list);
	*list = new;
	*n_list = kept;
	return !is_same;
}

/* False for a network that has none (RFC 3021). */
static bool broadcast_of(const struct item_key *key, struct bh_addr *ret)
{
	if (key->addr.family != BH_IPV4 || key->prefix_len == 0 || key->prefix_len > 30)
		return false;
	*ret = key->addr;
	for (size_t bit = key->prefix_len; bit < 32; bit++)
		ret->bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return true;
}

/* True if any list is another one than before: link-local addresses repeat between links. */
static bool make_lists(struct bh_node_watch *w)
{
	size_t n_items = HASH_COUNT(w->items), n = 0, n_broadcasts = 0;
	struct bh_addr *addrs = bh_calloc(n_items, sizeof(*addrs));
	struct bh_addr *broadcasts = bh_calloc(n_items, sizeof(*broadcasts));
	const struct item *item, *next;
	bool is_changed;

	HASH_ITER (hh, w->items, item, next) {
		addrs[n++] = item->key.addr;
		n_broadcasts += broadcast_of(&item->key, &broadcasts[n_broadcasts]);
	}
	is_changed = replace(&w->addrs, &w->n_addrs, addrs, n);
	is_changed |= replace(&w->broadcasts, &w->n_broadcasts, broadcasts, n_broadcasts);
	w->is_changed = false;
	return is_changed;
}

size_t bh_node_watch_addrs(const struct bh_node_watch *w, const struct bh_addr **ret)
{
	*ret = w->addrs;
	return w->n_addrs;
}

size_t bh_node_watch_broadcasts(const struct bh_node_watch *w, const struct bh_addr **ret)
{
	*ret = w->broadcasts;
	return w->n_broadcasts;
}

/* --- the loop ---------------------------------------------------------------------------- */

/* Bounded, so that a flood of events leaves other sources their turn. */
static void drain(struct bh_node_watch *w)
{
	const struct nlmsghdr *msg;

	for (int i = 0; i < MAX_DATAGRAMS; i++) {
		int n = bh_nl_recv(w->watch, false, &msg);

		if (n == -ENOBUFS) {
			bh_nl_discard(w->watch);
			w->is_lost = true;
			return;
		}
		if (n < 0)
			return;
		for (; bh_nl_ok(msg, n); msg = mnl_nlmsg_next(msg, &n))
			follow(w, msg);
	}
}

static void on_relist(uv_timer_t *timer);

static void tell(struct bh_node_watch *w)
{
	if (w->is_lost && list(w, NULL) == 0)
		w->is_lost = false;
	if (w->is_lost)
		uv_timer_start(&w->relist, on_relist, RELIST_MS, 0);
	if (w->is_changed && make_lists(w))
		w->on_change(w->ctx);
}

static void on_relist(uv_timer_t *timer)
{
	tell(bh_container_of(timer, struct bh_node_watch, relist));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct bh_node_watch *w = bh_container_of(poll, struct bh_node_watch, poll);

	(void)events;
	drain(w);
	/* libuv stops at an error, which a loss is. */
	if (status < 0)
		uv_poll_start(&w->poll, UV_READABLE, on_readable);
	tell(w);
}

static void destroy(struct bh_node_watch *w)
{
	struct item *item, *next;

	HASH_ITER (hh, w->items, item, next)
		drop(w, item);
	bh_nl_free(&w->watch);
	bh_nl_free(&w->ask);
	free(w->addrs);
	free(w->broadcasts);
	free(w);
}

static int open_sockets(struct bh_node_watch *w, struct bh_err *err)
{
	int r = bh_nl_new(&w->watch, NETLINK_ROUTE, err);

	if (r == 0)
		r = bh_nl_join(w->watch, RTNLGRP_IPV4_IFADDR, err);
	if (r == 0)
		r = bh_nl_join(w->watch, RTNLGRP_IPV6_IFADDR, err);
	return r < 0 ? r : bh_nl_new(&w->ask, NETLINK_ROUTE, err);
}

int bh_node_watch_new(struct bh_node_watch **ret, uv_loop_t *loop, void (*on_change)(void *ctx),
		      void *ctx, struct bh_err *err)
{
	struct bh_node_watch *w = bh_calloc(1, sizeof(*w));
	/* Watched before they are listed, so that nothing falls in between. */
	int r = open_sockets(w, err);

	if (r == 0)
		r = list(w, err);
	if (r == 0) {
		r = uv_poll_init(loop, &w->poll, bh_nl_fd(w->watch));
		if (r < 0)
			bh_err(err, r, "%s", uv_strerror(r));
	}
	if (r < 0) {
		destroy(w);
		return bh_err_wrap(err, r, "cannot watch addresses");
	}
	w->on_change = on_change;
	w->ctx = ctx;
	(void)make_lists(w);
	uv_timer_init(loop, &w->relist);
	w->poll.data = w->relist.data = w;
	w->n_open_handles = 2;
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	*ret = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct bh_node_watch *w = handle->data;

	if (--w->n_open_handles == 0)
		destroy(w);
}

void bh_node_watch_free(struct bh_node_watch **w)
{
	if (!*w)
		return;
	uv_poll_stop(&(*w)->poll);
	uv_close((uv_handle_t *)&(*w)->poll, on_closed);
	uv_close((uv_handle_t *)&(*w)->relist, on_closed);
	*w = NULL;
}
