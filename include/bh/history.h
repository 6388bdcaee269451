/*
 * Who had an address at which time.  A packet that was denied just before its
 * pod went away is still given to that pod.
 *
 * The world knows who has an address now, the history who had it before, and
 * since when it is as it is.  So it holds nothing of an address that stayed with
 * its pod, however many of them there are.
 */
#ifndef BH_HISTORY_H
#define BH_HISTORY_H

#include "bh/world.h"

/* A pod as it was; owned by the history. */
struct bh_identity {
	const char *namespace, *name, *uid, *node;
	struct bh_labels labels;
	const char *workload_kind, *workload_name;
	size_t n_labels_omitted; /* beyond what is worth remembering */
};

struct bh_history;

/*
 * Remembers changes for @keep_ns, and at most the last @max of them, in at most
 * BH_HISTORY_MAX_BYTES.
 */
#define BH_HISTORY_MAX_BYTES ((size_t)32 << 20)
struct bh_history *bh_history_new(uint64_t keep_ns, size_t max);
void bh_history_free(struct bh_history **h);
/*
 * What changed in the world since it was settled last, once for each settle.
 * Nothing is known of the time before the first call, or before one at which the
 * clock had been set back.  The same pod with other labels is another holder, so that
 * records show the labels of their time.
 */
void bh_history_note(struct bh_history *h, const struct bh_changes *changes, uint64_t now_ns);

/*
 * Since when @a is with whom it was with at the last call of bh_history_note(), be
 * it a pod or nobody.  UINT64_MAX before the first call.
 */
uint64_t bh_history_since(const struct bh_history *h, const struct bh_addr *a);
/*
 * Who had @a at @at_ns, or else nearest to it, of those that have it no more; NULL
 * if nobody that is remembered.  *ret_distance_ns is 0 if they had it then.  Valid
 * until the next note.
 */
const struct bh_identity *bh_history_near(const struct bh_history *h, const struct bh_addr *a,
					  uint64_t at_ns, uint64_t *ret_distance_ns);
/* Changes that are remembered, and the memory they take. */
size_t bh_history_count(const struct bh_history *h);
size_t bh_history_bytes(const struct bh_history *h);

#endif
