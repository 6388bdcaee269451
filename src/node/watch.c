#include "bh/node.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "bh/alloc.h"
#include "node.h"

struct bh_node_watch {
	uv_poll_t poll;
	struct nl_sock *sock;
	void (*on_change)(void *ctx);
	void *ctx;
};

/*
 * What changed is not looked at: whoever is told reads what is there now, which
 * also makes a lost notification (ENOBUFS) as good as a received one.
 */
static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct bh_node_watch *w = bh_container_of(poll, struct bh_node_watch, poll);
	bool is_changed = false;
	char scratch[8192];

	(void)status;
	(void)events;
	/* Bounded, so that a flood of events leaves other sources their turn. */
	for (int i = 0; i < 64; i++) {
		ssize_t n = recv(nl_socket_get_fd(w->sock), scratch, sizeof(scratch), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ENOBUFS)
			break;
		is_changed = true;
	}
	if (is_changed)
		w->on_change(w->ctx);
}

int bh_node_watch_new(struct bh_node_watch **ret, uv_loop_t *loop, void (*on_change)(void *ctx),
		      void *ctx, struct bh_err *err)
{
	bh_auto(bh_route_free) struct nl_sock *sock = NULL;
	struct bh_node_watch *w;
	int r;

	r = bh_route_new(&sock, err);
	if (r < 0)
		return r;
	r = nl_socket_add_memberships(sock, RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_NONE);
	if (r < 0)
		return bh_err(err, bh_route_errno(r), "cannot watch links: %s", nl_geterror(r));

	w = bh_calloc(1, sizeof(*w));
	w->on_change = on_change;
	w->ctx = ctx;
	r = uv_poll_init(loop, &w->poll, nl_socket_get_fd(sock));
	if (r < 0) {
		free(w);
		return bh_err(err, r, "cannot watch links: %s", uv_strerror(r));
	}
	uv_poll_start(&w->poll, UV_READABLE, on_readable);
	w->sock = bh_take_ptr(sock);
	*ret = w;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct bh_node_watch *w = bh_container_of(handle, struct bh_node_watch, poll);

	bh_route_free(&w->sock);
	free(w);
}

void bh_node_watch_free(struct bh_node_watch **w)
{
	if (!*w)
		return;
	uv_poll_stop(&(*w)->poll);
	uv_close((uv_handle_t *)&(*w)->poll, on_closed);
	*w = NULL;
}
