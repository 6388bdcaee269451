/*
 * Who had an address at which time.  A packet that was denied just before its
 * pod went away is still given to that pod.
 */
#ifndef BH_HISTORY_H
#define BH_HISTORY_H

#include "bh/model.h"

/* A pod as it was; owned by the history. */
struct bh_identity {
	const char *namespace, *name, *uid, *node;
	struct bh_labels labels;
	const char *workload_kind, *workload_name;
	uint64_t from_ns, until_ns; /* real time; until is UINT64_MAX while it lasts */
};

struct bh_history;

/* Keeps bindings for @keep_ns after their end, and at most @max of ended ones. */
struct bh_history *bh_history_new(uint64_t keep_ns, size_t max);
void bh_history_free(struct bh_history **h);
/*
 * @pod has @a from now on; ends who had it.  @pod NULL: nobody has it any more.
 * The same pod with the same labels again is no change; with others it is a new
 * binding, so that records show the labels of their time.
 */
void bh_history_bind(struct bh_history *h, const struct bh_addr *a, const struct bh_pod *pod,
		     uint64_t now_ns);
/* Who had @a at @at_ns; NULL if nobody that is remembered.  Valid until the next bind. */
const struct bh_identity *bh_history_at(const struct bh_history *h, const struct bh_addr *a,
					uint64_t at_ns);
/*
 * The binding of @a nearest to @at_ns, at most @slack_ns after its end or before
 * its begin: clocks of the kernel, the runtime and ours do not agree exactly.
 */
const struct bh_identity *bh_history_near(const struct bh_history *h, const struct bh_addr *a,
					  uint64_t at_ns, uint64_t slack_ns);
/* Bindings, both lasting and ended. */
size_t bh_history_count(const struct bh_history *h);

#endif
