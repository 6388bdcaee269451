/*
 * The objects of a plan: sets, chains, rules, counters, and who knows them.
 *
 * A set or chain that was removed keeps its place in the table of names until
 * the settle.  If one of that name is added before, it is the old one that
 * comes back, so that the delta holds what really differs from the kernel.
 */
#include "plan_impl.h"

#include <assert.h>
#include <string.h>

struct bh_plan *bh_plan_new(enum bh_table table)
{
	struct bh_plan *plan = bh_calloc(1, sizeof(*plan));

	plan->table = table;
	plan->listing = bh_calloc(1, sizeof(*plan->listing));
	return plan;
}

enum bh_table bh_plan_table(const struct bh_plan *plan)
{
	return plan->table;
}

static void free_set(struct bh_plan *plan, struct bh_plan_set_priv *s)
{
	HASH_DEL(plan->sets, s);
	plan_set_done(s);
	free((void *)(uintptr_t)s->set->spec.name);
	free((void *)(uintptr_t)s->set->spec.comment);
	free(s->set);
	free(s);
}

static void free_rules(struct bh_plan_rule *rules, size_t n)
{
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < rules[i].n_exprs; j++)
			free((void *)(uintptr_t)rules[i].exprs[j].name);
	}
	free(rules);
}

static void free_chain(struct bh_plan *plan, struct bh_plan_chain_priv *c)
{
	HASH_DEL(plan->chains, c);
	free_rules(c->chain->rules, c->chain->n_rules);
	free_rules(c->old_rules, c->n_old_rules);
	free((void *)(uintptr_t)c->chain->name);
	free((void *)(uintptr_t)c->chain->comment);
	free((void *)(uintptr_t)c->chain->device);
	free(c->chain);
	free(c);
}

void bh_plan_free(struct bh_plan **plan_ptr)
{
	struct bh_plan *plan = *plan_ptr;
	struct bh_plan_set_priv *s, *next_set;
	struct bh_plan_chain_priv *c, *next_chain;
	size_t i;

	if (!plan)
		return;
	HASH_ITER (hh, plan->sets, s, next_set)
		free_set(plan, s);
	HASH_ITER (hh, plan->chains, c, next_chain)
		free_chain(plan, c);
	for (i = 0; i < plan->n_counters; i++)
		free(plan->counters[i].name);
	free(plan->counters);
	free(plan->dirty_sets);
	free(plan->dirty_chains);
	free(plan->listing->sets);
	free(plan->listing->chains);
	free(plan->listing->counters);
	free(plan->listing);
	free(plan);
	*plan_ptr = NULL;
}

void plan_touch_set(struct bh_plan *plan, struct bh_plan_set_priv *s)
{
	if (s->is_dirty)
		return;
	bh_grow(&plan->dirty_sets, &plan->dirty_sets_cap, plan->n_dirty_sets,
		sizeof(struct bh_plan_set_priv *));
	plan->dirty_sets[plan->n_dirty_sets++] = s;
	s->is_dirty = true;
}

static void touch_chain(struct bh_plan *plan, struct bh_plan_chain_priv *c)
{
	plan->listing->has_chains = false;
	if (c->is_dirty)
		return;
	bh_grow(&plan->dirty_chains, &plan->dirty_chains_cap, plan->n_dirty_chains,
		sizeof(struct bh_plan_chain_priv *));
	plan->dirty_chains[plan->n_dirty_chains++] = c;
	c->is_dirty = true;
}

static struct bh_plan_set_priv *find_set(const struct bh_plan *plan, const char *name)
{
	struct bh_plan_set_priv *s;

	HASH_FIND(hh, plan->sets, name, strlen(name), s);
	return s;
}

static struct bh_plan_chain_priv *find_chain(const struct bh_plan *plan, const char *name)
{
	struct bh_plan_chain_priv *c;

	HASH_FIND(hh, plan->chains, name, strlen(name), c);
	return c;
}

struct bh_plan_set *bh_plan_add_set(struct bh_plan *plan, const struct bh_set_spec *spec)
{
	struct bh_plan_set_priv *s = find_set(plan, spec->name);

	if (s) {
		assert(s->is_removed && plan_specs_equal(&s->set->spec, spec));
		plan_set_empty(s);
		s->is_removed = false;
		plan->listing->has_sets = false;
		plan_touch_set(plan, s);
		return s->set;
	}
	assert(strlen(spec->name) < BH_NAME_MAX);
	s = bh_calloc(1, sizeof(*s));
	s->set = bh_calloc(1, sizeof(*s->set));
	s->set->priv = s;
	s->set->spec = *spec;
	s->set->spec.name = bh_strdup(spec->name);
	s->set->spec.comment = spec->comment ? bh_strdup(spec->comment) : NULL;
	s->is_new = true;
	plan_set_init(s);
	HASH_ADD_KEYPTR(hh, plan->sets, s->set->spec.name, strlen(s->set->spec.name), s);
	plan->listing->has_sets = false;
	plan_touch_set(plan, s);
	return s->set;
}

void bh_plan_remove_set(struct bh_plan *plan, struct bh_plan_set *set)
{
	assert(!set->priv->is_removed);
	set->priv->is_removed = true;
	if (set->priv->is_new)
		plan_set_clear(set->priv);
	plan->listing->has_sets = false;
	plan_touch_set(plan, set->priv);
}

/* The kernel still has the rules the chain had at the last settle. */
static void bring_back(struct bh_plan_chain_priv *c)
{
	struct bh_plan_chain *chain = c->chain;

	if (c->is_new || c->is_rewritten) {
		free_rules(chain->rules, chain->n_rules);
	} else {
		c->old_rules = chain->rules;
		c->n_old_rules = chain->n_rules;
		c->is_rewritten = true;
	}
	chain->rules = NULL;
	chain->n_rules = 0;
	c->rules_cap = 0;
	c->is_removed = false;
}

/* Strings of @like are copied. */
static struct bh_plan_chain *add_chain(struct bh_plan *plan, const struct bh_plan_chain *like)
{
	struct bh_plan_chain_priv *c = find_chain(plan, like->name);

	if (c) {
		assert(c->is_removed && c->chain->hook == like->hook &&
		       c->chain->priority == like->priority &&
		       plan_texts_equal(c->chain->device, like->device));
		bring_back(c);
		touch_chain(plan, c);
		return c->chain;
	}
	assert(strlen(like->name) < BH_NAME_MAX);
	c = bh_calloc(1, sizeof(*c));
	c->chain = bh_calloc(1, sizeof(*c->chain));
	*c->chain = (struct bh_plan_chain){
		.name = bh_strdup(like->name),
		.comment = like->comment ? bh_strdup(like->comment) : NULL,
		.hook = like->hook,
		.priority = like->priority,
		.device = like->device ? bh_strdup(like->device) : NULL,
		.priv = c,
	};
	c->is_new = true;
	HASH_ADD_KEYPTR(hh, plan->chains, c->chain->name, strlen(c->chain->name), c);
	touch_chain(plan, c);
	return c->chain;
}

struct bh_plan_chain *bh_plan_add_chain(struct bh_plan *plan, const char *name, const char *comment,
					enum bh_hook hook, int32_t priority)
{
	assert(hook != BH_HOOK_INGRESS);
	return add_chain(plan, &(struct bh_plan_chain){ .name = name,
							.comment = comment,
							.hook = hook,
							.priority = priority });
}

struct bh_plan_chain *bh_plan_add_ingress(struct bh_plan *plan, const char *name,
					  const char *device, int32_t priority)
{
	assert(plan->table == BH_TABLE_NETDEV);
	return add_chain(plan, &(struct bh_plan_chain){ .name = name,
							.hook = BH_HOOK_INGRESS,
							.priority = priority,
							.device = device });
}

void bh_plan_add_rule(struct bh_plan *plan, struct bh_plan_chain *chain,
		      const struct bh_plan_rule *rule)
{
	struct bh_plan_chain_priv *c = chain->priv;
	struct bh_plan_rule *copy;
	size_t i;

	(void)plan;
	assert((c->is_new || c->is_rewritten) && !c->is_removed);
	assert(rule->n_exprs <= BH_RULE_MAX_EXPRS);
	bh_grow(&chain->rules, &c->rules_cap, chain->n_rules, sizeof(*chain->rules));
	copy = &chain->rules[chain->n_rules++];
	*copy = *rule;
	for (i = 0; i < copy->n_exprs; i++) {
		if (copy->exprs[i].name)
			copy->exprs[i].name = bh_strdup(copy->exprs[i].name);
	}
}

void bh_plan_remove_chain(struct bh_plan *plan, struct bh_plan_chain *chain)
{
	assert(!chain->priv->is_removed);
	chain->priv->is_removed = true;
	touch_chain(plan, chain->priv);
}

void bh_plan_add_counter(struct bh_plan *plan, const char *name)
{
	size_t i;

	/* There are four of them. */
	for (i = 0; i < plan->n_counters && strcmp(plan->counters[i].name, name) < 0; i++)
		;
	assert(i == plan->n_counters || strcmp(plan->counters[i].name, name) != 0);
	bh_grow(&plan->counters, &plan->counters_cap, plan->n_counters, sizeof(*plan->counters));
	memmove(&plan->counters[i + 1], &plan->counters[i],
		(plan->n_counters - i) * sizeof(*plan->counters));
	plan->counters[i] = (struct plan_counter){ .name = bh_strdup(name), .is_new = true };
	plan->n_counters++;
	plan->has_new_counters = true;
	free(plan->listing->counters);
	plan->listing->counters = NULL;
}

static int cmp_set(const void *a, const void *b)
{
	const struct bh_plan_set *const *x = a, *const *y = b;

	return strcmp((*x)->spec.name, (*y)->spec.name);
}

static int cmp_chain(const void *a, const void *b)
{
	const struct bh_plan_chain *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

size_t bh_plan_sets(const struct bh_plan *plan, const struct bh_plan_set *const **ret)
{
	struct plan_listing *l = plan->listing;
	struct bh_plan_set_priv *s, *next;

	bh_plan_merge(plan);
	if (!l->has_sets) {
		l->sets = bh_reallocarray(l->sets, HASH_COUNT(plan->sets),
					  sizeof(struct bh_plan_set *));
		l->n_sets = 0;
		HASH_ITER (hh, plan->sets, s, next) {
			if (!s->is_removed)
				l->sets[l->n_sets++] = s->set;
		}
		bh_sort(l->sets, l->n_sets, sizeof(struct bh_plan_set *), cmp_set);
		l->has_sets = true;
	}
	*ret = l->sets;
	return l->n_sets;
}

size_t bh_plan_chains(const struct bh_plan *plan, const struct bh_plan_chain *const **ret)
{
	struct plan_listing *l = plan->listing;
	struct bh_plan_chain_priv *c, *next;

	if (!l->has_chains) {
		l->chains = bh_reallocarray(l->chains, HASH_COUNT(plan->chains),
					    sizeof(struct bh_plan_chain *));
		l->n_chains = 0;
		HASH_ITER (hh, plan->chains, c, next) {
			if (!c->is_removed)
				l->chains[l->n_chains++] = c->chain;
		}
		bh_sort(l->chains, l->n_chains, sizeof(struct bh_plan_chain *), cmp_chain);
		l->has_chains = true;
	}
	*ret = l->chains;
	return l->n_chains;
}

size_t bh_plan_counters(const struct bh_plan *plan, const char *const **ret)
{
	struct plan_listing *l = plan->listing;
	size_t i;

	if (!l->counters) {
		l->counters = bh_calloc(plan->n_counters, sizeof(const char *));
		for (i = 0; i < plan->n_counters; i++)
			l->counters[i] = plan->counters[i].name;
	}
	*ret = l->counters;
	return plan->n_counters;
}

struct bh_plan_set *bh_plan_set(const struct bh_plan *plan, const char *name)
{
	struct bh_plan_set_priv *s = find_set(plan, name);

	if (!s || s->is_removed)
		return NULL;
	plan_set_merge(s);
	return s->set;
}

struct bh_plan_chain *bh_plan_chain(const struct bh_plan *plan, const char *name)
{
	struct bh_plan_chain_priv *c = find_chain(plan, name);

	return c && !c->is_removed ? c->chain : NULL;
}

void bh_plan_settle(struct bh_plan *plan)
{
	size_t i;

	for (i = 0; i < plan->n_dirty_sets; i++) {
		struct bh_plan_set_priv *s = plan->dirty_sets[i];

		if (s->is_removed)
			free_set(plan, s);
		else
			plan_set_settle(s);
	}
	plan->n_dirty_sets = 0;
	for (i = 0; i < plan->n_dirty_chains; i++) {
		struct bh_plan_chain_priv *c = plan->dirty_chains[i];

		if (c->is_removed) {
			free_chain(plan, c);
			continue;
		}
		free_rules(c->old_rules, c->n_old_rules);
		c->old_rules = NULL;
		c->n_old_rules = 0;
		c->is_rewritten = false;
		c->is_new = false;
		c->is_dirty = false;
	}
	plan->n_dirty_chains = 0;
	for (i = 0; i < plan->n_counters; i++)
		plan->counters[i].is_new = false;
	plan->has_new_counters = false;
	plan->is_settled_once = true;
}
