/*
 * The word that was meant: of those that are known, the one that is nearest to
 * what was written.
 */
#ifndef BH_NEAREST_H
#define BH_NEAREST_H

#include <stddef.h>

/* Starts zeroed. */
struct bh_nearest {
	const char *word; /* borrowed; NULL while none resembles */
	size_t distance;
};

/* Takes @word where it resembles @given more than what was there. */
void bh_nearest_consider(struct bh_nearest *n, const char *given, const char *word);

#endif
