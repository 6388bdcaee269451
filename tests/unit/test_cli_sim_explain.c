/*
 * `bulkhead sim explain`
 */
#include "cli_run.h"

static const char shop_yaml[] =
	"apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\n"
	"---\n"
	"apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop, labels: {app: db}}\n"
	"spec: {containers: [{name: db, ports: [{name: sql, containerPort: 5432}]}]}\n"
	"---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: sql, namespace: shop}\n"
	"spec: {selector: {app: db}, ports: [{port: 3306, targetPort: sql}]}\n"
	"---\n"
	"apiVersion: networking.k8s.io/v1\n"
	"kind: NetworkPolicy\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec:\n"
	"  podSelector: {matchLabels: {app: db}}\n"
	"  ingress:\n"
	"  - from: [{podSelector: {matchLabels: {app: api}}}]\n"
	"  - from: [{podSelector: {matchLabels: {app: web}}}]\n"
	"    ports: [{port: sql}, {port: 9000, endPort: 9010}]\n"
	"---\n"
	"apiVersion: networking.k8s.io/v1\n"
	"kind: NetworkPolicy\n"
	"metadata: {name: trial, namespace: shop, annotations: {bulkhead.dev/mode: audit}}\n"
	"spec: {podSelector: {}, policyTypes: [Egress]}\n"
	"---\n"
	"apiVersion: networking.k8s.io/v1\n"
	"kind: NetworkPolicy\n"
	"metadata: {name: web, namespace: shop}\n"
	"spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}\n";

#define EXPLAIN(t, ...) cli_run_with((t), shop_yaml, CLI_ARGS("sim", "explain", __VA_ARGS__, "-"))

static void what_matched_is_quoted_with_its_line(void **state)
{
	struct cli_test *t = *state;

	EXPLAIN(t, "shop/web", "shop/db", "5432");
	assert_status(t, 0);
	assert_string_equal(
		bh_buf_str(&t->out),
		"allowed: pod shop/web to pod shop/db, TCP 5432\n"
		"egress: allowed, no policy isolates pod shop/web\n"
		"  NetworkPolicy shop/trial (stdin:25), in audit: isolates it and has no rules\n"
		"  select it, but not for egress: NetworkPolicy shop/web\n"
		"  do not select it: NetworkPolicy shop/db\n"
		"  audit: would be denied by NetworkPolicy shop/trial (stdin:25)\n"
		"ingress: allowed by NetworkPolicy shop/db ingress rule 1 (stdin:22)\n"
		"  NetworkPolicy shop/db (stdin:15): rule 1 (stdin:22) allows it\n"
		"  select it, but not for ingress: NetworkPolicy shop/trial\n"
		"  do not select it: NetworkPolicy shop/web\n");
}

static void what_came_nearest_is_quoted_with_what_it_missed(void **state)
{
	struct cli_test *t = *state;

	EXPLAIN(t, "shop/web", "shop/db", "5433");
	assert_status(t, 0);
	assert_out(t, "denied: pod shop/web to pod shop/db, TCP 5433\n");
	assert_out(t, "  NetworkPolicy shop/db (stdin:15): isolates it, no rule matches\n"
		      "    nearest: rule 1 (stdin:22), but it allows another port\n"
		      "    then: rule 0 (stdin:21), but its podSelector wants app=api, the pod has "
		      "app=web\n");
}

static void without_a_port_everything_that_is_allowed_is_listed(void **state)
{
	struct cli_test *t = *state;

	EXPLAIN(t, "shop/web", "shop/db");
	assert_status(t, 0);
	assert_string_equal(
		bh_buf_str(&t->out),
		"shop/web to shop/db\n"
		"allowed: TCP 5432,9000-9010\n"
		"of these denied if audit were enforced: TCP 5432,9000-9010\n"
		"egress:\n"
		"  All Connections: allowed, no policy isolates pod shop/web\n"
		"ingress:\n"
		"  TCP 5432,9000-9010: allowed by NetworkPolicy shop/db ingress rule 1 (stdin:22)\n"
		"  all else: denied, pod shop/db is isolated by NetworkPolicy shop/db (stdin:15), "
		"which does not allow it\n");
}

static void json_says_the_same(void **state)
{
	struct cli_test *t = *state;
	const char *verdict, *name, *mode, *why, *allowed, *connections;
	int port, line, is_selecting, rule_line;
	json_t *json;

	EXPLAIN(t, "shop/web", "shop/db", "5433", "-o", "json");
	assert_status(t, 0);
	json = json_loads(bh_buf_str(&t->out), 0, NULL);
	assert_int_equal(
		json_unpack(json,
			    "{s:i, s:s, s:{s:[*], s:[{s:s, s:i, s:s, s:b, s:[{s:s, s:i}*]}*]}}",
			    "port", &port, "verdict", &verdict, "policies", "egress", "ingress",
			    "name", &name, "line", &line, "mode", &mode, "selects", &is_selecting,
			    "nearest_miss", "why", &why, "line", &rule_line),
		0);
	assert_int_equal(port, 5433);
	assert_string_equal(verdict, "denied");
	assert_string_equal(name, "db");
	assert_int_equal(line, 15);
	assert_string_equal(mode, "enforce");
	assert_true(is_selecting);
	assert_string_equal(why, "port");
	assert_int_equal(rule_line, 22);
	json_decref(json);

	EXPLAIN(t, "shop/web", "shop/db", "-o", "json");
	json = json_loads(bh_buf_str(&t->out), 0, NULL);
	assert_int_equal(json_unpack(json, "{s:s, s:[{s:s}*]}", "allowed", &allowed, "egress",
				     "connections", &connections),
			 0);
	assert_string_equal(allowed, "TCP 5432,9000-9010");
	assert_string_equal(connections, "All Connections");
	json_decref(json);
}

static void a_service_is_explained_for_each_of_its_pods(void **state)
{
	struct cli_test *t = *state;

	EXPLAIN(t, "shop/web", "shop/sql", "3306");
	assert_status(t, 0);
	assert_out(t, "allowed: pod shop/web to pod shop/db, TCP 5432\n");
	EXPLAIN(t, "shop/web", "shop/sql", "3306", "-o", "json");
	assert_status(t, 0);
	assert_out(t, "\"service\": \"shop/sql\"");
	assert_out(t, "\"policies\"");
	EXPLAIN(t, "shop/web", "shop/sql");
	assert_status(t, 4);
	assert_error(t, "shop/sql is a Service; ask with one of its ports, or a pod");
}

static void what_cannot_be_explained_is_an_error(void **state)
{
	struct cli_test *t = *state;

	EXPLAIN(t, "shop/webb", "shop/db");
	assert_status(t, 4);
	assert_error(t, "is shop/web meant?");
	cli_run(t, "sim", "explain", "shop/web", "shop/db");
	assert_status(t, 4);
	cli_run(t, "sim", "explain", "shop/web", "shop/db", "80");
	assert_status(t, 4);
	assert_error(t, "needs DIR|FILE|-...");
	cli_run(t, "sim", "explain", "shop/web", "shop/db", "/nonexistent");
	assert_status(t, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(what_matched_is_quoted_with_its_line),
		CLI_TEST(what_came_nearest_is_quoted_with_what_it_missed),
		CLI_TEST(without_a_port_everything_that_is_allowed_is_listed),
		CLI_TEST(json_says_the_same),
		CLI_TEST(a_service_is_explained_for_each_of_its_pods),
		CLI_TEST(what_cannot_be_explained_is_an_error),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_sim_explain", tests, NULL, NULL);
}
