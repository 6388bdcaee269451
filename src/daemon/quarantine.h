/*
 * Pods that this node's operator cut off: set and released on the control socket, kept over
 * restarts, ended by the clock.
 */
#ifndef BH_QUARANTINE_H
#define BH_QUARANTINE_H

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "bh/err.h"

struct bh_agent;

#define BH_MAX_QUARANTINES 1000

/* Zero does nothing. */
struct bh_quarantines {
	struct bh_agent *agent;
	struct bh_quarantine *items;
	size_t n, cap;
	char *path;
	char damage[BH_ERR_MAX]; /* why the file could not be read; "" if it could */
	bool is_moved;           /* the damaged file has another name now */
	uv_timer_t timer;        /* until one ends */
};

/*
 * Reads what the run before kept and puts it into the world, before any source says
 * something.  The file is in the folder of --state, or without it beside the control socket.
 * One that is damaged is a problem and keeps the agent from being ready.  An error only if
 * the folder cannot be used.
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
 * Ends the one of "target", or with "all" every one that an operator set; then a damaged file
 * is no problem any more.  -ENOENT with text if there is none.
 */
int bh_quarantines_release(struct bh_quarantines *q, const json_t *params, unsigned int who,
			   json_t **ret, struct bh_err *err);

/* [{"namespace","name","by","pods",...}], those by annotation too: a new reference. */
json_t *bh_quarantines_json(const struct bh_agent *a);
/* How many operators set, how many pods have the annotation and it counts. */
void bh_quarantines_count(const struct bh_agent *a, size_t *ret_operator, size_t *ret_annotated);

#endif
