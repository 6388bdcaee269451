/*
 * `bulkhead flows`, from the agent and from a log file.
 */
#include "cli_run.h"

#include "bh/clock.h"

/* As bulkhead-flow(5) has them. */
#define RECORD(time, verdict, action, src, dst)                                                    \
	"{\"@timestamp\":\"" time "\",\"event.sequence\":1,\"event.action\":\"" action             \
	"\",\"network.type\":\"ipv4\",\"network.transport\":\"tcp\","                              \
	"\"network.direction\":\"ingress\",\"source.address\":\"10.0.0.1\",\"source.port\":4711,"  \
	"\"source.entity\":\"pod\",\"source.k8s.namespace.name\":\"shop\","                        \
	"\"source.k8s.pod.name\":\"" src "\",\"destination.address\":\"10.0.0.2\","                \
	"\"destination.port\":5432,\"destination.entity\":\"pod\","                                \
	"\"destination.k8s.namespace.name\":\"data\",\"destination.k8s.pod.name\":\"" dst          \
	"\",\"policy.verdict\":\"" verdict "\",\"flow.count\":1}"

#define DENIED RECORD("2026-01-02T03:04:05.000000000Z", "denied", "flow-denied", "attacker", "db")
#define AUDITED                                                                                    \
	RECORD("2026-01-02T03:05:05.000000000Z", "audit-denied", "flow-audit-denied", "web", "db")
#define LATER RECORD("2026-01-02T04:00:00.000000000Z", "denied", "flow-denied", "web", "cache")

static const char log_text[] = DENIED "\n" AUDITED "\n" LATER "\n";

static void answer_with(struct cli_test *t, const char *record)
{
	json_t *o = json_loads(record, 0, NULL);

	assert_non_null(o);
	json_array_append_new(t->answers, o);
}

static void the_agent_is_asked_with_every_filter(void **state)
{
	struct cli_test *t = *state;
	json_t *want = json_pack("{s:s, s:b, s:s, s:s, s:s, s:s}", "method", "flows", "follow", 0,
				 "namespace", "shop", "pod", "web", "verdict", "denied", "since",
				 "2026-01-02T03:04:05.000000000Z");

	cli_run(t, "flows", "--pod", "shop/web", "--verdict", "denied", "--since",
		"2026-01-02T03:04:05Z");
	assert_status(t, 0);
	assert_true(json_equal(t->request, want));
	json_decref(want);

	cli_run(t, "flows", "--follow", "--pod", "shop");
	want = json_pack("{s:s, s:b, s:s, s:n, s:n, s:n}", "method", "flows", "follow", 1,
			 "namespace", "shop", "pod", "verdict", "since");
	assert_true(json_equal(t->request, want));
	json_decref(want);
}

static void a_duration_is_counted_back_from_now(void **state)
{
	struct cli_test *t = *state;
	uint64_t before_ns = bh_real_ns(), since_ns;

	cli_run(t, "flows", "--since", "10m");
	assert_status(t, 0);
	assert_int_equal(
		bh_time_parse(json_string_value(json_object_get(t->request, "since")), &since_ns),
		0);
	assert_true(since_ns >= before_ns - 600 * BH_NS_PER_S);
	assert_true(since_ns <= bh_real_ns() - 600 * BH_NS_PER_S);
}

static void records_are_printed_as_lines_for_people(void **state)
{
	struct cli_test *t = *state;

	answer_with(t, DENIED);
	answer_with(t, AUDITED);
	cli_run(t, "flows");
	assert_status(t, 0);
	assert_out(t, "shop/attacker");
	assert_out(t, "data/db");
	assert_out(t, "5432");
	assert_not_out(t, "{");
	/* A header and two lines. */
	assert_int_equal(bh_buf_str(&t->out)[t->out.len - 1], '\n');
}

static void json_is_one_whole_record_a_line(void **state)
{
	struct cli_test *t = *state;
	json_t *printed;

	answer_with(t, DENIED);
	answer_with(t, AUDITED);
	cli_run(t, "flows", "-o", "json");
	assert_status(t, 0);
	printed = json_loads(bh_buf_str(&t->out), JSON_DISABLE_EOF_CHECK, NULL);
	assert_true(json_equal(printed, json_array_get(t->answers, 0)));
	json_decref(printed);
	printed = json_loads(strchr(bh_buf_str(&t->out), '\n'), 0, NULL);
	assert_true(json_equal(printed, json_array_get(t->answers, 1)));
	json_decref(printed);
}

static void a_log_file_is_read_with_the_same_filters(void **state)
{
	static const struct {
		const char *args[8];
		bool has_denied, has_audited, has_later;
	} t[] = {
		{ { "flows", "-o", "json", "--file", "-" }, true, true, true },
		{ { "flows", "-o", "json", "--file", "-", "--verdict", "audit" },
		  false,
		  true,
		  false },
		{ { "flows", "-o", "json", "--file", "-", "--pod", "shop/web" },
		  false,
		  true,
		  true },
		{ { "flows", "-o", "json", "--file", "-", "--pod", "data/cache" },
		  false,
		  false,
		  true },
		{ { "flows", "-o", "json", "--file", "-", "--pod", "data" }, true, true, true },
		{ { "flows", "-o", "json", "--file", "-", "--since", "2026-01-02T03:30:00Z" },
		  false,
		  false,
		  true },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		const char *out;

		cli_run_with(test, log_text, t[i].args);
		assert_status(test, 0);
		out = bh_buf_str(&test->out);
		assert_int_equal(strstr(out, "\"attacker\"") != NULL, t[i].has_denied);
		assert_int_equal(strstr(out, "\"audit-denied\"") != NULL, t[i].has_audited);
		assert_int_equal(strstr(out, "\"cache\"") != NULL, t[i].has_later);
	}
	assert_int_equal(test->n_calls, 0);
}

static void lines_that_are_no_records_are_counted_and_left_out(void **state)
{
	struct cli_test *t = *state;
	bh_auto_free char *text = bh_asprintf("half a line\n[1]\n\n%s\n%.40s", log_text, log_text);

	cli_run_with(t, text, CLI_ARGS("flows", "--file", "-", "-o", "json"));
	assert_status(t, 4);
	assert_out(t, "attacker");
	assert_error(t, "'standard input': 3 lines are not flow records and were left out");
}

static void wrong_values_are_refused(void **state)
{
	static const struct {
		const char *args[6];
		int status;
		const char *want;
	} t[] = {
		{ { "flows", "--since", "yesterday" }, 2, "--since: 'yesterday' is neither" },
		{ { "flows", "--verdict", "bad" }, 2, "one of denied|audit|allowed" },
		{ { "flows", "--pod", "/web" }, 2, "--pod: '/web' is not NAMESPACE/NAME" },
		{ { "flows", "--pod", "" }, 2, "is not NAMESPACE/NAME" },
		{ { "flows", "--pod", "\xff/web" }, 2, "not UTF-8" },
		{ { "flows", "--follow", "--file", "x" }, 2, "--follow is for the agent" },
		{ { "flows", "--file", "/nonexistent" }, 4, "cannot open '/nonexistent'" },
		{ { "flows", "--file", "/" }, 4, "cannot read '/'" },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run_with(test, "", t[i].args);
		assert_status(test, t[i].status);
		assert_error(test, t[i].want);
	}
	assert_int_equal(test->n_calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_agent_is_asked_with_every_filter),
		CLI_TEST(a_duration_is_counted_back_from_now),
		CLI_TEST(records_are_printed_as_lines_for_people),
		CLI_TEST(json_is_one_whole_record_a_line),
		CLI_TEST(a_log_file_is_read_with_the_same_filters),
		CLI_TEST(lines_that_are_no_records_are_counted_and_left_out),
		CLI_TEST(wrong_values_are_refused),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_flows", tests, NULL, NULL);
}
