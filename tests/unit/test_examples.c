/*
 * The examples that people copy: each is valid, and does what it says.
 */
#include "test.h"

#include <netinet/in.h>

#include "bh/eval.h"
#include "bh/manifest.h"

#define EXAMPLES "policy/examples"

struct loaded {
	struct bh_world *w;
	size_t n_objects;
};

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct loaded *l = ctx;
	struct bh_err err = { 0 };

	l->n_objects++;
	assert_ok(bh_world_apply(l->w, fact, &err), &err);
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	(void)ctx;
	fail_msg("%s is taken back", key->name);
}

/* Warnings come this way, too. */
static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)ctx;
	(void)source;
	fail_msg("%s: %s", subject, text);
}

static struct loaded load(const char *path)
{
	const struct bh_world_config config = { 0 };
	struct loaded l = { .w = bh_world_new(&config) };
	struct bh_sink sink = {
		.ctx = &l,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_problem = on_problem,
	};
	struct bh_err err = { 0 };
	int r = bh_manifest_load(path, &sink, &err);

	assert_ok(r, &err);
	assert_int_equal(r, 0);
	return l;
}

/* With one label, one address, and a container port named metrics. */
static void add_pod(struct bh_world *w, const char *ns, const char *label, const char *value,
		    const char *addr)
{
	const struct bh_label labels[] = { { label, value } };
	const struct bh_port ports[] = { { "metrics", 9100, IPPROTO_TCP } };
	struct bh_addr a;
	struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_CRI,
		.pod = {
			.namespace = ns,
			.name = addr,
			.uid = addr,
			.node = "",
			.labels = { labels, 1 },
			.ports = ports,
			.n_ports = 1,
			.addrs = &a,
			.n_addrs = 1,
		},
	};

	assert_int_equal(bh_addr_parse(addr, &a, NULL), 0);
	assert_int_equal(bh_world_apply(w, &fact, NULL), 0);
}

static bool is_allowed(const struct bh_world *w, const char *src, const char *dst, uint8_t protocol,
		       uint16_t port)
{
	struct bh_flow f = { .protocol = protocol, .dst_port = port };
	struct bh_result result;

	assert_int_equal(bh_addr_parse(src, &f.src, NULL), 0);
	assert_int_equal(bh_addr_parse(dst, &f.dst, NULL), 0);
	bh_eval(w, &f, &result);
	return result.verdict == BH_VERDICT_ALLOWED;
}

struct row {
	const char *src, *dst;
	uint8_t protocol;
	uint16_t port;
	bool want;
};

static void check(const struct bh_world *w, const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		const struct row *r = &rows[i];

		if (is_allowed(w, r->src, r->dst, r->protocol, r->port) != r->want)
			fail_msg("%s to %s, protocol %u, port %u is %s", r->src, r->dst,
				 r->protocol, r->port, r->want ? "denied" : "allowed");
	}
}

static void every_example_is_valid_without_a_warning(void **state)
{
	struct loaded l = load(EXAMPLES);

	(void)state;
	assert_true(l.n_objects >= 20);
	bh_world_free(&l.w);
}

#define WEB      "192.0.2.11"
#define API      "192.0.2.12"
#define DB       "192.0.2.13"
#define ATTACKER "192.0.2.66"
#define DNS      "192.0.2.53"
#define OUTSIDE  "198.51.100.9"
#define PARTNER  "203.0.113.10"

static void the_shop_is_closed_except_for_what_it_needs(void **state)
{
	static const struct row t[] = {
		{ OUTSIDE, WEB, IPPROTO_TCP, 8080, true },
		{ ATTACKER, WEB, IPPROTO_TCP, 8080, false }, /* its own egress is closed */
		{ OUTSIDE, WEB, IPPROTO_TCP, 22, false },
		{ OUTSIDE, WEB, IPPROTO_ICMP, 0, false },
		{ WEB, API, IPPROTO_TCP, 8080, true },
		{ WEB, API, IPPROTO_UDP, 8080, false },
		{ WEB, DB, IPPROTO_TCP, 5432, false },
		{ WEB, OUTSIDE, IPPROTO_TCP, 443, false },
		{ API, DB, IPPROTO_TCP, 5432, true },
		{ API, DB, IPPROTO_TCP, 5433, false },
		{ API, WEB, IPPROTO_TCP, 8080, false },
		{ API, PARTNER, IPPROTO_TCP, 443, true },
		{ API, PARTNER, IPPROTO_TCP, 80, false },
		{ API, OUTSIDE, IPPROTO_TCP, 443, false },
		{ OUTSIDE, API, IPPROTO_TCP, 8080, false },
		{ DB, API, IPPROTO_TCP, 8080, false },
		{ DB, PARTNER, IPPROTO_TCP, 443, false },
		{ ATTACKER, API, IPPROTO_TCP, 8080, false },
		{ ATTACKER, DB, IPPROTO_TCP, 5432, false },
		{ ATTACKER, PARTNER, IPPROTO_TCP, 443, false },
		{ ATTACKER, DNS, IPPROTO_UDP, 53, true },
		{ DB, DNS, IPPROTO_TCP, 53, true },
		{ DB, OUTSIDE, IPPROTO_UDP, 53, false },
		{ "2001:db8::11", "2001:db8::12", IPPROTO_TCP, 8080, true },
		{ "2001:db8::66", "2001:db8::13", IPPROTO_TCP, 5432, false },
		{ "2001:db8::12", "2001:db8:9::1", IPPROTO_TCP, 443, false },
	};
	struct loaded l = load(EXAMPLES);

	(void)state;
	add_pod(l.w, "kube-system", "k8s-app", "kube-dns", DNS);
	check(l.w, t, BH_ARRAY_LEN(t));
	bh_world_free(&l.w);
}

static void the_shop_is_open_before_its_policies(void **state)
{
	static const struct row t[] = {
		{ ATTACKER, DB, IPPROTO_TCP, 5432, true },
		{ WEB, DB, IPPROTO_TCP, 5432, true },
		{ OUTSIDE, API, IPPROTO_TCP, 8080, true },
	};
	struct loaded l = load(EXAMPLES "/worlds");

	(void)state;
	check(l.w, t, BH_ARRAY_LEN(t));
	bh_world_free(&l.w);
}

static void the_other_examples_do_what_they_say(void **state)
{
	static const struct {
		const char *ns, *label, *value, *addr;
	} pods[] = {
		{ "closed", "app", "x", "10.0.0.1" },
		{ "closed-by-annotation", "app", "x", "10.0.0.2" },
		{ "kube-system", "k8s-app", "kube-dns", "10.0.0.53" },
		{ "three-tier", "tier", "front", "10.0.1.1" },
		{ "three-tier", "tier", "middle", "10.0.1.2" },
		{ "three-tier", "tier", "data", "10.0.1.3" },
		{ "island", "app", "a", "10.0.2.1" },
		{ "island", "app", "b", "10.0.2.2" },
		{ "ward", "quarantine", "true", "10.0.3.1" },
		{ "ward", "quarantine", "false", "10.0.3.2" },
		{ "ward", "app", "x", "10.0.3.3" },
		{ "partners", "app", "exchange", "10.0.4.1" },
		{ "partners", "app", "crawler", "10.0.4.2" },
		{ "ingress-nginx", "app.kubernetes.io/component", "controller", "10.0.5.1" },
		{ "ingress-nginx", "app", "x", "10.0.5.2" },
		{ "sites", "app", "site", "10.0.5.3" },
		{ "monitoring", "app", "scraper", "10.0.6.1" },
		{ "calls", "app", "media", "10.0.7.1" },
		{ "rollout", "app", "cache", "10.0.8.1" },
	};
	static const struct row t[] = {
		{ OUTSIDE, "10.0.0.1", IPPROTO_TCP, 80, false },
		{ "10.0.0.1", OUTSIDE, IPPROTO_TCP, 80, false },
		{ "10.0.0.1", "10.0.0.53", IPPROTO_UDP, 53, true },
		{ "10.0.0.1", "169.254.20.10", IPPROTO_TCP, 53, true },
		{ OUTSIDE, "10.0.0.2", IPPROTO_TCP, 80, false },
		{ "10.0.0.2", OUTSIDE, IPPROTO_TCP, 80, false },
		{ OUTSIDE, "10.0.1.1", IPPROTO_TCP, 443, true },
		{ "10.0.1.1", "10.0.1.2", IPPROTO_TCP, 8080, true },
		{ "10.0.1.1", "10.0.1.3", IPPROTO_TCP, 5432, false },
		{ "10.0.1.2", "10.0.1.3", IPPROTO_TCP, 5432, true },
		{ "10.0.2.1", "10.0.2.2", IPPROTO_SCTP, 7, true },
		{ "10.0.2.1", "10.0.1.1", IPPROTO_TCP, 443, false },
		{ "10.0.1.1", "10.0.2.1", IPPROTO_TCP, 443, false },
		{ "10.0.3.1", OUTSIDE, IPPROTO_TCP, 443, false },
		{ "10.0.3.2", "10.0.3.1", IPPROTO_TCP, 443, false },
		{ "10.0.3.2", "10.0.3.3", IPPROTO_TCP, 443, true },
		{ "10.0.4.1", "198.51.100.1", IPPROTO_TCP, 443, true },
		{ "10.0.4.1", "198.51.100.65", IPPROTO_TCP, 443, false },
		{ "10.0.4.1", "203.0.113.1", IPPROTO_TCP, 443, false },
		{ "10.0.4.2", "203.0.113.1", IPPROTO_TCP, 80, true },
		{ "10.0.4.2", "192.168.1.1", IPPROTO_TCP, 80, false },
		{ "10.0.4.2", "10.0.5.2", IPPROTO_TCP, 80, false },
		{ "10.0.5.1", "10.0.5.3", IPPROTO_TCP, 8080, true },
		{ "10.0.5.2", "10.0.5.3", IPPROTO_TCP, 8080, false },
		{ "10.0.6.1", "10.0.5.3", IPPROTO_TCP, 9100, true },
		{ "10.0.6.1", "10.0.5.3", IPPROTO_TCP, 8080, false },
		{ OUTSIDE, "10.0.7.1", IPPROTO_UDP, 10000, true },
		{ OUTSIDE, "10.0.7.1", IPPROTO_UDP, 20001, false },
		{ OUTSIDE, "10.0.7.1", IPPROTO_TCP, 10000, false },
		{ OUTSIDE, "10.0.8.1", IPPROTO_TCP, 6379, true }, /* in audit */
	};
	struct loaded l = load(EXAMPLES);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(pods); i++)
		add_pod(l.w, pods[i].ns, pods[i].label, pods[i].value, pods[i].addr);
	check(l.w, t, BH_ARRAY_LEN(t));
	bh_world_free(&l.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_example_is_valid_without_a_warning),
		cmocka_unit_test(the_shop_is_closed_except_for_what_it_needs),
		cmocka_unit_test(the_shop_is_open_before_its_policies),
		cmocka_unit_test(the_other_examples_do_what_they_say),
	};

	return cmocka_run_group_tests_name("examples", tests, NULL, NULL);
}
