/*
 * Revoking connections.
 *
 * The rules accept packets of established connections first, so a connection
 * that policy no longer allows lives on in conntrack until its entry goes.  One
 * dump finds those entries; they are deleted after it (a dump and other requests
 * do not mix on one socket) by original tuple, zone and id.  The id makes the
 * kernel refuse (ENOENT) if another connection has taken the tuple meanwhile,
 * ctnetlink_del_conntrack() in net/netfilter/nf_conntrack_netlink.c.
 */
#include "bh/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "bh/alloc.h"
#include "bh/nl.h"

/* A tuple, zone and id fit easily. */
#define MAX_DELETE 512

/* One request to delete, as bytes ready to send. */
struct victim {
	struct nf_conntrack *tuple;
	uint32_t id;
	uint8_t family;
};

struct walk {
	bool (*is_revoked)(void *ctx, const struct bh_conn *conn);
	void *ctx;
	struct nf_conntrack *scratch;
	struct victim *victims;
	size_t n, cap;
};

static void forget_victims(struct walk *w)
{
	for (size_t i = 0; i < w->n; i++)
		nfct_destroy(w->victims[i].tuple);
	w->n = 0;
}

static void walk_done(struct walk *w)
{
	forget_victims(w);
	free(w->victims);
	if (w->scratch)
		nfct_destroy(w->scratch);
}

static bool get_addr(const struct nf_conntrack *ct, enum nf_conntrack_attr v4,
		     enum nf_conntrack_attr v6, struct bh_addr *ret)
{
	bool is_v6 = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO) == AF_INET6;
	enum nf_conntrack_attr attr = is_v6 ? v6 : v4;

	if (!nfct_attr_is_set(ct, attr))
		return false;
	return bh_addr_from_bytes(nfct_get_attr(ct, attr), is_v6 ? 16 : 4, ret) == 0;
}

static uint16_t get_port(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
	return nfct_attr_is_set(ct, attr) > 0 ? ntohs(nfct_get_attr_u16(ct, attr)) : 0;
}

/*
 * The reply tuple's source is where the connection really goes, that is the
 * destination after DNAT; the original tuple's source is the one before SNAT.
 */
static bool read_conn(const struct nf_conntrack *ct, struct bh_conn *ret)
{
	uint8_t l3 = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO);
	struct bh_conn conn = { .protocol = nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO) };

	if (l3 != AF_INET && l3 != AF_INET6)
		return false;
	if (!get_addr(ct, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC, &conn.src) ||
	    !get_addr(ct, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC, &conn.dst) ||
	    !get_addr(ct, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST, &conn.orig_dst))
		return false;

	if (conn.protocol != IPPROTO_ICMP && conn.protocol != IPPROTO_ICMPV6) {
		conn.src_port = get_port(ct, ATTR_ORIG_PORT_SRC);
		conn.dst_port = get_port(ct, ATTR_REPL_PORT_SRC);
	}
	if (nfct_attr_is_set(ct, ATTR_STATUS) > 0)
		conn.is_reply_seen = nfct_get_attr_u32(ct, ATTR_STATUS) & IPS_SEEN_REPLY;
	*ret = conn;
	return true;
}

static int add_victim(struct walk *w, const struct nf_conntrack *ct)
{
	struct nf_conntrack *tuple = nfct_new();

	if (!tuple)
		return -ENOMEM;
	nfct_copy(tuple, ct, NFCT_CP_ORIG);
	if (nfct_attr_is_set(ct, ATTR_ZONE) > 0)
		nfct_set_attr_u16(tuple, ATTR_ZONE, nfct_get_attr_u16(ct, ATTR_ZONE));
	bh_grow(&w->victims, &w->cap, w->n, sizeof(*w->victims));
	w->victims[w->n++] = (struct victim){
		.tuple = tuple,
		.id = nfct_get_attr_u32(ct, ATTR_ID),
		.family = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO),
	};
	return 0;
}

static int on_entry(const struct nlmsghdr *msg, void *ctx)
{
	struct walk *w = ctx;
	struct bh_conn conn;

	nfct_destroy(w->scratch);
	w->scratch = nfct_new();
	if (!w->scratch)
		return -ENOMEM;
	/* An entry that cannot be read is of a kind that policy is not about. */
	if (nfct_nlmsg_parse(msg, w->scratch) < 0 || !read_conn(w->scratch, &conn))
		return 0;
	if (!w->is_revoked(w->ctx, &conn))
		return 0;
	return add_victim(w, w->scratch);
}

/* The kernel starts its dump again. */
static void on_restart(void *ctx)
{
	forget_victims(ctx);
}

static struct nlmsghdr *put_request(void *buf, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	return h;
}

static int no_answer(const struct nlmsghdr *msg, void *ctx)
{
	(void)msg;
	(void)ctx;
	return 0;
}

static int delete_one(struct bh_nl *nl, const struct victim *v, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_DELETE];
	struct nlmsghdr *h = put_request(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, v->family);

	if (nfct_nlmsg_build(h, v->tuple) < 0)
		return bh_err(err, -EINVAL, "cannot encode a connection");
	if (!mnl_attr_put_u32_check(h, sizeof(buf), CTA_ID, htonl(v->id)))
		return bh_err(err, -EMSGSIZE, "cannot encode a connection");
	return bh_nl_request(nl, h, no_answer, NULL, NULL, err);
}

static int delete_victims(struct bh_nl *nl, const struct walk *w, size_t *ret, struct bh_err *err)
{
	size_t n_deleted = 0;
	int first = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct bh_err text = { 0 };
		int r = delete_one(nl, &w->victims[i], &text);

		if (r == 0) {
			n_deleted++;
		} else if (r != -ENOENT && first == 0) {
			/* One that stays must not save the others. */
			first = r;
			if (err)
				*err = text;
		}
	}
	*ret = n_deleted;
	return first < 0 ? bh_err_wrap(err, first, "cannot delete a connection") : 0;
}

int bh_conntrack_revoke(bool (*is_revoked)(void *ctx, const struct bh_conn *conn), void *ctx,
			size_t *ret_deleted, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[64];
	bh_auto(walk_done) struct walk w = { .is_revoked = is_revoked, .ctx = ctx };
	bh_auto(bh_nl_free) struct bh_nl *nl = NULL;
	int r;

	w.scratch = nfct_new();
	if (!w.scratch)
		return -ENOMEM;
	r = bh_nl_new(&nl, NETLINK_NETFILTER, err);
	if (r < 0)
		return r;
	(void)bh_nl_set_rcvbuf(nl, 4u << 20);
	r = bh_nl_request(nl, put_request(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC), on_entry,
			  on_restart, &w, err);
	if (r < 0)
		return bh_err_wrap(err, r, "cannot list connections");
	return delete_victims(nl, &w, ret_deleted, err);
}
