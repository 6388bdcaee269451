/*
 * Files of assertions: what is refused, what is meant, and when it holds.
 */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>

#include "sim_objects.h"
#include "sim_text.h"

#define HEAD       "apiVersion: bulkhead.dev/v1alpha1\nkind: Assertions\nnamespace: shop\nflows:\n"
#define FLOW(rest) HEAD "- {name: x, from: web, to: db, port: 1, expect: allowed" rest "}\n"

static int parse(const char *text, struct bh_assertions **ret, struct bh_err *err)
{
	return bh_assertions_parse(ret, "t.yaml", text, strlen(text), err);
}

static struct bh_assertions *must_parse(const char *text)
{
	struct bh_assertions *a = NULL;
	struct bh_err err = { 0 };

	assert_ok(parse(text, &a, &err), &err);
	return a;
}

static void what_is_not_understood_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *why;
	} t[] = {
		{ FLOW(", becuase: shop/web"), "t.yaml:5: unknown key 'becuase'" },
		{ HEAD "- {name: x, from: web, to: db, port: 1}\n", "t.yaml:5: expect is missing" },
		{ HEAD "- {from: web, to: db, port: 1, expect: denied}\n", "name is missing" },
		{ HEAD "- {name: x, to: db, port: 1, expect: denied}\n", "from is missing" },
		{ HEAD "- {name: x, from: web, port: 1, expect: denied}\n", "to is missing" },
		{ HEAD "- {name: x, from: web, to: db, expect: denied}\n", "port is missing" },
		{ HEAD "- {name: x, from: web, to: db, port: 1, expect: deny}\n", "not 'deny'" },
		{ HEAD "- {name: x, from: [], to: db, port: 1, expect: denied}\n", "is empty" },
		{ HEAD "- {name: x, from: 7, to: db, port: 1, expect: denied}\n", "an end is" },
		{ HEAD "- {name: x, from: a, to: db, port: 0, expect: denied}\n", "1-65535" },
		{ HEAD "- {name: x, from: a, to: db, port: 65536, expect: denied}\n", "1-65535" },
		{ HEAD "- {name: x, from: a, to: db, port: 53/XTP, expect: denied}\n", "1-65535" },
		{ HEAD "- {name: x, from: a, to: db, port: UDP, expect: denied}\n", "1-65535" },
		{ HEAD "- {name: x, from: a, to: db, port: 1/ICMP, expect: denied}\n", "1-65535" },
		{ HEAD "- {name: x, from: a, to: db, port: true, expect: denied}\n", "a port is" },
		{ HEAD "- {name: x, from: a, to: db, port: 1, ports: [1], expect: denied}\n",
		  "exclude each other" },
		{ HEAD "- web to db\n", "t.yaml:5: a flow is a mapping" },
		{ "apiVersion: bulkhead.dev/v1alpha1\nkind: Assertions\nflows: []\n",
		  "t.yaml:3: flows must be" },
		{ "apiVersion: bulkhead.dev/v1alpha1\nkind: Assertions\nflow: []\n",
		  "unknown key 'flow'" },
		{ "apiVersion: v1\nkind: Pod\n", "v1 Pod, not bulkhead.dev/v1alpha1 Assertions" },
		{ "", "no document" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_assertions *a = NULL;
		struct bh_err err = { 0 };

		assert_err(parse(t[i].text, &a, &err), &err, -EINVAL, t[i].why);
		assert_null(a);
	}
}

static void lists_are_all_combinations_in_order(void **state)
{
	struct bh_assertions *a = must_parse(
		HEAD "- {name: x, from: [web, a/b], to: [db, 10.0.0.1], ports: [80, 53/udp, icmp], "
		     "expect: denied}\n");
	const struct bh_assertion *items;

	(void)state;
	assert_int_equal(bh_assertions_items(a, &items), 12);
	assert_string_equal(items[0].src, "shop/web");
	assert_string_equal(items[0].dst, "shop/db");
	assert_string_equal(items[0].port_text, "80/TCP");
	assert_int_equal(items[0].protocol, IPPROTO_TCP);
	assert_int_equal(items[0].port, 80);
	assert_string_equal(items[1].port_text, "53/UDP");
	assert_int_equal(items[1].protocol, IPPROTO_UDP);
	assert_string_equal(items[2].port_text, "ICMP");
	assert_int_equal(items[2].port, 0);
	assert_string_equal(items[3].dst, "10.0.0.1");
	assert_string_equal(items[11].src, "a/b");
	assert_int_equal(items[11].expected, BH_SIM_DENIED);
	bh_assertions_free(&a);
}

static void an_end_without_namespace_is_of_the_files_or_default(void **state)
{
	struct bh_assertions *a = must_parse(
		"apiVersion: bulkhead.dev/v1alpha1\nkind: Assertions\nflows:\n- {name: x, from: "
		"'svc:web', to: 'node:n1', port: 1, expect: allowed}\n");
	const struct bh_assertion *items;

	(void)state;
	assert_int_equal(bh_assertions_items(a, &items), 1);
	assert_string_equal(items[0].src, "svc:default/web");
	assert_string_equal(items[0].dst, "node:n1");
	bh_assertions_free(&a);
}

/* Each flow takes five bytes of text here; they could be very many. */
static void too_many_combinations_are_refused(void **state)
{
	struct bh_buf text = { 0 };
	struct bh_assertions *a = NULL;
	struct bh_err err = { 0 };
	size_t i;

	(void)state;
	bh_buf_puts(&text, HEAD "- {name: x, port: 1, expect: denied, from: [a");
	for (i = 0; i < 400; i++)
		bh_buf_puts(&text, ", a");
	bh_buf_puts(&text, "], to: [a");
	for (i = 0; i < 400; i++)
		bh_buf_puts(&text, ", a");
	bh_buf_puts(&text, "]}\n");
	assert_err(parse(bh_buf_str(&text), &a, &err), &err, -EINVAL, "more than 100000 flows");
	bh_buf_done(&text);
}

#define WORLD                                                                                      \
	NS("shop", "")                                                                             \
	POD("shop", "web", "app: web", "")                                                         \
	POD("shop", "db", "app: db", "")                                                           \
	POLICY("shop", "closed", "podSelector: {matchLabels: {app: db}}")                          \
	POLICY("shop", "db",                                                                       \
	       "podSelector: {matchLabels: {app: db}}, ingress: [{from: "                          \
	       "[{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1}]}]")

static void an_assertion_holds_or_says_what_is_so_instead(void **state)
{
	static const struct {
		const char *flow, *why; /* NULL: it holds */
	} t[] = {
		{ "from: web, to: db, port: 1, expect: allowed", NULL },
		{ "from: web, to: db, port: 1, expect: allowed, because: shop/db", NULL },
		{ "from: web, to: db, port: 2, expect: denied", NULL },
		{ "from: web, to: db, port: 2, expect: denied, because: shop/closed", NULL },
		{ "from: web, to: db, port: 1, expect: allowed, because: shop/closed",
		  "allowed, but not because of shop/closed" },
		/* An open flow is nobody's doing. */
		{ "from: db, to: web, port: 1, expect: allowed, because: shop/db",
		  "not because of shop/db" },
		{ "from: web, to: db, port: 1, expect: denied", "NetworkPolicy shop/db" },
		{ "from: web, to: db, port: 2, expect: allowed", "test.yaml" },
		{ "from: wbe, to: db, port: 2, expect: denied", "wbe" },
	};
	struct bh_sim *sim = sim_text(WORLD);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		char *text = bh_asprintf(HEAD "- {name: x, %s}\n", t[i].flow);
		struct bh_assertions *a = must_parse(text);
		const struct bh_assertion *items;
		struct bh_buf why = { 0 };
		bool holds;

		bh_assertions_items(a, &items);
		holds = bh_assertion_holds(sim, items, &why);
		if (holds != !t[i].why)
			fail_msg("%s: %s", t[i].flow, bh_buf_str(&why));
		if (t[i].why)
			assert_contains(bh_buf_str(&why), t[i].why);
		bh_buf_done(&why);
		bh_assertions_free(&a);
		free(text);
	}
	bh_sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_understood_is_refused_with_its_line),
		cmocka_unit_test(lists_are_all_combinations_in_order),
		cmocka_unit_test(an_end_without_namespace_is_of_the_files_or_default),
		cmocka_unit_test(too_many_combinations_are_refused),
		cmocka_unit_test(an_assertion_holds_or_says_what_is_so_instead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
