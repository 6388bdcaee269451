/*
 * Exposure: what it says of pods to come and of the internet is what the engine
 * says once they are there.
 */
#include "test.h"

#include <netinet/in.h>

#include "sim_objects.h"
#include "sim_text.h"

#define WEB_AND_DB                                                                                 \
	NS("shop", "")                                                                             \
	POD("shop", "web", "app: web", PORT("http", "8080"))                                       \
	POD("shop", "db", "app: db", "")

#define FROM_WEB "ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1}]}]"
#define FROM_OPS                                                                                   \
	"ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}, podSelector: "          \
	"{matchExpressions: [{key: app, operator: In, values: [probe, prom]}]}}], ports: "         \
	"[{port: http}, {port: 5000, endPort: 6000, protocol: UDP}]}]"
#define FROM_ANYBODY_BUT                                                                           \
	"ingress: [{from: [{namespaceSelector: {}, podSelector: {matchExpressions: [{key: "        \
	"bad, operator: DoesNotExist}]}}]}]"
#define FROM_NAMESPACES_BUT_E                                                                      \
	"ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}}, {namespaceSelector: "    \
	"{matchLabels: {team: b}}}, {namespaceSelector: {matchLabels: {team: c}}}, "               \
	"{namespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a, b, c, "  \
	"e]}]}}], ports: [{port: 1}]}]"
#define FROM_INTERNET                                                                              \
	"ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}], ports: [{port: "   \
	"443}]}]"
#define FROM_PARTNER                                                                               \
	"ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25]}}]}]"

static const struct bh_exposure *find(const struct bh_exposures *e, const char *name,
				      enum bh_dir dir)
{
	const struct bh_exposure *items;
	size_t n = bh_exposures_items(e, &items), i;

	for (i = 0; i < n; i++)
		if (strcmp(items[i].workload->name, name) == 0 && items[i].dir == dir)
			return &items[i];
	fail_msg("no workload %s", name);
	return NULL;
}

static const struct bh_conns *conns_of(const struct bh_exposure *e, const char *whom)
{
	size_t i;

	if (strcmp(whom, "internet") == 0)
		return e->internet;
	if (strcmp(whom, "cluster") == 0)
		return e->cluster;
	for (i = 0; i < e->n_peers; i++)
		if (strcmp(e->peers[i].label, whom) == 0)
			return e->peers[i].conns;
	fail_msg("nothing about %s", whom);
	return NULL;
}

/* What the engine says of that end and the web server's ingress. */
static bool is_allowed(const struct bh_sim *sim, const char *src, uint8_t protocol, uint16_t port)
{
	const struct bh_sim_query q = {
		.src = src, .dst = "shop/web", .protocol = protocol, .port = port
	};
	struct bh_sim_answers a;
	struct bh_err err = { 0 };
	bool ret;

	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	ret = a.items[0].result.dir[BH_INGRESS].verdict == BH_VERDICT_ALLOWED;
	bh_sim_answers_done(&a);
	return ret;
}

static void what_it_says_is_so_once_they_are_there(void **state)
{
	static const struct {
		const char *policy, *whom, *more, *src;
	} rows[] = {
		{ FROM_WEB, "pods with app=web in namespace shop",
		  POD("shop", "new", "app: web", ""), "shop/new" },
		{ FROM_WEB, "cluster", POD("new", "new", "", ""), "new/new" },
		{ FROM_OPS, "pods with app in (probe,prom) in namespaces with team=ops",
		  NS("new", "team: ops") POD("new", "new", "app: prom", ""), "new/new" },
		{ FROM_OPS, "pods with app in (probe,prom) in namespaces with team=ops",
		  NS("new", "team: ops") POD("new", "new", "app: probe", ""), "new/new" },
		{ FROM_ANYBODY_BUT, "pods with !bad in all namespaces", POD("new", "new", "", ""),
		  "new/new" },
		/* One value of many. */
		{ FROM_NAMESPACES_BUT_E, "cluster", NS("new", "team: e") POD("new", "new", "", ""),
		  "new/new" },
		/* Not everybody: who is bad is not let in. */
		{ FROM_ANYBODY_BUT, "cluster", POD("new", "new", "bad: x", ""), "new/new" },
		{ FROM_INTERNET, "internet", "", "8.8.8.8" },
		{ FROM_INTERNET, "cluster", POD_AT("new", "new", "", "{ip: 10.1.1.1}"), "new/new" },
		{ FROM_PARTNER, "internet", "", "8.8.8.8" },
		{ FROM_PARTNER, "addresses 203.0.113.0/24 except 203.0.113.0/25", "",
		  "203.0.113.200" },
		{ "ingress: [{}]", "cluster", POD("new", "new", "", ""), "new/new" },
		{ "ingress: [{}]", "internet", "", "2001:470::1" },
		{ "ingress: []", "cluster", POD("new", "new", "", ""), "new/new" },
		{ "ingress: []", "internet", "", "2001:470::1" },
	};
	static const uint16_t ports[] = { 1, 2, 443, 4999, 5000, 6000, 6001, 8080, 8081, 65535 };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	size_t i, k, m;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		char *policy = bh_asprintf(
			POLICY("shop", "p", "podSelector: {matchLabels: {app: web}}, %s"),
			rows[i].policy);
		char *text = bh_asprintf("%s%s", WEB_AND_DB, policy);
		char *more = bh_asprintf("%s%s", text, rows[i].more);
		struct bh_sim *now = sim_text(text), *then = sim_text(more);
		struct bh_exposures *e = NULL;
		const struct bh_conns *c;

		e = bh_exposures_new(now);
		c = conns_of(find(e, "web", BH_INGRESS), rows[i].whom);
		for (k = 0; k < BH_ARRAY_LEN(ports); k++)
			for (m = 0; m < BH_ARRAY_LEN(protocols); m++)
				if (bh_conns_has(c, protocols[m], ports[k]) !=
				    is_allowed(then, rows[i].src, protocols[m], ports[k]))
					fail_msg("row %zu: %u/%u is %s", i, ports[k], protocols[m],
						 bh_conns_has(c, protocols[m], ports[k])
							 ? "said to be allowed"
							 : "said to be denied");
		bh_exposures_free(&e);
		bh_sim_free(&now);
		bh_sim_free(&then);
		free(policy);
		free(text);
		free(more);
	}
}

static void who_is_not_protected_is_open_to_everybody(void **state)
{
	struct bh_sim *sim =
		sim_text(WEB_AND_DB POD("shop", "net", "app: net", "hostNetwork: true")
				 POLICY("shop", "p", "podSelector: {matchLabels: {app: web}}"));
	struct bh_exposures *e = NULL;

	(void)state;
	e = bh_exposures_new(sim);
	assert_true(find(e, "web", BH_INGRESS)->is_protected);
	assert_false(find(e, "web", BH_EGRESS)->is_protected);
	assert_false(find(e, "db", BH_INGRESS)->is_protected);
	assert_true(bh_conns_is_all(find(e, "db", BH_INGRESS)->internet));
	assert_true(bh_conns_is_all(find(e, "db", BH_INGRESS)->cluster));
	assert_false(find(e, "db", BH_INGRESS)->is_host_network);
	assert_true(find(e, "net", BH_INGRESS)->is_host_network);
	bh_exposures_free(&e);
	bh_sim_free(&sim);
}

static void a_block_that_begins_with_the_pod_itself_is_about_others(void **state)
{
	bh_auto(bh_sim_free) struct bh_sim *sim =
		sim_text(POD_AT("shop", "web", "app: web", "{ip: 10.0.0.4}") POLICY(
			"shop", "p",
			"podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.4/30}}], "
			"ports: [{port: 1}]}]"));
	bh_auto(bh_exposures_free) struct bh_exposures *e = bh_exposures_new(sim);
	bh_auto(bh_buf_done) struct bh_buf conns = { 0 };

	(void)state;
	bh_conns_format(conns_of(find(e, "web", BH_INGRESS), "addresses 10.0.0.4/30"), true,
			&conns);
	assert_string_equal(bh_buf_str(&conns), "TCP 1");
}

static void an_address_of_a_pod_has_the_ports_of_the_pod(void **state)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = sim_text(
		"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db, labels: "
		"{app: db}}, spec: {" PORT(
			"pg", "5432") "}, status: {podIPs: [{ip: 10.0.0.4}]}}\n" POD("shop", "web",
										     "app: web", "")
			POLICY("shop", "p",
			       "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], "
			       "egress: "
			       "[{to: [{podSelector: {}}], ports: [{port: pg}]}, {to: [{ipBlock: "
			       "{cidr: "
			       "10.0.0.4/32}}], ports: [{port: 443}]}]"));
	bh_auto(bh_exposures_free) struct bh_exposures *e = bh_exposures_new(sim);
	bh_auto(bh_buf_done) struct bh_buf conns = { 0 };

	(void)state;
	bh_conns_format(conns_of(find(e, "web", BH_EGRESS), "addresses 10.0.0.4/32"), true, &conns);
	assert_string_equal(bh_buf_str(&conns), "TCP 443,5432");
}

static void a_default_deny_in_audit_closes_nobody(void **state)
{
	struct bh_sim_config config = { .world.default_deny = { true, true } };
	enum bh_mode mode;

	(void)state;
	for (mode = 0; mode < BH_MODE_COUNT_; mode++) {
		bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
		bh_auto(bh_exposures_free) struct bh_exposures *e = NULL;

		config.world.mode = mode;
		sim = sim_text_with(&config, WEB_AND_DB);
		e = bh_exposures_new(sim);
		assert_int_equal(find(e, "web", BH_INGRESS)->is_protected, mode == BH_ENFORCE);
		assert_int_equal(bh_conns_is_all(find(e, "web", BH_INGRESS)->internet),
				 mode == BH_AUDIT);
	}
}

static void what_everybody_may_is_not_said_again_of_somebody(void **state)
{
	struct bh_sim *sim = sim_text(WEB_AND_DB POLICY(
		"shop", "p",
		"podSelector: {}, ingress: [{ports: [{port: 1}]}, {from: [{podSelector: {}}], "
		"ports: [{port: 1}]}]"));
	struct bh_exposures *e = NULL;

	(void)state;
	e = bh_exposures_new(sim);
	assert_int_equal(find(e, "web", BH_INGRESS)->n_peers, 0);
	assert_true(bh_conns_has(find(e, "web", BH_INGRESS)->cluster, IPPROTO_TCP, 1));
	bh_exposures_free(&e);
	bh_sim_free(&sim);
}

static void a_name_in_egress_is_the_numbers_that_pods_have_it_at(void **state)
{
#define TO(peers)                                                                                  \
	POLICY("shop", "p",                                                                        \
	       "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{" peers   \
	       "ports: [{port: pg}]}]")
#define DBS                                                                                        \
	POD("shop", "db-0", "app: db", PORT("pg", "5432"))                                         \
	POD("shop", "db-1", "app: db", PORT("pg", "5433"))                                         \
	POD("shop", "other", "app: other", PORT("pg", "1"))                                        \
	POD("shop", "web", "app: web", PORT("http", "8080"))
	static const struct {
		const char *policy, *whom, *conns;
	} rows[] = {
		{ TO("to: [{podSelector: {matchLabels: {app: db}}}], "),
		  "pods with app=db in namespace shop", "TCP 5432-5433" },
		/* Not every pod has the name. */
		{ TO("to: [{namespaceSelector: {}}], "), "cluster", "No Connections" },
		{ TO("to: [{namespaceSelector: {}}], "), "all pods in all namespaces",
		  "TCP 1,5432-5433" },
		{ TO(""), "cluster", "No Connections" },
		{ TO(""), "all pods in all namespaces", "TCP 1,5432-5433" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto_free char *text = bh_asprintf("%s%s", DBS, rows[i].policy);
		bh_auto(bh_sim_free) struct bh_sim *sim = sim_text(text);
		bh_auto(bh_exposures_free) struct bh_exposures *e = bh_exposures_new(sim);
		bh_auto(bh_buf_done) struct bh_buf conns = { 0 };

		bh_conns_format(conns_of(find(e, "web", BH_EGRESS), rows[i].whom), true, &conns);
		assert_string_equal(bh_buf_str(&conns), rows[i].conns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says_is_so_once_they_are_there),
		cmocka_unit_test(who_is_not_protected_is_open_to_everybody),
		cmocka_unit_test(a_block_that_begins_with_the_pod_itself_is_about_others),
		cmocka_unit_test(an_address_of_a_pod_has_the_ports_of_the_pod),
		cmocka_unit_test(a_default_deny_in_audit_closes_nobody),
		cmocka_unit_test(what_everybody_may_is_not_said_again_of_somebody),
		cmocka_unit_test(a_name_in_egress_is_the_numbers_that_pods_have_it_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
