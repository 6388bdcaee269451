/*
 * Every command of the program; see commands.c for their order in --help.
 */
#ifndef BH_CLI_COMMANDS_H
#define BH_CLI_COMMANDS_H

#include "cli.h"

extern const struct bh_cli_command bh_cli_status;
extern const struct bh_cli_command bh_cli_explain;
extern const struct bh_cli_command bh_cli_flows;
extern const struct bh_cli_command bh_cli_render;
extern const struct bh_cli_command bh_cli_reload;
extern const struct bh_cli_command bh_cli_quarantine;
extern const struct bh_cli_command bh_cli_release;
extern const struct bh_cli_command bh_cli_cleanup;
extern const struct bh_cli_command bh_cli_sim_list;
extern const struct bh_cli_command bh_cli_sim_matrix;
extern const struct bh_cli_command bh_cli_sim_diff;
extern const struct bh_cli_command bh_cli_sim_eval;
extern const struct bh_cli_command bh_cli_sim_explain;
extern const struct bh_cli_command bh_cli_sim_lint;
extern const struct bh_cli_command bh_cli_sim_test;
extern const struct bh_cli_command bh_cli_sim_exposure;
extern const struct bh_cli_command bh_cli_version;

#endif
