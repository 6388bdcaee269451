#include "commands.h"

const struct bh_cli_command *const bh_cli_commands[] = {
	&bh_cli_status, &bh_cli_explain, &bh_cli_flows,   &bh_cli_render,
	&bh_cli_reload, &bh_cli_cleanup, &bh_cli_version, NULL,
};
