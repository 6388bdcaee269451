/*
 * The kernel tells who is at the other end of a unix socket.  For TCP it tells of every
 * socket of this network namespace whose it is, sock_diag(7), and over loopback the other
 * end is one of these.
 */
#include "peer.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "bh/nl.h"

struct ends {
	struct sockaddr_storage own, peer;
};

static bool read_ends(int fd, struct ends *ret)
{
	socklen_t own_len = sizeof(ret->own), peer_len = sizeof(ret->peer);

	*ret = (struct ends){ 0 };
	return getsockname(fd, (struct sockaddr *)&ret->own, &own_len) == 0 &&
	       getpeername(fd, (struct sockaddr *)&ret->peer, &peer_len) == 0;
}

static void put_addr(const struct sockaddr_storage *ss, __be32 addr[4], __be16 *port)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in4;

	if (ss->ss_family == AF_INET) {
		memcpy(&in4, ss, sizeof(in4));
		memcpy(addr, &in4.sin_addr, sizeof(in4.sin_addr));
		*port = in4.sin_port;
	} else {
		memcpy(&in6, ss, sizeof(in6));
		memcpy(addr, &in6.sin6_addr, sizeof(in6.sin6_addr));
		*port = in6.sin6_port;
	}
}

static int on_answer(const struct nlmsghdr *msg, void *ctx)
{
	uid_t *uid = ctx;
	struct inet_diag_msg diag;

	if (msg->nlmsg_type != SOCK_DIAG_BY_FAMILY || msg->nlmsg_len < NLMSG_LENGTH(sizeof(diag)))
		return 0;
	memcpy(&diag, mnl_nlmsg_get_payload(msg), sizeof(diag));
	*uid = diag.idiag_uid;
	return 0;
}

static uid_t ask(struct bh_nl *diag, const struct inet_diag_req_v2 *req)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} question = { .head = { .nlmsg_len = sizeof(question),
				 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		       .req = *req };
	uid_t uid = BH_PEER_UNKNOWN;

	return bh_nl_request(diag, &question.head, on_answer, NULL, &uid, NULL) < 0
		       ? BH_PEER_UNKNOWN
		       : uid;
}

uid_t bh_peer_uid(struct bh_nl *diag, int fd)
{
	struct inet_diag_req_v2 req = { .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u };
	socklen_t len = sizeof(struct ucred);
	struct ucred peer;
	struct ends ends;

	if (!read_ends(fd, &ends))
		return BH_PEER_UNKNOWN;
	if (ends.own.ss_family == AF_UNIX)
		return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.uid
										 : BH_PEER_UNKNOWN;
	if (!diag || (ends.own.ss_family != AF_INET && ends.own.ss_family != AF_INET6))
		return BH_PEER_UNKNOWN;
	/* As the other end's socket sees it. */
	req.sdiag_family = (__u8)ends.peer.ss_family;
	put_addr(&ends.peer, req.id.idiag_src, &req.id.idiag_sport);
	put_addr(&ends.own, req.id.idiag_dst, &req.id.idiag_dport);
	req.id.idiag_cookie[0] = req.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return ask(diag, &req);
}
