/*
 * Selectors as data: their texts, and atoms, the copies that sets are made of.
 */
#include "compile_impl.h"

#include <string.h>

void selector_canonical(const struct peer_selector *s, struct bh_buf *out)
{
	static const char *const kinds[] = {
		[ATOM_PODS] = "pods", [ATOM_NODES] = "nodes", [ATOM_UNDECIDED] = "undecided"
	};

	bh_buf_puts(out, kinds[s->kind]);
	if (s->kind == ATOM_PODS && s->own_ns)
		bh_buf_printf(out, " %zu'%s'", strlen(s->own_ns), s->own_ns);
	else if (s->kind == ATOM_PODS)
		bh_selector_canonical(&s->namespaces, out);
	bh_selector_canonical(&s->pods, out);
}

void selector_describe(const struct peer_selector *s, struct bh_buf *out)
{
	if (s->kind == ATOM_UNDECIDED) {
		bh_buf_puts(out, "undecided pods");
		return;
	}
	if (s->kind == ATOM_NODES) {
		bh_buf_puts(out, "nodes");
	} else if (s->own_ns) {
		bh_buf_escape(out, s->own_ns);
	} else {
		bh_buf_puts(out, "ns ");
		bh_selector_describe(&s->namespaces, out);
	}
	bh_buf_puts(out, ": ");
	bh_selector_describe(&s->pods, out);
}

struct peer_selector selector_of(const char *ns, const struct bh_peer *peer)
{
	struct peer_selector s = { .kind = ATOM_PODS, .pods = peer->pods };

	if (peer->kind == BH_PEER_NODES)
		s.kind = ATOM_NODES;
	else if (peer->has_namespaces)
		s.namespaces = peer->namespaces;
	else
		s.own_ns = ns;
	return s;
}

/* One block: pointers from its start, texts behind them. */
struct block {
	char *pointers, *texts;
};

static void measure(const struct bh_selector *sel, size_t *pointers, size_t *texts)
{
	size_t i, j;

	*pointers += sel->n_reqs * sizeof(*sel->reqs);
	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *r = &sel->reqs[i];

		*pointers += r->n_values * sizeof(*r->values);
		*texts += strlen(r->key) + 1;
		for (j = 0; j < r->n_values; j++)
			*texts += strlen(r->values[j]) + 1;
	}
}

static void *take(struct block *b, size_t size)
{
	void *p = b->pointers;

	b->pointers += size;
	return p;
}

static const char *take_text(struct block *b, const char *s)
{
	size_t size = strlen(s) + 1;
	char *copy = memcpy(b->texts, s, size);

	b->texts += size;
	return copy;
}

static struct bh_selector copy_selector(struct block *b, const struct bh_selector *sel)
{
	struct bh_requirement *reqs = take(b, sel->n_reqs * sizeof(*reqs));
	size_t i, j;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *r = &sel->reqs[i];
		const char **values = take(b, r->n_values * sizeof(*values));

		for (j = 0; j < r->n_values; j++)
			values[j] = take_text(b, r->values[j]);
		reqs[i] = (struct bh_requirement){ .key = take_text(b, r->key),
						   .op = r->op,
						   .values = values,
						   .n_values = r->n_values,
						   .is_sorted = r->is_sorted };
	}
	return (struct bh_selector){ .reqs = reqs, .n_reqs = sel->n_reqs };
}

struct atom *atom_get(struct bh_compiler *c, const struct set_member *m)
{
	size_t len = strlen(m->canonical), pointers = 0, texts = len + 1;
	struct block b;
	struct atom *a;

	HASH_FIND(hh, c->atoms, m->canonical, len, a);
	if (a)
		return a;
	a = bh_calloc(1, sizeof(*a));
	measure(&m->selector.namespaces, &pointers, &texts);
	measure(&m->selector.pods, &pointers, &texts);
	texts += m->selector.own_ns ? strlen(m->selector.own_ns) + 1 : 0;
	a->block = bh_malloc(pointers + texts);
	b = (struct block){ .pointers = a->block, .texts = (char *)a->block + pointers };
	a->canonical = b.texts;
	take_text(&b, m->canonical);
	a->selector = (struct peer_selector){
		.kind = m->selector.kind,
		.own_ns = m->selector.own_ns ? take_text(&b, m->selector.own_ns) : NULL,
		.namespaces = copy_selector(&b, &m->selector.namespaces),
		.pods = copy_selector(&b, &m->selector.pods),
	};
	HASH_ADD_KEYPTR(hh, c->atoms, a->canonical, len, a);
	index_add(&c->index, a);
	return a;
}

void atom_use(struct atom *a, struct shared_set *set, size_t entry)
{
	bh_grow(&a->uses, &a->uses_cap, a->n_uses, sizeof(*a->uses));
	a->uses[a->n_uses++] = (struct set_use){ set, entry };
}

void atom_unuse(struct bh_compiler *c, struct atom *a, const struct shared_set *set)
{
	size_t i;

	for (i = 0; i < a->n_uses; i++) {
		if (a->uses[i].set == set) {
			a->uses[i] = a->uses[--a->n_uses];
			break;
		}
	}
	if (a->n_uses)
		return;
	index_remove(&c->index, a);
	HASH_DEL(c->atoms, a);
	free(a->uses);
	free(a->block);
	free(a);
}
