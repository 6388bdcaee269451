/*
 * A pass touches addresses: those of pods that came, went or changed, of pods that a
 * changed policy selects, or all of this node's where more than that changed.  After
 * the commit one walk (walk.c) judges every connection that has a touched address at
 * either end by the evaluator, as far as this node's rules judge it, and cuts what
 * they deny.  Its next packet is then judged as new by the rules that are in the
 * kernel already, so whatever was wrongly cut comes back.
 *
 * Nothing is looked through where nothing can have become denied: a pod that is new
 * and whose traffic no rule judges, unless policies of an ordered tier could deny it
 * to others.
 *
 * Pace.  A walk looks into every bucket of conntrack, entries or not.  Walks are
 * merged, and none is left out: those that judge take a twentieth of the time at most;
 * those for pods that came, or that went on other nodes, wait a moment for others, if
 * nobody asks for the status meanwhile; those that forget, which come with the end of
 * a pod of this node, do not wait: a client that takes a port again would be led to
 * the pod that is gone, as long as conntrack remembers their last connection.
 *
 * After a walk that cut something another one looks whether it stays cut, up to
 * MAX_ROUNDS.  What comes back even then is reported.
 */
#include "revoke.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "handle.h"
#include "walk.h"

#define MIN_PAUSE_MS 100
#define MAX_PAUSE_MS 2000
/* For others to join a walk that is not urgent. */
#define GATHER_MS   400
#define VERIFY_MS   50
#define MAX_ROUNDS  4
#define MAX_RETRIES 5
/* Connections of one pod in a walk; eight times as many in each one that follows it. */
#define BUDGET     1024
#define PICK_UP_MS 1000

static void on_timer(uv_timer_t *timer);
static void on_slice(uv_idle_t *idle);

void bh_revoker_init(struct bh_revoker *rv, struct bh_agent *agent)
{
	*rv = (struct bh_revoker){ .agent = agent, .budget = BUDGET, .has_cuts = true };
	uv_timer_init(agent->loop, &rv->timer);
	uv_timer_init(agent->loop, &rv->pickup);
	uv_idle_init(agent->loop, &rv->slice);
}

void bh_revoker_stop(struct bh_revoker *rv)
{
	bh_close_handle((uv_handle_t *)&rv->timer);
	bh_close_handle((uv_handle_t *)&rv->pickup);
	bh_close_handle((uv_handle_t *)&rv->slice);
	bh_touched_free(&rv->touched);
	/* The thread's end frees it otherwise: on_portion(). */
	if (rv->walk && !rv->walk->is_working)
		bh_walk_free(&rv->walk);
}

/* --- when ------------------------------------------------------------------------- */

static uint64_t now_ms(const struct bh_revoker *rv)
{
	return uv_now(rv->agent->loop);
}

static void arm(struct bh_revoker *rv, uint64_t at_ms)
{
	uint64_t now = now_ms(rv);

	uv_timer_start(&rv->timer, on_timer, at_ms > now ? at_ms - now : 0, 0);
}

/* The earliest that what is touched allows for. */
static uint64_t due_ms(const struct bh_revoker *rv)
{
	bool is_forgetting = false, is_gathering = !rv->is_all;
	uint64_t due;

	for (const struct bh_touched *t = rv->touched; t; t = t->hh.next) {
		is_forgetting = is_forgetting || t->is_forgotten;
		is_gathering = is_gathering && !t->is_forgotten && t->why != BH_TOUCH_CHANGED;
	}
	due = rv->n_walks == 0 ? 0
			       : rv->last_walk_ms + (is_forgetting ? MIN_PAUSE_MS : rv->pause_ms);
	if (is_gathering && due < rv->wanted_ms + GATHER_MS)
		due = rv->wanted_ms + GATHER_MS;
	return due;
}

static void want_walk(struct bh_revoker *rv)
{
	if (!rv->is_due)
		rv->wanted_ms = now_ms(rv);
	rv->is_due = true;
	if (!rv->walk)
		arm(rv, due_ms(rv));
}

/* --- a walk ----------------------------------------------------------------------- */

static void touch_local_pods(struct bh_revoker *rv)
{
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(rv->agent->world, &pods);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; pods[i]->is_local && k < pods[i]->n_addrs; k++)
			bh_touched_get(&rv->touched, &pods[i]->addrs[k]);
}

static void on_portion(struct bh_walk *w)
{
	struct bh_revoker *rv = &w->agent->revoker;

	if (w->agent->is_stopping)
		bh_walk_free(&rv->walk);
	else
		uv_idle_start(&rv->slice, on_slice);
}

static void start_walk(struct bh_revoker *rv)
{
	/* What was touched and is not in the kernel yet waits for its commit. */
	if (!rv->is_due || rv->walk || bh_reconcile_has_trouble(&rv->agent->reconcile))
		return;
	if (rv->is_all)
		touch_local_pods(rv);
	rv->is_all = rv->is_due = false;
	rv->n_walks++;
	rv->walk = bh_walk_new(rv->agent, bh_take_ptr(rv->touched), rv->budget, on_portion);
	rv->walk->has_cuts = rv->has_cuts;
	rv->walk->is_picking_up = now_ms(rv) < rv->pickup_until_ms;
	bh_walk_list(rv->walk);
}

static void on_timer(uv_timer_t *timer)
{
	start_walk(bh_container_of(timer, struct bh_revoker, timer));
}

/* From one walk's end to the next one's begin: 20 times what it took, within limits. */
static void note_walk(struct bh_revoker *rv, const struct bh_walk *w)
{
	uint64_t pause_ms = 20 * w->cpu_ns / BH_NS_PER_MS;

	rv->pause_ms = pause_ms < MIN_PAUSE_MS   ? MIN_PAUSE_MS
		       : pause_ms > MAX_PAUSE_MS ? MAX_PAUSE_MS
						 : pause_ms;
	uv_update_time(rv->agent->loop);
	rv->last_walk_ms = now_ms(rv);
	rv->cpu_ns += w->cpu_ns;
	rv->n_entries += w->n_entries;
	rv->n_revoked += w->n_denied + w->n_forgotten;
}

static void log_cuts(const struct bh_revoker *rv, const struct bh_walk *w)
{
	const char *again = rv->round > 0 ? " again" : "";

	if (w->n_denied > 0)
		bh_log_info("cut %zu connections%s that policy no longer allows", w->n_denied,
			    again);
	if (w->n_forgotten > 0)
		bh_log_info("cut %zu connections of pods that are gone", w->n_forgotten);
}

/* The same addresses once more, together with what was touched meanwhile. */
static void touch_again(struct bh_revoker *rv, const struct bh_walk *w, bool with_forgotten)
{
	for (const struct bh_touched *t = w->touched; t; t = t->hh.next) {
		struct bh_touched *again;

		/* What came since is not of the pod that is gone. */
		if (t->is_forgotten && !with_forgotten)
			continue;
		again = bh_touched_get(&rv->touched, &t->addr);
		again->why = BH_TOUCH_CHANGED;
		again->is_forgotten = again->is_forgotten || t->is_forgotten;
	}
	rv->is_due = true;
}

static void report(struct bh_revoker *rv, size_t n, const char *why)
{
	snprintf(rv->trouble, sizeof(rv->trouble), "%s", why);
	rv->n_live = n;
	rv->n_live_total += n;
	bh_log_error("%s: connections that policy no longer allows may live on", why);
	bh_flowlog_event(rv->agent->flowlog,
			 &(struct bh_record){ .kind = BH_RECORD_REVOCATION_FAILED,
					      .revocation = { .reason = why, .connections = n } },
			 bh_real_ns());
}

/* All is done that can be done for the rules of that walk. */
static void settle(struct bh_revoker *rv, const struct bh_walk *w)
{
	rv->generation = w->generation;
	rv->round = 0;
	rv->n_retries = 0;
	rv->budget = BUDGET;
}

static void end_failed(struct bh_revoker *rv, const struct bh_walk *w)
{
	if (rv->n_retries++ < MAX_RETRIES) {
		touch_again(rv, w, true);
		arm(rv, now_ms(rv) + MIN_PAUSE_MS);
		return;
	}
	rv->n_failed++;
	report(rv, 0, bh_err_text(&w->err)[0] ? bh_err_text(&w->err) : "unknown error");
	settle(rv, w);
}

static void end_good(struct bh_revoker *rv, const struct bh_walk *w)
{
	char text[BH_ERR_MAX];

	if (w->n_left > 0) {
		rv->budget *= 8;
		touch_again(rv, w, false);
		arm(rv, now_ms(rv));
		return;
	}
	if (w->n_denied > 0 && rv->round < MAX_ROUNDS) {
		rv->round++;
		touch_again(rv, w, false);
		arm(rv, now_ms(rv) + VERIFY_MS);
		return;
	}
	if (w->n_denied > 0) {
		snprintf(text, sizeof(text), "%zu connections came back whenever they were cut",
			 w->n_denied);
		report(rv, w->n_denied, text);
	} else if (rv->n_open > 0) {
		snprintf(text, sizeof(text),
			 "%zu connections were cut without room to keep them from coming back",
			 rv->n_open);
		report(rv, rv->n_open, text);
	} else {
		rv->n_live = 0;
		rv->trouble[0] = '\0';
	}
	rv->n_open = 0;
	settle(rv, w);
}

static void end_walk(struct bh_revoker *rv)
{
	bh_auto(bh_walk_free) struct bh_walk *w = bh_take_ptr(rv->walk);

	note_walk(rv, w);
	log_cuts(rv, w);
	rv->n_open += w->n_open;
	rv->has_cuts = w->has_cuts || w->result < 0;
	if (w->result < 0)
		end_failed(rv, w);
	else
		end_good(rv, w);
	if (rv->is_due && !uv_is_active((uv_handle_t *)&rv->timer))
		arm(rv, due_ms(rv));
}

static void on_slice(uv_idle_t *idle)
{
	struct bh_revoker *rv = bh_container_of(idle, struct bh_revoker, slice);

	if (bh_walk_slice(rv->walk))
		return;
	uv_idle_stop(idle);
	if (bh_walk_is_over(rv->walk))
		end_walk(rv);
	else
		bh_walk_list(rv->walk);
}

/* --- what to look at -------------------------------------------------------------- */

static bool is_in_quarantine(const struct bh_revoker *rv, const struct bh_addr *a)
{
	const struct bh_world *w = rv->agent->world;
	const struct bh_pod *pod = bh_world_pod_by_addr(w, a);
	const struct bh_policy *const *policies;
	size_t n = pod ? bh_world_policies_of(w, pod->namespace, &policies) : 0;

	/* They come first. */
	for (size_t i = 0; i < n && policies[i]->kind == BH_QUARANTINE; i++)
		if (bh_world_selects(w, policies[i], pod))
			return true;
	return false;
}

/* With --revoke no, only those are cut that somebody asked to be cut. */
void bh_revoker_touch(struct bh_revoker *rv, const struct bh_addr *a, enum bh_touch why)
{
	struct bh_touched *t;

	if (!rv->agent->config->is_revoking && !is_in_quarantine(rv, a))
		return;
	t = bh_touched_get(&rv->touched, a);
	if (why > t->why)
		t->why = why;
}

/* Also with --revoke no: those connections were never the new owner's. */
void bh_revoker_forget(struct bh_revoker *rv, const struct bh_addr *a)
{
	struct bh_touched *t = bh_touched_get(&rv->touched, a);

	t->is_forgotten = true;
	t->why = BH_TOUCH_CHANGED;
}

void bh_revoker_touch_all(struct bh_revoker *rv)
{
	if (rv->agent->config->is_revoking)
		rv->is_all = true;
}

void bh_revoker_count_policy(struct bh_revoker *rv, const struct bh_policy *before,
			     const struct bh_policy *after)
{
	enum bh_tier tier;

	if (before) {
		tier = bh_policy_tier(before);
		rv->n_ordered -= tier == BH_TIER_ADMIN || tier == BH_TIER_BASELINE;
	}
	if (after) {
		tier = bh_policy_tier(after);
		rv->n_ordered += tier == BH_TIER_ADMIN || tier == BH_TIER_BASELINE;
	}
}

static void drop_touched(struct bh_revoker *rv,
			 bool (*is_spared)(const struct bh_revoker *rv, const struct bh_touched *t))
{
	struct bh_touched *t, *next;

	HASH_ITER (hh, rv->touched, t, next) {
		if (t->is_forgotten || !is_spared(rv, t))
			continue;
		HASH_DEL(rv->touched, t);
		free(t);
		rv->n_spared++;
	}
}

static bool is_any(const struct bh_revoker *rv, const struct bh_touched *t)
{
	(void)rv;
	(void)t;
	return true;
}

void bh_revoker_spare(struct bh_revoker *rv)
{
	/* A walk that is due for an earlier commit looks at a few more, and no harm. */
	if (rv->is_due)
		return;
	rv->is_all = false;
	drop_touched(rv, is_any);
}

/*
 * A pod that nobody knew: the rules of others can only allow more to it, since they
 * name it by its labels now, and its own deny nothing if there are none.
 */
static bool is_harmless(const struct bh_revoker *rv, const struct bh_touched *t)
{
	const struct bh_pod *pod = bh_world_pod_by_addr(rv->agent->world, &t->addr);

	if (t->why != BH_TOUCH_NEW || rv->n_ordered > 0)
		return false;
	return !pod || !pod->is_local ||
	       (!bh_compiler_profile_of(rv->agent->compiler, pod, BH_INGRESS) &&
		!bh_compiler_profile_of(rv->agent->compiler, pod, BH_EGRESS));
}

void bh_revoker_commit(struct bh_revoker *rv)
{
	if (!rv->is_due)
		drop_touched(rv, is_harmless);
	if (rv->is_all || rv->touched)
		want_walk(rv);
}

void bh_revoker_hurry(struct bh_revoker *rv)
{
	if (!rv->is_due || rv->is_all || rv->walk || rv->n_retries > 0 || rv->round > 0)
		return;
	for (struct bh_touched *t = rv->touched; t; t = t->hh.next)
		t->why = BH_TOUCH_CHANGED;
	arm(rv, due_ms(rv));
}

/* What came meanwhile may be denied. */
static void on_pickup(uv_timer_t *timer)
{
	struct bh_revoker *rv = bh_container_of(timer, struct bh_revoker, pickup);
	uint64_t n = bh_cuts_count_picked_up(rv->agent->nft);

	if (n != rv->n_picked_up) {
		rv->n_picked_up = n;
		bh_revoker_touch_all(rv);
		bh_revoker_commit(rv);
	}
	if (now_ms(rv) >= rv->pickup_until_ms)
		uv_timer_stop(timer);
}

void bh_revoker_start(struct bh_revoker *rv, bool is_first)
{
	struct bh_err err = { 0 };

	if (is_first &&
	    bh_cuts_pick_up(rv->agent->nft, bh_compiler_plan(rv->agent->compiler), &err) < 0)
		bh_log_warning("%s: connections that are older than the rules may be cut where "
			       "their server speaks first",
			       bh_err_text(&err));
	if (!is_first && !bh_cuts_are_picked_up())
		return;
	rv->pickup_until_ms = now_ms(rv) + BH_PICKUP_SECONDS * 1000 + PICK_UP_MS;
	uv_timer_start(&rv->pickup, on_pickup, PICK_UP_MS, PICK_UP_MS);
}

uint64_t bh_revoker_generation(const struct bh_revoker *rv)
{
	bool is_idle = !rv->is_due && !rv->walk;

	return is_idle ? rv->agent->reconcile.generation : rv->generation;
}
