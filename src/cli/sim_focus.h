/*
 * Which connections an answer is about: those of some workloads, in one
 * direction.
 */
#ifndef BH_CLI_SIM_FOCUS_H
#define BH_CLI_SIM_FOCUS_H

#include "sim_input.h"

#define BH_CLI_SIM_FOCUS_OPTIONS                                                                   \
	{ .name = "focus",                                                                         \
	  .arg = "NAMESPACE/WORKLOAD",                                                             \
	  .text = "only connections of this workload; may be repeated" },                          \
	{                                                                                          \
		.name = "direction", .arg = "ingress|egress",                                      \
		.text = "only those to, or from, the workloads chosen"                             \
	}

struct bh_sim_focus {
	const struct bh_cli *cli;
	struct bh_cli_sim_filter filter;
	bool has_dir;
	enum bh_dir dir;
};

/* -EINVAL where a workload is not there, or a direction is of nothing. */
int bh_sim_focus_new(const struct bh_cli *cli, const struct bh_sim *sim, struct bh_sim_focus *ret,
		     struct bh_err *err);
void bh_sim_focus_done(struct bh_sim_focus *f);
bool bh_sim_focus_wants(const struct bh_sim_focus *f, const struct bh_graph_peer *src,
			const struct bh_graph_peer *dst);

#endif
