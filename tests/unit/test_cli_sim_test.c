/*
 * `bulkhead sim test` and `sim lint`: formats and exit status.
 */
#include "cli_run.h"

#define SHOP  "policy/examples/shop"
#define PODS  "policy/examples/worlds"
#define FLOWS "policy/examples/flows/shop.yaml"
#define HEAD  "{apiVersion: bulkhead.dev/v1alpha1, kind: Assertions, namespace: shop, flows: ["
#define BROKEN                                                                                     \
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}, spec: "      \
	"{podSelector: {}, ingress: [{ports: [{port: 0}]}]}}"

static const char *write_file(struct cli_test *t, const char *text)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/input.yaml", t->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void the_shops_flows_are_as_they_must_be(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "sim", "test", FLOWS, SHOP, PODS);
	assert_status(t, 0);
	assert_out(t, "everybody may visit: 198.51.100.9 -> shop/web 8080/TCP allowed\n");
	assert_out(t, "23 passed, 0 failed");
}

static void a_failure_says_what_decides_in_every_format(void **state)
{
	static const struct {
		const char *format, *parts[3];
	} rows[] = {
		{ "txt",
		  { "FAILED a <b> # c: shop/web -> shop/db 5432/TCP allowed (/tmp/", "shop/db",
		    "0 passed, 1 failed" } },
		{ "tap", { "TAP version 14\n1..1\nnot ok 1 - a <b> \\# c", "  ---\n", "  ...\n" } },
		{ "junit",
		  { "tests=\"1\" failures=\"1\"", "a &lt;b&gt; # c",
		    "<failure message=\"not allow" } },
		{ "json", { "\"holds\": false", "\"failed\": 1", "shop/db" } },
	};
	struct cli_test *t = *state;
	const char *path;
	size_t i, k;

	path = write_file(t,
			  "apiVersion: bulkhead.dev/v1alpha1\nkind: Assertions\nnamespace: shop\n"
			  "flows:\n- name: 'a <b> # c'\n  from: web\n  to: db\n  port: 5432\n"
			  "  expect: allowed\n");
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		cli_run(t, "sim", "test", "-o", rows[i].format, path, SHOP, PODS);
		assert_status(t, 1);
		for (k = 0; k < BH_ARRAY_LEN(rows[i].parts); k++)
			assert_out(t, rows[i].parts[k]);
	}
	unlink(path);
}

static void assertions_that_cannot_be_read_are_bad_input(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_file(t, HEAD "{name: a}]}");

	cli_run(t, "sim", "test", path, SHOP, PODS);
	assert_status(t, 3);
	assert_error(t, "input.yaml:1: from is missing");
	unlink(path);
}

static void without_manifests_there_is_nothing_to_test(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "sim", "test", FLOWS);
	assert_status(t, 4);
	assert_error(t, "sim test needs");
}

static void every_folder_of_examples_does_what_its_flows_say(void **state)
{
	static const struct {
		const char *folder, *flows, *last;
	} rows[] = {
		{ "policy/examples/boutique", "policy/examples/flows/boutique.yaml", "30 passed" },
		{ "policy/examples/library", "policy/examples/flows/library.yaml", "19 passed" },
		{ "policy/examples/tiers", "policy/examples/flows/tiers.yaml", "11 passed" },
	};
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		cli_run(t, "sim", "test", rows[i].flows, rows[i].folder);
		assert_status(t, 0);
		assert_out(t, rows[i].last);
		cli_run(t, "sim", "lint", "--fail-on", "warning", rows[i].folder);
		assert_status(t, 0);
	}
}

static void lint_quotes_the_line_and_fails_as_told(void **state)
{
	static const struct {
		const char *fail_on;
		int status;
	} rows[] = { { "error", 0 }, { "warning", 1 }, { "info", 1 }, { "none", 0 } };
	const char *policy = "policy/examples/three-tier.yaml";
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		cli_run(t, "sim", "lint", "--fail-on", rows[i].fail_on, policy, PODS);
		assert_status(t, rows[i].status);
		assert_out(t, "policy/examples/three-tier.yaml:3: warning: NetworkPolicy "
			      "three-tier/front: no Namespace");
		assert_out(t, "     3 | apiVersion: networking.k8s.io/v1\n");
		assert_out(t, "       = fix: ");
		assert_out(t, "0 errors, 3 warnings");
	}
}

static void an_invalid_policy_is_a_finding_and_not_bad_input(void **state)
{
	struct cli_test *t = *state;

	cli_run_with(t, BROKEN, CLI_ARGS("sim", "lint", "-"));
	assert_status(t, 1);
	assert_out(t, "stdin:1: error: NetworkPolicy default/a: spec.ingress[0].ports[0].port: ");
	assert_out(t, "[invalid-object]");
	cli_run_with(t, BROKEN, CLI_ARGS("sim", "lint", "--ignore", "invalid-object", "-"));
	assert_status(t, 0);
}

static void lint_speaks_every_format(void **state)
{
	static const struct {
		const char *format, *part;
	} rows[] = {
		{ "json", "\"check\": \"invalid-object\"" },
		{ "md", "| error | invalid-object | stdin:1 | NetworkPolicy default/a | " },
		{ "sarif", "\"ruleId\": \"invalid-object\"" },
	};
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		cli_run_with(t, BROKEN, CLI_ARGS("sim", "lint", "-o", rows[i].format, "-"));
		assert_status(t, 1);
		assert_out(t, rows[i].part);
	}
}

static void an_unknown_check_is_wrong_usage(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "sim", "lint", "--only", "nothing", SHOP);
	assert_status(t, 4);
	assert_error(t, "there is no check 'nothing'; --list-checks lists them");
	cli_run(t, "sim", "lint", "--list-checks");
	assert_status(t, 0);
	assert_out(t, "selects-no-pod");
}

/* Policies to copy must not be the first that lint complains about. */
static void lint_finds_nothing_wrong_with_the_shop(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "sim", "lint", "--fail-on", "warning", SHOP, PODS);
	assert_status(t, 0);
	assert_out(t, "0 errors, 0 warnings");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_shops_flows_are_as_they_must_be),
		CLI_TEST(every_folder_of_examples_does_what_its_flows_say),
		CLI_TEST(a_failure_says_what_decides_in_every_format),
		CLI_TEST(assertions_that_cannot_be_read_are_bad_input),
		CLI_TEST(without_manifests_there_is_nothing_to_test),
		CLI_TEST(lint_quotes_the_line_and_fails_as_told),
		CLI_TEST(an_invalid_policy_is_a_finding_and_not_bad_input),
		CLI_TEST(lint_speaks_every_format),
		CLI_TEST(an_unknown_check_is_wrong_usage),
		CLI_TEST(lint_finds_nothing_wrong_with_the_shop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
