/*
 * The compiler: world -> plan, incrementally.
 *
 * Profile: the policies that select a pod in one direction (enforced and
 * audited apart), with named ports resolved.  Pods with the same profile share
 * one chain; the maps in4, in6, eg4, eg6 lead each local pod's addresses to it.
 * A chain holds a number of lookups that does not grow with the number of
 * policies, peers or exact ports.
 */
#ifndef BH_COMPILE_H
#define BH_COMPILE_H

#include "bh/plan.h"
#include "bh/world.h"

/*
 * The budget of one profile, that is of the policies that select a pod in one
 * direction.  It is counted before anything is built.  Beyond it the profile is
 * closed, like one that the kernel refused, and its text names the policy that
 * has the most rules, peers and ports; all other profiles are built as ever.  A
 * member that is 0 stands for the constant below.
 *
 * The numbers keep one profile, and so the largest object that the API takes
 * (1.5 MB), within a second of the compiler and the kernel together and within
 * 64 MB of either's memory, while policies that people write stay far below.
 */
struct bh_compile_limits {
	size_t rules;          /* in its chains: a packet goes through them one by one */
	size_t selectors;      /* of peers: each may concern any pod that comes */
	size_t elems;          /* of sets of ports, of prefixes, and ports that peers have */
	size_t slots;          /* see BH_LIMIT_SLOTS */
	size_t peer_elems;     /* that peers bring into one set of addresses and ports */
	size_t peer_addrs;     /* that peers bring into one set of addresses */
	size_t work;           /* steps to unite sets of ports and prefixes */
	size_t reopen_percent; /* of peer_elems and peer_addrs; see bh_compiler_update() */
	/*
	 * Of all profiles of the pods of one namespace on this node, and of all profiles: sets
	 * that several profiles look into are counted once.
	 */
	size_t ns_rules, node_rules;
	size_t ns_elems, node_elems; /* of all their sets */
	size_t ns_bytes, node_bytes; /* of the kernel's memory and ours, as estimated */
	size_t ns_us, node_us;       /* to build and to install them, as estimated */
	/* Not limits of a profile, but from where on another form than the plainest is tried. */
	size_t many_ports; /* of a set of ports that gets a rule of its own among many sets */
	size_t small_join; /* elements of a set of prefixes and ports */
};

/* About 50 ns each for every packet that none of the earlier ones matches: 25 us. */
#define BH_LIMIT_RULES 512
/* About 1 kB each, and 100 ns for a pod that comes where the index does not help. */
#define BH_LIMIT_SELECTORS 4096
/* Insertions of about 5 us each into the kernel's trees of intervals. */
#define BH_LIMIT_ELEMS 65536
/*
 * Sets of several fields with ranges (nft_set_pipapo): the prefixes that each
 * field's range needs, IPv6 ones counted four times, ports without addresses
 * twice.  An insertion is compared with all that is there and copies tables that
 * grow, so the time goes with the square: 16,384 take 0.2 s, four times as many 3 s.
 */
#define BH_LIMIT_SLOTS 16384
/* Pods times their ports: 3 us and 100 bytes each in the kernel. */
#define BH_LIMIT_PEER_ELEMS 131072
/*
 * Not a product of ports, so only selectors that overlap make it large: every
 * pod of the largest cluster, four times.
 */
#define BH_LIMIT_PEER_ADDRS 2000000
/* About 50 ns each. */
#define BH_LIMIT_WORK 1000000
/* Fewer cost less memory than a rule costs time. */
#define BH_LIMIT_MANY_PORTS 32
#define BH_LIMIT_SMALL_JOIN 1024
/*
 * One namespace may have as much as it needs up to the first figure, as long as the
 * node's is not reached.  Then each may have the same share of it at least, and what
 * the small ones leave goes to the others.  The profiles with the most in their policies
 * are closed, all others are built.  Each memory is that of two or three profiles at
 * their limits, and 128 MiB is half of what the agent may have in a cluster.
 */
#define BH_LIMIT_NS_RULES   16384
#define BH_LIMIT_NODE_RULES 65536
#define BH_LIMIT_NS_ELEMS   524288
#define BH_LIMIT_NODE_ELEMS 1048576
#define BH_LIMIT_NS_BYTES   (64u << 20)
#define BH_LIMIT_NODE_BYTES (128u << 20)
#define BH_LIMIT_NS_US      2000000
#define BH_LIMIT_NODE_US    6000000
/* A pod at the limit that comes and goes must not build a large set each time. */
#define BH_LIMIT_REOPEN_PERCENT 50

struct bh_compile_config {
	struct bh_compile_limits limits;
	uint16_t log_group;   /* NFLOG group */
	uint16_t log_snaplen; /* bytes of each packet that are logged */
	uint32_t log_rate;    /* logged packets a second per pod; 0: no limit */
	uint32_t log_burst;
	bool closes_unknown; /* rules for bh_compiler_close_unknown() */
};

/* What holds where nobody says otherwise, for the agent and for `bulkhead render`. */
#define BH_DEFAULT_LOG_GROUP 180
#define BH_DEFAULT_LOG_RATE  100
/* Bytes of each packet that are logged: IPv6 extension headers and ports fit. */
#define BH_LOG_SNAPLEN 128

/* Snaplen and burst are the project's own; the burst is what two seconds bring. */
struct bh_compile_config bh_compile_config_of(uint16_t log_group, uint32_t log_rate);

/* Names of the counters, in packets. */
#define BH_COUNTER_DENIED       "denied"       /* dropped */
#define BH_COUNTER_LOGGED       "logged"       /* of these, handed to NFLOG */
#define BH_COUNTER_AUDIT        "audit"        /* passed, would be dropped */
#define BH_COUNTER_AUDIT_LOGGED "audit_logged" /* of these, handed to NFLOG */
#define BH_COUNTER_NO_POD       "no_pod_yet"   /* of both, where an end has no known pod */

#define BH_COUNTER_CUT    "cut"    /* dropped, of connections that were cut */
#define BH_COUNTER_PICKUP "pickup" /* passed, of connections older than the rules */

/*
 * Sets that the agent fills outside of the plan.  Packets that begin nothing and belong
 * to no connection are dropped if they are in one of the first four, by addresses,
 * protocol and ports, or in a pair by addresses and protocol alone; each such packet
 * restarts the element's timeout.  Protocols in the last are let pass: TCP for
 * BH_PICKUP_SECONDS after the first rules came to a kernel that may have tracked
 * nothing before, so that connections which are older go on.
 */
#define BH_SET_NAME_CUT4      "cut4"
#define BH_SET_NAME_CUT6      "cut6"
#define BH_SET_NAME_CUT_PAIR4 "cut_pair4"
#define BH_SET_NAME_CUT_PAIR6 "cut_pair6"
#define BH_SET_NAME_PICKUP    "pickup"
/* Protocols that the sets above have something of; the others pay for none of them. */
#define BH_SET_NAME_CUT_PROTO "cut_proto"

#define BH_CUT_SIZE          32768
#define BH_CUT_PAIR_SIZE     8192
#define BH_CUT_SECONDS       1200 /* longer than TCP sends what is not acknowledged (tcp_retries2) */
#define BH_CUT_PROTO_SECONDS (BH_CUT_SECONDS + 60) /* outlives what it leads to */
#define BH_PICKUP_SECONDS    20

/* An ICMPv6 type that netinet/icmp6.h lacks (RFC 3810 section 5.2). */
#define BH_MLD2_LISTENER_REPORT 143u

/*
 * Sets of the inet table that the port guard fills (guard.h), and the name of its
 * rate limit in every table.
 */
#define BH_PORT_TO    "port_to"    /* routed ports of isolated pods: a map by output link */
#define BH_PORT_ADDR4 "port_addr4" /* link . address that a pod owns behind it */
#define BH_PORT_ADDR6 "port_addr6"
#define BH_PORT_LIMIT "lim_port"

/*
 * A bridge copies a packet to a group (multicast, broadcast) to many ports, and which one
 * the copy is for shows only in the bridge's own table.  That one says so in the packet's
 * priority, which nothing else uses there, to the inet table, where the profiles' chains
 * are: BH_GROUP_BIT and the index of the port's link.  The map leads from it to the
 * chain of the pod's ingress profile; behind that the priority is none again.
 */
#define BH_GROUP_BIT   0x80000000u
#define BH_GROUP_TO    "group_to"
#define BH_GROUP_LIMIT "lim_group" /* of log messages about groups, by priority */

/* What becomes of a packet that the rules deny. */
enum bh_verdict_class {
	BH_CLASS_DENIED, /* it is dropped */
	BH_CLASS_AUDIT,  /* it passes, since who denies it is in audit mode */
	BH_CLASS_COUNT_
};

struct bh_class_words {
	const char *verdict; /* in records: "denied", "audit-denied" */
	char letter;         /* in the kernel's log, see BH_LOG_PREFIX */
	const char *counter; /* of the packets */
	const char *logged;  /* of these, handed to NFLOG */
};
const struct bh_class_words *bh_class_words(enum bh_verdict_class c);

/*
 * NFLOG prefix: BH_LOG_PREFIX, the letter of the class, ':' and the name of the
 * profile's chain.
 */
#define BH_LOG_PREFIX "bh:"

/*
 * What stands for a profile's chain where an address of the closed ranges has no pod
 * that is known, as the source or as the destination.
 */
#define BH_CHAIN_NO_POD_FROM "eg_no_pod"
#define BH_CHAIN_NO_POD_TO   "in_no_pod"

/* Sets with the addresses of all pods of this node, whether policy selects them or not. */
#define BH_LOCAL_SETS                                                                              \
	{                                                                                          \
		"local4", "local6"                                                                 \
	}

struct bh_compiler;

/* @w is borrowed for the compiler's life.  The plan starts empty and dirty. */
struct bh_compiler *bh_compiler_new(struct bh_world *w, const struct bh_compile_config *config);
void bh_compiler_free(struct bh_compiler **c);

/*
 * Follows the world's changes since the last call, then settles the world.
 * After it the plan is the one that a new compiler would make of the same
 * world, and its delta is what the kernel needs.
 *
 * With one exception: a profile whose peers brought more than its budget holds
 * is closed until they bring no more than reopen_percent of it, while a new
 * compiler would close it only beyond the budget.  And what is closed for a total
 * because of its peers is looked at again when a quarter of all pods came or went.
 */
void bh_compiler_update(struct bh_compiler *c);

/*
 * From now on, no packet passes from or to an address of @ranges that no pod of this
 * node has; in a world that is in audit, it is logged and passes.  What the node
 * itself sends, and replies to it, are exempt, as for pods.  Ranges may overlap.  The
 * configuration must have asked for the rules.
 */
void bh_compiler_close_unknown(struct bh_compiler *c, const struct bh_range *ranges, size_t n);

/*
 * What one update may build that is new, by the estimated time until it is in the
 * kernel, in microseconds; 0, which is so at first: everything.  What is beyond it waits
 * for the next update, one profile at least each time, a namespace with less of it before
 * those with more.  Meanwhile pods that did not change keep what they had, and others
 * are closed.
 */
void bh_compiler_set_load(struct bh_compiler *c, uint64_t us);
/* Something waits for the next update. */
bool bh_compiler_is_waiting(const struct bh_compiler *c);

/* The caller takes the delta and settles the plan after a commit. */
struct bh_plan *bh_compiler_plan(struct bh_compiler *c);

/*
 * The kernel refused the set or chain @name: every profile that needs it gets
 * a chain that denies everything, until its policies change.  Returns the
 * number of profiles closed; 0 if no profile needs it.
 */
size_t bh_compiler_close(struct bh_compiler *c, const char *name, const char *why);

struct bh_policy_id {
	enum bh_policy_kind kind;
	const char *namespace, *name, *uid;
};

/*
 * What a chain name stands for.  Kept for a while after the last pod left it,
 * so that packets it denied can still be explained.
 */
struct bh_profile {
	const char *name; /* of the chain */
	/* In the plan, until the next update; NULL where it is gone. */
	const struct bh_plan_chain *chain;
	enum bh_dir dir;
	const struct bh_policy_id *enforced; /* isolating or with rules, in evaluation order */
	size_t n_enforced;
	const struct bh_policy_id *audited;
	size_t n_audited;
	const char *closed; /* why it denies everything, NULL if it does not */
	/* Of one that is beyond its budget: the policy that is most to blame, else NULL. */
	const struct bh_policy_id *blamed;
	size_t n_pods;   /* local pods in it now */
	bool is_denying; /* an enforced policy denies some packet in this direction */
};

/*
 * The next profile that was closed for its budget since it was returned here last,
 * NULL if there is none.
 */
const struct bh_profile *bh_compiler_next_over(struct bh_compiler *c);

/* NULL where the name is unknown or long gone. */
const struct bh_profile *bh_compiler_profile(const struct bh_compiler *c, const char *name);
/* NULL where the pod is not local or nothing selects it. */
const struct bh_profile *bh_compiler_profile_of(const struct bh_compiler *c,
						const struct bh_pod *pod, enum bh_dir dir);

/* Calls @on_pod for every local pod as of the last update, in no particular order. */
void bh_compiler_local_pods(const struct bh_compiler *c,
			    void (*on_pod)(void *ctx, const struct bh_pod *pod), void *ctx);

struct bh_compile_stats {
	size_t n_profiles, n_closed;
	size_t n_over; /* of the closed ones: beyond their budget */
	size_t n_sets, n_chains, n_elems;
};
struct bh_compile_stats bh_compiler_stats(const struct bh_compiler *c);

#endif
