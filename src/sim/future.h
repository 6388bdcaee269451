/*
 * Pods that need not exist yet.
 *
 * Lint and exposure say what holds for pods to come as well.  They ask the
 * engine about a copy of the world that has, for every selector that a policy
 * uses, pods that it selects: one with the fewest labels that will do, and some
 * with labels more that another selector excludes.  Namespaces are made up where
 * a selector matches none.
 */
#ifndef BH_SIM_FUTURE_H
#define BH_SIM_FUTURE_H

#include "bh/world.h"

struct future {
	struct bh_world *w;         /* settled */
	const struct bh_pod **pods; /* those that were made up, of w; they have no addresses */
	size_t n_pods;
	bool is_cut; /* there would be more of them than are made */
	struct bh_arena *arena;
	struct future_key *keys;
};

/* Of each selector; sets of labels beyond the smallest are there for what others exclude. */
struct future_limits {
	size_t n_pods;   /* sets of labels */
	size_t n_spaces; /* namespaces for each of them */
	size_t n_made_up_spaces;
};
extern const struct future_limits future_few;  /* where every pod is asked about every other */
extern const struct future_limits future_many; /* where each is asked about once */

/* The same pods in the same order for the same world. */
struct future *future_new(const struct bh_world *w, const struct future_limits *limits);
void future_free(struct future **f);

/*
 * The pod with the fewest labels that the selectors of a policy or of its peer
 * match; @own_ns where @namespaces is NULL.  NULL if nothing can match them.
 */
const struct bh_pod *future_pod(const struct future *f, const char *own_ns,
				const struct bh_selector *namespaces,
				const struct bh_selector *pods);

#endif
