/*
 * The chains that every packet sees, and what they share.
 *
 * An "allowed" in a profile's chain is a return, so that the other end of the
 * flow is judged too; what passes both is accepted by the base chain's policy.
 */
#include "compile_impl.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>

#define ACCEPT                                                                                     \
	{                                                                                          \
		.kind = BH_EXPR_VERDICT, .verdict = BH_V_ACCEPT                                    \
	}

#define IS(LOAD, FIRST, LAST)                                                                      \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = (LOAD), .value = (FIRST), .last = (LAST)            \
	}

#define ADD(c, chain, ...)                                                                         \
	match_add_rule(c, chain, (const struct bh_expr[]){ __VA_ARGS__ },                          \
		       BH_ARRAY_LEN(((const struct bh_expr[]){ __VA_ARGS__ })))

/*
 * ICMP errors about allowed flows.  Connection tracking accepts an error from any
 * sender if it quotes a packet of one of the receiver's connections
 * (nf_conntrack_inet_error()).  A pod could so reach every pod whose connections it can
 * guess, and change their path MTU.  So errors from a pod of this node are accepted
 * about its own connections only; those from pods that route, and from routers and hosts,
 * which are no pods of this node, about any.  Other errors are judged like any packet, and so
 * are related connections, which come from connection tracking helpers.
 */
static void build_related(struct bh_compiler *c)
{
	static const uint8_t protocols[] = { [BH_IPV4] = IPPROTO_ICMP, [BH_IPV6] = IPPROTO_ICMPV6 };
	static const enum bh_lookup_key ends[] = { BH_KEY_SADDR_CT_REPLY,
						   BH_KEY_SADDR_CT_ORIGINAL };

	c->related = bh_plan_add_chain(c->plan, "related", NULL, BH_HOOK_NONE, 0);
	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++) {
		ADD(c, c->related, IS(BH_LOAD_L4PROTO, protocols[f], protocols[f]),
		    { .kind = BH_EXPR_LOOKUP,
		      .set = c->self[f],
		      .key = BH_KEY_SADDR_TWICE,
		      .is_negated = true },
		    ACCEPT);
		for (size_t i = 0; i < BH_ARRAY_LEN(ends); i++)
			ADD(c, c->related, IS(BH_LOAD_L4PROTO, protocols[f], protocols[f]),
			    { .kind = BH_EXPR_LOOKUP, .set = c->self[f], .key = ends[i] }, ACCEPT);
	}
}

/* Replies, and errors about allowed flows.  Then what only looks like an opening. */
static void add_known(struct bh_compiler *c, struct bh_plan_chain *chain)
{
	ADD(c, chain, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_ESTABLISHED }, ACCEPT);
	ADD(c, chain, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_RELATED },
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_JUMP, .chain = c->related });
	ADD(c, chain, { .kind = BH_EXPR_LOOKUP, .set = c->cut_proto, .key = BH_KEY_PROTO },
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_JUMP, .chain = c->cut });
}

static void add_cut_set(struct bh_compiler *c, struct bh_plan_chain *chain,
			const struct bh_set_spec *spec, enum bh_lookup_key key)
{
	struct bh_plan_set *set = bh_plan_add_set(c->plan, spec);

	ADD(c, chain, { .kind = BH_EXPR_LOOKUP, .set = set, .key = key },
	    { .kind = BH_EXPR_UPDATE, .set = set, .key = key },
	    { .kind = BH_EXPR_UPDATE, .set = c->cut_proto, .key = BH_KEY_PROTO },
	    { .kind = BH_EXPR_COUNTER, .name = BH_COUNTER_CUT },
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_DROP });
}

#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10

/*
 * What belongs to no connection.  Without this chain, a packet in mid-stream would open
 * a connection of its sender's that is in truth the other end's, and was cut or is
 * older than the rules.
 */
static void add_cut(struct bh_compiler *c)
{
	static const struct bh_set_spec specs[] = {
		{ .name = BH_SET_NAME_CUT4, .kind = BH_SET_CUT, .family = BH_IPV4 },
		{ .name = BH_SET_NAME_CUT_PAIR4, .kind = BH_SET_CUT_PAIR, .family = BH_IPV4 },
		{ .name = BH_SET_NAME_CUT6, .kind = BH_SET_CUT, .family = BH_IPV6 },
		{ .name = BH_SET_NAME_CUT_PAIR6, .kind = BH_SET_CUT_PAIR, .family = BH_IPV6 },
	};
	const struct bh_set_spec pickup = { .name = BH_SET_NAME_PICKUP,
					    .kind = BH_SET_PROTO,
					    .size = 16,
					    .timeout_s = BH_PICKUP_SECONDS };
	const struct bh_set_spec proto = { .name = BH_SET_NAME_CUT_PROTO,
					   .kind = BH_SET_PROTO,
					   .size = 16,
					   .timeout_s = BH_CUT_PROTO_SECONDS };
	struct bh_plan_chain *chain = bh_plan_add_chain(c->plan, "cut", NULL, BH_HOOK_NONE, 0);
	struct bh_plan_set *set = bh_plan_add_set(c->plan, &pickup);

	c->cut_proto = bh_plan_add_set(c->plan, &proto);
	ADD(c, chain,
	    { .kind = BH_EXPR_MATCH,
	      .load = BH_LOAD_TCP_FLAGS,
	      .op = BH_MATCH_BYTES,
	      .bytes = { TCP_FLAG_SYN },
	      .mask = { TCP_FLAG_SYN | TCP_FLAG_ACK } },
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_RETURN });
	for (size_t i = 0; i < BH_ARRAY_LEN(specs); i++) {
		bool is_pair = specs[i].kind == BH_SET_CUT_PAIR;
		struct bh_set_spec spec = specs[i];

		spec.size = is_pair ? BH_CUT_PAIR_SIZE : BH_CUT_SIZE;
		spec.timeout_s = BH_CUT_SECONDS;
		add_cut_set(c, chain, &spec, is_pair ? BH_KEY_PAIR : BH_KEY_FLOW);
	}
	ADD(c, chain,
	    { .kind = BH_EXPR_MATCH,
	      .load = BH_LOAD_TCP_FLAGS,
	      .op = BH_MATCH_NOT_BYTES,
	      .bytes = { TCP_FLAG_SYN },
	      .mask = { TCP_FLAG_SYN } },
	    { .kind = BH_EXPR_LOOKUP, .set = set, .key = BH_KEY_PROTO },
	    { .kind = BH_EXPR_COUNTER, .name = BH_COUNTER_PICKUP }, ACCEPT);
	c->cut = chain;
}

static void add_icmp6(struct bh_compiler *c, struct bh_plan_chain *chain, uint32_t hop_limit,
		      uint32_t first, uint32_t last)
{
	ADD(c, chain, IS(BH_LOAD_HOPLIMIT, hop_limit, hop_limit),
	    IS(BH_LOAD_ICMP6_TYPE, first, last), ACCEPT);
}

static void add_icmp6_to(struct bh_compiler *c, struct bh_plan_chain *chain, uint32_t hop_limit,
			 uint32_t type, const struct bh_expr *group)
{
	ADD(c, chain, IS(BH_LOAD_HOPLIMIT, hop_limit, hop_limit),
	    IS(BH_LOAD_ICMP6_TYPE, type, type), *group, ACCEPT);
}

/*
 * Without neighbour discovery (RFC 4861) and multicast listener discovery (RFC
 * 2710, 3810) there is no IPv6: solicitations and advertisements of neighbours, and
 * solicitations of routers and reports of listeners to their groups.  The hop limit
 * shows that the sender is on the link; pings stay judged.  What a pod says in these
 * messages its port checks (guard.h).
 */
static void build_discovery(struct bh_compiler *c)
{
	static const uint32_t reports[] = { MLD_LISTENER_REPORT, MLD_LISTENER_REDUCTION,
					    BH_MLD2_LISTENER_REPORT };
	const struct bh_expr to_routers = { .kind = BH_EXPR_MATCH,
					    .load = BH_LOAD_DADDR,
					    .op = BH_MATCH_BYTES,
					    .family = BH_IPV6,
					    .bytes = { 0xff, 2, [15] = 2 } };
	const struct bh_expr to_link = { .kind = BH_EXPR_MATCH,
					 .load = BH_LOAD_DADDR,
					 .op = BH_MATCH_BYTES,
					 .family = BH_IPV6,
					 .bytes = { 0xff, 2 },
					 .mask = { 0xff, 0xff } };

	c->discovery = bh_plan_add_chain(c->plan, "discovery", NULL, BH_HOOK_NONE, 0);
	add_icmp6(c, c->discovery, 255, ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT);
	add_icmp6_to(c, c->discovery, 255, ND_ROUTER_SOLICIT, &to_routers);
	for (size_t i = 0; i < BH_ARRAY_LEN(reports); i++)
		add_icmp6_to(c, c->discovery, 1, reports[i], &to_link);
}

/* What routers send to their link. */
static void build_router_discovery(struct bh_compiler *c)
{
	c->router_discovery = bh_plan_add_chain(c->plan, "router_discovery", NULL, BH_HOOK_NONE, 0);
	add_icmp6(c, c->router_discovery, 255, ND_ROUTER_ADVERT, ND_ROUTER_ADVERT);
	add_icmp6(c, c->router_discovery, 255, ND_REDIRECT, ND_REDIRECT);
	add_icmp6(c, c->router_discovery, 1, MLD_LISTENER_QUERY, MLD_LISTENER_QUERY);
}

static void add_discovery(struct bh_compiler *c, struct bh_plan_chain *chain,
			  const struct bh_plan_chain *to)
{
	ADD(c, chain, IS(BH_LOAD_L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6),
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_JUMP, .chain = to });
}

static void add_vmap(struct bh_compiler *c, struct bh_plan_chain *chain, enum bh_dir dir,
		     enum bh_family family)
{
	ADD(c, chain,
	    { .kind = BH_EXPR_VMAP,
	      .set = c->maps[dir][family],
	      .key = dir == BH_INGRESS ? BH_KEY_DADDR : BH_KEY_SADDR });
}

/* IPv4 first: it should not pay for IPv6's exemptions. */
static void add_both_ends(struct bh_compiler *c, struct bh_plan_chain *chain)
{
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++)
		unknown_add(c, chain, dir, BH_IPV4);
	add_vmap(c, chain, BH_EGRESS, BH_IPV4);
	add_vmap(c, chain, BH_INGRESS, BH_IPV4);
	add_discovery(c, chain, c->discovery);
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++)
		unknown_add(c, chain, dir, BH_IPV6);
	add_vmap(c, chain, BH_EGRESS, BH_IPV6);
	/* Behind the sender's policies: an isolated pod is no router. */
	add_discovery(c, chain, c->router_discovery);
	add_vmap(c, chain, BH_INGRESS, BH_IPV6);
}

/* To a routed port whose pod is isolated; what its addresses do not own ends there. */
static void add_port(struct bh_compiler *c, struct bh_plan_chain *chain)
{
	static const struct bh_set_spec spec = { .name = BH_PORT_TO, .kind = BH_SET_LINK_MAP };

	ADD(c, chain,
	    { .kind = BH_EXPR_VMAP, .set = bh_plan_add_set(c->plan, &spec), .key = BH_KEY_OIF });
}

/*
 * Copies for ports that a bridge told us of: the receiver's policies, which no address
 * leads to.
 */
static void build_groups(struct bh_compiler *c)
{
	const struct bh_set_spec map = { .name = BH_GROUP_TO, .kind = BH_SET_PRIORITY_MAP };
	const struct bh_set_spec limit = { .name = BH_GROUP_LIMIT,
					   .kind = BH_SET_PRIORITY_LIMIT,
					   .rate = c->config.log_rate,
					   .burst = c->config.log_burst };

	if (c->config.log_rate)
		c->limits[BH_INGRESS].group = bh_plan_add_set(c->plan, &limit);
	c->to_group = bh_plan_add_chain(c->plan, "to_group", NULL, BH_HOOK_NONE, 0);
	ADD(c, c->to_group,
	    { .kind = BH_EXPR_VMAP,
	      .set = bh_plan_add_set(c->plan, &map),
	      .key = BH_KEY_PRIORITY });
	ADD(c, c->to_group, { .kind = BH_EXPR_PRIORITY });
}

static void add_groups(struct bh_compiler *c, struct bh_plan_chain *chain)
{
	ADD(c, chain, group_match(true),
	    { .kind = BH_EXPR_VERDICT, .verdict = BH_V_JUMP, .chain = c->to_group });
}

static void add_forward(struct bh_compiler *c)
{
	struct bh_plan_chain *chain =
		bh_plan_add_chain(c->plan, "forward", NULL, BH_HOOK_FORWARD, 0);

	add_known(c, chain);
	add_port(c, chain);
	add_both_ends(c, chain);
	add_groups(c, chain);
}

/*
 * From a pod to its own node: egress only.  IPVS takes its flows out of this
 * hook at priorities 98 and 99 (net/netfilter/ipvs/ip_vs_core.c); they come by
 * again in output with the real destination.
 */
static void add_input(struct bh_compiler *c)
{
	struct bh_plan_chain *chain = bh_plan_add_chain(c->plan, "input", NULL, BH_HOOK_INPUT, 101);

	add_known(c, chain);
	unknown_add(c, chain, BH_EGRESS, BH_IPV4);
	add_vmap(c, chain, BH_EGRESS, BH_IPV4);
	add_discovery(c, chain, c->discovery);
	unknown_add(c, chain, BH_EGRESS, BH_IPV6);
	add_vmap(c, chain, BH_EGRESS, BH_IPV6);
}

/*
 * What the node itself sends to its pods is exempt, whatever address it uses.
 * Other sources than the node's are flows that IPVS forwards.
 */
static void add_output(struct bh_compiler *c)
{
	struct bh_plan_chain *chain = bh_plan_add_chain(c->plan, "output", NULL, BH_HOOK_OUTPUT, 0);

	add_known(c, chain);
	ADD(c, chain, { .kind = BH_EXPR_FIB_LOCAL }, ACCEPT);
	add_both_ends(c, chain);
}

static void add_shared_sets(struct bh_compiler *c)
{
	static const char *const map_names[BH_DIR_COUNT_][BH_FAMILY_COUNT_] = {
		[BH_INGRESS] = { "in4", "in6" },
		[BH_EGRESS] = { "eg4", "eg6" },
	};
	static const char *const limit_names[BH_DIR_COUNT_][BH_FAMILY_COUNT_] = {
		[BH_INGRESS] = { "lim_in4", "lim_in6" },
		[BH_EGRESS] = { "lim_eg4", "lim_eg6" },
	};
	static const char *const self_names[BH_FAMILY_COUNT_] = { "self4", "self6" };
	static const char *const local_names[BH_FAMILY_COUNT_] = BH_LOCAL_SETS;
	enum bh_dir dir;
	enum bh_family f;

	for (f = 0; f < BH_FAMILY_COUNT_; f++) {
		struct bh_set_spec self = { .name = self_names[f],
					    .kind = BH_SET_ADDR_PAIR,
					    .family = f };
		struct bh_set_spec local = { .name = local_names[f],
					     .kind = BH_SET_ADDR,
					     .family = f };

		c->local[f] = bh_plan_add_set(c->plan, &local);
		c->self[f] = bh_plan_add_set(c->plan, &self);
	}
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		for (f = 0; f < BH_FAMILY_COUNT_; f++) {
			struct bh_set_spec map = { .name = map_names[dir][f],
						   .kind = BH_SET_VERDICT_MAP,
						   .family = f };
			struct bh_set_spec limit = { .name = limit_names[dir][f],
						     .kind = BH_SET_LOG_LIMIT,
						     .family = f,
						     .rate = c->config.log_rate,
						     .burst = c->config.log_burst };

			c->maps[dir][f] = bh_plan_add_set(c->plan, &map);
			if (c->config.log_rate)
				c->limits[dir].addr[f] = bh_plan_add_set(c->plan, &limit);
		}
	}
}

void base_build(struct bh_compiler *c)
{
	static const char *const counters[] = { BH_COUNTER_DENIED, BH_COUNTER_LOGGED,
						BH_COUNTER_AUDIT,  BH_COUNTER_AUDIT_LOGGED,
						BH_COUNTER_CUT,    BH_COUNTER_PICKUP };
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(counters); i++)
		bh_plan_add_counter(c->plan, counters[i]);
	add_shared_sets(c);
	add_cut(c);
	build_groups(c);
	build_related(c);
	build_discovery(c);
	build_router_discovery(c);
	unknown_build(c);
	add_forward(c);
	add_input(c);
	add_output(c);
}
