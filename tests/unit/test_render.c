#include "test.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "bh/render.h"

struct range {
	const char *first, *last;
	uint8_t protocol;
	uint16_t port, last_port;
};

static void put_range(struct bh_plan *plan, struct bh_plan_set *set, const struct range *r)
{
	struct bh_elem e = { 0 };
	struct bh_addr a = { 0 }, z = { 0 };

	if (r->first)
		assert_ok(bh_addr_parse(r->first, &a, NULL), NULL);
	if (r->last)
		assert_ok(bh_addr_parse(r->last, &z, NULL), NULL);
	bh_plan_key(set->spec.kind, &a, r->protocol, r->port, e.key);
	bh_plan_key(set->spec.kind, &z, r->protocol, r->last_port, e.end);
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

static struct bh_plan_set *add_set(struct bh_plan *plan, const char *name, enum bh_set_kind kind,
				   enum bh_family family, bool is_interval)
{
	return bh_plan_add_set(plan, &(struct bh_set_spec){ .name = name,
							    .kind = kind,
							    .family = family,
							    .is_interval = is_interval,
							    .rate = 10,
							    .burst = 20 });
}

static void add_base_chain(struct bh_plan *plan, const struct bh_plan_set *in6)
{
	struct bh_plan_chain *c = bh_plan_add_chain(plan, "forward", NULL, BH_HOOK_FORWARD, 0);
	struct bh_plan_chain *input = bh_plan_add_chain(plan, "input", NULL, BH_HOOK_INPUT, 101);

	ADD_RULE(plan, c, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_ESTABLISHED },
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_CT_STATE, .value = BH_CT_RELATED },
		 IS(L4PROTO, IPPROTO_ICMP, IPPROTO_ICMP), VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, IS(NFPROTO, AF_INET6, AF_INET6), IS(HOPLIMIT, 255, 255),
		 IS(L4PROTO, IPPROTO_ICMPV6, IPPROTO_ICMPV6), IS(ICMP6_TYPE, 133, 137),
		 VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_FIB_LOCAL }, VERDICT(.verdict = BH_V_ACCEPT));
	ADD_RULE(plan, c, { .kind = BH_EXPR_VMAP, .set = in6, .key = BH_KEY_DADDR });
	ADD_RULE(plan, input, IS(NFPROTO, AF_INET, AF_INET), VERDICT(.verdict = BH_V_DROP));
}

/* One of everything the plan can say. */
static struct bh_plan *everything(void)
{
	struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	struct bh_plan_set *c4, *in6, *lim, *n4, *n6, *q4, *x4;
	struct bh_plan_chain *in, *rest;

	bh_plan_add_counter(plan, "denied");
	c4 = add_set(plan, "c4", BH_SET_ADDR_PROTO_PORT, BH_IPV4, false);
	put_range(plan, c4, &(struct range){ "10.0.0.1", "10.0.0.1", IPPROTO_TCP, 80, 80 });
	put_range(plan, c4, &(struct range){ "10.0.0.1", "10.0.0.1", IPPROTO_SCTP, 80, 80 });
	in6 = add_set(plan, "in6", BH_SET_VERDICT_MAP, BH_IPV6, false);
	lim = add_set(plan, "lim_in4", BH_SET_LOG_LIMIT, BH_IPV4, false);
	n4 = add_set(plan, "n4", BH_SET_ADDR, BH_IPV4, true);
	put_range(plan, n4, &(struct range){ .first = "0.0.0.0", .last = "10.255.255.254" });
	n6 = add_set(plan, "n6", BH_SET_ADDR, BH_IPV6, true);
	put_range(plan, n6,
		  &(struct range){ .first = "::",
				   .last = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" });
	q4 = bh_plan_add_set(plan, &(struct bh_set_spec){ .name = "q_1",
							  .kind = BH_SET_PROTO_PORT,
							  .comment = "tcp 80 (web)" });
	put_range(plan, q4, &(struct range){ .protocol = IPPROTO_UDP, .port = 53 });
	x4 = add_set(plan, "x4", BH_SET_ADDR_PROTO_PORT, BH_IPV4, true);
	put_range(plan, x4, &(struct range){ "0.0.0.0", "255.255.255.255", IPPROTO_UDP, 0, 65535 });
	put_range(plan, x4, &(struct range){ "10.0.0.0", "10.0.0.255", IPPROTO_TCP, 80, 90 });
	put_range(plan, x4, &(struct range){ "10.0.1.0", "10.0.1.2", 132, 7, 7 });

	add_base_chain(plan, in6);
	in = bh_plan_add_chain(plan, "in_a", "shop/web", BH_HOOK_NONE, 0);
	rest = bh_plan_add_chain(plan, "rest", NULL, BH_HOOK_NONE, 0);
	put_range(plan, in6, &(struct range){ 0 });
	bh_plan_drop(plan, in6, &(struct bh_elem){ 0 });
	bh_plan_put(plan, in6, &(struct bh_elem){ .key = { 0xfd, [15] = 1 }, .chain = in });
	ADD_RULE(plan, in, { .kind = BH_EXPR_LOOKUP, .set = c4, .key = BH_KEY_SADDR_PROTO_PORT },
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, { .kind = BH_EXPR_LOOKUP, .set = n4, .key = BH_KEY_SADDR },
		 { .kind = BH_EXPR_LOOKUP, .set = q4, .key = BH_KEY_PROTO_PORT },
		 VERDICT(.verdict = BH_V_GOTO, .chain = rest));
	ADD_RULE(plan, in, { .kind = BH_EXPR_LOOKUP, .set = n6, .key = BH_KEY_DADDR },
		 VERDICT(.verdict = BH_V_JUMP, .chain = rest));
	ADD_RULE(plan, in, { .kind = BH_EXPR_LOOKUP, .set = x4, .key = BH_KEY_DADDR_PROTO_PORT },
		 VERDICT(.verdict = BH_V_RETURN));
	ADD_RULE(plan, in, { .kind = BH_EXPR_LIMIT, .set = lim, .key = BH_KEY_DADDR },
		 { .kind = BH_EXPR_LOG, .name = "bh:d:in_a", .group = 5, .snaplen = 128 });
	ADD_RULE(plan, in, { .kind = BH_EXPR_COUNTER, .name = "denied" },
		 VERDICT(.verdict = BH_V_DROP));
	return plan;
}

static const char *const want =
	"table inet bulkhead {\n"
	"	counter denied {\n		packets 0 bytes 0\n	}\n\n"
	"	set c4 {\n		type ipv4_addr . inet_proto . inet_service\n"
	"		elements = { 10.0.0.1 . tcp . 80,\n"
	"			     10.0.0.1 . sctp . 80 }\n	}\n\n"
	"	map in6 {\n		type ipv6_addr : verdict\n"
	"		elements = { fd00::1 : jump in_a }\n	}\n\n"
	"	set lim_in4 {\n		type ipv4_addr\n		size 65535\n"
	"		flags dynamic,timeout\n		timeout 1m\n	}\n\n"
	"	set n4 {\n		type ipv4_addr\n		flags interval\n"
	"		elements = { 0.0.0.0-10.255.255.254 }\n	}\n\n"
	"	set n6 {\n		type ipv6_addr\n		flags interval\n"
	"		elements = { ::/0 }\n	}\n\n"
	"	set q_1 {\n		type inet_proto . inet_service\n"
	"		comment \"tcp 80 (web)\"\n		elements = { udp . 53 }\n	"
	"}\n\n"
	"	set x4 {\n		type ipv4_addr . inet_proto . inet_service\n"
	"		flags interval\n"
	"		elements = { 0.0.0.0/0 . udp . 0-65535,\n"
	"			     10.0.0.0/24 . tcp . 80-90,\n"
	"			     10.0.1.0-10.0.1.2 . sctp . 7 }\n	}\n\n"
	"	chain forward {\n"
	"		type filter hook forward priority filter; policy accept;\n"
	"		ct state established accept\n"
	"		ct state related meta l4proto icmp accept\n"
	"		ip6 hoplimit 255 icmpv6 type 133-137 accept\n"
	"		fib saddr type local accept\n"
	"		ip6 daddr vmap @in6\n	}\n\n"
	"	chain in_a {\n		comment \"shop/web\"\n"
	"		ip saddr . meta l4proto . th dport @c4 return\n"
	"		ip saddr @n4 meta l4proto . th dport @q_1 goto rest\n"
	"		ip6 daddr @n6 jump rest\n"
	"		ip daddr . meta l4proto . th dport @x4 return\n"
	"		update @lim_in4 { ip daddr limit rate 10/second burst 20 packets } "
	"log prefix \"bh:d:in_a\" group 5 snaplen 128\n"
	"		counter name \"denied\" drop\n	}\n\n"
	"	chain input {\n"
	"		type filter hook input priority 101; policy accept;\n"
	"		meta nfproto ipv4 drop\n	}\n\n"
	"	chain rest {\n	}\n"
	"}\n";

static void everything_in_a_plan_has_its_nft_text(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	(void)state;
	bh_render(plan, &b);
	assert_string_equal(bh_buf_str(&b), want);
}

static void an_empty_plan_is_an_empty_table(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	(void)state;
	bh_render(plan, &b);
	assert_string_equal(bh_buf_str(&b), "table inet bulkhead {\n}\n");
}

static void ranges_that_are_prefixes_print_as_such(void **state)
{
	static const struct {
		struct range r;
		const char *want;
	} t[] = {
		{ { "10.0.0.0", "10.0.0.255", 0, 0, 0 }, "{ 10.0.0.0/24 }" },
		{ { "10.0.0.0", "10.0.0.254", 0, 0, 0 }, "{ 10.0.0.0-10.0.0.254 }" },
		{ { "10.0.0.1", "10.0.0.2", 0, 0, 0 }, "{ 10.0.0.1-10.0.0.2 }" },
		{ { "255.255.255.255", "255.255.255.255", 0, 0, 0 }, "{ 255.255.255.255 }" },
		{ { "0.0.0.0", "255.255.255.255", 0, 0, 0 }, "{ 0.0.0.0/0 }" },
		{ { "128.0.0.0", "255.255.255.255", 0, 0, 0 }, "{ 128.0.0.0/1 }" },
		{ { "9.255.255.255", "10.0.0.0", 0, 0, 0 }, "{ 9.255.255.255-10.0.0.0 }" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_plan_free) struct bh_plan *plan = bh_plan_new(BH_TABLE_INET);
		bh_auto(bh_buf_done) struct bh_buf b = { 0 };

		put_range(plan, add_set(plan, "n4", BH_SET_ADDR, BH_IPV4, true), &t[i].r);
		bh_render(plan, &b);
		assert_contains(bh_buf_str(&b), t[i].want);
	}
}

/* In a network namespace of its own. */
static void nft_loads_the_text_and_prints_the_same(void **state)
{
	bh_auto(bh_plan_free) struct bh_plan *plan = everything();
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	char file[] = "/tmp/bh-render-XXXXXX", command[256], listed[8192] = "";
	int fd, status;
	FILE *p;

	(void)state;
	if (geteuid() != 0 || system("unshare -n nft list ruleset >/dev/null 2>&1") != 0) {
		print_message("skipped: needs root and nft\n");
		skip();
	}
	bh_render(plan, &b);
	fd = mkstemp(file);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bh_buf_str(&b), b.len), (ssize_t)b.len);
	close(fd);
	snprintf(command, sizeof(command),
		 "unshare -n sh -c 'nft -f %s && nft list table inet " BH_TABLE "' 2>&1", file);
	p = popen(command, "r");
	assert_non_null(p);
	listed[fread(listed, 1, sizeof(listed) - 1, p)] = '\0';
	status = pclose(p);
	unlink(file);
	assert_string_equal(listed, bh_buf_str(&b));
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_in_a_plan_has_its_nft_text),
		cmocka_unit_test(an_empty_plan_is_an_empty_table),
		cmocka_unit_test(ranges_that_are_prefixes_print_as_such),
		cmocka_unit_test(nft_loads_the_text_and_prints_the_same),
	};

	return cmocka_run_group_tests_name("render", tests, NULL, NULL);
}
