/*
 * `bulkhead status`, and with it reload.
 */
#include "cli_run.h"

/* An answer of the agent, with single quotes to be readable. */
static const char answer[] =
	"{'version':'0.1.0','node':'worker-1','mode':'enforce','in_sync':true,"
	"'not_ready':[],'uptime_s':11520,"
	"'sources':[{'source':'manifest','in_sync':true,'detail':'/etc/bulkhead/policies'},"
	"{'source':'cri','in_sync':false,'detail':'containerd 1.6.20'}],"
	"'pods':12,'local_pods':1,'namespaces':3,'policies':2,'profiles':5,"
	"'profiles_closed':0,'sets':9,'chains':7,'elements':38,"
	"'problems':[{'source':'manifest','subject':'/etc/bulkhead/policies/x.yaml',"
	"'text':'line 3: no\\u001b[31m','since':'2026-01-02T03:04:05Z'}],"
	"'policies_status':[{'kind':'NetworkPolicy','namespace':'shop','name':'web',"
	"'mode':'enforce','pods':2,'error':null},"
	"{'kind':'NetworkPolicy','namespace':'shop','name':'broken','mode':'audit',"
	"'pods':1,'error':'spec.ingress[0]: wrong'}],"
	"'packets':{'denied':120,'logged':90,'suppressed':30,'lost':4,'recorded':80,"
	"'pending':6,'in_flight':0,'audit':{'denied':7,'logged':7,'suppressed':0,"
	"'lost':0,'recorded':7,'pending':0,'in_flight':0}},"
	"'tamper_events':0,'revoked_connections':1,"
	"'last_commit':{'time':'2026-01-02T03:04:05.000000006Z','duration_us':1300,'operations':12}"
	"}";

static json_t *make_status(bool is_ready, int generation, int wanted)
{
	bh_auto_free char *text = bh_strdup(answer);
	json_t *status;
	char *c;

	for (c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	status = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(status);
	json_object_set_new(status, "ready", json_boolean(is_ready));
	json_object_set_new(status, "generation", json_integer(generation));
	json_object_set_new(status, "wanted_generation", json_integer(wanted));
	if (!is_ready)
		json_object_set_new(status, "not_ready",
				    json_pack("[s]", "source cri is not in sync yet"));
	return status;
}

static void answer_with(struct cli_test *t, json_t *status)
{
	json_array_clear(t->answers);
	json_array_append_new(t->answers, status);
}

static void a_ready_agent_is_exit_0_and_a_screen(void **state)
{
	static const char *const want[] = {
		"bulkheadd 0.1.0 on worker-1: ready, up 3h 12m\n",
		"generation 42; last change 2026-01-02T03:04:05Z, 12 operations in 1300 us\n",
		"5 profiles, 7 chains, 9 sets, 38 elements\n",
		"12 pods (1 on this node), 3 namespaces, 2 policies\n",
		"manifest: in sync, /etc/bulkhead/policies\n",
		"cri: not in sync, containerd 1.6.20\n",
		"1 connection cut by policy changes, no tampering\n",
		"  enforced          120         90         80         30          6          4",
		"  audit               7          7          7          0          0          0",
		"NetworkPolicy shop/web     enforce      2\n",
		"NetworkPolicy shop/broken  audit        1  spec.ingress[0]: wrong\n",
		("manifest: /etc/bulkhead/policies/x.yaml: line 3: no\\x1b[31m (since "
		 "2026-01-02T03:04:05Z)"),
	};
	struct cli_test *t = *state;
	size_t i;

	answer_with(t, make_status(true, 42, 42));
	cli_run(t, "status");
	assert_status(t, 0);
	for (i = 0; i < BH_ARRAY_LEN(want); i++)
		assert_out(t, want[i]);
	assert_string_equal(bh_buf_str(&t->err), "");
}

static void an_agent_that_is_not_ready_is_exit_1_with_the_reasons(void **state)
{
	struct cli_test *t = *state;

	answer_with(t, make_status(false, 41, 42));
	cli_run(t, "status");
	assert_status(t, 1);
	assert_out(t, "not ready");
	assert_out(t, "\n  source cri is not in sync yet\n");
	assert_out(t, "generation 41, a newer one waits (42)");
}

static void what_went_wrong_stands_out(void **state)
{
	struct cli_test *t = *state;
	json_t *status = make_status(true, 1, 1);

	json_object_set_new(status, "profiles_closed", json_integer(2));
	json_object_set_new(status, "tamper_events", json_integer(3));
	json_object_set_new(status, "mode", json_string("audit"));
	answer_with(t, status);
	cli_run(t, "status");
	assert_status(t, 0);
	assert_out(t, "audit mode: nothing is denied");
	assert_out(t, "2 profiles closed because the kernel refused their rules");
	assert_out(t, "3 changes of our rules by others");
}

static void json_is_the_whole_answer(void **state)
{
	struct cli_test *t = *state;
	json_t *printed;

	answer_with(t, make_status(false, 41, 42));
	cli_run(t, "status", "-o", "json");
	assert_status(t, 1);
	printed = json_loads(bh_buf_str(&t->out), 0, NULL);
	assert_true(json_equal(printed, json_array_get(t->answers, 0)));
	json_decref(printed);
}

static void an_answer_without_what_is_expected_is_no_crash(void **state)
{
	static const char *const answers[] = {
		"{}",
		"{\"not_ready\":3,\"sources\":\"x\",\"packets\":[],\"problems\":[1,null,{}]}",
		"{\"policies_status\":[null,{\"kind\":7}],\"last_commit\":{},\"uptime_s\":\"x\"}",
	};
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(answers); i++) {
		answer_with(t, json_loads(answers[i], 0, NULL));
		cli_run(t, "status");
		assert_status(t, 1);
	}
	answer_with(t, json_integer(3));
	cli_run(t, "status");
	assert_status(t, 4);
	assert_error(t, "the agent's answer is not an object");
}

/* --- waiting ------------------------------------------------------------------- */

/* Ready only after two looks, and the wanted generation runs ahead meanwhile. */
static void advance(struct cli_test *t, int n_before)
{
	answer_with(t, make_status(true, 40 + n_before, 42 + n_before));
}

static void wait_ends_when_what_was_wanted_first_is_in_the_kernel(void **state)
{
	struct cli_test *t = *state;

	t->on_call = advance;
	cli_run(t, "status", "--wait");
	assert_status(t, 0);
	assert_int_equal(t->n_calls, 3);
	assert_out(t, "generation 42, a newer one waits (44)");
}

/* The agent is restarted after the first look and counts anew. */
static void restart(struct cli_test *t, int n_before)
{
	if (n_before == 0)
		answer_with(t, make_status(true, 40, 42));
	else
		answer_with(t, make_status(true, 3, 3));
}

static void wait_follows_an_agent_that_was_restarted(void **state)
{
	struct cli_test *t = *state;

	t->on_call = restart;
	cli_run(t, "status", "--wait");
	assert_status(t, 0);
	assert_int_equal(t->n_calls, 2);
}

static void wait_that_ends_in_vain_is_exit_1_with_the_reasons(void **state)
{
	struct cli_test *t = *state;

	answer_with(t, make_status(false, 42, 42));
	cli_run(t, "status", "--wait", "--timeout", "0");
	assert_status(t, 1);
	assert_error(t, "not ready in time: source cri is not in sync yet");
	answer_with(t, make_status(true, 41, 42));
	cli_run(t, "status", "--wait", "--timeout", "0");
	assert_status(t, 1);
	assert_error(t, "the kernel has generation 41, 42 is wanted");
}

/* Told of at the second look, in the kernel at the third, at the wanted version at the fourth. */
static void bring_policy(struct cli_test *t, int n_before)
{
	json_t *status = make_status(true, 42, 42), *list = json_array();

	if (n_before > 0)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:i}", "kind",
						      "NetworkPolicy", "namespace", "shop", "name",
						      "web", "mode", "enforce", "generation",
						      (json_int_t)(n_before > 2 ? 3 : 2),
						      "enforced", n_before > 1, "pods", 1));
	json_object_set_new(status, "policies_status", list);
	answer_with(t, status);
}

static void wait_for_a_policy_ends_when_that_version_is_in_the_kernel(void **state)
{
	struct cli_test *t = *state;

	t->on_call = bring_policy;
	cli_run(t, "status", "--wait", "--policy", "shop/web@3");
	assert_status(t, 0);
	assert_int_equal(t->n_calls, 4);
	t->n_calls = 0;
	cli_run(t, "status", "--wait", "--policy", "shop/web");
	assert_status(t, 0);
	assert_int_equal(t->n_calls, 3);
	cli_run(t, "status", "--wait", "--timeout", "0", "--policy", "shop/db");
	assert_status(t, 1);
	assert_error(t, "policy shop/db is not in the kernel as wanted");
}

static void a_policy_to_wait_for_is_a_namespace_a_name_and_perhaps_a_generation(void **state)
{
	static const char *const wrong[] = { "web",       "/web",       "shop/",   "shop/@1",
					     "shop/web@", "shop/web@x", "sh@op/w", "shop/web@0" };
	struct cli_test *t = *state;

	for (size_t i = 0; i < BH_ARRAY_LEN(wrong); i++) {
		cli_run(t, "status", "--wait", "--policy", wrong[i]);
		assert_status(t, 2);
	}
	cli_run(t, "status", "--policy", "shop/web");
	assert_status(t, 2);
	assert_error(t, "--policy: goes with --wait");
}

static void wait_for_an_agent_that_never_comes_is_exit_3(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "status", "--wait", "--timeout=0", "--control", "/nonexistent.sock");
	assert_status(t, 3);
	assert_error(t, "no agent listens on '/nonexistent.sock'");
}

static void wait_does_not_outwait_a_refusal(void **state)
{
	struct cli_test *t = *state;

	t->error_code = -EACCES;
	t->error_text = "user 1000 may not use this socket";
	cli_run(t, "status", "--wait");
	assert_status(t, 4);
	assert_int_equal(t->n_calls, 1);
}

static void reload_asks_for_it(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "reload");
	assert_status(t, 0);
	assert_string_equal(json_string_value(json_object_get(t->request, "method")), "reload");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(a_ready_agent_is_exit_0_and_a_screen),
		CLI_TEST(an_agent_that_is_not_ready_is_exit_1_with_the_reasons),
		CLI_TEST(what_went_wrong_stands_out),
		CLI_TEST(json_is_the_whole_answer),
		CLI_TEST(an_answer_without_what_is_expected_is_no_crash),
		CLI_TEST(wait_ends_when_what_was_wanted_first_is_in_the_kernel),
		CLI_TEST(wait_follows_an_agent_that_was_restarted),
		CLI_TEST(wait_that_ends_in_vain_is_exit_1_with_the_reasons),
		CLI_TEST(wait_for_a_policy_ends_when_that_version_is_in_the_kernel),
		CLI_TEST(a_policy_to_wait_for_is_a_namespace_a_name_and_perhaps_a_generation),
		CLI_TEST(wait_for_an_agent_that_never_comes_is_exit_3),
		CLI_TEST(wait_does_not_outwait_a_refusal),
		CLI_TEST(reload_asks_for_it),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_status", tests, NULL, NULL);
}
