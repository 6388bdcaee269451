/*
 * The program around the commands: help, wrong usage, where the agent is.
 */
#include "cli_run.h"

#include "bh/file.h"

static const char *const commands[] = { "status", "explain", "flows",  "render",
					"reload", "cleanup", "version" };

static void help_shows_every_command(void **state)
{
	const char *const *const ways[] = { CLI_ARGS("--help"), CLI_ARGS("-h"), CLI_ARGS("help") };
	struct cli_test *t = *state;
	size_t i, k;

	for (i = 0; i < BH_ARRAY_LEN(ways); i++) {
		cli_run_with(t, "", ways[i]);
		assert_status(t, 0);
		for (k = 0; k < BH_ARRAY_LEN(commands); k++)
			assert_out(t, commands[k]);
	}
}

static void help_of_a_command_has_usage_options_and_examples(void **state)
{
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(commands); i++) {
		bh_auto_free char *usage = bh_asprintf("Usage: bulkhead %s ", commands[i]);
		bh_auto_free char *example = bh_asprintf("bulkhead %s", commands[i]);

		cli_run(t, commands[i], "--help");
		assert_status(t, 0);
		assert_out(t, usage);
		assert_out(t, "--control PATH");
		assert_contains(strstr(bh_buf_str(&t->out), "Examples:"), example);
		cli_run(t, "help", commands[i]);
		assert_status(t, 0);
		assert_out(t, usage);
	}
}

static void without_a_command_help_is_an_error(void **state)
{
	struct cli_test *t = *state;

	cli_run_with(t, "", (const char *const[]){ NULL });
	assert_status(t, 2);
	assert_error(t, "Usage: bulkhead COMMAND");
	assert_string_equal(bh_buf_str(&t->out), "");
}

static void wrong_usage_names_what_is_wrong_and_what_is_near(void **state)
{
	static const struct {
		const char *args[5];
		const char *want;
	} t[] = {
		{ { "staus" }, "error: unknown command 'staus'; did you mean 'status'?" },
		{ { "flow" }, "did you mean 'flows'?" },
		{ { "xyzzy" }, "error: unknown command 'xyzzy'\n" },
		{ { "help", "explian" }, "unknown command 'explian'; did you mean 'explain'?" },
		{ { "a\033[31mb" }, "unknown command 'a\\x1b[31mb'" },
		{ { "status", "--wiat" }, "unknown option '--wiat'; did you mean '--wait'?" },
		{ { "status", "--wiat=3" }, "unknown option '--wiat'; did you mean '--wait'?" },
		{ { "status", "--frobnicate" }, "unknown option '--frobnicate'\n" },
		{ { "status", "-x" }, "unknown option '-x'\n" },
		{ { "--wait", "status" }, "unknown option '--wait'" },
		{ { "status", "--wait=yes" }, "--wait takes no value" },
		{ { "status", "--control" }, "--control needs a value: PATH" },
		{ { "status", "-o", "xml" }, "--output is one of text|json, not 'xml'" },
		{ { "status", "-oyaml" }, "not 'yaml'" },
		{ { "status", "--output=" }, "not ''" },
		{ { "status", "now" }, "'now' is one argument too many for status" },
		{ { "explain", "shop/web" }, "explain needs SRC DST PORT/PROTO" },
		{ { "status", "--timeout", "soon" }, "'soon' is not a duration such as 30s" },
		{ { "status", "--timeout", "5w" }, "'5w' is not a duration" },
		{ { "status", "--timeout", "-5" }, "'-5' is not a duration" },
		{ { "status", "--timeout", "99999999999999999999" }, "is too long" },
	};
	struct cli_test *test = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		cli_run_with(test, "", t[i].args);
		assert_status(test, 2);
		assert_error(test, t[i].want);
		assert_string_equal(bh_buf_str(&test->out), "");
	}
	assert_int_equal(test->n_calls, 0);
}

static void options_may_stand_anywhere_and_in_every_form(void **state)
{
	const char *const *const ways[] = {
		CLI_ARGS("explain", "a/b", "c/d", "80", "-o", "json"),
		CLI_ARGS("explain", "-ojson", "a/b", "c/d", "80"),
		CLI_ARGS("explain", "a/b", "--output=json", "c/d", "80"),
		CLI_ARGS("explain", "a/b", "--output", "text", "c/d", "80", "--output", "json"),
		CLI_ARGS("explain", "-o", "json", "--", "a/b", "c/d", "80"),
	};
	struct cli_test *t = *state;
	size_t i;

	json_array_append_new(t->answers, json_pack("{s:s}", "verdict", "allowed"));
	for (i = 0; i < BH_ARRAY_LEN(ways); i++) {
		cli_run_with(t, "", ways[i]);
		assert_status(t, 0);
		assert_out(t, "\"verdict\": \"allowed\"");
		assert_string_equal(json_string_value(json_object_get(t->request, "dst")), "c/d");
	}
}

static void version_is_said(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "version");
	assert_status(t, 0);
	assert_string_equal(bh_buf_str(&t->out), "bulkhead " BH_VERSION "\n");
}

static void the_socket_is_found_by_option_then_environment(void **state)
{
	struct cli_test *t = *state;

	cli_run(t, "reload");
	assert_status(t, 0);
	assert_int_equal(t->n_calls, 1);
	cli_run(t, "--control", "/nonexistent.sock", "reload");
	assert_status(t, 3);
	assert_error(t, "error: no agent listens on '/nonexistent.sock'");
	assert_error(t, "Is bulkheadd running");
	cli_run(t, "reload", "--control", "/nonexistent.sock");
	assert_status(t, 3);
	assert_int_equal(t->n_calls, 1);
}

static void an_error_of_the_agent_is_exit_4(void **state)
{
	struct cli_test *t = *state;

	t->error_code = -EINVAL;
	t->error_text = "no pod shop/wbe is known";
	cli_run(t, "explain", "shop/wbe", "shop/db", "80");
	assert_status(t, 4);
	assert_string_equal(bh_buf_str(&t->err), "error: no pod shop/wbe is known\n");
}

static void no_permission_says_how_to_get_it(void **state)
{
	struct cli_test *t = *state;

	t->error_code = -EACCES;
	t->error_text = "user 1000 may not use this socket";
	cli_run(t, "status");
	assert_status(t, 4);
	assert_error(t, "Run this as root, or let a group in: chgrp GROUP /tmp/bh-cli-");
}

/* Runs `bulkhead --help` with @fd as standard output; closes it. */
static void help_into(struct cli_test *t, int fd)
{
	int err[2], status;
	pid_t pid;

	bh_buf_reset(&t->err);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		cli_exec(t, fd, fd, err[1], CLI_ARGS("--help"));
	close(fd);
	close(err[1]);
	while (!cli_drain(err[0], &t->err))
		;
	close(err[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	t->status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void a_closed_pipe_ends_the_program_quietly(void **state)
{
	struct cli_test *t = *state;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	help_into(t, fds[1]);
	assert_int_equal(t->status, -SIGPIPE);
	assert_string_equal(bh_buf_str(&t->err), "");
}

static void a_full_disk_is_an_error(void **state)
{
	struct cli_test *t = *state;

	help_into(t, open("/dev/full", O_RDWR | O_CLOEXEC));
	assert_status(t, 4);
	assert_error(t, "cannot write to standard output");
}

static void output_that_is_no_terminal_has_no_colours(void **state)
{
	struct cli_test *t = *state;

	setenv("TERM", "xterm", 1);
	json_array_append_new(t->answers, json_pack("{s:b}", "ready", true));
	cli_run(t, "status");
	assert_status(t, 0);
	assert_not_out(t, "\033");
}

/* A file of the source tree, which is build/VARIANT's grandparent. */
static char *read_source(const char *name)
{
	bh_auto_free char *path = bh_strdup(cli_program());
	bh_auto_free char *file = NULL;
	struct bh_err err = { 0 };
	char *text;
	size_t len;
	int i;

	for (i = 0; i < 3; i++)
		*strrchr(path, '/') = '\0';
	file = bh_asprintf("%s/%s", path, name);
	assert_ok(bh_read_file(file, 1 << 20, &text, &len, &err), &err);
	return text;
}

/* In mdoc(7), "--wait" is "Fl -wait". */
static void check_options(const char *help, const char *manual, const char *completion)
{
	const char *option = help;

	while ((option = strstr(option, " --"))) {
		bh_auto_free char *word = bh_strndup(option + 1, strcspn(option + 1, " =,:;.\n"));
		bh_auto_free char *flag = bh_asprintf("Fl %s", word + 1);

		assert_contains(manual, flag);
		if (completion)
			assert_contains(completion, word);
		option += 3;
	}
}

static void manual_and_completion_know_every_command_and_option(void **state)
{
	bh_auto_free char *completion = read_source("packaging/completions/bulkhead");
	bh_auto_free char *manual = read_source("packaging/man/bulkhead.1");
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(commands); i++) {
		bh_auto_free char *section = bh_asprintf(".Ss %s\n", commands[i]);

		assert_contains(completion, commands[i]);
		assert_contains(manual, section);
		cli_run(t, commands[i], "--help");
		*strstr(t->out.data, "\nExamples:") = '\0';
		check_options(strstr(t->out.data, "\nOptions:"), manual, completion);
	}
}

/* Options of every command of the simulator; --control is of no use to it, and told in bulkhead(1).
 */
static void the_simulators_manual_knows_its_commands(void **state)
{
	static const char *const names[] = { "list",    "matrix",   "diff", "eval",
					     "explain", "exposure", "lint", "test" };
	bh_auto_free char *completion = read_source("packaging/completions/bulkhead");
	bh_auto_free char *own = read_source("packaging/man/bulkhead-sim.1");
	bh_auto_free char *common = read_source("packaging/man/bulkhead.1");
	bh_auto_free char *manual = bh_asprintf("%s%s", own, common);
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(names); i++) {
		bh_auto_free char *section = bh_asprintf(".Ss sim %s\n", names[i]);

		assert_contains(completion, names[i]);
		assert_contains(own, section);
		cli_run(t, "sim", names[i], "--help");
		assert_status(t, 0);
		*strstr(t->out.data, "\nExamples:") = '\0';
		check_options(strstr(t->out.data, "\nOptions:"), manual, completion);
	}
}

static void the_agents_manual_knows_every_option_of_the_agent(void **state)
{
	bh_auto_free char *manual = read_source("packaging/man/bulkheadd.8");
	bh_auto_free char *command = bh_asprintf("%sd --help", cli_program());
	bh_auto_free char *help = NULL;
	FILE *agent = popen(command, "re");
	struct bh_err err = { 0 };
	size_t len;

	(void)state;
	assert_non_null(agent);
	assert_ok(bh_read_fd(fileno(agent), command, 1 << 20, &help, &len, &err), &err);
	assert_int_equal(pclose(agent), 0);
	assert_contains(help, "--policies");
	check_options(help, manual, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(help_shows_every_command),
		CLI_TEST(help_of_a_command_has_usage_options_and_examples),
		CLI_TEST(without_a_command_help_is_an_error),
		CLI_TEST(wrong_usage_names_what_is_wrong_and_what_is_near),
		CLI_TEST(options_may_stand_anywhere_and_in_every_form),
		CLI_TEST(version_is_said),
		CLI_TEST(the_socket_is_found_by_option_then_environment),
		CLI_TEST(an_error_of_the_agent_is_exit_4),
		CLI_TEST(no_permission_says_how_to_get_it),
		CLI_TEST(a_closed_pipe_ends_the_program_quietly),
		CLI_TEST(a_full_disk_is_an_error),
		CLI_TEST(manual_and_completion_know_every_command_and_option),
		CLI_TEST(the_simulators_manual_knows_its_commands),
		CLI_TEST(the_agents_manual_knows_every_option_of_the_agent),
		CLI_TEST(output_that_is_no_terminal_has_no_colours),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
