#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../src/daemon/config.h"
#include "test.h"

#define MAX_ARGS 16

/* Arguments are separated by blanks. */
static int parse(const char *line, struct bh_config *ret, struct bh_err *err)
{
	bh_auto_free char *copy = bh_strdup(line);
	char *argv[MAX_ARGS] = { (char[]){ "bulkheadd" } };
	char *save = NULL;
	int argc = 1;

	for (char *a = strtok_r(copy, " ", &save); a; a = strtok_r(NULL, " ", &save)) {
		assert_true(argc < MAX_ARGS - 1);
		argv[argc++] = a;
	}
	return bh_config_parse(argc, argv, ret, err);
}

/* Writes @yaml to a file and parses "--config FILE @flags". */
static int parse_file(const char *yaml, size_t len, const char *flags, struct bh_config *ret,
		      struct bh_err *err)
{
	char path[] = "/tmp/test_config.XXXXXX";
	bh_auto_free char *line = NULL;
	int fd = mkstemp(path), r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, yaml, len), (ssize_t)len);
	close(fd);
	line = bh_asprintf("--config %s %s", path, flags);
	r = parse(line, ret, err);
	unlink(path);
	return r;
}

static void defaults_are_enforce_no_default_deny_and_kube_system_exempt(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--policies /p", &c, &err), &err);
	assert_int_equal(c.action, BH_CONFIG_RUN);
	assert_string_equal(c.policies, "/p");
	assert_int_equal(c.mode, BH_ENFORCE);
	assert_false(c.default_deny[BH_INGRESS] || c.default_deny[BH_EGRESS]);
	assert_int_equal(c.n_exempt_namespaces, 1);
	assert_string_equal(c.exempt_namespaces[0], "kube-system");
	assert_string_equal(c.control, "/run/bulkhead/control.sock");
	assert_null(c.metrics);
	assert_null(c.runtime);
	assert_null(c.node);
	assert_non_null(c.node_name);
	assert_null(c.flow_log);
	assert_int_equal(c.nflog_group, 180);
	assert_int_equal(c.log_rate, 100);
	assert_int_equal(c.log_level, BH_LOG_INFO);
	assert_true(c.is_revoking);
	assert_int_equal(c.seccomp, BH_SECCOMP_ERRNO);
}

static void every_option_of_the_command_line_arrives(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--policies=/p --runtime unix:///run/c.sock --node n1 --mode audit "
			"--default-deny both",
			&c, &err),
		  &err);
	assert_string_equal(c.runtime, "unix:///run/c.sock");
	assert_string_equal(c.node, "n1");
	assert_string_equal(c.node_name, "n1");
	assert_int_equal(c.mode, BH_AUDIT);
	assert_true(c.default_deny[BH_INGRESS] && c.default_deny[BH_EGRESS]);
	bh_config_done(&c);

	assert_ok(parse("--policies /p --flow-log - --control /c.sock --metrics unix:/m.sock "
			"--nflog-group 7 --log-rate 0",
			&c, &err),
		  &err);
	assert_string_equal(c.flow_log, "-");
	assert_string_equal(c.control, "/c.sock");
	assert_string_equal(c.metrics, "unix:/m.sock");
	assert_int_equal(c.nflog_group, 7);
	assert_int_equal(c.log_rate, 0);
	bh_config_done(&c);

	assert_ok(parse("--policies /p --log-level debug --revoke no --exempt-namespace a "
			"--exempt-namespace b --seccomp kill --check-config",
			&c, &err),
		  &err);
	assert_int_equal(c.log_level, BH_LOG_DEBUG);
	assert_false(c.is_revoking);
	assert_int_equal(c.seccomp, BH_SECCOMP_KILL);
	assert_int_equal(c.n_exempt_namespaces, 2);
	assert_string_equal(c.exempt_namespaces[1], "b");
	assert_int_equal(c.action, BH_CONFIG_CHECK);
}

static void the_flow_log_is_bounded_as_asked(void **state)
{
	static const struct {
		const char *args;
		uint64_t max_bytes;
		uint32_t keep;
		uint64_t rate;
	} rows[] = {
		{ "", 64u << 20, 3, 1u << 20 },
		{ "--flow-log-max-size 64K --flow-log-keep 0 --flow-log-rate 2M", 64u << 10, 0,
		  2u << 20 },
		{ "--flow-log-max-size 0 --flow-log-rate 0 --flow-log-keep 9", 0, 9, 0 },
		{ "--flow-log-max-size 1G", 1u << 30, 3, 1u << 20 },
	};
	static const char *const wrong[] = {
		"--flow-log-max-size 63K", "--flow-log-rate 1",
		"--flow-log-max-size 10T", "--flow-log-max-size -1",
		"--flow-log-max-size K",   "--flow-log-rate 1.5M",
		"--flow-log-keep -1",      "--flow-log-keep many",
		"--flow-log-rate 1MM",     "--flow-log-max-size 99999999999G"
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_config_done) struct bh_config c = { 0 };
		bh_auto_free char *args = bh_asprintf("--policies /p %s", rows[i].args);
		struct bh_err err = { 0 };

		assert_ok(parse(args, &c, &err), &err);
		assert_int_equal(c.flow_log_max_size, rows[i].max_bytes);
		assert_int_equal(c.flow_log_keep, rows[i].keep);
		assert_int_equal(c.flow_log_rate, rows[i].rate);
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(wrong); i++) {
		bh_auto(bh_config_done) struct bh_config c = { 0 };
		bh_auto_free char *args = bh_asprintf("--policies /p %s", wrong[i]);

		if (parse(args, &c, NULL) >= 0)
			fail_msg("%s is taken", wrong[i]);
	}
}

static void the_api_is_a_source_with_or_without_a_folder(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--policies /p", &c, &err), &err);
	assert_false(bh_config_has_kube(&c));
	assert_false(c.allows_plain_http);
	bh_config_done(&c);

	assert_ok(parse("--kubeconfig /k --kube-context dev --node n1 --state /s "
			"--allow-plain-http yes",
			&c, &err),
		  &err);
	assert_true(bh_config_has_kube(&c));
	assert_null(c.policies);
	assert_string_equal(c.kubeconfig, "/k");
	assert_string_equal(c.kube_context, "dev");
	assert_string_equal(c.state, "/s");
	assert_true(c.allows_plain_http);
	assert_false(c.is_in_cluster);
	bh_config_done(&c);

	assert_ok(parse("--kubeconfig in-cluster --policies /p --node n1", &c, &err), &err);
	assert_true(bh_config_has_kube(&c));
	assert_true(c.is_in_cluster);
	assert_null(c.kubeconfig);
	assert_string_equal(c.policies, "/p");
}

static void one_direction_of_default_deny_leaves_the_other(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--policies /p --default-deny ingress", &c, &err), &err);
	assert_true(c.default_deny[BH_INGRESS]);
	assert_false(c.default_deny[BH_EGRESS]);
}

static void closed_until_known_takes_ranges_and_interfaces(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--policies /p", &c, &err), &err);
	assert_int_equal(c.closed_mode, BH_CLOSED_BY_DENY);
	assert_string_equal(c.cni_config, "/etc/cni/net.d");
	assert_false(bh_closed_is_wanted(&c));
	bh_config_done(&c);

	assert_ok(parse("--policies /p --default-deny egress", &c, &err), &err);
	assert_true(bh_closed_is_wanted(&c));
	bh_config_done(&c);
	assert_ok(parse("--policies /p --default-deny both --closed-until-known off", &c, &err),
		  &err);
	assert_false(bh_closed_is_wanted(&c));
	bh_config_done(&c);

	assert_ok(parse("--policies /p --closed-until-known 10.1.0.0/24 --closed-until-known cni0 "
			"--closed-until-known fd00::/64",
			&c, &err),
		  &err);
	assert_int_equal(c.closed_mode, BH_CLOSED_GIVEN);
	assert_int_equal(c.n_closed_ranges, 2);
	assert_int_equal(c.closed_ranges[1].prefix_len, 64);
	assert_int_equal(c.n_closed_links, 1);
	assert_string_equal(c.closed_links[0], "cni0");
}

static void help_and_version_need_no_policies(void **state)
{
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse("--help", &c, &err), &err);
	assert_int_equal(c.action, BH_CONFIG_HELP);
	bh_config_done(&c);
	assert_ok(parse("--version", &c, &err), &err);
	assert_int_equal(c.action, BH_CONFIG_VERSION);
}

static void wrong_command_lines_name_the_option_and_the_rule(void **state)
{
	static const struct {
		const char *line, *part;
	} t[] = {
		{ "", "'--policies' or '--kubeconfig' is missing" },
		{ "--kubeconfig /k", "'--kubeconfig' needs '--node'" },
		{ "--kubeconfig in-cluster", "'--kubeconfig' needs '--node'" },
		{ "--policies /p --kube-context x", "'--kube-context' needs" },
		{ "--kubeconfig in-cluster --node n --kube-context x", "'--kube-context' needs" },
		{ "--kubeconfig /k --node n --state s", "is not an absolute path" },
		{ "--kubeconfig /k --node n --allow-plain-http maybe", "neither yes nor no" },
		{ "--policies /p --closed-until-known 10.0.0.1/24", "--closed-until-known: " },
		{ "--policies /p --closed-until-known this-is-no-interface", "is none of auto" },
		{ "--policies /p --closed-until-known auto --closed-until-known cni0",
		  "one thing too many" },
		{ "--policies /p --closed-until-known cni0 --closed-until-known off",
		  "one thing too many" },
		{ "--policies /p --cni-config x", "is not an absolute path" },
		{ "--policies", "'--policies' needs a value" },
		{ "--policies /p --no-such", "unknown option '--no-such'" },
		{ "--policies /p -x", "unknown option '-x'" },
		{ "--policies /p extra", "unexpected argument 'extra'" },
		{ "--policies /p --policies /q", "'--policies' is given twice" },
		{ "--policies /p --seccomp on",
		  "--seccomp: 'on' is none of errno, kill, log, off" },
		{ "--policies /p --mode block", "--mode: 'block' is neither enforce nor audit" },
		{ "--policies /p --default-deny all", "--default-deny: 'all' is none of" },
		{ "--policies /p --nflog-group 65536", "65536 is not within 0-65535" },
		{ "--policies /p --nflog-group -1", "'-1' is not a number" },
		{ "--policies /p --log-rate 5x", "'5x' is not a number" },
		{ "--policies /p --log-level loud", "--log-level: 'loud' is none of" },
		{ "--policies /p --revoke maybe", "--revoke: 'maybe' is neither yes nor no" },
		{ "--policies /p --runtime tcp://x", "'tcp://x' is not an endpoint" },
		{ "--policies /p --control rel.sock", "'rel.sock' is not an absolute path" },
		{ "--policies /p --config /no/such/file", "/no/such/file" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_config c = { 0 };
		struct bh_err err = { 0 };

		assert_true(parse(t[i].line, &c, &err) < 0);
		assert_contains(bh_err_text(&err), t[i].part);
		assert_null(c.policies);
	}
}

static void the_file_sets_options_and_the_command_line_wins(void **state)
{
	static const char yaml[] = "# agent\n"
				   "policies: /from-file\n"
				   "mode: audit\n"
				   "log-rate: 5\n"
				   "revoke: false\n"
				   "exempt-namespace: [a, b]\n";
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse_file(yaml, strlen(yaml), "--mode enforce --exempt-namespace z", &c, &err),
		  &err);
	assert_string_equal(c.policies, "/from-file");
	assert_int_equal(c.mode, BH_ENFORCE);
	assert_int_equal(c.log_rate, 5);
	assert_false(c.is_revoking);
	assert_int_equal(c.n_exempt_namespaces, 1);
	assert_string_equal(c.exempt_namespaces[0], "z");
}

static void who_may_set_annotations_is_a_list_of_keys(void **state)
{
	static const char yaml[] = "policies: /p\n"
				   "annotations: [none, mode=trusted-namespaces]\n"
				   "trusted-namespace: [ops, infra]\n";
	bh_auto(bh_config_done) struct bh_config c = { 0 }, plain = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse_file(yaml, strlen(yaml), "", &c, &err), &err);
	assert_int_equal(c.annotations[BH_ANNOTATION_MODE], BH_TRUST_NAMESPACES);
	assert_int_equal(c.annotations[BH_ANNOTATION_DEFAULT_DENY], BH_TRUST_NONE);
	assert_int_equal(c.n_trusted_namespaces, 2);
	assert_string_equal(c.trusted_namespaces[1], "infra");

	assert_ok(parse("--policies /p", &plain, &err), &err);
	assert_int_equal(plain.annotations[BH_ANNOTATION_MODE], BH_TRUST_DEFAULT);
	assert_int_equal(plain.n_trusted_namespaces, 1);
	assert_string_equal(plain.trusted_namespaces[0], "kube-system");
	assert_err(parse("--policies /p --annotations mode=whoever", &plain, &err), &err, -EINVAL,
		   "--annotations: 'whoever' is none of");
}

static void an_empty_list_exempts_no_namespace(void **state)
{
	static const char yaml[] = "policies: /p\nexempt-namespace: []\n";
	bh_auto(bh_config_done) struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(parse_file(yaml, strlen(yaml), "", &c, &err), &err);
	assert_int_equal(c.n_exempt_namespaces, 0);
}

static void wrong_files_are_refused_with_file_and_line(void **state)
{
	static const struct {
		const char *yaml, *part;
	} t[] = {
		{ "policies: /p\nfoo: 1\n", ":2: unknown key 'foo'" },
		{ "mode: audit\nmode: audit\n", ":2: key 'mode' is there twice" },
		{ "mode: wrong\n", ":1: mode: 'wrong' is neither" },
		{ "\n\nmode: [audit]\n", ":3: mode: takes one value, not a list" },
		{ "mode: {a: b}\n", ":1: mode: expected a value or a list" },
		{ "exempt-namespace: [[a]]\n", "a list holds plain values only" },
		{ "- policies\n", ":1: expected a mapping" },
		{ "just text\n", ":1: expected a mapping" },
		{ "policies: /p\n---\nmode: audit\n", "more than one document" },
		{ "help: yes\n", ":1: 'help' is for the command line only" },
		{ "policies: \"a\\0b\"\n", "NUL byte" },
		{ "policies: *x\n", "expected a value or a list" },
		{ "[a]: b\n", "a key is plain text" },
		{ "policies: 'x\n", "end of stream" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_config c = { 0 };
		struct bh_err err = { 0 };
		int r = parse_file(t[i].yaml, strlen(t[i].yaml), "--policies /p", &c, &err);

		if (r >= 0)
			fail_msg("accepted: %s", t[i].yaml);
		assert_contains(bh_err_text(&err), "/tmp/test_config.");
		assert_contains(bh_err_text(&err), t[i].part);
	}
}

static void a_wrong_value_in_the_file_is_an_error_even_if_the_command_line_wins(void **state)
{
	static const char yaml[] = "mode: wrong\n";
	struct bh_config c = { 0 };
	struct bh_err err = { 0 };

	(void)state;
	assert_err(parse_file(yaml, strlen(yaml), "--policies /p --mode audit", &c, &err), &err,
		   -EINVAL, "mode: 'wrong'");
}

static void help_shows_every_option_with_its_default(void **state)
{
	struct bh_buf text = { 0 };

	(void)state;
	bh_config_help(&text);
	assert_contains(bh_buf_str(&text), "--policies DIR");
	assert_contains(bh_buf_str(&text), "--exempt-namespace NAME");
	assert_contains(bh_buf_str(&text), "(default: kube-system)");
	assert_contains(bh_buf_str(&text), "--check-config\n");
	assert_contains(bh_buf_str(&text), "Exit status: 0");
	bh_buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_enforce_no_default_deny_and_kube_system_exempt),
		cmocka_unit_test(every_option_of_the_command_line_arrives),
		cmocka_unit_test(the_flow_log_is_bounded_as_asked),
		cmocka_unit_test(the_api_is_a_source_with_or_without_a_folder),
		cmocka_unit_test(one_direction_of_default_deny_leaves_the_other),
		cmocka_unit_test(closed_until_known_takes_ranges_and_interfaces),
		cmocka_unit_test(help_and_version_need_no_policies),
		cmocka_unit_test(wrong_command_lines_name_the_option_and_the_rule),
		cmocka_unit_test(the_file_sets_options_and_the_command_line_wins),
		cmocka_unit_test(who_may_set_annotations_is_a_list_of_keys),
		cmocka_unit_test(an_empty_list_exempts_no_namespace),
		cmocka_unit_test(wrong_files_are_refused_with_file_and_line),
		cmocka_unit_test(
			a_wrong_value_in_the_file_is_an_error_even_if_the_command_line_wins),
		cmocka_unit_test(help_shows_every_option_with_its_default),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
