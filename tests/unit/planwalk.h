/*
 * What a plan does to a packet: a small interpreter of its chains, for tests
 * that compare the plan with the evaluator.
 */
#ifndef BH_PLANWALK_H
#define BH_PLANWALK_H

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/model.h"
#include "bh/plan.h"

struct packet {
	struct bh_addr src, dst;
	uint8_t protocol;
	uint16_t port;  /* what is where TCP has its destination port */
	bool is_own;    /* sent by the node itself */
	bool is_to_own; /* and to the node itself */
};

struct fate {
	bool is_dropped;
	bool is_denied[BH_DIR_COUNT_]; /* logged as denied in that direction */
	bool is_audited[BH_DIR_COUNT_];
};

enum walk_end { WALK_ON, WALK_ACCEPT, WALK_DROP };

struct walk {
	const struct bh_plan *plan;
	const struct packet *packet;
	struct fate *fate;
};

static inline bool walk_key(const struct walk *w, const struct bh_expr *e, uint8_t ret[BH_KEY_MAX])
{
	const struct packet *p = w->packet;
	bool is_src = e->key == BH_KEY_SADDR || e->key == BH_KEY_SADDR_PROTO_PORT;
	const struct bh_addr *a = is_src ? &p->src : &p->dst;

	/* Filled by the agent, and empty here. */
	if (bh_set_shape_of(e->set->spec.kind)->is_dynamic)
		return false;
	if (e->key != BH_KEY_PROTO_PORT && a->family != e->set->spec.family)
		return false;
	bh_plan_key(e->set->spec.kind, a, p->protocol, p->port, ret);
	return true;
}

/* Field by field: address bytes, protocol, port. */
static inline bool walk_is_within(const struct bh_plan_set *set, const struct bh_elem *e,
				  const uint8_t *key)
{
	size_t addr = set->spec.kind == BH_SET_PROTO_PORT ? 0 : bh_family_len(set->spec.family);
	size_t at = 0;

	while (at < set->key_len) {
		size_t len = at < addr ? addr : 4;

		if (memcmp(key + at, e->key + at, len) < 0 ||
		    memcmp(key + at, e->end + at, len) > 0)
			return false;
		at += len;
	}
	return true;
}

static inline bool walk_find(const struct bh_plan_set *set, const uint8_t *key, struct bh_elem *ret)
{
	size_t i;

	for (i = 0; i < set->n; i++) {
		bh_plan_elem(set, i, ret);
		if (set->spec.is_interval ? walk_is_within(set, ret, key)
					  : memcmp(ret->key, key, set->key_len) == 0)
			return true;
	}
	return false;
}

static inline enum walk_end walk_chain(const struct walk *w, const struct bh_plan_chain *c);

/* Only of what the compiler matches; test packets are no discovery. */
static inline bool walk_match(const struct packet *p, const struct bh_expr *e)
{
	switch (e->load) {
	case BH_LOAD_L4PROTO: return p->protocol == e->value;
	case BH_LOAD_HOPLIMIT:
	case BH_LOAD_ICMP6_TYPE: return false;
	/* No copy for a group, which a bridge makes. */
	case BH_LOAD_PRIORITY: return e->op == BH_MATCH_NOT_BYTES;
	/* They open something. */
	case BH_LOAD_TCP_FLAGS: return p->protocol == IPPROTO_TCP && e->op == BH_MATCH_BYTES;
	default: abort();
	}
}

/* False if the rule ends here; *ret then says whether the chain does too. */
static inline bool walk_expr(const struct walk *w, const struct bh_expr *e, enum walk_end *ret,
			     bool *is_return)
{
	uint8_t key[BH_KEY_MAX];
	struct bh_elem elem;
	enum bh_dir dir;

	switch (e->kind) {
	case BH_EXPR_CT_STATE: return false; /* test packets are new */
	case BH_EXPR_MATCH: return walk_match(w->packet, e);
	case BH_EXPR_FIB_LOCAL: return w->packet->is_own;
	case BH_EXPR_LOOKUP:
		return walk_key(w, e, key) && walk_find(e->set, key, &elem) != e->is_negated;
	case BH_EXPR_VMAP:
		if (walk_key(w, e, key) && walk_find(e->set, key, &elem))
			*ret = walk_chain(w, elem.chain);
		return false;
	case BH_EXPR_COUNTER:
	case BH_EXPR_LIMIT:
	case BH_EXPR_UPDATE:
	case BH_EXPR_PRIORITY: return true;
	case BH_EXPR_LOG:
		dir = strncmp(e->name + 5, "in_", 3) == 0 ? BH_INGRESS : BH_EGRESS;
		if (e->name[3] == 'a')
			w->fate->is_audited[dir] = true;
		else
			w->fate->is_denied[dir] = true;
		return true;
	case BH_EXPR_VERDICT: break;
	case BH_EXPR_KIND_COUNT_: abort();
	}
	switch (e->verdict) {
	case BH_V_ACCEPT: *ret = WALK_ACCEPT; return false;
	case BH_V_DROP: *ret = WALK_DROP; return false;
	case BH_V_GOTO:
	case BH_V_JUMP: *ret = walk_chain(w, e->chain); break;
	case BH_V_RETURN:
	case BH_V_COUNT_: break;
	}
	*is_return = e->verdict != BH_V_JUMP;
	return false;
}

static inline enum walk_end walk_chain(const struct walk *w, const struct bh_plan_chain *c)
{
	size_t i, j;

	for (i = 0; i < c->n_rules; i++) {
		enum walk_end end = WALK_ON;
		bool is_return = false;

		for (j = 0; j < c->rules[i].n_exprs; j++) {
			if (!walk_expr(w, &c->rules[i].exprs[j], &end, &is_return))
				break;
		}
		if (end != WALK_ON || is_return)
			return end;
	}
	return WALK_ON;
}

static inline struct fate walk_plan(const struct bh_plan *plan, const struct packet *packet)
{
	const char *hook = packet->is_own ? "output" : packet->is_to_own ? "input" : "forward";
	struct fate fate = { 0 };
	struct walk w = { .plan = plan, .packet = packet, .fate = &fate };

	fate.is_dropped = walk_chain(&w, bh_plan_chain(plan, hook)) == WALK_DROP;
	return fate;
}

#endif
