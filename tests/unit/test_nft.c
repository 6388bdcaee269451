/*
 * The kernel's nftables, each test in a network namespace of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bh/buf.h"
#include "bh/nft.h"
#include "bh/render.h"
#include "test.h"

/* --- a plan with one of everything -------------------------------------------*/

struct range {
	const char *first, *last; /* last NULL: the same */
	uint8_t protocol;
	uint16_t port, last_port;
};

static struct bh_elem elem(const struct bh_plan_set *set, const struct range *r)
{
	struct bh_elem e = { 0 };
	struct bh_addr a = { 0 }, z;
	uint16_t last_port = r->last_port ? r->last_port : r->port;

	if (r->first)
		assert_ok(bh_addr_parse(r->first, &a, NULL), NULL);
	z = a;
	if (r->last)
		assert_ok(bh_addr_parse(r->last, &z, NULL), NULL);
	bh_plan_key(set->spec.kind, &a, r->protocol, r->port, e.key);
	bh_plan_key(set->spec.kind, &z, r->protocol, last_port, e.end);
	return e;
}

static void put(struct bh_plan *plan, const char *set, const struct range *r)
{
	struct bh_plan_set *s = bh_plan_set(plan, set);
	struct bh_elem e = elem(s, r);

	bh_plan_put(plan, s, &e);
}

static void jump(struct bh_plan *plan, struct bh_plan_set *set, const char *addr,
		 const struct bh_plan_chain *chain)
{
	struct bh_elem e = elem(set, &(struct range){ .first = addr });

	e.chain = chain;
	bh_plan_put(plan, set, &e);
}

static void add_rule(struct bh_plan *plan, struct bh_plan_chain *c, const struct bh_expr *exprs,
		     size_t n)
{
	struct bh_plan_rule rule = { .n_exprs = n };

	memcpy(rule.exprs, exprs, n * sizeof(*exprs));
	bh_plan_add_rule(plan, c, &rule);
}

#define ADD_RULE(plan, chain, ...)                                                                 \
	add_rule(plan, chain, (const struct bh_expr[]){ __VA_ARGS__ },                             \
		 BH_ARRAY_LEN(((const struct bh_expr[]){ __VA_ARGS__ })))
#define IS(LOAD, FIRST, LAST)                                                                      \
	{                                                                                          \
		.kind = BH_EXPR_MATCH, .load = BH_LOAD_##LOAD, .value = (FIRST), .last = (LAST)    \
	}
#define VERDICT(...)                                                                               \
	{                                                                                          \
		.kind = BH_EXPR_VERDICT, __VA_ARGS__                                               \
	}
#define LOOKUP(...)                                                                                \
	{                                                                                          \
		.kind = BH_EXPR_LOOKUP, __VA_ARGS__                                                \
	}

static struct bh_plan_set *add_set(struct bh_plan *plan, const char *name, enum bh_set_kind kind,
				   enum bh_family family, bool is_interval)
{
	return bh_plan_add_set(plan, &(struct bh_set_spec){ .name = name,
							    .comment = is_interval ? NULL : "why",
							    .kind = kind,
							    .family = family,
							    .is_interval = is_interval,
							    .rate = 10,
							    .burst = 20 });
}

static void add_base_chains(struct bh_plan *plan, const struct bh_plan_set *in4,
			    const struct bh_plan_set *in6)
{
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "forward", NULL, BH_HOOK_FORWARD, 0);
	struct bh_plan_chain *input = bh_plan_add_chain(plan, "input", NULL, BH_HOOK_INPUT, -50);
	struct bh_plan_chain *output = bh_plan_add_chain(plan, "output", NULL, BH_HOOK_OUTPUT, 30);

	ADD_RULE(plan, c, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_ESTABLISHED },
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_ESTABLISHED | BH_CT_RELATED },
		 IS(L4PROTO, IPPROTO_ICMP, IPPROTO_ICMP), VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, IS(NFPROTO, AF_INET6, AF_INET6), IS(HOPLIMIT, 255, 255),
		 IS(L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6), IS(ICMP6_TYPE, 133, 137),
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_VMAP, .set = in4, .key = BH_KEY_SADDR });
	ADD_RULE(plan, c, { .kind = BH_EXPR_VMAP, .set = in6, .key = BH_KEY_DADDR });
	ADD_RULE(plan, input, IS(NFPROTO, AF_INET, AF_INET), VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, output, { .kind = BH_EXPR_FIB_LOCAL }, VERDICT(.verdict = BH_V_RETURN));
}

static void add_profile(struct bh_plan *plan, struct bh_plan_chain *in, struct bh_plan_chain *rest)
{
	struct bh_plan_set *c4 = add_set(plan, "c4", BH_SET_ADDR_PROTO_PORT, BH_IPV4, false);
	struct bh_plan_set *c6 = add_set(plan, "c6", BH_SET_ADDR_PROTO_PORT, BH_IPV6, false);
	struct bh_plan_set *lim = add_set(plan, "lim4", BH_SET_LOG_LIMIT, BH_IPV4, false);
	struct bh_plan_set *n4 = add_set(plan, "n4", BH_SET_ADDR, BH_IPV4, true);
	struct bh_plan_set *n6 = add_set(plan, "n6", BH_SET_ADDR, BH_IPV6, true);
	struct bh_plan_set *p6 = add_set(plan, "p6", BH_SET_ADDR, BH_IPV6, false);
	struct bh_plan_set *q = add_set(plan, "q", BH_SET_PROTO_PORT, BH_IPV4, false);
	struct bh_plan_set *qr = add_set(plan, "qr", BH_SET_PROTO_PORT, BH_IPV4, true);
	struct bh_plan_set *x4 = add_set(plan, "x4", BH_SET_ADDR_PROTO_PORT, BH_IPV4, true);
	struct bh_plan_set *x6 = add_set(plan, "x6", BH_SET_ADDR_PROTO_PORT, BH_IPV6, true);

	ADD_RULE(plan, in, LOOKUP(.set = c4, .key = BH_KEY_SADDR_PROTO_PORT),
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, LOOKUP(.set = c6, .key = BH_KEY_DADDR_PROTO_PORT),
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, LOOKUP(.set = n4, .key = BH_KEY_SADDR),
		 LOOKUP(.set = q, .key = BH_KEY_PROTO_PORT),
		 VERDICT(.verdict = BH_V_GOTO, .chain = rest));
	ADD_RULE(plan, in, LOOKUP(.set = n6, .key = BH_KEY_DADDR),
		 LOOKUP(.set = qr, .key = BH_KEY_PROTO_PORT),
		 VERDICT(.verdict = BH_V_JUMP, .chain = rest));
	ADD_RULE(plan, in, LOOKUP(.set = p6, .key = BH_KEY_SADDR), VERDICT(.verdict = BH_V_DROP));
	ADD_RULE(plan, in, LOOKUP(.set = x4, .key = BH_KEY_DADDR_PROTO_PORT),
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, LOOKUP(.set = x6, .key = BH_KEY_SADDR_PROTO_PORT),
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, { .kind = BH_EXPR_LIMIT, .set = lim, .key = BH_KEY_DADDR },
		 { .kind = BH_EXPR_LOG, .name = "bh:d:in_a", .group = 5, .snaplen = 128 });
	ADD_RULE(plan, in, { .kind = BH_EXPR_COUNTER, .name = "denied" },
		 VERDICT(.verdict = BH_V_DROP));
}

static void add_elems(struct bh_plan *plan)
{
	static const struct {
		const char *set;
		struct range r;
	} t[] = {
		{ "c4", { "10.0.0.1", NULL, IPPROTO_TCP, 80, 0 } },
		{ "c4", { "10.0.0.1", NULL, IPPROTO_SCTP, 80, 0 } },
		{ "c6", { "fd00::1", NULL, IPPROTO_UDP, 53, 0 } },
		{ "n4", { "0.0.0.0", "10.255.255.254", 0, 0, 0 } },
		{ "n4", { "10.255.255.255", NULL, 0, 0, 0 } },
		{ "n4", { "192.168.0.0", "192.168.255.255", 0, 0, 0 } },
		{ "n4", { "240.0.0.0", "255.255.255.255", 0, 0, 0 } },
		{ "n6", { "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 0, 0, 0 } },
		{ "p6", { "fd00::2", NULL, 0, 0, 0 } },
		{ "q", { NULL, NULL, IPPROTO_UDP, 53, 0 } },
		{ "qr", { NULL, NULL, IPPROTO_TCP, 80, 443 } },
		{ "qr", { NULL, NULL, IPPROTO_UDP, 53, 0 } },
		{ "x4", { "0.0.0.0", "255.255.255.255", IPPROTO_UDP, 0, 65535 } },
		{ "x4", { "10.0.0.0", "10.0.0.255", IPPROTO_TCP, 80, 90 } },
		{ "x6", { "fd00::", "fd00::ffff", IPPROTO_TCP, 1, 5 } },
	};

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		put(plan, t[i].set, &t[i].r);
}

static struct bh_plan *everything(void)
{
	struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *in4 = add_set(plan, "in4", BH_SET_VERDICT_MAP, BH_IPV4, false);
	struct bh_plan_set *in6 = add_set(plan, "in6", BH_SET_VERDICT_MAP, BH_IPV6, false);
	struct bh_plan_chain *in = bh_plan_add_chain(plan, "in_a", "shop/web", BH_HOOK_NONE, 0);
	struct bh_plan_chain *rest = bh_plan_add_chain(plan, "rest", NULL, BH_HOOK_NONE, 0);

	bh_plan_add_counter(plan, "denied");
	bh_plan_add_counter(plan, "logged");
	add_base_chains(plan, in4, in6);
	add_profile(plan, in, rest);
	add_elems(plan);
	jump(plan, in4, "10.0.0.7", in);
	jump(plan, in4, "10.0.0.8", rest);
	jump(plan, in6, "fd00::7", in);
	return plan;
}

/* --- the machine -------------------------------------------------------------*/

static struct bh_nft *open_in_netns(void)
{
	struct bh_nft *nft = NULL;
	struct bh_err err = { 0 };

	if (unshare(CLONE_NEWNET) < 0 || system("nft list ruleset >/dev/null 2>&1") != 0) {
		print_message("skipped: needs root and nft\n");
		skip();
	}
	assert_ok(bh_nft_new(&nft, &err), &err);
	return nft;
}

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
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

/* Commits what happened to the plan. */
static int commit(struct bh_nft *nft, struct bh_plan *plan, struct bh_nft_refusal *refusal,
		  struct bh_err *err)
{
	bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
	int r;

	assert_non_null(d);
	r = bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, refusal, err);
	bh_delta_free(&d);
	if (r == 0)
		bh_plan_settle(plan);
	return r;
}

static void must_commit(struct bh_nft *nft, struct bh_plan *plan)
{
	struct bh_err err = { 0 };

	assert_ok(commit(nft, plan, NULL, &err), &err);
}

/* What nft prints, with its lists of elements one to a line as bh_render() has them. */
static void nft_list(struct bh_buf *out)
{
	read_all("nft list table inet bulkhead | sed -E "
		 "'/elements = /,/}/ s/, ([^ ])/,\\n\\t\\t\\t     \\1/g' 2>&1",
		 out);
}

/* What is replaced moves to the end of its kind, so lines are compared in any order. */
static void nft_list_sorted(struct bh_buf *out)
{
	read_all("nft list table inet bulkhead | tr ',' '\\n' | sed 's/^[[:space:]]*//' | sort",
		 out);
}

/* --- commit ------------------------------------------------------------------*/

static void nft_prints_what_was_committed(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_buf_done) struct bh_buf want = { 0 }, have = { 0 };

	(void)state;
	must_commit(nft, plan);
	bh_render(plan, &want);
	nft_list(&have);
	assert_string_equal(bh_buf_str(&have), bh_buf_str(&want));
}

/* --- reading back ------------------------------------------------------------*/

static struct bh_delta *read_and_diff(struct bh_nft *nft, const struct bh_plan *plan)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	struct bh_err err = { 0 };

	assert_ok(bh_nft_read(nft, BH_TABLE_INET, &state, &err), &err);
	return bh_nft_diff(state, plan);
}

static void must_be_same(struct bh_nft *nft, const struct bh_plan *plan, const char *after)
{
	bh_auto(bh_delta_free) struct bh_delta *d = read_and_diff(nft, plan);
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	if (!d)
		return;
	bh_nft_diff_describe(d, 10, &text);
	fail_msg("after %s: %s", after, bh_buf_str(&text));
}

static void what_was_committed_reads_back_the_same(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();

	(void)state;
	must_commit(nft, plan);
	must_be_same(nft, plan, "commit");
}

static void what_nft_reloads_reads_back_the_same(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	char file[] = "/tmp/bh-nft-XXXXXX", command[128];
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	must_commit(nft, plan);
	snprintf(command, sizeof(command), "nft list ruleset >%s && nft flush ruleset && nft -f %s",
		 file, file);
	run(command);
	unlink(file);
	must_be_same(nft, plan, "reload");
}

/* Everything a program with rights could do to the table, and what we say to it. */
static const struct {
	const char *command;
	const char *says;
} tampers[] = {
	{ "delete table inet bulkhead", "table bulkhead: was missing" },
	{ "flush table inet bulkhead", "chain forward: other rules" },
	{ "flush chain inet bulkhead in_a", "chain in_a: other rules" },
	{ "insert rule inet bulkhead forward accept", "chain forward: other rules" },
	{ "add rule inet bulkhead rest counter", "chain rest: other rules" },
	{ "insert rule inet bulkhead in_a meta mark { 1, 2 } accept", "chain in_a: other rules" },
	{ "insert rule inet bulkhead in_a ip saddr vmap { 10.0.0.1 : jump rest, 10.0.0.2 : drop }",
	  "chain in_a: other rules" },
	{ "insert rule inet bulkhead in_a meta mark 1 jump { accept; }",
	  "chain in_a: other rules" },
	{ "flush set inet bulkhead c4",
	  "set c4: lacked 10.0.0.1 . tcp . 80, 10.0.0.1 . sctp . 80" },
	{ "flush map inet bulkhead in4", "set in4: lacked 10.0.0.7, 10.0.0.8" },
	{ "flush set inet bulkhead n4", "set n4: lacked 0.0.0.0-10.255.255.254, 10.255.255.255" },
	{ "flush set inet bulkhead x4", "set x4: lacked 0.0.0.0-255.255.255.255 . udp . 0-65535" },
	{ "delete element inet bulkhead c4 { 10.0.0.1 . tcp . 80 }", "set c4: lacked 10.0.0.1" },
	{ "add element inet bulkhead c4 { 10.9.9.9 . tcp . 22 }",
	  "set c4: should not hold 10.9.9.9 . tcp . 22" },
	{ "delete element inet bulkhead in4 { 10.0.0.7 }", "set in4: lacked 10.0.0.7" },
	{ "delete element inet bulkhead in4 { 10.0.0.7 }; "
	  "add element inet bulkhead in4 { 10.0.0.7 : jump rest }",
	  "set in4: should not hold 10.0.0.7" },
	{ "delete element inet bulkhead in4 { 10.0.0.7 }; "
	  "add element inet bulkhead in4 { 10.0.0.7 : accept }",
	  "set in4: should not hold 10.0.0.7" },
	{ "delete element inet bulkhead in4 { 10.0.0.7 }; "
	  "add element inet bulkhead in4 { 10.0.0.7 : goto in_a }",
	  "set in4: should not hold 10.0.0.7" },
	{ "add element inet bulkhead in4 { 10.1.1.1 : accept }",
	  "set in4: should not hold 10.1.1.1" },
	{ "add element inet bulkhead in4 { * : accept }", "set in4: was of another kind" },
	{ "add element inet bulkhead p6 { * }", "set p6: was of another kind" },
	{ "add element inet bulkhead p6 { fd00::9 comment \"hello\" }",
	  "set p6: was of another kind" },
	{ "add element inet bulkhead n4 { 11.0.0.0/8 }",
	  "set n4: should not hold 11.0.0.0-11.255" },
	{ "delete element inet bulkhead n4 { 240.0.0.0-255.255.255.255 }",
	  "set n4: lacked 240.0.0.0" },
	{ "delete element inet bulkhead n4 { 10.255.255.255 }", "set n4: lacked 10.255.255.255" },
	{ "delete element inet bulkhead n4 { 192.168.0.0/16 }; "
	  "add element inet bulkhead n4 { 192.168.0.0/17 }",
	  "set n4: should not hold 192.168.0.0-192.168.127.255" },
	{ "delete element inet bulkhead n6 { ::/0 }", "set n6: lacked ::" },
	{ "add element inet bulkhead x4 { 11.0.0.0/24 . tcp . 1-2 }",
	  "set x4: should not hold 11.0.0.0-11.0.0.255 . tcp . 1-2" },
	{ "delete element inet bulkhead x4 { 10.0.0.0/24 . tcp . 80-90 }", "set x4: lacked" },
	{ "add chain inet bulkhead evil; insert rule inet bulkhead in_a jump evil",
	  "chain evil: does not belong here" },
	{ "add chain inet bulkhead evil; add element inet bulkhead in4 { 10.2.2.2 : jump evil }",
	  "chain evil: does not belong here" },
	{ "add chain inet bulkhead evil; add chain inet bulkhead worse; "
	  "add rule inet bulkhead worse jump in_a; add rule inet bulkhead evil goto worse",
	  "chain worse: does not belong here" },
	{ "add chain inet bulkhead evil { type filter hook prerouting priority 0; policy drop; }",
	  "chain evil: does not belong here" },
	{ "add chain inet bulkhead evil { type nat hook postrouting priority 100; }; "
	  "add rule inet bulkhead evil masquerade",
	  "chain evil: does not belong here" },
	{ "add chain inet bulkhead forward { policy drop; }",
	  "chain forward: was of another kind" },
	{ "delete chain inet bulkhead forward", "chain forward: was missing" },
	{ "delete chain inet bulkhead forward; "
	  "add chain inet bulkhead forward { type filter hook forward priority 10; }",
	  "chain forward: was of another kind" },
	{ "delete chain inet bulkhead forward; "
	  "add chain inet bulkhead forward { type filter hook input priority 0; }",
	  "chain forward: was of another kind" },
	{ "delete chain inet bulkhead forward; add chain inet bulkhead forward",
	  "chain forward: was of another kind" },
	{ "flush chain inet bulkhead in_a; flush map inet bulkhead in4; "
	  "delete chain inet bulkhead rest; "
	  "add chain inet bulkhead rest { type filter hook input priority 0; }",
	  "chain rest: was of another kind" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead c4", "set c4: was missing" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead c4; "
	  "add set inet bulkhead c4 { type ipv4_addr; }",
	  "set c4: was of another kind" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead p6; "
	  "add set inet bulkhead p6 { type ipv6_addr; flags interval; }; "
	  "insert rule inet bulkhead input ip6 saddr @p6 accept",
	  "set p6: was of another kind" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead p6; "
	  "add set inet bulkhead p6 { type ipv6_addr; flags timeout; }",
	  "set p6: was of another kind" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead p6; "
	  "add set inet bulkhead p6 { type ipv6_addr; size 10; }",
	  "set p6: was of another kind" },
	{ "flush chain inet bulkhead in_a; delete set inet bulkhead p6; "
	  "add set inet bulkhead p6 { type ipv6_addr; comment \"other\"; }",
	  "set p6: was of another kind" },
	{ "flush chain inet bulkhead forward; delete map inet bulkhead in4; "
	  "add map inet bulkhead in4 { type ipv4_addr : mark; }",
	  "set in4: was of another kind" },
	{ "add set inet bulkhead evil { type ipv4_addr; }; add element inet bulkhead evil { "
	  "1.2.3.4 }; "
	  "insert rule inet bulkhead in_a ip saddr @evil accept",
	  "set evil: does not belong here" },
	{ "add map inet bulkhead evil { type ipv4_addr : verdict; }; "
	  "add element inet bulkhead evil { 1.2.3.4 : jump in_a }",
	  "set evil: does not belong here" },
	{ "add counter inet bulkhead evil", "counter evil: does not belong here" },
	{ "add counter inet bulkhead evil; add map inet bulkhead m { type ipv4_addr : counter; }; "
	  "add element inet bulkhead m { 1.2.3.4 : evil }",
	  "counter evil: does not belong here" },
	{ "flush chain inet bulkhead in_a; delete counter inet bulkhead denied",
	  "counter denied: was missing" },
	{ "add quota inet bulkhead q { 10 mbytes }", "objects that are no counters" },
	{ "add table inet bulkhead { flags dormant; }", "table bulkhead: was switched off" },
	{ "add table inet bulkhead { flags dormant; }'; nft '"
	  "add chain inet bulkhead evil { type filter hook input priority 0; }",
	  "table bulkhead: it was switched off" },
	{ "add table inet bulkhead { flags dormant; }; flush chain inet bulkhead forward; "
	  "add element inet bulkhead in4 { 10.1.1.1 : accept }",
	  "table bulkhead: was switched off" },
};

static void whatever_is_done_to_the_table_is_seen_and_mended(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_buf_done) struct bh_buf want = { 0 };

	(void)state;
	must_commit(nft, plan);
	nft_list_sorted(&want);
	for (size_t i = 0; i < BH_ARRAY_LEN(tampers); i++) {
		bh_auto(bh_delta_free) struct bh_delta *d = NULL;
		bh_auto(bh_buf_done) struct bh_buf text = { 0 }, have = { 0 };
		struct bh_err err = { 0 };
		char command[512];
		int r;

		snprintf(command, sizeof(command), "nft '%s'", tampers[i].command);
		run(command);
		d = read_and_diff(nft, plan);
		if (!d)
			fail_msg("not seen: %s", tampers[i].command);
		bh_nft_diff_describe(d, 100, &text);
		if (!strstr(bh_buf_str(&text), tampers[i].says))
			fail_msg("%s: '%s' is not in: %s", tampers[i].command, tampers[i].says,
				 bh_buf_str(&text));
		r = bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err);
		if (r < 0)
			fail_msg("%s: %s", tampers[i].command, bh_err_text(&err));
		must_be_same(nft, plan, tampers[i].command);
		nft_list_sorted(&have);
		assert_string_equal(bh_buf_str(&have), bh_buf_str(&want));
	}
}

/* --- refusals ----------------------------------------------------------------*/

struct culprit {
	char program[64];
	uint32_t pid;
	int n;
};

static void on_foreign(void *ctx, const char *program, uint32_t pid)
{
	struct culprit *c = ctx;

	snprintf(c->program, sizeof(c->program), "%s", program);
	c->pid = pid;
	c->n++;
}

/* One operation, as if the plan had told it. */
static int commit_op(struct bh_nft *nft, struct bh_op op, struct bh_nft_refusal *refusal,
		     struct bh_err *err)
{
	const struct bh_delta d = { .ops = &op, .n_ops = 1 };

	return bh_nft_commit(nft, &(const struct bh_delta *){ &d }, 1, refusal, err);
}

static void a_refusal_names_object_element_and_errno(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	const struct bh_plan_set *c4 = bh_plan_set(plan, "c4"), *in4 = bh_plan_set(plan, "in4");
	const struct bh_plan_chain *in = bh_plan_chain(plan, "in_a");
	struct bh_elem gone[2] = { elem(c4, &(struct range){ "10.0.0.1", NULL, 6, 80, 0 }),
				   elem(c4, &(struct range){ "10.7.7.7", NULL, 6, 22, 0 }) };
	struct bh_elem other = elem(in4, &(struct range){ .first = "10.0.0.8" });
	struct bh_err err = { 0 };
	struct bh_nft_refusal refusal;
	const struct {
		struct bh_op op;
		int code;
		const char *name, *text;
	} t[] = {
		{ { .kind = BH_OP_ADD_SET, .name = "c4", .set = c4 },
		  -EEXIST,
		  "c4",
		  "set c4: cannot add: File exists" },
		{ { .kind = BH_OP_ADD_CHAIN, .name = "in_a", .chain = in },
		  -EEXIST,
		  "in_a",
		  "chain in_a: cannot add: File exists" },
		{ { .kind = BH_OP_ADD_COUNTER, .name = "denied" },
		  -EEXIST,
		  "denied",
		  "counter denied: cannot add: File exists" },
		{ { .kind = BH_OP_DEL_SET, .name = "none" },
		  -ENOENT,
		  "none",
		  "set none: cannot delete: No such file" },
		{ { .kind = BH_OP_DEL_CHAIN, .name = "in_a" }, -EBUSY, "in_a", "chain in_a" },
		{ { .kind = BH_OP_DEL_ELEMS, .name = "c4", .set = c4, .elems = gone, .n_elems = 2 },
		  -ENOENT,
		  "c4",
		  "set c4: cannot delete element 10.7.7.7 . tcp . 22: No such file" },
		{ { .kind = BH_OP_ADD_ELEMS,
		    .name = "in4",
		    .set = in4,
		    .elems = &other,
		    .n_elems = 1 },
		  -EEXIST,
		  "in4",
		  "set in4: cannot add element 10.0.0.8: File exists" },
	};

	(void)state;
	must_commit(nft, plan);
	other.chain = in;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		assert_err(commit_op(nft, t[i].op, &refusal, &err), &err, t[i].code, t[i].text);
		assert_string_equal(refusal.name, t[i].name);
		assert_int_equal(refusal.code, t[i].code);
	}
	must_be_same(nft, plan, "refusals");
}

static void a_rule_that_leads_nowhere_is_named_by_its_number(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	bh_auto(bh_plan_free) struct bh_plan *elsewhere = everything();
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "a", NULL, BH_HOOK_NONE, 0);
	struct bh_nft_refusal refusal;
	struct bh_err err = { 0 };

	(void)state;
	ADD_RULE(plan, c, VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, c, LOOKUP(.set = bh_plan_set(elsewhere, "p6"), .key = BH_KEY_SADDR));
	assert_err(commit(nft, plan, &refusal, &err), &err, -ENOENT, "chain a: cannot add rule 2");
	assert_string_equal(refusal.name, "a");
}

/* A set with a size that somebody else made; ours have none. */
static void a_full_set_is_enfile(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *p6 = add_set(plan, "p6", BH_SET_ADDR, BH_IPV6, false);
	struct bh_elem e[2] = { { .key = { 0x10 } }, { .key = { 0x20 } } };
	struct bh_nft_refusal refusal;
	struct culprit by = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	run("nft add table inet bulkhead; "
	    "nft 'add set inet bulkhead p6 { type ipv6_addr; size 1; }'");
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_err(commit_op(nft,
			     (struct bh_op){ .kind = BH_OP_ADD_ELEMS,
					     .name = "p6",
					     .set = p6,
					     .elems = e,
					     .n_elems = 2 },
			     &refusal, &err),
		   &err, -ENFILE, "set p6: cannot add element 2000::");
	assert_string_equal(refusal.name, "p6");
}

/* --- size --------------------------------------------------------------------*/

static void add_many(struct bh_plan *plan, const char *set, uint32_t n)
{
	struct bh_plan_set *s = bh_plan_set(plan, set);

	for (uint32_t i = 0; i < n; i++) {
		struct bh_addr a = { .bytes = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8),
						(uint8_t)i } };
		struct bh_elem e = { 0 };

		bh_plan_key(s->spec.kind, &a, IPPROTO_TCP, 80, e.key);
		e.chain = s->spec.kind == BH_SET_VERDICT_MAP ? bh_plan_chain(plan, "rest") : NULL;
		bh_plan_put(plan, s, &e);
	}
}

static uint32_t generation(struct bh_nft *nft)
{
	struct bh_err err = { 0 };
	uint32_t g = 0;

	assert_ok(bh_nft_generation(nft, &g, &err), &err);
	return g;
}

static void a_hundred_thousand_elements_are_no_single_transaction(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	uint32_t before = generation(nft);

	(void)state;
	add_many(plan, "c4", 100000);
	add_many(plan, "in4", 1000);
	must_commit(nft, plan);
	assert_true(generation(nft) > before + 10);
	must_be_same(nft, plan, "commit");
	/* It is our own doing, and none of it fills the watch. */
	assert_int_equal(bh_nft_watch_read(nft, NULL, NULL, NULL), 0);
}

static void what_is_too_large_is_cut_where_the_delta_allows(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	uint32_t before = generation(nft);

	(void)state;
	bh_nft_set_max_batch(nft, 64 * 1024);
	add_many(plan, "c4", 100000);
	must_commit(nft, plan);
	assert_true(generation(nft) > before + 5);
	must_be_same(nft, plan, "commit");
}

static void a_failure_after_the_first_part_says_so(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	const struct bh_plan_set *p6 = bh_plan_set(plan, "p6");
	struct bh_op ops[] = {
		{ .kind = BH_OP_ADD_TABLE },
		{ .kind = BH_OP_ADD_SET, .name = "p6", .set = p6, .is_cut = true },
		{ .kind = BH_OP_ADD_SET, .name = "p6", .set = p6, .is_cut = true },
	};
	const struct bh_delta d = { .ops = ops, .n_ops = BH_ARRAY_LEN(ops) };
	struct bh_nft_refusal refusal;
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_nft_commit(nft, &(const struct bh_delta *){ &d }, 1, &refusal, &err), &err,
		   -EEXIST, "set p6");
	run("! nft list table inet bulkhead 2>/dev/null");
	bh_nft_set_max_batch(nft, 1);
	assert_err(bh_nft_commit(nft, &(const struct bh_delta *){ &d }, 1, &refusal, &err), &err,
		   -EINPROGRESS, "only a part was committed: set p6: cannot add: File exists");
	assert_string_equal(refusal.name, "p6");
	run("nft list set inet bulkhead p6 >/dev/null");
}

/* --- others ------------------------------------------------------------------*/

static void put_addr(struct bh_plan *plan, const char *addr)
{
	put(plan, "p6", &(struct range){ .first = addr });
}

static void a_commit_after_another_tables_change_succeeds(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	struct culprit by = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	must_commit(nft, plan);
	run("nft add table inet other; nft add table ip bulkhead; nft add chain inet other c");
	put_addr(plan, "fd00::99");
	must_commit(nft, plan);
	run("nft add chain inet other d");
	add_many(plan, "in4", 5000);
	must_commit(nft, plan);
	must_be_same(nft, plan, "commit");
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_int_equal(by.n, 0);
}

static void a_change_of_our_table_makes_the_next_commit_stale(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_delta_free) struct bh_delta *d = NULL;
	struct culprit by = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	must_commit(nft, plan);
	run("nft insert rule inet bulkhead forward accept; nft add table inet other");
	put_addr(plan, "fd00::99");
	assert_err(commit(nft, plan, NULL, &err), &err, -ESTALE, "table bulkhead");
	/* Until it was looked at; for large changes as for small ones. */
	add_many(plan, "in4", 5000);
	assert_err(commit(nft, plan, NULL, &err), &err, -ESTALE, "table bulkhead");
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_int_equal(by.n, 1);
	assert_string_equal(by.program, "nft");
	assert_true(by.pid > 1);

	d = read_and_diff(nft, plan);
	assert_non_null(d);
	assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	bh_delta_free(&d);
	bh_plan_settle(plan);
	must_be_same(nft, plan, "repair");
	assert_ok(bh_nft_watch_read(nft, on_foreign, &by, &err), &err);
	assert_int_equal(by.n, 1);
}

static void lost_notifications_are_told_once_and_make_commits_stale(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	struct bh_err err = { 0 };
	int bytes = 2048;

	(void)state;
	must_commit(nft, plan);
	assert_int_equal(
		setsockopt(bh_nft_watch_fd(nft), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)), 0);
	run("nft add table ip other; "
	    "for i in $(seq 500); do echo add chain ip other c$i; done | nft -f -");
	put_addr(plan, "fd00::99");
	assert_err(commit(nft, plan, NULL, &err), &err, -ESTALE, "may have");
	assert_err(bh_nft_watch_read(nft, on_foreign, NULL, &err), &err, -ENOBUFS, "lost");
	must_commit(nft, plan);
	assert_ok(bh_nft_watch_read(nft, on_foreign, NULL, &err), &err);
}

static void an_absent_table_reads_as_such(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_nft_state *s = NULL;
	struct bh_delta *d;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_nft_read(nft, BH_TABLE_INET, &s, &err), &err);
	assert_true(bh_nft_state_is_absent(s));
	bh_nft_state_free(&s);
	d = read_and_diff(nft, plan);
	assert_non_null(d);
	assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	bh_delta_free(&d);
	assert_ok(bh_nft_read(nft, BH_TABLE_INET, &s, &err), &err);
	assert_false(bh_nft_state_is_absent(s));
	assert_null(bh_nft_diff(s, plan));
	bh_nft_state_free(&s);
}

static struct bh_delta *closing(struct bh_nft *nft, const struct bh_plan *plan,
				const char *const *known, size_t n_known)
{
	struct bh_nft_state *s = NULL;
	struct bh_err err = { 0 };
	struct bh_delta *d;

	assert_ok(bh_nft_read(nft, BH_TABLE_INET, &s, &err), &err);
	assert_true(bh_nft_state_is_in_force(s));
	d = bh_nft_diff_closing(s, plan, known, n_known);
	bh_nft_state_free(&s);
	return d;
}

/* A plan of a part of the world: without what 10.0.0.7 had, with two new addresses. */
static struct bh_plan *a_part(void)
{
	struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *in4 = add_set(plan, "in4", BH_SET_VERDICT_MAP, BH_IPV4, false);
	struct bh_plan_set *in6 = add_set(plan, "in6", BH_SET_VERDICT_MAP, BH_IPV6, false);
	struct bh_plan_set *p4 = add_set(plan, "p4", BH_SET_ADDR, BH_IPV4, false);
	struct bh_plan_chain *in = bh_plan_add_chain(plan, "in_part", NULL, BH_HOOK_NONE, 0);

	add_base_chains(plan, in4, in6);
	add_set(plan, "local4", BH_SET_ADDR, BH_IPV4, false);
	ADD_RULE(plan, in, LOOKUP(.set = p4, .key = BH_KEY_SADDR), VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, VERDICT(.verdict = BH_V_DROP));
	put(plan, "p4", &(struct range){ .first = "10.0.0.50" });
	jump(plan, in4, "10.0.0.7", in);
	jump(plan, in4, "10.0.0.20", in);
	jump(plan, in4, "10.0.0.21", in);
	return plan;
}

static void a_part_of_the_world_only_adds_what_the_table_does_not_know(void **state)
{
	static const char *const known[] = { "local4" };
	static const char *const others[] = { "local4", "local6" };
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything(), *part = a_part();
	bh_auto(bh_buf_done) struct bh_buf before = { 0 }, after = { 0 };
	struct bh_err err = { 0 };
	struct bh_delta *d;

	(void)state;
	add_set(plan, "local4", BH_SET_ADDR, BH_IPV4, false);
	put(plan, "local4", &(struct range){ .first = "10.0.0.21" });
	must_commit(nft, plan);
	read_all("nft -s list table inet bulkhead", &before);
	assert_null(closing(nft, plan, known, 1));
	/* A table that does not say which addresses it knows. */
	assert_null(closing(nft, part, others, 2));

	d = closing(nft, part, known, 1);
	assert_non_null(d);
	assert_ok(bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL, &err), &err);
	bh_delta_free(&d);
	run("nft get element inet bulkhead in4 '{ 10.0.0.20 : jump in_part }' >/dev/null");
	run("nft get element inet bulkhead in4 '{ 10.0.0.7 : jump in_a }' >/dev/null");
	run("! nft get element inet bulkhead in4 '{ 10.0.0.21 }' >/dev/null 2>&1");
	run("nft get element inet bulkhead p4 '{ 10.0.0.50 }' >/dev/null");
	assert_null(closing(nft, part, known, 1));

	/* Nothing else was touched. */
	run("nft delete element inet bulkhead in4 '{ 10.0.0.20 }'; "
	    "nft delete chain inet bulkhead in_part; nft delete set inet bulkhead p4");
	read_all("nft -s list table inet bulkhead", &after);
	assert_string_equal(bh_buf_str(&before), bh_buf_str(&after));

	/* A table of another make is left alone. */
	run("nft insert rule inet bulkhead forward accept");
	assert_null(closing(nft, part, known, 1));
}

static void cleanup_removes_our_table_and_no_other(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_buf_done) struct bh_buf left = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	run("nft add table ip bulkhead; nft add table inet other");
	assert_ok(bh_nft_cleanup(nft, &err), &err);
	must_commit(nft, plan);
	assert_ok(bh_nft_cleanup(nft, &err), &err);
	read_all("nft list tables", &left);
	assert_string_equal(bh_buf_str(&left), "table ip bulkhead\ntable inet other\n");
	assert_ok(bh_nft_cleanup(nft, &err), &err);
}

/* --- intervals ---------------------------------------------------------------*/

/* A small range of addresses; disjoint from all others, since each has its own eighth. */
static struct bh_elem some_range(const struct bh_plan_set *set, unsigned int slot,
				 unsigned int *seed)
{
	unsigned int first = (unsigned int)rand_r(seed) % 8, last;
	struct bh_addr a = { .bytes = { 10, 0, 0, 0 } }, z;
	struct bh_elem e = { 0 };

	last = first + (unsigned int)rand_r(seed) % (8 - first);
	z = a;
	a.bytes[3] = (uint8_t)(slot * 8 + first);
	z.bytes[3] = (uint8_t)(slot * 8 + last);
	/* The first and the last of all addresses too. */
	if (slot == 0)
		memset(a.bytes, 0, 4);
	if (slot == 31)
		memset(z.bytes, 0xff, 4);
	bh_plan_key(set->spec.kind, &a, IPPROTO_TCP, (uint16_t)(first * 100), e.key);
	bh_plan_key(set->spec.kind, &z, IPPROTO_TCP, (uint16_t)(last * 100 + 50), e.end);
	return e;
}

static void intervals_change_in_any_way_within_one_transaction(void **state)
{
	static const char *const names[] = { "n4", "x4" };
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	struct bh_elem now[2][32];
	bool is_there[2][32] = { 0 };
	unsigned int seed = 7;

	(void)state;
	must_commit(nft, plan);
	for (size_t k = 0; k < 2; k++) {
		struct bh_plan_set *set = bh_plan_set(plan, names[k]);
		struct bh_elem e;

		while (set->n) {
			bh_plan_elem(set, 0, &e);
			bh_plan_drop(plan, set, &e);
			set = bh_plan_set(plan, names[k]);
		}
	}
	for (int step = 0; step < 150; step++) {
		for (int n = rand_r(&seed) % 12; n >= 0; n--) {
			size_t k = (size_t)rand_r(&seed) % 2, slot = (size_t)rand_r(&seed) % 32;
			struct bh_plan_set *set = bh_plan_set(plan, names[k]);

			if (is_there[k][slot])
				bh_plan_drop(plan, set, &now[k][slot]);
			is_there[k][slot] = rand_r(&seed) % 3 != 0;
			if (!is_there[k][slot])
				continue;
			now[k][slot] = some_range(set, (unsigned int)slot, &seed);
			bh_plan_put(plan, set, &now[k][slot]);
		}
		if (bh_plan_is_dirty(plan)) {
			bh_auto(bh_delta_free) struct bh_delta *d = bh_plan_delta(plan);
			struct bh_err err = { 0 };
			int r = d ? bh_nft_commit(nft, &(const struct bh_delta *){ d }, 1, NULL,
						  &err)
				  : 0;

			if (r < 0)
				fail_msg("step %d: %s", step, bh_err_text(&err));
			bh_delta_free(&d);
			bh_plan_settle(plan);
		}
		must_be_same(nft, plan, "change");
	}
}

/* --- packets -----------------------------------------------------------------*/

static void counters_count_and_rules_judge(void **state)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = open_in_netns();
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *in4 = add_set(plan, "in4", BH_SET_VERDICT_MAP, BH_IPV4, false);
	struct bh_plan_set *n4 = add_set(plan, "n4", BH_SET_ADDR, BH_IPV4, true);
	struct bh_plan_chain *base = bh_plan_add_chain(plan, "input", NULL, BH_HOOK_INPUT, 0);
	struct bh_plan_chain *in = bh_plan_add_chain(plan, "in_a", NULL, BH_HOOK_NONE, 0);
	bh_auto_free struct bh_nft_counter *counters = NULL;
	struct bh_err err = { 0 };
	size_t n;

	(void)state;
	bh_plan_add_counter(plan, "denied");
	ADD_RULE(plan, base, { .kind = BH_EXPR_VMAP, .set = in4, .key = BH_KEY_DADDR });
	ADD_RULE(plan, in, LOOKUP(.set = n4, .key = BH_KEY_SADDR), VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, { .kind = BH_EXPR_COUNTER, .name = "denied" },
		 VERDICT(.verdict = BH_V_DROP));
	put(plan, "n4", &(struct range){ "127.0.0.8", "127.0.0.15", 0, 0, 0 });
	jump(plan, in4, "127.0.0.2", in);
	must_commit(nft, plan);
	run("ip link set lo up");
	run("ping -q -c 1 -W 1 -I 127.0.0.9 127.0.0.2 >/dev/null");
	run("ping -q -c 1 -W 1 -I 127.0.0.15 127.0.0.2 >/dev/null");
	run("! ping -q -c 1 -W 1 -I 127.0.0.16 127.0.0.2 >/dev/null");
	run("! ping -q -c 1 -W 1 -I 127.0.0.7 127.0.0.2 >/dev/null");
	run("ping -q -c 1 -W 1 -I 127.0.0.7 127.0.0.3 >/dev/null");
	assert_ok(bh_nft_counters(nft, &counters, &n, &err), &err);
	assert_int_equal(n, 1);
	assert_string_equal(counters[0].name, "denied");
	assert_int_equal(counters[0].packets, 2);
	assert_true(counters[0].bytes > 0);
	must_be_same(nft, plan, "packets");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nft_prints_what_was_committed),
		cmocka_unit_test(what_was_committed_reads_back_the_same),
		cmocka_unit_test(what_nft_reloads_reads_back_the_same),
		cmocka_unit_test(whatever_is_done_to_the_table_is_seen_and_mended),
		cmocka_unit_test(a_refusal_names_object_element_and_errno),
		cmocka_unit_test(a_rule_that_leads_nowhere_is_named_by_its_number),
		cmocka_unit_test(a_full_set_is_enfile),
		cmocka_unit_test(a_hundred_thousand_elements_are_no_single_transaction),
		cmocka_unit_test(what_is_too_large_is_cut_where_the_delta_allows),
		cmocka_unit_test(a_failure_after_the_first_part_says_so),
		cmocka_unit_test(a_commit_after_another_tables_change_succeeds),
		cmocka_unit_test(a_change_of_our_table_makes_the_next_commit_stale),
		cmocka_unit_test(lost_notifications_are_told_once_and_make_commits_stale),
		cmocka_unit_test(an_absent_table_reads_as_such),
		cmocka_unit_test(a_part_of_the_world_only_adds_what_the_table_does_not_know),
		cmocka_unit_test(cleanup_removes_our_table_and_no_other),
		cmocka_unit_test(intervals_change_in_any_way_within_one_transaction),
		cmocka_unit_test(counters_count_and_rules_judge),
	};

	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
