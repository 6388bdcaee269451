/*
 * Label selectors (apimachinery LabelSelector).
 */
#ifndef BH_SELECTOR_H
#define BH_SELECTOR_H

#include "bh/buf.h"
#include "bh/model.h"

/*
 * NotIn and DoesNotExist hold for a missing key, In and Exists do not.
 * @labels must be sorted by key, as in objects read from the world.
 */
bool bh_selector_matches(const struct bh_selector *sel, const struct bh_labels *labels);
/* By its labels; where these are not known, only a selector that asks for none does. */
bool bh_selector_matches_pod(const struct bh_selector *sel, const struct bh_pod *pod);

/*
 * Adds the canonical text: requirements sorted, duplicates and value order
 * removed, every string quoted with its length, so that two selectors have the
 * same text if and only if they have the same requirements.
 */
void bh_selector_canonical(const struct bh_selector *sel, struct bh_buf *out);

/* Adds the text for people, as kubectl shows it: app=web,tier in (a,b),!old; "<all>" if empty. */
void bh_selector_describe(const struct bh_selector *sel, struct bh_buf *out);

#endif
