/*
 * Cutting connections.
 *
 * The rules accept packets of established connections first, so a connection
 * that policy no longer allows lives on in conntrack until its entry goes.  One
 * dump finds those entries; they are deleted after it (a dump and other requests
 * do not mix on one socket) by original tuple, zone and id.  The id makes the
 * kernel refuse (ENOENT) if another connection has taken the tuple meanwhile,
 * ctnetlink_del_conntrack() in net/netfilter/nf_conntrack_netlink.c.
 *
 * Blocks.  Policy judges who opens a connection.  When client -> server is denied
 * and server -> client is not, deleting the entry is not enough: the server's next
 * packet is picked up as a new connection of the server's (TCP mid-stream with
 * nf_conntrack_tcp_loose, its default; UDP always), and the client's packets pass
 * as its replies.  So in the place of the entry we put one with the same original
 * tuple and a reply tuple that no packet has (port 0).  The client's packets find
 * it and are new, again and again, because it never sees a reply; the server's
 * cannot open an entry, because its reply tuple is taken.  IPS_FIXED_TIMEOUT keeps
 * packets from changing its end.
 */
#include "bh/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "bh/alloc.h"
#include "bh/nl.h"

/* A tuple, zone and id fit easily; so does a block. */
#define MAX_REQUEST 512

/* Longer than TCP goes on sending what is not acknowledged (tcp_retries2). */
#define BLOCK_SECONDS 3600
/* Deleting and putting another in its place is a race with the other end's packets. */
#define MAX_BLOCK_TRIES 8

#define BLOCK_STATUS (IPS_CONFIRMED | IPS_FIXED_TIMEOUT)

/* An entry that goes, and what comes in its place. */
struct victim {
	struct nf_conntrack *tuple;
	struct bh_conn conn;
	uint32_t id;
	uint16_t zone;
	bool is_blocked;
};

struct walk {
	enum bh_conn_fate (*judge)(void *ctx, const struct bh_conn *conn);
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

static uint32_t status_of(const struct nf_conntrack *ct)
{
	return nfct_attr_is_set(ct, ATTR_STATUS) > 0 ? nfct_get_attr_u32(ct, ATTR_STATUS) : 0;
}

static bool has_ports(uint8_t protocol)
{
	return protocol != IPPROTO_ICMP && protocol != IPPROTO_ICMPV6;
}

static bool can_block(const struct bh_conn *conn)
{
	return conn->protocol == IPPROTO_TCP || conn->protocol == IPPROTO_UDP;
}

static bool is_block(const struct nf_conntrack *ct, const struct bh_conn *conn)
{
	return can_block(conn) && (status_of(ct) & IPS_FIXED_TIMEOUT) &&
	       (get_port(ct, ATTR_REPL_PORT_SRC) == 0 || get_port(ct, ATTR_REPL_PORT_DST) == 0);
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

	conn.is_block = is_block(ct, &conn);
	conn.is_reply_seen = status_of(ct) & IPS_SEEN_REPLY;
	if (has_ports(conn.protocol)) {
		conn.src_port = get_port(ct, ATTR_ORIG_PORT_SRC);
		conn.dst_port =
			get_port(ct, conn.is_block ? ATTR_ORIG_PORT_DST : ATTR_REPL_PORT_SRC);
	}
	*ret = conn;
	return true;
}

static int add_victim(struct walk *w, const struct nf_conntrack *ct, const struct bh_conn *conn,
		      bool is_blocked)
{
	struct nf_conntrack *tuple = nfct_new();
	uint16_t zone = 0;

	if (!tuple)
		return -ENOMEM;
	nfct_copy(tuple, ct, NFCT_CP_ORIG);
	if (nfct_attr_is_set(ct, ATTR_ZONE) > 0) {
		zone = nfct_get_attr_u16(ct, ATTR_ZONE);
		nfct_set_attr_u16(tuple, ATTR_ZONE, zone);
	}
	bh_grow(&w->victims, &w->cap, w->n, sizeof(*w->victims));
	w->victims[w->n++] = (struct victim){
		.tuple = tuple,
		.conn = *conn,
		.id = nfct_get_attr_u32(ct, ATTR_ID),
		.zone = zone,
		.is_blocked = is_blocked,
	};
	return 0;
}

static int on_entry(const struct nlmsghdr *msg, void *ctx)
{
	struct walk *w = ctx;
	enum bh_conn_fate fate;
	struct bh_conn conn;

	nfct_destroy(w->scratch);
	w->scratch = nfct_new();
	if (!w->scratch)
		return -ENOMEM;
	/* An entry that cannot be read is of a kind that policy is not about. */
	if (nfct_nlmsg_parse(msg, w->scratch) < 0 || !read_conn(w->scratch, &conn))
		return 0;
	fate = w->judge(w->ctx, &conn);
	if (fate == (conn.is_block ? BH_CONN_CUT : BH_CONN_KEEP))
		return 0;
	return add_victim(w, w->scratch, &conn, fate == BH_CONN_CUT && can_block(&conn));
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

static int delete_one(struct bh_nl *nl, const struct nf_conntrack *tuple, const struct bh_addr *a,
		      const uint32_t *id, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	uint8_t family = a->family == BH_IPV4 ? AF_INET : AF_INET6;
	struct nlmsghdr *h = put_request(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, family);

	if (nfct_nlmsg_build(h, tuple) < 0)
		return bh_err(err, -EINVAL, "cannot encode a connection");
	if (id && !mnl_attr_put_u32_check(h, sizeof(buf), CTA_ID, htonl(*id)))
		return bh_err(err, -EMSGSIZE, "cannot encode a connection");
	return bh_nl_request(nl, h, no_answer, NULL, NULL, err);
}

static void set_addr(struct nf_conntrack *ct, enum nf_conntrack_attr v4, enum nf_conntrack_attr v6,
		     const struct bh_addr *a)
{
	nfct_set_attr(ct, a->family == BH_IPV4 ? v4 : v6, a->bytes);
}

/* The original direction of @v, behind DNAT; without a reply tuple. */
static struct nf_conntrack *make_original(const struct victim *v)
{
	const struct bh_conn *c = &v->conn;
	struct nf_conntrack *ct = nfct_new();

	if (!ct)
		return NULL;
	nfct_set_attr_u8(ct, ATTR_ORIG_L3PROTO, c->src.family == BH_IPV4 ? AF_INET : AF_INET6);
	nfct_set_attr_u8(ct, ATTR_ORIG_L4PROTO, c->protocol);
	set_addr(ct, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC, &c->src);
	set_addr(ct, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST, &c->dst);
	nfct_set_attr_u16(ct, ATTR_ORIG_PORT_SRC, htons(c->src_port));
	nfct_set_attr_u16(ct, ATTR_ORIG_PORT_DST, htons(c->dst_port));
	if (v->zone)
		nfct_set_attr_u16(ct, ATTR_ZONE, v->zone);
	return ct;
}

static int put_block(struct bh_nl *nl, const struct victim *v, uint16_t src_port, uint16_t dst_port,
		     struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	const struct bh_conn *c = &v->conn;
	uint8_t family = c->src.family == BH_IPV4 ? AF_INET : AF_INET6;
	struct nf_conntrack *ct = make_original(v);
	struct nlmsghdr *h;
	int r;

	if (!ct)
		return -ENOMEM;
	nfct_set_attr_u8(ct, ATTR_REPL_L3PROTO, family);
	nfct_set_attr_u8(ct, ATTR_REPL_L4PROTO, c->protocol);
	set_addr(ct, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC, &c->dst);
	set_addr(ct, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_DST, &c->src);
	nfct_set_attr_u16(ct, ATTR_REPL_PORT_SRC, htons(src_port));
	nfct_set_attr_u16(ct, ATTR_REPL_PORT_DST, htons(dst_port));
	nfct_set_attr_u32(ct, ATTR_TIMEOUT, BLOCK_SECONDS);
	nfct_set_attr_u32(ct, ATTR_STATUS, BLOCK_STATUS);
	if (c->protocol == IPPROTO_TCP)
		nfct_set_attr_u8(ct, ATTR_TCP_STATE, TCP_CONNTRACK_SYN_SENT);

	h = put_request(buf, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, family);
	r = nfct_nlmsg_build(h, ct);
	nfct_destroy(ct);
	if (r < 0)
		return bh_err(err, -EINVAL, "cannot encode a connection");
	return bh_nl_request(nl, h, no_answer, NULL, NULL, err);
}

/*
 * -EEXIST: the other end's packet came between delete and create, and the
 * connection it opened has our tuple for its replies; it goes as well.  Or it is
 * the reply tuple that is taken, by the block of another connection: there are
 * two to choose from.
 */
static int block(struct bh_nl *nl, const struct victim *v, struct bh_err *err)
{
	struct nf_conntrack *tuple = make_original(v);
	int r = -ENOMEM;

	for (int i = 0; tuple && i < MAX_BLOCK_TRIES; i++) {
		if (i % 2 == 0)
			r = put_block(nl, v, 0, v->conn.src_port, err);
		else
			r = put_block(nl, v, v->conn.dst_port, 0, err);
		if (r != -EEXIST)
			break;
		(void)delete_one(nl, tuple, &v->conn.src, NULL, NULL);
	}
	if (tuple)
		nfct_destroy(tuple);
	return r < 0 ? bh_err_wrap(err, r, "cannot keep a connection from coming back") : 0;
}

static int cut(struct bh_nl *nl, const struct victim *v, struct bh_err *err)
{
	int r = delete_one(nl, v->tuple, &v->conn.src, &v->id, err);

	if (r < 0)
		return bh_err_wrap(err, r, "cannot delete a connection");
	return v->is_blocked ? block(nl, v, err) : 0;
}

static int cut_all(struct bh_nl *nl, const struct walk *w, size_t *ret, struct bh_err *err)
{
	size_t n_cut = 0;
	int first = 0;

	for (size_t i = 0; i < w->n; i++) {
		struct bh_err text = { 0 };
		int r = cut(nl, &w->victims[i], &text);

		if (r == 0) {
			n_cut += !w->victims[i].conn.is_block;
		} else if (r != -ENOENT && first == 0) {
			/* One that stays must not save the others. */
			first = r;
			if (err)
				*err = text;
		}
	}
	*ret = n_cut;
	return first;
}

int bh_conntrack_walk(enum bh_conn_fate (*judge)(void *ctx, const struct bh_conn *conn), void *ctx,
		      size_t *ret_cut, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[64];
	bh_auto(walk_done) struct walk w = { .judge = judge, .ctx = ctx };
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
	return cut_all(nl, &w, ret_cut, err);
}
