/*
 * What can be added to a table in force while only a part of the world is known.
 *
 * A delta of bh_nft_diff() takes things away, too: with a part of the world, that
 * would open.  Of it only this is taken: jumps for addresses that the table knows
 * nothing of, and the new chains and sets that they lead into.  Nothing that is
 * there is touched, so no packet that the table judges today is judged
 * otherwise; packets of the other addresses were judged by nothing.
 *
 * Where the plan rewrites a chain or replaces a set, the table was made by another
 * version or changed by somebody: it is left alone as a whole.
 */
#include "nft_impl.h"

#include <string.h>

#include "bh/hash.h"

static bool has_key(const struct nft_state_set *set, const uint8_t *key)
{
	size_t lo = 0, hi = set->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = memcmp(set->elems + mid * set->stride, key, set->shape.key_len);

		if (c == 0)
			return true;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* What is added, and what the table knows already. */
struct narrowing {
	const struct bh_nft_state *state;
	const char *const *known;
	size_t n_known;
};

static bool is_known_set(const struct narrowing *n, const char *name)
{
	for (size_t i = 0; i < n->n_known; i++) {
		if (strcmp(n->known[i], name) == 0)
			return true;
	}
	return false;
}

/*
 * @map leads to nothing from @key, and no other map or known set has it either; where
 * no sets are known, other maps do not count.
 */
static bool is_new(const struct narrowing *n, const struct bh_plan_set *map, const uint8_t *key)
{
	const struct nft_set_shape shape = nft_set_shape(&map->spec);

	for (size_t i = 0; i < n->state->n_sets; i++) {
		const struct nft_state_set *set = &n->state->sets[i];

		if (set->is_ours && set->shape.key_type == shape.key_type &&
		    (set->shape.is_map ? n->n_known > 0 || strcmp(set->name, map->spec.name) == 0
				       : is_known_set(n, set->name)) &&
		    has_key(set, key))
			return false;
	}
	return true;
}

static bool is_removal(enum bh_op_kind kind)
{
	return kind == BH_OP_FLUSH_CHAIN || kind == BH_OP_DEL_CHAIN || kind == BH_OP_DEL_SET;
}

/* Names of chains and sets that are flushed or deleted; they borrow. */
struct removed {
	const char *name;
	UT_hash_handle hh;
};

static void free_removed(struct removed **map)
{
	struct removed *r, *next;

	HASH_ITER (hh, *map, r, next) {
		HASH_DEL(*map, r);
		free(r);
	}
}

static struct removed *find_removed(const struct bh_delta *delta)
{
	struct removed *map = NULL, *r;

	for (size_t i = 0; i < delta->n_ops; i++) {
		if (!is_removal(delta->ops[i].kind))
			continue;
		HASH_FIND_STR(map, delta->ops[i].name, r);
		if (r)
			continue;
		r = bh_calloc(1, sizeof(*r));
		r->name = delta->ops[i].name;
		HASH_ADD_KEYPTR(hh, map, r->name, strlen(r->name), r);
	}
	return map;
}

/* The plan makes something of that name anew that the table has in another form. */
static bool rewrites(const struct bh_delta *delta)
{
	bh_auto(free_removed) struct removed *removed = find_removed(delta);

	for (size_t i = 0; i < delta->n_ops; i++) {
		const struct bh_op *op = &delta->ops[i];
		struct removed *r = NULL;

		if (op->kind == BH_OP_ADD_TABLE || op->kind == BH_OP_DEL_TABLE ||
		    (op->kind == BH_OP_ADD_CHAIN && op->chain->hook != BH_HOOK_NONE))
			return true;
		if (op->kind == BH_OP_ADD_SET || op->kind == BH_OP_ADD_RULES)
			HASH_FIND_STR(removed, op->name, r);
		if (r)
			return true;
	}
	return false;
}

static bool adds_set(const struct bh_delta *delta, size_t before, const struct bh_plan_set *set)
{
	for (size_t i = 0; i < before; i++) {
		if (delta->ops[i].kind == BH_OP_ADD_SET && delta->ops[i].set == set)
			return true;
	}
	return false;
}

/* Only the elements for new addresses stay. */
static void narrow_elems(const struct narrowing *n, struct bh_delta *delta, struct bh_op *op)
{
	struct bh_elem *elems =
		bh_arena_memdup(delta->arena, op->elems, op->n_elems * sizeof(*op->elems));
	size_t kept = 0;

	for (size_t i = 0; i < op->n_elems; i++) {
		if (is_new(n, op->set, elems[i].key))
			elems[kept++] = elems[i];
	}
	op->elems = elems;
	op->n_elems = kept;
}

static bool stays(const struct narrowing *n, struct bh_delta *delta, size_t i)
{
	struct bh_op *op = &delta->ops[i];

	switch (op->kind) {
	case BH_OP_ADD_COUNTER:
	case BH_OP_ADD_SET:
	case BH_OP_ADD_CHAIN:
	case BH_OP_ADD_RULES: return true;
	case BH_OP_ADD_ELEMS:
		if (op->set->spec.kind != BH_SET_VERDICT_MAP)
			return adds_set(delta, i, op->set);
		narrow_elems(n, delta, op);
		return op->n_elems > 0;
	case BH_OP_ADD_TABLE:
	case BH_OP_FLUSH_CHAIN:
	case BH_OP_DEL_ELEMS:
	case BH_OP_FLUSH_SET:
	case BH_OP_DEL_CHAIN:
	case BH_OP_DEL_SET:
	case BH_OP_DEL_COUNTER:
	case BH_OP_DEL_TABLE: return false;
	case BH_OP_COUNT_: break;
	}
	abort();
}

static bool has_all_known(const struct narrowing *n)
{
	size_t found = 0;

	for (size_t i = 0; i < n->state->n_sets; i++)
		found += n->state->sets[i].is_ours && is_known_set(n, n->state->sets[i].name);
	return found == n->n_known;
}

struct bh_delta *bh_nft_diff_closing(const struct bh_nft_state *state, const struct bh_plan *plan,
				     const char *const *known, size_t n_known)
{
	const struct narrowing n = { .state = state, .known = known, .n_known = n_known };
	struct bh_delta *delta;
	size_t n_ops = 0, n_jumps = 0;
	bool is_left_alone;

	if (!has_all_known(&n))
		return NULL;
	delta = bh_nft_diff(state, plan);
	if (!delta)
		return NULL;
	is_left_alone = rewrites(delta);
	for (size_t i = 0; !is_left_alone && i < delta->n_ops; i++) {
		if (!stays(&n, delta, i))
			continue;
		n_jumps += delta->ops[i].kind == BH_OP_ADD_ELEMS &&
			   delta->ops[i].set->spec.kind == BH_SET_VERDICT_MAP;
		delta->ops[n_ops++] = delta->ops[i];
	}
	delta->n_ops = n_ops;
	/* Small enough for one transaction. */
	delta->whole = 0;
	delta->rest = n_ops;
	if (n_jumps == 0)
		bh_delta_free(&delta);
	return delta;
}
