/*
 * Questions about links, and what the kernel answers.
 *
 * Sources: include/uapi/linux/{if_link,if_addr,net_namespace,rtnetlink}.h;
 * net/core/rtnetlink.c (IFLA_TARGET_NETNSID: the asker needs CAP_NET_ADMIN over the
 * other namespace, which the node's root has), net/core/net_namespace.c.
 */
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>

#include "bh/alloc.h"

/* The largest of the requests: a header and two attributes. */
#define MAX_REQUEST 256

/* --- attributes --------------------------------------------------------------------- */

/* Attributes by type; those above @max are newer than this program and skipped. */
struct attrs {
	const struct nlattr **items;
	uint16_t max;
};

static int on_attr(const struct nlattr *a, void *ctx)
{
	const struct attrs *t = ctx;

	if (mnl_attr_get_type(a) <= t->max)
		t->items[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static bool parse_attrs(const struct nlmsghdr *msg, size_t head, const struct nlattr **items,
			uint16_t max)
{
	struct attrs t = { items, max };

	return mnl_nlmsg_get_payload_len(msg) >= head &&
	       mnl_attr_parse(msg, (unsigned int)head, on_attr, &t) == MNL_CB_OK;
}

/* @otherwise where it is missing; an attribute of another size is an error. */
static bool read_u32(const struct nlattr *a, uint32_t otherwise, uint32_t *ret)
{
	if (a && mnl_attr_get_payload_len(a) != sizeof(uint32_t))
		return false;
	*ret = a ? mnl_attr_get_u32(a) : otherwise;
	return true;
}

/* Numbers of namespaces are not negative; another one stands for none. */
static bool read_nsid(const struct nlattr *a, int32_t *ret)
{
	uint32_t v;

	if (!read_u32(a, UINT32_MAX, &v))
		return false;
	*ret = v <= INT32_MAX ? (int32_t)v : BH_NO_NSID;
	return true;
}

/* --- messages -------------------------------------------------------------------------- */

static bool read_name(const struct nlattr *a, char ret[IFNAMSIZ])
{
	size_t len = a ? mnl_attr_get_payload_len(a) : 0;
	const char *s = a ? mnl_attr_get_payload(a) : NULL;

	if (len == 0 || len > IFNAMSIZ || s[len - 1] != '\0' || s[0] == '\0')
		return false;
	memset(ret, 0, IFNAMSIZ);
	snprintf(ret, IFNAMSIZ, "%s", s);
	return true;
}

static bool is_kind(const struct nlattr *kind, const char *name)
{
	size_t len = kind ? mnl_attr_get_payload_len(kind) : 0;
	const char *s = kind ? mnl_attr_get_payload(kind) : NULL;

	/* With or without its end. */
	return kind && len >= strlen(name) && len <= strlen(name) + 1 &&
	       memcmp(s, name, strlen(name)) == 0 && (len == strlen(name) || s[len - 1] == '\0');
}

static bool read_kind(const struct nlattr *info, struct bh_link *ret)
{
	const struct nlattr *items[IFLA_INFO_MAX + 1] = { 0 };
	struct attrs t = { items, IFLA_INFO_MAX };

	if (!info)
		return true;
	if (mnl_attr_parse_nested(info, on_attr, &t) != MNL_CB_OK)
		return false;
	ret->is_bridge = is_kind(items[IFLA_INFO_KIND], "bridge");
	ret->is_veth = is_kind(items[IFLA_INFO_KIND], "veth");
	return true;
}

static void read_mac(const struct nlattr *a, struct bh_link *ret)
{
	ret->has_mac = a && mnl_attr_get_payload_len(a) == sizeof(ret->mac);
	if (ret->has_mac)
		memcpy(ret->mac, mnl_attr_get_payload(a), sizeof(ret->mac));
}

int bh_link_parse(const struct nlmsghdr *msg, struct bh_link *ret)
{
	const struct nlattr *attrs[IFLA_MAX + 1] = { 0 };
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(msg);
	struct bh_link link = { .nsid = BH_NO_NSID };

	if (mnl_nlmsg_get_payload_len(msg) < sizeof(*i))
		return -EBADMSG;
	if ((msg->nlmsg_type != RTM_NEWLINK && msg->nlmsg_type != RTM_DELLINK) ||
	    i->ifi_family != AF_UNSPEC)
		return -ENOMSG;
	if (i->ifi_index <= 0 || !parse_attrs(msg, sizeof(*i), attrs, IFLA_MAX))
		return -EBADMSG;
	link.ifindex = (uint32_t)i->ifi_index;
	if (!read_name(attrs[IFLA_IFNAME], link.name) ||
	    !read_u32(attrs[IFLA_LINK], 0, &link.peer) ||
	    !read_u32(attrs[IFLA_MASTER], 0, &link.master) ||
	    !read_nsid(attrs[IFLA_LINK_NETNSID], &link.nsid) ||
	    !read_kind(attrs[IFLA_LINKINFO], &link))
		return -EBADMSG;
	read_mac(attrs[IFLA_ADDRESS], &link);
	*ret = link;
	return 0;
}

int bh_nsid_parse(const struct nlmsghdr *msg, int32_t *ret)
{
	const struct nlattr *attrs[NETNSA_MAX + 1] = { 0 };

	if (!parse_attrs(msg, sizeof(struct rtgenmsg), attrs, NETNSA_MAX) ||
	    !read_nsid(attrs[NETNSA_NSID], ret))
		return -EBADMSG;
	return 0;
}

int bh_link_local_parse(const struct nlmsghdr *msg, uint32_t ifindex, struct bh_addr *ret)
{
	const struct nlattr *attrs[IFA_MAX + 1] = { 0 };
	const struct ifaddrmsg *i = mnl_nlmsg_get_payload(msg);
	struct bh_addr a;

	if (msg->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(msg) < sizeof(*i) ||
	    !parse_attrs(msg, sizeof(*i), attrs, IFA_MAX))
		return -EBADMSG;
	if (i->ifa_family != AF_INET6 || i->ifa_index != ifindex ||
	    (i->ifa_flags & IFA_F_DADFAILED) || !attrs[IFA_ADDRESS])
		return 0;
	if (mnl_attr_get_payload_len(attrs[IFA_ADDRESS]) != 16)
		return -EBADMSG;
	if (bh_addr_from_bytes(mnl_attr_get_payload(attrs[IFA_ADDRESS]), 16, &a) < 0 ||
	    !bh_addr_is_link_local(&a))
		return 0;
	*ret = a;
	return 1;
}

int bh_host_route_parse(const struct nlmsghdr *msg, uint32_t *ret_ifindex)
{
	const struct nlattr *attrs[RTA_MAX + 1] = { 0 };
	const struct rtmsg *r = mnl_nlmsg_get_payload(msg);
	uint32_t ifindex;

	if (msg->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(msg) < sizeof(*r) ||
	    !parse_attrs(msg, sizeof(*r), attrs, RTA_MAX) || !read_u32(attrs[RTA_OIF], 0, &ifindex))
		return -EBADMSG;
	if (r->rtm_type != RTN_UNICAST || attrs[RTA_GATEWAY] || attrs[RTA_VIA] ||
	    attrs[RTA_MULTIPATH] || ifindex == 0 ||
	    r->rtm_dst_len != (r->rtm_family == AF_INET6 ? 128 : 32))
		return 0;
	*ret_ifindex = ifindex;
	return 1;
}

/* --- questions -------------------------------------------------------------------------- */

static struct nlmsghdr *put_request(void *buf, uint16_t type, uint16_t flags, size_t head,
				    uint8_t family)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	/* The family is the first byte of all of these headers. */
	*(uint8_t *)mnl_nlmsg_put_extra_header(h, head) = family;
	return h;
}

int bh_link_open(struct bh_nl **ret, struct bh_err *err)
{
	bh_auto(bh_nl_free) struct bh_nl *nl = NULL;
	int r = bh_nl_new(&nl, NETLINK_ROUTE, err);

	if (r < 0)
		return r;
	bh_nl_set_strict(nl);
	*ret = bh_take_ptr(nl);
	return 0;
}

struct list {
	void (*on_link)(void *ctx, const struct bh_link *link);
	void (*on_restart)(void *ctx);
	void *ctx;
};

/* A link that cannot be read is none of a pod's: its traffic is not let through as one's. */
static int on_listed(const struct nlmsghdr *msg, void *ctx)
{
	const struct list *l = ctx;
	struct bh_link link;

	if (bh_link_parse(msg, &link) == 0)
		l->on_link(l->ctx, &link);
	return 0;
}

static void on_list_restart(void *ctx)
{
	const struct list *l = ctx;

	l->on_restart(l->ctx);
}

int bh_link_list(struct bh_nl *nl, void (*on_link)(void *ctx, const struct bh_link *link),
		 void (*on_restart)(void *ctx), void *ctx, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct list l = { on_link, on_restart, ctx };
	struct nlmsghdr *h =
		put_request(buf, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg), AF_UNSPEC);

	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return bh_nl_request(nl, h, on_listed, on_list_restart, &l, err);
}

static int on_nsid(const struct nlmsghdr *msg, void *ctx)
{
	return bh_nsid_parse(msg, ctx);
}

int bh_link_nsid(struct bh_nl *nl, int fd, int32_t *ret, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h = put_request(buf, RTM_GETNSID, 0, sizeof(struct rtgenmsg), AF_UNSPEC);
	int32_t nsid = BH_NO_NSID;
	int r;

	mnl_attr_put_u32(h, NETNSA_FD, (uint32_t)fd);
	r = bh_nl_request(nl, h, on_nsid, NULL, &nsid, err);
	if (r < 0)
		return r;
	*ret = nsid;
	return 0;
}

static int on_far_link(const struct nlmsghdr *msg, void *ctx)
{
	return bh_link_parse(msg, ctx);
}

int bh_link_far(struct bh_nl *nl, int32_t nsid, uint32_t ifindex, struct bh_link *ret,
		struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h = put_request(buf, RTM_GETLINK, 0, sizeof(struct ifinfomsg), AF_UNSPEC);
	struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct bh_link link = { 0 };
	int r;

	i->ifi_index = (int)ifindex;
	mnl_attr_put_u32(h, IFLA_TARGET_NETNSID, (uint32_t)nsid);
	mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	r = bh_nl_request(nl, h, on_far_link, NULL, &link, err);
	if (r < 0)
		return r;
	if (link.ifindex != ifindex)
		return bh_err(err, -ENODEV, "the kernel answered about another link");
	*ret = link;
	return 0;
}

struct locals {
	uint32_t ifindex;
	struct bh_addr *items;
	size_t n, max;
};

static int on_local(const struct nlmsghdr *msg, void *ctx)
{
	struct locals *l = ctx;
	struct bh_addr a;
	int r = bh_link_local_parse(msg, l->ifindex, &a);

	if (r > 0 && l->n < l->max)
		l->items[l->n++] = a;
	return r < 0 ? r : 0;
}

static void on_locals_restart(void *ctx)
{
	struct locals *l = ctx;

	l->n = 0;
}

int bh_link_far_locals(struct bh_nl *nl, int32_t nsid, uint32_t ifindex, struct bh_addr *ret,
		       size_t max, size_t *ret_n, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	struct nlmsghdr *h =
		put_request(buf, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), AF_INET6);
	struct ifaddrmsg *i = mnl_nlmsg_get_payload(h);
	struct locals l = { .ifindex = ifindex, .items = ret, .max = max };
	int r;

	i->ifa_index = ifindex;
	mnl_attr_put_u32(h, IFA_TARGET_NETNSID, (uint32_t)nsid);
	r = bh_nl_request(nl, h, on_local, on_locals_restart, &l, err);
	if (r < 0)
		return r;
	*ret_n = l.n;
	return 0;
}

static int on_route(const struct nlmsghdr *msg, void *ctx)
{
	int r = bh_host_route_parse(msg, ctx);

	return r < 0 ? r : 0;
}

static bool is_no_route(int code)
{
	return code == -ENETUNREACH || code == -EHOSTUNREACH || code == -ENOENT ||
	       code == -EINVAL || code == -EACCES;
}

/*
 * RTM_F_FIB_MATCH asks for the route itself and not for what comes of it, so that its
 * length tells whether it is to this address alone.
 */
int bh_link_of_route(struct bh_nl *nl, const struct bh_addr *a, uint32_t *ret, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[MAX_REQUEST];
	size_t len = bh_family_len((enum bh_family)a->family);
	struct nlmsghdr *h = put_request(buf, RTM_GETROUTE, 0, sizeof(struct rtmsg),
					 len == 16 ? AF_INET6 : AF_INET);
	struct rtmsg *m = mnl_nlmsg_get_payload(h);
	uint32_t ifindex = 0;
	int r;

	m->rtm_dst_len = (uint8_t)(len * 8);
	m->rtm_flags = RTM_F_FIB_MATCH;
	mnl_attr_put(h, RTA_DST, len, a->bytes);
	r = bh_nl_request(nl, h, on_route, NULL, &ifindex, err);
	if (r < 0 && !is_no_route(r))
		return r;
	*ret = r < 0 ? 0 : ifindex;
	return 0;
}
