#include "commands.h"

const struct bh_cli_command *const bh_cli_commands[] = {
	&bh_cli_status,       &bh_cli_explain,  &bh_cli_flows,
	&bh_cli_render,       &bh_cli_reload,   &bh_cli_quarantine,
	&bh_cli_release,      &bh_cli_cleanup,  &bh_cli_sim_list,
	&bh_cli_sim_matrix,   &bh_cli_sim_diff, &bh_cli_sim_eval,
	&bh_cli_sim_explain,  &bh_cli_sim_lint, &bh_cli_sim_test,
	&bh_cli_sim_exposure, &bh_cli_version,  NULL,
};

const struct bh_cli_group bh_cli_groups[] = {
	{ .name = "sim",
	  .summary = "what would policies do: questions to manifests, offline",
	  .about = "Answers questions about policies from folders of manifests, with the engine "
		   "that\n"
		   "enforces, and without root, network, agent or cluster.\n" },
	{ .name = NULL },
};
