/*
 * All three tables in the kernel: every load, match, key and kind of set is
 * committed, read back, printed by nft and loaded again.  Each test has a network
 * namespace of its own.
 */
#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

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
/* 8000:0 in host byte order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PRIORITY_BIT                                                                               \
	{                                                                                          \
		[3] = 0x80                                                                         \
	}
#else
#define PRIORITY_BIT                                                                               \
	{                                                                                          \
		0x80                                                                               \
	}
#endif

static const struct {
	unsigned int tables; /* 1 << enum bh_table */
	struct bh_expr exprs[BH_RULE_MAX_EXPRS];
	const char *text; /* as nft prints it too */
} matches[] = {
#define INET   (1u << BH_TABLE_INET)
#define FRAMES (1u << BH_TABLE_NETDEV | 1u << BH_TABLE_BRIDGE)
#define NETDEV (1u << BH_TABLE_NETDEV)
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
	{ NETDEV,
	  { BYTES(RAW_SADDR, .bytes = { 10, 244, 0, 11 }),
	    BYTES(ETHER_FROM, .bytes = { 2, [5] = 9, [6] = 8 }) },
	  "@nh,96,32 0xaf4000b @ll,48,64 0x200000000090800" },
	{ NETDEV,
	  { BYTES(RAW_SADDR, .family = BH_IPV6, .bytes = { 0xfe, 0x80, [15] = 10 }),
	    BYTES(ETHER_FROM, .bytes = { 2, [5] = 9, [6] = 0x86, [7] = 0xdd }),
	    NOT_RANGE(L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6) },
	  "@nh,64,128 0xfe80000000000000000000000000000a @ll,48,64 0x2000000000986dd "
	  "meta l4proto != ipv6-icmp" },
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
	{ ALL,
	  { BYTES(PRIORITY, .bytes = PRIORITY_BIT, .mask = PRIORITY_BIT) },
	  "meta priority & 8000:0 == 8000:0" },
	{ ALL, { { .kind = BH_EXPR_PRIORITY } }, "meta priority set none" },
	{ INET, { { .kind = BH_EXPR_FIB_LOCAL } }, "fib saddr type local" },
	{ INET, { { .kind = BH_EXPR_FIB_BROADCAST } }, "fib daddr type broadcast" },
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
	{ FRAMES, BH_SET_LINK_TYPE_ADDR, BH_IPV4, BH_KEY_OIF_TYPE_DADDR,
	  "oif . ether type . ip daddr" },
	{ FRAMES, BH_SET_LINK_TYPE_ADDR, BH_IPV6, BH_KEY_OIF_TYPE_DADDR,
	  "oif . ether type . ip6 daddr" },
	{ ALL, BH_SET_LINK_TARGET, BH_IPV6, BH_KEY_IIF_TARGET, "iif . @th,64,128" },
	{ ALL, BH_SET_LINK_MAP, BH_IPV4, BH_KEY_OIF, "oif" },
	{ FRAMES, BH_SET_LINK_TYPE_MAP, BH_IPV4, BH_KEY_OIF_TYPE, "oif . ether type" },
	{ ALL, BH_SET_LINK_LIMIT, BH_IPV4, BH_KEY_IIF, "iif" },
	{ ALL, BH_SET_LINK_PRIORITY, BH_IPV4, BH_KEY_OIF, "oif" },
	{ ALL, BH_SET_PRIORITY_MAP, BH_IPV4, BH_KEY_PRIORITY, "meta priority" },
	{ ALL, BH_SET_PRIORITY_LIMIT, BH_IPV4, BH_KEY_PRIORITY, "meta priority" },
	{ INET, BH_SET_CUT_PAIR, BH_IPV4, BH_KEY_PAIR, "ip saddr . ip daddr . meta l4proto" },
	{ INET, BH_SET_CUT_PAIR, BH_IPV6, BH_KEY_PAIR, "ip6 saddr . ip6 daddr . meta l4proto" },
	{ INET, BH_SET_ADDR_PAIR, BH_IPV4, BH_KEY_SADDR_TWICE, "ip saddr . ip saddr" },
	{ INET, BH_SET_ADDR_PAIR, BH_IPV6, BH_KEY_SADDR_TWICE, "ip6 saddr . ip6 saddr" },
	{ INET, BH_SET_ADDR_PAIR, BH_IPV4, BH_KEY_SADDR_CT_ORIGINAL,
	  "ip saddr . ct original ip saddr" },
	{ INET, BH_SET_ADDR_PAIR, BH_IPV6, BH_KEY_SADDR_CT_REPLY,
	  "ip6 saddr . ct reply ip6 saddr" },
	{ FRAMES, BH_SET_LINK_MAC, BH_IPV4, BH_KEY_OIF_ETHER_DADDR, "oif . ether daddr" },
	{ INET, BH_SET_PROTO, BH_IPV4, BH_KEY_PROTO, "meta l4proto" },
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
		struct bh_elem e = { .chain = to, .value = 0x80000000 | i };

		bh_plan_pack(set->spec.kind,
			     &(struct bh_key_values){ .addr = &a,
						      .addr2 = &a,
						      .target = &target,
						      .protocol = i ? IPPROTO_TCP : IPPROTO_UDP,
						      .port = 53,
						      .link = LINK + i,
						      .mac = (const uint8_t[]){ 2, 0, i, 0, 0, 9 },
						      .ether_type = types[i],
						      .priority = 0x80000000 | i },
			     e.key);
		bh_plan_put(plan, set, &e);
	}
}

static bool is_updated(enum bh_set_kind kind)
{
	return kind == BH_SET_CUT || kind == BH_SET_CUT_PAIR || kind == BH_SET_PROTO;
}

static struct bh_plan_set *add_set(struct bh_plan *plan, const char *name, enum bh_set_kind kind,
				   enum bh_family family)
{
	bool is_cut = is_updated(kind);

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
		e[0].kind = shape->is_map              ? BH_EXPR_VMAP
			    : shape->has_values        ? BH_EXPR_PRIORITY
			    : is_updated(keys[i].kind) ? BH_EXPR_UPDATE
			    : shape->is_dynamic        ? BH_EXPR_LIMIT
						       : BH_EXPR_LOOKUP;
		add_rule(plan, c, e);
		if (e[0].kind != BH_EXPR_LOOKUP && !is_updated(keys[i].kind))
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
	/* Only parts of keys. */
	loads[BH_LOAD_CT_ORIGINAL] = asked[BH_KEY_SADDR_CT_ORIGINAL];
	loads[BH_LOAD_CT_REPLY] = asked[BH_KEY_SADDR_CT_REPLY];
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

/* --- what others do ----------------------------------------------------------*/

static const struct {
	enum bh_table table;
	const char *command, *says;
} tampers[] = {
#define N BH_TABLE_NETDEV
#define B BH_TABLE_BRIDGE
	{ N, "delete table netdev bulkhead", "table netdev bulkhead: was missing" },
	{ B, "delete table bridge bulkhead", "table bridge bulkhead: was missing" },
	{ N, "flush chain netdev bulkhead ask", "chain ask: other rules" },
	{ N, "insert rule netdev bulkhead p_1 accept", "chain p_1: other rules" },
	{ B, "insert rule bridge bulkhead b accept", "chain b: other rules" },
	{ N, "delete chain netdev bulkhead p_1", "chain p_1: was missing" },
	{ N,
	  "delete chain netdev bulkhead p_1; add chain netdev bulkhead p_1 "
	  "{ type filter hook ingress device two priority -500; }",
	  "chain p_1: was of another kind" },
	{ N,
	  "delete chain netdev bulkhead p_1; add chain netdev bulkhead p_1 "
	  "{ type filter hook ingress device one priority -400; }",
	  "chain p_1: was of another kind" },
	{ N,
	  "delete chain netdev bulkhead p_1; add chain netdev bulkhead p_1 "
	  "{ type filter hook ingress devices = { one, two } priority -500; }",
	  "chain p_1: was of another kind" },
	{ N,
	  "add chain netdev bulkhead p_1 "
	  "{ type filter hook ingress devices = { two } priority -500; }",
	  "chain p_1: was of another kind" },
	{ N, "add chain netdev bulkhead p_1 { policy drop; }", "chain p_1: was of another kind" },
	{ N, "add chain netdev bulkhead evil { type filter hook egress device one priority 0; }",
	  "chain evil: does not belong here" },
	{ B,
	  "add chain bridge bulkhead evil { type filter hook postrouting priority 0; policy drop; "
	  "}",
	  "chain evil: does not belong here" },
	{ N, "add element netdev bulkhead s09 { 5 }", "set s09: should not hold 5" },
	{ N, "delete element netdev bulkhead s19 { 77 . ip . 10.0.0.0 }",
	  "set s19: lacked 77 . ip . 10.0.0.0" },
	{ B, "delete element bridge bulkhead s23 { 78 . 0x88cc }", "set s23: lacked 78 . 0x88cc" },
	{ B,
	  "delete element bridge bulkhead s25 { 77 }; add element bridge bulkhead s25 { 77 : 1:1 }",
	  "set s25: lacked 77" },
	{ B,
	  "delete element bridge bulkhead s26 { 8000:1 }; "
	  "add element bridge bulkhead s26 { 8000:1 : jump match }",
	  "set s26: lacked 8000:1" },
	{ B,
	  "flush chain bridge bulkhead ask; delete map bridge bulkhead s25; "
	  "add map bridge bulkhead s25 { type iface_index : mark; }",
	  "set s25: was of another kind" },
	{ N, "delete element netdev bulkhead s21 { 77 . 0x9 }", "set s21: lacked 77 . ::9" },
	{ N,
	  "flush chain netdev bulkhead ask; delete set netdev bulkhead s24; "
	  "add set netdev bulkhead s24 { type iface_index; flags dynamic,timeout; timeout 2m; "
	  "size 65535; }",
	  "set s24: was of another kind" },
	{ B, "add table bridge bulkhead { flags dormant; }", "was switched off" },
	{ N, "add quota netdev bulkhead q { 10 mbytes }", "objects that are no counters" },
#undef N
#undef B
};

struct culprit {
	char program[64];
	int n;
};

static void on_foreign(void *ctx, const char *program, uint32_t pid)
{
	struct culprit *c = ctx;

	(void)pid;
	snprintf(c->program, sizeof(c->program), "%s", program);
	c->n++;
}

static void must_mend(struct bh_nft *nft, const struct bh_plan *plan, const char *command,
		      const char *says)
{
	bh_auto(bh_delta_free) struct bh_delta *d = read_and_diff(nft, plan);
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	struct bh_err err = { 0 };
	int r;

	if (!d)
		fail_msg("not seen: %s", command);
	bh_nft_diff_describe(d, 100, &text);
	if (!strstr(bh_buf_str(&text), says))
		fail_msg("%s: '%s' is not in: %s", command, says, bh_buf_str(&text));
	r = bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err);
	if (r < 0)
		fail_msg("%s: %s", command, bh_err_text(&err));
}

static void whatever_is_done_to_any_table_is_seen_and_mended(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	for (size_t i = 0; i < BH_ARRAY_LEN(tampers); i++) {
		struct culprit by = { .n = 0 };
		struct bh_err err = { 0 };
		char command[512];

		snprintf(command, sizeof(command), "nft '%s'", tampers[i].command);
		run(command);
		assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
		if (by.n != 1)
			fail_msg("the watch missed: %s", tampers[i].command);
		assert_string_equal(by.program, "nft");
		must_mend(nft, plans[tampers[i].table], tampers[i].command, tampers[i].says);
		must_be_same(nft, plans, tampers[i].command);
	}
}

/* Of the rules that nft joins or splits; a hash that is too kind would let these pass. */
static void rules_that_differ_in_one_byte_are_others(void **state)
{
	static const char *const rules[] = {
		"udp sport 68 udp dport 66",
		"udp sport 67 udp dport 67",
		"tcp sport 68 tcp dport 67",
		"udp sport != 68 udp dport 67",
		"udp sport 68",
		"udp dport 67",
		"udp sport 68 udp dport 67 ip saddr 0.0.0.0",
		"udp sport 68 udp length 67",
	};
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_NETDEV);
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "c", NULL, BH_HOOK_NONE, 0);

	(void)state;
	add_rule(plan, c,
		 (const struct bh_expr[BH_RULE_MAX_EXPRS]){ IS(L4PROTO, IPPROTO_UDP), IS(SPORT, 68),
							    IS(DPORT, 67) });
	run("nft 'add table netdev bulkhead; add chain netdev bulkhead c; "
	    "add rule netdev bulkhead c udp sport 68 udp dport 67 return'");
	assert_null(read_and_diff(nft, plan));
	for (size_t i = 0; i < BH_ARRAY_LEN(rules); i++) {
		bh_auto(bh_delta_free) struct bh_delta *d = NULL;
		char command[256];

		snprintf(
			command, sizeof(command),
			"nft 'flush chain netdev bulkhead c; add rule netdev bulkhead c %s return'",
			rules[i]);
		run(command);
		d = read_and_diff(nft, plan);
		if (!d)
			fail_msg("taken for the same: %s", rules[i]);
	}
}

/* A device goes and comes back, and others come and go; the kernel itself is no tamperer. */
static void a_link_that_goes_is_no_foreign_change(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	bh_auto(bh_delta_free) struct bh_delta *d = NULL;
	struct culprit by = { .n = 0 };
	struct bh_err err = { 0 };

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	run("ip link del one");
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_int_equal(by.n, 0);
	/* The chain may have gone with the link, may have lost it, or wait for another. */
	d = read_and_diff(nft, plans[BH_TABLE_NETDEV]);
	run("ip link add one type veth peer name two");
	if (d)
		assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_int_equal(by.n, 0);
	must_be_same(nft, plans, "a new link");
	bh_plan_remove_chain(plans[BH_TABLE_NETDEV], bh_plan_chain(plans[BH_TABLE_NETDEV], "p_1"));
	commit_all(nft, plans);
	must_be_same(nft, plans, "removal");
}

/* --- transactions ------------------------------------------------------------*/

static void put_links(struct bh_plan *plan, struct bh_plan_set *set, uint32_t n)
{
	for (uint32_t i = 1; i <= n; i++) {
		struct bh_elem e = { 0 };

		bh_plan_pack(set->spec.kind, &(struct bh_key_values){ .link = i }, e.key);
		bh_plan_put(plan, set, &e);
	}
}

/* However small transactions must be: what packets see the change of is one. */
static void changes_of_all_tables_are_one_transaction_however_large(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	struct bh_plan_set *used[BH_TABLE_COUNT_], *unused[BH_TABLE_COUNT_];
	uint32_t before;

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		plans[t] = bh_plan_new(t);
		used[t] = add_set(plans[t], "used", BH_SET_LINK, BH_IPV4);
	}
	commit_all(nft, plans);
	bh_nft_set_max_batch(nft, 1);
	before = generation(nft);
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		put_links(plans[t], used[t], 5000);
	commit_all(nft, plans);
	assert_int_equal(generation(nft), before + 1);
	must_be_same(nft, plans, "one change");

	/* What is new and nothing leads to yet may be others: the set, then its elements. */
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		unused[t] = add_set(plans[t], "unused", BH_SET_LINK, BH_IPV4);
		put_links(plans[t], unused[t], 10);
		put_links(plans[t], used[t], 5001);
	}
	before = generation(nft);
	commit_all(nft, plans);
	assert_int_equal(generation(nft), before + 2 * BH_TABLE_COUNT_ + 1);
	must_be_same(nft, plans, "new sets");
}

static void a_refusal_names_its_table_and_undoes_all(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	const struct bh_delta *deltas[BH_TABLE_COUNT_] = { NULL };
	bh_auto(bh_delta_free) struct bh_delta *inet = NULL;
	bh_auto(bh_delta_free) struct bh_delta *bridge = NULL;
	struct bh_nft_refusal refusal;
	struct bh_err err = { 0 };

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	run("nft 'add table bridge bulkhead; add set bridge bulkhead s09 { type mark; }'");
	(void)bh_nft_watch_read(nft, on_foreign, &(struct culprit){ .n = 0 }, &err);
	deltas[BH_TABLE_INET] = inet = bh_plan_delta(plans[BH_TABLE_INET]);
	deltas[BH_TABLE_BRIDGE] = bridge = bh_plan_delta(plans[BH_TABLE_BRIDGE]);
	assert_err(bh_nft_commit(nft, deltas, BH_TABLE_COUNT_, &refusal, &err), &err, -EEXIST,
		   "table bridge bulkhead: set s09: cannot add");
	assert_int_equal(refusal.table, BH_TABLE_BRIDGE);
	assert_string_equal(refusal.name, "s09");
	run("! nft list table inet bulkhead 2>/dev/null");
}

static void counters_are_told_with_their_tables(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	bh_auto_free struct bh_nft_counter *counters = NULL;
	bool is_there[BH_TABLE_COUNT_] = { 0 };
	struct bh_err err = { 0 };
	size_t n;

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	run("nft 'add table ip bulkhead; add counter ip bulkhead denied; add table bridge other; "
	    "add counter bridge other denied'");
	assert_ok(bh_nft_counters(nft, &counters, &n, &err), &err);
	assert_int_equal(n, BH_TABLE_COUNT_);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(counters[i].name, "denied");
		assert_false(is_there[counters[i].table]);
		is_there[counters[i].table] = true;
	}
}

static void cleanup_removes_all_our_tables_and_no_other(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(free_plans) struct bh_plan *plans[BH_TABLE_COUNT_];
	bh_auto(bh_buf_done) struct bh_buf left = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++)
		plans[t] = everything(t);
	commit_all(nft, plans);
	run("nft 'add table ip bulkhead; add table bridge other; delete table inet bulkhead'");
	assert_ok(bh_nft_cleanup(nft, &err), &err);
	read_all("nft list tables", &left);
	assert_string_equal(bh_buf_str(&left), "table ip bulkhead\ntable bridge other\n");
	assert_ok(bh_nft_cleanup(nft, &err), &err);
}

/* --- elements that are added one by one --------------------------------------*/

static struct bh_elem flow(const struct bh_plan_set *set, uint8_t i)
{
	struct bh_addr a = { .family = (uint8_t)set->spec.family, .bytes = { 10, 1 } };
	struct bh_addr b = { .family = (uint8_t)set->spec.family, .bytes = { 10, 2, i } };
	struct bh_elem e = { 0 };

	bh_plan_pack(set->spec.kind,
		     &(struct bh_key_values){ .addr = &a,
					      .addr2 = &b,
					      .protocol = IPPROTO_TCP,
					      .port = 80,
					      .port2 = 4000 },
		     e.key);
	return e;
}

/* How long the one element has still to live, in seconds. */
static unsigned int expires(void)
{
	bh_auto(bh_buf_done) struct bh_buf out = { 0 };
	const char *at;

	read_all("nft -j list set inet bulkhead cut | tr -d ' '", &out);
	at = strstr(bh_buf_str(&out), "\"expires\":");
	assert_non_null(at);
	return (unsigned int)strtoul(at + strlen("\"expires\":"), NULL, 10);
}

static void elements_are_added_and_their_lives_begin_anew(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *cut = bh_plan_add_set(
		plan, &(struct bh_set_spec){
			      .name = "cut", .kind = BH_SET_CUT, .size = 3, .timeout_s = 60 });
	bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };
	struct bh_elem e[5];
	struct bh_err err = { 0 };

	(void)state;
	for (uint8_t i = 0; i < BH_ARRAY_LEN(e); i++)
		e[i] = flow(cut, i);
	assert_int_equal(bh_nft_add_elems(nft, cut, e, 0, &err), 0);
	assert_err(bh_nft_add_elems(nft, cut, e, 1, &err), &err, -ENOENT, "set cut: cannot add");
	assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	assert_ok(bh_nft_add_elems(nft, cut, e, 1, &err), &err);
	read_all("nft list set inet bulkhead cut", &text);
	assert_contains(bh_buf_str(&text), "10.1.0.0 . 10.2.0.0 . tcp . 80 . 4000 ");
	sleep(2);
	assert_true(expires() < 59);
	/* One that is there, and one twice. */
	assert_ok(bh_nft_add_elems(nft, cut, (struct bh_elem[]){ e[0], e[0] }, 2, &err), &err);
	assert_true(expires() >= 59);
	assert_ok(bh_nft_add_elems(nft, cut, e, 3, &err), &err);
	assert_ok(bh_nft_add_elems(nft, cut, e, 3, &err), &err);
	assert_err(bh_nft_add_elems(nft, cut, e, 4, &err), &err, -ENFILE, "set cut: cannot add");
	run("[ $(nft list set inet bulkhead cut | grep -c 'tcp . 80') = 3 ]");
	/* It is neither a change of the plan nor somebody else's. */
	bh_delta_free(&d);
	bh_plan_settle(plan);
	d = read_and_diff(nft, plan);
	assert_null(d);
	assert_ok(bh_nft_watch_read(nft, NULL, NULL, &err), &err);
}

/* --- frames ------------------------------------------------------------------*/

#define POD_MAC 2, 0, 0, 0, 0, 9

/* Which of the rules count a frame, by their numbers. */
static const struct bh_expr judged[][BH_RULE_MAX_EXPRS] = {
	{ BYTES(RAW_SADDR, .bytes = { 10, 0, 0, 1 }),
	  BYTES(ETHER_FROM, .bytes = { POD_MAC, ETH_P_IP >> 8, ETH_P_IP & 255 }) },
	{ { .kind = BH_EXPR_LOOKUP, .key = BH_KEY_IIF_ARP_SHA } },
	{ { .kind = BH_EXPR_LOOKUP, .key = BH_KEY_IIF_TARGET }, IS(ICMP6_TYPE, 135) },
	{ IS(ETHER_TYPE, ETH_P_8021Q) },
	{ BYTES(ETHER_DADDR, .bytes = { 1 }, .mask = { 1 }) },
	{ BYTES(TCP_FLAGS, .bytes = { 2 }, .mask = { 0x12 }) },
	{ IS(L4PROTO, IPPROTO_UDP), IS(SPORT, 68), IS(DPORT, 67) },
	{ RANGE(LENGTH, 47, UINT32_MAX) },
	{ NOT_RANGE(PAYLOAD_LEN, 0, 24), IS(HOPLIMIT, 255) },
	{ NOT_BYTES(SADDR, .bytes = { 10 }, .mask = { 255 }) },
	{ BYTES(DADDR, .family = BH_IPV6, .bytes = { 0xff, 2 }, .mask = { 255, 255 }) },
	{ RANGE(ARP_OP, 2, 3), BYTES(ARP_TPA, .bytes = { 10, 0, 0, 2 }) },
};
enum { OWN, SHA, TARGET, TAGGED, GROUP, SYN, DHCP, LONG, ND_LONG, NOT_TEN, LINK_SCOPE, REPLY };

#define ETHER(D0, TYPE) D0, 0, 0, 0, 0, 1, POD_MAC, (TYPE) >> 8, (TYPE)&255
#define IP4(PROTO, LEN) 0x45, 0, 0, (LEN), 0, 0, 0, 0, 64, (PROTO), 0, 0
#define IP6(PROTO, LEN) 0x60, 0, 0, 0, 0, (LEN), (PROTO), 255
#define ADDR6(A, B)     (A), (B), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9
#define ARP(OP)         0, 1, 8, 0, 6, 4, 0, (OP), POD_MAC, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0
#define TCP(FLAGS)      0, 1, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, (FLAGS), 0, 0, 0, 0, 0, 0
#define UDP(FROM, TO)   0, (FROM), 0, (TO), 0, 8, 0, 0

static const struct {
	uint8_t frame[96];
	size_t len;
	uint32_t counted; /* 1 << number of a rule */
} frames[] = {
#define FRAME(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })
	{ FRAME(ETHER(2, ETH_P_IP), IP4(17, 28), 10, 0, 0, 1, 10, 0, 0, 2, UDP(68, 67)),
	  1u << OWN | 1u << DHCP },
	{ FRAME(ETHER(2, ETH_P_IP), IP4(17, 28), 10, 0, 0, 7, 10, 0, 0, 2, UDP(68, 66)), 0 },
	{ FRAME(ETHER(2, ETH_P_IP), IP4(6, 40), 11, 0, 0, 1, 10, 0, 0, 2, TCP(0x02)),
	  1u << SYN | 1u << NOT_TEN },
	{ FRAME(ETHER(2, ETH_P_IP), IP4(6, 40), 10, 0, 0, 1, 10, 0, 0, 2, TCP(0x12)), 1u << OWN },
	/* The same address in a tagged frame is not the pod's. */
	{ FRAME(ETHER(2, ETH_P_8021Q), 0, 5, 8, 0, IP4(17, 28), 10, 0, 0, 1, 10, 0, 0, 2,
		UDP(1, 2)),
	  1u << TAGGED },
	{ FRAME(ETHER(255, ETH_P_ARP), ARP(1), 10, 0, 0, 2), 1u << SHA | 1u << GROUP },
	{ FRAME(ETHER(2, ETH_P_ARP), ARP(2), 10, 0, 0, 2), 1u << SHA | 1u << REPLY },
	{ FRAME(ETHER(0x33, ETH_P_IPV6), IP6(58, 24), ADDR6(0xfe, 0x80), ADDR6(0xff, 2), 135, 0, 0,
		0, 0, 0, 0, 0, ADDR6(0xfe, 0x80)),
	  1u << TARGET | 1u << GROUP | 1u << LONG | 1u << LINK_SCOPE },
	{ FRAME(ETHER(2, ETH_P_IPV6), IP6(58, 25), ADDR6(0xfe, 0x80), ADDR6(0xfe, 0x80), 135, 0, 0,
		0, 0, 0, 0, 0, ADDR6(0xfe, 0x81), 0),
	  1u << LONG | 1u << ND_LONG },
	/* Too short for a target: matches no set. */
	{ FRAME(ETHER(2, ETH_P_IPV6), IP6(58, 20), ADDR6(0xfe, 0x80), ADDR6(0xfe, 0x80), 135, 0, 0,
		0, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	  1u << LONG },
};

static void put_pod(struct bh_plan *plan, struct bh_plan_set *set, uint32_t link)
{
	struct bh_addr own = { .bytes = { 10, 0, 0, 1 } };
	struct bh_addr target = { .family = BH_IPV6, .bytes = { 0xfe, 0x80, [15] = 9 } };
	struct bh_elem e = { 0 };

	bh_plan_pack(set->spec.kind,
		     &(struct bh_key_values){ .addr = &own,
					      .target = &target,
					      .link = link,
					      .mac = (const uint8_t[]){ POD_MAC },
					      .ether_type = ETH_P_IP },
		     e.key);
	bh_plan_put(plan, set, &e);
}

static struct bh_plan *judging_plan(uint32_t link)
{
	static const enum bh_set_kind kinds[] = {
		[SHA] = BH_SET_LINK_MAC, [TARGET] = BH_SET_LINK_TARGET
	};
	struct bh_plan *plan = bh_plan_new(BH_TABLE_NETDEV);
	struct bh_plan_chain *c = bh_plan_add_ingress(plan, "p_one", "one", -500);

	for (size_t i = 0; i < BH_ARRAY_LEN(judged); i++) {
		struct bh_plan_rule rule = { 0 };
		char name[16];

		memcpy(rule.exprs, judged[i], sizeof(rule.exprs));
		while (rule.exprs[rule.n_exprs].kind)
			rule.n_exprs++;
		snprintf(name, sizeof(name), "c%02zu", i);
		bh_plan_add_counter(plan, name);
		rule.exprs[rule.n_exprs++] =
			(struct bh_expr){ .kind = BH_EXPR_COUNTER, .name = name };
		if (rule.exprs[0].kind == BH_EXPR_LOOKUP) {
			struct bh_plan_set *set = add_set(plan, name, kinds[i], BH_IPV4);

			put_pod(plan, set, link);
			rule.exprs[0].set = set;
		}
		bh_plan_add_rule(plan, c, &rule);
	}
	return plan;
}

/* The rules that have counted since the last call. */
static uint32_t counted(struct bh_nft *nft, uint64_t *before)
{
	bh_auto_free struct bh_nft_counter *counters = NULL;
	struct bh_err err = { 0 };
	uint32_t ret = 0;
	size_t n;

	assert_ok(bh_nft_counters(nft, &counters, &n, &err), &err);
	for (size_t i = 0; i < n; i++) {
		unsigned long k = strtoul(counters[i].name + 1, NULL, 10);

		if (counters[i].packets != before[k])
			ret |= 1u << k;
		before[k] = counters[i].packets;
	}
	return ret;
}

static void frames_are_judged_by_what_they_hold(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	uint64_t before[BH_ARRAY_LEN(judged)] = { 0 };
	bh_auto(bh_plan_free) struct bh_plan *plan = NULL;
	bh_auto_close int fd = socket(AF_PACKET, SOCK_RAW, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	struct bh_err err = { 0 };

	(void)state;
	assert_true(fd >= 0);
	run("sysctl -qw net.ipv6.conf.one.disable_ipv6=1 net.ipv6.conf.two.disable_ipv6=1");
	run("ip link set one up; ip link set two up");
	plan = judging_plan(if_nametoindex("one"));
	to.sll_ifindex = (int)if_nametoindex("two");
	{
		bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);

		assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(frames); i++) {
		uint32_t have;

		assert_int_equal(sendto(fd, frames[i].frame, frames[i].len, 0,
					(const struct sockaddr *)&to, sizeof(to)),
				 (ssize_t)frames[i].len);
		/* A veth hands frames over in a soft interrupt of its own. */
		usleep(20000);
		have = counted(nft, before);
		if (have != frames[i].counted)
			fail_msg("frame %zu: counted by 0x%x, not by 0x%x", i, have,
				 frames[i].counted);
	}
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
		cmocka_unit_test(whatever_is_done_to_any_table_is_seen_and_mended),
		cmocka_unit_test(rules_that_differ_in_one_byte_are_others),
		cmocka_unit_test(a_link_that_goes_is_no_foreign_change),
		cmocka_unit_test(changes_of_all_tables_are_one_transaction_however_large),
		cmocka_unit_test(a_refusal_names_its_table_and_undoes_all),
		cmocka_unit_test(counters_are_told_with_their_tables),
		cmocka_unit_test(cleanup_removes_all_our_tables_and_no_other),
		cmocka_unit_test(elements_are_added_and_their_lives_begin_anew),
		cmocka_unit_test(frames_are_judged_by_what_they_hold),
	};

	return cmocka_run_group_tests_name("nft_tables", tests, NULL, NULL);
}
