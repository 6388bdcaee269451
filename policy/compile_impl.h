/*
 * Inside of the compiler, shared by the compile*.c files.  The theory is told
 * at the top of compile.c.
 */
#ifndef POLICY_COMPILE_IMPL_H
#define POLICY_COMPILE_IMPL_H

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/compile.h"
#include "bh/hash.h"
#include "bh/selector.h"

/* --- ports ------------------------------------------------------------------- */

struct port_range {
	uint8_t protocol;
	uint16_t first, last;
};

/* A named port that each destination pod resolves for itself. */
struct port_name {
	const char *name;
	uint8_t protocol; /* 0: any */
};

struct port_set {
	bool is_all; /* every protocol and port; nothing else counts then */
	struct port_range *ranges;
	size_t n_ranges, ranges_cap;
	struct port_name *names;
	size_t n_names, names_cap;
};

/* Ranges up to this many ports are listed port by port, which fits a hash set. */
#define SMALL_RANGE 16

/* The arrays are the caller's (ports_done) and the names borrowed. */
void ports_add(struct port_set *p, uint8_t protocol, uint16_t first, uint16_t last);
void ports_add_name(struct port_set *p, const char *name, uint8_t protocol);
void ports_union(struct port_set *p, const struct port_set *other);
/* Sorts and merges; call before what follows. */
void ports_normalise(struct port_set *p);
void ports_done(struct port_set *p);
bool ports_is_empty(const struct port_set *p);
/* No range is longer than SMALL_RANGE. */
bool ports_is_exact(const struct port_set *p);
/* Equal sets have the same text. */
void ports_canonical(const struct port_set *p, struct bh_buf *out);
void ports_describe(const struct port_set *p, struct bh_buf *out);
/* Numbers in ranges that are no longer than SMALL_RANGE. */
size_t ports_count_exact(const struct port_set *p);
/* Calls for each port of @pod, which is the world's, that has the name. */
void ports_resolve(const struct port_name *name, const struct bh_pod *pod,
		   void (*on_port)(void *ctx, const struct bh_port *port), void *ctx);
/* The same for all names of @p, normalised. */
void ports_resolve_all(const struct port_set *p, const struct bh_pod *pod,
		       void (*on_port)(void *ctx, const struct bh_port *port), void *ctx);
/* Whether @p, normalised, has the name of @port for its protocol or for any. */
bool ports_has_name(const struct port_set *p, const struct bh_port *port);
/* The ports of @rule, except named ones. */
void ports_add_numbers(struct port_set *p, const struct bh_rule *rule);

/* --- address ranges ------------------------------------------------------------ */

struct range_list {
	struct bh_range *items;
	size_t n, cap;
};

void ranges_done(struct range_list *l);
/* Adds @peer's cidr without its exceptions, as disjoint ranges. */
void ranges_add_peer(struct range_list *l, const struct bh_peer *peer);
/* Sorts, merges what overlaps or touches. */
void ranges_normalise(struct range_list *l);

/* Adds those of @other. */
void ranges_add_all(struct range_list *l, const struct range_list *other);
/* The fewest prefixes that cover it, as an interval set of several fields stores it. */
size_t range_count_prefixes(const struct bh_range *r);

/* Addresses and the ports that are open to them. */
struct range_ports {
	struct bh_range range;
	struct port_set ports;
};

/* Disjoint boxes of addresses and ports. */
struct joined {
	struct range_ports *items;
	size_t n, cap;
	size_t n_elems; /* a range of addresses with a range of ports each */
};

void joined_done(struct joined *j);

/* Addresses of one family and ports, each normalised; the ports are numbers, and not all. */
struct join_block {
	const struct range_list *ranges;
	const struct port_set *ports;
};

struct join_limit {
	size_t elems, work;
	size_t *spent; /* work that was done is added */
};

/* compile_join.c: makes @blocks disjoint; false (and nothing) beyond @limit. */
bool join_by_addr(const struct join_block *blocks, size_t n, struct join_limit limit,
		  struct joined *ret);
bool join_by_port(const struct join_block *blocks, size_t n, struct join_limit limit,
		  struct joined *ret);

/* --- costs -------------------------------------------------------------------------- */

/* What is limited for all profiles of a namespace, and for all of the node. */
enum cost_kind { COST_RULES, COST_ELEMS, COST_BYTES, COST_US, COST_COUNT_ };

struct cost {
	uint64_t of[COST_COUNT_];
};

/* What a profile needs of each thing that is limited, see struct bh_compile_limits. */
struct need {
	size_t rules, selectors, elems, slots;
};

/* --- sets ------------------------------------------------------------------------ */

enum atom_kind {
	ATOM_PODS,
	ATOM_NODES,
	ATOM_UNDECIDED, /* closed pods, which may be any peer of a rule that denies */
};

/* Whom one peer of a rule selects.  Borrowed from policies until it is an atom. */
struct peer_selector {
	enum atom_kind kind;
	const char *own_ns; /* pods: only of this namespace */
	struct bh_selector namespaces, pods;
};

void selector_canonical(const struct peer_selector *s, struct bh_buf *out);
/* The selector of @peer in a policy of @ns. */
struct peer_selector selector_of(const char *ns, const struct bh_peer *peer);

struct set_use;

/* A selector that sets are made of; owned by the sets that use it. */
struct atom {
	char *canonical;
	struct peer_selector selector; /* points into one block */
	void *block;
	struct set_use *uses;
	size_t n_uses, uses_cap;
	UT_hash_handle hh;
};

struct set_entry {
	struct atom *atom;
	struct port_set ports; /* of a set with ports */
	int64_t n_of_nodes;    /* elements that nodes brought */
};

/*
 * A set of the plan with all profiles that look into it.  Sets of peers follow
 * the pods and nodes; the others never change.
 */
struct shared_set {
	char *name; /* without the family: "p_...", or the plan's name */
	struct bh_plan_set *set[BH_FAMILY_COUNT_];
	struct set_entry *entries;
	size_t n_entries;
	size_t n_users;
	size_t n_elems, n_slots; /* of sets that never change */
	size_t n_costed;         /* of sets of peers: elements that were charged last */
	bool is_grown;           /* among those to look at in sets_next_grown() */
	bool is_with_ports;
	bool is_listed; /* among those to look at in sets_collect() */
	/*
	 * Sets of peers.  What peers bring is counted each time, also where two
	 * selectors bring the same.  Beyond the limit the set is over: it is in no
	 * plan, but goes on to be counted.  A count that was given up early is
	 * partial: there is at least so much, and what comes and goes is exact.
	 */
	int64_t n_brought;
	bool is_over, is_partial;
	bool is_crossing; /* among those to look at in sets_next_crossing() */
	bool is_filling;
	UT_hash_handle hh;
};

struct set_use {
	struct shared_set *set;
	size_t entry;
};

/* Atoms by what their pods must have, see compile_index.c. */
struct anchor {
	char *key;
	struct atom **atoms;
	size_t n, cap;
	UT_hash_handle hh;
};

struct atom_index {
	struct anchor *anchors;
	struct bh_buf key; /* scratch */
};

void index_add(struct atom_index *ix, struct atom *atom);
void index_remove(struct atom_index *ix, struct atom *atom);
void index_done(struct atom_index *ix);
/* Calls @on_atom for every atom that may select @pod, given its namespace's labels. */
void index_find(struct atom_index *ix, const struct bh_pod *pod, const struct bh_labels *ns,
		void (*on_atom)(void *ctx, struct atom *atom), void *ctx);
void index_find_nodes(struct atom_index *ix, void (*on_atom)(void *ctx, struct atom *atom),
		      void *ctx);

/* compile_atom.c */
void selector_describe(const struct peer_selector *s, struct bh_buf *out);
struct set_member;
struct atom *atom_get(struct bh_compiler *c, const struct set_member *m);
void atom_use(struct atom *a, struct shared_set *set, size_t entry);
/* The last use takes the atom with it. */
void atom_unuse(struct bh_compiler *c, struct atom *a, const struct shared_set *set);

/* compile_follow.c: bh_plan_put() or bh_plan_drop() of what somebody brings. */
typedef void elem_fn(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem);

/* Host-network and finished pods own no addresses, and are no peers. */
bool is_peer(const struct bh_pod *pod);
/* Whether @pod, which @a's labels and namespaces select, is one of it. */
bool atom_takes(const struct atom *a, const struct bh_pod *pod);
/* Everything that @pod brings through @use. */
void elems_of_pod(struct bh_compiler *c, const struct set_use *use, const struct bh_pod *pod,
		  elem_fn *fn);
void elems_put_nodes(struct bh_compiler *c, const struct atom *a, const struct set_use *uses,
		     size_t n_uses);
/* Takes the pods and nodes as they are now where the world says that they changed. */
void sets_follow(struct bh_compiler *c, const struct bh_changes *changes);

/* What a peer set is asked to be: selectors, each with its ports if @is_with_ports. */
struct set_member {
	struct peer_selector selector;
	const char *canonical;
	const struct port_set *ports;
};

struct shared_set *sets_peers(struct bh_compiler *c, const struct set_member *members, size_t n,
			      bool is_with_ports);
struct shared_set *sets_ports(struct bh_compiler *c, const struct port_set *ports);
/* NULL where @l is empty. */
struct shared_set *sets_ranges(struct bh_compiler *c, const struct range_list *l);
struct shared_set *sets_range_ports(struct bh_compiler *c, const struct range_ports *items,
				    size_t n);
void sets_unuse(struct bh_compiler *c, struct shared_set *s);
/* How many elements peers may bring into it. */
int64_t sets_limit(const struct bh_compiler *c, const struct shared_set *s);
/* After a change of n_brought. */
void sets_note_brought(struct bh_compiler *c, struct shared_set *s);
/*
 * The next set that went over its limit or came back below, NULL if none; the
 * profiles that use it must be built again.
 */
struct shared_set *sets_next_crossing(struct bh_compiler *c);
/* The next set that may have other elements than it was charged for, NULL if none. */
struct shared_set *sets_next_grown(struct bh_compiler *c);
/* What it costs now; of peers in steps, so that not each pod changes it. */
struct cost sets_cost(struct shared_set *s);
/* Removes the sets that nobody uses. */
void sets_collect(struct bh_compiler *c);
void sets_done(struct bh_compiler *c);

/* --- profiles -------------------------------------------------------------------- */

/* What the compiler remembers of a policy while it does not change. */
struct policy_note {
	const struct bh_policy *policy;
	size_t n_items[BH_DIR_COUNT_]; /* rules, and peers, exceptions and ports in them */
	char digest[BH_DIR_COUNT_][BH_DIGEST_LEN + 1];
	struct port_set names; /* those in ingress rules; borrowed from the policy */
	UT_hash_handle hh;
};

void policy_forget(struct bh_compiler *c, const struct bh_policy *p);

/* The policies that make a profile, in evaluation order. */
struct policy_list {
	const struct bh_policy **items;
	size_t n;
};

/* A set that a profile looks into, and what it costs. */
struct charge {
	const char *name;
	struct cost cost;
};

/* The policies of a profile that is not built yet, valid until the update's end. */
struct selection {
	struct policy_list all, enforced, audited;
	const struct bh_pod *pod; /* one of it */
	const struct bh_policy *heaviest;
	size_t n_items;
	bool is_of_namespace; /* one of the policies is, so all pods are */
	struct bh_buf identity;
};
void selection_done(struct selection *s);

struct profile {
	struct bh_profile pub;
	char identity[BH_DIGEST_LEN + 1];
	struct bh_arena *arena;        /* of pub's texts */
	struct bh_plan_chain **chains; /* [0] is the one the maps lead to */
	size_t n_chains, chains_cap;
	struct shared_set **sets;
	size_t n_sets, sets_cap;
	struct need need;
	const char *over;          /* why it is beyond its budget; NULL if it is not */
	struct bh_policy_id blame; /* of its policies the one with the most in it; none: no name */
	struct selection *selection; /* while it is neither built nor closed */
	/* Totals, see compile_total.c. */
	const char *ns;       /* "" for pods of several */
	size_t n_items, work; /* of its policies; of building it */
	struct cost own;      /* beside its sets */
	struct charge *charges;
	size_t n_charges;
	size_t n_world;         /* pods that there were when it was charged */
	bool is_charged;        /* it was built once */
	bool is_over_total;     /* closed for its namespace's total or the node's */
	bool is_wanted;         /* while totals are settled: there is room */
	bool is_waiting;        /* for an update that builds it */
	bool has_waited;        /* for one at least */
	size_t n_waiting;       /* pods, which are in another profile until then */
	bool is_reopened;       /* in place of a closed one, whose pods' elements lead there yet */
	bool is_told;           /* of one that is over: it was returned */
	bool is_retired;        /* in no table: another takes its place */
	bool is_listed;         /* among those to look at in profiles_collect() */
	UT_hash_handle hh;      /* by identity while in use */
	UT_hash_handle by_name; /* in use or gone */
};

/* The profile of a pod in @dir; NULL if nothing selects it. */
struct profile *profiles_find(struct bh_compiler *c, const struct bh_pod *pod, enum bh_dir dir);
/* Pods or policies may have changed since the last profiles_find(). */
void profiles_forget_pods(struct bh_compiler *c);
void profiles_join(struct bh_compiler *c, struct profile *p);
void profiles_leave(struct bh_compiler *c, struct profile *p);
/* Removes the chains of profiles that have no pod any more. */
void profiles_collect(struct bh_compiler *c);
void profiles_done(struct bh_compiler *c);
/* A closed profile in place of @p, whose pods the caller moves. */
struct profile *profile_close(struct bh_compiler *c, struct profile *p, const char *why);
bool profile_looks_into(const struct profile *p, const struct shared_set *s);
bool profile_uses(const struct profile *p, const char *name);
/* Takes it out of the plan and the tables, so that profiles_find() builds it again. */
void profile_retire(struct bh_compiler *c, struct profile *p);
void profile_use(struct profile *p, struct shared_set *s);
/*
 * Builds @p, which has a selection.  Returns it, or the closed one that took its place
 * and its pods because it is beyond its budget.
 */
struct profile *profile_build(struct bh_compiler *c, struct profile *p);
/* A closed one in place of @p, built or not, and with its pods; @why is copied. */
struct profile *profile_close_total(struct bh_compiler *c, struct profile *p, const char *why);
/* Gives @p a selection again, which waited and has pods. */
void profile_select(struct bh_compiler *c, struct profile *p);
/* What a selection says is valid in this update only. */
void profile_unselect(struct profile *p);
/* What pods are in that nothing else may be said of while their profile waits. */
struct profile *profile_loading(struct bh_compiler *c, enum bh_dir dir);
/* A new one with a selection in place of @p, which is closed, and with its pods. */
struct profile *profile_reopen(struct bh_compiler *c, struct profile *p);

/* --- totals, compile_total.c --------------------------------------------------------- */

/* What it is charged changed. */
void profile_charge(struct bh_compiler *c, struct profile *p);
/* Builds what is to be built, as far as the totals allow; closes and opens the others. */
void totals_settle(struct bh_compiler *c);

/* --- local pods, compile.c -------------------------------------------------------------- */

void locals_move(struct bh_compiler *c, const struct profile *from, struct profile *to);
/* Some pod of it. */
const struct bh_pod *locals_of(const struct bh_compiler *c, const struct profile *p);

/* --- budgets, compile_budget.c ------------------------------------------------------- */

/* @wanted with the defaults where it has 0. */
struct bh_compile_limits limits_of(const struct bh_compile_limits *wanted);
/* "NetworkPolicy shop/web and 2 others", which is true; or of one alone. */
bool budget_subject(const struct profile *p, struct bh_buf *out);
void need_add_ports(const struct port_set *ports, struct need *need);
void need_add_joined(const struct range_ports *items, size_t n, struct need *need);
/* Adds to what @p needs; false, with p->over set, beyond a limit. */
bool need_add(struct bh_compiler *c, struct profile *p, const struct need *need);
/* Set p->over where the count was given up; return false. */
bool need_more_elems(struct bh_compiler *c, struct profile *p);
bool need_more_work(struct bh_compiler *c, struct profile *p);
bool need_more_peers(struct bh_compiler *c, struct profile *p, const struct shared_set *s);

/* --- chains, compile_chain.c and compile_match.c ------------------------------------ */

/*
 * Makes chains and sets of @p from policies; @all are both; @pod resolves named
 * ports.  False if @p is over its budget: what was made so far is no use.
 */
bool chains_build(struct bh_compiler *c, struct profile *p, const struct policy_list *enforced,
		  const struct policy_list *audited, const struct policy_list *all,
		  const struct bh_pod *pod);
/* Denies everything; in audit, logs everything as what would be denied. */
void chains_build_closed(struct bh_compiler *c, struct profile *p, bool is_audit);

/* Rules of one action whose order does not matter. */
struct rule_run {
	enum bh_action action;
	struct run_rule {
		const struct bh_rule *rule;
		const char *ns;
	} * rules;
	size_t n, cap;
};

/* Somebody's every packet matches. */
bool run_is_unconditional(const struct rule_run *run, enum bh_dir dir, const struct bh_pod *pod);
/* Adds to @chain the rules that give @verdict to what @run matches; false over budget. */
bool match_build(struct bh_compiler *c, struct profile *p, struct bh_plan_chain *chain,
		 const struct rule_run *run, const struct bh_pod *pod,
		 const struct bh_expr *verdict);
void match_add_rule(struct bh_compiler *c, struct bh_plan_chain *chain, const struct bh_expr *exprs,
		    size_t n);

/* Dynamic sets that limit log messages; all NULL where there is no rate. */
struct denial_limits {
	struct bh_plan_set *addr[BH_FAMILY_COUNT_]; /* by the judged pod's address */
	struct bh_plan_set *group;                  /* by the port; NULL: no group comes here */
};

/*
 * Logs under the chain @name what comes here, as far as @limits let it, counts it, and
 * drops it or, in audit, returns.
 */
void denial_add(struct bh_compiler *c, struct bh_plan_chain *chain, const char *name,
		enum bh_dir dir, const struct denial_limits *limits, bool is_audit);

/* Matches what a bridge marked as a group's, or what it did not, see BH_GROUP_BIT. */
struct bh_expr group_match(bool is_group);

void base_build(struct bh_compiler *c);

/* --- addresses without a known pod, compile_unknown.c ---------------------------------- */

/* Before the base chains. */
void unknown_build(struct bh_compiler *c);
/* Adds the rule for one end of @family's packets, where the configuration asks for it. */
void unknown_add(struct bh_compiler *c, struct bh_plan_chain *chain, enum bh_dir dir,
		 enum bh_family family);

/* Adds @text as a comment that nft can print and the kernel can keep. */
void comment_cut(struct bh_buf *b);

/* --- the compiler --------------------------------------------------------------------- */

struct local_pod {
	const char *key[3]; /* namespace, name, uid: interned by the world */
	const struct bh_pod *pod;
	struct profile *profile[BH_DIR_COUNT_];
	struct profile *waiting[BH_DIR_COUNT_]; /* what it should be in; NULL: it is */
	/* Within an update: what it was in. */
	struct profile *before[BH_DIR_COUNT_];
	bool has_before;
	bool is_changed; /* the pod itself */
	bool is_stale;
	UT_hash_handle hh;
};

/* Pods of a workload share labels and ports, so they share this. */
struct profile_memo {
	/* Namespace, labels, ports, which the world shares; the pod if it is one of a kind. */
	const void *key[4];
	struct profile *profile[BH_DIR_COUNT_];
	UT_hash_handle hh;
};

#define MAX_GONE 1024u

struct bh_compiler {
	struct bh_world *w;
	struct bh_compile_config config;
	struct bh_compile_limits budget;
	struct bh_plan *plan;
	bool is_primed; /* the first update took the whole world */

	struct bh_plan_set *maps[BH_DIR_COUNT_][BH_FAMILY_COUNT_];
	struct denial_limits limits[BH_DIR_COUNT_];
	struct bh_plan_chain *to_group; /* for what a bridge marked */
	/* Neighbour discovery that is exempt from policy, and what only routers send of it. */
	struct bh_plan_chain *discovery, *router_discovery;
	struct bh_plan_set *local[BH_FAMILY_COUNT_]; /* addresses of this node's pods */
	struct bh_plan_set *self[BH_FAMILY_COUNT_];  /* those twice, of pods that do not route */
	struct bh_plan_chain *related;
	struct bh_plan_set *closed[BH_FAMILY_COUNT_]; /* ranges that only they may have */
	struct bh_plan_chain *unknown[BH_DIR_COUNT_];
	struct bh_plan_chain *cut;     /* for what belongs to no connection */
	struct bh_plan_set *cut_proto; /* protocols that are led there */

	struct atom *atoms;
	struct atom_index index;
	struct shared_set *sets;
	/* What each_closed_pod() found, until sets_collect(). */
	const struct bh_pod **closed_pods;
	size_t n_closed_pods, closed_pods_cap;
	bool has_closed_pods;
	struct shared_set **unused_sets;
	size_t n_unused_sets, unused_sets_cap;
	struct shared_set **crossing_sets;
	size_t n_crossing_sets, crossing_sets_cap;
	struct shared_set **grown_sets;
	size_t n_grown_sets, grown_sets_cap;

	struct policy_note *notes;
	struct profile *profiles;         /* by identity */
	struct profile *profiles_by_name; /* with the gone ones */
	bool has_new_over;                /* a profile that is over and was not returned yet */
	bool is_unsettled;                /* totals: profiles or their costs changed */
	struct profile **empty_profiles;
	size_t n_empty_profiles, empty_profiles_cap;
	struct profile *gone[MAX_GONE];
	size_t next_gone;
	struct profile_memo *memos;

	uint64_t load_us;   /* of one update; 0: no limit */
	uint64_t loaded_us; /* in this one */
	size_t n_waiting;   /* profiles */
	bool is_resting;    /* nothing is built in this update that waited before */
	char *last_served;  /* the namespace of what an update built first */

	struct local_pod *locals;
	struct local_pod **stale;
	size_t n_stale, stale_cap;
};

#endif
