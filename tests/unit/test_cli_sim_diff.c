/*
 * `bulkhead sim diff`
 */
#include "cli_run.h"

#define POD                                                                                        \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web}}\n"               \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: "      \
	"shop, name: web}, spec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: ["

static const char few[] = POD "{ports: [{port: 80}]}]}}\n";
static const char many[] = POD "{ports: [{port: 80}, {port: 81}]}]}}\n";

static const char *write_to(const struct cli_test *t, const char *name, const char *text)
{
	char *path = bh_asprintf("%s/%s", t->dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void exit_status_says_whether_something_changed(void **state)
{
	static const struct {
		bool is_loss; /* from many to few */
		const char *fail_on;
		int status;
	} rows[] = {
		{ false, NULL, 1 },      { false, "any", 1 }, { false, "added", 1 },
		{ false, "removed", 0 }, { true, NULL, 1 },   { true, "added", 0 },
		{ true, "removed", 1 },
	};
	struct cli_test *t = *state;
	const char *a = write_to(t, "few.yaml", few), *b = write_to(t, "many.yaml", many);
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		const char *old = rows[i].is_loss ? b : a, *new = rows[i].is_loss ? a : b;

		if (rows[i].fail_on)
			cli_run(t, "sim", "diff", "--fail-on", rows[i].fail_on, old, new);
		else
			cli_run(t, "sim", "diff", old, new);
		assert_int_equal(t->status, rows[i].status);
		assert_contains(bh_buf_str(&t->out), rows[i].is_loss ? "TCP 80-81, now TCP 80\n"
								     : "TCP 80, now TCP 80-81\n");
	}
	cli_run(t, "sim", "diff", a, a);
	assert_int_equal(t->status, 0);
	cli_run(t, "sim", "diff", a, "/nowhere");
	assert_int_equal(t->status, 3);
	assert_string_equal(bh_buf_str(&t->out), "");
	unlink(a);
	unlink(b);
	free((char *)(uintptr_t)a);
	free((char *)(uintptr_t)b);
}

static void compat_writes_as_netpol_analyzer(void **state)
{
	struct cli_test *t = *state;
	const char *a = write_to(t, "few.yaml", few), *b = write_to(t, "many.yaml", many);

	cli_run(t, "sim", "diff", "--compat", "netpol-analyzer", a, b);
	assert_string_equal(bh_buf_str(&t->out),
			    "Connectivity diff:\n"
			    "diff-type: changed, source: 0.0.0.0-255.255.255.255[External], "
			    "destination: shop/web[Pod], dir1: TCP 80, dir2: TCP 80-81\n");
	unlink(a);
	unlink(b);
	free((char *)(uintptr_t)a);
	free((char *)(uintptr_t)b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(exit_status_says_whether_something_changed,
						cli_setup, cli_teardown),
		cmocka_unit_test_setup_teardown(compat_writes_as_netpol_analyzer, cli_setup,
						cli_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
