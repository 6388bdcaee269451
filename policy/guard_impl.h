/*
 * Inside of the port guard: guard_base.c makes the fixed chains and sets, guard_chain.c
 * the chains of ports, guard.c follows ports and makes their elements.
 */
#ifndef POLICY_GUARD_IMPL_H
#define POLICY_GUARD_IMPL_H

#include "bh/guard.h"
#include "bh/hash.h"

/* What one chain of the guard is, see guard_base.c. */
enum guard_chain {
	/* netdev: from pods */
	GUARD_FROM_ARP,
	GUARD_FROM_IP4,
	GUARD_FROM_IP6,
	GUARD_ICMP6,
	GUARD_FROM_DHCP,
	GUARD_FROM_OTHER,
	GUARD_BY_TYPE,
	GUARD_WILD,
	GUARD_NO_POD,
	/* bridge: to pods */
	GUARD_FROM_SHUT,
	GUARD_TO_PASS,
	GUARD_TO_IP6,
	GUARD_TO_IP6_OPEN,
	GUARD_TO_IP4,
	GUARD_TO_IP4_OPEN,
	GUARD_NODE_IP4,
	GUARD_NODE_IP6,
	/* inet: to routed ports */
	GUARD_TO_CLOSED,
	GUARD_CHAIN_COUNT_
};

enum guard_set {
	/* netdev */
	GUARD_MACS,
	GUARD_SRC4,
	GUARD_SRC6,
	GUARD_TARGETS,
	GUARD_DHCP,
	GUARD_NEW,
	/* bridge */
	GUARD_TO4,
	GUARD_DST6,
	GUARD_PODS,
	GUARD_CLOSED,
	GUARD_GROUP,
	GUARD_SHUT,
	GUARD_ENDS,
	GUARD_TO_MACS,
	GUARD_BROADCASTS,
	GUARD_TO,
	GUARD_ROUTED,
	/* inet */
	GUARD_PORT_TO,
	GUARD_PORT_ADDR4,
	GUARD_PORT_ADDR6,
	GUARD_GROUP_TO,
	GUARD_SET_COUNT_
};

/* A link that has a chain of its own: a pod's port, or one of no known pod. */
struct guard_port {
	uint32_t ifindex;
	char name[16];            /* IFNAMSIZ */
	const struct bh_pod *pod; /* NULL: unknown */
	bool is_shut;             /* unknown, and everything from it is dropped */
	uint8_t mac[6];
	bool is_bridged;
	bool is_new; /* no source has told an address of the pod yet */
	bool is_denying[BH_DIR_COUNT_];
	struct bh_addr *addrs;
	size_t n_addrs;
	struct bh_cidr *extra;
	size_t n_extra;
	const struct bh_plan_chain *ingress; /* the pod's profile; NULL: none */
	struct bh_plan_chain *chain;
	/* NULL: no such networks; by_type in place of the common one where there are. */
	struct bh_plan_chain *extra_chains[BH_FAMILY_COUNT_], *extra_arp, *by_type;
	bool is_seen; /* in the update that is under way */
	UT_hash_handle hh;
};

/* ARP for Ethernet and IPv4 has 28 bytes, a frame's payload at least 46 (RFC 826, IEEE 802.3). */
#define ARP_MAX_LEN 46

struct bh_guard {
	const struct bh_world *w;
	struct bh_compiler *c;
	struct bh_guard_config config;
	struct bh_plan *plans[BH_TABLE_COUNT_]; /* that of inet is the compiler's */
	struct bh_plan_set *sets[GUARD_SET_COUNT_];
	struct bh_plan_chain *chains[GUARD_CHAIN_COUNT_];
	struct guard_port *ports;
	struct bh_addr *broadcasts; /* sorted */
	size_t n_broadcasts;
	size_t n_unknown, n_pods_without;
};

void bh_guard_build(struct bh_guard *g);

void guard_add_rule(struct bh_plan *plan, struct bh_plan_chain *chain, const struct bh_expr *exprs,
		    size_t n);
/* Matches numbers from @first to @last, and addresses of a network. */
struct bh_expr guard_is_range(enum bh_load load, uint32_t first, uint32_t last);
struct bh_expr guard_is_in(enum bh_load load, const struct bh_cidr *cidr);

/* Of so many addresses, how many the port's chain compares: the first ones. */
size_t guard_n_compared(size_t n_addrs);
/* Sets p->chain and the others of @p, from the facts in it. */
void guard_add_chain(struct bh_guard *g, struct guard_port *p);
void guard_remove_chain(struct bh_guard *g, struct guard_port *p);

#endif
