/*
 * `bulkhead explain`
 */
#include "cli_run.h"

static void answer_with(struct cli_test *t, const char *verdict, const char *text)
{
	json_array_clear(t->answers);
	json_array_append_new(t->answers,
			      json_pack("{s:s, s:s}", "verdict", verdict, "text", text));
}

static void the_verdict_is_the_exit_status_and_the_first_word(void **state)
{
	struct cli_test *t = *state;

	answer_with(t, "allowed", "allowed: web to db\n  egress: not isolated\n");
	cli_run(t, "explain", "shop/web", "shop/db", "5432");
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->out), "allowed: web to db\n  egress: not isolated\n");
	answer_with(t, "denied", "by shop/\033[2Jdb");
	cli_run(t, "explain", "shop/web", "shop/db", "icmp");
	assert_status(t, 1);
	assert_string_equal(bh_buf_str(&t->out), "denied\nby shop/\\x1b[2Jdb\n");
	answer_with(t, "denied", "");
	cli_run(t, "explain", "shop/web", "shop/db", "icmp");
	assert_status(t, 1);
	assert_string_equal(bh_buf_str(&t->out), "denied\n");
}

static void port_and_protocol_are_read_as_people_write_them(void **state)
{
	static const struct {
		const char *given, *protocol;
		int port; /* 0: null */
	} t[] = {
		{ "8080", "TCP", 8080 },   { "8080/tcp", "TCP", 8080 }, { "53/UDP", "UDP", 53 },
		{ "9/sctp", "SCTP", 9 },   { "65535", "TCP", 65535 },   { "icmp", "ICMP", 0 },
		{ "ICMPv6", "ICMPv6", 0 },
	};
	struct cli_test *test = *state;
	size_t i;

	answer_with(test, "allowed", "");
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		json_t *want = json_pack("{s:s, s:s, s:s, s:o, s:s}", "method", "explain", "src",
					 "10.0.0.1", "dst", "node:a", "port",
					 t[i].port ? json_integer(t[i].port) : json_null(),
					 "protocol", t[i].protocol);

		cli_run(test, "explain", "10.0.0.1", "node:a", t[i].given);
		assert_status(test, 0);
		assert_true(json_equal(test->request, want));
		json_decref(want);
	}
}

static void what_is_no_port_is_refused_before_asking(void **state)
{
	static const struct {
		const char *given, *want;
	} t[] = {
		{ "http", "'http' is not a port and protocol" },
		{ "", "'' is not a port and protocol" },
		{ "0", "port 0 is not within 1-65535" },
		{ "65536/tcp", "port 65536 is not within" },
		{ "99999999999999999999999", "is not within 1-65535" },
		{ "80/", "does not end with a protocol" },
		{ "80/quic", "does not end with a protocol" },
		{ "80tcp", "does not end with a protocol" },
		{ "udp", "UDP needs a port, as in 8080/udp" },
		{ "8/icmp", "ICMP has no ports: write icmp" },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run(test, "explain", "shop/web", "shop/db", t[i].given);
		assert_status(test, 2);
		assert_error(test, t[i].want);
	}
	cli_run(test, "explain", "shop/\xff", "shop/db", "80");
	assert_status(test, 2);
	assert_error(test, "not UTF-8");
	assert_int_equal(test->n_calls, 0);
}

static void json_is_the_whole_answer(void **state)
{
	struct cli_test *t = *state;
	json_t *printed;

	answer_with(t, "denied", "because");
	cli_run(t, "explain", "shop/web", "shop/db", "80", "-o", "json");
	assert_status(t, 1);
	printed = json_loads(bh_buf_str(&t->out), 0, NULL);
	assert_true(json_equal(printed, json_array_get(t->answers, 0)));
	json_decref(printed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_verdict_is_the_exit_status_and_the_first_word),
		CLI_TEST(port_and_protocol_are_read_as_people_write_them),
		CLI_TEST(what_is_no_port_is_refused_before_asking),
		CLI_TEST(json_is_the_whole_answer),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_explain", tests, NULL, NULL);
}
