/*
 * The kernel collects logged packets into one netlink datagram until it is
 * full, holds QUEUE packets, or TIMEOUT has passed since its first.  So a lone
 * packet comes after 20 ms and a flood in few, large datagrams.  (A rule that
 * names a queue threshold of its own makes it smaller, never larger.)
 */
#include "bh/nflog.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <string.h>
#include <sys/socket.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/nl.h"

#define QUEUE       100u
#define TIMEOUT     2u /* in 1/100 s */
#define DATAGRAM    (32u * 1024)
#define RCVBUF      (8u * 1024 * 1024)
#define READ_BUFFER (128u * 1024) /* the kernel's largest, NFULNL_NLBUFSIZ_MAX */
#define PACKET_TYPE (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET)
#define CONFIG_TYPE (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG)
#define MAX_EARLY   1024 /* datagrams before the answer to the request */
#define MAX_REQUEST 256

/* --- messages ------------------------------------------------------------------ */

static int read_u32(const struct nlattr *a, uint32_t *ret)
{
	if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
		return MNL_CB_ERROR;
	*ret = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static int read_header(const struct nlattr *a, struct bh_nflog_msg *m)
{
	struct nfulnl_msg_packet_hdr h;

	if (mnl_attr_get_payload_len(a) < sizeof(h))
		return MNL_CB_ERROR;
	memcpy(&h, mnl_attr_get_payload(a), sizeof(h));
	m->hook = h.hook;
	m->ether_type = ntohs(h.hw_protocol);
	return MNL_CB_OK;
}

static int read_timestamp(const struct nlattr *a, struct bh_nflog_msg *m)
{
	uint64_t t[2]; /* struct nfulnl_msg_packet_timestamp: seconds, microseconds */
	uint64_t sec, usec;

	if (mnl_attr_get_payload_len(a) < sizeof(t))
		return MNL_CB_ERROR;
	memcpy(t, mnl_attr_get_payload(a), sizeof(t));
	sec = be64toh(t[0]);
	usec = be64toh(t[1]);
	if (usec >= 1000000 || sec >= UINT64_MAX / BH_NS_PER_S)
		return MNL_CB_OK; /* nonsense is as good as none */
	m->timestamp_ns = sec * BH_NS_PER_S + usec * 1000;
	return MNL_CB_OK;
}

static int on_attr(const struct nlattr *a, void *ctx)
{
	struct bh_nflog_msg *m = ctx;

	switch (mnl_attr_get_type(a)) {
	case NFULA_PACKET_HDR: return read_header(a, m);
	case NFULA_TIMESTAMP: return read_timestamp(a, m);
	case NFULA_PREFIX:
		if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
			return MNL_CB_ERROR;
		m->prefix = mnl_attr_get_str(a);
		break;
	case NFULA_PAYLOAD:
		m->payload = mnl_attr_get_payload(a);
		m->payload_len = mnl_attr_get_payload_len(a);
		break;
	case NFULA_SEQ: m->has_seq = true; return read_u32(a, &m->seq);
	case NFULA_MARK: return read_u32(a, &m->mark);
	case NFULA_IFINDEX_INDEV: return read_u32(a, &m->in_ifindex);
	case NFULA_IFINDEX_OUTDEV: return read_u32(a, &m->out_ifindex);
	case NFULA_IFINDEX_PHYSINDEV: return read_u32(a, &m->physin_ifindex);
	case NFULA_IFINDEX_PHYSOUTDEV: return read_u32(a, &m->physout_ifindex);
	default: /* newer kernels send more; that is fine */ break;
	}
	return MNL_CB_OK;
}

int bh_nflog_parse(const struct nlmsghdr *h, struct bh_nflog_msg *ret)
{
	struct bh_nflog_msg m = { .prefix = "" };

	/* The kernel pads; libmnl would read an unpadded end as if it were. */
	if (h->nlmsg_type != PACKET_TYPE || h->nlmsg_len % MNL_ALIGNTO != 0 ||
	    h->nlmsg_len < mnl_nlmsg_size(sizeof(struct nfgenmsg)))
		return -EBADMSG;
	if (mnl_attr_parse(h, sizeof(struct nfgenmsg), on_attr, &m) < 0)
		return -EBADMSG;
	m.family = ((const struct nfgenmsg *)mnl_nlmsg_get_payload(h))->nfgen_family;
	*ret = m;
	return 0;
}

/* --- the socket ---------------------------------------------------------------- */

struct bh_nflog {
	struct mnl_socket *sock;
	uint16_t group;
	uint32_t next_seq;
	/* Aligned for struct nlmsghdr. */
	char buf[READ_BUFFER] __attribute__((aligned(8)));
};

static int set_rcvbuf(const struct bh_nflog *n, uint32_t bytes, struct bh_err *err)
{
	const int size = bytes > INT32_MAX ? INT32_MAX : (int)bytes;
	const int fd = mnl_socket_get_fd(n->sock);

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) == 0)
		return 0;
	/* Without CAP_NET_ADMIN over the init user namespace: as much as the system allows. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0)
		return 0;
	return bh_err_wrap(err, -errno, "cannot set the receive buffer to %u bytes", bytes);
}

/*
 * Everything in one message: the kernel makes the group and configures it before
 * it answers.
 */
static void put_request(struct nlmsghdr *h, const struct bh_nflog_config *config)
{
	const struct nfulnl_msg_config_cmd cmd = { .command = NFULNL_CFG_CMD_BIND };
	const struct nfulnl_msg_config_mode mode = {
		.copy_range = htonl(config->copy_len),
		.copy_mode = NFULNL_COPY_PACKET,
	};
	struct nfgenmsg *g;

	h->nlmsg_type = CONFIG_TYPE;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	h->nlmsg_seq = 1;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(config->group);
	mnl_attr_put(h, NFULA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(h, NFULA_CFG_NLBUFSIZ, htonl(DATAGRAM));
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(QUEUE));
	mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(TIMEOUT));
	mnl_attr_put_u16(h, NFULA_CFG_FLAGS, htons(NFULNL_CFG_F_SEQ));
}

/*
 * The next datagram.  Other processes may send to our port, so the kernel's port 0
 * is checked; -ENOMSG for theirs.
 */
static ssize_t receive(struct bh_nflog *n, int flags)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = n->buf, .iov_len = sizeof(n->buf) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t len;

	do
		len = recvmsg(mnl_socket_get_fd(n->sock), &msg, flags);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if (msg.msg_namelen < sizeof(from) || from.nl_pid != 0)
		return -ENOMSG;
	/* Cut short: what is missing of it shows in the sequence. */
	return len;
}

/* 1: not the answer. */
static int read_answer(const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_seq != 1 ||
	    h->nlmsg_len < mnl_nlmsg_size(sizeof(*e)))
		return 1;
	return e->error > 0 ? -EPROTO : e->error;
}

/*
 * The answer lies in the socket when sendto() returns.  Packets can only be
 * before it when a hundred came within these microseconds; they show as lost,
 * because the first sequence number is known to be 0.
 */
static int await_answer(struct bh_nflog *n)
{
	for (int i = 0; i < MAX_EARLY; i++) {
		ssize_t len = receive(n, MSG_DONTWAIT);
		const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)n->buf;
		int left = (int)len;

		if (len == -ENOMSG || len == -ENOBUFS)
			continue;
		if (len < 0)
			return (int)len;
		for (; bh_nl_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			int r = read_answer(h);

			if (r <= 0)
				return r;
		}
	}
	return -EPROTO;
}

static int bind_group(struct bh_nflog *n, const struct bh_nflog_config *config, struct bh_err *err)
{
	char buf[MAX_REQUEST] __attribute__((aligned(8)));
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int r;

	put_request(h, config);
	if (mnl_socket_sendto(n->sock, h, h->nlmsg_len) < 0)
		return bh_err_wrap(err, -errno, "cannot ask for NFLOG group %u", config->group);
	r = await_answer(n);
	if (r == 0)
		return 0;

	/* EPERM means either of two things (nfnetlink_log.c, nfulnl_recv_config()). */
	if (r == -EPERM && !capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN))
		return bh_err(err, r, "NFLOG group %u needs CAP_NET_ADMIN", config->group);
	if (r == -EPERM || r == -EBUSY || r == -EEXIST)
		return bh_err(
			err, -EBUSY,
			"NFLOG group %u is taken by another process in this network namespace",
			config->group);
	if (r == -EINVAL || r == -EOPNOTSUPP)
		return bh_err_wrap(err, r, "the kernel has no NFLOG (module nfnetlink_log)");
	return bh_err_wrap(err, r, "cannot bind to NFLOG group %u", config->group);
}

int bh_nflog_new(struct bh_nflog **ret, const struct bh_nflog_config *config, struct bh_err *err)
{
	bh_auto(bh_nflog_free) struct bh_nflog *n = bh_calloc(1, sizeof(*n));
	int r;

	n->group = config->group;
	n->sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!n->sock || mnl_socket_bind(n->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return bh_err_wrap(err, -errno, "cannot open a netlink socket");
	r = set_rcvbuf(n, config->rcvbuf_bytes ? config->rcvbuf_bytes : RCVBUF, err);
	if (r < 0)
		return r;
	r = bind_group(n, config, err);
	if (r < 0)
		return r;
	*ret = bh_take_ptr(n);
	return 0;
}

/* The kernel gives the group up when its socket is closed. */
void bh_nflog_free(struct bh_nflog **n)
{
	if (!*n)
		return;
	if ((*n)->sock)
		mnl_socket_close((*n)->sock);
	free(*n);
	*n = NULL;
}

int bh_nflog_fd(const struct bh_nflog *n)
{
	return mnl_socket_get_fd(n->sock);
}

/* Sequence numbers wrap; a step back of half the circle is none we know how to count. */
static void check_seq(struct bh_nflog *n, const struct bh_nflog_msg *m,
		      const struct bh_nflog_handler *handler)
{
	uint32_t missing = m->seq - n->next_seq;

	if (!m->has_seq)
		return;
	n->next_seq = m->seq + 1;
	if (missing > 0 && missing <= INT32_MAX)
		handler->on_lost(handler->ctx, missing);
}

static void handle(struct bh_nflog *n, const struct nlmsghdr *h,
		   const struct bh_nflog_handler *handler)
{
	struct bh_nflog_msg m;

	if (bh_nflog_parse(h, &m) < 0)
		return;
	if (((const struct nfgenmsg *)mnl_nlmsg_get_payload(h))->res_id != htons(n->group))
		return;
	check_seq(n, &m, handler);
	handler->on_packet(handler->ctx, &m);
}

int bh_nflog_read(struct bh_nflog *n, const struct bh_nflog_handler *handler, struct bh_err *err)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)n->buf;
	ssize_t len = receive(n, MSG_DONTWAIT);
	int left = (int)len;

	if (len == -EAGAIN)
		return -EAGAIN;
	if (len == -ENOBUFS) {
		handler->on_overrun(handler->ctx);
		return 0;
	}
	if (len == -ENOMSG)
		return 0;
	if (len < 0)
		return bh_err_wrap(err, (int)len, "cannot read NFLOG group %u", n->group);
	for (; bh_nl_ok(h, left); h = mnl_nlmsg_next(h, &left))
		handle(n, h, handler);
	return 0;
}
