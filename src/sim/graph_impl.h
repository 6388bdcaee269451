/*
 * What the files of the graph share; nobody else includes this.
 *
 * Theory of operation.  Pairs of pods are too many to ask the evaluator, so
 * everything that policies cannot tell apart is looked at once:
 *
 *	class	pods with the same namespace, labels, named ports and flags
 *	cell	addresses that are in the same blocks of all rules
 *	view	what a rule can see of the other end: which of the rules' selectors
 *		match it, its cell, its named ports.  A pod has a view per address,
 *		and one for where its address does not matter
 *	profile	what a pod is subject to in one direction: the policies that select
 *		it, and its named ports where ingress rules name ports
 *
 * For each profile the tiers are walked once per view that any of its rules
 * mentions; all others share one result.  Ends that behave alike are a group,
 * and a connection is computed for a pair of groups: what the source's egress
 * profile says of the destination's view, and what the destination's ingress
 * profile says of the source's.
 */
#ifndef BH_SIM_GRAPH_IMPL_H
#define BH_SIM_GRAPH_IMPL_H

#include "bh/alloc.h"
#include "bh/hash.h"
#include "bh/sim.h"

/* --- dense numbers for equal keys -------------------------------------------------------- */

struct bh_id {
	uint32_t id;
	UT_hash_handle hh;
	char key[];
};

/* Zero is the valid empty value. */
struct bh_ids {
	struct bh_id *items;
	uint32_t n;
};

/* The number of @key, the next free one where it is new: 0, 1, 2 ... */
uint32_t bh_ids_get(struct bh_ids *ids, struct bh_arena *arena, const void *key, size_t len);
/* The items are their arena's. */
void bh_ids_done(struct bh_ids *ids);

/* Sorts and drops what is there twice; returns how many are left. */
size_t bh_ids_sort(uint32_t *list, size_t n);

/* --- the parts ------------------------------------------------------------------------- */

#define BH_G_NONE UINT32_MAX

/* A distinct peer of rules. */
struct bh_g_matcher {
	const struct bh_policy *policy; /* of the first rule that has it */
	const struct bh_peer *peer;
	bool is_denying; /* of rules that deny, which count where it cannot be decided */
	bool is_used[BH_DIR_COUNT_];
	/* Views that it matches, each once. */
	uint32_t *views;
	size_t n_views, cap_views;
};

struct bh_g_rule {
	const struct bh_rule *rule;
	const struct bh_conns *fixed; /* its ports without the named ones */
	bool has_names;
	uint32_t *matchers; /* one per peer */
};

struct bh_g_policy {
	const struct bh_policy *policy;
	bool is_audited;
	struct bh_g_rule *rules[BH_DIR_COUNT_];
	UT_hash_handle hh; /* by policy */
};

struct bh_g_class {
	const struct bh_pod *pod; /* one of them */
	uint32_t profile[BH_DIR_COUNT_];
	uint32_t matched; /* number of a list of matchers */
	uint32_t ports;   /* number of its named ports */
};

/* Addresses first-last of one family, in the same blocks. */
struct bh_g_cell {
	struct bh_range range;
	uint32_t matched; /* number of a list of matchers */
};

struct bh_g_list {
	uint32_t *items;
	size_t n;
};

struct bh_g_view {
	enum bh_entity entity;
	uint32_t matched, cell_matched; /* lists of matchers */
	const struct bh_pod *pod;       /* whose named ports count; NULL if none */
	/* Views with the same number get the same of every profile of that direction. */
	uint32_t outcome[BH_DIR_COUNT_];
};

struct bh_g_verdict {
	const struct bh_conns *allowed;
	const struct bh_conns *audited; /* allowed, if audited policies were enforced */
};

/* One view of which a profile thinks other than by default. */
struct bh_g_override {
	uint32_t view;
	struct bh_g_verdict verdict;
};

struct bh_g_profile {
	enum bh_dir dir;
	/* The pods are not subject to policy, or closed whatever the policies say. */
	bool is_free, is_closed, is_closed_if_audited;
	const struct bh_pod *subject;        /* one of the pods; NULL where there is none */
	const struct bh_g_policy **policies; /* in evaluation order */
	size_t n_policies;
	bool is_isolated, is_isolated_if_audited, has_audited;
	struct bh_g_verdict standard;
	struct bh_g_override *overrides; /* sorted by view */
	size_t n_overrides;
};

/* One end of connections: a pod, a node, an external cell. */
struct bh_g_end {
	enum bh_entity entity;
	uint32_t profile[BH_DIR_COUNT_];
	uint32_t *views[BH_FAMILY_COUNT_];
	size_t n_views[BH_FAMILY_COUNT_];
	uint32_t bare;              /* the view without an address */
	bool has_unknown_addresses; /* nobody said which it has */
};

struct bh_g_group {
	struct bh_g_end end;
	uint32_t *peers;
	size_t n_peers, cap_peers;
};

struct bh_g_peer {
	struct bh_graph_peer pub;
	uint32_t group;
	const struct bh_g_end *end; /* of its first pod, node or cell */
};

/* What the graph is made of. */
struct bh_g_source {
	const struct bh_world *world;
	const struct bh_sim_workload *workloads;
	size_t n_workloads;
	bool is_compat;
	bool (*is_made_up)(const void *ctx, const struct bh_addr *a); /* NULL: none */
	const void *ctx;
};

struct bh_graph {
	struct bh_arena *arena;
	struct bh_conn_table *table;
	struct bh_g_source source;
	struct bh_sim_workload *own_workloads; /* NULL if they are somebody else's */

	struct bh_g_policy *policies; /* those that select somebody */

	struct bh_ids matcher_ids, list_ids, class_ids, ports_ids, view_ids, profile_ids, group_ids;
	struct bh_g_matcher *matchers;
	struct bh_g_list *lists;
	struct bh_g_class *classes;
	struct bh_g_view *views;
	struct bh_g_profile *profiles;
	struct bh_g_group *groups;
	size_t n_matchers, n_lists, n_classes, n_views, n_profiles, n_groups;
	size_t cap_matchers, cap_lists, cap_classes, cap_views, cap_profiles, cap_groups;

	struct bh_g_cell *cells[BH_FAMILY_COUNT_];
	size_t n_cells[BH_FAMILY_COUNT_];
	bool has_family[BH_FAMILY_COUNT_];   /* see graph_peers.c */
	bool wants_family[BH_FAMILY_COUNT_]; /* has it whatever the input says */

	struct bh_g_peer *peers;
	size_t n_peers, cap_peers;
	struct bh_graph_peer *public_peers;
	struct bh_graph_edge *edges;
	size_t n_edges, cap_edges;
};

/* --- graph_match.c: classes, matchers, views ------------------------------------------------ */

const struct bh_g_policy *bh_g_policy_of(struct bh_graph *g, const struct bh_policy *policy);
/* @pod NULL: of whom policy is not about. */
uint32_t bh_g_profile_of(struct bh_graph *g, const struct bh_pod *pod, enum bh_dir dir);
/* The number of the class of @pod, with its profiles. */
uint32_t bh_g_class_of(struct bh_graph *g, const struct bh_pod *pod);
/* After all classes: which matchers match which class. */
void bh_g_match_classes(struct bh_graph *g);
/* The number of a list of matchers; @items is sorted in place. */
uint32_t bh_g_list_of(struct bh_graph *g, uint32_t *items, size_t n);
/* @address NULL: the view without one. */
uint32_t bh_g_view_of_class(struct bh_graph *g, uint32_t class, const struct bh_addr *address);
uint32_t bh_g_view_of_node(struct bh_graph *g, const struct bh_node *node,
			   const struct bh_addr *address);
uint32_t bh_g_view_of_cell(struct bh_graph *g, const struct bh_g_cell *cell);
/* After all views: which views each matcher matches. */
void bh_g_link_views(struct bh_graph *g);
bool bh_g_view_has(const struct bh_graph *g, uint32_t view, uint32_t matcher);

/* --- graph_cells.c: addresses ---------------------------------------------------- */

/* After all matchers are known. */
void bh_g_make_cells(struct bh_graph *g);
const struct bh_g_cell *bh_g_cell_of(const struct bh_graph *g, const struct bh_addr *a);

/* --- graph_walk.c: the tiers ----------------------------------------------------- */

/* A rule that matches some view, with the connections that it is about. */
struct bh_g_hit {
	const struct bh_g_policy *policy;
	uint32_t rule;
	const struct bh_conns *conns;
};

/* @on_part is told what decides which connections, in order; may be NULL. */
typedef void bh_g_on_part(void *ctx, const struct bh_g_hit *hit, enum bh_reason reason,
			  bool is_allowed, const struct bh_conns *conns);
const struct bh_conns *bh_g_walk(struct bh_graph *g, const struct bh_g_profile *p,
				 const struct bh_g_hit *hits, size_t n, bool with_audited,
				 bh_g_on_part *on_part, void *ctx);
/* The hits of one view, *ret malloc'ed. */
size_t bh_g_hits(struct bh_graph *g, const struct bh_g_profile *p, uint32_t view,
		 struct bh_g_hit **ret);
/* Judges every view by every profile, and numbers the outcomes. */
void bh_g_judge(struct bh_graph *g);
struct bh_g_verdict bh_g_verdict_of(const struct bh_g_profile *p, uint32_t view);

/* --- graph_pair.c: two ends ------------------------------------------------------ */

/* The edge between two groups, without what depends on nodes and on pods being the same. */
void bh_g_pair(struct bh_graph *g, const struct bh_g_end *src, const struct bh_g_end *dst,
	       struct bh_graph_edge *ret);

/*
 * The families that a connection of two ends may have, as pairs of views:
 * the @i'th of them; false beyond the last.
 */
bool bh_g_view_pair(const struct bh_g_end *src, const struct bh_g_end *dst, size_t i,
		    uint32_t *ret_src, uint32_t *ret_dst, enum bh_family *ret_family);

/* --- graph_peers.c --------------------------------------------------------------- */

/* Everything up to the sorted peers and their groups. */
void bh_g_make_peers(struct bh_graph *g);

/* --- graph.c --------------------------------------------------------------------- */

/* The canonical text of a peer of a rule of @p. */
void bh_g_peer_text(const struct bh_policy *p, const struct bh_peer *peer, struct bh_buf *out);
/* What a rule says of a view, empty if it is not about it. */
const struct bh_conns *bh_g_rule_conns(struct bh_graph *g, const struct bh_g_profile *p,
				       const struct bh_g_rule *r, uint32_t view);

#endif
