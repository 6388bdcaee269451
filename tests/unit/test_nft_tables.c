/*
 * All three tables in the kernel: every load, match, key and kind of set is
 * committed, read back, printed by nft and loaded again.  Each test has a network
 * namespace of its own.
 */
#include <errno.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "bh/buf.h"
#include "bh/nft.h"
#include "bh/render.h"
#include "test.h"

/* No link has it, so nft prints the number. */
#define LINK 77u

/* --- rules -------------------------------------------------------------------*/

#define RANGE(LOAD, FIRST, LAST)                                                                   \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .value = (FIRST), .last = (LAST)    \
	}
#define NOT_RANGE(LOAD, FIRST, LAST)                                                               \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .op = BH_MATCH_NOT_RANGE,           \
		.value = (FIRST), .last = (LAST)                                                   \
	}
#define IS(LOAD, VALUE)  RANGE(LOAD, VALUE, VALUE)
#define NOT(LOAD, VALUE) NOT_RANGE(LOAD, VALUE, VALUE)
#define BYTES(LOAD, ...)                                                                           \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .op = BH_MATCH_BYTES, __VA_ARGS__   \
	}
#define NOT_BYTES(LOAD, ...)                                                                       \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .op = BH_MATCH_NOT_BYTES,           \
		__VA_ARGS__                                                                        \
	}
#define FF8 255, 255, 255, 255, 255, 255, 255, 255

static const struct {
	unsigned int tables; /* 1 << enum bh_table */
	struct bh_expr exprs[BH_RULE_MAX_EXPRS];
	const char *text; /* as nft prints it too */
} matches[] = {
#define INET   (1u << BH_TABLE_INET)
#define FRAMES (1u << BH_TABLE_NETDEV | 1u << BH_TABLE_BRIDGE)
#define ALL    (INET | FRAMES)
	{ INET, { IS(NFPROTO, AF_INET) }, "meta nfproto ipv4" },
	{ INET, { NOT(NFPROTO, AF_INET6) }, "meta nfproto != ipv6" },
	{ ALL, { IS(L4PROTO, IPPROTO_ICMPV6) }, "meta l4proto ipv6-icmp" },
	{ ALL, { RANGE(L4PROTO, 6, 17) }, "meta l4proto 6-17" },
	{ ALL, { IS(LENGTH, 46) }, "meta length 46" },
	{ ALL, { NOT(LENGTH, 46) }, "meta length != 46" },
	{ ALL, { RANGE(LENGTH, 47, UINT32_MAX) }, "meta length > 46" },
	{ ALL, { NOT_RANGE(LENGTH, 0, 46) }, "meta length > 46" },
	{ ALL, { RANGE(LENGTH, 0, 46) }, "meta length <= 46" },
	{ ALL, { NOT_RANGE(LENGTH, 47, UINT32_MAX) }, "meta length <= 46" },
	{ ALL, { RANGE(LENGTH, 46, 60) }, "meta length 46-60" },
	{ ALL, { NOT_RANGE(LENGTH, 46, 60) }, "meta length != 46-60" },
	{ ALL, { IS(IIF, LINK) }, "iif 77" },
	{ ALL, { NOT(IIF, LINK) }, "iif != 77" },
	{ ALL, { IS(OIF, LINK) }, "oif 77" },
	{ ALL,
	  { BYTES(SADDR, .family = BH_IPV4), BYTES(DADDR, .bytes = { 255, 255, 255, 255 }) },
	  "ip saddr 0.0.0.0 ip daddr 255.255.255.255" },
	{ ALL,
	  { BYTES(SADDR, .bytes = { 10 }, .mask = { 255 }),
	    NOT_BYTES(DADDR, .bytes = { 10, 128 }, .mask = { 255, 128 }) },
	  "ip saddr 10.0.0.0/8 ip daddr != 10.128.0.0/9" },
	{ ALL,
	  { BYTES(DADDR, .bytes = { [3] = 1 }, .mask = { [3] = 1 }) },
	  "ip daddr & 0.0.0.1 == 0.0.0.1" },
	{ ALL, { NOT_BYTES(SADDR, .family = BH_IPV6) }, "ip6 saddr != ::" },
	{ ALL,
	  { NOT_BYTES(DADDR, .family = BH_IPV6, .bytes = { 0xff, 2 }, .mask = { 255, 255 }) },
	  "ip6 daddr != ff02::/16" },
	{ ALL,
	  { BYTES(DADDR, .family = BH_IPV6, .bytes = { 0xfe, 0x80 }, .mask = { 255, 192 }) },
	  "ip6 daddr fe80::/10" },
	{ ALL,
	  { BYTES(DADDR, .family = BH_IPV6, .bytes = { 0xff, 2, [15] = 2 }, .mask = { FF8, FF8 }) },
	  "ip6 daddr ff02::2" },
	{ ALL, { IS(SPORT, 68), IS(DPORT, 67) }, "th sport 68 th dport 67" },
	{ ALL,
	  { IS(L4PROTO, IPPROTO_UDP), IS(SPORT, 68), IS(DPORT, 67) },
	  "udp sport 68 udp dport 67" },
	{ ALL,
	  { IS(L4PROTO, IPPROTO_UDP), IS(IIF, LINK), IS(SPORT, 67), RANGE(DPORT, 69, 65535) },
	  "iif 77 udp sport 67 udp dport > 68" },
	{ ALL, { IS(L4PROTO, IPPROTO_TCP), NOT_RANGE(DPORT, 1, 5) }, "tcp dport != 1-5" },
	{ ALL,
	  { BYTES(TCP_FLAGS, .bytes = { 0x02 }, .mask = { 0x12 }) },
	  "tcp flags syn / syn,ack" },
	{ ALL,
	  { NOT_BYTES(TCP_FLAGS, .bytes = { 0x02 }, .mask = { 0x12 }) },
	  "tcp flags != syn / syn,ack" },
	{ ALL, { BYTES(TCP_FLAGS, .mask = { 0x12 }) }, "tcp flags ! syn,ack" },
	{ ALL, { BYTES(TCP_FLAGS, .bytes = { 4 }, .mask = { 4 }) }, "tcp flags & rst == rst" },
	{ ALL, { BYTES(TCP_FLAGS, .bytes = { 2 }) }, "tcp flags == syn" },
	{ ALL, { BYTES(TCP_FLAGS, .bytes = { 0x12 }) }, "tcp flags == 0x12" },
	{ ALL, { NOT(NEXTHDR, IPPROTO_ICMPV6) }, "ip6 nexthdr != ipv6-icmp" },
	{ ALL, { NOT(HOPLIMIT, 255) }, "ip6 hoplimit != 255" },
	{ ALL, { NOT_RANGE(PAYLOAD_LEN, 24, 40) }, "ip6 length != 24-40" },
	{ ALL, { RANGE(PAYLOAD_LEN, 17, UINT16_MAX) }, "ip6 length > 16" },
	{ ALL, { RANGE(ICMP6_TYPE, 135, 136) }, "icmpv6 type 135-136" },
	{ ALL,
	  { RANGE(ICMP6_TYPE, 135, 136), IS(HOPLIMIT, 255) },
	  "icmpv6 type 135-136 ip6 hoplimit 255" },
	{ ALL,
	  { IS(HOPLIMIT, 255), RANGE(ICMP6_TYPE, 135, 136) },
	  "ip6 hoplimit 255 icmpv6 type 135-136" },
	{ ALL,
	  { IS(L4PROTO, IPPROTO_ICMPV6), RANGE(ICMP6_TYPE, 135, 136),
	    NOT_BYTES(SADDR, .family = BH_IPV6) },
	  "icmpv6 type 135-136 ip6 saddr != ::" },
	{ INET,
	  { IS(NFPROTO, AF_INET6), IS(IIF, LINK), RANGE(ICMP6_TYPE, 135, 136) },
	  "iif 77 icmpv6 type 135-136" },
	{ ALL,
	  { BYTES(TARGET, .bytes = { 0xfe, 0x80, [15] = 10 }) },
	  "@th,64,128 0xfe80000000000000000000000000000a" },
	{ FRAMES,
	  { BYTES(ETHER_DADDR, .bytes = { 1 }, .mask = { 1 }) },
	  "ether daddr & 01:00:00:00:00:00 == 01:00:00:00:00:00" },
	{ FRAMES,
	  { BYTES(ETHER_DADDR, .bytes = { 0x33, 0x33 }, .mask = { 255, 255 }) },
	  "ether daddr & ff:ff:00:00:00:00 == 33:33:00:00:00:00" },
	{ FRAMES,
	  { NOT_BYTES(ETHER_SADDR, .bytes = { 2, [5] = 10 }) },
	  "ether saddr != 02:00:00:00:00:0a" },
	{ FRAMES,
	  { BYTES(ETHER_SADDR, .bytes = { 2, [5] = 10 }), IS(ETHER_TYPE, ETH_P_IP) },
	  "ether saddr 02:00:00:00:00:0a ether type ip" },
	{ FRAMES, { NOT(ETHER_TYPE, ETH_P_8021Q) }, "ether type != 8021q" },
	{ FRAMES, { IS(ETHER_TYPE, 0x88cc) }, "ether type 0x88cc" },
	{ FRAMES, { RANGE(ETHER_TYPE, 0, 0x5ff) }, "ether type <= 0x05ff" },
	{ FRAMES, { RANGE(ETHER_TYPE, 0x600, 0x6ff) }, "ether type 0x0600-0x06ff" },
	{ FRAMES, { NOT(ARP_HTYPE, ARPHRD_ETHER) }, "arp htype != 1" },
	{ FRAMES, { NOT(ARP_PTYPE, ETH_P_IP) }, "arp ptype != ip" },
	{ FRAMES, { NOT(ARP_HLEN, 6) }, "arp hlen != 6" },
	{ FRAMES, { NOT(ARP_PLEN, 4) }, "arp plen != 4" },
	{ FRAMES,
	  { IS(ARP_HTYPE, 1), IS(ARP_PTYPE, ETH_P_IP), IS(ARP_HLEN, 6), IS(ARP_PLEN, 4),
	    IS(ARP_OP, ARPOP_REQUEST), BYTES(ARP_SPA) },
	  "arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp operation request "
	  "arp saddr ip 0.0.0.0" },
	{ FRAMES,
	  { IS(ARP_OP, ARPOP_REPLY), BYTES(ARP_SHA, .bytes = { 2, [5] = 10 }),
	    BYTES(ARP_SPA, .bytes = { 10, 0, 0, 1 }), BYTES(ARP_TPA, .bytes = { 10, 0, 0, 2 }) },
	  "arp operation reply arp saddr ether 02:00:00:00:00:0a arp saddr ip 10.0.0.1 "
	  "arp daddr ip 10.0.0.2" },
	{ FRAMES, { RANGE(ARP_OP, 1, 2) }, "arp operation 1-2" },
	{ INET, { { .kind = BH_EXPR_FIB_LOCAL } }, "fib saddr type local" },
	{ INET,
	  { { .kind = BH_EXPR_CT_STATE, .value = BH_CT_RELATED },
	    BYTES(TCP_FLAGS, .bytes = { 4 }, .mask = { 4 }) },
	  "ct state related tcp flags & rst == rst" },
};

/* Which sets there are of each kind, in which tables, and by what key they are asked. */
static const struct {
	unsigned int tables;
	enum bh_set_kind kind;
	enum bh_family family;
	enum bh_lookup_key key;
	const char *text;
} keys[] = {
	{ ALL, BH_SET_ADDR, BH_IPV4, BH_KEY_SADDR, "ip saddr" },
	{ ALL, BH_SET_ADDR, BH_IPV6, BH_KEY_DADDR, "ip6 daddr" },
	{ ALL, BH_SET_ADDR_PROTO_PORT, BH_IPV4, BH_KEY_SADDR_PROTO_PORT,
	  "ip saddr . meta l4proto . th dport" },
	{ ALL, BH_SET_ADDR_PROTO_PORT, BH_IPV6, BH_KEY_DADDR_PROTO_PORT,
	  "ip6 daddr . meta l4proto . th dport" },
	{ ALL, BH_SET_PROTO_PORT, BH_IPV4, BH_KEY_PROTO_PORT, "meta l4proto . th dport" },
	{ INET, BH_SET_VERDICT_MAP, BH_IPV6, BH_KEY_SADDR, "ip6 saddr" },
	{ INET, BH_SET_LOG_LIMIT, BH_IPV4, BH_KEY_DADDR, "ip daddr" },
	{ INET, BH_SET_CUT, BH_IPV4, BH_KEY_FLOW,
	  "ip saddr . ip daddr . meta l4proto . th sport . th dport" },
	{ INET, BH_SET_CUT, BH_IPV6, BH_KEY_FLOW,
	  "ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport" },
	{ ALL, BH_SET_LINK, BH_IPV4, BH_KEY_IIF, "iif" },
	{ ALL, BH_SET_LINK, BH_IPV4, BH_KEY_OIF, "oif" },
	{ ALL, BH_SET_LINK_ADDR, BH_IPV4, BH_KEY_IIF_SADDR, "iif . ip saddr" },
	{ ALL, BH_SET_LINK_ADDR, BH_IPV6, BH_KEY_IIF_SADDR, "iif . ip6 saddr" },
	{ ALL, BH_SET_LINK_ADDR, BH_IPV4, BH_KEY_OIF_DADDR, "oif . ip daddr" },
	{ ALL, BH_SET_LINK_ADDR, BH_IPV6, BH_KEY_OIF_DADDR, "oif . ip6 daddr" },
	{ FRAMES, BH_SET_LINK_ADDR, BH_IPV4, BH_KEY_IIF_ARP_SPA, "iif . arp saddr ip" },
	{ FRAMES, BH_SET_LINK_ADDR, BH_IPV4, BH_KEY_IIF_ARP_TPA, "iif . arp daddr ip" },
	{ FRAMES, BH_SET_LINK_MAC, BH_IPV4, BH_KEY_IIF_ETHER_SADDR, "iif . ether saddr" },
	{ FRAMES, BH_SET_LINK_MAC, BH_IPV4, BH_KEY_IIF_ARP_SHA, "iif . arp saddr ether" },
	{ FRAMES, BH_SET_LINK_MAC_TYPE_ADDR, BH_IPV4, BH_KEY_IIF_ETHER_TYPE_SADDR,
	  "iif . ether saddr . ether type . ip saddr" },
	{ FRAMES, BH_SET_LINK_MAC_TYPE_ADDR, BH_IPV6, BH_KEY_IIF_ETHER_TYPE_SADDR,
	  "iif . ether saddr . ether type . ip6 saddr" },
	{ FRAMES, BH_SET_LINK_TYPE_ADDR, BH_IPV4, BH_KEY_OIF_TYPE_DADDR,
	  "oif . ether type . ip daddr" },
	{ FRAMES, BH_SET_LINK_TYPE_ADDR, BH_IPV6, BH_KEY_OIF_TYPE_DADDR,
	  "oif . ether type . ip6 daddr" },
	{ ALL, BH_SET_LINK_TARGET, BH_IPV6, BH_KEY_IIF_TARGET, "iif . @th,64,128" },
	{ ALL, BH_SET_LINK_PROTO_PORT, BH_IPV4, BH_KEY_OIF_PROTO_PORT,
	  "oif . meta l4proto . th dport" },
	{ ALL, BH_SET_LINK_MAP, BH_IPV4, BH_KEY_OIF, "oif" },
	{ FRAMES, BH_SET_LINK_TYPE_MAP, BH_IPV4, BH_KEY_OIF_TYPE, "oif . ether type" },
	{ FRAMES, BH_SET_LINK_MAC_TYPE_MAP, BH_IPV4, BH_KEY_IIF_ETHER_TYPE,
	  "iif . ether saddr . ether type" },
	{ ALL, BH_SET_LINK_LIMIT, BH_IPV4, BH_KEY_IIF, "iif" },
};

static void add_rule(struct bh_plan *plan, struct bh_plan_chain *c, const struct bh_expr *exprs)
{
	struct bh_plan_rule rule = { .n_exprs = 0 };

	while (rule.n_exprs + 1 < BH_RULE_MAX_EXPRS &&
	       (exprs[rule.n_exprs].kind || exprs[rule.n_exprs].value)) {
		rule.exprs[rule.n_exprs] = exprs[rule.n_exprs];
		rule.n_exprs++;
	}
	rule.exprs[rule.n_exprs++] =
		(struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = BH_V_RETURN };
	bh_plan_add_rule(plan, c, &rule);
}

/* Two elements in each set, so that their order counts. */
static void fill(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_plan_chain *to)
{
	const uint16_t types[] = { ETH_P_IP, 0x88cc };

	for (uint8_t i = 0; i < 2; i++) {
		struct bh_addr a = { .family = (uint8_t)set->spec.family, .bytes = { 10, i } };
		struct bh_addr target = { .family = BH_IPV6, .bytes = { [13] = i, [15] = 9 } };
		struct bh_elem e = { .chain = to };

		bh_plan_pack(set->spec.kind,
			     &(struct bh_key_values){ .addr = &a,
						      .target = &target,
						      .protocol = i ? IPPROTO_TCP : IPPROTO_UDP,
						      .port = 53,
						      .link = LINK + i,
						      .mac = (const uint8_t[]){ 2, 0, i, 0, 0, 9 },
						      .ether_type = types[i] },
			     e.key);
		bh_plan_put(plan, set, &e);
	}
}

static struct bh_plan_set *add_set(struct bh_plan *plan, const char *name, enum bh_set_kind kind,
				   enum bh_family family)
{
	bool is_cut = kind == BH_SET_CUT;

	return bh_plan_add_set(plan, &(struct bh_set_spec){ .name = name,
							    .comment = "why",
							    .kind = kind,
							    .family = family,
							    .rate = 10,
							    .burst = 20,
							    .size = is_cut ? 1000 : 0,
							    .timeout_s = is_cut ? 90 : 0 });
}

/* A rule that asks each set. */
static void add_keys(struct bh_plan *plan, struct bh_plan_chain *c, const struct bh_plan_chain *to)
{
	for (size_t i = 0; i < BH_ARRAY_LEN(keys); i++) {
		const struct bh_set_shape *shape = bh_set_shape_of(keys[i].kind);
		struct bh_expr e[2] = { { .key = keys[i].key }, { 0 } };
		struct bh_plan_set *set;
		char name[16];

		if (!(keys[i].tables & 1u << bh_plan_table(plan)))
			continue;
		snprintf(name, sizeof(name), "s%02zu", i);
		set = add_set(plan, name, keys[i].kind, keys[i].family);
		e[0].set = set;
		if (!shape->is_dynamic)
			fill(plan, set, to);
		e[0].kind = shape->is_map                       ? BH_EXPR_VMAP
			    : keys[i].kind == BH_SET_CUT        ? BH_EXPR_UPDATE
			    : keys[i].kind == BH_SET_LOG_LIMIT  ? BH_EXPR_LIMIT
			    : keys[i].kind == BH_SET_LINK_LIMIT ? BH_EXPR_LIMIT
								: BH_EXPR_LOOKUP;
		add_rule(plan, c, e);
		if (e[0].kind != BH_EXPR_LOOKUP && keys[i].kind != BH_SET_CUT)
			continue;
		e[0].kind = BH_EXPR_LOOKUP;
		e[0].is_negated = true;
		add_rule(plan, c, e);
	}
}

static struct bh_plan *everything(enum bh_table table)
{
	struct bh_plan *plan = bh_plan_new(table);
	struct bh_plan_chain *match = bh_plan_add_chain(plan, "match", NULL, BH_HOOK_NONE, 0);
	struct bh_plan_chain *ask = bh_plan_add_chain(plan, "ask", "why", BH_HOOK_NONE, 0);
	struct bh_plan_chain *to = bh_plan_add_chain(plan, "zzz", NULL, BH_HOOK_NONE, 0);

	bh_plan_add_counter(plan, "denied");
	for (size_t i = 0; i < BH_ARRAY_LEN(matches); i++) {
		if (matches[i].tables & 1u << table)
			add_rule(plan, match, matches[i].exprs);
	}
	add_keys(plan, ask, to);
	if (table == BH_TABLE_NETDEV) {
		bh_plan_add_ingress(plan, "p_1", "one", -500);
		bh_plan_add_ingress(plan, "p_2", "two", 5);
	} else {
		bh_plan_add_chain(plan, "a", NULL, BH_HOOK_PREROUTING, -295);
		bh_plan_add_chain(plan, "b", NULL, BH_HOOK_FORWARD, -200);
		bh_plan_add_chain(plan, "c", NULL, BH_HOOK_OUTPUT, 100);
		bh_plan_add_chain(plan, "d", NULL, BH_HOOK_INPUT, -1);
	}
	return plan;
}

/* --- the machine -------------------------------------------------------------*/

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

static struct bh_nft *open_in_netns(void)
{
	struct bh_nft *nft = NULL;
	struct bh_err err = { 0 };

	if (unshare(CLONE_NEWNET) < 0 || system("nft list ruleset >/dev/null 2>&1") != 0) {
		print_message("skipped: needs root and nft\n");
		skip();
	}
	run("ip link add one type veth peer name two");
	assert_ok(bh_nft_new(&nft, &err), &err);
	return nft;
}

static void read_all(const char *command, struct bh_buf *out)
{
	char part[4096];
	FILE *p = popen(command, "r");
	size_t n;

	assert_non_null(p);
	while ((n = fread(part, 1, sizeof(part), p)) > 0)
		bh_buf_add(out, part, n);
	if (pclose(p) != 0)
		fail_msg("%s: %s", command, bh_buf_str(out));
}

static void free_plans(struct bh_plan *(*plans)[BH_TABLE_COUNT_])
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		bh_plan_free(&(*plans)[t]);
}

static void commit_all(struct bh_nft *nft, struct bh_plan *const *plans)
{
	struct bh_delta *deltas[BH_TABLE_COUNT_];
	const struct bh_delta *const_deltas[BH_TABLE_COUNT_];
	struct bh_err err = { 0 };

	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		const_deltas[t] = deltas[t] = bh_plan_delta(plans[t]);
	assert_ok(bh_nft_commit(nft, const_deltas, BH_TABLE_COUNT_, NULL, &err), &err);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_delta_free(&deltas[t]);
		bh_plan_settle(plans[t]);
	}
}

static struct bh_delta *read_and_diff(struct bh_nft *nft, const struct bh_plan *plan)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	struct bh_err err = { 0 };

	assert_ok(bh_nft_read(nft, bh_plan_table(plan), &state, &err), &err);
	return bh_nft_diff(state, plan);
}

static void must_be_same(struct bh_nft *nft, struct bh_plan *const *plans, const char *after)
{
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_auto(bh_delta_free) struct bh_delta *d = read_and_diff(nft, plans[t]);
		bh_auto(bh_buf_done) struct bh_buf text = { 0 };

		bh_nft_diff_describe(d, 10, &text);
		if (d)
			fail_msg("%s after %s: %s", bh_table_str(t), after, bh_buf_str(&text));
	}
}

static uint32_t generation(struct bh_nft *nft)
{
	struct bh_err err = { 0 };
	uint32_t g = 0;

	assert_ok(bh_nft_generation(nft, &g, &err), &err);
	return g;
}

/* --- everything --------------------------------------------------------------*/

static void every_load_key_and_set_is_in_the_plans(void **state)
{
	bool loads[BH_LOAD_COUNT_] = { 0 }, sets[BH_SET_KIND_COUNT_] = { 0 };
	bool asked[BH_KEY_COUNT_] = { 0 };

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(matches); i++) {
		for (size_t k = 0; k < BH_RULE_MAX_EXPRS; k++)
			loads[matches[i].exprs[k].load] |=
				matches[i].exprs[k].kind == BH_EXPR_MATCH;
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(keys); i++)
		sets[keys[i].kind] = asked[keys[i].key] = true;
	for (size_t i = 0; i < BH_ARRAY_LEN(loads); i++)
		assert_true(loads[i]);
	for (size_t i = 0; i < BH_ARRAY_LEN(sets); i++)
		assert_true(sets[i]);
	for (size_t i = 0; i < BH_ARRAY_LEN(asked); i++)
		assert_true(asked[i]);
}

static void matches_and_keys_have_their_nft_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(matches); i++) {
		bh_auto(bh_buf_done) struct bh_buf b = { 0 };
		struct bh_plan_rule rule = { 0 };

		while (matches[i].exprs[rule.n_exprs].kind ||
		       matches[i].exprs[rule.n_exprs].value) {
			rule.exprs[rule.n_exprs] = matches[i].exprs[rule.n_exprs];
			rule.n_exprs++;
		}
		bh_render_rule(&rule, &b);
		assert_string_equal(bh_buf_str(&b), matches[i].text);
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(keys); i++) {
		const struct bh_plan_set set = {
			.spec = { .name = "s", .kind = keys[i].kind, .family = keys[i].family },
		};
		const struct bh_plan_rule rule = {
			.exprs = { { .kind = BH_EXPR_LOOKUP, .key = keys[i].key, .set = &set } },
			.n_exprs = 1,
		};
		bh_auto(bh_buf_done) struct bh_buf b = { 0 }, want = { 0 };

		bh_render_rule(&rule, &b);
		bh_buf_printf(&want, "%s @s", keys[i].text);
		assert_string_equal(bh_buf_str(&b), bh_buf_str(&want));
	}
}

static void keys_and_shapes_fit(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(keys); i++) {
		const struct bh_key_loads *k = bh_key_loads_of(keys[i].key);
		const struct bh_set_shape *s = bh_set_shape_of(keys[i].kind);

		assert_int_equal(k->n, s->n_fields);
		assert_true(bh_set_key_len(keys[i].kind, keys[i].family) <= BH_KEY_MAX);
		for (size_t j = 0; j < k->n; j++)
			assert_int_equal(bh_load_len(k->loads[j], keys[i].family),
					 bh_field_len(s->fields[j], keys[i].family));
	}
}

static void all_tables_are_one_transaction_and_read_back_the_same(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	uint32_t before = generation(nft);

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	assert_int_equal(generation(nft), before + 1);
	must_be_same(nft, plans, "commit");
}

/* With its lists of elements one to a line as bh_render() has them. */
static void nft_list(enum bh_table table, struct bh_buf *out)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "nft list table %s bulkhead 2>&1 | sed -E "
		 "'/elements = /,/}/ s/, ([^ ])/,\\n\\t\\t\\t     \\1/g'",
		 bh_table_str(table));
	read_all(command, out);
}

static void sort_lines(struct bh_buf *b)
{
	char file[] = "/tmp/bh-sort-XXXXXX", command[128];
	int fd = mkstemp(file);

	assert_int_equal(write(fd, bh_buf_str(b), b->len), (ssize_t)b->len);
	close(fd);
	bh_buf_reset(b);
	/* The kernel lists elements in an order of its own. */
	snprintf(command, sizeof(command),
		 "sed 's/elements = {//; s/[,}]*$//; s/^[ \\t]*//; s/ *$//' %s | sort", file);
	read_all(command, b);
	unlink(file);
}

static void nft_prints_what_the_renderer_does(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		bh_auto(bh_buf_done) struct bh_buf want = { 0 }, have = { 0 };

		bh_render(plans[t], &want);
		nft_list(t, &have);
		sort_lines(&want);
		sort_lines(&have);
		assert_string_equal(bh_buf_str(&have), bh_buf_str(&want));
	}
}

static void what_nft_reloads_reads_back_the_same(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	char file[] = "/tmp/bh-nft-XXXXXX", command[128];
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	snprintf(command, sizeof(command), "nft list ruleset >%s && nft flush ruleset && nft -f %s",
		 file, file);
	run(command);
	unlink(file);
	must_be_same(nft, plans, "reload");
}

static void the_rendered_text_loads_as_what_was_committed(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	char file[] = "/tmp/bh-nft-XXXXXX", command[128];
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		plans[t] = everything(t);
		bh_render(plans[t], &text);
	}
	assert_int_equal(write(fd, bh_buf_str(&text), text.len), (ssize_t)text.len);
	close(fd);
	snprintf(command, sizeof(command), "nft -f %s", file);
	run(command);
	unlink(file);
	must_be_same(nft, plans, "nft -f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_load_key_and_set_is_in_the_plans),
		cmocka_unit_test(matches_and_keys_have_their_nft_text),
		cmocka_unit_test(keys_and_shapes_fit),
		cmocka_unit_test(all_tables_are_one_transaction_and_read_back_the_same),
		cmocka_unit_test(nft_prints_what_the_renderer_does),
		cmocka_unit_test(what_nft_reloads_reads_back_the_same),
		cmocka_unit_test(the_rendered_text_loads_as_what_was_committed),
	};

	return cmocka_run_group_tests_name("nft_tables", tests, NULL, NULL);
}
