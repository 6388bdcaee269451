/*
 * `bulkhead sim eval`, and what all sim commands do with their input
 */
#include "cli_run.h"

#include <ftw.h>
#include <sys/stat.h>

static const char shop_yaml[] =
	"apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop, labels: {app: web}}\n"
	"---\n"
	"# an empty document, as helm leaves behind\n"
	"---\n"
	"apiVersion: v1\nkind: Pod\nmetadata: {name: db, namespace: shop, labels: {app: db}}\n"
	"spec: {containers: [{name: db, ports: [{containerPort: 5432}]}]}\n"
	"---\n"
	"apiVersion: v1\nkind: Service\nmetadata: {name: sql, namespace: shop}\n"
	"spec: {selector: {app: db}, ports: [{port: 3306, targetPort: 5432}]}\n"
	"---\n"
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: shop}\n"
	"---\n"
	"apiVersion: networking.k8s.io/v1\n"
	"kind: NetworkPolicy\n"
	"metadata: {name: db, namespace: shop}\n"
	"spec:\n"
	"  podSelector: {matchLabels: {app: db}}\n"
	"  ingress:\n"
	"  - from: [{podSelector: {matchLabels: {app: web}}}]\n"
	"    ports: [{port: 5432}]\n";

static char *put(const struct cli_test *t, const char *name, const char *text)
{
	char *path = bh_asprintf("%s/in/%s", t->dir, name), *dir = bh_asprintf("%s/in", t->dir);
	FILE *f;

	mkdir(dir, 0700);
	free(dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	const struct cli_test *t = *state;
	bh_auto_free char *dir = bh_asprintf("%s/in", t->dir);

	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return cli_teardown(state);
}

static void the_verdict_is_the_exit_status(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *shop = put(t, "shop.yaml", shop_yaml);
	bh_auto_free char *more =
		put(t, "more.yaml",
		    "apiVersion: v1\nkind: Pod\n"
		    "metadata: {name: db2, namespace: shop, labels: {app: db, n: "
		    "'2'}}\n---\n"
		    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
		    "metadata: {name: x, namespace: shop}\n"
		    "spec: {podSelector: {matchLabels: {n: '2'}}, ingress: [{}]}\n");

	cli_run(t, "sim", "eval", "shop/web", "shop/db", "5432/tcp", shop);
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->err), "");
	assert_out(t, "allowed: pod shop/web to pod shop/db, TCP 5432\n");
	assert_out(t, "egress: allowed, no policy isolates pod shop/web\n");
	assert_out(t, "shop.yaml:27)");
	cli_run(t, "sim", "eval", "shop/web", "shop/db", "5433", shop);
	assert_status(t, 1);
	assert_out(t, "denied: ");
	cli_run(t, "sim", "eval", "10.0.0.1", "shop/sql", "3306", shop, more);
	assert_status(t, 2);
	assert_out(t, "undecidable: Service shop/sql leads to 2 pods\n");
	assert_out(t,
		   "undecidable: the pods of the Service differ: db is denied, db2 is allowed\n");
	assert_int_equal(t->n_calls, 0);
}

static void json_has_the_question_and_the_answer(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *shop = put(t, "shop.yaml", shop_yaml);
	json_t *answer;
	const char *verdict, *reason;
	int port, family;

	cli_run(t, "sim", "eval", "-o", "json", "--family", "6", "shop/web", "shop/db", "53/udp",
		shop);
	assert_status(t, 1);
	answer = json_loads(bh_buf_str(&t->out), 0, NULL);
	assert_int_equal(json_unpack(answer, "{s:i, s:i, s:s, s:{s:s}}", "port", &port, "family",
				     &family, "verdict", &verdict, "ingress", "reason", &reason),
			 0);
	assert_int_equal(port, 53);
	assert_int_equal(family, 6);
	assert_string_equal(verdict, "denied");
	assert_string_equal(reason, "default-deny");
	json_decref(answer);
}

static void a_namespace_is_that_of_names_and_objects_without_one(void **state)
{
	static const char chart[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n---\n"
				    "apiVersion: v1\nkind: Pod\nmetadata: {name: db}\n";
	struct cli_test *t = *state;

	cli_run_with(t, chart, CLI_ARGS("sim", "eval", "-n", "prod", "web", "prod/db", "1", "-"));
	assert_status(t, 0);
	assert_out(t, "pod prod/web to pod prod/db");
	cli_run_with(t, chart, CLI_ARGS("sim", "eval", "web", "default/db", "1", "-"));
	assert_status(t, 0);
}

static void a_folder_is_read_with_all_that_is_in_it(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *dir = bh_asprintf("%s/in", t->dir);

	free(put(t, "shop.yaml", shop_yaml));
	free(put(t, "NOTE.txt", "no manifest"));
	cli_run(t, "sim", "eval", "shop/web", "shop/sql", "3306", dir);
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->err), "");
}

static void bad_input_is_no_answer_unless_it_may_be_left_out(void **state)
{
	static const struct {
		const char *text, *want;
		int status; /* of the rest */
	} t[] = {
		{ "kind: [\n", "bad.yaml: line ", 0 },
		{ "apiVersion: v1\nkind: Pod\nmetadata: {name: A, namespace: shop}\n",
		  "bad.yaml: line 3: Pod shop/A: metadata.name", 0 },
		{ "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
		  "metadata: {name: p, namespace: shop}\nspec: {podSelector: 1}\n",
		  "bad.yaml: line 4: NetworkPolicy shop/p: spec.podSelector", 1 },
		{ NULL, "bad.yaml: cannot read", 0 },
	};
	struct cli_test *test = *state;
	bh_auto_free char *shop = put(test, "shop.yaml", shop_yaml);
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *bad = put(test, "bad.yaml", t[i].text ? t[i].text : "");

		if (!t[i].text)
			unlink(bad);
		cli_run(test, "sim", "eval", "shop/web", "10.9.9.9", "1", shop, bad);
		assert_status(test, 3);
		assert_error(test, t[i].want);
		assert_error(test, "--keep-going");
		assert_string_equal(bh_buf_str(&test->out), "");
		cli_run(test, "sim", "eval", "--keep-going", "shop/web", "10.9.9.9", "1", shop,
			bad);
		assert_status(test, t[i].status);
		assert_error(test, t[i].want);
		assert_error(test, "1 problem: what cannot be read is left out");
	}
}

static void options_change_the_world(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *shop = put(t, "shop.yaml", shop_yaml);

	cli_run(t, "sim", "eval", "shop/web", "10.9.9.9", "1", shop, "--default-deny", "egress");
	assert_status(t, 1);
	assert_out(t, "the default deny of namespace shop");
	cli_run(t, "sim", "eval", "shop/web", "10.9.9.9", "1", shop, "--default-deny", "egress",
		"--exempt-namespace", "shop");
	assert_status(t, 0);
	cli_run(t, "sim", "eval", "10.9.9.9", "shop/db", "1", shop, "--mode", "audit");
	assert_status(t, 0);
	assert_out(t, "audit: would be denied by NetworkPolicy shop/db");
	cli_run(t, "sim", "eval", "10.9.9.9", "shop/db", "1", shop, "--compat", "netpol-analyzer");
	assert_status(t, 1);
}

/* Beside policy: sources that are not the pod's, groups, addresses without a pod. */
static void what_an_agent_does_besides_is_judged_where_it_is_asked_for(void **state)
{
	static const char world[] =
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x, labels: {app: a}}\n"
		"status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}]}\n---\n"
		"apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: x, labels: {app: b}}\n"
		"status: {podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}]}\n---\n"
		"apiVersion: v1\nkind: Pod\nmetadata: {name: c, namespace: x}\n---\n"
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
		"metadata: {name: p, namespace: x}\n"
		"spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Ingress, Egress],\n"
		"  egress: [{to: [{podSelector: {}}]}, {to: [{ipBlock: {cidr: 224.0.0.0/24}}]}],\n"
		"  ingress: [{from: [{podSelector: {matchLabels: {app: b}}}]}]}\n";
	static const struct {
		const char *src, *dst, *option, *value;
		int status;
		const char *want;
	} t[] = {
		{ "x/a", "x/b", "--from", "10.0.0.1", 0, "" },
		{ "x/a", "x/b", "--from", "10.0.0.2", 1, "(spoofed)" },
		{ "x/c", "x/b", "--from", "10.0.0.2", 2, "do not say which addresses x/c has" },
		{ "10.9.9.9", "x/b", "--from", "10.0.0.2", 4, "" },
		/* The sender's rules judge the group, the receiver's the sender. */
		{ "x/a", "x/b", "--to", "224.0.0.251", 0, "" },
		{ "x/a", "x/b", "--to", "239.1.2.3", 1, "is isolated by" },
		{ "x/b", "x/a", "--to", "239.1.2.3", 0, "" },
		{ "x/c", "x/a", "--to", "239.1.2.3", 1, "is isolated by" },
		{ "x/a", "x/b", "--to", "10.0.0.9", 4, "" },
		{ "10.0.0.9", "x/b", "--closed-until-known", "10.0.0.0/24", 1, "(no-pod-yet)" },
		{ "x/b", "10.0.0.9", "--closed-until-known", "10.0.0.0/24", 1, "(no-pod-yet)" },
		{ "x/b", "x/a", "--closed-until-known", "10.0.0.0/24", 0, "" },
		{ "x/b", "10.0.1.9", "--closed-until-known", "10.0.0.0/24", 0, "" },
	};
	struct cli_test *test = *state;
	bh_auto_free char *path = put(test, "world.yaml", world);

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run(test, "sim", "eval", t[i].option, t[i].value, t[i].src, t[i].dst,
			"5353/udp", path);
		assert_status(test, t[i].status);
		assert_out(test, t[i].want);
	}
}

static void wrong_usage_is_no_verdict(void **state)
{
	static const struct {
		const char *args[8];
		const char *want;
	} t[] = {
		{ { "sim", "eval" }, "sim eval needs SRC DST PORT/PROTO DIR|FILE|-..." },
		{ { "sim", "eval", "a/b", "a/c", "80" }, "needs SRC DST PORT/PROTO and DIR" },
		{ { "sim", "eval", "a/b", "a/c", "0", "." }, "port 0 is not within" },
		{ { "sim", "eval", "a/b", "a/c", "80/icmp", "." }, "ICMP has no ports" },
		{ { "sim", "eval", "--family", "5", "." }, "one of 4|6" },
		{ { "sim", "eval", "--nope", "." }, "unknown option '--nope'" },
		{ { "sim", "eval", "a/b", "a/c", "80", "-", "-" }, "can be read once only" },
		{ { "sim", "eval", "--batch", "-", "-" }, "can be read once only" },
		{ { "sim", "eval", "--batch", "-" }, "sim eval needs SRC" },
		{ { "sim", "eval", "--batch", "-", "--to", "224.0.0.1", "." }, "not of --batch" },
		{ { "sim", "eval", "--batch", "/nonexistent", "." }, "cannot open '/nonexistent'" },
		{ { "sim", "eval", "a/b", "a/c", "80", "-" }, "no pod or workload 'a/b'" },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run_with(test, "", t[i].args);
		assert_error(test, t[i].want);
		assert_true(test->status >= 3);
	}
}

static void a_batch_answers_every_line_in_its_place(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *shop = put(t, "shop.yaml", shop_yaml);
	bh_auto_free char *good = put(t, "good.jsonl",
				      "{\"src\": \"shop/web\", \"dst\": \"shop/db\", \"protocol\": "
				      "\"TCP\", \"port\": 5432}\n"
				      "{\"src\": \"shop/db\", \"dst\": \"shop/db\", \"protocol\": "
				      "\"SCTP\", \"port\": 1}");

	cli_run(t, "sim", "eval", "--batch", good, "-o", "json", shop);
	assert_status(t, 0);
	assert_out(t,
		   "{\"src\": \"shop/web\", \"dst\": \"shop/db\", \"protocol\": \"TCP\", \"port\": "
		   "5432, \"verdict\": \"allowed\", \"egress\": {\"verdict\": \"allowed\", ");
	assert_out(t,
		   "\n{\"src\": \"shop/db\", \"dst\": \"shop/db\", \"protocol\": \"SCTP\", "
		   "\"port\": 1, \"verdict\": \"allowed\", \"egress\": {\"verdict\": \"allowed\", "
		   "\"rule\": null, \"reason\": \"self\"}");
}

static void a_line_that_cannot_be_read_is_an_error_at_the_end(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *shop = put(t, "shop.yaml", shop_yaml);
	struct bh_buf long_line = { 0 };
	size_t i;

	cli_run_with(t,
		     "\n{\"src\": \"shop/web\", \"dst\": \"10.9.9.9\", \"port\": 1}\n"
		     "nonsense\n{\"src\": \"shop/nobody\", \"dst\": \"10.9.9.9\", \"port\": 1}\n",
		     CLI_ARGS("sim", "eval", "--batch", "-", shop));
	assert_status(t, 3);
	assert_error(t, "stdin: 3 lines have no answer");
	assert_out(t, "{\"error\": ");
	assert_out(t, "\"port\": 1, \"verdict\": \"allowed\"");
	assert_out(t, "\"port\": 1, \"error\": \"there is no pod or workload 'shop/nobody'\"}\n");

	/* What is too long is skipped to its end, and the next line is answered. */
	bh_buf_puts(&long_line, "{\"src\": \"");
	for (i = 0; i < 65536; i++)
		bh_buf_putc(&long_line, 'x');
	bh_buf_puts(&long_line,
		    "\"}\n{\"src\": \"shop/web\", \"dst\": \"10.9.9.9\", \"port\": 1}\n");
	{
		bh_auto_free char *path = put(t, "long.jsonl", bh_buf_str(&long_line));

		cli_run(t, "sim", "eval", "--batch", path, shop);
	}
	bh_buf_done(&long_line);
	assert_status(t, 3);
	assert_error(t, "long.jsonl: 1 line has no answer");
	assert_out(t, "{\"error\": \"the line is over 65536 bytes\"}\n{\"src\": \"shop/web\"");
	assert_out(t, "\"verdict\": \"allowed\"");
}

static void the_group_lists_its_commands(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "sim", "--help");
	assert_status(t, 0);
	assert_out(t, "sim eval");
	cli_run(t, "help", "sim");
	assert_status(t, 0);
	assert_out(t, "sim eval");
	cli_run(t, "sim");
	assert_status(t, 2);
	assert_error(t, "sim eval");
	cli_run(t, "sim", "evla");
	assert_status(t, 2);
	assert_error(t, "unknown command 'sim evla'; did you mean 'sim eval'?");
	cli_run(t, "sim", "eval", "--help");
	assert_status(t, 0);
	assert_out(t, "Usage: bulkhead sim eval");
}

#define EVAL_TEST(f) cmocka_unit_test_setup_teardown(f, cli_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EVAL_TEST(the_verdict_is_the_exit_status),
		EVAL_TEST(json_has_the_question_and_the_answer),
		EVAL_TEST(a_namespace_is_that_of_names_and_objects_without_one),
		EVAL_TEST(a_folder_is_read_with_all_that_is_in_it),
		EVAL_TEST(bad_input_is_no_answer_unless_it_may_be_left_out),
		EVAL_TEST(options_change_the_world),
		EVAL_TEST(what_an_agent_does_besides_is_judged_where_it_is_asked_for),
		EVAL_TEST(wrong_usage_is_no_verdict),
		EVAL_TEST(a_batch_answers_every_line_in_its_place),
		EVAL_TEST(a_line_that_cannot_be_read_is_an_error_at_the_end),
		EVAL_TEST(the_group_lists_its_commands),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_sim_eval", tests, NULL, NULL);
}
