/*
 * What the sink was told of one resource: key, uid and a digest of each object,
 * and nothing else of it.
 *
 * The digest tells what is unchanged, so that it is neither decoded nor told
 * again.  A list is a pass: what was not seen in it is gone.
 */
#ifndef BH_KUBE_TABLE_H
#define BH_KUBE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A digest that no object has. */
#define BH_KUBE_NO_DIGEST 0

struct bh_kube_table;

struct bh_kube_entry {
	uint64_t digest;
	bool is_told;     /* a fact of it is with the sink */
	bool has_problem; /* which is with the sink */
	bool is_seen;     /* in this pass; owned by the table */
	/* "namespace\0name\0uid\0" */
	uint16_t name_at, uid_at;
	uint32_t hash;
	char text[];
};

struct bh_kube_table *bh_kube_table_new(void);
void bh_kube_table_free(struct bh_kube_table **t);
size_t bh_kube_table_count(const struct bh_kube_table *t);
/* Of the entries themselves and of the index. */
size_t bh_kube_table_bytes(const struct bh_kube_table *t);

/* NULL if there is none. */
struct bh_kube_entry *bh_kube_table_find(const struct bh_kube_table *t, const char *namespace,
					 const char *name);
/*
 * A new entry, seen, with nothing told; the key must not be there yet, and its
 * parts have at most BH_KUBE_MAX_KEY bytes each.
 */
#define BH_KUBE_MAX_KEY 4096
struct bh_kube_entry *bh_kube_table_add(struct bh_kube_table *t, const char *namespace,
					const char *name, const char *uid);
/* For the caller to free(). */
struct bh_kube_entry *bh_kube_entry_copy(const struct bh_kube_entry *e);
/* Frees @e. */
void bh_kube_table_remove(struct bh_kube_table *t, struct bh_kube_entry *e);

/* Begins a pass: nothing is seen. */
void bh_kube_table_begin(struct bh_kube_table *t);
/* Removes what was not seen, after telling it. */
void bh_kube_table_end(struct bh_kube_table *t, void (*on_gone)(void *ctx, struct bh_kube_entry *e),
		       void *ctx);

static inline const char *bh_kube_entry_namespace(const struct bh_kube_entry *e)
{
	return e->text;
}

static inline const char *bh_kube_entry_name(const struct bh_kube_entry *e)
{
	return e->text + e->name_at;
}

static inline const char *bh_kube_entry_uid(const struct bh_kube_entry *e)
{
	return e->text + e->uid_at;
}

#endif
