/*
 * The sandboxes that are known, and the pods they are.
 *
 * Several sandboxes can be of one pod (restarts leave old ones behind): the one
 * of the highest attempt stands for it.  The sink is told when what stands for
 * a pod changes, and only then.
 */
#ifndef BH_CRI_TABLE_H
#define BH_CRI_TABLE_H

#include "bh/source.h"
#include "sandbox.h"

struct bh_cri_table;

/* Borrows both for its life. */
struct bh_cri_table *bh_cri_table_new(const struct bh_sink *sink, const char *node);
/* Tells the sink nothing. */
void bh_cri_table_free(struct bh_cri_table **t);

/*
 * Merges what @s knows: where it lacks network or state, what was known stays.
 * -E2BIG beyond BH_CRI_MAX_SANDBOXES.
 */
int bh_cri_table_put(struct bh_cri_table *t, const struct bh_sandbox *s, struct bh_err *err);
/* Unknown ids are ignored by all of these. */
void bh_cri_table_remove(struct bh_cri_table *t, const char *id);
void bh_cri_table_finish(struct bh_cri_table *t, const char *id);
void bh_cri_table_add_ports(struct bh_cri_table *t, const char *id, const struct bh_port *ports,
			    size_t n_ports);
/* Why nothing better is known of it; forgotten with the next put that has a network. */
void bh_cri_table_trouble(struct bh_cri_table *t, const char *id, const char *text);

/*
 * Reconciling with a whole list:
 *
 *	bh_cri_table_begin(t);		before the list is asked for
 *	bh_cri_table_put_listed(t, s, ...)	for each of it
 *	bh_cri_table_end(t, ...)	names what the list lacks
 *
 * What was told between begin and end is newer than the list: an end seen
 * meanwhile is not undone, and what came meanwhile is not missing.
 */
void bh_cri_table_begin(struct bh_cri_table *t);
/* *ret_is_whole: nothing needs to be asked about it. */
int bh_cri_table_put_listed(struct bh_cri_table *t, const struct bh_sandbox *s, bool *ret_is_whole,
			    struct bh_err *err);
/* @on_missing may remove. */
void bh_cri_table_end(struct bh_cri_table *t, void (*on_missing)(void *ctx, const char *id),
		      void *ctx);

bool bh_cri_table_has(const struct bh_cri_table *t, const char *id);
size_t bh_cri_table_count(const struct bh_cri_table *t);

#endif
