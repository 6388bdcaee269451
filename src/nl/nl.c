#include "bh/nl.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include "bh/alloc.h"

/*
 * The kernel builds dumps in pieces of at most 32 KiB and notifications in
 * pieces of a page.
 */
#define RECV_BYTES   (64u * 1024u)
#define ZERO_BYTES   8u
#define WAIT_SECONDS 5
#define MAX_REPEATS  5

struct bh_nl {
	struct mnl_socket *sock;
	uint32_t seq;
	_Alignas(struct nlmsghdr) char data[RECV_BYTES + ZERO_BYTES];
};

static void set_option(const struct bh_nl *nl, int option)
{
	int one = 1;

	/* Kernels that lack one of these only answer at more length. */
	(void)mnl_socket_setsockopt(nl->sock, option, &one, sizeof(one));
}

int bh_nl_new(struct bh_nl **ret, int protocol, struct bh_err *err)
{
	const struct timeval wait = { .tv_sec = WAIT_SECONDS };
	bh_auto(bh_nl_free) struct bh_nl *nl = bh_calloc(1, sizeof(*nl));

	nl->sock = mnl_socket_open2(protocol, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		return bh_err_wrap(err, -errno, "cannot open a netlink socket");
	if (setsockopt(bh_nl_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return bh_err_wrap(err, -errno, "cannot set up a netlink socket");
	set_option(nl, NETLINK_CAP_ACK);
	set_option(nl, NETLINK_EXT_ACK);
	*ret = bh_take_ptr(nl);
	return 0;
}

void bh_nl_free(struct bh_nl **nl)
{
	if (!*nl)
		return;
	if ((*nl)->sock)
		mnl_socket_close((*nl)->sock);
	free(*nl);
	*nl = NULL;
}

int bh_nl_fd(const struct bh_nl *nl)
{
	return mnl_socket_get_fd(nl->sock);
}

uint32_t bh_nl_portid(const struct bh_nl *nl)
{
	return mnl_socket_get_portid(nl->sock);
}

/* Never 0, which notifications have. */
uint32_t bh_nl_next_seq(struct bh_nl *nl)
{
	if (++nl->seq == 0)
		nl->seq = 1;
	return nl->seq;
}

static int set_membership(struct bh_nl *nl, int option, unsigned int group, struct bh_err *err)
{
	if (mnl_socket_setsockopt(nl->sock, option, &group, sizeof(group)) < 0)
		return bh_err_wrap(err, -errno, "netlink group %u", group);
	return 0;
}

int bh_nl_join(struct bh_nl *nl, unsigned int group, struct bh_err *err)
{
	return set_membership(nl, NETLINK_ADD_MEMBERSHIP, group, err);
}

int bh_nl_leave(struct bh_nl *nl, unsigned int group, struct bh_err *err)
{
	return set_membership(nl, NETLINK_DROP_MEMBERSHIP, group, err);
}

void bh_nl_set_strict(struct bh_nl *nl)
{
	set_option(nl, NETLINK_GET_STRICT_CHK);
}

/* The kernel doubles what it is given and reports the double (socket(7)). */
static int set_buffer(const struct bh_nl *nl, size_t bytes, int option, int force)
{
	int fd = bh_nl_fd(nl), now = 0, want = bytes > INT32_MAX / 2 ? INT32_MAX / 2 : (int)bytes;
	socklen_t len = sizeof(now);

	if (getsockopt(fd, SOL_SOCKET, option, &now, &len) == 0 && now / 2 >= want)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, force, &want, sizeof(want)) < 0 &&
	    setsockopt(fd, SOL_SOCKET, option, &want, sizeof(want)) < 0)
		return -errno;
	len = sizeof(now);
	if (getsockopt(fd, SOL_SOCKET, option, &now, &len) < 0)
		return -errno;
	return now / 2 >= want ? 0 : -EPERM;
}

int bh_nl_set_rcvbuf(struct bh_nl *nl, size_t bytes)
{
	return set_buffer(nl, bytes, SO_RCVBUF, SO_RCVBUFFORCE);
}

int bh_nl_set_sndbuf(struct bh_nl *nl, size_t bytes)
{
	return set_buffer(nl, bytes, SO_SNDBUF, SO_SNDBUFFORCE);
}

int bh_nl_send(struct bh_nl *nl, const void *data, size_t len, struct bh_err *err)
{
	ssize_t n;

	do {
		n = mnl_socket_sendto(nl->sock, data, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return bh_err_wrap(err, -errno, "cannot send %zu bytes to the kernel", len);
	return 0;
}

int bh_nl_recv(struct bh_nl *nl, bool may_wait, const struct nlmsghdr **ret)
{
	struct sockaddr_nl from = { 0 };
	struct iovec iov = { .iov_base = nl->data, .iov_len = RECV_BYTES };
	struct msghdr m = { .msg_name = &from, .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do {
		m.msg_namelen = sizeof(from);
		n = recvmsg(bh_nl_fd(nl), &m, may_wait ? 0 : MSG_DONTWAIT);
		/* Port 0 is the kernel; nobody else has a say here. */
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
	if (n < 0)
		return -errno;
	if (m.msg_flags & MSG_TRUNC)
		return -ENOBUFS;
	memset(nl->data + n, 0, ZERO_BYTES);
	*ret = (const struct nlmsghdr *)nl->data;
	return (int)n;
}

/* So that whoever fills the queue as fast as we empty it does not keep us here. */
#define MAX_DISCARDED 65536

void bh_nl_discard(struct bh_nl *nl)
{
	const struct nlmsghdr *msg;
	int n = 0;

	for (int i = 0; i < MAX_DISCARDED && n != -EAGAIN; i++)
		n = bh_nl_recv(nl, false, &msg);
}

bool bh_nl_ok(const struct nlmsghdr *msg, int len)
{
	return mnl_nlmsg_ok(msg, len) && msg->nlmsg_len <= (uint32_t)len;
}

static int on_ack_attr(const struct nlattr *a, void *ctx)
{
	const struct nlattr **attrs = ctx;
	unsigned int type = mnl_attr_get_type(a);

	if (type == NLMSGERR_ATTR_MSG && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		attrs[type] = a;
	if (type == NLMSGERR_ATTR_OFFS && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		attrs[type] = a;
	return MNL_CB_OK;
}

int bh_nl_status(const struct nlmsghdr *msg, uint32_t *ret_offset, struct bh_err *err)
{
	const struct nlattr *attrs[NLMSGERR_ATTR_MAX + 1] = { 0 };
	bool is_error = msg->nlmsg_type == NLMSG_ERROR;
	size_t head = is_error ? sizeof(struct nlmsgerr) : sizeof(int);
	size_t len = mnl_nlmsg_get_payload_len(msg);
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(msg);
	int code = 0;

	if (ret_offset)
		*ret_offset = 0;
	if (len < head)
		return is_error ? bh_err(err, -EPROTO, "the kernel's answer is too short") : 0;
	memcpy(&code, e, sizeof(code));
	if (code == 0)
		return 0;
	if (code > 0 || code < -4095)
		return bh_err(err, -EPROTO, "the kernel answered with code %d", code);
	/* Without NLM_F_CAPPED the refused message itself comes before the text. */
	if (is_error && !(msg->nlmsg_flags & NLM_F_CAPPED) && e->msg.nlmsg_len > sizeof(e->msg))
		head += ((e->msg.nlmsg_len + (size_t)3) & ~(size_t)3) - sizeof(e->msg);
	if (msg->nlmsg_flags & NLM_F_ACK_TLVS && head <= len)
		(void)mnl_attr_parse(msg, (unsigned int)head, on_ack_attr, attrs);
	if (attrs[NLMSGERR_ATTR_OFFS] && ret_offset)
		*ret_offset = mnl_attr_get_u32(attrs[NLMSGERR_ATTR_OFFS]);
	if (attrs[NLMSGERR_ATTR_MSG])
		return bh_err(err, code, "%s (%s)", strerror(-code),
			      mnl_attr_get_str(attrs[NLMSGERR_ATTR_MSG]));
	return bh_err(err, code, "%s", strerror(-code));
}

struct walk {
	uint32_t seq;
	int (*on_msg)(const struct nlmsghdr *msg, void *ctx);
	void *ctx;
	struct bh_err *err;
	int result; /* the first error */
	bool is_interrupted, is_lost, is_done;
};

static void walk_datagram(struct walk *w, const struct nlmsghdr *msg, int len)
{
	for (; bh_nl_ok(msg, len); msg = mnl_nlmsg_next(msg, &len)) {
		if (msg->nlmsg_seq != w->seq)
			continue;
		if (msg->nlmsg_flags & NLM_F_DUMP_INTR)
			w->is_interrupted = true;
		if (msg->nlmsg_type == NLMSG_ERROR || msg->nlmsg_type == NLMSG_DONE) {
			int r = bh_nl_status(msg, NULL, w->result < 0 ? NULL : w->err);

			if (w->result == 0)
				w->result = r;
			w->is_done = true;
			return;
		}
		if (msg->nlmsg_type >= NLMSG_MIN_TYPE && w->result == 0 && !w->is_interrupted)
			w->result = w->on_msg(msg, w->ctx);
	}
}

/* A dump is read to its end even after an error, or the next one is -EBUSY. */
static int walk_answer(struct bh_nl *nl, struct walk *w)
{
	while (!w->is_done) {
		const struct nlmsghdr *msg;
		int n = bh_nl_recv(nl, !w->is_lost, &msg);

		if (n == -ENOBUFS)
			w->is_lost = true;
		else if (n == -EAGAIN && !w->is_lost)
			return bh_err(w->err, -ETIMEDOUT, "the kernel does not answer");
		else if (n == -EAGAIN)
			break;
		else if (n < 0)
			return bh_err_wrap(w->err, n, "cannot receive from the kernel");
		else
			walk_datagram(w, msg, n);
	}
	if (w->is_lost)
		return bh_err(w->err, -ENOBUFS, "the kernel's answer was lost");
	return w->result;
}

int bh_nl_request(struct bh_nl *nl, struct nlmsghdr *req,
		  int (*on_msg)(const struct nlmsghdr *msg, void *ctx),
		  void (*on_restart)(void *ctx), void *ctx, struct bh_err *err)
{
	bool is_dump = (req->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;

	/* What is no dump ends with its acknowledgement. */
	if (!is_dump)
		req->nlmsg_flags |= NLM_F_ACK;
	for (unsigned int i = 0; i < MAX_REPEATS; i++) {
		struct walk w = { .on_msg = on_msg, .ctx = ctx, .err = err };
		int r;

		if (i && on_restart)
			on_restart(ctx);
		req->nlmsg_seq = w.seq = bh_nl_next_seq(nl);
		r = bh_nl_send(nl, req, req->nlmsg_len, err);
		if (r < 0)
			return r;
		r = walk_answer(nl, &w);
		if (r < 0 || !w.is_interrupted)
			return r;
	}
	return bh_err(err, -EINTR, "the listing was interrupted %u times", MAX_REPEATS);
}
