#include "bh/nearest.h"

#include <string.h>

/* Longer words resemble nothing: comparing takes the product of lengths. */
#define MAX_WORD 128

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Levenshtein's distance; words beyond MAX_WORD are far from everything. */
static size_t distance(const char *a, const char *b)
{
	size_t row[MAX_WORD + 1], n = strlen(b), i, k;

	if (strlen(a) > MAX_WORD || n > MAX_WORD)
		return MAX_WORD;
	for (k = 0; k <= n; k++)
		row[k] = k;
	for (i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (k = 0; k < n; k++) {
			size_t above = row[k + 1];

			row[k + 1] = min3(above + 1, row[k] + 1, diagonal + (a[i] != b[k]));
			diagonal = above;
		}
	}
	return row[n];
}

void bh_nearest_consider(struct bh_nearest *n, const char *given, const char *word)
{
	size_t d = distance(given, word);

	/* A third of the letters may be wrong, and two of any word. */
	if (d > 2 && d > strlen(word) / 3)
		return;
	if (d < strlen(word) && (!n->word || d < n->distance))
		*n = (struct bh_nearest){ .word = word, .distance = d };
}
