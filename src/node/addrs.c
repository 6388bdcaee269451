#include "bh/node.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <linux/rtnetlink.h>

#include <netlink/errno.h>
#include <netlink/route/addr.h>

#include "bh/alloc.h"
#include "node.h"

/* More than any node has; whoever can add addresses shall not fill our memory. */
#define MAX_ADDRS 65536

int bh_route_new(struct nl_sock **ret, struct bh_err *err)
{
	bh_auto(bh_route_free) struct nl_sock *sock = nl_socket_alloc();
	int r;

	if (!sock)
		return -ENOMEM;
	r = nl_connect(sock, NETLINK_ROUTE);
	if (r < 0)
		return bh_err(err, bh_route_errno(r), "cannot open a route netlink socket: %s",
			      nl_geterror(r));
	*ret = bh_take_ptr(sock);
	return 0;
}

void bh_route_free(struct nl_sock **sock)
{
	if (*sock)
		nl_socket_free(*sock);
	*sock = NULL;
}

int bh_route_errno(int nl_code)
{
	switch (-nl_code) {
	case NLE_NOMEM: return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS: return -EPERM;
	case NLE_DUMP_INTR: return -EAGAIN;
	default: return -EIO;
	}
}

struct collection {
	struct bh_addr *items;
	size_t n, cap;
};

static void collect(struct nl_object *object, void *arg)
{
	struct rtnl_addr *a = (struct rtnl_addr *)object;
	struct nl_addr *local = rtnl_addr_get_local(a);
	int scope = rtnl_addr_get_scope(a);
	struct collection *c = arg;
	struct bh_addr addr;

	if (!local ||
	    (scope != RT_SCOPE_UNIVERSE && scope != RT_SCOPE_LINK && scope != RT_SCOPE_SITE))
		return;
	if (c->n >= MAX_ADDRS)
		return;
	if (bh_addr_from_bytes(nl_addr_get_binary_addr(local), nl_addr_get_len(local), &addr) < 0)
		return;
	bh_grow(&c->items, &c->cap, c->n, sizeof(*c->items));
	c->items[c->n++] = addr;
}

static int cmp_addr(const void *a, const void *b)
{
	return bh_addr_cmp(a, b);
}

int bh_node_addrs(struct bh_addr **ret, size_t *n, struct bh_err *err)
{
	bh_auto(bh_route_free) struct nl_sock *sock = NULL;
	struct collection c = { 0 };
	struct nl_cache *cache;
	size_t kept = 0;
	int r;

	r = bh_route_new(&sock, err);
	if (r < 0)
		return r;
	r = rtnl_addr_alloc_cache(sock, &cache);
	if (r < 0)
		return bh_err(err, bh_route_errno(r), "cannot list addresses: %s", nl_geterror(r));
	nl_cache_foreach(cache, collect, &c);
	nl_cache_free(cache);

	/* Sorted and each once: link-local addresses repeat between links. */
	if (c.n > 0)
		bh_sort(c.items, c.n, sizeof(*c.items), cmp_addr);
	for (size_t i = 0; i < c.n; i++)
		if (i == 0 || !bh_addr_eq(&c.items[i], &c.items[kept - 1]))
			c.items[kept++] = c.items[i];
	*ret = c.items;
	*n = kept;
	return 0;
}
