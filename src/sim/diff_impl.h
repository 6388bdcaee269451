/*
 * What the files of the diff share; nobody else includes this.
 */
#ifndef BH_SIM_DIFF_IMPL_H
#define BH_SIM_DIFF_IMPL_H

#include "graph_impl.h"

#define BH_D_NONE UINT32_MAX

/*
 * Something that ends connections in both worlds, or in one: a workload or a
 * part that is one in both, nodes, the addresses that are one range in both.
 */
struct bh_d_end {
	uint32_t before, after; /* peers; BH_D_NONE where there is none */
	const char *label;
	bool is_src, is_dst; /* which ends of edges it is */
	bool is_external;
	struct bh_range range;
};

struct bh_d_pair {
	uint32_t src, dst; /* ends */
};

struct bh_graph_diff {
	struct bh_arena *arena;
	struct bh_graph *before, *after;
	struct bh_ids strings; /* reasons; equal ones are the same pointer */
	const char **texts;
	size_t n_texts, cap_texts;
	struct bh_d_end *ends;
	size_t n_ends, cap_ends;
	struct bh_graph_change *changes;
	struct bh_d_pair *pairs; /* of the changes */
	size_t n_changes, cap_changes, cap_pairs;
	const char **workloads[2]; /* gone, new */
	size_t n_workloads[2], cap_workloads[2];
};

/* --- diff_ends.c ---------------------------------------------------------------------------- */

/* Everything that is an end in one world or both. */
void bh_d_make_ends(struct bh_graph_diff *d);
const char *bh_d_range_label(struct bh_graph_diff *d, const struct bh_range *r);

/* --- diff_cause.c ---------------------------------------------------------------- */

/* Why the edge of the two ends is another one, into @change. */
void bh_d_find_causes(struct bh_graph_diff *d, const struct bh_d_end *src,
		      const struct bh_d_end *dst, struct bh_graph_change *change);

#endif
