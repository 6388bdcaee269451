/*
 * What takes the kernel's table to the plan.
 *
 * Every object of the table is found in the plan by its name, or is foreign:
 *
 *   kept       the same; of sets, elements are compared one by one
 *   rewritten  a chain that differs in its rules only: they are flushed and added
 *   replaced   of another kind than planned: deleted and added under its name
 *   foreign    deleted
 *   missing    added
 *
 * The kernel deletes nothing that is referred to, so all rules of all chains that
 * change go first, then the map elements, sets, chains, counters, and what is
 * new comes after.  A kept chain whose rules lead to something replaced is
 * rewritten, although nothing is wrong with it.
 *
 * Missing objects that nothing leads to yet may go in transactions of their own;
 * everything that changes what packets see is one transaction.  Deletions of
 * whole objects are a few bytes each, so that part is small.
 */
#include "nft_impl.h"

#include <assert.h>
#include <string.h>

#include <linux/netfilter/nf_tables.h>

/* Elements of one operation, so that a large new set can be cut. */
#define MAX_ELEMS 4096u

enum fate { FATE_MISSING, FATE_KEPT, FATE_REWRITTEN, FATE_REPLACED };

struct differ {
	const struct bh_nft_state *state;
	struct bh_delta *delta;
	size_t cap;
	bool is_cut; /* of the operations being added */
	const struct bh_plan_set *const *sets;
	size_t n_sets;
	enum fate *set_fates; /* of the plan's sets */
	const struct nft_state_set **have_sets;
	const struct bh_plan_chain *const *chains;
	size_t n_chains;
	enum fate *chain_fates;
	const struct nft_state_chain **have_chains;
	const char *const *counters;
	size_t n_counters;
	size_t n_replaced;
	struct bh_buf text;
};

/* --- operations --------------------------------------------------------------*/

static struct bh_op *add_op(struct differ *d, enum bh_op_kind kind, const char *name)
{
	struct bh_delta *delta = d->delta;
	struct bh_op *op;

	bh_grow(&delta->ops, &d->cap, delta->n_ops, sizeof(*delta->ops));
	op = &delta->ops[delta->n_ops++];
	*op = (struct bh_op){
		.kind = kind,
		.name = name ? bh_arena_strdup(delta->arena, name) : NULL,
		.is_cut = d->is_cut && delta->n_ops > 1,
	};
	return op;
}

static void add_set_op(struct differ *d, enum bh_op_kind kind, const struct bh_plan_set *set)
{
	add_op(d, kind, set->spec.name)->set = set;
}

static void add_chain_op(struct differ *d, enum bh_op_kind kind, const struct bh_plan_chain *chain)
{
	add_op(d, kind, chain->name)->chain = chain;
}

/* Elements on their way into an operation. */
struct elems {
	struct bh_elem *data;
	size_t n, cap;
};

static void collect(struct elems *e, const struct bh_elem *elem)
{
	bh_grow(&e->data, &e->cap, e->n, sizeof(*e->data));
	e->data[e->n++] = *elem;
}

static void add_elems_op(struct differ *d, enum bh_op_kind kind, const struct bh_plan_set *set,
			 struct elems *e)
{
	struct bh_op *op;

	if (e->n) {
		op = add_op(d, kind, set->spec.name);
		op->set = set;
		op->elems = bh_arena_memdup(d->delta->arena, e->data, e->n * sizeof(*e->data));
		op->n_elems = e->n;
	}
	free(e->data);
	*e = (struct elems){ 0 };
}

static void add_all_elems(struct differ *d, const struct bh_plan_set *set)
{
	struct elems add = { 0 };
	struct bh_elem e;

	for (size_t i = 0; i < set->n; i++) {
		bh_plan_elem(set, i, &e);
		collect(&add, &e);
		if (add.n == MAX_ELEMS)
			add_elems_op(d, BH_OP_ADD_ELEMS, set, &add);
	}
	add_elems_op(d, BH_OP_ADD_ELEMS, set, &add);
}

/* --- fates -------------------------------------------------------------------*/

static bool same_comment(const char *have, const char *want)
{
	size_t len = nft_comment_len(want);

	return strlen(have) == len && memcmp(have, want ? want : "", len) == 0;
}

static enum fate judge_set(const struct nft_state_set *have, const struct bh_plan_set *want)
{
	const struct bh_set_spec *s = &want->spec;
	struct nft_set_shape shape = nft_set_shape(s);

	if (!have)
		return FATE_MISSING;
	if (!have->is_ours || have->is_odd || !nft_set_shape_equal(&have->shape, &shape) ||
	    !same_comment(have->comment, s->comment))
		return FATE_REPLACED;
	return FATE_KEPT;
}

static uint64_t rule_hash(struct differ *d, const struct bh_plan_chain *chain, size_t i)
{
	return nft_plan_rule_hash(d->state->table, chain, &chain->rules[i], &d->text);
}

static bool same_rules(struct differ *d, const struct nft_state_chain *have,
		       const struct bh_plan_chain *want)
{
	if (have->n_rules != want->n_rules)
		return false;
	for (size_t i = 0; i < want->n_rules; i++) {
		if (have->rules[i] != rule_hash(d, want, i))
			return false;
	}
	return true;
}

static enum fate judge_chain(struct differ *d, const struct nft_state_chain *have,
			     const struct bh_plan_chain *want)
{
	if (!have)
		return FATE_MISSING;
	if (have->is_odd || have->hook != want->hook || have->priority != want->priority ||
	    (want->device && strcmp(have->device, want->device) != 0) ||
	    !same_comment(have->comment, want->comment))
		return FATE_REPLACED;
	return same_rules(d, have, want) ? FATE_KEPT : FATE_REWRITTEN;
}

static enum fate set_fate(const struct differ *d, const struct bh_plan_set *set)
{
	size_t lo = 0, hi = d->n_sets;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(d->sets[mid]->spec.name, set->spec.name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	assert(lo < d->n_sets && d->sets[lo] == set);
	return d->set_fates[lo];
}

static enum fate chain_fate(const struct differ *d, const struct bh_plan_chain *chain)
{
	size_t lo = 0, hi = d->n_chains;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(d->chains[mid]->name, chain->name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	assert(lo < d->n_chains && d->chains[lo] == chain);
	return d->chain_fates[lo];
}

static bool leads_to_replaced(const struct differ *d, const struct bh_plan_chain *chain)
{
	for (size_t i = 0; i < chain->n_rules; i++) {
		for (size_t j = 0; j < chain->rules[i].n_exprs; j++) {
			const struct bh_expr *e = &chain->rules[i].exprs[j];

			if (e->set && set_fate(d, e->set) == FATE_REPLACED)
				return true;
			if (e->chain && chain_fate(d, e->chain) == FATE_REPLACED)
				return true;
		}
	}
	return false;
}

static void judge_all(struct differ *d)
{
	const struct bh_nft_state *s = d->state;
	size_t i, k;

	for (i = 0, k = 0; i < d->n_sets; i++) {
		const char *name = d->sets[i]->spec.name;

		while (k < s->n_sets && strcmp(s->sets[k].name, name) < 0)
			k++;
		if (k < s->n_sets && strcmp(s->sets[k].name, name) == 0)
			d->have_sets[i] = &s->sets[k];
		d->set_fates[i] = judge_set(d->have_sets[i], d->sets[i]);
		d->n_replaced += d->set_fates[i] == FATE_REPLACED;
	}
	for (i = 0, k = 0; i < d->n_chains; i++) {
		const char *name = d->chains[i]->name;

		while (k < s->n_chains && strcmp(s->chains[k].name, name) < 0)
			k++;
		if (k < s->n_chains && strcmp(s->chains[k].name, name) == 0)
			d->have_chains[i] = &s->chains[k];
		d->chain_fates[i] = judge_chain(d, d->have_chains[i], d->chains[i]);
		d->n_replaced += d->chain_fates[i] == FATE_REPLACED;
	}
	for (i = 0; d->n_replaced && i < d->n_chains; i++) {
		if (d->chain_fates[i] == FATE_KEPT && leads_to_replaced(d, d->chains[i]))
			d->chain_fates[i] = FATE_REWRITTEN;
	}
}

/* --- elements ----------------------------------------------------------------*/

static void unpack(const struct nft_state_set *have, size_t i, struct bh_elem *ret,
		   const char **ret_chain)
{
	const uint8_t *record = have->elems + i * have->stride;
	size_t key_len = have->shape.key_len;

	*ret = (struct bh_elem){ 0 };
	*ret_chain = NULL;
	memcpy(ret->key, record, key_len);
	if (have->id_len > key_len)
		memcpy(ret->end, record + key_len, key_len);
	if (have->shape.is_map)
		memcpy(ret_chain, record + have->id_len, sizeof(*ret_chain));
	else if (have->shape.data_type)
		memcpy(&ret->value, record + have->id_len, sizeof(ret->value));
}

static bool leads_alike(const struct differ *d, const char *have, const struct bh_plan_chain *want)
{
	if (!want)
		return true;
	return have && strcmp(have, want->name) == 0 &&
	       !(d->n_replaced && chain_fate(d, want) == FATE_REPLACED);
}

/* Of elements with the same key. */
static bool has_same_data(const struct differ *d, const struct bh_elem *old, const char *chain,
			  const struct bh_elem *new)
{
	return old->value == new->value &&leads_alike(d, chain, new->chain);
}

static int cmp_elem(const struct bh_elem *a, const struct bh_elem *b)
{
	int c = memcmp(a->key, b->key, sizeof(a->key));

	return c ? c : memcmp(a->end, b->end, sizeof(a->end));
}

/* Both are sorted by key and end. */
static void compare_elems(const struct differ *d, const struct nft_state_set *have,
			  const struct bh_plan_set *want, struct elems *del, struct elems *add)
{
	size_t h = 0, w = 0;

	if (have->shape.flags & NFT_SET_EVAL)
		return;
	while (h < have->n || w < want->n) {
		struct bh_elem old, new;
		const char *chain = NULL;
		int c;

		if (h < have->n)
			unpack(have, h, &old, &chain);
		if (w < want->n)
			bh_plan_elem(want, w, &new);
		c = h == have->n ? 1 : w == want->n ? -1 : cmp_elem(&old, &new);
		if (c < 0 || (c == 0 && !has_same_data(d, &old, chain, &new)))
			collect(del, &old);
		if (c > 0 || (c == 0 && !has_same_data(d, &old, chain, &new)))
			collect(add, &new);
		h += c <= 0;
		w += c >= 0;
	}
}

static bool is_map(const struct bh_plan_set *set)
{
	return bh_set_shape_of(set->spec.kind)->is_map;
}

/* --- the delta, in order -----------------------------------------------------*/

static void add_missing_counters(struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0, k = 0; i < d->n_counters; i++) {
		while (k < s->n_counters && strcmp(s->counters[k], d->counters[i]) < 0)
			k++;
		if (k == s->n_counters || strcmp(s->counters[k], d->counters[i]) != 0)
			add_op(d, BH_OP_ADD_COUNTER, d->counters[i]);
	}
}

static void add_objects(struct differ *d, enum fate fate)
{
	for (size_t i = 0; i < d->n_sets; i++) {
		if (d->set_fates[i] == fate)
			add_set_op(d, BH_OP_ADD_SET, d->sets[i]);
	}
	for (size_t i = 0; i < d->n_chains; i++) {
		if (d->chain_fates[i] == fate)
			add_chain_op(d, BH_OP_ADD_CHAIN, d->chains[i]);
	}
	for (size_t i = 0; i < d->n_sets; i++) {
		if (d->set_fates[i] == fate && !is_map(d->sets[i]))
			add_all_elems(d, d->sets[i]);
	}
}

static void add_rules(struct differ *d, enum fate fate)
{
	for (size_t i = 0; i < d->n_chains; i++) {
		if (d->chain_fates[i] == fate && d->chains[i]->n_rules)
			add_chain_op(d, BH_OP_ADD_RULES, d->chains[i]);
	}
}

/* Of all chains but the kept ones. */
static void flush_chains(struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0, k = 0; i < s->n_chains; i++) {
		const struct nft_state_chain *have = &s->chains[i];
		bool is_kept;

		while (k < d->n_chains && strcmp(d->chains[k]->name, have->name) < 0)
			k++;
		is_kept = k < d->n_chains && d->have_chains[k] == have &&
			  d->chain_fates[k] == FATE_KEPT;
		if (!is_kept && have->n_rules)
			add_op(d, BH_OP_FLUSH_CHAIN, have->name);
	}
}

static void delete_sets(struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0, k = 0; i < s->n_sets; i++) {
		while (k < d->n_sets && strcmp(d->sets[k]->spec.name, s->sets[i].name) < 0)
			k++;
		if (k == d->n_sets || d->have_sets[k] != &s->sets[i] ||
		    d->set_fates[k] == FATE_REPLACED)
			add_op(d, BH_OP_DEL_SET, s->sets[i].name);
	}
}

static void delete_chains(struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0, k = 0; i < s->n_chains; i++) {
		while (k < d->n_chains && strcmp(d->chains[k]->name, s->chains[i].name) < 0)
			k++;
		if (k == d->n_chains || d->have_chains[k] != &s->chains[i] ||
		    d->chain_fates[k] == FATE_REPLACED)
			add_op(d, BH_OP_DEL_CHAIN, s->chains[i].name);
	}
}

static void delete_counters(struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0, k = 0; i < s->n_counters; i++) {
		while (k < d->n_counters && strcmp(d->counters[k], s->counters[i]) < 0)
			k++;
		if (k == d->n_counters || strcmp(d->counters[k], s->counters[i]) != 0)
			add_op(d, BH_OP_DEL_COUNTER, s->counters[i]);
	}
}

static void change_elems(struct differ *d, struct elems *map_adds)
{
	for (size_t i = 0; i < d->n_sets; i++) {
		struct elems del = { 0 }, add = { 0 };

		if (d->set_fates[i] != FATE_KEPT)
			continue;
		compare_elems(d, d->have_sets[i], d->sets[i], &del, &add);
		add_elems_op(d, BH_OP_DEL_ELEMS, d->sets[i], &del);
		/* They may lead to chains that are yet to come. */
		if (is_map(d->sets[i]))
			map_adds[i] = add;
		else
			add_elems_op(d, BH_OP_ADD_ELEMS, d->sets[i], &add);
	}
}

static void fill_maps(struct differ *d, struct elems *map_adds)
{
	for (size_t i = 0; i < d->n_sets; i++) {
		if (!is_map(d->sets[i]))
			continue;
		if (d->set_fates[i] == FATE_KEPT)
			add_elems_op(d, BH_OP_ADD_ELEMS, d->sets[i], &map_adds[i]);
		else
			add_all_elems(d, d->sets[i]);
	}
}

static void patch(struct differ *d)
{
	struct elems *map_adds = bh_calloc(d->n_sets, sizeof(*map_adds));
	size_t first;

	add_missing_counters(d);
	add_objects(d, FATE_MISSING);
	/* Where something is replaced, rules may lead to it: they wait. */
	if (!d->n_replaced)
		add_rules(d, FATE_MISSING);

	first = d->delta->n_ops;
	flush_chains(d);
	change_elems(d, map_adds);
	delete_sets(d);
	delete_chains(d);
	delete_counters(d);
	add_objects(d, FATE_REPLACED);
	if (d->n_replaced)
		add_rules(d, FATE_MISSING);
	add_rules(d, FATE_REPLACED);
	add_rules(d, FATE_REWRITTEN);
	fill_maps(d, map_adds);
	for (size_t i = first + 1; i < d->delta->n_ops; i++)
		d->delta->ops[i].is_cut = false;
	d->delta->whole = first;
	d->delta->rest = d->delta->n_ops;
	free(map_adds);
}

/*
 * A dormant table wakes with the base chains it has: the kernel takes no change
 * of them in the same transaction.
 */
static bool changes_base_chains(const struct differ *d)
{
	const struct bh_nft_state *s = d->state;

	for (size_t i = 0; i < d->n_chains; i++) {
		if (d->chains[i]->hook != BH_HOOK_NONE && d->chain_fates[i] != FATE_KEPT &&
		    d->chain_fates[i] != FATE_REWRITTEN)
			return true;
	}
	for (size_t i = 0, k = 0; i < s->n_chains; i++) {
		while (k < d->n_chains && strcmp(d->chains[k]->name, s->chains[i].name) < 0)
			k++;
		if (s->chains[i].hook != BH_HOOK_NONE &&
		    (k == d->n_chains || d->have_chains[k] != &s->chains[i]))
			return true;
	}
	return false;
}

static void look_up(struct differ *d, const struct bh_plan *plan)
{
	d->n_sets = bh_plan_sets(plan, &d->sets);
	d->n_chains = bh_plan_chains(plan, &d->chains);
	d->n_counters = bh_plan_counters(plan, &d->counters);
	d->set_fates = bh_calloc(d->n_sets, sizeof(*d->set_fates));
	d->have_sets = bh_calloc(d->n_sets, sizeof(struct nft_state_set *));
	d->chain_fates = bh_calloc(d->n_chains, sizeof(*d->chain_fates));
	d->have_chains = bh_calloc(d->n_chains, sizeof(struct nft_state_chain *));
	d->n_replaced = 0;
	judge_all(d);
}

static void forget(struct differ *d)
{
	free(d->set_fates);
	free(d->have_sets);
	free(d->chain_fates);
	free(d->have_chains);
}

/* Deletes the table and adds all of it, in one transaction. */
static void rebuild(struct differ *d, const struct bh_plan *plan, const char *why)
{
	static const struct bh_nft_state nothing[] = {
		[BH_TABLE_INET] = { .table = BH_TABLE_INET },
		[BH_TABLE_NETDEV] = { .table = BH_TABLE_NETDEV },
		[BH_TABLE_BRIDGE] = { .table = BH_TABLE_BRIDGE },
	};

	forget(d);
	d->state = &nothing[bh_plan_table(plan)];
	look_up(d, plan);
	add_op(d, BH_OP_DEL_TABLE, why);
	add_op(d, BH_OP_ADD_TABLE, NULL);
	patch(d);
	for (size_t i = 0; i < d->delta->n_ops; i++)
		d->delta->ops[i].is_cut = false;
	d->delta->whole = 0;
}

struct bh_delta *bh_nft_diff(const struct bh_nft_state *state, const struct bh_plan *plan)
{
	struct differ d = { .state = state, .is_cut = true };
	struct bh_op *grown;

	d.delta = bh_calloc(1, sizeof(*d.delta));
	d.delta->arena = bh_arena_new();
	d.delta->table = state->table;
	assert(state->table == bh_plan_table(plan));
	look_up(&d, plan);
	if (state->rebuild) {
		rebuild(&d, plan, state->rebuild);
	} else if (state->is_dormant && changes_base_chains(&d)) {
		rebuild(&d, plan, "it was switched off");
	} else {
		if (state->is_absent || state->is_dormant)
			add_op(&d, BH_OP_ADD_TABLE, state->is_dormant ? "asleep" : NULL);
		patch(&d);
	}
	forget(&d);
	bh_buf_done(&d.text);

	grown = d.delta->ops;
	d.delta->ops = bh_arena_memdup(d.delta->arena, grown, d.delta->n_ops * sizeof(*grown));
	free(grown);
	if (d.delta->n_ops == 0)
		bh_delta_free(&d.delta);
	return d.delta;
}
