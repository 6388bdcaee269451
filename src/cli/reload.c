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
	return bh_cli_ask(cli, json_pack("{s:s}", "method", "reload"), BH_CLI_TIMEOUT_MS, ignore,
			  NULL);
}

const struct bh_cli_command bh_cli_reload = {
	.name = "reload",
	.summary = "read manifests again and reopen the flow log",
	.operands = "",
	.about = "Has the agent read its manifests again and reopen its flow log, as SIGHUP\n"
		 "does.  Manifests are watched, so this is only needed after the log was moved.\n",
	.examples = "  bulkhead reload && bulkhead status --wait\n",
	.run = run,
};
