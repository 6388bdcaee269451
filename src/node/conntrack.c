/*
 * The kernel's connection table over ctnetlink: listing and deleting.
 *
 * A listing is read message by message, so that whoever reads a table of hundreds of
 * thousands of entries does so in portions.  Listing and deleting have a socket each:
 * a dump and other requests do not mix on one.
 *
 * An entry is deleted by original tuple, zone and id.  The id makes the kernel refuse
 * (ENOENT) if another connection has taken the tuple meanwhile,
 * ctnetlink_del_conntrack() in net/netfilter/nf_conntrack_netlink.c.
 *
 * What a listing costs: the kernel locks every bucket of a table that all network
 * namespaces share, 15-20 ns each, and builds 300 bytes for each entry it tells.  A
 * filter by address saves the second part only.  Deleting by address and /proc pass
 * by empty buckets without a lock, which takes a tenth of the time.
 */
#include "bh/node.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "bh/alloc.h"
#include "bh/nl.h"

/* A tuple, zone and id fit easily. */
#define MAX_REQUEST 512
/* Deletions in one sendmsg(); the answers of all fit in the receive buffer. */
#define MAX_DELETES  64
#define RCVBUF_BYTES (1u << 20)

/*
 * Since Linux 5.8: which fields of the tuples that come along entries must have,
 * enum ctattr_filter and CTA_FILTER_FLAG() in nf_conntrack_netlink.c.
 */
#define ATTR_FILTER        25
#define ATTR_FILTER_ORIG   1
#define ATTR_FILTER_REPLY  2
#define FILTER_FLAG_IP_SRC (1u << 0)
/* net/netfilter/nf_conntrack_proto_tcp.c sets it for what it picks up in mid-stream. */
#define TCP_FLAG_BE_LIBERAL 0x08

struct bh_conntrack {
	struct bh_nl *list, *ask;
	struct nf_conntrack *scratch;
	uint32_t seq; /* of the listing */
	bool is_listing;
};

int bh_conntrack_new(struct bh_conntrack **ret, struct bh_err *err)
{
	bh_auto(bh_conntrack_free) struct bh_conntrack *ct = bh_calloc(1, sizeof(*ct));
	int r;

	ct->scratch = nfct_new();
	if (!ct->scratch)
		return -ENOMEM;
	r = bh_nl_new(&ct->list, NETLINK_NETFILTER, err);
	if (r == 0)
		r = bh_nl_new(&ct->ask, NETLINK_NETFILTER, err);
	if (r < 0)
		return r;
	(void)bh_nl_set_rcvbuf(ct->list, RCVBUF_BYTES);
	(void)bh_nl_set_rcvbuf(ct->ask, RCVBUF_BYTES);
	*ret = bh_take_ptr(ct);
	return 0;
}

void bh_conntrack_free(struct bh_conntrack **ct)
{
	if (!*ct)
		return;
	bh_nl_free(&(*ct)->list);
	bh_nl_free(&(*ct)->ask);
	if ((*ct)->scratch)
		nfct_destroy((*ct)->scratch);
	free(*ct);
	*ct = NULL;
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

static uint8_t af_of(const struct bh_addr *a)
{
	return a->family == BH_IPV4 ? AF_INET : AF_INET6;
}

/* --- counting --------------------------------------------------------------------- */

static int on_stats_attr(const struct nlattr *a, void *ctx)
{
	uint32_t *n = ctx;

	if (mnl_attr_get_type(a) == CTA_STATS_GLOBAL_ENTRIES &&
	    mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		*n = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int on_stats(const struct nlmsghdr *msg, void *ctx)
{
	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_stats_attr, ctx);
	return 0;
}

int bh_conntrack_count(struct bh_conntrack *ct, uint32_t *ret, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h = put_request(buf, IPCTNL_MSG_CT_GET_STATS, 0, AF_UNSPEC);
	uint32_t n = UINT32_MAX;
	int r = bh_nl_request(ct->ask, h, on_stats, NULL, &n, err);

	if (r < 0)
		return bh_err_wrap(err, r, "cannot count connections");
	*ret = n;
	return 0;
}

/* --- reading ---------------------------------------------------------------------- */

static bool get_addr(const struct nf_conntrack *ct, enum nf_conntrack_attr v4,
		     enum nf_conntrack_attr v6, struct bh_addr *ret)
{
	bool is_v6 = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO) == AF_INET6;
	enum nf_conntrack_attr attr = is_v6 ? v6 : v4;

	if (!nfct_attr_is_set(ct, attr))
		return false;
	return bh_addr_from_bytes(nfct_get_attr(ct, attr), is_v6 ? 16 : 4, ret) == 0;
}

static uint8_t get_u8(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
	return nfct_attr_is_set(ct, attr) > 0 ? nfct_get_attr_u8(ct, attr) : 0;
}

static uint16_t get_port(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
	return nfct_attr_is_set(ct, attr) > 0 ? ntohs(nfct_get_attr_u16(ct, attr)) : 0;
}

static uint32_t get_u32(const struct nf_conntrack *ct, enum nf_conntrack_attr attr)
{
	return nfct_attr_is_set(ct, attr) > 0 ? nfct_get_attr_u32(ct, attr) : 0;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static bool is_picked_up(const struct nf_conntrack *ct)
{
	return get_u8(ct, ATTR_TCP_FLAGS_ORIG) & get_u8(ct, ATTR_TCP_FLAGS_REPL) &
	       TCP_FLAG_BE_LIBERAL;
}

static void read_ports(const struct nf_conntrack *ct, struct bh_conn *c)
{
	c->src_port = get_port(ct, ATTR_ORIG_PORT_SRC);
	c->orig_dst_port = get_port(ct, ATTR_ORIG_PORT_DST);
	c->dst_port = get_port(ct, ATTR_REPL_PORT_SRC);
	c->back_dst_port = get_port(ct, ATTR_REPL_PORT_DST);
	c->is_block = (c->protocol == IPPROTO_TCP || c->protocol == IPPROTO_UDP) &&
		      (get_u32(ct, ATTR_STATUS) & IPS_FIXED_TIMEOUT) &&
		      (c->dst_port == 0 || c->back_dst_port == 0);
	if (!c->is_block)
		return;
	c->dst_port = c->orig_dst_port;
	c->back_dst_port = c->src_port;
}

/*
 * The reply tuple's source is where the connection really goes, that is the
 * destination after DNAT; the original tuple's source is the one before SNAT.
 */
static bool read_conn(const struct nf_conntrack *ct, struct bh_conn *ret)
{
	uint8_t l3 = nfct_get_attr_u8(ct, ATTR_ORIG_L3PROTO);
	struct bh_conn c = {
		.protocol = nfct_get_attr_u8(ct, ATTR_ORIG_L4PROTO),
		.id = get_u32(ct, ATTR_ID),
		.zone = nfct_attr_is_set(ct, ATTR_ZONE) > 0 ? nfct_get_attr_u16(ct, ATTR_ZONE) : 0,
		.is_reply_seen = get_u32(ct, ATTR_STATUS) & IPS_SEEN_REPLY,
	};

	if (l3 != AF_INET && l3 != AF_INET6)
		return false;
	if (!get_addr(ct, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC, &c.src) ||
	    !get_addr(ct, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST, &c.orig_dst) ||
	    !get_addr(ct, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC, &c.dst) ||
	    !get_addr(ct, ATTR_REPL_IPV4_DST, ATTR_REPL_IPV6_DST, &c.back_dst))
		return false;
	if (is_icmp(c.protocol)) {
		c.icmp_type = get_u8(ct, ATTR_ICMP_TYPE);
		c.icmp_code = get_u8(ct, ATTR_ICMP_CODE);
		c.icmp_id = get_port(ct, ATTR_ICMP_ID);
	} else {
		read_ports(ct, &c);
	}
	c.is_picked_up = c.protocol == IPPROTO_TCP && is_picked_up(ct);
	*ret = c;
	return true;
}

/*
 * Linux up to 6.18 at least takes IPv6 addresses that are *not* the filter's
 * (ctnetlink_filter_match_tuple() in nf_conntrack_netlink.c has the comparison turned
 * round): there the caller's own look at each entry is the only filter.
 */
static bool can_filter(const struct bh_addr *a)
{
	return a->family == BH_IPV4;
}

static void put_filter(struct nlmsghdr *h, enum bh_conn_side side, const struct bh_addr *a)
{
	bool is_src = side == BH_CONN_SIDE_SRC;
	struct nlattr *tuple = mnl_attr_nest_start(h, is_src ? CTA_TUPLE_ORIG : CTA_TUPLE_REPLY);
	struct nlattr *nest = mnl_attr_nest_start(h, CTA_TUPLE_IP);

	mnl_attr_put(h, a->family == BH_IPV4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC,
		     bh_family_len(a->family), a->bytes);
	mnl_attr_nest_end(h, nest);
	mnl_attr_nest_end(h, tuple);
	nest = mnl_attr_nest_start(h, ATTR_FILTER);
	mnl_attr_put_u32(h, ATTR_FILTER_ORIG, is_src ? FILTER_FLAG_IP_SRC : 0);
	mnl_attr_put_u32(h, ATTR_FILTER_REPLY, is_src ? 0 : FILTER_FLAG_IP_SRC);
	mnl_attr_nest_end(h, nest);
}

/* The rest of an earlier listing, which nobody wants any more. */
static void read_off(struct bh_conntrack *ct)
{
	while (ct->is_listing) {
		size_t n;
		struct bh_conn rest[BH_CONNTRACK_MIN_ROOM];

		if (bh_conntrack_read(ct, NULL, NULL, rest, BH_ARRAY_LEN(rest), &n, NULL) <= 0)
			return;
	}
}

int bh_conntrack_list(struct bh_conntrack *ct, enum bh_conn_side side, const struct bh_addr *addr,
		      struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h =
		put_request(buf, IPCTNL_MSG_CT_GET, NLM_F_DUMP, addr ? af_of(addr) : AF_UNSPEC);
	int r;

	read_off(ct);
	if (side != BH_CONN_SIDE_ANY && can_filter(addr))
		put_filter(h, side, addr);
	h->nlmsg_seq = ct->seq = bh_nl_next_seq(ct->list);
	r = bh_nl_send(ct->list, h, h->nlmsg_len, err);
	if (r < 0)
		return bh_err_wrap(err, r, "cannot list connections");
	ct->is_listing = true;
	return 0;
}

/* --- without listing ---------------------------------------------------------------- */

static int flush(struct bh_conntrack *ct, enum bh_conn_side side, const struct bh_addr *addr,
		 struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h = put_request(buf, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, af_of(addr));

	put_filter(h, side, addr);
	return bh_nl_request(ct->ask, h, on_stats, NULL, &(uint32_t){ 0 }, err);
}

/* Kernels without this take the tuple for a connection's, and find it incomplete. */
int bh_conntrack_forget(struct bh_conntrack *ct, const struct bh_addr *addr, struct bh_err *err)
{
	int r;

	if (!can_filter(addr))
		return -EOPNOTSUPP;
	r = flush(ct, BH_CONN_SIDE_SRC, addr, err);
	if (r == 0)
		r = flush(ct, BH_CONN_SIDE_DST, addr, err);
	return r < 0 ? bh_err_wrap(err, r, "cannot delete the connections of an address") : 0;
}

/* As ip_conntrack and nf_conntrack_standalone.c print it, between two blanks of a line. */
static void format_word(const struct bh_addr *a, char ret[BH_ADDR_STRLEN + 2])
{
	char text[BH_ADDR_STRLEN];
	size_t n = 0;

	if (a->family == BH_IPV4) {
		snprintf(ret, BH_ADDR_STRLEN + 2, "=%s ", bh_addr_format(a, text));
		return;
	}
	/* %pI6: every digit. */
	for (size_t i = 0; i < 16; i += 2)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%02x%02x", i ? ":" : "",
				      a->bytes[i], a->bytes[i + 1]);
	snprintf(ret, BH_ADDR_STRLEN + 2, "=%s ", text);
}

/* "ipv4 2 tcp 6 117 TIME_WAIT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=..." */
int bh_conntrack_peek(const struct bh_addr *addrs, size_t n)
{
	enum { ROOM = 65536 };
	char words[BH_CONNTRACK_MAX_PEEK][BH_ADDR_STRLEN + 2];
	bh_auto_close int fd = open("/proc/thread-self/net/nf_conntrack", O_RDONLY | O_CLOEXEC);
	bh_auto_free char *buf = bh_malloc(ROOM);
	size_t kept = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < n; i++)
		format_word(&addrs[i], words[i]);
	while ((got = read(fd, buf + kept, ROOM - kept)) > 0) {
		size_t len = kept + (size_t)got;

		for (size_t i = 0; i < n; i++)
			if (memmem(buf, len, words[i], strlen(words[i])))
				return 1;
		/* A word may go on in the next part. */
		kept = len < sizeof(words[0]) ? len : sizeof(words[0]);
		memmove(buf, buf + len - kept, kept);
	}
	return got < 0 ? -errno : 0;
}

/* --- listing ------------------------------------------------------------------------ */

struct reader {
	bool (*wants)(void *ctx, const struct bh_conn *conn);
	void *ctx;
	struct bh_conn *conns;
	size_t n, max;
};

static int read_entry(struct bh_conntrack *ct, const struct nlmsghdr *msg, struct reader *rd)
{
	struct bh_conn conn;

	nfct_destroy(ct->scratch);
	ct->scratch = nfct_new();
	if (!ct->scratch)
		return -ENOMEM;
	/* An entry that cannot be read is of a kind that policy is not about. */
	if (nfct_nlmsg_parse(msg, ct->scratch) < 0 || !read_conn(ct->scratch, &conn))
		return 0;
	if (rd->wants && !rd->wants(rd->ctx, &conn))
		return 0;
	if (rd->n == rd->max)
		return -EOVERFLOW;
	rd->conns[rd->n++] = conn;
	return 0;
}

/* 1 where more datagrams follow, 0 after the last. */
static int read_datagram(struct bh_conntrack *ct, const struct nlmsghdr *msg, int len,
			 struct reader *rd, struct bh_err *err)
{
	for (; bh_nl_ok(msg, len); msg = mnl_nlmsg_next(msg, &len)) {
		int r = 0;

		if (msg->nlmsg_seq != ct->seq)
			continue;
		if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
			ct->is_listing = false;
			return bh_nl_status(msg, NULL, err);
		}
		if (msg->nlmsg_type >= NLMSG_MIN_TYPE)
			r = read_entry(ct, msg, rd);
		if (r < 0)
			return bh_err(err, r, "%s", strerror(-r));
	}
	return 1;
}

int bh_conntrack_read(struct bh_conntrack *ct, bool (*wants)(void *ctx, const struct bh_conn *conn),
		      void *ctx, struct bh_conn *conns, size_t max, size_t *ret_n,
		      struct bh_err *err)
{
	struct reader rd = { .wants = wants, .ctx = ctx, .conns = conns, .max = max };
	int r = ct->is_listing;

	while (r > 0 && rd.n + BH_CONNTRACK_MIN_ROOM <= max) {
		const struct nlmsghdr *msg;
		int n = bh_nl_recv(ct->list, true, &msg);

		r = n < 0 ? bh_err(err, n, "%s", strerror(-n))
			  : read_datagram(ct, msg, n, &rd, err);
	}
	if (r < 0) {
		ct->is_listing = false;
		return bh_err_wrap(err, r, "cannot list connections");
	}
	*ret_n = rd.n;
	return r;
}

/* --- deleting --------------------------------------------------------------------- */

static void set_addr(struct nf_conntrack *ct, enum nf_conntrack_attr v4, enum nf_conntrack_attr v6,
		     const struct bh_addr *a)
{
	nfct_set_attr(ct, a->family == BH_IPV4 ? v4 : v6, a->bytes);
}

/* The original tuple of @c as it is in the kernel. */
static struct nf_conntrack *make_tuple(const struct bh_conn *c)
{
	struct nf_conntrack *ct = nfct_new();

	if (!ct)
		return NULL;
	nfct_set_attr_u8(ct, ATTR_ORIG_L3PROTO, af_of(&c->src));
	nfct_set_attr_u8(ct, ATTR_ORIG_L4PROTO, c->protocol);
	set_addr(ct, ATTR_ORIG_IPV4_SRC, ATTR_ORIG_IPV6_SRC, &c->src);
	set_addr(ct, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST, &c->orig_dst);
	if (is_icmp(c->protocol)) {
		nfct_set_attr_u8(ct, ATTR_ICMP_TYPE, c->icmp_type);
		nfct_set_attr_u8(ct, ATTR_ICMP_CODE, c->icmp_code);
		nfct_set_attr_u16(ct, ATTR_ICMP_ID, htons(c->icmp_id));
	} else {
		nfct_set_attr_u16(ct, ATTR_ORIG_PORT_SRC, htons(c->src_port));
		nfct_set_attr_u16(ct, ATTR_ORIG_PORT_DST, htons(c->orig_dst_port));
	}
	if (c->zone)
		nfct_set_attr_u16(ct, ATTR_ZONE, c->zone);
	return ct;
}

static int put_delete(void *at, size_t room, const struct bh_conn *c, uint32_t seq)
{
	struct nlmsghdr *h = put_request(at, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, af_of(&c->src));
	struct nf_conntrack *tuple = make_tuple(c);
	int r;

	if (!tuple)
		return -ENOMEM;
	h->nlmsg_seq = seq;
	r = nfct_nlmsg_build(h, tuple);
	nfct_destroy(tuple);
	if (r < 0 || !mnl_attr_put_u32_check(h, room, CTA_ID, htonl(c->id)))
		return -EINVAL;
	return (int)h->nlmsg_len;
}

struct deletion {
	uint32_t first_seq;
	size_t n, n_answers, n_gone; /* of n requests; how many entries were there and went */
	int first;                   /* error */
	struct bh_err *err;
};

static void on_answer(struct deletion *d, const struct nlmsghdr *msg)
{
	struct bh_err text = { 0 };
	int code;

	if (msg->nlmsg_type != NLMSG_ERROR || msg->nlmsg_seq - d->first_seq >= d->n)
		return;
	d->n_answers++;
	code = bh_nl_status(msg, NULL, &text);
	d->n_gone += code == 0;
	if (code < 0 && code != -ENOENT && d->first == 0) {
		/* One that stays must not save the others. */
		d->first = code;
		if (d->err)
			*d->err = text;
	}
}

static int collect(struct bh_conntrack *ct, struct deletion *d)
{
	while (d->n_answers < d->n) {
		const struct nlmsghdr *msg;
		int n = bh_nl_recv(ct->ask, true, &msg);

		if (n < 0)
			return bh_err_wrap(d->err, n, "the kernel's answer is missing");
		for (; bh_nl_ok(msg, n); msg = mnl_nlmsg_next(msg, &n))
			on_answer(d, msg);
	}
	return d->first;
}

/* At most MAX_DELETES, in one sendmsg(). */
static int delete_some(struct bh_conntrack *ct, const struct bh_conn *conns, size_t n,
		       size_t *n_gone, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_DELETES * MAX_REQUEST];
	struct deletion d = { .err = err };
	size_t len = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		uint32_t seq = bh_nl_next_seq(ct->ask);

		if (i == 0)
			d.first_seq = seq;
		r = put_delete(buf + len, MAX_REQUEST, &conns[i], seq);
		if (r < 0)
			return bh_err(err, r, "cannot encode a connection");
		len += (size_t)r; /* aligned, as libmnl pads every attribute */
		d.n++;
	}
	r = bh_nl_send(ct->ask, buf, len, err);
	if (r == 0)
		r = collect(ct, &d);
	*n_gone += d.n_gone;
	return r;
}

int bh_conntrack_delete(struct bh_conntrack *ct, const struct bh_conn *conns, size_t n,
			size_t *ret_n, struct bh_err *err)
{
	size_t n_gone = 0;
	int first = 0;

	for (size_t i = 0; i < n; i += MAX_DELETES) {
		size_t some = n - i < MAX_DELETES ? n - i : MAX_DELETES;
		struct bh_err text = { 0 };
		int r = delete_some(ct, conns + i, some, &n_gone, &text);

		if (r < 0 && first == 0) {
			first = r;
			if (err)
				*err = text;
		}
	}
	*ret_n = n_gone;
	return first < 0 ? bh_err_wrap(err, first, "cannot delete a connection") : 0;
}
