/*
 * Makes the kernel refuse one set: to be preloaded into bulkheadd.
 *
 * A double, because a kernel that has memory for every set but one can't be had
 * on demand.  Only the request is spoiled, by a key length of 0 where a set's
 * comment contains $BH_REFUSE; the refusal, its sequence number and the rollback
 * of the whole batch are the kernel's own.  $BH_REFUSE_UNTIL names a file:
 * once it is there, nothing is spoiled any more.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEWSET ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSET)

static int on_attr(const struct nlattr *attr, void *ctx)
{
	const struct nlattr **table = ctx;

	if (mnl_attr_get_type(attr) <= NFTA_SET_MAX)
		table[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static void spoil(struct nlmsghdr *msg, const char *comment)
{
	const struct nlattr *attrs[NFTA_SET_MAX + 1] = { 0 }, *about;

	mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_attr, attrs);
	about = attrs[NFTA_SET_USERDATA];
	if (about && attrs[NFTA_SET_KEY_LEN] &&
	    memmem(mnl_attr_get_payload(about), mnl_attr_get_payload_len(about), comment,
		   strlen(comment)))
		memset(mnl_attr_get_payload(attrs[NFTA_SET_KEY_LEN]), 0, sizeof(uint32_t));
}

ssize_t sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
	       socklen_t to_len)
{
	ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) =
		(__typeof__(real))dlsym(RTLD_NEXT, "sendto");
	const char *comment = getenv("BH_REFUSE"), *until = getenv("BH_REFUSE_UNTIL");
	struct nlmsghdr *msg = (struct nlmsghdr *)(uintptr_t)data;
	int left = (int)len;

	if (!comment || !to || to->sa_family != AF_NETLINK || (until && access(until, F_OK) == 0))
		return real(fd, data, len, flags, to, to_len);
	for (; mnl_nlmsg_ok(msg, left); msg = mnl_nlmsg_next(msg, &left))
		if (msg->nlmsg_type == NEWSET)
			spoil(msg, comment);
	return real(fd, data, len, flags, to, to_len);
}
