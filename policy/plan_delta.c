/*
 * What happened to a plan, as operations for the kernel.
 *
 * Three parts, with the points where a transaction may end:
 *
 *   1. new counters, sets, chains, rules and the elements of new sets.  Nothing
 *      leads to them yet, so a transaction may end anywhere.  (The rules of a
 *      new base chain lead to maps that are new and still empty.)
 *   2. every change of maps and of sets that are in use.  Whether a change
 *      opens or closes depends on all others - a pod may leave an egress
 *      profile that let it out and enter a set that lets it in - so this part
 *      is never cut.
 *   3. what nothing leads to any more.  May end anywhere.
 */
#include "plan_impl.h"

#include <string.h>

/* Elements of one operation of part 1, so that a large set can be cut too. */
#define MAX_ELEMS 4096u

struct ops {
	const struct bh_plan *plan;
	struct bh_delta *delta;
	size_t cap; /* of delta->ops, which moves into the arena at the end */
	bool is_cut;
};

static struct bh_op *add_op(struct ops *o, enum bh_op_kind kind)
{
	struct bh_delta *d = o->delta;
	struct bh_op *op;

	bh_grow(&d->ops, &o->cap, d->n_ops, sizeof(*d->ops));
	op = &d->ops[d->n_ops++];
	*op = (struct bh_op){ .kind = kind, .is_cut = o->is_cut && d->n_ops > 1 };
	return op;
}

static void add_set_op(struct ops *o, enum bh_op_kind kind, const struct bh_plan_set *set)
{
	struct bh_op *op = add_op(o, kind);

	op->name = set->spec.name;
	op->set = set;
}

static void add_chain_op(struct ops *o, enum bh_op_kind kind, const struct bh_plan_chain *chain)
{
	struct bh_op *op = add_op(o, kind);

	op->name = chain->name;
	op->chain = chain;
}

static void add_elems_op(struct ops *o, enum bh_op_kind kind, const struct bh_plan_set *set,
			 const struct bh_elem *elems, size_t n)
{
	struct bh_op *op = add_op(o, kind);

	op->name = set->spec.name;
	op->set = set;
	op->elems = elems;
	op->n_elems = n;
}

static void add_all_elems(struct ops *o, const struct bh_plan_set *set)
{
	size_t i, j;

	for (i = 0; i < set->n; i += MAX_ELEMS) {
		size_t n = set->n - i < MAX_ELEMS ? set->n - i : MAX_ELEMS;
		struct bh_elem *elems = bh_arena_array(o->delta->arena, n, sizeof(*elems));

		for (j = 0; j < n; j++)
			bh_plan_elem(set, i + j, &elems[j]);
		add_elems_op(o, BH_OP_ADD_ELEMS, set, elems, n);
	}
}

/*
 * A map element that leads elsewhere is deleted and added: the kernel answers
 * EEXIST to an element of the same key and another verdict.
 */
static void add_changes(struct ops *o, struct bh_plan_set_priv *s)
{
	size_t size = s->stride + 1, n_del = 0, n_add = 0, i, at;
	struct bh_elem *del, *add;

	plan_set_compact(s);
	if (s->before.n == 0)
		return;
	del = bh_arena_array(o->delta->arena, s->before.n, sizeof(*del));
	add = bh_arena_array(o->delta->arena, s->before.n, sizeof(*add));
	for (i = 0; i < s->before.n; i++) {
		const uint8_t *old = s->before.data + i * size;
		bool was_there = old[s->stride], is_there = plan_set_find(s, old, &at);
		const uint8_t *now = is_there ? s->now.data + at * s->stride : NULL;

		if (was_there == is_there && (!now || memcmp(old, now, s->stride) == 0))
			continue;
		if (was_there)
			plan_unpack(s, old, &del[n_del++]);
		if (now)
			plan_unpack(s, now, &add[n_add++]);
	}
	if (n_del)
		add_elems_op(o, BH_OP_DEL_ELEMS, s->set, del, n_del);
	if (n_add)
		add_elems_op(o, BH_OP_ADD_ELEMS, s->set, add, n_add);
}

static bool is_map(const struct bh_plan_set_priv *s)
{
	return bh_set_shape_of(s->set->spec.kind)->is_map;
}

static void add_new_objects(struct ops *o)
{
	const struct bh_plan *plan = o->plan;
	size_t i;

	if (!plan->is_settled_once)
		add_op(o, BH_OP_ADD_TABLE);
	for (i = 0; i < plan->n_counters; i++) {
		if (plan->counters[i].is_new)
			add_op(o, BH_OP_ADD_COUNTER)->name = plan->counters[i].name;
	}
	for (i = 0; i < plan->n_dirty_sets; i++) {
		if (plan->dirty_sets[i]->is_new && !plan->dirty_sets[i]->is_removed)
			add_set_op(o, BH_OP_ADD_SET, plan->dirty_sets[i]->set);
	}
	for (i = 0; i < plan->n_dirty_chains; i++) {
		if (plan->dirty_chains[i]->is_new && !plan->dirty_chains[i]->is_removed)
			add_chain_op(o, BH_OP_ADD_CHAIN, plan->dirty_chains[i]->chain);
	}
}

/* After all chains and sets, since rules may lead to any of them. */
static void fill_new_objects(struct ops *o)
{
	const struct bh_plan *plan = o->plan;
	size_t i;

	for (i = 0; i < plan->n_dirty_sets; i++) {
		const struct bh_plan_set_priv *s = plan->dirty_sets[i];

		if (s->is_new && !s->is_removed && !is_map(s))
			add_all_elems(o, s->set);
	}
	for (i = 0; i < plan->n_dirty_chains; i++) {
		const struct bh_plan_chain_priv *c = plan->dirty_chains[i];

		if (c->is_new && !c->is_removed && c->chain->n_rules)
			add_chain_op(o, BH_OP_ADD_RULES, c->chain);
	}
}

static void change_objects(struct ops *o)
{
	const struct bh_plan *plan = o->plan;
	size_t i;

	for (i = 0; i < plan->n_dirty_chains; i++) {
		const struct bh_plan_chain_priv *c = plan->dirty_chains[i];
		const struct bh_plan_chain *chain = c->chain;

		if (c->is_new || c->is_removed || !c->is_rewritten ||
		    plan_rules_equal(c->old_rules, c->n_old_rules, chain->rules, chain->n_rules))
			continue;
		add_chain_op(o, BH_OP_FLUSH_CHAIN, chain);
		add_chain_op(o, BH_OP_ADD_RULES, chain);
	}
	for (i = 0; i < plan->n_dirty_sets; i++) {
		struct bh_plan_set_priv *s = plan->dirty_sets[i];

		if (s->is_removed)
			continue;
		if (!s->is_new)
			add_changes(o, s);
		else if (is_map(s))
			add_all_elems(o, s->set);
	}
}

static bool lead_to_chains(const struct bh_plan_rule *rules, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < rules[i].n_exprs; j++) {
			if (rules[i].exprs[j].chain)
				return true;
		}
	}
	return false;
}

/* A chain that came back and went again has the old rules in the kernel. */
static bool leads_to_chains(const struct bh_plan_chain_priv *c)
{
	if (c->is_rewritten)
		return lead_to_chains(c->old_rules, c->n_old_rules);
	return lead_to_chains(c->chain->rules, c->chain->n_rules);
}

/*
 * The kernel deletes no chain that a rule leads to, so those rules go first.
 */
static void remove_objects(struct ops *o)
{
	const struct bh_plan *plan = o->plan;
	size_t i;

	for (i = 0; i < plan->n_dirty_chains; i++) {
		const struct bh_plan_chain_priv *c = plan->dirty_chains[i];

		if (c->is_removed && !c->is_new && leads_to_chains(c))
			add_chain_op(o, BH_OP_FLUSH_CHAIN, c->chain);
	}
	for (i = 0; i < plan->n_dirty_chains; i++) {
		const struct bh_plan_chain_priv *c = plan->dirty_chains[i];

		if (c->is_removed && !c->is_new)
			add_chain_op(o, BH_OP_DEL_CHAIN, c->chain);
	}
	for (i = 0; i < plan->n_dirty_sets; i++) {
		const struct bh_plan_set_priv *s = plan->dirty_sets[i];

		if (s->is_removed && !s->is_new)
			add_set_op(o, BH_OP_DEL_SET, s->set);
	}
}

static int cmp_set(const void *a, const void *b)
{
	const struct bh_plan_set_priv *const *x = a, *const *y = b;

	return strcmp((*x)->set->spec.name, (*y)->set->spec.name);
}

static int cmp_chain(const void *a, const void *b)
{
	const struct bh_plan_chain_priv *const *x = a, *const *y = b;

	return strcmp((*x)->chain->name, (*y)->chain->name);
}

struct bh_delta *bh_plan_delta(const struct bh_plan *plan)
{
	struct ops o = { .plan = plan, .is_cut = true };
	bh_auto_free struct bh_op *grown = NULL;

	if (!bh_plan_is_dirty(plan))
		return NULL;
	bh_plan_merge(plan);
	if (plan->n_dirty_sets)
		bh_sort(plan->dirty_sets, plan->n_dirty_sets, sizeof(struct bh_plan_set_priv *),
			cmp_set);
	if (plan->n_dirty_chains)
		bh_sort(plan->dirty_chains, plan->n_dirty_chains,
			sizeof(struct bh_plan_chain_priv *), cmp_chain);

	o.delta = bh_calloc(1, sizeof(*o.delta));
	o.delta->table = plan->table;
	o.delta->arena = bh_arena_new();
	add_new_objects(&o);
	fill_new_objects(&o);
	o.is_cut = false;
	o.delta->whole = o.delta->n_ops;
	change_objects(&o);
	o.delta->rest = o.delta->n_ops;
	if (o.delta->whole > 0 && o.delta->whole < o.delta->rest)
		o.delta->ops[o.delta->whole].is_cut = true;
	o.is_cut = true;
	remove_objects(&o);

	grown = o.delta->ops;
	if (o.delta->n_ops == 0) {
		bh_delta_free(&o.delta);
		return NULL;
	}
	o.delta->ops = bh_arena_memdup(o.delta->arena, grown, o.delta->n_ops * sizeof(*grown));
	return o.delta;
}

void bh_delta_free(struct bh_delta **delta)
{
	if (!*delta)
		return;
	bh_arena_free(&(*delta)->arena);
	free(*delta);
	*delta = NULL;
}

bool bh_plan_is_dirty(const struct bh_plan *plan)
{
	return !plan->is_settled_once || plan->has_new_counters || plan->n_dirty_sets ||
	       plan->n_dirty_chains;
}
