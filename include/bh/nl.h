/*
 * Netlink sockets over libmnl: request and answer, dumps that are repeated when
 * the kernel says they were interrupted, multicast groups, loss as an error.
 */
#ifndef BH_NL_H
#define BH_NL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/err.h"

struct nlmsghdr;
struct bh_nl;

/* @protocol: NETLINK_NETFILTER, ... (linux/netlink.h). */
int bh_nl_new(struct bh_nl **ret, int protocol, struct bh_err *err);
void bh_nl_free(struct bh_nl **nl);
int bh_nl_fd(const struct bh_nl *nl);
uint32_t bh_nl_portid(const struct bh_nl *nl);
uint32_t bh_nl_next_seq(struct bh_nl *nl);
int bh_nl_join(struct bh_nl *nl, unsigned int group, struct bh_err *err);
int bh_nl_leave(struct bh_nl *nl, unsigned int group, struct bh_err *err);
/*
 * The kernel takes requests for exactly what they say: it answers those about another
 * network namespace, and lists only what the header asks for.  Kernels before 4.20
 * cannot do it.
 */
void bh_nl_set_strict(struct bh_nl *nl);
/* At least this many bytes, past the system's limit where we may. */
int bh_nl_set_rcvbuf(struct bh_nl *nl, size_t bytes);
int bh_nl_set_sndbuf(struct bh_nl *nl, size_t bytes);

/*
 * Sends @req (its sequence number is set here) and calls @on_msg for each
 * answer until its end.  @on_msg returns 0 or a negative errno that ends the
 * walk and is returned.  Dumps with NLM_F_DUMP_INTR are repeated up to five
 * times, after @on_restart (may be NULL); then -EINTR.  -ENOBUFS: answers were
 * lost.
 */
int bh_nl_request(struct bh_nl *nl, struct nlmsghdr *req,
		  int (*on_msg)(const struct nlmsghdr *msg, void *ctx),
		  void (*on_restart)(void *ctx), void *ctx, struct bh_err *err);

/* One sendmsg() of bytes that are messages already. */
int bh_nl_send(struct bh_nl *nl, const void *data, size_t len, struct bh_err *err);
/*
 * The next datagram from the kernel, valid until the next call; zeros follow
 * it, so that no string within runs further.  Returns its length; -EAGAIN: there is none
 * (@may_wait: none within five seconds); -ENOBUFS: some were lost, and the next call goes on behind
 * the gap.
 */
int bh_nl_recv(struct bh_nl *nl, bool may_wait, const struct nlmsghdr **ret);

/*
 * Throws away all that waits.  After a loss, notifications that were taken before it come
 * first, and the kernel takes no new ones until all of them were read: what is asked
 * for after this call is newer than everything that was thrown away.
 */
void bh_nl_discard(struct bh_nl *nl);

/* A whole message is there; mnl_nlmsg_ok() takes lengths past 2^31 for negative ones. */
bool bh_nl_ok(const struct nlmsghdr *msg, int len);

/*
 * What an NLMSG_ERROR or NLMSG_DONE says: 0 or a negative errno, with the
 * kernel's text (extended ack) in @err where it sent one.  @ret_offset (may be
 * NULL): where in the refused message the wrong attribute begins, 0 if not told.
 */
int bh_nl_status(const struct nlmsghdr *msg, uint32_t *ret_offset, struct bh_err *err);

#endif
