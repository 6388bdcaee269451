/*
 * What the files of the world share; nobody else includes this.
 *
 * Objects are immutable once they were published.  A newer version replaces
 * the older one, which stays where it is until bh_world_settle(), so a change
 * is a pair of pointers.  An object plays up to two roles: it is told (a source
 * said it) and it is live (readers see it).  Mostly one object plays both; a
 * pod that is merged of several facts or that lost an address to another pod is
 * a second object that is only live.  Who plays no role is buried, and freed
 * by the next settle.
 */
#ifndef BH_WORLD_IMPL_H
#define BH_WORLD_IMPL_H

#include "bh/hash.h"
#include "bh/selector.h"
#include "bh/world.h"

/* Like bh_container_of(), also from pointers to const. */
#define bh_item(ptr, type, member) ((type *)((uintptr_t)(ptr)-offsetof(type, member)))

/*
 * Hash table of embedded nodes, open addressing.  (uthash needs 56 bytes an
 * item, which is too much where there are five items for each of 100k pods.)
 */
struct bh_hnode {
	uint32_t hash;
};

struct bh_table {
	struct bh_hnode **slots;
	uint8_t *tags;
	size_t cap, n;
};

typedef bool bh_table_eq(const struct bh_hnode *item, const void *key);

/* The slot of the item that equals @key; NULL if there is none. */
struct bh_hnode **bh_table_find(const struct bh_table *t, uint32_t hash, bh_table_eq *eq,
				const void *key);
/* The item's hash is set; no equal item is there. */
void bh_table_add(struct bh_table *t, struct bh_hnode *item);
void bh_table_del(struct bh_table *t, struct bh_hnode **slot);
void bh_table_done(struct bh_table *t);

/* Interned strings: equal ones are the same pointer.  NULL stays NULL. */
const char *bh_intern(struct bh_table *strings, const char *s);
const char *bh_intern_ref(const char *s);
void bh_intern_unref(struct bh_table *strings, const char *s);
/* The pointer of @s if anybody uses that string now. */
const char *bh_intern_find(const struct bh_table *strings, const char *s);
uint32_t bh_intern_hash(const char *s);

/* Arrays of pointers that forget their order. */
struct bh_ptrs {
	void **items;
	uint32_t n, cap;
};

/* Returns the position. */
uint32_t bh_ptrs_add(struct bh_ptrs *a, void *item);
/* The last item moves to @pos; returns it, NULL if nothing moved. */
void *bh_ptrs_del(struct bh_ptrs *a, uint32_t pos);

enum { BH_OBJ_TOLD = 1, BH_OBJ_LIVE = 2 };

struct bh_obj {
	uint8_t kind;  /* enum bh_kind */
	uint8_t roles; /* BH_OBJ_* */
	uint8_t source;
	bool is_buried;
	bool was_seen;   /* published at some time: readers may hold it */
	uint32_t change; /* pods: 1 + index of its pending change, 0 if none */
};

/*
 * One address that a live pod or node bears.  The index leads from the claim
 * to its owner, whose claims and addresses are parallel arrays.
 */
struct bh_claim {
	struct bh_hnode node;
	uint32_t index;        /* BH_CLAIM_OF_NODE | position */
	struct bh_claim *next; /* others of the same address */
};
#define BH_CLAIM_OF_NODE 0x80000000u

/*
 * Pods of one namespace with the same labels and ports share both.  The label
 * index leads to classes, so selectors are matched once per class.
 */
struct bh_class {
	struct bh_hnode node;
	uint32_t n_users; /* pod objects that borrow labels and ports */
	struct bh_space *space;
	struct bh_labels labels;
	const struct bh_port *ports;
	uint32_t n_ports;
	bool has_no_labels_yet;
	struct bh_ptrs pods; /* live ones */
	uint32_t in_space;   /* position in space->classes */
	uint32_t in_index[]; /* two for each label: of the pair, of the key */
};

struct bh_pod_obj {
	struct bh_obj obj;
	struct bh_hnode by_name;
	struct bh_pod_obj *next; /* of the same namespace and name */
	struct bh_class *class;
	uint64_t told; /* a number that grows with each pod that is told of */
	uint32_t in_class;
	uint16_t n_claims;
	bool is_linked; /* on its name's list */
	struct bh_pod pub;
	struct bh_claim claims[]; /* then the addresses, then name, uid, sandbox */
};

struct bh_ns_obj {
	struct bh_obj obj;
	struct bh_namespace pub;
	uint32_t *in_index; /* like a class */
};

struct bh_node_obj {
	struct bh_obj obj;
	struct bh_node pub; /* with the addresses that it owns */
	uint32_t n_claims;
	struct bh_claim claims[]; /* then the addresses */
};

struct bh_policy_obj {
	struct bh_obj obj;
	struct bh_policy pub;
};

/*
 * Namespaces, nodes and policies: what each source says, and which of it is
 * live (the highest source's).
 */
struct bh_entry {
	struct bh_hnode node;
	uint8_t kind;
	uint8_t policy_kind;
	bool is_doomed;        /* the next settle looks whether it can go */
	bool is_own;           /* made by the world: a part of its namespace */
	uint32_t change;       /* 1 + index of the pending change */
	const char *namespace; /* "" except for namespaced policies */
	const char *name;
	struct bh_obj *told[BH_SOURCE_COUNT_];
	struct bh_obj *live;
};

struct bh_space {
	struct bh_entry entry;
	size_t n_users;   /* told pods and policies that name it */
	size_t n_classes; /* that lead to it, with live pods or not */
	struct bh_ptrs classes;
	/* Its own policies, in evaluation order. */
	const struct bh_policy **policies;
	size_t n_policies, cap_policies;
	/* The same with the cluster-scoped ones that can select its pods. */
	const struct bh_policy **merged;
	size_t n_merged;
	uint64_t merged_at;   /* world->cluster_stamp it was made at; 0: never */
	struct bh_entry deny; /* its BH_DEFAULT_DENY policy */
	/* Its BH_QUARANTINE policy, for live pods that have the annotation. */
	struct bh_entry quarantine;
	size_t n_quarantined;
};

/* Classes or namespaces that have a label, or any label of a key. */
struct bh_posting {
	struct bh_hnode node;
	const char *key, *value; /* value NULL: any */
	struct bh_ptrs items;
};

struct bh_change {
	struct bh_obj *before, *after;
	struct bh_entry *entry; /* NULL for pods */
};

struct bh_change_list {
	struct bh_change *items;
	size_t n, cap;
};

/* A sorted listing, made when somebody asks. */
struct bh_listing {
	const void **items;
	size_t n;
	bool is_valid;
};

struct bh_lazy {
	struct bh_listing listings[BH_KIND_COUNT_];
};

struct bh_world {
	char *node;
	bool default_deny[BH_DIR_COUNT_];
	char **exempt;
	size_t n_exempt;
	enum bh_mode mode, settled_mode;
	enum bh_trust trust[BH_ANNOTATION_COUNT_];
	char **trusted;
	size_t n_trusted;
	bool is_trust_changed; /* since the last settle */

	struct bh_table strings;
	struct bh_table pods; /* first of each name */
	struct bh_table classes;
	struct bh_table entries[BH_KIND_COUNT_]; /* of namespaces, nodes, policies */
	struct bh_table addrs;                   /* first claim of each address */
	struct bh_table pod_labels, ns_labels;   /* struct bh_posting */

	const struct bh_policy **cluster; /* cluster-scoped ones, in evaluation order */
	size_t n_cluster, cap_cluster;
	uint64_t cluster_stamp; /* grows with each change of them or of namespaces' labels */

	size_t n_live[BH_KIND_COUNT_], n_local, n_closed;
	uint64_t last_told;
	const char *name_key; /* kubernetes.io/metadata.name, interned */

	struct bh_change_list changes[BH_KIND_COUNT_];
	struct bh_changes out; /* what bh_world_changes() returned */
	struct bh_ptrs buried, doomed, scratch;
	struct bh_lazy *lazy;
};

/* world_copy.c: objects as blobs of one allocation, strings interned. */
struct bh_obj *bh_obj_copy(struct bh_world *w, const struct bh_fact *fact);
void bh_obj_free(struct bh_world *w, struct bh_obj *o);
/* Same content, for namespaces, nodes and policies. */
bool bh_obj_equal(const struct bh_obj *a, const struct bh_obj *b);
void *bh_obj_public(struct bh_obj *o);
const struct bh_addr *bh_node_claimed(const struct bh_node_obj *node);
/*
 * The version of @node that has the addresses which pods leave it now: itself, or
 * a copy if it has others.
 */
struct bh_node_obj *bh_node_with_owned(struct bh_world *w, struct bh_node_obj *node);
/* Interned, sorted by key and unique; release with bh_labels_unref(). */
struct bh_label *bh_labels_intern(struct bh_world *w, const struct bh_labels *labels, size_t *n);
void bh_labels_unref(struct bh_world *w, const struct bh_label *items, size_t n);
bool bh_labels_same(const struct bh_labels *a, const struct bh_labels *b);

/* world_pod.c */
struct bh_pod_obj *bh_pod_new(struct bh_world *w, struct bh_space *space, const struct bh_pod *pod,
			      enum bh_source source, uint64_t told);
/* With every address that @p claims, whatever it owns. */
struct bh_pod_obj *bh_pod_clone(struct bh_world *w, const struct bh_pod_obj *p);
void bh_pod_free(struct bh_world *w, struct bh_pod_obj *p);
/* The first of its name's list; NULL if there is none. */
struct bh_pod_obj *bh_pod_first(const struct bh_world *w, const char *ns, const char *name);
void bh_pod_unlink(struct bh_world *w, struct bh_pod_obj *p);
const struct bh_addr *bh_pod_claimed(const struct bh_pod_obj *p);
bool bh_pod_can_own(const struct bh_pod *p);
/* Same content and same claims, whoever won them. */
bool bh_pod_same(const struct bh_pod_obj *a, const struct bh_pod_obj *b);
/* Makes @p live in the place of @old; either may be NULL. */
void bh_pod_publish(struct bh_world *w, struct bh_pod_obj *old, struct bh_pod_obj *p);
/* Replaces @p by a version that owns what it should own now. */
void bh_pod_reown(struct bh_world *w, struct bh_pod_obj *p);

/* world_merge.c */
int bh_pod_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err);
void bh_pod_remove(struct bh_world *w, const struct bh_key *key);
struct bh_pod_obj *bh_pod_find_told(const struct bh_world *w, const char *ns, const char *name,
				    const char *uid, enum bh_source source);
/* After the world's node became another one. */
void bh_pod_update_all(struct bh_world *w);
/* The one that is meant where several have a name: running ones first, then newer. */
bool bh_pod_is_preferred(const struct bh_pod_obj *a, const struct bh_pod_obj *b);

/* world_addr.c */
bool bh_pod_is_newer(const struct bh_pod_obj *a, const struct bh_pod_obj *b);
struct bh_claim *bh_claims_of(const struct bh_world *w, const struct bh_addr *a);
struct bh_pod_obj *bh_claim_pod(const struct bh_claim *c);   /* NULL if a node's */
struct bh_node_obj *bh_claim_node(const struct bh_claim *c); /* NULL if a pod's */
void bh_claims_add(struct bh_world *w, struct bh_claim *claims, size_t n, uint32_t flag);
void bh_claims_del(struct bh_world *w, struct bh_claim *claims, size_t n);
/* Whether @p gets @a against those that claim it now; it may be one of them. */
bool bh_addr_would_win(const struct bh_world *w, const struct bh_addr *a,
		       const struct bh_pod_obj *p);
/* Whether it is doubtful that one of @addrs, which @p wins, is its own. */
bool bh_addrs_are_contested(const struct bh_world *w, const struct bh_addr *addrs, size_t n,
			    const struct bh_pod_obj *p);
/* Whether a node that claims it has it: no local pod does. */
bool bh_addr_is_left_to_nodes(const struct bh_world *w, const struct bh_addr *a);
/*
 * Gives the addresses to whom they belong after claims came or went; @is_after_node:
 * claims of a node.
 */
void bh_addrs_resolve(struct bh_world *w, const struct bh_addr *addrs, size_t n,
		      bool is_after_node);

/* world_index.c */
struct bh_class *bh_class_get(struct bh_world *w, struct bh_space *space,
			      const struct bh_labels *labels, const struct bh_port *ports,
			      size_t n_ports, bool has_no_labels_yet);
void bh_class_put(struct bh_world *w, struct bh_class *c);
void bh_class_free(struct bh_world *w, struct bh_class *c);
void bh_class_add_pod(struct bh_world *w, struct bh_pod_obj *p);
void bh_class_del_pod(struct bh_world *w, struct bh_pod_obj *p);
/* By the labels of its live version. */
void bh_index_add_ns(struct bh_world *w, struct bh_space *space);
void bh_index_del_ns(struct bh_world *w, struct bh_space *space);
void bh_index_done(struct bh_table *t);

/* world_entry.c */
struct bh_space *bh_space_find(const struct bh_world *w, const char *name);
/* Makes it where needed; NULL with -E2BIG text where there are too many. */
struct bh_space *bh_space_get(struct bh_world *w, const char *name, struct bh_err *err);
/* One more or one less object that names it. */
void bh_space_use(struct bh_world *w, struct bh_space *space);
void bh_space_unuse(struct bh_world *w, struct bh_space *space);
int bh_entry_apply(struct bh_world *w, const struct bh_fact *fact, struct bh_err *err);
void bh_entry_remove(struct bh_world *w, const struct bh_key *key);
/* Replaces a live node by a version that owns what it should own now. */
void bh_node_reown(struct bh_world *w, struct bh_node_obj *node);
struct bh_entry *bh_entry_find(const struct bh_world *w, enum bh_kind kind,
			       enum bh_policy_kind policy_kind, const char *ns, const char *name);
void bh_entry_free(struct bh_world *w, struct bh_entry *e);
/* The next settle frees it if nothing needs it then. */
void bh_entry_doom(struct bh_world *w, struct bh_entry *e);
void bh_entry_reap(struct bh_world *w, struct bh_entry *e);
void bh_space_update_deny(struct bh_world *w, struct bh_space *space);
void bh_space_update_quarantine(struct bh_world *w, struct bh_space *space);
/* Evaluation order: tier, priority, kind, name, namespace. */
int bh_policy_cmp(const struct bh_policy *a, const struct bh_policy *b);

/* world_trust.c */
/* Whether @ns ("": the whole cluster) is trusted. */
bool bh_world_trusts(const struct bh_world *w, const char *ns);
/* What the configuration demands in a namespace, whatever its annotations say. */
const bool *bh_world_demanded_deny(const struct bh_world *w, const char *ns);
/* What is denied in @ns by default, with its annotation as far as it counts. */
void bh_world_wanted_deny(const struct bh_world *w, const struct bh_namespace *ns,
			  bool ret[BH_DIR_COUNT_]);

/* world.c */
/*
 * Who has no role left is buried.  With @role 0 nothing is taken away, and an
 * object that neither has a role nor was ever published is freed at once.
 */
void bh_obj_drop_role(struct bh_world *w, struct bh_obj *o, int role);
/* Records that the live version is another one; returns 1 + the change's index. */
uint32_t bh_change_note(struct bh_world *w, enum bh_kind kind, uint32_t index,
			struct bh_obj *before, struct bh_obj *after, struct bh_entry *entry);
struct bh_obj *bh_change_before(const struct bh_world *w, enum bh_kind kind, uint32_t index);

#endif
