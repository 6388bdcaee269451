#include <stdio.h>

#include "commands.h"

static int ignore(void *ctx, const json_t *data)
{
	(void)ctx;
	(void)data;
	return 0;
}

static int run(const struct bh_cli *cli)
{
	json_t *call = json_pack("{s:s, s:b}", "method", "reload", "accept_empty",
				 (int)bh_cli_has(cli, "accept-empty"));

	return bh_cli_ask(cli, call, BH_CLI_TIMEOUT_MS, ignore, NULL);
}

static const struct bh_cli_option options[] = {
	{ .name = "accept-empty",
	  .text = "folders and files with nothing in them are meant so: drop what they had" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_reload = {
	.name = "reload",
	.summary = "read manifests again and reopen the flow log",
	.operands = "",
	.options = options,
	.about = "Has the agent read its manifests again and reopen its flow log, as SIGHUP\n"
		 "does.  Manifests are watched, so this is only needed after the log was moved.\n"
		 "With --accept-empty, a folder that lost all its manifests, a folder that is\n"
		 "missing, and a file that has no object any more are taken as they are; without\n"
		 "it, what they had stays in force, and `bulkhead status` says so.\n",
	.examples = "  bulkhead reload && bulkhead status --wait\n"
		    "  bulkhead reload --accept-empty   the last policy was removed on purpose\n",
	.run = run,
};
