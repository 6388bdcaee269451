#include <string.h>

#include "bh/alloc.h"
#include "world_impl.h"

/*
 * One byte of each item's hash lies in an array of its own, so that a search
 * looks at few items that are not the one.  0 marks a free slot.
 */
static uint8_t tag_of(uint32_t hash)
{
	return (uint8_t)(hash >> 24 | 1);
}

struct bh_hnode **bh_table_find(const struct bh_table *t, uint32_t hash, bh_table_eq *eq,
				const void *key)
{
	size_t i;

	if (!t->cap)
		return NULL;
	for (i = hash & (t->cap - 1); t->tags[i]; i = (i + 1) & (t->cap - 1))
		if (t->tags[i] == tag_of(hash) && t->slots[i]->hash == hash && eq(t->slots[i], key))
			return &t->slots[i];
	return NULL;
}

static void place(struct bh_table *t, struct bh_hnode *item)
{
	size_t i = item->hash & (t->cap - 1);

	while (t->tags[i])
		i = (i + 1) & (t->cap - 1);
	t->slots[i] = item;
	t->tags[i] = tag_of(item->hash);
}

static void resize(struct bh_table *t, size_t cap)
{
	struct bh_table old = *t;
	size_t i;

	t->slots = bh_calloc(cap, sizeof(*t->slots));
	t->tags = bh_calloc(cap, sizeof(*t->tags));
	t->cap = cap;
	for (i = 0; i < old.cap; i++)
		if (old.slots[i])
			place(t, old.slots[i]);
	free(old.slots);
	free(old.tags);
}

void bh_table_add(struct bh_table *t, struct bh_hnode *item)
{
	if ((t->n + 1) * 8 > t->cap * 7)
		resize(t, t->cap ? t->cap * 2 : 16);
	place(t, item);
	t->n++;
}

/*
 * What follows the gap moves back into it unless that would put it before its
 * own place, so that no tombstones are needed.
 */
void bh_table_del(struct bh_table *t, struct bh_hnode **slot)
{
	size_t mask = t->cap - 1, gap = (size_t)(slot - t->slots), i;

	for (i = (gap + 1) & mask; t->slots[i]; i = (i + 1) & mask) {
		size_t home = t->slots[i]->hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		t->tags[gap] = t->tags[i];
		gap = i;
	}
	t->slots[gap] = NULL;
	t->tags[gap] = 0;
	t->n--;
	if (t->cap > 64 && t->n * 8 < t->cap)
		resize(t, t->cap / 4);
}

void bh_table_done(struct bh_table *t)
{
	free(t->slots);
	free(t->tags);
	*t = (struct bh_table){ 0 };
}

struct str {
	struct bh_hnode node;
	uint32_t refs;
	char text[];
};

static struct str *str_of(const char *s)
{
	return bh_item(s, struct str, text);
}

static bool str_eq(const struct bh_hnode *item, const void *key)
{
	const struct str *s = bh_item(item, struct str, node);

	return strcmp(s->text, key) == 0;
}

const char *bh_intern(struct bh_table *strings, const char *s)
{
	size_t len = s ? strlen(s) : 0;
	struct bh_hnode **slot;
	struct str *str;
	uint32_t hash;

	if (!s)
		return NULL;
	hash = (uint32_t)bh_hash(s, len);
	slot = bh_table_find(strings, hash, str_eq, s);
	if (slot)
		return bh_intern_ref(bh_item(*slot, struct str, node)->text);

	str = bh_malloc(sizeof(*str) + len + 1);
	str->node.hash = hash;
	str->refs = 1;
	memcpy(str->text, s, len + 1);
	bh_table_add(strings, &str->node);
	return str->text;
}

const char *bh_intern_ref(const char *s)
{
	if (s)
		str_of(s)->refs++;
	return s;
}

void bh_intern_unref(struct bh_table *strings, const char *s)
{
	struct str *str;

	if (!s)
		return;
	str = str_of(s);
	if (--str->refs > 0)
		return;
	bh_table_del(strings, bh_table_find(strings, str->node.hash, str_eq, s));
	free(str);
}

const char *bh_intern_find(const struct bh_table *strings, const char *s)
{
	struct bh_hnode **slot = bh_table_find(strings, (uint32_t)bh_hash(s, strlen(s)), str_eq, s);

	return slot ? bh_item(*slot, struct str, node)->text : NULL;
}

uint32_t bh_intern_hash(const char *s)
{
	return str_of(s)->node.hash;
}

uint32_t bh_ptrs_add(struct bh_ptrs *a, void *item)
{
	if (a->n == a->cap) {
		/* Most lists stay short: a doubling from 8 would waste more. */
		a->cap = a->cap ? a->cap + a->cap / 2 + 1 : 1;
		a->items = bh_reallocarray(a->items, a->cap, sizeof(*a->items));
	}
	a->items[a->n] = item;
	return a->n++;
}

void *bh_ptrs_del(struct bh_ptrs *a, uint32_t pos)
{
	void *last = a->items[--a->n];

	if (a->n == 0) {
		free(a->items);
		*a = (struct bh_ptrs){ 0 };
		return NULL;
	}
	a->items[pos] = last;
	return pos == a->n ? NULL : last;
}
