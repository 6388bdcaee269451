/*
 * Pods that this node's operator cut off: set and released on the control socket, kept over
 * restarts, ended by the clock.
 */
#ifndef BH_QUARANTINE_H
#define BH_QUARANTINE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "bh/plan.h"
#include "quarantinelist.h"

struct bh_agent;

#define BH_MAX_QUARANTINES 1000

/* Zero does nothing. */
struct bh_quarantines {
	struct bh_agent *agent;
	struct bh_quarantine_list list;
	struct bh_copies copies;
	struct bh_plan_set *mark; /* in the plan of table inet; NULL: there never was a list */
	struct bh_elem marked;    /* its one element */
	uv_timer_t timer;         /* until one ends */
};

/*
 * Reads what the run before kept and puts it into the world, before any source says
 * something; needs agent->nft and the rights to read any file.  Where what was kept is lost,
 * all pods of this node are put into quarantine, it is a problem, and the agent is not ready.
 * An error only if the folder cannot be used.
 */
int bh_quarantines_start(struct bh_quarantines *q, struct bh_agent *agent, struct bh_err *err);
void bh_quarantines_stop(struct bh_quarantines *q);

/*
 * @params is the request: "target" is NAMESPACE/POD or NAMESPACE/KEY=VALUE[,...]; "allow" is a
 * list of CIDRs, "for_s" a number of seconds, "reason" a text; any of these three may be
 * missing.  @who is the user.  One that is there for the target is replaced.  *ret is the
 * answer: a new reference.  -EINVAL, -E2BIG with text.
 */
int bh_quarantines_set(struct bh_quarantines *q, const json_t *params, unsigned int who,
		       json_t **ret, struct bh_err *err);
/*
 * Ends the one of "target", or with "all" every one that an operator set.  With "lost" or
 * "all", what was lost is given up.  -ENOENT with text if there is none.
 */
int bh_quarantines_release(struct bh_quarantines *q, const json_t *params, unsigned int who,
			   json_t **ret, struct bh_err *err);

/* Before a commit: pods came, or moved to namespaces that had none; see above about a loss. */
void bh_quarantines_follow(struct bh_quarantines *q);
/* Now and then: writes copies anew that others removed or changed. */
void bh_quarantines_check(struct bh_quarantines *q);
/* How many the list has; a list that was lost has one more. */
size_t bh_quarantines_kept(const struct bh_quarantines *q);

/* [{"namespace","name","by","pods",...}], those by annotation and for a loss too: a new reference.
 */
json_t *bh_quarantines_json(const struct bh_agent *a);
/* How many operators set, how many pods have the annotation and it counts. */
void bh_quarantines_count(const struct bh_agent *a, size_t *ret_operator, size_t *ret_annotated);

#endif
