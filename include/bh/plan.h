/*
 * The plan: what table `inet bulkhead` of the kernel should hold.
 *
 * Sets, maps, chains, rules and counters as plain data.  Names are digests of
 * what an object stands for (a peer set: its selectors; a profile's chain: its
 * policies and rule texts), so a set or chain of one name never changes its
 * meaning: chains are made and dropped whole, sets only gain and lose elements.
 *
 * The plan writes down what was done to it since the last bh_plan_settle(), as
 * a delta ready for one kernel transaction.
 *
 * Ownership: the plan owns everything that is reached through it.  Objects that
 * were removed stay valid until bh_plan_settle(), and come back if one of their
 * name is added before.
 */
#ifndef BH_PLAN_H
#define BH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/addr.h"
#include "bh/alloc.h"

#define BH_TABLE "bulkhead"

/* Fits NFT_NAME_MAXLEN (256, linux/netfilter/nf_tables.h) with room to spare. */
#define BH_NAME_MAX 64

enum bh_set_kind {
	BH_SET_ADDR,            /* address */
	BH_SET_ADDR_PROTO_PORT, /* address . inet_proto . inet_service */
	BH_SET_PROTO_PORT,      /* inet_proto . inet_service */
	BH_SET_VERDICT_MAP,     /* address : verdict, always a jump */
	BH_SET_LOG_LIMIT,       /* address, filled by the packet path: a rate limit each */
	BH_SET_KIND_COUNT_
};

/*
 * Keys are laid out as in netlink: network byte order, each field padded with
 * zeros to a multiple of 4 bytes (NFT_REG32_SIZE).  address 4 or 16, protocol
 * and port 4 each.
 */
#define BH_KEY_MAX 24

struct bh_plan_chain;

struct bh_elem {
	uint8_t key[BH_KEY_MAX];
	uint8_t end[BH_KEY_MAX];           /* interval sets: the last key, inclusive per field */
	const struct bh_plan_chain *chain; /* BH_SET_VERDICT_MAP: where to jump */
};

struct bh_set_spec {
	const char *name;
	const char *comment; /* for people who read `nft list`; NULL for none */
	enum bh_set_kind kind;
	enum bh_family family; /* of the address; BH_IPV4 where there is none */
	bool is_interval;      /* elements are disjoint ranges */
	uint32_t rate, burst;  /* BH_SET_LOG_LIMIT: packets a second, burst */
};

struct bh_plan_set {
	struct bh_set_spec spec; /* strings owned */
	size_t key_len;          /* bytes used of bh_elem.key */
	size_t n;                /* elements, as of the last bh_plan_merge() */
	struct bh_plan_set_priv *priv;
};

enum bh_expr_kind {
	BH_EXPR_CT_STATE,   /* mask: any of the bits */
	BH_EXPR_NFPROTO,    /* family */
	BH_EXPR_L4PROTO,    /* value: IPPROTO_* */
	BH_EXPR_ICMP6_TYPE, /* first-last, inclusive; after L4PROTO ICMPv6 */
	BH_EXPR_HOPLIMIT,   /* value: IPv6 hop limit; after NFPROTO IPv6 */
	BH_EXPR_FIB_LOCAL,  /* fib saddr type local */
	BH_EXPR_LOOKUP,     /* key in set */
	BH_EXPR_VMAP,       /* key vmap set; no match: go on */
	BH_EXPR_COUNTER,    /* named counter name */
	BH_EXPR_LIMIT,      /* update @set { key limit rate .. }; over the limit: rule ends */
	BH_EXPR_LOG,        /* prefix name, group, snaplen */
	BH_EXPR_VERDICT,
	BH_EXPR_KIND_COUNT_
};

/* What a lookup takes from the packet.  The set's family says which header. */
enum bh_lookup_key {
	BH_KEY_SADDR,
	BH_KEY_DADDR,
	BH_KEY_SADDR_PROTO_PORT, /* port is always the destination port */
	BH_KEY_DADDR_PROTO_PORT,
	BH_KEY_PROTO_PORT,
	BH_KEY_COUNT_
};

enum bh_plan_verdict { BH_V_ACCEPT, BH_V_DROP, BH_V_RETURN, BH_V_JUMP, BH_V_GOTO, BH_V_COUNT_ };

/* NF_CT_STATE bits as nft has them (linux/netfilter/nf_conntrack_common.h). */
#define BH_CT_ESTABLISHED 2u
#define BH_CT_RELATED     4u

/*
 * One statement of a rule.  Only the members its kind names are set.  An
 * address lookup in an inet table implies `meta nfproto` of the set's family,
 * which encoder and renderer add.
 */
struct bh_expr {
	enum bh_expr_kind kind;
	uint32_t value, last;  /* CT_STATE mask, L4PROTO, HOPLIMIT, ICMP6_TYPE first and last */
	enum bh_family family; /* NFPROTO */
	const struct bh_plan_set *set;     /* LOOKUP, VMAP, LIMIT */
	enum bh_lookup_key key;            /* LOOKUP, VMAP, LIMIT */
	const char *name;                  /* COUNTER: its name; LOG: the prefix (<= 127) */
	uint16_t group, snaplen;           /* LOG */
	enum bh_plan_verdict verdict;      /* VERDICT */
	const struct bh_plan_chain *chain; /* VERDICT jump, goto */
};

#define BH_RULE_MAX_EXPRS 8

struct bh_plan_rule {
	struct bh_expr exprs[BH_RULE_MAX_EXPRS];
	size_t n_exprs;
};

/* NF_INET_* hooks, linux/netfilter.h; BH_HOOK_NONE for chains that are jumped to. */
enum bh_hook { BH_HOOK_NONE, BH_HOOK_INPUT, BH_HOOK_FORWARD, BH_HOOK_OUTPUT, BH_HOOK_COUNT_ };

struct bh_plan_chain {
	const char *name;
	const char *comment; /* NULL for none */
	enum bh_hook hook;   /* base chains: type filter, policy accept */
	int32_t priority;    /* base chains */
	struct bh_plan_rule *rules;
	size_t n_rules;
	struct bh_plan_chain_priv *priv;
};

struct bh_plan;

struct bh_plan *bh_plan_new(void);
void bh_plan_free(struct bh_plan **plan);

/* The name must be new (programming error otherwise).  Strings are copied. */
struct bh_plan_set *bh_plan_add_set(struct bh_plan *plan, const struct bh_set_spec *spec);
/* Nothing may refer to it any more when the delta is taken. */
void bh_plan_remove_set(struct bh_plan *plan, struct bh_plan_set *set);
struct bh_plan_chain *bh_plan_add_chain(struct bh_plan *plan, const char *name, const char *comment,
					enum bh_hook hook, int32_t priority);
/* Only while the chain is new, that is before the next settle.  Strings are copied. */
void bh_plan_add_rule(struct bh_plan *plan, struct bh_plan_chain *chain,
		      const struct bh_plan_rule *rule);
void bh_plan_remove_chain(struct bh_plan *plan, struct bh_plan_chain *chain);
void bh_plan_add_counter(struct bh_plan *plan, const char *name);

/*
 * Adds an element, or changes the chain of a map element.  Adding what is there
 * and removing what is not are no changes.  @elem is normalised: bytes beyond
 * key_len and unused members are ignored.
 */
void bh_plan_put(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem);
void bh_plan_drop(struct bh_plan *plan, struct bh_plan_set *set, const struct bh_elem *elem);

/*
 * Works in what was put and dropped since.  Looking up or listing sets does it
 * too; the compiler does it at the end of each update.
 */
void bh_plan_merge(const struct bh_plan *plan);

/*
 * Packs a key: address, then protocol, then port in host byte order, as @kind
 * has them.  Fields the kind lacks are ignored.
 */
void bh_plan_key(enum bh_set_kind kind, const struct bh_addr *addr, uint8_t protocol, uint16_t port,
		 uint8_t ret[BH_KEY_MAX]);

/* Reading; sets and chains come sorted by name, elements sorted by key. */
size_t bh_plan_sets(const struct bh_plan *plan, const struct bh_plan_set *const **ret);
size_t bh_plan_chains(const struct bh_plan *plan, const struct bh_plan_chain *const **ret);
size_t bh_plan_counters(const struct bh_plan *plan, const char *const **ret);
struct bh_plan_set *bh_plan_set(const struct bh_plan *plan, const char *name);
struct bh_plan_chain *bh_plan_chain(const struct bh_plan *plan, const char *name);
/* The @i'th element, 0 <= i < set->n. */
void bh_plan_elem(const struct bh_plan_set *set, size_t i, struct bh_elem *ret);
bool bh_plan_has(const struct bh_plan_set *set, const struct bh_elem *elem);

/* Same tables byte for byte?  Says the first difference in @err if not. */
bool bh_plan_equal(const struct bh_plan *a, const struct bh_plan *b, struct bh_err *err);

/*
 * A delta: operations in an order the kernel accepts within one transaction.
 * If it must be split, cutting only where is_cut is set never leaves a moment
 * that is more open than both the old and the new plan.
 */
enum bh_op_kind {
	BH_OP_ADD_TABLE,
	BH_OP_ADD_COUNTER, /* name */
	BH_OP_ADD_SET,     /* set, without elements */
	BH_OP_ADD_CHAIN,   /* chain, without rules */
	BH_OP_ADD_ELEMS,   /* set, elems */
	BH_OP_FLUSH_CHAIN, /* chain: drops the rules that are in the kernel */
	BH_OP_ADD_RULES,   /* chain: all its rules */
	BH_OP_DEL_ELEMS,   /* set, elems */
	BH_OP_FLUSH_SET,   /* name */
	BH_OP_DEL_CHAIN,   /* name; with its rules */
	BH_OP_DEL_SET,     /* name; with its elements */
	BH_OP_DEL_COUNTER, /* name */
	BH_OP_DEL_TABLE,
	BH_OP_COUNT_
};

struct bh_op {
	enum bh_op_kind kind;
	const char *name;
	const struct bh_plan_set *set;
	const struct bh_plan_chain *chain;
	const struct bh_elem *elems;
	size_t n_elems;
	bool is_cut; /* a transaction may end before this operation */
};

struct bh_delta {
	struct bh_op *ops;
	size_t n_ops;
	struct bh_arena *arena; /* of ops and elems; borrows set and chain from the plan */
};

void bh_delta_free(struct bh_delta **delta);

/*
 * What happened to the plan since the last settle, NULL if nothing.  The caller
 * owns the delta and must free it before settling.
 */
struct bh_delta *bh_plan_delta(const struct bh_plan *plan);
bool bh_plan_is_dirty(const struct bh_plan *plan);
/* Forgets what happened and frees what was removed. */
void bh_plan_settle(struct bh_plan *plan);

#endif
