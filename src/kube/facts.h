/*
 * Objects of one resource -> what the sink is told of them: only what differs
 * from what it was told before.
 */
#ifndef BH_KUBE_FACTS_H
#define BH_KUBE_FACTS_H

#include "bh/source.h"
#include "kinds.h"
#include "table.h"

struct bh_kube_facts {
	const struct bh_kube_kind *kind;
	const struct bh_sink *sink;
	struct bh_kube_table *table;
	uint64_t n_refused;
	size_t n_problems; /* of single objects, told now */
	/* Problems that were told: ... */
	bool has_nameless, has_too_many, has_more_problems;
};

void bh_kube_facts_init(struct bh_kube_facts *f, const struct bh_kube_kind *kind,
			const struct bh_sink *sink);
void bh_kube_facts_done(struct bh_kube_facts *f);

/* The object that @s is at is there; what it cannot be read as is a problem of it. */
void bh_kube_facts_put(struct bh_kube_facts *f, const struct bh_kube_stream *s,
		       const struct bh_kube_item *item);
/* The object that @s is at is gone. */
void bh_kube_facts_delete(struct bh_kube_facts *f, const struct bh_kube_stream *s);
/*
 * Known to the sink from elsewhere, or about to be.  False if another of that name
 * is known already, or there is no room: the sink must not know it.
 */
bool bh_kube_facts_adopt(struct bh_kube_facts *f, const struct bh_key *key);

/* A list: what is not put between these two is told as deleted at the end. */
void bh_kube_facts_begin(struct bh_kube_facts *f);
void bh_kube_facts_end(struct bh_kube_facts *f);

#endif
