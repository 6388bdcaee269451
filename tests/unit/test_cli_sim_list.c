/*
 * `bulkhead sim list`
 */
#include "cli_run.h"

static const char shop[] =
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web, labels: {app: "
	"web}}}\n"
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db, labels: {app: "
	"db}}}\n"
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: ops, name: probe}}\n"
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop, "
	"name: db}, spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress], "
	"ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}, {port: "
	"80}]}, {from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}}], "
	"ports: [{port: 9187}]}]}}\n";

static const char *write_shop(const struct cli_test *t, const char *text)
{
	static char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/shop.yaml", t->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void what_is_listed_can_be_narrowed(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_shop(t, shop);

	cli_run(t, "sim", "list", "--focus", "shop/db", path);
	assert_int_equal(t->status, 0);
	assert_string_equal(bh_buf_str(&t->out), "ops/probe[Pod] => shop/db[Pod] : TCP 9187\n"
						 "shop/web[Pod] => shop/db[Pod] : TCP 80,5432\n");
	cli_run(t, "sim", "list", "--focus", "web[Pod]", "--direction", "egress", "--conn",
		"tcp/80", path);
	assert_string_equal(bh_buf_str(&t->out),
			    "shop/web[Pod] => 0.0.0.0-255.255.255.255[External] : TCP 80\n"
			    "shop/web[Pod] => ops/probe[Pod] : TCP 80\n"
			    "shop/web[Pod] => shop/db[Pod] : TCP 80\n");
	cli_run(t, "sim", "list", "-l", "app=db", "-n", "shop", "--conn", "9187/TCP", path);
	assert_string_equal(bh_buf_str(&t->out), "ops/probe[Pod] => shop/db[Pod] : TCP 9187\n");
	cli_run(t, "sim", "list", "--focus", "shop/db", "--conn", "udp", "-o", "json", path);
	assert_string_equal(bh_buf_str(&t->out), "[]\n");
	cli_run(t, "sim", "list", "--compat", "netpol-analyzer", "--conn", "tcp/9187", "-l",
		"app=db", path);
	assert_string_equal(bh_buf_str(&t->out), "Permitted connections on TCP 9187:\n"
						 "ops/probe[Pod] => shop/db[Pod]\n");
	unlink(path);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *option, *value, *text;
	} rows[] = {
		{ "--focus", "shop/nobody", "there is no workload 'shop/nobody'" },
		{ "--direction", "ingress", "give --focus, -n or -l" },
		{ "--conn", "tcp/0", "'tcp/0' is not a connection such as tcp/80" },
		{ "--conn", "http", "'http' is not a connection" },
		{ "--conn", "tcp/90-80", "is not a connection" },
		{ "--conn", "icmp/80", "is not a connection" },
		{ "--conn", "tcp/65536", "is not a connection" },
	};
	struct cli_test *t = *state;
	const char *path = write_shop(t, shop);
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		cli_run(t, "sim", "list", rows[i].option, rows[i].value, path);
		assert_int_equal(t->status, 4);
		assert_string_equal(bh_buf_str(&t->out), "");
		assert_contains(bh_buf_str(&t->err), rows[i].text);
	}
	unlink(path);
}

static void bad_input_is_no_answer(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_shop(t, "apiVersion: v1\nkind: Pod\nmetadata: {}\n");

	cli_run(t, "sim", "list", path);
	assert_int_equal(t->status, 3);
	assert_string_equal(bh_buf_str(&t->out), "");
	cli_run(t, "sim", "list", "--keep-going", path);
	assert_int_equal(t->status, 0);
	assert_contains(bh_buf_str(&t->err), "is left out");
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_listed_can_be_narrowed, cli_setup,
						cli_teardown),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, cli_setup,
						cli_teardown),
		cmocka_unit_test_setup_teardown(bad_input_is_no_answer, cli_setup, cli_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
