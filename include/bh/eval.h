/*
 * The evaluator: what happens to one flow, and why.
 *
 * Written from the meaning of the API and not from the plan, so that the two
 * check each other.  Pure; reads the world only; allocates nothing.
 *
 * Decisions where the API is silent: a policy that failed validation isolates
 * its pods in both directions in whatever tier it would have been, after the
 * Admin tier; rules of a direction that a v1 policy
 * does not isolate say nothing.  An egress rule's named port together with an
 * ipBlock matches nothing, even where the address is a pod's.  Finished pods
 * are not subject, and host-network pods are their node.
 */
#ifndef BH_EVAL_H
#define BH_EVAL_H

#include "bh/world.h"

/*
 * One new connection as the policy hook sees it: destination after DNAT,
 * source before SNAT.
 */
struct bh_flow {
	struct bh_addr src, dst;
	uint8_t protocol;  /* IPPROTO_* */
	uint16_t dst_port; /* host byte order; 0 where the protocol has none */
	/*
	 * Pods, where the caller knows them better than the addresses tell
	 * (pods without addresses in the simulator); NULL: by address.  A
	 * pod whose address is left zero is in no ipBlock.
	 */
	const struct bh_pod *src_pod, *dst_pod;
};

enum bh_verdict { BH_VERDICT_ALLOWED, BH_VERDICT_DENIED, BH_VERDICT_COUNT_ };
const char *bh_verdict_str(enum bh_verdict v); /* "allowed", "denied" */

/* Why a direction came out as it did. */
enum bh_reason {
	BH_REASON_NOT_SUBJECT,  /* no pod at that end, or a host-network pod */
	BH_REASON_NOT_ISOLATED, /* no policy selects the pod in this direction */
	BH_REASON_SELF,         /* a pod to itself */
	BH_REASON_OWN_NODE,     /* a node to a pod of its own */
	BH_REASON_RULE,         /* rule[] decided */
	BH_REASON_DEFAULT_DENY, /* isolated and no rule matched */
	BH_REASON_NO_LABELS,    /* the pod's labels are not known yet: closed, or audit */
	BH_REASON_CONTESTED,    /* another pod may have the pod's address: the same */
	BH_REASON_QUARANTINE,   /* denied: rule is of a quarantine */
	/* Not the evaluator's, see bh_result_close(). */
	BH_REASON_SPOOFED,  /* the pod does not own the source address */
	BH_REASON_UNLISTED, /* the isolated pod does not own the destination address */
	BH_REASON_NO_POD,   /* no pod is known yet at an address that the operator closes */
	BH_REASON_COUNT_
};
const char *bh_reason_str(enum bh_reason r); /* "not-subject", "not-isolated", ... */
/* Whether a rule decided. */
bool bh_reason_has_rule(enum bh_reason r);

/* What a rule that nearly matched missed; first in this order. */
enum bh_miss {
	BH_MISS_PROTOCOL,           /* peer matches, no port entry of this protocol */
	BH_MISS_PORT,               /* peer and protocol match */
	BH_MISS_POD_SELECTOR,       /* ports match, namespace too */
	BH_MISS_IP_BLOCK,           /* ports match, address outside cidr or inside except */
	BH_MISS_NAMESPACE_SELECTOR, /* ports match */
	BH_MISS_COUNT_
};
const char *
bh_miss_str(enum bh_miss m); /* "protocol", "port", "podSelector", "ipBlock", "namespaceSelector" */

struct bh_rule_ref {
	const struct bh_policy *policy;
	size_t rule_index; /* within policy->rules[dir] */
};

struct bh_near_miss {
	struct bh_rule_ref ref;
	enum bh_miss why;
};

#define BH_MAX_ISOLATING   16
#define BH_MAX_NEAR_MISSES 4

/*
 * One direction.  Policies in audit are absent from verdict, reason, rule and
 * isolating; audit_verdict is what it would be if they were enforced.
 */
struct bh_dir_verdict {
	enum bh_verdict verdict;
	enum bh_reason reason;
	struct bh_rule_ref rule; /* BH_REASON_RULE, _QUARANTINE: the first that decides */
	/* BH_REASON_DEFAULT_DENY: who isolates the pod, in name order. */
	const struct bh_policy *isolating[BH_MAX_ISOLATING];
	size_t n_isolating; /* all of them; only the first BH_MAX_ISOLATING are kept */
	/* Denied: the Allow rules that came nearest, nearest first. */
	struct bh_near_miss near[BH_MAX_NEAR_MISSES];
	size_t n_near;
	enum bh_verdict audit_verdict;
	/* If audit_verdict is denied and verdict is not: who denies in audit. */
	const struct bh_policy *audit_isolating[BH_MAX_ISOLATING];
	size_t n_audit_isolating;
	struct bh_rule_ref audit_rule; /* policy NULL: no rule but isolation */
};

enum bh_entity { BH_ENTITY_POD, BH_ENTITY_NODE, BH_ENTITY_EXTERNAL, BH_ENTITY_COUNT_ };
const char *bh_entity_str(enum bh_entity e); /* "pod", "node", "external" */

struct bh_end {
	enum bh_entity entity;
	const struct bh_pod *pod;   /* BH_ENTITY_POD, and BH_ENTITY_NODE if host-network */
	const struct bh_node *node; /* BH_ENTITY_NODE; NULL if nobody described it */
	bool is_here;               /* a pod of the world's own node, whose rules judge it */
};

struct bh_result {
	enum bh_verdict verdict; /* both directions */
	enum bh_verdict audit_verdict;
	/*
	 * What the rules of the world's own node do: the source's egress if it is a
	 * pod of this node, the destination's ingress if that is one.  The other end
	 * is judged where it runs, which may be by no rules at all.
	 */
	enum bh_verdict here;
	struct bh_end src, dst;
	struct bh_dir_verdict dir[BH_DIR_COUNT_];
};

/* Pointers in *ret are the world's, with the life that world.h gives them. */
void bh_eval(const struct bh_world *w, const struct bh_flow *flow, struct bh_result *ret);

/*
 * The same of the copy of a group's packet (multicast, broadcast) that flow->dst_pod gets:
 * the sender's rules know the group's address only, whichever pod a copy is for.
 */
void bh_eval_copy(const struct bh_world *w, const struct bh_flow *flow, struct bh_result *ret);

/*
 * This node's rules drop the packet before policy judges it (guard.h, and addresses
 * without a known pod); in audit they would.
 */
void bh_result_close(struct bh_result *result, enum bh_dir dir, enum bh_reason reason,
		     bool is_audit);

/* One direction only: is the pod at that end, judged by its policies, allowed? */
void bh_eval_dir(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		 struct bh_dir_verdict *ret);

/* What one policy says of one direction by itself, in audit or not. */
struct bh_policy_word {
	bool is_about; /* selects the pod and isolates it or has rules, or is not valid */
	bool matches;
	size_t rule_index; /* the first that matches */
	/* Else its Allow rules that came nearest, nearest first. */
	struct bh_near_miss near[BH_MAX_NEAR_MISSES];
	size_t n_near;
};

/* Says nothing where the direction is not judged by policies. */
void bh_eval_policy(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
		    const struct bh_policy *p, struct bh_policy_word *ret);

/* Who an address is.  @pod may be NULL. */
struct bh_end bh_eval_end(const struct bh_world *w, const struct bh_addr *a,
			  const struct bh_pod *pod);

#endif
