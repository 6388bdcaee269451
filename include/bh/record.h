/*
 * A record of the flow log, bulkhead-flow(5): what producers fill, and what the ring,
 * followers, filters and printers get.
 *
 * The pointers of a record are borrowed.  bh_record_copy() makes a record that owns what it
 * points to, and that has a bound: texts are cut to BH_RECORD_MAX_TEXT bytes, labels and lists
 * to as many whole items as fit into BH_RECORD_MAX_PART bytes, as written.  What is left out
 * is counted in n_omitted.
 */
#ifndef BH_RECORD_H
#define BH_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bh/addr.h"
#include "bh/buf.h"
#include "bh/compile.h"
#include "bh/eval.h"
#include "bh/history.h"

/* A line with every part at its bound is shorter than that. */
#define BH_RECORD_MAX      12288
#define BH_RECORD_MAX_TEXT 256
#define BH_RECORD_MAX_PART 1024

/* What a record is about.  Of a later version's records the action's name is all we know. */
enum bh_record_kind {
	BH_RECORD_OTHER,
	BH_RECORD_FLOW,
	BH_RECORD_GAP,
	BH_RECORD_TAMPER,
	BH_RECORD_POLICY_CHANGED,
	BH_RECORD_POD_BOUND,
	BH_RECORD_POD_UNBOUND,
	BH_RECORD_QUARANTINE_SET,
	BH_RECORD_QUARANTINE_RELEASED,
	BH_RECORD_REVOCATION_FAILED,
	BH_RECORD_KIND_COUNT_
};

/* Who one end of a flow is. */
enum bh_record_entity {
	BH_RECORD_NO_ENTITY,
	BH_RECORD_POD,
	BH_RECORD_NODE,
	BH_RECORD_EXTERNAL, /* an address outside of what is known */
	BH_RECORD_UNKNOWN,  /* a pod of this node; which one is not known any more */
	BH_RECORD_ENTITY_COUNT_
};
/* "pod", "node", "external", "unknown"; NULL for no entity. */
const char *bh_record_entity_str(enum bh_record_entity entity);

/* How sure that is. */
enum bh_confidence {
	BH_CONFIDENCE_MISSING,
	BH_CONFIDENCE_EXACT,  /* the pod had the address at the time of the packet */
	BH_CONFIDENCE_RECENT, /* a moment before or after, or now */
	BH_CONFIDENCE_NONE,   /* no pod is known that had it */
	BH_CONFIDENCE_COUNT_
};

/* Where the reason of a denial comes from. */
enum bh_explained {
	BH_EXPLAINED_MISSING,
	BH_EXPLAINED_WORLD,   /* evaluated again, with rules and identities as they were */
	BH_EXPLAINED_PROFILE, /* the policies of that time, but not which rule came nearest */
	BH_EXPLAINED_PORT,    /* no policy decided, but what the pod's port lets pass */
	BH_EXPLAINED_NOTHING, /* the rules are not remembered */
	BH_EXPLAINED_COUNT_
};

/* Of a policy; "" or NULL: it has no namespace. */
struct bh_record_name {
	const char *namespace, *name;
};

struct bh_record_rule {
	const char *kind; /* NULL: there is no rule */
	struct bh_record_name policy;
	bool has_index; /* of a rule, not of a policy */
	uint32_t index; /* the first is 0 */
	const char *rule_name;
};

struct bh_record_near {
	struct bh_record_name policy;
	uint32_t index;
	enum bh_miss why; /* BH_MISS_COUNT_: not known */
};

struct bh_record_texts {
	const char *const *items;
	size_t n, n_omitted;
};

struct bh_record_names {
	const struct bh_record_name *items;
	size_t n, n_omitted;
};

struct bh_record_nears {
	const struct bh_record_near *items;
	size_t n, n_omitted;
};

struct bh_record_addrs {
	const struct bh_addr *items;
	size_t n, n_omitted;
};

/* name NULL: no pod is known. */
struct bh_record_end {
	bool has_address;
	struct bh_addr address;
	uint16_t port; /* see has_ports of the flow */
	enum bh_record_entity entity;
	enum bh_confidence confidence;
	struct bh_identity pod; /* its node is there for an end that is a node, too */
};

struct bh_record_flow {
	enum bh_verdict_class class;
	enum bh_dir dir;     /* of the judged pod */
	uint16_t ether_type; /* ETH_P_*, host byte order */
	uint8_t protocol;    /* IPPROTO_* */
	bool has_protocol, has_ports, has_icmp;
	uint8_t icmp_type, icmp_code;
	struct bh_record_end src, dst;
	uint32_t ingress_link, egress_link; /* the port that let nothing pass; 0: none */
	enum bh_explained explained;
	const char *reason; /* enum bh_reason as text, or the port guard's (guard.h) */
	struct bh_record_rule rule;
	struct bh_record_names denied_by; /* who isolates the pod */
	struct bh_record_nears nearest;   /* nearest first */
	const char *closed;               /* why everything is denied; NULL: it is not */
	const char *profile;              /* the chain */
	uint64_t generation;              /* of the rules in the kernel */
	uint64_t count;                   /* packets that the record stands for */
	uint64_t suppressed;              /* of the judged pod, in no record yet */
	uint64_t first_ns, last_ns;       /* real time of several packets; 0: one */
};

struct bh_record_gap {
	const char *reason;
	uint64_t lost; /* packets */
	/* The records that one reader lost; 0: the packets have never been in a record. */
	uint64_t first_sequence, n_records;
	bool has_class;
	enum bh_verdict_class class; /* of all packets */
	bool has_address;
	struct bh_addr address; /* of the judged pod, if all packets are of one */
	struct bh_identity pod;
};

struct bh_record_tamper {
	const char *program; /* "" if the kernel did not tell */
	uint32_t pid;
	const char *table;
	struct bh_record_texts differences;
};

struct bh_record_policy {
	struct bh_record_rule rule;
	const char *change; /* "added", "changed", "removed", "closed" */
	const char *closed; /* what it needs, and how much there may be */
	bool has_dir;
	enum bh_dir dir; /* in which its pods are closed */
};

/* A pod that has or had addresses, or is in quarantine. */
struct bh_record_pod {
	struct bh_identity id;
	struct bh_record_addrs addrs;
};

struct bh_record_quarantine {
	const char *target; /* as the operator named it; NULL: by annotation, see pod */
	const char *by;     /* "operator", "annotation", "time", "loss" */
	bool has_user;
	uint32_t user;
	const char *reason;
	bool has_allow;
	struct bh_record_texts allow; /* networks */
	uint64_t until_ns;            /* real time; 0: it does not end by itself */
	struct bh_record_pod pod;
};

struct bh_record_revocation {
	const char *reason;
	uint64_t connections; /* 0: not known */
};

struct bh_record {
	enum bh_record_kind kind;
	const char *action; /* BH_RECORD_OTHER: its name; NULL otherwise */
	uint64_t at_ns;     /* real time of the packet or event; 0: not known */
	uint64_t sequence;  /* the flow log gives it, as the two below */
	const char *boot, *node;
	union {
		struct bh_record_flow flow;
		struct bh_record_gap gap;
		struct bh_record_tamper tamper;
		struct bh_record_policy policy;
		struct bh_record_pod pod; /* bound, unbound */
		struct bh_record_quarantine quarantine;
		struct bh_record_revocation revocation;
	};
};

/* "flow-denied", "gap", ...: the member event.action. */
const char *bh_record_action(const struct bh_record *r);

/* One block of memory, to be freed with free(); *ret_size (may be NULL) is its size. */
struct bh_record *bh_record_copy(const struct bh_record *r, size_t *ret_size);

/* --- JSON ------------------------------------------------------------------------------- */

/* The object of bulkhead-flow(5); a new reference. */
json_t *bh_record_encode(const struct bh_record *r);
/* The same as one line, ASCII only, without newline; to be freed. */
char *bh_record_line(const struct bh_record *r);
/*
 * The record of an object, to be freed with free().  Members that it does not know, or that
 * are of another type than they should be, are left out.
 */
struct bh_record *bh_record_decode(const json_t *object);

/* --- for people --------------------------------------------------------------------------- */

/* A line with newline; @color adds terminal colours.  Every text is escaped. */
void bh_record_format(const struct bh_record *r, bool color, struct bh_buf *out);
/* A header line for bh_record_format()'s columns. */
void bh_record_header(struct bh_buf *out);

/* What `bulkhead flows` asks for; zero is everything. */
struct bh_record_filter {
	const char *namespace, *pod; /* either end; pod NULL: any of the namespace */
	const char *verdict;         /* "denied", "allowed", "audit"; NULL: any */
	uint64_t since_ns;           /* real time */
};
bool bh_record_matches(const struct bh_record *r, const struct bh_record_filter *filter);
/* The namespace whose packets or objects made the record; "" where none did. */
const char *bh_record_tenant(const struct bh_record *r);

#endif
