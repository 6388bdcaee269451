/*
 * The world: every namespace, pod, node and policy that is known now.
 *
 * Pure data structure, no I/O and no clock.  It owns copies of all it is told,
 * merges what several sources say of one pod, decides who owns an address, and
 * remembers what changed since the last bh_world_settle() for the compiler.
 *
 * Merging.  A pod is identified by namespace, name and uid.  A fact without uid
 * (a manifest) describes every pod of that namespace and name; it is a pod of
 * its own only while no other source knows one.  Of one pod, labels come from
 * the highest source that has labels (kube, then manifest, then cri), ports
 * are united (higher source wins for a name), addresses, sandbox and finished
 * state come from the runtime if it knows the pod, else from the highest source.
 * What this node adds (BH_SOURCE_NODE: its ports on the node, their link-local
 * addresses, the operator's extra ones) comes on top.
 *
 * Addresses.  Host-network and finished pods own none.  Of several claims on one
 * address the strongest has it, the others lose it until that goes:
 *
 *   1. the kernel of this node (bh_node.n_kernel);
 *   2. a local pod that is known by its port or by this node's runtime;
 *   3. any other local pod;
 *   4. what somebody says of a node;
 *   5. pods of other nodes.
 *
 * So whoever writes the state of another node, or of pods there, takes no
 * address of a pod that is judged here.  Among equals the newest created wins
 * (ties: the later told).  That is how addresses pass from pod to pod on one node,
 * or between pods that follow each other under one name, and it is right where it
 * is one runtime's or one node's order of events, or both were created and the node
 * is this one.  Where it is not, or a pod of another node claims the address of a
 * local one that is not known for sure, nobody can tell: the stronger one owns the
 * address and is contested, which closes it (bh_pod.is_contested).  Of a link-local
 * address that two local pods have, which are known by their ports, neither is the
 * owner: it is told apart by the link that it is used on, and not by itself.
 *
 * Namespaces that nobody described exist with the one label
 * kubernetes.io/metadata.name as soon as an object names them.
 *
 * Annotations.  Which of them count is a matter of configuration, see trust.h: facts
 * tell what is written, the world decides what of it is in force.
 *
 * Default deny.  From the configuration and the namespaces' annotation the
 * world makes one policy of kind BH_DEFAULT_DENY, in a tier of its own behind
 * Baseline, per namespace that needs one: it selects every pod of the namespace and has in
 * each denied direction one rule that denies everything.  Readers see it among
 * the policies.
 *
 * Quarantine.  A policy of kind BH_QUARANTINE is asked before all others and denies both
 * directions, but what rules before that allow.  Only this node's operator tells one
 * (BH_SOURCE_NODE); for pods with the annotation, where it counts, the world makes one per
 * namespace.  It is enforced whatever annotations of audit say, except in a world that
 * is in audit as a whole.  What the own node sends to the pod passes, as everywhere.
 */
#ifndef BH_WORLD_H
#define BH_WORLD_H

#include "bh/err.h"
#include "bh/source.h"
#include "bh/trust.h"

/* Objects beyond these are refused with -E2BIG. */
#define BH_MAX_PODS       500000
#define BH_MAX_NAMESPACES 100000
#define BH_MAX_NODES      20000
#define BH_MAX_POLICIES   100000

/* The name of what the world makes for pods with the annotation; no other has it. */
#define BH_QUARANTINE_BY_ANNOTATION "by annotation"

/* The namespace that is exempt from default deny where nobody says otherwise. */
#define BH_DEFAULT_EXEMPT_NAMESPACE "kube-system"

struct bh_world_config {
	/*
	 * Pods of this node are local; so are pods of unknown node, except
	 * those that the API has not scheduled yet.  NULL or "": every pod is.
	 */
	const char *node;
	bool default_deny[BH_DIR_COUNT_];
	/* Namespaces never given a default deny by default_deny[]. */
	const char *const *exempt_namespaces;
	size_t n_exempt_namespaces;
	enum bh_mode mode; /* of every policy */
	struct bh_trust_config trust;
};

struct bh_world;

/* Copies @config. */
struct bh_world *bh_world_new(const struct bh_world_config *config);
void bh_world_free(struct bh_world **w);
/* Changes the configuration; everything that depends on it becomes a change. */
void bh_world_configure(struct bh_world *w, const struct bh_world_config *config);

/* Adds or replaces one object of one source. */
int bh_world_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err);
/* Forgets it; unknown keys are ignored. */
void bh_world_remove(struct bh_world *w, const struct bh_key *key);

/*
 * What @source told, as it told it: namespaces, nodes, policies, then pods.  The
 * world must not change meanwhile.
 */
void bh_world_told(const struct bh_world *w, enum bh_source source,
		   void (*on_fact)(void *ctx, const struct bh_fact *fact), void *ctx);
bool bh_world_is_told(const struct bh_world *w, const struct bh_key *key);

/*
 * Everything below returns objects owned by the world, with labels sorted by
 * key and interned strings: equal strings are equal pointers, except for names,
 * uids and sandboxes of pods.  An object never changes: it is replaced by
 * another, which is listed as a change, and stays valid until the settle after.
 * Arrays (listings, policies of a namespace) are valid until the next apply,
 * remove or configure.
 */
const struct bh_pod *bh_world_pod_by_addr(const struct bh_world *w, const struct bh_addr *a);
/*
 * Who owned @a when the world was settled last; valid until the next settle.
 * Looks through the changes since then, of which there are few at most times.
 */
const struct bh_pod *bh_world_settled_pod_by_addr(const struct bh_world *w,
						  const struct bh_addr *a);
/* The live pod of that name; the newest where several have it.  NULL if none. */
const struct bh_pod *bh_world_pod_by_name(const struct bh_world *w, const char *ns,
					  const char *name);
/* Never NULL for the namespace of an object of the world. */
const struct bh_namespace *bh_world_namespace(const struct bh_world *w, const char *name);
const struct bh_node *bh_world_node(const struct bh_world *w, const char *name);
/* The world's own node as configured, "" if it has no name. */
const char *bh_world_own_node(const struct bh_world *w);
const struct bh_node *bh_world_node_by_addr(const struct bh_world *w, const struct bh_addr *a);
const struct bh_policy *bh_world_policy(const struct bh_world *w, enum bh_policy_kind kind,
					const char *ns, const char *name);

/* Every object, in an order that depends on nothing but their names. */
size_t bh_world_pods(const struct bh_world *w, const struct bh_pod *const **ret);
size_t bh_world_namespaces(const struct bh_world *w, const struct bh_namespace *const **ret);
size_t bh_world_nodes(const struct bh_world *w, const struct bh_node *const **ret);
size_t bh_world_policies(const struct bh_world *w, const struct bh_policy *const **ret);

/* The world's own mode, of which its configuration tells. */
enum bh_mode bh_world_mode(const struct bh_world *w);
/*
 * The effective mode: audit if the policy, its namespace or the world is in audit,
 * as far as the annotation counts.
 */
enum bh_mode bh_world_policy_mode(const struct bh_world *w, const struct bh_policy *p);

/*
 * Whether annotation @a counts on objects of @ns ("" for those of the whole cluster);
 * where it does not, @why (may be NULL) says so, beginning with "ignored".
 */
bool bh_world_honours(const struct bh_world *w, enum bh_annotation a, const char *ns,
		      struct bh_err *why);
/* The same, for what would loosen what the configuration's default deny demands. */
bool bh_world_lets_override(const struct bh_world *w, enum bh_annotation a, const char *ns,
			    struct bh_err *why);

/* An annotation that is there and does not count, or not in full. */
struct bh_ignored {
	enum bh_annotation annotation;
	const char *kind; /* "Namespace", "Pod" or a policy's */
	const char *namespace, *name;
	const char *why; /* valid during the call */
};
/* Calls @on_ignored (may be NULL) for each; returns how many there are. */
size_t bh_world_ignored(const struct bh_world *w,
			void (*on_ignored)(void *ctx, const struct bh_ignored *i), void *ctx);

/*
 * Policies that can select pods of @ns in @dir: those of the namespace and the
 * cluster-scoped ones, in evaluation order (tier, priority, kind, name).
 */
size_t bh_world_policies_of(const struct bh_world *w, const char *ns,
			    const struct bh_policy *const **ret);
/*
 * Whether @p is about @pod: namespace, labels; never host-network and finished
 * pods, nor pods of which no labels are known yet.  Their ends are closed
 * whatever the policies say, except in a world that is in audit as a whole:
 * there, what they would be denied passes like everything else.
 */
bool bh_world_selects(const struct bh_world *w, const struct bh_policy *p,
		      const struct bh_pod *pod);
/*
 * Whether @peer, in a rule of @p, is @pod for sure; never host-network and finished
 * pods.  A pod of which no labels are known is where none are asked for; a contested
 * one, which may be another pod of another namespace, is no peer for sure.
 */
bool bh_world_peer_is(const struct bh_world *w, const struct bh_policy *p,
		      const struct bh_peer *peer, const struct bh_pod *pod);
/*
 * The same for rules that deny, which count where it cannot be decided: a closed pod
 * (bh_pod_is_closed()) may be any.
 */
bool bh_world_peer_may_be(const struct bh_world *w, const struct bh_policy *p,
			  const struct bh_peer *peer, const struct bh_pod *pod);

/*
 * Indexed search for the compiler: calls @on_pod for every pod that @ns and
 * @pods select (@own_ns not NULL: only that namespace, @ns ignored), without a
 * look at all pods where an index helps.  The pods are those that
 * bh_world_peer_is() would accept, and contested ones where no labels are asked for, in
 * no particular order.
 */
void bh_world_find_pods(const struct bh_world *w, const char *own_ns, const struct bh_selector *ns,
			const struct bh_selector *pods,
			void (*on_pod)(void *ctx, const struct bh_pod *pod), void *ctx);

/*
 * What changed since the last settle; @before is NULL for new objects and
 * @after for gone ones.  Each object is listed once, in the order in which they
 * first changed.  Objects that are not listed are where they were.  A pod or node
 * that claims other addresses than before, but owns the same, is listed too.
 */
struct bh_changes {
	const struct bh_pod_change {
		const struct bh_pod *before, *after;
	} * pods;
	size_t n_pods;
	const struct bh_namespace_change {
		const struct bh_namespace *before, *after;
	} * namespaces;
	size_t n_namespaces;
	const struct bh_node_change {
		const struct bh_node *before, *after;
	} * nodes;
	size_t n_nodes;
	const struct bh_policy_change {
		const struct bh_policy *before, *after;
	} * policies;
	size_t n_policies;
	bool is_mode_changed; /* the world's own mode */
};

/* Valid until the next apply, remove, configure or settle. */
const struct bh_changes *bh_world_changes(struct bh_world *w);
bool bh_world_is_dirty(const struct bh_world *w);
/* Forgets the changes and frees what they kept alive. */
void bh_world_settle(struct bh_world *w);

/*
 * Calls @on_conflict for each address that others than its owner claim, once for each
 * of them: a pod or a node, the other one is NULL.  @owner is NULL where nobody
 * of those owns it or a node does.  Looks at all addresses.
 */
void bh_world_conflicts(const struct bh_world *w,
			void (*on_conflict)(void *ctx, const struct bh_addr *a,
					    const struct bh_pod *owner, const struct bh_pod *pod,
					    const struct bh_node *node),
			void *ctx);

struct bh_world_stats {
	size_t n_pods, n_local_pods, n_namespaces, n_nodes, n_policies;
	size_t n_closed; /* pods for which bh_pod_is_closed() */
};
struct bh_world_stats bh_world_stats(const struct bh_world *w);

#endif
