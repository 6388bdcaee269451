/*
 * The kernel's nftables, each test in a network namespace of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
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
		 { .kind = BH_EXPR_L4PROTO, .value = IPPROTO_ICMP },
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_NFPROTO, .family = BH_IPV6 },
		 { .kind = BH_EXPR_HOPLIMIT, .value = 255 },
		 { .kind = BH_EXPR_L4PROTO, .value = IPPROTO_ICMPV6 },
		 { .kind = BH_EXPR_ICMP6_TYPE, .value = 133, .last = 137 },
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_VMAP, .set = in4, .key = BH_KEY_SADDR });
	ADD_RULE(plan, c, { .kind = BH_EXPR_VMAP, .set = in6, .key = BH_KEY_DADDR });
	ADD_RULE(plan, input, { .kind = BH_EXPR_NFPROTO, .family = BH_IPV4 },
		 VERDICT(.verdict = BH_V_RETURN));
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
	struct bh_plan *plan = bh_plan_new();
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
	r = bh_nft_commit(nft, d, refusal, err);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nft_prints_what_was_committed),
	};

	return cmocka_run_group_tests_name("nft", tests, NULL, NULL);
}
