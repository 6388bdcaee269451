/*
 * Open addressing with linear probing, at most three quarters full; a removal
 * moves back what probed over it, so that there are no tombstones.  One
 * allocation an entry: about 130 bytes for a pod with the names that
 * Deployments give.
 */
#include "table.h"

#include <assert.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/hash.h"

#define MIN_SLOTS 16

struct bh_kube_table {
	struct bh_kube_entry **slots; /* a power of two of them */
	size_t n_slots, n;
	size_t bytes;
};

static uint32_t hash_key(const char *namespace, const char *name)
{
	return (uint32_t)(bh_hash(namespace, strlen(namespace)) * 31 + bh_hash(name, strlen(name)));
}

static size_t next_slot(const struct bh_kube_table *t, size_t i)
{
	return (i + 1) & (t->n_slots - 1);
}

static size_t home_of(const struct bh_kube_table *t, const struct bh_kube_entry *e)
{
	return e->hash & (t->n_slots - 1);
}

static void place(struct bh_kube_table *t, struct bh_kube_entry *e)
{
	size_t i = home_of(t, e);

	while (t->slots[i])
		i = next_slot(t, i);
	t->slots[i] = e;
}

static void resize(struct bh_kube_table *t, size_t n_slots)
{
	struct bh_kube_entry **old = t->slots;
	size_t i, n_old = t->n_slots;

	t->slots = bh_calloc(n_slots, sizeof(*t->slots));
	t->n_slots = n_slots;
	for (i = 0; i < n_old; i++) {
		if (old[i])
			place(t, old[i]);
	}
	free(old);
}

static size_t entry_size(const struct bh_kube_entry *e)
{
	return sizeof(*e) + e->uid_at + strlen(bh_kube_entry_uid(e)) + 1;
}

struct bh_kube_table *bh_kube_table_new(void)
{
	struct bh_kube_table *t = bh_calloc(1, sizeof(*t));

	resize(t, MIN_SLOTS);
	return t;
}

void bh_kube_table_free(struct bh_kube_table **tp)
{
	struct bh_kube_table *t = *tp;
	size_t i;

	if (!t)
		return;
	*tp = NULL;
	for (i = 0; i < t->n_slots; i++)
		free(t->slots[i]);
	free(t->slots);
	free(t);
}

size_t bh_kube_table_count(const struct bh_kube_table *t)
{
	return t->n;
}

size_t bh_kube_table_bytes(const struct bh_kube_table *t)
{
	return t->bytes + t->n_slots * sizeof(*t->slots);
}

struct bh_kube_entry *bh_kube_table_find(const struct bh_kube_table *t, const char *namespace,
					 const char *name)
{
	uint32_t hash = hash_key(namespace, name);
	size_t i;

	for (i = hash & (t->n_slots - 1); t->slots[i]; i = next_slot(t, i)) {
		struct bh_kube_entry *e = t->slots[i];

		if (e->hash == hash && strcmp(bh_kube_entry_name(e), name) == 0 &&
		    strcmp(bh_kube_entry_namespace(e), namespace) == 0)
			return e;
	}
	return NULL;
}

struct bh_kube_entry *bh_kube_table_add(struct bh_kube_table *t, const char *namespace,
					const char *name, const char *uid)
{
	size_t a = strlen(namespace) + 1, b = strlen(name) + 1, c = strlen(uid) + 1;
	struct bh_kube_entry *e = bh_calloc(1, sizeof(*e) + a + b + c);

	assert(a <= BH_KUBE_MAX_KEY + 1 && b <= BH_KUBE_MAX_KEY + 1 && c <= BH_KUBE_MAX_KEY + 1);
	e->hash = hash_key(namespace, name);
	e->name_at = (uint16_t)a;
	e->uid_at = (uint16_t)(a + b);
	e->is_seen = true;
	memcpy(e->text, namespace, a);
	memcpy(e->text + a, name, b);
	memcpy(e->text + a + b, uid, c);
	if ((t->n + 1) * 4 > t->n_slots * 3)
		resize(t, t->n_slots * 2);
	place(t, e);
	t->n++;
	t->bytes += entry_size(e);
	return e;
}

struct bh_kube_entry *bh_kube_entry_copy(const struct bh_kube_entry *e)
{
	struct bh_kube_entry *copy = bh_malloc(entry_size(e));

	memcpy(copy, e, entry_size(e));
	return copy;
}

static void vacate(struct bh_kube_table *t, size_t hole)
{
	size_t i = hole;

	for (;;) {
		size_t home;

		t->slots[hole] = NULL;
		do {
			i = next_slot(t, i);
			if (!t->slots[i])
				return;
			home = home_of(t, t->slots[i]);
			/* Stays where its way from home does not lead over the hole. */
		} while (((i - home) & (t->n_slots - 1)) < ((i - hole) & (t->n_slots - 1)));
		t->slots[hole] = t->slots[i];
		hole = i;
	}
}

void bh_kube_table_remove(struct bh_kube_table *t, struct bh_kube_entry *e)
{
	size_t i = home_of(t, e);

	while (t->slots[i] != e)
		i = next_slot(t, i);
	vacate(t, i);
	t->n--;
	t->bytes -= entry_size(e);
	free(e);
}

void bh_kube_table_begin(struct bh_kube_table *t)
{
	size_t i;

	for (i = 0; i < t->n_slots; i++) {
		if (t->slots[i])
			t->slots[i]->is_seen = false;
	}
}

void bh_kube_table_end(struct bh_kube_table *t, void (*on_gone)(void *ctx, struct bh_kube_entry *e),
		       void *ctx)
{
	size_t i = 0;

	while (i < t->n_slots) {
		struct bh_kube_entry *e = t->slots[i];

		if (!e || e->is_seen) {
			i++;
			continue;
		}
		on_gone(ctx, e);
		/* What moves back into this slot is looked at next. */
		bh_kube_table_remove(t, e);
	}
}
