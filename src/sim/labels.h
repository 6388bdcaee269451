/*
 * Label sets that a selector matches.
 */
#ifndef BH_SIM_LABELS_H
#define BH_SIM_LABELS_H

#include "bh/alloc.h"
#include "bh/model.h"

/* Keys that selectors mention, with the values that they mention. */
struct vocabulary {
	struct vocabulary_word {
		const char *key;
		const char **values;
		size_t n_values, cap_values;
		bool is_excluded; /* by NotIn or DoesNotExist somewhere */
	} * words;
	size_t n, cap;
};

/* Borrows the selector's strings. */
void vocabulary_add(struct vocabulary *v, const struct bh_selector *sel);
void vocabulary_done(struct vocabulary *v);

/* What a label is in a set of which nobody mentions the value. */
#define LABEL_OF_NOBODY "bulkhead-any"

/*
 * Calls @on_labels with sets that @sel matches: the smallest first, then those
 * that differ where other selectors of @v exclude something.  Labels are sorted
 * and of @arena.  False if there are more than @max of them: then some of them.
 */
bool labels_each(const struct bh_selector *sel, const struct vocabulary *v, size_t max,
		 struct bh_arena *arena,
		 void (*on_labels)(void *ctx, const struct bh_labels *labels), void *ctx);

#endif
