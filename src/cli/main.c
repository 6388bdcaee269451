#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/log.h"
#include "bh/serve.h"
#include "cli.h"

/* @command: NULL where it is not known. */
static int usage_error(const struct bh_cli_command *command, const struct bh_err *err)
{
	bh_log_error("%s", bh_err_text(err));
	bh_log_info("Try 'bulkhead %s%s--help'.", command ? command->name : "", command ? " " : "");
	return command && command->usage_status ? command->usage_status : BH_CLI_USAGE;
}

static int show_help(const struct bh_cli_command *command, FILE *to)
{
	struct bh_buf out = { 0 };

	if (command)
		bh_cli_command_help(command, &out);
	else
		bh_cli_help(&out);
	fputs(bh_buf_str(&out), to);
	bh_buf_done(&out);
	return BH_CLI_YES;
}

/* The group that stands alone, or with nothing but options; NULL if none does. */
static const struct bh_cli_group *lone_group(int argc, char *const *argv)
{
	if (argc > 1 && argv[1][0] != '-')
		return NULL;
	return argc > 0 ? bh_cli_group_find(argv[0], strlen(argv[0])) : NULL;
}

static int show_group(const struct bh_cli_group *group, FILE *to)
{
	struct bh_buf out = { 0 };

	bh_cli_group_help(group, &out);
	fputs(bh_buf_str(&out), to);
	bh_buf_done(&out);
	return BH_CLI_YES;
}

/* `bulkhead help [COMMAND]` */
static int help_command(int argc, char *const *argv)
{
	const struct bh_cli_command *command = NULL;
	struct bh_err err = { 0 };

	if (lone_group(argc, argv))
		return show_group(lone_group(argc, argv), stdout);
	if (argc > 0) {
		command = bh_cli_find(&argc, &argv, &err);
		if (!command)
			return usage_error(NULL, &err);
	}
	return show_help(command, stdout);
}

static int check_operands(const struct bh_cli *cli, struct bh_err *err)
{
	const struct bh_cli_command *c = cli->command;

	if (cli->n_operands > c->max_operands)
		return bh_err(err, -EINVAL, "'%.64s' is one argument too many for %s",
			      cli->operands[c->max_operands], c->name);
	if (cli->n_operands < c->min_operands)
		return bh_err(err, -EINVAL, "%s needs %s", c->name, c->operands);
	return 0;
}

static int run_command(struct bh_cli *cli, int argc, char *const *argv)
{
	const char *control = getenv("BULKHEAD_CONTROL");
	struct bh_err err = { 0 };

	cli->command = bh_cli_find(&argc, &argv, &err);
	if (!cli->command)
		return usage_error(NULL, &err);
	if (bh_cli_parse(cli, argc, argv, &err) < 0)
		return usage_error(cli->command, &err);
	if (bh_cli_has(cli, "help"))
		return show_help(cli->command, stdout);
	if (check_operands(cli, &err) < 0)
		return usage_error(cli->command, &err);

	cli->control = bh_cli_value(cli, "control");
	if (!cli->control)
		cli->control = control && *control ? control : BH_CONTROL_PATH;
	cli->has_color = bh_cli_wants_color();
	return cli->command->run(cli);
}

static int finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	bh_log_error("cannot write to standard output");
	return BH_CLI_FAILED;
}

int main(int argc, char **argv)
{
	static struct bh_cli cli;
	struct bh_err err = { 0 };
	int n;

	/* Whoever started us may have it ignored; a closed pipe ends us quietly. */
	signal(SIGPIPE, SIG_DFL);
	n = bh_cli_parse(&cli, argc - 1, argv + 1, &err);
	if (n < 0)
		return usage_error(NULL, &err);
	if (bh_cli_has(&cli, "help"))
		return finish(show_help(NULL, stdout));
	argc -= n + 1;
	argv += n + 1;
	if (argc == 0) {
		show_help(NULL, stderr);
		return BH_CLI_USAGE;
	}
	if (!strcmp(argv[0], "help"))
		return finish(help_command(argc - 1, argv + 1));
	if (lone_group(argc, argv)) {
		bool is_asked = argc > 1;

		show_group(lone_group(argc, argv), is_asked ? stdout : stderr);
		return is_asked ? finish(BH_CLI_YES) : BH_CLI_USAGE;
	}
	return finish(run_command(&cli, argc, argv));
}
