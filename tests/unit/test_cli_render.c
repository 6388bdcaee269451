/*
 * `bulkhead render`
 */
#include "cli_run.h"

#include <sched.h>

static const char web_yaml[] = "apiVersion: v1\n"
			       "kind: Pod\n"
			       "metadata: {name: web, namespace: shop, labels: {app: web}}\n"
			       "status: {podIPs: [{ip: 10.0.0.10}, {ip: 'fd00::10'}]}\n"
			       "---\n"
			       "apiVersion: networking.k8s.io/v1\n"
			       "kind: NetworkPolicy\n"
			       "metadata: {name: web, namespace: shop}\n"
			       "spec:\n"
			       "  podSelector: {matchLabels: {app: web}}\n"
			       "  ingress:\n"
			       "  - from: [{ipBlock: {cidr: 192.0.2.0/24}}]\n"
			       "    ports: [{port: 8080}]\n";

static const char *write_file(const struct cli_test *t, const char *name, const char *text)
{
	static char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", t->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static void the_agents_ruleset_is_printed_as_it_is(void **state)
{
	struct cli_test *t = *state;

	json_array_append_new(t->answers, json_pack("{s:s}", "nft", "table inet bulkhead {\n}\n"));
	cli_run(t, "render");
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->out), "table inet bulkhead {\n}\n");
}

static void manifests_are_rendered_without_an_agent(void **state)
{
	static const char *const want[] = { "table inet bulkhead", "10.0.0.10", "fd00::10",
					    "192.0.2.0/24",        "8080",      "group 180" };
	struct cli_test *t = *state;
	const char *path = write_file(t, "web.yaml", web_yaml);
	size_t i;

	cli_run(t, "render", "--policies", path);
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->err), "");
	for (i = 0; i < BH_ARRAY_LEN(want); i++)
		assert_out(t, want[i]);
	assert_int_equal(t->n_calls, 0);
	unlink(path);
}

static void options_mean_what_they_mean_to_the_agent(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_file(t, "web.yaml", web_yaml);

	cli_run(t, "render", "--policies", path, "--nflog-group", "7");
	assert_out(t, "group 7");
	cli_run(t, "render", "--policies", path, "--mode", "audit");
	assert_out(t, "bh:a:");
	assert_not_out(t, "bh:d:");
	/* Of the policy alone, nobody is isolated on egress. */
	cli_run(t, "render", "--policies", path);
	assert_not_out(t, "chain eg_");
	cli_run(t, "render", "--policies", path, "--default-deny", "egress");
	assert_out(t, "chain eg_");
	cli_run(t, "render", "--policies", path, "--default-deny", "egress", "--exempt-namespace",
		"shop");
	assert_not_out(t, "chain eg_");
	unlink(path);
}

static void several_folders_are_one_world(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *web = bh_strdup(write_file(t, "web.yaml", web_yaml));
	const char *api = write_file(t, "api.yaml",
				     "apiVersion: v1\n"
				     "kind: Pod\n"
				     "metadata: {name: api, namespace: shop, labels: {app: web}}\n"
				     "status: {podIPs: [{ip: 10.0.0.11}]}\n");

	cli_run(t, "render", "--policies", web, "--policies", api);
	assert_status(t, 0);
	assert_out(t, "10.0.0.10");
	assert_out(t, "10.0.0.11");
	unlink(web);
	unlink(api);
}

static void what_is_printed_loads_with_nft(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_file(t, "web.yaml", web_yaml);
	FILE *nft;

	cli_run(t, "render", "--policies", path, "--default-deny", "both");
	assert_status(t, 0);
	unlink(path);
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: needs root and network namespaces\n");
		skip();
	}
	nft = popen("nft -f -", "w");
	assert_non_null(nft);
	fwrite(bh_buf_str(&t->out), 1, t->out.len, nft);
	assert_int_equal(pclose(nft), 0);
}

static void a_problem_is_named_and_is_exit_4(void **state)
{
	struct cli_test *t = *state;
	const char *path = write_file(t, "bad.yaml", "kind: [\n");

	cli_run(t, "render", "--policies", path);
	assert_status(t, 4);
	assert_error(t, "bad.yaml");
	unlink(path);
	cli_run(t, "render", "--policies", "/nonexistent");
	assert_status(t, 4);
	assert_error(t, "/nonexistent");
	assert_string_equal(bh_buf_str(&t->out), "");
}

static void wrong_values_are_refused(void **state)
{
	static const struct {
		const char *args[6];
		const char *want;
	} t[] = {
		{ { "render", "--mode", "audit" }, "--mode is for --policies" },
		{ { "render", "--mode", "loud" }, "one of enforce|audit, not 'loud'" },
		{ { "render", "--default-deny", "all" }, "one of ingress|egress|both|none" },
		{ { "render", "--policies", ".", "--nflog-group", "65536" }, "within 0-65535" },
		{ { "render", "--policies", ".", "--nflog-group", "x" }, "'x' is not a number" },
		{ { "render", "--policies", ".", "--log-rate", "-1" }, "'-1' is not a number" },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run_with(test, "", t[i].args);
		assert_status(test, 2);
		assert_error(test, t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_agents_ruleset_is_printed_as_it_is),
		CLI_TEST(manifests_are_rendered_without_an_agent),
		CLI_TEST(options_mean_what_they_mean_to_the_agent),
		CLI_TEST(several_folders_are_one_world),
		CLI_TEST(what_is_printed_loads_with_nft),
		CLI_TEST(a_problem_is_named_and_is_exit_4),
		CLI_TEST(wrong_values_are_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_render", tests, NULL, NULL);
}
