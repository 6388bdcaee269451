/*
 * The port guard: what may come from and go to a pod's port (the host end of its
 * interface), whatever addresses it bears.
 *
 * Policy is compiled to rules about addresses (compile.h).  They hold only if the
 * addresses are true, and if nothing passes beside them.  So on each port of a
 * local pod
 *
 *   from the pod    only untagged IPv4, IPv6 and ARP pass, from addresses that the
 *                   pod owns and its own MAC; of neighbour discovery only
 *                   solicitations and advertisements of its own addresses (RFC
 *                   4861), router solicitations and MLD reports (RFC 3810) to their
 *                   groups; never router advertisements and redirects
 *   to the pod      if its ingress is isolated, only packets to addresses that it
 *                   owns, and multicast and broadcast, which policy then judges; ARP
 *                   and neighbour discovery
 *   from an         if its egress is isolated, to the port of another pod of its bridge
 *   isolated pod    only packets to addresses which that pod owns, groups, ARP and
 *                   neighbour discovery, whatever MAC address they bear
 *
 * and on links that may be pods' ports but belong to no known pod, frames of other
 * kinds and router advertisements do not pass either.
 *
 * The guard is two tables of its own, netdev (from pods) and bridge (to pods), and
 * a few sets of the compiler's inet table (to routed ports, and of copies for groups).
 */
#ifndef BH_GUARD_H
#define BH_GUARD_H

#include "bh/compile.h"
#include "bh/eval.h"

/* The chains that deny, and the last part of their NFLOG prefix. */
#define BH_GUARD_SPOOFED   "spoofed"   /* source address, MAC or ARP sender is not the pod's */
#define BH_GUARD_FRAME     "frame"     /* a VLAN tag, or no IPv4, IPv6 or ARP */
#define BH_GUARD_DISCOVERY "discovery" /* neighbour discovery that no pod may send */
#define BH_GUARD_UNLISTED  "unlisted"  /* to an address that the isolated pod does not own */
#define BH_GUARD_NO_POD                                                                            \
	"no-pod-yet" /* a port of no known pod, where the operator closes those, or of a pod of    \
			which no address is known yet */

/* Whether @chain, from an NFLOG prefix, is one of the above. */
bool bh_guard_is_reason(const char *chain);

/* A link that may be a pod's port, but belongs to no pod that is known. */
struct bh_guard_link {
	uint32_t ifindex;
	const char *name;
	bool is_closed; /* everything from it is dropped; else only what no pod may send */
};

struct bh_guard_config {
	struct bh_compile_config log;
	enum bh_mode mode; /* BH_AUDIT: nothing is dropped, only logged */
	bool allows_dhcp;  /* of egress- and ingress-isolated pods too */
	bool is_off;       /* the plans stay empty */
};

struct bh_guard;

/* @w and @c are borrowed for the guard's life.  The plans start empty and dirty. */
struct bh_guard *bh_guard_new(const struct bh_world *w, struct bh_compiler *c,
			      const struct bh_guard_config *config);
void bh_guard_free(struct bh_guard **g);

/*
 * Takes the local pods' ports and profiles as they are now, and the links of no
 * known pod; call after bh_compiler_update() and after every change of @unknown.
 * Costs a look at every local pod.
 */
void bh_guard_update(struct bh_guard *g, const struct bh_guard_link *unknown, size_t n_unknown);

/*
 * The IPv4 broadcast addresses of this node's links (RFC 919), sorted and each once:
 * what is sent there is a group's.  Copied.
 */
void bh_guard_set_broadcasts(struct bh_guard *g, const struct bh_addr *addrs, size_t n);

/*
 * The kernel refused the chain of a port, whose link is gone: forgets the port until
 * the next update.  False if @chain is no port's.
 */
bool bh_guard_forget(struct bh_guard *g, const char *chain);

/* BH_TABLE_NETDEV or BH_TABLE_BRIDGE; settled by the caller like the compiler's. */
struct bh_plan *bh_guard_plan(struct bh_guard *g, enum bh_table table);

/* The local pod whose port the link is; NULL if it is none, or @g is NULL. */
const struct bh_pod *bh_guard_pod_of(const struct bh_guard *g, uint32_t ifindex);

/*
 * Closes in @result, which the evaluator made of @flow, the directions in which the guard
 * drops the packet before policy judges it.  @is_to_group: flow->dst is a group's address
 * (multicast, or a broadcast of this node's links).
 */
void bh_guard_judge(const struct bh_guard *g, const struct bh_flow *flow, bool is_to_group,
		    struct bh_result *result);

struct bh_guard_stats {
	size_t n_ports;        /* of known pods */
	size_t n_unknown;      /* links of no known pod */
	size_t n_pods_without; /* local pods, not of the host network, without a port */
};
struct bh_guard_stats bh_guard_stats(const struct bh_guard *g);

#endif
