/*
 * A delta in words: what was wrong with the table, for the tamper record.
 */
#include "nft_impl.h"

#include <string.h>

#include "bh/hash.h"

/* Elements that are named in a line; the others are counted. */
#define MAX_NAMED 3u

/* Which operations there are of each name. */
struct named {
	const char *name;
	uint32_t kinds; /* 1 << enum bh_op_kind */
	UT_hash_handle hh;
};

struct index {
	struct named *by_name, *all;
};

static void index_init(struct index *x, const struct bh_delta *delta)
{
	x->all = bh_calloc(delta->n_ops, sizeof(*x->all));
	for (size_t i = 0; i < delta->n_ops; i++) {
		const struct bh_op *op = &delta->ops[i];
		struct named *n;

		if (!op->name)
			continue;
		HASH_FIND_STR(x->by_name, op->name, n);
		if (!n) {
			n = &x->all[i];
			n->name = op->name;
			HASH_ADD_KEYPTR(hh, x->by_name, n->name, strlen(n->name), n);
		}
		n->kinds |= 1u << op->kind;
	}
}

static void index_done(struct index *x)
{
	HASH_CLEAR(hh, x->by_name);
	free(x->all);
}

static bool has(const struct index *x, const struct bh_op *op, enum bh_op_kind kind)
{
	const struct named *n;

	HASH_FIND_STR(x->by_name, op->name, n);
	return n && n->kinds & 1u << kind;
}

static void put_elems(struct bh_buf *out, const struct bh_op *op, const char *what)
{
	const struct bh_set_spec *spec = &op->set->spec;

	bh_buf_printf(out, "set %s: %s ", op->name, what);
	for (size_t i = 0; i < op->n_elems && i < MAX_NAMED; i++) {
		const struct bh_elem *e = &op->elems[i];

		if (i)
			bh_buf_puts(out, ", ");
		nft_format_elem(out, spec, e->key, spec->is_interval ? e->end : e->key);
	}
	if (op->n_elems > MAX_NAMED)
		bh_buf_printf(out, " and %zu more", op->n_elems - MAX_NAMED);
	bh_buf_putc(out, '\n');
}

/* Sets, chains and counters are named without their table. */
static void put_table(struct bh_buf *out, enum bh_table table, const char *what)
{
	if (table == BH_TABLE_INET)
		bh_buf_printf(out, "table " BH_TABLE ": %s\n", what);
	else
		bh_buf_printf(out, "table %s " BH_TABLE ": %s\n", bh_table_str(table), what);
}

static void put_line(struct bh_buf *out, const char *noun, const char *name, const char *what)
{
	bh_buf_printf(out, "%s ", noun);
	bh_buf_escape(out, name);
	bh_buf_printf(out, ": %s\n", what);
}

/* Adds a line, or none where another operation of that name says it all. */
static void describe(struct bh_buf *out, enum bh_table table, const struct index *x,
		     const struct bh_op *op)
{
	switch (op->kind) {
	case BH_OP_ADD_TABLE:
		put_table(out, table, op->name ? "was switched off" : "was missing");
		return;
	case BH_OP_DEL_TABLE: put_table(out, table, op->name ? op->name : "too many"); return;
	case BH_OP_ADD_COUNTER: put_line(out, "counter", op->name, "was missing"); return;
	case BH_OP_DEL_COUNTER: put_line(out, "counter", op->name, "does not belong here"); return;
	case BH_OP_ADD_SET:
		if (!has(x, op, BH_OP_DEL_SET))
			put_line(out, "set", op->name, "was missing");
		return;
	case BH_OP_DEL_SET:
		put_line(out, "set", op->name,
			 has(x, op, BH_OP_ADD_SET) ? "was of another kind"
						   : "does not belong here");
		return;
	case BH_OP_ADD_CHAIN:
		if (!has(x, op, BH_OP_DEL_CHAIN))
			put_line(out, "chain", op->name, "was missing");
		return;
	case BH_OP_DEL_CHAIN:
		put_line(out, "chain", op->name,
			 has(x, op, BH_OP_ADD_CHAIN) ? "was of another kind"
						     : "does not belong here");
		return;
	case BH_OP_ADD_RULES:
		if (!has(x, op, BH_OP_ADD_CHAIN))
			put_line(out, "chain", op->name, "other rules");
		return;
	case BH_OP_FLUSH_CHAIN:
		if (!has(x, op, BH_OP_DEL_CHAIN) && !has(x, op, BH_OP_ADD_RULES))
			put_line(out, "chain", op->name, "other rules");
		return;
	case BH_OP_ADD_ELEMS:
		if (!has(x, op, BH_OP_ADD_SET))
			put_elems(out, op, "lacked");
		return;
	case BH_OP_DEL_ELEMS: put_elems(out, op, "should not hold"); return;
	case BH_OP_FLUSH_SET: put_line(out, "set", op->name, "should be empty"); return;
	case BH_OP_COUNT_: break;
	}
	abort();
}

/* The rest of the delta only says what a whole table is made of. */
static bool says_it_all(const struct bh_op *op)
{
	return op->kind == BH_OP_DEL_TABLE || (op->kind == BH_OP_ADD_TABLE && !op->name);
}

void bh_nft_diff_describe(const struct bh_delta *delta, size_t max, struct bh_buf *out)
{
	bh_auto(index_done) struct index x = { 0 };
	size_t n = 0;

	if (!delta)
		return;
	index_init(&x, delta);
	for (size_t i = 0; i < delta->n_ops && n < max; i++) {
		size_t before = out->len;

		describe(out, delta->table, &x, &delta->ops[i]);
		n += out->len > before;
		if (says_it_all(&delta->ops[i]))
			return;
	}
}
