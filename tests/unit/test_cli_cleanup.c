/*
 * `bulkhead cleanup`, in a network namespace of the test's own.
 */
#include "cli_run.h"

#include <sched.h>

static int sh(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define TABLES     "nft add table inet bulkhead && nft add table inet other"
#define HAVE_OURS  "nft list table inet bulkhead >/dev/null 2>&1"
#define HAVE_OTHER "nft list table inet other >/dev/null 2>&1"

/* A fresh network namespace with our table and another's. */
static int enter_netns(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	return sh(TABLES);
}

#define require_netns()                                                                            \
	do {                                                                                       \
		if (enter_netns() != 0) {                                                          \
			print_message("skipped: needs root, nft and network namespaces\n");        \
			skip();                                                                    \
		}                                                                                  \
	} while (0)

static void without_an_agent_our_table_goes_and_no_other(void **state)
{
	struct cli_test *t = *state;

	require_netns();
	cli_run(t, "cleanup", "--control", "/nonexistent.sock");
	assert_status(t, 0);
	assert_out(t, "('inet bulkhead', 'netdev bulkhead' and 'bridge bulkhead') are gone");
	assert_int_not_equal(sh(HAVE_OURS), 0);
	assert_int_equal(sh(HAVE_OTHER), 0);
	/* Nothing there is what was asked for. */
	cli_run(t, "cleanup", "--control", "/nonexistent.sock");
	assert_status(t, 0);
}

static void an_agent_that_runs_keeps_the_rules_unless_told_otherwise(void **state)
{
	struct cli_test *t = *state;

	require_netns();
	cli_run_with(t, "y\n", CLI_ARGS("cleanup"));
	assert_status(t, 1);
	assert_error(t, "it will notice and load its rules again");
	assert_error(t, "--yes removes without a question");
	assert_int_equal(sh(HAVE_OURS), 0);
	cli_run(t, "cleanup", "--yes");
	assert_status(t, 0);
	assert_int_not_equal(sh(HAVE_OURS), 0);
	assert_int_equal(sh(TABLES), 0);
	cli_run(t, "cleanup", "--force");
	assert_status(t, 0);
	assert_int_not_equal(sh(HAVE_OURS), 0);
}

static void without_the_capability_it_says_so(void **state)
{
	struct cli_test *t = *state;

	require_netns();
	t->has_no_net_admin = true;
	cli_run(t, "cleanup", "--yes");
	assert_status(t, 4);
	assert_error(t, "needs CAP_NET_ADMIN");
	assert_int_equal(sh(HAVE_OURS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(without_an_agent_our_table_goes_and_no_other),
		CLI_TEST(an_agent_that_runs_keeps_the_rules_unless_told_otherwise),
		CLI_TEST(without_the_capability_it_says_so),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_cleanup", tests, NULL, NULL);
}
