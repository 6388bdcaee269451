/*
 * Notices changes that others make to our tables.
 *
 * The kernel notifies of every change of a transaction, then of the transaction
 * itself (NFT_MSG_NEWGEN) with the program that made it.  All of them bear the
 * port of the socket that asked (nf_tables_commit(),
 * net/netfilter/nf_tables_api.c).  A socket filter drops our own, so that a
 * large commit does not fill the buffer.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#define WATCH_RCVBUF (1024u * 1024u)

/* A datagram is of one transaction, so its first message's port is that of all. */
static int ignore_port(struct bh_nl *nl, uint32_t port)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog prog = { .len = BH_ARRAY_LEN(code), .filter = code };

	if (setsockopt(bh_nl_fd(nl), SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return -errno;
	return 0;
}

int nft_watch_init(struct nft_watch *w, uint32_t own_port, struct bh_err *err)
{
	int r;

	w->own_port = own_port;
	r = bh_nl_new(&w->nl, NETLINK_NETFILTER, err);
	if (r < 0)
		return r;
	(void)bh_nl_set_rcvbuf(w->nl, WATCH_RCVBUF);
	r = ignore_port(w->nl, own_port);
	if (r < 0)
		return bh_err_wrap(err, r, "cannot filter notifications");
	return nft_watch_resume(w, err);
}

int nft_watch_pause(struct nft_watch *w, struct bh_err *err)
{
	return bh_nl_leave(w->nl, NFNLGRP_NFTABLES, err);
}

int nft_watch_resume(struct nft_watch *w, struct bh_err *err)
{
	return bh_nl_join(w->nl, NFNLGRP_NFTABLES, err);
}

void nft_watch_done(struct nft_watch *w)
{
	bh_nl_free(&w->nl);
}

/* Every kind of object has its table as attribute 1. */
static int on_object_attr(const struct nlattr *a, void *ctx)
{
	bool *is_ours = ctx;

	if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
	    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		*is_ours = strcmp(mnl_attr_get_str(a), BH_TABLE) == 0;
	return MNL_CB_OK;
}

static int on_generation_attr(const struct nlattr *a, void *ctx)
{
	struct nft_watch *w = ctx;

	if (mnl_attr_get_type(a) == NFTA_GEN_PROC_NAME &&
	    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0) {
		memset(w->program, 0, sizeof(w->program));
		strncpy(w->program, mnl_attr_get_str(a), sizeof(w->program) - 1);
	}
	if (mnl_attr_get_type(a) == NFTA_GEN_PROC_PID && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		w->pid = ntohl(mnl_attr_get_u32(a));
	return MNL_CB_OK;
}

static void on_message(struct nft_watch *w, const struct nlmsghdr *msg)
{
	const struct nfgenmsg *g = mnl_nlmsg_get_payload(msg);
	bool is_ours = false;
	enum bh_table table;

	if (NFNL_SUBSYS_ID(msg->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    msg->nlmsg_pid == w->own_port || mnl_nlmsg_get_payload_len(msg) < sizeof(*g))
		return;
	if (NFNL_MSG_TYPE(msg->nlmsg_type) == NFT_MSG_NEWGEN) {
		if (w->is_ours)
			(void)mnl_attr_parse(msg, sizeof(*g), on_generation_attr, w);
		w->is_ours = false;
		return;
	}
	if (!nft_table_of(g->nfgen_family, &table))
		return;
	(void)mnl_attr_parse(msg, sizeof(*g), on_object_attr, &is_ours);
	if (is_ours)
		w->is_ours = w->is_foreign = w->is_disturbed = true;
}

void nft_watch_datagram(struct nft_watch *w, const struct nlmsghdr *msg, int len)
{
	for (; bh_nl_ok(msg, len); msg = mnl_nlmsg_next(msg, &len))
		on_message(w, msg);
}

int nft_watch_drain(struct nft_watch *w, struct bh_err *err)
{
	for (;;) {
		const struct nlmsghdr *msg;
		int n = bh_nl_recv(w->nl, false, &msg);

		if (n == -EAGAIN)
			return 0;
		if (n == -ENOBUFS) {
			/* The end of the transaction may be among them. */
			w->is_lost = w->is_disturbed = true;
			w->is_ours = false;
		} else if (n < 0) {
			return bh_err_wrap(err, n, "cannot receive notifications");
		} else {
			nft_watch_datagram(w, msg, n);
		}
	}
}

int bh_nft_watch_fd(const struct bh_nft *nft)
{
	return bh_nl_fd(nft->watch.nl);
}

int bh_nft_watch_read(struct bh_nft *nft,
		      void (*on_foreign)(void *ctx, const char *program, uint32_t pid), void *ctx,
		      struct bh_err *err)
{
	struct nft_watch *w = &nft->watch;
	bool is_lost;
	int r = nft_watch_drain(w, err);

	if (r < 0)
		return r;
	/* Between a change and its transaction's end the program is not known yet. */
	if (w->is_foreign && !w->is_ours) {
		w->is_foreign = false;
		on_foreign(ctx, w->program, w->pid);
		w->program[0] = '\0';
		w->pid = 0;
	}
	is_lost = w->is_lost;
	w->is_lost = false;
	if (is_lost)
		return bh_err(err, -ENOBUFS, "notifications of nftables were lost");
	return 0;
}
