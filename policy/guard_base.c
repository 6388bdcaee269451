/*
 * The fixed part of the port guard: chains that ports share, and the sets that they
 * look into.
 *
 * A load that the packet is too short for ends the rule as if it did not match.  So
 * packets are accepted by what matches, and the end of every chain denies.
 */
#include "guard_impl.h"

#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <string.h>

/* Fixed part of a solicitation or advertisement; with a link-layer address and a nonce (RFC 4861
 * 4.3, 4.4; RFC 7527). */
#define ND_MIN_LEN 24
#define ND_MAX_LEN 40
/* A router solicitation with its link-layer address (RFC 4861 4.1). */
#define RS_MAX_LEN 16

/* Before br_netfilter, which takes packets to the inet table's hook at -1. */
#define FORWARD_PRIORITY (-10)

static const struct {
	enum bh_table table;
	const char *name;
	enum bh_set_kind kind;
	enum bh_family family;
} set_specs[GUARD_SET_COUNT_] = {
	[GUARD_MACS] = { BH_TABLE_NETDEV, "macs", BH_SET_LINK_MAC, BH_IPV4 },
	[GUARD_SRC4] = { BH_TABLE_NETDEV, "src4", BH_SET_LINK_ADDR, BH_IPV4 },
	[GUARD_SRC6] = { BH_TABLE_NETDEV, "src6", BH_SET_LINK_ADDR, BH_IPV6 },
	[GUARD_TARGETS] = { BH_TABLE_NETDEV, "targets", BH_SET_LINK_TARGET, BH_IPV6 },
	[GUARD_DHCP] = { BH_TABLE_NETDEV, "dhcp", BH_SET_LINK, BH_IPV4 },
	[GUARD_NEW] = { BH_TABLE_NETDEV, "new", BH_SET_LINK, BH_IPV4 },
	[GUARD_TO4] = { BH_TABLE_BRIDGE, "to4", BH_SET_LINK_TYPE_ADDR, BH_IPV4 },
	[GUARD_DST6] = { BH_TABLE_BRIDGE, "dst6", BH_SET_LINK_ADDR, BH_IPV6 },
	[GUARD_PODS] = { BH_TABLE_BRIDGE, "pods", BH_SET_LINK, BH_IPV4 },
	[GUARD_CLOSED] = { BH_TABLE_BRIDGE, "closed", BH_SET_LINK, BH_IPV4 },
	[GUARD_GROUP] = { BH_TABLE_BRIDGE, "group", BH_SET_LINK_PRIORITY, BH_IPV4 },
	[GUARD_SHUT] = { BH_TABLE_BRIDGE, "shut", BH_SET_LINK, BH_IPV4 },
	[GUARD_ENDS] = { BH_TABLE_BRIDGE, "ends", BH_SET_LINK, BH_IPV4 },
	[GUARD_TO_MACS] = { BH_TABLE_BRIDGE, "to_macs", BH_SET_LINK_MAC, BH_IPV4 },
	[GUARD_BROADCASTS] = { BH_TABLE_BRIDGE, "broadcasts", BH_SET_ADDR, BH_IPV4 },
	[GUARD_TO] = { BH_TABLE_BRIDGE, "to", BH_SET_LINK_TYPE_MAP, BH_IPV4 },
	[GUARD_ROUTED] = { BH_TABLE_BRIDGE, "routed", BH_SET_LINK_TYPE_MAP, BH_IPV4 },
	[GUARD_PORT_TO] = { BH_TABLE_INET, BH_PORT_TO, BH_SET_LINK_MAP, BH_IPV4 },
	[GUARD_PORT_ADDR4] = { BH_TABLE_INET, BH_PORT_ADDR4, BH_SET_LINK_ADDR, BH_IPV4 },
	[GUARD_PORT_ADDR6] = { BH_TABLE_INET, BH_PORT_ADDR6, BH_SET_LINK_ADDR, BH_IPV6 },
	[GUARD_GROUP_TO] = { BH_TABLE_INET, BH_GROUP_TO, BH_SET_PRIORITY_MAP, BH_IPV4 },
};

/* --- rules ------------------------------------------------------------------------------- */

struct bh_expr guard_is_range(enum bh_load load, uint32_t first, uint32_t last)
{
	return (struct bh_expr){ .kind = BH_EXPR_MATCH,
				 .load = load,
				 .op = BH_MATCH_RANGE,
				 .value = first,
				 .last = last };
}

static struct bh_expr is(enum bh_load load, uint32_t value)
{
	return guard_is_range(load, value, value);
}

static struct bh_expr not(struct bh_expr e)
{
	e.op = e.op == BH_MATCH_RANGE ? BH_MATCH_NOT_RANGE : BH_MATCH_NOT_BYTES;
	return e;
}

struct bh_expr guard_is_in(enum bh_load load, const struct bh_cidr *cidr)
{
	struct bh_expr e = { .kind = BH_EXPR_MATCH,
			     .load = load,
			     .op = BH_MATCH_BYTES,
			     .family = cidr->addr.family };

	memcpy(e.bytes, cidr->addr.bytes, sizeof(e.bytes));
	for (size_t bit = 0; bit < cidr->prefix_len; bit++)
		e.mask[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return e;
}

/* @text is a constant of this file. */
static struct bh_expr is_in(enum bh_load load, const char *text)
{
	struct bh_cidr cidr;

	if (bh_cidr_parse(text, &cidr, NULL) < 0)
		abort();
	return guard_is_in(load, &cidr);
}

/* RFC 5342: the first bit that is sent of an address that is a group's. */
static struct bh_expr is_group_mac(void)
{
	return (struct bh_expr){ .kind = BH_EXPR_MATCH,
				 .load = BH_LOAD_ETHER_DADDR,
				 .op = BH_MATCH_BYTES,
				 .bytes = { 1 },
				 .mask = { 1 } };
}

static struct bh_expr in_set(const struct bh_guard *g, enum bh_lookup_key key, enum guard_set set)
{
	return (struct bh_expr){ .kind = BH_EXPR_LOOKUP, .key = key, .set = g->sets[set] };
}

static struct bh_expr by_map(const struct bh_guard *g, enum bh_lookup_key key, enum guard_set set)
{
	return (struct bh_expr){ .kind = BH_EXPR_VMAP, .key = key, .set = g->sets[set] };
}

static struct bh_expr verdict(enum bh_plan_verdict v)
{
	return (struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = v };
}

static struct bh_expr leads_to(enum bh_plan_verdict v, const struct bh_plan_chain *chain)
{
	return (struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = v, .chain = chain };
}

void guard_add_rule(struct bh_plan *plan, struct bh_plan_chain *chain, const struct bh_expr *exprs,
		    size_t n)
{
	struct bh_plan_rule rule = { .n_exprs = n };

	memcpy(rule.exprs, exprs, n * sizeof(*exprs));
	bh_plan_add_rule(plan, chain, &rule);
}

#define ADD(plan, chain, ...)                                                                      \
	guard_add_rule(plan, chain, (const struct bh_expr[]){ __VA_ARGS__ },                       \
		       BH_ARRAY_LEN(((const struct bh_expr[]){ __VA_ARGS__ })))

static struct bh_plan_chain *new_chain(struct bh_plan *plan, const char *name)
{
	return bh_plan_add_chain(plan, name, NULL, BH_HOOK_NONE, 0);
}

/*
 * Counts, logs within the rate of the link, and drops; in audit, lets pass.  A
 * packet over the rate ends the logging rule only.
 */
static void fill_denial(struct bh_guard *g, enum bh_table table, const char *reason,
			struct bh_plan_chain *chain)
{
	const struct bh_compile_config *c = &g->config.log;
	const bool is_audit = g->config.mode == BH_AUDIT, is_from = table == BH_TABLE_NETDEV;
	const struct bh_class_words *class =
		bh_class_words(is_audit ? BH_CLASS_AUDIT : BH_CLASS_DENIED);
	bh_auto_free char *prefix = bh_asprintf(BH_LOG_PREFIX "%c:%s", class->letter, reason);
	struct bh_plan *plan = g->plans[table];
	struct bh_expr exprs[3];
	size_t n = 0;

	if (c->log_rate > 0)
		exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LIMIT,
					       .set = bh_plan_set(plan, BH_PORT_LIMIT),
					       .key = is_from ? BH_KEY_IIF : BH_KEY_OIF };
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_COUNTER, .name = class->logged };
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LOG,
				       .name = prefix,
				       .group = c->log_group,
				       .snaplen = c->log_snaplen };
	guard_add_rule(plan, chain, exprs, n);
	ADD(plan, chain, { .kind = BH_EXPR_COUNTER, .name = class->counter },
	    verdict(is_audit ? BH_V_ACCEPT : BH_V_DROP));
}

static struct bh_plan_chain *add_denial(struct bh_guard *g, enum bh_table table, const char *reason)
{
	struct bh_plan_chain *chain = new_chain(g->plans[table], reason);

	fill_denial(g, table, reason, chain);
	return chain;
}

/*
 * Where no address of the pod is known yet, what is not known to be its own may be:
 * the network plugin announces addresses before the runtime tells them.
 */
static struct bh_plan_chain *add_spoofed(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *chain = new_chain(p, BH_GUARD_SPOOFED);

	ADD(p, chain, in_set(g, BH_KEY_IIF, GUARD_NEW),
	    leads_to(BH_V_GOTO, g->chains[GUARD_NO_POD]));
	fill_denial(g, BH_TABLE_NETDEV, BH_GUARD_SPOOFED, chain);
	return chain;
}

/* --- from pods ------------------------------------------------------------------------------ */

/* RFC 826; a probe (RFC 5227) has no sender address, and asks for the pod's own. */
static void add_arp(struct bh_guard *g, const struct bh_plan_chain *spoofed)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = g->chains[GUARD_FROM_ARP];
	const struct bh_expr deny = leads_to(BH_V_GOTO, spoofed), accept = verdict(BH_V_ACCEPT);

	ADD(p, c, guard_is_range(BH_LOAD_LENGTH, ARP_MAX_LEN + 1, UINT32_MAX), deny);
	ADD(p, c, not(is(BH_LOAD_ARP_HTYPE, ARPHRD_ETHER)), deny);
	ADD(p, c, not(is(BH_LOAD_ARP_PTYPE, ETH_P_IP)), deny);
	ADD(p, c, not(is(BH_LOAD_ARP_HLEN, ETH_ALEN)), deny);
	ADD(p, c, not(is(BH_LOAD_ARP_PLEN, 4)), deny);
	ADD(p, c, in_set(g, BH_KEY_IIF_ARP_SHA, GUARD_MACS),
	    in_set(g, BH_KEY_IIF_ARP_SPA, GUARD_SRC4), accept);
	ADD(p, c, in_set(g, BH_KEY_IIF_ARP_SHA, GUARD_MACS), is(BH_LOAD_ARP_OP, ARPOP_REQUEST),
	    is_in(BH_LOAD_ARP_SPA, "0.0.0.0/32"), in_set(g, BH_KEY_IIF_ARP_TPA, GUARD_SRC4),
	    accept);
	ADD(p, c, deny);
}

static struct bh_plan_chain *add_own6(struct bh_guard *g, const struct bh_plan_chain *spoofed)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = new_chain(p, "own6");

	ADD(p, c, in_set(g, BH_KEY_IIF_SADDR, GUARD_SRC6), verdict(BH_V_ACCEPT));
	ADD(p, c, leads_to(BH_V_GOTO, spoofed));
	return c;
}

/*
 * Solicitations from own addresses, or from none for an own address (duplicate
 * address detection, RFC 4862 5.4); advertisements of own addresses.
 */
static struct bh_plan_chain *add_neighbour(struct bh_guard *g, const struct bh_plan_chain *own6,
					   const struct bh_plan_chain *deny_chain)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = new_chain(p, "neighbour");
	const struct bh_expr deny = leads_to(BH_V_GOTO, deny_chain);
	const struct bh_expr own = leads_to(BH_V_GOTO, own6);

	ADD(p, c, not(is(BH_LOAD_NEXTHDR, IPPROTO_ICMPV6)), deny);
	ADD(p, c, not(is(BH_LOAD_HOPLIMIT, 255)), deny);
	ADD(p, c, not(guard_is_range(BH_LOAD_PAYLOAD_LEN, ND_MIN_LEN, ND_MAX_LEN)), deny);
	ADD(p, c, is(BH_LOAD_ICMP6_TYPE, ND_NEIGHBOR_SOLICIT), not(is_in(BH_LOAD_SADDR, "::/128")),
	    own);
	ADD(p, c, is(BH_LOAD_ICMP6_TYPE, ND_NEIGHBOR_SOLICIT),
	    in_set(g, BH_KEY_IIF_TARGET, GUARD_TARGETS), verdict(BH_V_ACCEPT));
	ADD(p, c, is(BH_LOAD_ICMP6_TYPE, ND_NEIGHBOR_ADVERT),
	    in_set(g, BH_KEY_IIF_TARGET, GUARD_TARGETS), own);
	ADD(p, c, in_set(g, BH_KEY_IIF, GUARD_NEW), leads_to(BH_V_GOTO, g->chains[GUARD_NO_POD]));
	ADD(p, c, deny);
	return c;
}

static struct bh_plan_chain *add_solicit(struct bh_guard *g, const struct bh_plan_chain *own6,
					 const struct bh_plan_chain *deny_chain)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = new_chain(p, "solicit");
	const struct bh_expr deny = leads_to(BH_V_GOTO, deny_chain);

	ADD(p, c, not(is(BH_LOAD_NEXTHDR, IPPROTO_ICMPV6)), deny);
	ADD(p, c, not(is(BH_LOAD_HOPLIMIT, 255)), deny);
	ADD(p, c, not(is_in(BH_LOAD_DADDR, "ff02::2/128")), deny);
	ADD(p, c, guard_is_range(BH_LOAD_PAYLOAD_LEN, RS_MAX_LEN + 1, UINT16_MAX), deny);
	ADD(p, c, is_in(BH_LOAD_SADDR, "::/128"), verdict(BH_V_ACCEPT));
	ADD(p, c, leads_to(BH_V_GOTO, own6));
	return c;
}

static struct bh_plan_chain *add_listener(struct bh_guard *g, const struct bh_plan_chain *own6,
					  const struct bh_plan_chain *deny_chain)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = new_chain(p, "listener");
	const struct bh_expr deny = leads_to(BH_V_GOTO, deny_chain);

	ADD(p, c, not(is(BH_LOAD_HOPLIMIT, 1)), deny);
	ADD(p, c, not(is_in(BH_LOAD_DADDR, "ff02::/16")), deny);
	ADD(p, c, is_in(BH_LOAD_SADDR, "::/128"), verdict(BH_V_ACCEPT));
	ADD(p, c, leads_to(BH_V_GOTO, own6));
	return c;
}

/* What only routers send.  By the transport header, behind extension headers too. */
static void add_router_types(struct bh_plan *p, struct bh_plan_chain *c,
			     const struct bh_plan_chain *deny)
{
	static const uint32_t types[] = { ND_ROUTER_ADVERT, ND_REDIRECT, MLD_LISTENER_QUERY };

	for (size_t i = 0; i < BH_ARRAY_LEN(types); i++)
		ADD(p, c, is(BH_LOAD_ICMP6_TYPE, types[i]), leads_to(BH_V_GOTO, deny));
}

static void add_from_ip6(struct bh_guard *g, const struct bh_plan_chain *spoofed,
			 const struct bh_plan_chain *discovery)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *icmp6 = g->chains[GUARD_ICMP6], *c = g->chains[GUARD_FROM_IP6];
	const struct bh_plan_chain *own6 = add_own6(g, spoofed);
	const struct bh_plan_chain *neighbour = add_neighbour(g, own6, discovery);
	const struct bh_plan_chain *listener = add_listener(g, own6, discovery);

	add_router_types(p, icmp6, discovery);
	ADD(p, icmp6, guard_is_range(BH_LOAD_ICMP6_TYPE, ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT),
	    leads_to(BH_V_GOTO, neighbour));
	ADD(p, icmp6, is(BH_LOAD_ICMP6_TYPE, ND_ROUTER_SOLICIT),
	    leads_to(BH_V_GOTO, add_solicit(g, own6, discovery)));
	ADD(p, icmp6,
	    guard_is_range(BH_LOAD_ICMP6_TYPE, MLD_LISTENER_REPORT, MLD_LISTENER_REDUCTION),
	    leads_to(BH_V_GOTO, listener));
	ADD(p, icmp6, is(BH_LOAD_ICMP6_TYPE, BH_MLD2_LISTENER_REPORT),
	    leads_to(BH_V_GOTO, listener));

	ADD(p, c, is(BH_LOAD_L4PROTO, IPPROTO_ICMPV6), leads_to(BH_V_JUMP, icmp6));
	ADD(p, c, leads_to(BH_V_GOTO, own6));
}

/* RFC 2131 4.1: a client without an address. */
static void add_from_dhcp(struct bh_guard *g, const struct bh_plan_chain *spoofed)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = g->chains[GUARD_FROM_DHCP];

	ADD(p, c, is_in(BH_LOAD_SADDR, "0.0.0.0/32"), is_in(BH_LOAD_DADDR, "255.255.255.255/32"),
	    is(BH_LOAD_L4PROTO, IPPROTO_UDP), is(BH_LOAD_SPORT, 68), is(BH_LOAD_DPORT, 67),
	    verdict(BH_V_ACCEPT));
	ADD(p, c, leads_to(BH_V_GOTO, spoofed));
}

static void add_from_ip4(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = g->chains[GUARD_FROM_IP4];

	ADD(p, c, in_set(g, BH_KEY_IIF_SADDR, GUARD_SRC4), verdict(BH_V_ACCEPT));
	ADD(p, c, in_set(g, BH_KEY_IIF, GUARD_DHCP),
	    leads_to(BH_V_GOTO, g->chains[GUARD_FROM_DHCP]));
	ADD(p, c, leads_to(BH_V_GOTO, g->chains[GUARD_FROM_OTHER]));
}

/* What comes from the port's own MAC, and from none of the addresses that its chain compares. */
static void add_by_type(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *c = g->chains[GUARD_BY_TYPE];

	ADD(p, c, is(BH_LOAD_ETHER_TYPE, ETH_P_IP), leads_to(BH_V_GOTO, g->chains[GUARD_FROM_IP4]));
	ADD(p, c, is(BH_LOAD_ETHER_TYPE, ETH_P_IPV6),
	    leads_to(BH_V_GOTO, g->chains[GUARD_FROM_IP6]));
	ADD(p, c, is(BH_LOAD_ETHER_TYPE, ETH_P_ARP),
	    leads_to(BH_V_GOTO, g->chains[GUARD_FROM_ARP]));
	ADD(p, c, leads_to(BH_V_GOTO, g->chains[GUARD_FROM_OTHER]));
}

/* What is not from the port's MAC, or of another type. */
static void add_from_other(struct bh_guard *g, const struct bh_plan_chain *spoofed,
			   const struct bh_plan_chain *frame)
{
	static const uint32_t types[] = { ETH_P_IP, ETH_P_IPV6, ETH_P_ARP };
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];

	for (size_t i = 0; i < BH_ARRAY_LEN(types); i++)
		ADD(p, g->chains[GUARD_FROM_OTHER], is(BH_LOAD_ETHER_TYPE, types[i]),
		    leads_to(BH_V_GOTO, spoofed));
	ADD(p, g->chains[GUARD_FROM_OTHER], leads_to(BH_V_GOTO, frame));
}

/* A link of no known pod: whose the addresses are is not known, but what it may send is. */
static void add_wild(struct bh_guard *g, const struct bh_plan_chain *discovery,
		     const struct bh_plan_chain *frame)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	struct bh_plan_chain *wild6 = new_chain(p, "wild6"), *icmp6 = new_chain(p, "wild_icmp6");

	add_router_types(p, icmp6, discovery);
	ADD(p, wild6, is(BH_LOAD_L4PROTO, IPPROTO_ICMPV6), leads_to(BH_V_JUMP, icmp6));
	ADD(p, wild6, verdict(BH_V_ACCEPT));

	ADD(p, g->chains[GUARD_WILD], is(BH_LOAD_ETHER_TYPE, ETH_P_IP), verdict(BH_V_ACCEPT));
	ADD(p, g->chains[GUARD_WILD], is(BH_LOAD_ETHER_TYPE, ETH_P_ARP), verdict(BH_V_ACCEPT));
	ADD(p, g->chains[GUARD_WILD], is(BH_LOAD_ETHER_TYPE, ETH_P_IPV6),
	    leads_to(BH_V_GOTO, wild6));
	ADD(p, g->chains[GUARD_WILD], leads_to(BH_V_GOTO, frame));
}

static void build_netdev(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_NETDEV];
	const struct bh_plan_chain *frame = add_denial(g, BH_TABLE_NETDEV, BH_GUARD_FRAME);
	const struct bh_plan_chain *discovery = add_denial(g, BH_TABLE_NETDEV, BH_GUARD_DISCOVERY);
	const struct bh_plan_chain *spoofed;

	g->chains[GUARD_NO_POD] = add_denial(g, BH_TABLE_NETDEV, BH_GUARD_NO_POD);
	spoofed = add_spoofed(g);
	g->chains[GUARD_FROM_ARP] = new_chain(p, "from_arp");
	g->chains[GUARD_FROM_IP4] = new_chain(p, "from_ip4");
	g->chains[GUARD_FROM_IP6] = new_chain(p, "from_ip6");
	g->chains[GUARD_ICMP6] = new_chain(p, "icmp6");
	g->chains[GUARD_FROM_DHCP] = new_chain(p, "from_dhcp");
	g->chains[GUARD_FROM_OTHER] = new_chain(p, "from_other");
	g->chains[GUARD_BY_TYPE] = new_chain(p, "by_type");
	g->chains[GUARD_WILD] = new_chain(p, "wild");
	add_arp(g, spoofed);
	add_by_type(g);
	add_from_ip4(g);
	add_from_ip6(g, spoofed, discovery);
	add_from_dhcp(g, spoofed);
	add_from_other(g, spoofed, frame);
	add_wild(g, discovery, frame);
}

/* --- to pods of a bridge ---------------------------------------------------------------------- */

/*
 * Router solicitations, router advertisements, redirects and MLD are between pods
 * and routers: from another pod's port they would be a way to send what policy
 * does not see.  The rest of discovery was checked where it came in.
 */
static struct bh_plan_chain *add_pod_icmp6(struct bh_guard *g, const struct bh_plan_chain *deny)
{
	static const struct {
		uint32_t first, last, hop_limit;
	} types[] = {
		{ ND_ROUTER_SOLICIT, ND_REDIRECT, 255 },
		{ MLD_LISTENER_QUERY, MLD_LISTENER_REDUCTION, 1 },
		{ BH_MLD2_LISTENER_REPORT, BH_MLD2_LISTENER_REPORT, 1 },
	};
	static const struct {
		uint32_t first, last;
	} routers[] = {
		{ MLD_LISTENER_QUERY, ND_ROUTER_ADVERT },
		{ ND_REDIRECT, ND_REDIRECT },
		{ BH_MLD2_LISTENER_REPORT, BH_MLD2_LISTENER_REPORT },
	};
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	struct bh_plan_chain *c = new_chain(p, "pod_icmp6");

	for (size_t i = 0; i < BH_ARRAY_LEN(routers); i++)
		ADD(p, c, guard_is_range(BH_LOAD_ICMP6_TYPE, routers[i].first, routers[i].last),
		    in_set(g, BH_KEY_IIF, GUARD_PODS), leads_to(BH_V_GOTO, deny));
	for (size_t i = 0; i < BH_ARRAY_LEN(types); i++)
		ADD(p, c, guard_is_range(BH_LOAD_ICMP6_TYPE, types[i].first, types[i].last),
		    is(BH_LOAD_HOPLIMIT, types[i].hop_limit), verdict(BH_V_ACCEPT));
	return c;
}

/*
 * What is for a group gets the port in its priority, and is judged in table inet, too.  A
 * port without an ingress profile has no such mark, and what is for it goes on as it is.
 * A directed broadcast (RFC 919) shows in the MAC only.
 */
static void add_to_group(struct bh_guard *g, struct bh_plan_chain *c, enum bh_family family)
{
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	const struct bh_expr mark = { .kind = BH_EXPR_PRIORITY,
				      .key = BH_KEY_OIF,
				      .set = g->sets[GUARD_GROUP] };

	ADD(p, c, is_in(BH_LOAD_DADDR, family == BH_IPV4 ? "224.0.0.0/4" : "ff00::/8"), mark,
	    verdict(BH_V_ACCEPT));
	if (family == BH_IPV4)
		ADD(p, c, is_group_mac(), mark, verdict(BH_V_ACCEPT));
}

/*
 * Policy judges an isolated sender by the IP address that it names; the bridge delivers
 * by MAC.  A frame to the MAC of one pod, to a group's or to one that the bridge does not
 * know, with the IP address of a peer that policy allows, would reach who listens for
 * frames.  So to the port of a pod only its own addresses and groups pass.  A bridge
 * floods what is for others: only a frame to the pod's own MAC is written down.
 */
static void add_from_shut(struct bh_guard *g, const struct bh_plan_chain *unlisted,
			  const struct bh_plan_chain *silent)
{
	static const char *const groups[] = { "224.0.0.0/4", "255.255.255.255/32", "ff00::/8" };
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	struct bh_plan_chain *c = g->chains[GUARD_FROM_SHUT];
	const struct bh_expr back = verdict(BH_V_RETURN);

	ADD(p, c, is(BH_LOAD_ETHER_TYPE, ETH_P_ARP), back);
	ADD(p, c, in_set(g, BH_KEY_OIF_DADDR, GUARD_DST6), back);
	for (size_t i = 0; i < BH_ARRAY_LEN(groups); i++)
		ADD(p, c, is_in(BH_LOAD_DADDR, groups[i]), back);
	ADD(p, c, in_set(g, BH_KEY_DADDR, GUARD_BROADCASTS), back);
	/* Discovery was checked where it came in. */
	ADD(p, c, guard_is_range(BH_LOAD_ICMP6_TYPE, ND_ROUTER_SOLICIT, ND_REDIRECT),
	    is(BH_LOAD_HOPLIMIT, 255), back);
	ADD(p, c, in_set(g, BH_KEY_OIF_ETHER_DADDR, GUARD_TO_MACS), leads_to(BH_V_GOTO, unlisted));
	ADD(p, c, in_set(g, BH_KEY_OIF, GUARD_ENDS), leads_to(BH_V_GOTO, silent));
}

/*
 * Pods' own addresses are judged by policy afterwards, in table inet: br_netfilter calls
 * that at priorities of -1 and 0.
 */
static void add_forward(struct bh_guard *g, const struct bh_plan_chain *unlisted,
			const struct bh_plan_chain *silent)
{
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	struct bh_plan_chain *c =
		bh_plan_add_chain(p, "forward", NULL, BH_HOOK_FORWARD, FORWARD_PRIORITY);
	struct bh_plan_chain *open4 = g->chains[GUARD_TO_IP4_OPEN];
	struct bh_plan_chain *open6 = g->chains[GUARD_TO_IP6_OPEN];
	struct bh_plan_chain *to4 = g->chains[GUARD_TO_IP4], *to6 = g->chains[GUARD_TO_IP6];
	const struct bh_plan_chain *icmp6 = add_pod_icmp6(g, silent);
	const struct bh_expr accept = verdict(BH_V_ACCEPT), deny = leads_to(BH_V_GOTO, unlisted);
	const struct bh_expr discovery[] = { is(BH_LOAD_L4PROTO, IPPROTO_ICMPV6),
					     leads_to(BH_V_JUMP, icmp6) };

	ADD(p, c, in_set(g, BH_KEY_OIF_TYPE_DADDR, GUARD_TO4), accept);
	ADD(p, c, in_set(g, BH_KEY_IIF, GUARD_SHUT),
	    leads_to(BH_V_JUMP, g->chains[GUARD_FROM_SHUT]));
	ADD(p, c, by_map(g, BH_KEY_OIF_TYPE, GUARD_TO));
	ADD(p, c, in_set(g, BH_KEY_OIF, GUARD_CLOSED), deny);

	ADD(p, g->chains[GUARD_TO_PASS], accept);
	add_to_group(g, open4, BH_IPV4);
	ADD(p, open4, accept);
	guard_add_rule(p, open6, discovery, BH_ARRAY_LEN(discovery));
	add_to_group(g, open6, BH_IPV6);
	ADD(p, open6, accept);
	guard_add_rule(p, to6, discovery, BH_ARRAY_LEN(discovery));
	ADD(p, to6, in_set(g, BH_KEY_OIF_DADDR, GUARD_DST6), accept);
	add_to_group(g, to6, BH_IPV6);
	ADD(p, to6, deny);
	/* Answers to a client without an address (RFC 2131 4.1), not from other pods. */
	if (g->config.allows_dhcp) {
		struct bh_expr not_pods = in_set(g, BH_KEY_IIF, GUARD_PODS);

		not_pods.is_negated = true;
		ADD(p, to4, not_pods, is(BH_LOAD_L4PROTO, IPPROTO_UDP), is(BH_LOAD_SPORT, 67),
		    is(BH_LOAD_DPORT, 68), accept);
	}
	add_to_group(g, to4, BH_IPV4);
	ADD(p, to4, deny);
}

/* From the node itself, and what it routes: groups are the node's own to reach. */
static void add_output(struct bh_guard *g, const struct bh_plan_chain *unlisted)
{
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	struct bh_plan_chain *c = bh_plan_add_chain(p, "output", NULL, BH_HOOK_OUTPUT, 0);
	const struct bh_expr accept = verdict(BH_V_ACCEPT), deny = leads_to(BH_V_GOTO, unlisted);

	ADD(p, c, by_map(g, BH_KEY_OIF_TYPE, GUARD_ROUTED));
	ADD(p, g->chains[GUARD_NODE_IP4], is_group_mac(), accept);
	ADD(p, g->chains[GUARD_NODE_IP4], in_set(g, BH_KEY_OIF_TYPE_DADDR, GUARD_TO4), accept);
	ADD(p, g->chains[GUARD_NODE_IP4], deny);
	ADD(p, g->chains[GUARD_NODE_IP6], is_in(BH_LOAD_DADDR, "fe80::/10"), accept);
	ADD(p, g->chains[GUARD_NODE_IP6], is_in(BH_LOAD_DADDR, "ff00::/8"), accept);
	ADD(p, g->chains[GUARD_NODE_IP6], in_set(g, BH_KEY_OIF_DADDR, GUARD_DST6), accept);
	ADD(p, g->chains[GUARD_NODE_IP6], deny);
}

static void build_bridge(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_BRIDGE];
	const struct bh_plan_chain *unlisted = add_denial(g, BH_TABLE_BRIDGE, BH_GUARD_UNLISTED);
	/* A bridge floods a pod's solicitations to all ports: nothing to write down. */
	struct bh_plan_chain *silent = new_chain(p, "flooded");

	ADD(p, silent, verdict(g->config.mode == BH_AUDIT ? BH_V_ACCEPT : BH_V_DROP));
	g->chains[GUARD_FROM_SHUT] = new_chain(p, "from_shut");
	g->chains[GUARD_TO_PASS] = new_chain(p, "to_pass");
	g->chains[GUARD_TO_IP6] = new_chain(p, "to_ip6");
	g->chains[GUARD_TO_IP6_OPEN] = new_chain(p, "to_ip6_open");
	g->chains[GUARD_TO_IP4] = new_chain(p, "to_ip4");
	g->chains[GUARD_TO_IP4_OPEN] = new_chain(p, "to_ip4_open");
	g->chains[GUARD_NODE_IP4] = new_chain(p, "node_ip4");
	g->chains[GUARD_NODE_IP6] = new_chain(p, "node_ip6");
	add_from_shut(g, unlisted, silent);
	add_forward(g, unlisted, silent);
	add_output(g, unlisted);
}

/* --- to routed ports ---------------------------------------------------------------------------
 */

/* The compiler's forward chain looks into the map, behind replies to allowed flows. */
static void build_inet(struct bh_guard *g)
{
	struct bh_plan *p = g->plans[BH_TABLE_INET];
	const struct bh_plan_chain *unlisted = add_denial(g, BH_TABLE_INET, BH_GUARD_UNLISTED);

	g->chains[GUARD_TO_CLOSED] = new_chain(p, "to_closed");
	ADD(p, g->chains[GUARD_TO_CLOSED], in_set(g, BH_KEY_OIF_DADDR, GUARD_PORT_ADDR4),
	    verdict(BH_V_RETURN));
	ADD(p, g->chains[GUARD_TO_CLOSED], in_set(g, BH_KEY_OIF_DADDR, GUARD_PORT_ADDR6),
	    verdict(BH_V_RETURN));
	ADD(p, g->chains[GUARD_TO_CLOSED], leads_to(BH_V_GOTO, unlisted));
}

/* --- all of it -----------------------------------------------------------------------------------
 */

static void add_counters(struct bh_plan *plan)
{
	static const char *const names[] = { BH_COUNTER_DENIED, BH_COUNTER_LOGGED, BH_COUNTER_AUDIT,
					     BH_COUNTER_AUDIT_LOGGED };

	for (size_t i = 0; i < BH_ARRAY_LEN(names); i++)
		bh_plan_add_counter(plan, names[i]);
}

static void add_limit(struct bh_guard *g, enum bh_table table)
{
	const struct bh_set_spec spec = { .name = BH_PORT_LIMIT,
					  .kind = BH_SET_LINK_LIMIT,
					  .rate = g->config.log.log_rate,
					  .burst = g->config.log.log_burst };

	if (spec.rate > 0)
		bh_plan_add_set(g->plans[table], &spec);
}

static void add_sets(struct bh_guard *g)
{
	for (enum guard_set s = 0; s < GUARD_SET_COUNT_; s++) {
		struct bh_plan *plan = g->plans[set_specs[s].table];
		const struct bh_set_spec spec = { .name = set_specs[s].name,
						  .kind = set_specs[s].kind,
						  .family = set_specs[s].family };

		/* The compiler's forward chain needs its map before the guard is there. */
		g->sets[s] = bh_plan_set(plan, spec.name);
		if (!g->sets[s])
			g->sets[s] = bh_plan_add_set(plan, &spec);
	}
}

void bh_guard_build(struct bh_guard *g)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		if (t != BH_TABLE_INET)
			add_counters(g->plans[t]);
		add_limit(g, t);
	}
	add_sets(g);
	build_netdev(g);
	build_bridge(g);
	build_inet(g);
}
