/*
 * Inside of the plan, shared by the plan_*.c files.
 */
#ifndef POLICY_PLAN_IMPL_H
#define POLICY_PLAN_IMPL_H

#include "bh/hash.h"
#include "bh/plan.h"

/* Records of one fixed size, packed. */
struct records {
	uint8_t *data;
	size_t n, cap;
};

/*
 * A record is the key, for intervals the end, for maps the chain's pointer or the value.
 * The first id_len bytes (key and end) tell elements apart.
 *
 * Puts and drops are gathered in @pending and worked into @now in one walk when
 * somebody looks, so that loading n elements costs one sort and changing one
 * element costs one memmove().  Every effective change to a settled set first
 * notes in @before what the element was.
 */
struct bh_plan_set_priv {
	struct bh_plan_set *set;
	size_t id_len, stride;
	struct records now;     /* sorted by id; set->n counts them */
	struct records pending; /* in the order told; a record and one byte, 1: put */
	struct records before; /* a record and one byte, 1: was there; the oldest of an id counts */
	size_t before_max;     /* when to drop the younger ones of @before */
	bool is_new;           /* not settled yet */
	bool is_removed, is_dirty;
	UT_hash_handle hh;
};

struct bh_plan_chain_priv {
	struct bh_plan_chain *chain;
	size_t rules_cap;
	/* It was removed and came back before the settle: the rules it had. */
	bool is_rewritten;
	struct bh_plan_rule *old_rules;
	size_t n_old_rules;
	bool is_new, is_removed, is_dirty;
	UT_hash_handle hh;
};

struct plan_counter {
	char *name;
	bool is_new;
};

/* Answers of the reading functions, made when asked for. */
struct plan_listing {
	const struct bh_plan_set **sets;
	size_t n_sets;
	const struct bh_plan_chain **chains;
	size_t n_chains;
	const char **counters;
	bool has_sets, has_chains;
};

struct bh_plan {
	enum bh_table table;
	struct bh_plan_set_priv *sets; /* by name; removed ones too until the settle */
	struct bh_plan_chain_priv *chains;
	/* New, changed or removed since the settle. */
	struct bh_plan_set_priv **dirty_sets;
	size_t n_dirty_sets, dirty_sets_cap;
	struct bh_plan_chain_priv **dirty_chains;
	size_t n_dirty_chains, dirty_chains_cap;
	struct plan_counter *counters; /* sorted by name */
	size_t n_counters, counters_cap;
	bool is_settled_once, has_new_counters;
	struct plan_listing *listing;
};

/* plan.c */
void plan_touch_set(struct bh_plan *plan, struct bh_plan_set_priv *s);

/* plan_elems.c */
void plan_set_init(struct bh_plan_set_priv *s);
void plan_set_done(struct bh_plan_set_priv *s);
/* Works what is pending into the set. */
void plan_set_merge(struct bh_plan_set_priv *s);
/* Of one that the kernel never had: its elements are nobody's business. */
void plan_set_clear(struct bh_plan_set_priv *s);
/* Takes every element out, noted like any other change. */
void plan_set_empty(struct bh_plan_set_priv *s);
/* Sorts @before and keeps the oldest note of each element. */
void plan_set_compact(struct bh_plan_set_priv *s);
void plan_set_settle(struct bh_plan_set_priv *s);
bool plan_set_find(const struct bh_plan_set_priv *s, const uint8_t *id, size_t *ret);
void plan_unpack(const struct bh_plan_set_priv *s, const uint8_t *record, struct bh_elem *ret);

/* plan_equal.c */
bool plan_specs_equal(const struct bh_set_spec *a, const struct bh_set_spec *b);
bool plan_texts_equal(const char *a, const char *b);
bool plan_rules_equal(const struct bh_plan_rule *a, size_t n_a, const struct bh_plan_rule *b,
		      size_t n_b);

#endif
