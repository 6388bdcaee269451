/*
 * The objects that policy is about, as plain data ("facts").
 *
 * A source decodes one object into one of these structs and hands it to the
 * sink; every pointer inside is borrowed from the source and valid during the
 * call only.  The world copies what it keeps, with strings interned and labels
 * sorted by key, and hands out the same structs for reading.
 *
 * Sources of the rules: Kubernetes API reference, networking.k8s.io/v1
 * NetworkPolicy and core/v1 Pod, Namespace, Node; policy.networking.k8s.io
 * ClusterNetworkPolicy for tiers.
 */
#ifndef BH_MODEL_H
#define BH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/addr.h"

/*
 * Later sources win where two describe the same pod.  What this node itself says
 * of a pod is no description: it adds ports and addresses to a pod that another
 * source knows.
 */
enum bh_source {
	BH_SOURCE_NODE,     /* this node: its kernel and its operator's configuration */
	BH_SOURCE_CRI,      /* the container runtime of this node */
	BH_SOURCE_MANIFEST, /* files */
	BH_SOURCE_KUBE,     /* the Kubernetes API */
	BH_SOURCE_COUNT_
};
const char *bh_source_str(enum bh_source source); /* "node", "cri", "manifest", "kube" */

enum bh_dir { BH_INGRESS, BH_EGRESS, BH_DIR_COUNT_ };
const char *bh_dir_str(enum bh_dir dir); /* "ingress", "egress" */

enum bh_mode { BH_ENFORCE, BH_AUDIT, BH_MODE_COUNT_ };
const char *bh_mode_str(enum bh_mode mode); /* "enforce", "audit" */

/*
 * Evaluated in this order; Pass leads to the next.  In all but NetworkPolicy the
 * first rule that matches decides.  The first and the last are Bulkhead's own, see world.h.
 */
enum bh_tier {
	BH_TIER_QUARANTINE,
	BH_TIER_ADMIN,
	BH_TIER_NETWORK_POLICY,
	BH_TIER_BASELINE,
	BH_TIER_DEFAULT_DENY,
	BH_TIER_COUNT_
};
const char *bh_tier_str(enum bh_tier tier); /* "Quarantine", "Admin", "NetworkPolicy", ... */

/* What a matching rule does.  In the NetworkPolicy tier only BH_ALLOW. */
enum bh_action { BH_ALLOW, BH_DENY, BH_PASS, BH_ACTION_COUNT_ };
const char *bh_action_str(enum bh_action action); /* "Allow", "Deny", "Pass" */

struct bh_label {
	const char *key, *value;
};

/* Labels or annotations of one object; a key occurs once. */
struct bh_labels {
	const struct bh_label *items;
	size_t n;
};

/* The value of @key or NULL.  Linear: works on unsorted labels too. */
const char *bh_labels_get(const struct bh_labels *labels, const char *key);

/* A container port.  Only named ones matter to policy. */
struct bh_port {
	const char *name;
	uint16_t number;  /* host byte order, 1-65535 */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP or IPPROTO_SCTP */
};

/*
 * A pod's port: the end of its network interface that lies on this node, where the
 * kernel sees what comes from the pod and what goes to it.
 */
struct bh_pod_port {
	uint32_t ifindex;
	char name[16];  /* of the link; IFNAMSIZ */
	uint8_t mac[6]; /* of the pod's end, as it was when the port was found */
	bool has_mac;
	uint32_t bridge; /* ifindex of the bridge that it is a port of; 0: it is routed */
};

struct bh_pod {
	const char *namespace, *name;
	const char *uid;  /* "" where the source has none */
	const char *node; /* spec.nodeName; "" where the source has none */
	struct bh_labels labels;
	const struct bh_port *ports;
	size_t n_ports;
	/*
	 * status.podIPs.  Read from the world these are the addresses that the
	 * pod owns there: none for host-network and finished pods, none that
	 * belong to somebody else; and also what this node adds: link-local
	 * addresses of its interfaces and those that the operator lists.
	 */
	const struct bh_addr *addrs;
	size_t n_addrs;
	/*
	 * Path of its network namespace; NULL where unknown.  Only the runtime
	 * and a manifest's annotation tell it (the world ignores any other
	 * source): who may name a path here says whose traffic is this pod's.
	 */
	const char *netns;
	/*
	 * Ports of this node that are the pod's, by ifindex, and networks besides
	 * addrs from which its operator lets it send.  Told by BH_SOURCE_NODE only;
	 * host-network and finished pods have none.
	 */
	const struct bh_pod_port *pod_ports;
	size_t n_pod_ports;
	const struct bh_cidr *extra;
	size_t n_extra;
	bool is_local;          /* lives on the world's node; set by the world */
	bool is_host_network;   /* spec.hostNetwork */
	bool is_finished;       /* status.phase Succeeded or Failed, or sandbox not ready */
	bool has_no_labels_yet; /* they are unknown, as opposed to none: it is closed */
	bool has_ignored_ports; /* told by an annotation that does not count; set by the world */
	bool is_quarantined;    /* annotation bulkhead.dev/quarantine, whether it counts or not */
	/*
	 * Another pod claims one of addrs and nobody can tell which of them has it:
	 * its labels may be the other's, so it is closed as well.  Set by the world.
	 */
	bool is_contested;
	int line;                                  /* 1-based, of file; 0 if unknown */
	uint64_t created_ns;                       /* creation time since 1970; 0 where unknown */
	const char *workload_kind, *workload_name; /* controlling owner; NULL if none */
	const char *sandbox_id;                    /* of the runtime; NULL if unknown */
	const char *file;                          /* manifest it came from; NULL if none */
};

/*
 * Whether @path can be that of a network namespace: absolute, of at most
 * BH_NETNS_PATH_MAX plain characters, and without ".." that leads elsewhere.
 */
#define BH_NETNS_PATH_MAX 255
bool bh_netns_path_is_good(const char *path);

/* Nobody knows which labels what comes from its addresses has: both its ends are closed. */
bool bh_pod_is_closed(const struct bh_pod *pod);
/* Whether @a is one of its addresses. */
bool bh_pod_owns(const struct bh_pod *pod, const struct bh_addr *a);

struct bh_namespace {
	const char *name;
	struct bh_labels labels; /* kubernetes.io/metadata.name is added by the world */
	/* Annotation bulkhead.dev/default-deny; has_ false where absent. */
	bool has_default_deny;
	bool default_deny[BH_DIR_COUNT_];
	enum bh_mode mode; /* annotation bulkhead.dev/mode */
};

struct bh_node {
	const char *name;
	struct bh_labels labels;
	/*
	 * status.addresses that are IPs; read from the world, without those that
	 * a local pod has.  The first n_kernel of them are not what somebody said:
	 * the kernel of the world's own node has them.
	 */
	const struct bh_addr *addrs;
	size_t n_addrs, n_kernel;
	/* spec.podCIDRs; in facts as they are told only, the world does not keep them. */
	const struct bh_cidr *pod_cidrs;
	size_t n_pod_cidrs;
};

enum bh_sel_op { BH_SEL_IN, BH_SEL_NOT_IN, BH_SEL_EXISTS, BH_SEL_DOES_NOT_EXIST, BH_SEL_OP_COUNT_ };
const char *bh_sel_op_str(enum bh_sel_op op); /* "In", ... */

/* matchLabels entries are In with one value. */
struct bh_requirement {
	const char *key;
	enum bh_sel_op op;
	const char *const *values;
	size_t n_values;
	bool is_sorted; /* values ascend, as in objects read from the world */
};

/* All requirements must hold; none selects everything. */
struct bh_selector {
	const struct bh_requirement *reqs;
	size_t n_reqs;
};

enum bh_peer_kind {
	BH_PEER_PODS,    /* namespaceSelector and podSelector */
	BH_PEER_CIDR,    /* ipBlock, networks */
	BH_PEER_NODES,   /* ClusterNetworkPolicy egress nodes: selector in pods */
	BH_PEER_NOTHING, /* unknown or empty peer: matches nobody */
	BH_PEER_KIND_COUNT_
};

struct bh_peer {
	enum bh_peer_kind kind;
	bool has_namespaces;           /* false: the policy's own namespace */
	struct bh_selector namespaces; /* BH_PEER_PODS */
	struct bh_selector pods;       /* BH_PEER_PODS, BH_PEER_NODES */
	struct bh_cidr cidr;           /* BH_PEER_CIDR */
	const struct bh_cidr *except;  /* parts of cidr that do not match */
	size_t n_except;
	int line;
};

struct bh_policy_port {
	uint8_t protocol;     /* IPPROTO_*; 0 means any protocol */
	const char *name;     /* named port, or NULL for a range */
	uint16_t first, last; /* inclusive; 0-65535 stands for all ports */
	int line;
};

struct bh_rule {
	const char *name; /* ClusterNetworkPolicy rule name; NULL in v1 */
	enum bh_action action;
	/* Any of them matches; has_peers false: everybody matches. */
	bool has_peers;
	const struct bh_peer *peers;
	size_t n_peers;
	/* Any of them matches; has_ports false: every protocol and port. */
	bool has_ports;
	const struct bh_policy_port *ports;
	size_t n_ports;
	int line;
};

struct bh_rules {
	const struct bh_rule *items;
	size_t n;
};

enum bh_policy_kind {
	BH_NETWORK_POLICY,                /* networking.k8s.io/v1 */
	BH_CLUSTER_NETWORK_POLICY,        /* policy.networking.k8s.io/v1alpha2 */
	BH_ADMIN_NETWORK_POLICY,          /* policy.networking.k8s.io/v1alpha1, tier Admin */
	BH_BASELINE_ADMIN_NETWORK_POLICY, /* the same group, tier Baseline, named "default" */
	BH_DEFAULT_DENY,                  /* bulkhead's own baseline, see world.h */
	BH_QUARANTINE,                    /* an operator's act, or an annotation's; see world.h */
	BH_POLICY_KIND_COUNT_
};
const char *bh_policy_kind_str(enum bh_policy_kind kind); /* "NetworkPolicy", ... */

struct bh_policy {
	enum bh_policy_kind kind;
	enum bh_tier tier;
	int priority;          /* lower first within Admin and Baseline; 0 where a kind has none */
	const char *namespace; /* "" for cluster-scoped kinds */
	const char *name;
	const char *uid;    /* "" where the source has none */
	int64_t generation; /* metadata.generation; 0 where the source has none */
	/* The pods it is about: of its namespace, or of the selected ones. */
	bool has_namespaces;
	struct bh_selector namespaces;
	struct bh_selector pods;
	/* BH_QUARANTINE: the one pod of that name only; NULL: whatever the labels select. */
	const char *pod;
	bool is_by_annotation;        /* BH_QUARANTINE: only pods that have the annotation */
	bool isolates[BH_DIR_COUNT_]; /* v1 policyTypes; false in other tiers */
	bool has_policy_types;        /* they were written, and not taken from the rules */
	struct bh_rules rules[BH_DIR_COUNT_];
	enum bh_mode mode; /* annotation bulkhead.dev/mode */
	/*
	 * Why the policy failed validation, else NULL.  Such a policy isolates
	 * the pods it selects (all of its namespace where the selector itself
	 * is unreadable) in both directions and allows nothing.
	 */
	const char *invalid;
	const char *file;
	int line;
};

/* Whether policies of that kind are of a namespace. */
bool bh_policy_kind_is_namespaced(enum bh_policy_kind kind);
/* The tier in which @p is asked: NetworkPolicy for one that is not valid. */
enum bh_tier bh_policy_tier(const struct bh_policy *p);
/*
 * Whether it closes the pods that it selects to all that no policy allows.  One
 * that is not valid does, in both directions and whatever it wanted to be:
 * nobody knows what it would have allowed or denied.
 */
bool bh_policy_isolates(const struct bh_policy *p, enum bh_dir dir);
/* Whether it has a say in @dir about the pods that it selects. */
bool bh_policy_speaks(const struct bh_policy *p, enum bh_dir dir);

/* Of BH_PEER_CIDR: whether @a is in the block and in no part of `except`. */
bool bh_peer_has_addr(const struct bh_peer *peer, const struct bh_addr *a);
/* The first such address; false where `except` leaves nothing. */
bool bh_peer_first_addr(const struct bh_peer *peer, struct bh_addr *ret);

#endif
