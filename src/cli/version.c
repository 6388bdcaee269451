#include <stdio.h>

#include "commands.h"

static int run(const struct bh_cli *cli)
{
	(void)cli;
	puts("bulkhead " BH_VERSION);
	return BH_CLI_YES;
}

const struct bh_cli_command bh_cli_version = {
	.name = "version",
	.summary = "show the version of this program",
	.operands = "",
	.about = "Shows the version of this program.  The agent's is in 'bulkhead status'.\n",
	.examples = "  bulkhead version\n",
	.run = run,
};
