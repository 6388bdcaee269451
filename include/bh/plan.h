/*
 * A plan: what one nftables table of the agent should hold.
 *
 * The agent has a table of the name BH_TABLE in each of three families, and a
 * plan for each.  One transaction commits the deltas of all of them.
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

/* The family of a table; decides which hooks and which loads it may have. */
enum bh_table {
	BH_TABLE_INET,   /* IPv4 and IPv6 as the IP layer sees them: policy */
	BH_TABLE_NETDEV, /* frames at the ingress of one link: from a pod's port */
	BH_TABLE_BRIDGE, /* frames that a bridge switches: to a pod's port */
	BH_TABLE_COUNT_
};
const char *bh_table_str(enum bh_table table); /* "inet", "netdev", "bridge" */

/* Fits NFT_NAME_MAXLEN (256, linux/netfilter/nf_tables.h) with room to spare. */
#define BH_NAME_MAX 64

/*
 * One field of a set's key, by nft's name of its type.  In a key of several, each takes
 * its size padded with zeros to a multiple of 4 bytes (NFT_REG32_SIZE).
 */
enum bh_field {
	BH_FIELD_ADDR,       /* ipv4_addr or ipv6_addr, as the set's family says: 4 or 16 bytes */
	BH_FIELD_PROTO,      /* inet_proto: 1 byte */
	BH_FIELD_PORT,       /* inet_service: 2 bytes, network byte order */
	BH_FIELD_LINK,       /* iface_index: 4 bytes, host byte order */
	BH_FIELD_MAC,        /* ether_addr: 6 bytes */
	BH_FIELD_ETHER_TYPE, /* ether_type: 2 bytes, network byte order */
	BH_FIELD_TARGET,     /* 16 bytes from offset 8 of the transport header: the target of
				neighbour discovery (RFC 4861 4.3, 4.4); nft: @th,64,128 */
	BH_FIELD_PRIORITY,   /* classid: 4 bytes, host byte order */
	BH_FIELD_COUNT_
};
/* Bytes of the field without padding. */
size_t bh_field_len(enum bh_field field, enum bh_family family);
/* Bytes in a key, with padding. */
size_t bh_field_width(enum bh_field field, enum bh_family family);

/* What a set's elements are; bh_set_shape_of() tells the fields. */
enum bh_set_kind {
	BH_SET_ADDR,            /* address */
	BH_SET_ADDR_PROTO_PORT, /* address . protocol . port */
	BH_SET_PROTO_PORT,      /* protocol . port */
	BH_SET_VERDICT_MAP,     /* address : verdict */
	BH_SET_LOG_LIMIT,       /* address; dynamic: a rate limit each */
	BH_SET_CUT,             /* address . address . protocol . port . port; dynamic */
	BH_SET_CUT_PAIR,        /* address . address . protocol; dynamic */
	BH_SET_ADDR_PAIR,       /* address . address */
	BH_SET_PROTO,           /* protocol; dynamic */
	BH_SET_LINK,            /* link */
	BH_SET_LINK_ADDR,       /* link . address */
	BH_SET_LINK_MAC,        /* link . MAC */
	BH_SET_LINK_TYPE_ADDR,  /* link . EtherType . address */
	BH_SET_LINK_TARGET,     /* link . target */
	BH_SET_LINK_MAP,        /* link : verdict */
	BH_SET_LINK_TYPE_MAP,   /* link . EtherType : verdict */
	BH_SET_LINK_LIMIT,      /* link; dynamic: a rate limit each */
	BH_SET_LINK_PRIORITY,   /* link : priority */
	BH_SET_PRIORITY_MAP,    /* priority : verdict */
	BH_SET_PRIORITY_LIMIT,  /* priority; dynamic: a rate limit each */
	BH_SET_KIND_COUNT_
};

#define BH_SET_MAX_FIELDS 5

/* What dynamic sets have if nothing else is said. */
#define BH_SET_SIZE      65535u
#define BH_SET_TIMEOUT_S 60u

/* What a kind of set looks like. */
struct bh_set_shape {
	enum bh_field fields[BH_SET_MAX_FIELDS];
	size_t n_fields;
	bool is_map;     /* elements lead to a chain, always by a jump */
	bool has_values; /* elements have a priority */
	bool is_dynamic; /* filled outside of the plan, and never compared with it */
};
const struct bh_set_shape *bh_set_shape_of(enum bh_set_kind kind);
/* Bytes of a key of such a set. */
size_t bh_set_key_len(enum bh_set_kind kind, enum bh_family family);

/* Keys are laid out as in netlink, field after field.  BH_SET_CUT of IPv6 is the longest. */
#define BH_KEY_MAX 44

struct bh_plan_chain;

struct bh_elem {
	uint8_t key[BH_KEY_MAX];
	uint8_t end[BH_KEY_MAX];           /* interval sets: the last key, inclusive per field */
	const struct bh_plan_chain *chain; /* maps: where to jump */
	uint32_t value;                    /* sets with values: the priority */
};

struct bh_set_spec {
	const char *name;
	const char *comment; /* for people who read `nft list`; NULL for none */
	enum bh_set_kind kind;
	enum bh_family family; /* of the address; BH_IPV4 where there is none */
	bool is_interval;      /* elements are disjoint ranges */
	uint32_t rate, burst;  /* limits: packets a second, burst */
	uint32_t size;         /* dynamic sets: the most elements; 0: BH_SET_SIZE */
	uint32_t timeout_s;    /* dynamic sets: an element's life since its last use; 0:
				  BH_SET_TIMEOUT_S */
};

struct bh_plan_set {
	struct bh_set_spec spec; /* strings owned */
	size_t key_len;          /* bytes used of bh_elem.key */
	size_t n;                /* elements, as of the last bh_plan_merge() */
	struct bh_plan_set_priv *priv;
};

enum bh_expr_kind {
	BH_EXPR_CT_STATE,      /* value: mask, any of the bits; not in netdev and bridge tables */
	BH_EXPR_FIB_LOCAL,     /* fib saddr type local; inet tables */
	BH_EXPR_FIB_BROADCAST, /* fib daddr type broadcast; inet tables */
	BH_EXPR_MATCH,         /* load compared with first, last, bytes and mask as op says */
	BH_EXPR_LOOKUP,        /* key in set */
	BH_EXPR_VMAP,          /* key vmap set; no match: go on */
	BH_EXPR_COUNTER,       /* named counter name */
	BH_EXPR_LIMIT,         /* update @set { key limit rate .. }; over the limit: rule ends */
	BH_EXPR_UPDATE,        /* update @set { key }: restarts the element's timeout */
	BH_EXPR_PRIORITY,      /* meta priority set key map @set, or none where set is NULL */
	BH_EXPR_LOG,           /* prefix name, group, snaplen */
	BH_EXPR_VERDICT,
	BH_EXPR_KIND_COUNT_
};

/*
 * One value that the packet path loads.  What a header field means depends on
 * the protocol, so encoder and renderer add the dependencies that nft would
 * add (nfproto, l4proto or EtherType) unless the rule has matched them before.
 */
enum bh_load {
	BH_LOAD_NFPROTO,     /* meta nfproto: NFPROTO_IPV4 or NFPROTO_IPV6; inet tables */
	BH_LOAD_L4PROTO,     /* meta l4proto: IPPROTO_*, behind extension headers */
	BH_LOAD_LENGTH,      /* meta length: bytes of the packet, from the network header on */
	BH_LOAD_IIF,         /* meta iif: index of the input link */
	BH_LOAD_OIF,         /* meta oif: index of the output link */
	BH_LOAD_PRIORITY,    /* meta priority: of the packet, host byte order */
	BH_LOAD_SADDR,       /* ip saddr or ip6 saddr, by family */
	BH_LOAD_DADDR,       /* ip daddr or ip6 daddr, by family */
	BH_LOAD_CT_ORIGINAL, /* ct original ip saddr: who opened the connection; in keys, inet */
	BH_LOAD_CT_REPLY,    /* ct reply ip saddr: who answers it; in keys, inet */
	BH_LOAD_SPORT,       /* th sport */
	BH_LOAD_DPORT,       /* th dport */
	BH_LOAD_TCP_FLAGS,   /* tcp flags */
	BH_LOAD_NEXTHDR,     /* ip6 nexthdr: of the fixed header */
	BH_LOAD_HOPLIMIT,    /* ip6 hoplimit */
	BH_LOAD_PAYLOAD_LEN, /* ip6 length */
	BH_LOAD_ICMP6_TYPE,  /* icmpv6 type */
	BH_LOAD_TARGET,      /* @th,64,128, see BH_FIELD_TARGET */
	BH_LOAD_ETHER_SADDR, /* ether saddr; netdev and bridge tables, as all below */
	BH_LOAD_ETHER_DADDR, /* ether daddr */
	BH_LOAD_ETHER_TYPE,  /* ether type: that of a VLAN tag where the frame has one */
	/*
	 * Netdev tables: ether saddr and ether type in one load, @ll,48,64, and an address where IP
	 * has its source, @nh,96,32 or @nh,64,128 by family.  They depend on no match before them,
	 * and neither nft nor this project adds one: a rule that compares both costs a
	 * third of a look-up of the same.
	 */
	BH_LOAD_ETHER_FROM,
	BH_LOAD_RAW_SADDR,
	BH_LOAD_ARP_HTYPE, /* arp htype */
	BH_LOAD_ARP_PTYPE, /* arp ptype: an EtherType */
	BH_LOAD_ARP_HLEN,  /* arp hlen */
	BH_LOAD_ARP_PLEN,  /* arp plen */
	BH_LOAD_ARP_OP,    /* arp operation: 1 request, 2 reply (RFC 826) */
	BH_LOAD_ARP_SHA,   /* arp saddr ether */
	BH_LOAD_ARP_SPA,   /* arp saddr ip */
	BH_LOAD_ARP_TPA,   /* arp daddr ip */
	BH_LOAD_COUNT_
};

/* Bytes; of an address by the family. */
size_t bh_load_len(enum bh_load load, enum bh_family family);

enum bh_match_op {
	BH_MATCH_RANGE,     /* first-last, inclusive; one value where they are equal */
	BH_MATCH_NOT_RANGE, /* outside of it */
	BH_MATCH_BYTES,     /* (packet & mask) == bytes; addresses, MACs, target, TCP flags,
			       priority */
	BH_MATCH_NOT_BYTES,
	BH_MATCH_OP_COUNT_
};

/* The loads that make the key of a lookup, one for each field of the set. */
enum bh_lookup_key {
	BH_KEY_SADDR,
	BH_KEY_DADDR,
	BH_KEY_SADDR_PROTO_PORT, /* port is the destination port */
	BH_KEY_DADDR_PROTO_PORT,
	BH_KEY_PROTO_PORT,
	BH_KEY_FLOW,              /* saddr . daddr . l4proto . sport . dport */
	BH_KEY_PAIR,              /* saddr . daddr . l4proto */
	BH_KEY_SADDR_TWICE,       /* saddr . saddr */
	BH_KEY_SADDR_CT_ORIGINAL, /* saddr . ct original saddr */
	BH_KEY_SADDR_CT_REPLY,    /* saddr . ct reply saddr */
	BH_KEY_PROTO,
	BH_KEY_IIF,
	BH_KEY_IIF_SADDR,
	BH_KEY_IIF_ETHER_SADDR, /* iif . ether saddr */
	BH_KEY_IIF_TARGET,
	BH_KEY_IIF_ARP_SHA,
	BH_KEY_IIF_ARP_SPA,
	BH_KEY_IIF_ARP_TPA,
	BH_KEY_OIF,
	BH_KEY_OIF_DADDR,
	BH_KEY_OIF_ETHER_DADDR, /* oif . ether daddr */
	BH_KEY_OIF_TYPE,        /* oif . ether type */
	BH_KEY_OIF_TYPE_DADDR,  /* oif . ether type . daddr */
	BH_KEY_PRIORITY,
	BH_KEY_COUNT_
};

struct bh_key_loads {
	enum bh_load loads[BH_SET_MAX_FIELDS];
	size_t n;
};
const struct bh_key_loads *bh_key_loads_of(enum bh_lookup_key key);

enum bh_plan_verdict { BH_V_ACCEPT, BH_V_DROP, BH_V_RETURN, BH_V_JUMP, BH_V_GOTO, BH_V_COUNT_ };

/* NF_CT_STATE bits as nft has them (linux/netfilter/nf_conntrack_common.h). */
#define BH_CT_ESTABLISHED 2u
#define BH_CT_RELATED     4u

/* One statement of a rule.  Only the members its kind names are set. */
struct bh_expr {
	enum bh_expr_kind kind;
	enum bh_load load;                 /* MATCH */
	enum bh_match_op op;               /* MATCH */
	enum bh_family family;             /* MATCH of an address */
	uint32_t value, last;              /* CT_STATE mask; MATCH of a range, host byte order */
	uint8_t bytes[16], mask[16];       /* MATCH of bytes; a mask of zeros means all ones */
	const struct bh_plan_set *set;     /* LOOKUP, VMAP, LIMIT, UPDATE, PRIORITY */
	enum bh_lookup_key key;            /* LOOKUP, VMAP, LIMIT, UPDATE, PRIORITY */
	bool is_negated;                   /* LOOKUP: key is not in the set */
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

/* How nft writes a range, and compares with it: a bound that excludes nothing is left out. */
enum bh_range_form {
	BH_RANGE_IS,      /* 5 */
	BH_RANGE_IS_NOT,  /* != 5 */
	BH_RANGE_ABOVE,   /* > 5 */
	BH_RANGE_UP_TO,   /* <= 5 */
	BH_RANGE_WITHIN,  /* 5-9 */
	BH_RANGE_OUTSIDE, /* != 5-9 */
	BH_RANGE_FORM_COUNT_
};
/* Of a MATCH of a range, with its one or two bounds. */
enum bh_range_form bh_plan_range_form(const struct bh_expr *match, uint32_t *first, uint32_t *last);

/*
 * True if expression @i matches a protocol that a later match of the rule depends
 * on: nft leaves it out of its text, and matches it where the other is.  (An
 * EtherType that is matched before a field of its protocol is left out too, but nft
 * then matches meta protocol, which is true for tagged frames: such a rule is not
 * the same after `nft list` and `nft -f`.  A key that holds the EtherType is.)
 */
bool bh_plan_is_implied(const struct bh_plan_rule *rule, size_t i);

/*
 * NF_INET_* and NF_BR_* hooks, linux/netfilter.h and netfilter_bridge.h, which have
 * the same numbers; NF_NETDEV_INGRESS.  BH_HOOK_NONE: chains that are jumped to.
 */
enum bh_hook {
	BH_HOOK_NONE,
	BH_HOOK_PREROUTING,
	BH_HOOK_INPUT,
	BH_HOOK_FORWARD,
	BH_HOOK_OUTPUT,
	BH_HOOK_INGRESS, /* netdev tables: of the chain's device */
	BH_HOOK_COUNT_
};

struct bh_plan_chain {
	const char *name;
	const char *comment; /* NULL for none */
	enum bh_hook hook;   /* base chains: type filter, policy accept */
	int32_t priority;    /* base chains */
	const char *device;  /* BH_HOOK_INGRESS: the link's name; else NULL */
	struct bh_plan_rule *rules;
	size_t n_rules;
	struct bh_plan_chain_priv *priv;
};

struct bh_plan;

struct bh_plan *bh_plan_new(enum bh_table table);
enum bh_table bh_plan_table(const struct bh_plan *plan);
void bh_plan_free(struct bh_plan **plan);

/* The name must be new (programming error otherwise).  Strings are copied. */
struct bh_plan_set *bh_plan_add_set(struct bh_plan *plan, const struct bh_set_spec *spec);
/* Nothing may refer to it any more when the delta is taken. */
void bh_plan_remove_set(struct bh_plan *plan, struct bh_plan_set *set);
struct bh_plan_chain *bh_plan_add_chain(struct bh_plan *plan, const char *name, const char *comment,
					enum bh_hook hook, int32_t priority);
/*
 * A netdev base chain at the ingress of the link @device; another device needs
 * another name.  Strings are copied.
 */
struct bh_plan_chain *bh_plan_add_ingress(struct bh_plan *plan, const char *name,
					  const char *device, int32_t priority);
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

/* The values of a key in any kind of set; only those its fields name are read. */
struct bh_key_values {
	const struct bh_addr *addr;   /* ADDR, the first */
	const struct bh_addr *addr2;  /* ADDR, the second (BH_SET_CUT: destination) */
	const struct bh_addr *target; /* TARGET: IPv6 */
	uint8_t protocol;
	uint16_t port, port2; /* host byte order; port2: the second (destination) */
	uint32_t link;        /* index */
	const uint8_t *mac;   /* 6 bytes */
	uint16_t ether_type;  /* ETH_P_*, host byte order */
	uint32_t priority;
};
void bh_plan_pack(enum bh_set_kind kind, const struct bh_key_values *values,
		  uint8_t ret[BH_KEY_MAX]);

/* Reading; sets and chains come sorted by name, elements sorted by key. */
size_t bh_plan_sets(const struct bh_plan *plan, const struct bh_plan_set *const **ret);
/* How many elements it has, what was put and dropped since worked in. */
size_t bh_plan_set_size(struct bh_plan_set *set);
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
	enum bh_table table;
	struct bh_op *ops;
	size_t n_ops;
	size_t whole, rest;     /* ops from @whole up to @rest belong together, with those of
				   the deltas of other tables too */
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
