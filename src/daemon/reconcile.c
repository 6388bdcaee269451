/*
 * World -> compile -> commit.
 *
 * Sources only change the world and defer.  After some quiet the job runs at once.
 * What follows soon is a burst, for which it runs once: it waits until nothing came
 * for QUIET_MS (MAX_DELAY_MS at the most), or not at all where a pod of this node
 * came or changed.  The job notes what changed (pass.c), lets the compiler and the port
 * guard follow, and commits the deltas of their plans as one transaction.
 *
 * The kernel's table is the state that counts.  Once all sources are in sync for
 * the first time, the table that is there, of an earlier run perhaps, is read back
 * and patched: no flush, no window.  The same is done after every doubt: an answer
 * that was lost, a transaction that was cut, a change by somebody else.
 *
 * Before that, the world is a part of what it will be: policies are missing, which
 * leaves pods open, and so are peers, which leaves what they may do closed.  A
 * source may never answer, so after a grace time the part is used, in one of two
 * ways (enum bh_stage):
 *
 *   no table in force   The part is committed as if it were all.  Without it,
 *                       everything would be open, so nothing opens by it; and it
 *                       is followed as it grows, since what the rules were before
 *                       came of a part, too.
 *   a table in force    It came of a whole world, or of the boot file.  Nothing
 *                       that it says is changed: what the part lacks would open,
 *                       and allowed traffic of peers not known yet would be cut.
 *                       Only pods whose addresses the table does not know at all
 *                       are added, with the policies that are known to isolate
 *                       them: that closes and cannot open (nft/narrow.c).  If the
 *                       table itself came of a part, which it says, so are those
 *                       that it knows and left open.
 *
 * Nothing is revoked by a part of the world before it has stayed one for
 * TRUST_PART_MS, and by a table that is held never.
 *
 * What is much is built and committed in parts, each in a turn of its own, so that
 * nobody's change waits behind somebody's large one: bh_compiler_set_load().  Not where a
 * table is taken over, whose chains are left in force until all of their successors are
 * there.
 *
 * When the kernel refuses one set or chain, the profiles that need it are closed
 * and everything else is committed.  Any other error is tried again with
 * growing delay; meanwhile the rules stay as they are and the agent is not ready.
 */
#include "reconcile.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "handle.h"

#define QUIET_MS       50
#define MAX_DELAY_MS   500
#define MIN_BACKOFF_MS 100
#define MAX_BACKOFF_MS 30000
/* One job: commits, read-backs and closed profiles together. */
#define MAX_TRIES    16
#define MAX_DESCRIBE 32
#define STUCK_MS     30000
/* From the start: how long all sources are waited for before a part of the world is used. */
#define GRACE_MS 1000
/* From then on: how long what they might still allow is not cut. */
#define TRUST_PART_MS 30000
/* Between two looks at a table that is held: this times what the last one took. */
#define HOLD_PAUSE_FACTOR 20
#define MIN_HOLD_PAUSE_MS 50
/* Of one job, by the compiler's estimate; one profile alone may be more. */
#define LOAD_US 100000
/* Within so much, a changed file is read: until it is settled, and a little more. */
#define MANIFEST_MS 60

/* Who changed our table, as far as the kernel told. */
struct culprit {
	char program[64];
	uint32_t pid;
};

static void run_job(struct bh_reconcile *r);

static void on_job(uv_timer_t *timer)
{
	struct bh_reconcile *r = bh_container_of(timer, struct bh_reconcile, job);

	r->is_armed = false;
	run_job(r);
}

static void arm(struct bh_reconcile *r, uint64_t delay_ms)
{
	r->is_armed = true;
	r->due_ms = uv_now(r->agent->loop) + delay_ms;
	uv_timer_start(&r->job, on_job, delay_ms, 0);
}

void bh_reconcile_defer(struct bh_reconcile *r, bool is_urgent)
{
	uint64_t now = uv_now(r->agent->loop), due;

	if (!bh_world_is_dirty(r->agent->world) && !r->has_new_links && r->is_adopted &&
	    !bh_tables_are_dirty(r->agent))
		return;
	if (r->change_ns == 0)
		r->change_ns = bh_mono_ns();
	if (!r->is_armed)
		r->deadline_ms = now + MAX_DELAY_MS;
	/* The first after a quiet time; others may follow it, and are merged. */
	if (!r->is_armed && r->is_adopted && now >= r->last_job_ms + QUIET_MS)
		is_urgent = true;
	due = is_urgent ? now : now + QUIET_MS < r->deadline_ms ? now + QUIET_MS : r->deadline_ms;
	/* After an error, a change may be the cure, but a storm of them is not. */
	if (r->backoff_ms > 0)
		due = now + MIN_BACKOFF_MS;
	/* What is urgent stays so. */
	if (r->is_armed && (r->due_ms <= now || (r->backoff_ms > 0 && r->due_ms <= due)))
		return;
	arm(r, due > now ? due - now : 0);
}

void bh_reconcile_note_links(struct bh_reconcile *r)
{
	r->has_new_links = true;
	bh_reconcile_defer(r, true);
}

uint64_t bh_reconcile_wanted(const struct bh_reconcile *r)
{
	bool is_behind = !r->is_adopted || bh_reconcile_has_trouble(r) ||
			 bh_world_is_dirty(r->agent->world) || bh_tables_are_dirty(r->agent) ||
			 bh_compiler_is_waiting(r->agent->compiler);

	struct bh_manifest *m = r->agent->sources.manifest;

	/*
	 * Files that are still to be read may miss the commit that is due, so they
	 * count by themselves.  Where nothing comes of it, the figure falls back.
	 */
	return r->generation + is_behind + (m && bh_manifest_is_behind(m));
}

bool bh_reconcile_has_trouble(const struct bh_reconcile *r)
{
	return r->trouble[0] != '\0';
}

bool bh_reconcile_is_stuck(const struct bh_reconcile *r)
{
	return r->is_armed && uv_now(r->agent->loop) > r->due_ms + STUCK_MS;
}

static void add_duration(struct bh_durations *d, uint64_t ns)
{
	static const double bounds[] = BH_DURATION_BUCKETS;
	double seconds = (double)ns / (double)BH_NS_PER_S;

	static_assert(BH_ARRAY_LEN(bounds) == BH_N_DURATION_BUCKETS, "a bound for every bucket");
	for (size_t i = 0; i < BH_ARRAY_LEN(bounds); i++)
		if (seconds <= bounds[i])
			d->buckets[i]++;
	d->seconds += seconds;
	d->n++;
}

static void count_commit(struct bh_reconcile *r, size_t n_ops, uint64_t duration_ns)
{
	add_duration(&r->commits, duration_ns);
	r->n_commits++;
	r->last_real_ns = bh_real_ns();
	r->last_duration_us = duration_ns / 1000;
	r->last_n_ops = n_ops;
}

static void note_ruleset(struct bh_reconcile *r)
{
	uint32_t id;

	if (bh_nft_generation(r->agent->nft, &id, NULL) == 0)
		r->ruleset_id = id;
}

static int commit(struct bh_reconcile *r, const struct bh_deltas *deltas,
		  struct bh_nft_refusal *refusal, struct bh_err *err)
{
	const struct bh_delta *const list[] = { deltas->of[BH_TABLE_INET],
						deltas->of[BH_TABLE_NETDEV],
						deltas->of[BH_TABLE_BRIDGE] };
	uint64_t start_ns = bh_mono_ns();
	int e = bh_nft_commit(r->agent->nft, list, BH_ARRAY_LEN(list), refusal, err);

	static_assert(BH_ARRAY_LEN(list) == BH_TABLE_COUNT_, "every table is committed");
	if (e == 0)
		count_commit(r, bh_deltas_n_ops(deltas), bh_mono_ns() - start_ns);
	else
		r->n_failures++;
	return e;
}

/* Its lines; the text is cut up for them. */
static size_t split_lines(struct bh_buf *text, const char *ret[MAX_DESCRIBE + 1])
{
	char *save = NULL;
	size_t n = 0;

	for (char *l = text->data ? strtok_r(text->data, "\n", &save) : NULL;
	     l && n <= MAX_DESCRIBE; l = strtok_r(NULL, "\n", &save))
		ret[n++] = l;
	return n;
}

static void log_tamper(struct bh_reconcile *r, const struct culprit *by, enum bh_table table,
		       const struct bh_delta *delta)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 }, joined = { 0 };
	const char *lines[MAX_DESCRIBE + 1];
	size_t n;

	bh_nft_diff_describe(delta, MAX_DESCRIBE, &text);
	n = split_lines(&text, lines);
	for (size_t i = 0; i < n; i++)
		bh_buf_printf(&joined, "%s%s", i > 0 ? "; " : "", lines[i]);
	r->n_tampers++;
	bh_log_warning("table %s %s was changed by %s (pid %u), repairing it: %s",
		       bh_table_str(table), BH_TABLE,
		       by->program[0] ? by->program : "an unknown program", by->pid,
		       bh_buf_str(&joined));
	bh_flowlog_event(r->agent->flowlog,
			 &(struct bh_record){ .kind = BH_RECORD_TAMPER,
					      .tamper = { .program = by->program,
							  .pid = by->pid,
							  .table = bh_table_str(table),
							  .differences = { lines, n, 0 } } },
			 bh_real_ns());
}

/* What takes one table of the kernel to its plan; *ret NULL if nothing does. */
static int read_table(struct bh_reconcile *r, enum bh_table table, const struct culprit *by,
		      struct bh_delta **ret, struct bh_err *err)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	int e = bh_nft_read(r->agent->nft, table, &state, err);

	if (e < 0)
		return bh_err_wrap(err, e, "cannot read table %s %s", bh_table_str(table),
				   BH_TABLE);
	*ret = bh_nft_diff(state, bh_tables_plan(r->agent, table));
	if (!*ret)
		return 0;
	if (by) {
		log_tamper(r, by, table, *ret);
		/* Whatever the hole let through is judged again. */
		bh_revoker_touch_all(&r->agent->revoker);
	} else if (!r->is_adopted && bh_nft_state_is_absent(state)) {
		r->is_first |= table == BH_TABLE_INET;
	} else if (!r->is_adopted) {
		bh_log_info("found table %s %s, patching it with %zu operations",
			    bh_table_str(table), BH_TABLE, (*ret)->n_ops);
	}
	return 0;
}

/*
 * Reads the kernel's tables and brings them to the plans.  With @by, differences are
 * somebody else's doing.
 */
static int read_back(struct bh_reconcile *r, const struct culprit *by,
		     struct bh_nft_refusal *refusal, struct bh_err *err)
{
	bh_auto(bh_deltas_free) struct bh_deltas deltas = { 0 };

	r->n_read_backs++;
	for (enum bh_table t = 0; t < BH_TABLE_COUNT_; t++) {
		int e;

		if (r->agent->tables.lacks[t][0])
			continue;
		e = read_table(r, t, by, &deltas.of[t], err);
		if (e < 0)
			return e;
	}
	return bh_deltas_are_empty(&deltas) ? 0 : commit(r, &deltas, refusal, err);
}

/* Makes the deltas where they are not there yet. */
static int commit_delta(struct bh_reconcile *r, struct bh_deltas *deltas,
			struct bh_nft_refusal *refusal, struct bh_err *err)
{
	bh_tables_delta(r->agent, deltas);
	return bh_deltas_are_empty(deltas) ? 0 : commit(r, deltas, refusal, err);
}

static void log_closed(struct bh_reconcile *r, const char *name, size_t n_profiles)
{
	const struct bh_pod *const *pods;
	size_t n = bh_world_pods(r->agent->world, &pods);
	size_t n_named = 0;

	bh_log_error("the kernel refused %s: %zu profiles are closed, everything else is enforced",
		     name, n_profiles);
	for (size_t i = 0; i < n && n_named < MAX_DESCRIBE; i++) {
		for (enum bh_dir d = 0; d < BH_DIR_COUNT_; d++) {
			const struct bh_profile *p =
				bh_compiler_profile_of(r->agent->compiler, pods[i], d);

			if (!p || !p->closed)
				continue;
			n_named++;
			for (size_t k = 0; k < p->n_enforced; k++)
				bh_log_error("%s %s/%s: pod %s/%s is closed for %s: %s",
					     bh_policy_kind_str(p->enforced[k].kind),
					     p->enforced[k].namespace, p->enforced[k].name,
					     pods[i]->namespace, pods[i]->name, bh_dir_str(d),
					     p->closed);
		}
	}
}

/* True if something was closed, so that another try is worth it. */
static bool close_refused(struct bh_reconcile *r, const struct bh_nft_refusal *refusal,
			  const struct bh_err *why)
{
	size_t n;

	if (!refusal->name[0])
		return false;
	n = bh_compiler_close(r->agent->compiler, refusal->name, bh_err_text(why));
	if (n == 0)
		return false;
	log_closed(r, refusal->name, n);
	return true;
}

static bool is_doubt(int code)
{
	return code == -ENOBUFS || code == -ESTALE || code == -EINPROGRESS;
}

static void on_foreign(void *ctx, const char *program, uint32_t pid)
{
	struct culprit *by = ctx;

	snprintf(by->program, sizeof(by->program), "%s", program ? program : "");
	by->pid = pid;
}

/* True if our table may have been changed; fills @by as far as it is known. */
static bool drain_watch(struct bh_reconcile *r, struct culprit *by)
{
	struct bh_err err = { 0 };
	bool is_changed = false;
	struct culprit found = { .pid = UINT32_MAX };
	int e = bh_nft_watch_read(r->agent->nft, on_foreign, &found, &err);

	if (found.pid != UINT32_MAX) {
		*by = found;
		is_changed = true;
	}
	if (e < 0 && e != -EAGAIN) {
		bh_log_warning("%s, reading the table back",
			       e == -ENOBUFS ? "nftables notifications were lost"
					     : bh_err_text(&err));
		is_changed = true;
	}
	return is_changed;
}

static void succeed(struct bh_reconcile *r)
{
	bh_tables_settle(r->agent);
	/* What came before the first commit waited for the sources. */
	if (r->is_adopted && r->change_ns > 0)
		add_duration(&r->changes, bh_mono_ns() - r->change_ns);
	r->change_ns = 0;
	if (!r->is_adopted && r->stage == BH_STAGE_PART)
		bh_log_warning("not all sources are in sync: rules of what is known are in force");
	else if (!r->is_adopted)
		bh_log_info("rules are in force");
	else if (bh_reconcile_has_trouble(r))
		bh_log_info("rules are up to date again");
	if (!r->is_adopted)
		bh_revoker_start(&r->agent->revoker, r->is_first);
	r->is_adopted = true;
	bh_compiler_set_load(r->agent->compiler, LOAD_US);
	r->is_doubtful = false;
	r->trouble[0] = '\0';
	r->backoff_ms = 0;
	r->generation++;
	note_ruleset(r);
	bh_pass_commit(&r->pass, r->agent);
	bh_boot_note(&r->agent->boot);
}

static void fail(struct bh_reconcile *r, const struct bh_err *err)
{
	r->backoff_ms = r->backoff_ms == 0                   ? MIN_BACKOFF_MS
			: r->backoff_ms * 2 > MAX_BACKOFF_MS ? MAX_BACKOFF_MS
							     : r->backoff_ms * 2;
	if (strcmp(r->trouble, bh_err_text(err)) != 0)
		bh_log_error("%s, keeping the rules that are in the kernel and trying again",
			     bh_err_text(err));
	snprintf(r->trouble, sizeof(r->trouble), "%s",
		 bh_err_text(err)[0] ? bh_err_text(err) : "unknown error");
	/* Whatever it was: the next try trusts only what it reads. */
	r->is_doubtful = true;
	arm(r, r->backoff_ms);
}

/*
 * Brings the kernel to the plans, whatever that takes within reason.  @deltas are the
 * plans', or not made yet.
 */
static int push(struct bh_reconcile *r, const struct culprit *tamperer, struct bh_deltas *deltas,
		struct bh_err *err)
{
	struct culprit by = tamperer ? *tamperer : (struct culprit){ .pid = 0 };
	bool is_tamper = tamperer != NULL;
	int e = -EAGAIN;

	for (int i = 0; i < MAX_TRIES; i++) {
		struct bh_nft_refusal refusal = { .code = 0 };

		bh_err_clear(err);
		if (!r->is_adopted || r->is_doubtful || is_tamper)
			e = read_back(r, r->is_adopted && is_tamper ? &by : NULL, &refusal, err);
		else
			e = commit_delta(r, deltas, &refusal, err);
		if (e == 0)
			return 0;

		is_tamper = false;
		if (is_doubt(e)) {
			r->is_doubtful = true;
			is_tamper = drain_watch(r, &by);
		} else if (bh_tables_give_up(r->agent, &refusal, err)) {
			bh_deltas_free(deltas);
		} else if (close_refused(r, &refusal, err)) {
			bh_tables_update(r->agent);
			bh_deltas_free(deltas);
		} else {
			return e;
		}
	}
	return e;
}

static void finish(struct bh_reconcile *r, int e, const struct bh_err *err)
{
	if (e == 0)
		succeed(r);
	else
		fail(r, err);
	bh_agent_update_ready(r->agent);
}

/* The world changed in what the rules do not depend on. */
static void pass_by(struct bh_reconcile *r)
{
	bh_tables_settle(r->agent);
	bh_revoker_spare(&r->agent->revoker);
	bh_pass_commit(&r->pass, r->agent);
	r->change_ns = 0;
}

/* A set that says of the table, also to the next run, that it is of a part of the world. */
#define PART_MARK "part"

static void mark_part(struct bh_reconcile *r)
{
	static const struct bh_set_spec spec = { .name = PART_MARK,
						 .comment = "made while sources were missing",
						 .kind = BH_SET_PROTO_PORT };
	struct bh_plan *plan = bh_compiler_plan(r->agent->compiler);

	if (r->stage == BH_STAGE_PART && !r->part_mark) {
		r->part_mark = bh_plan_add_set(plan, &spec);
	} else if (r->stage != BH_STAGE_PART && r->part_mark) {
		bh_plan_remove_set(plan, r->part_mark);
		r->part_mark = NULL;
	}
}

/* Commits what the plan is now. */
static void follow(struct bh_reconcile *r)
{
	bh_auto(bh_deltas_free) struct bh_deltas deltas = { 0 };
	struct bh_err err = { 0 };
	int e;

	mark_part(r);
	if (r->is_adopted && !r->is_doubtful) {
		bh_tables_delta(r->agent, &deltas);
		if (bh_deltas_are_empty(&deltas)) {
			pass_by(r);
			return;
		}
	}
	e = push(r, NULL, &deltas, &err);
	/* It leads into what the plan forgets once it is settled. */
	bh_deltas_free(&deltas);
	finish(r, e, &err);
}

/* --- a part of the world ---------------------------------------------------------- */

static const char *const local_sets[] = BH_LOCAL_SETS;

static void hold(struct bh_reconcile *r)
{
	if (r->stage == BH_STAGE_HELD)
		return;
	r->stage = BH_STAGE_HELD;
	bh_log_warning("not all sources are in sync: the rules that were in the kernel stay, "
		       "and new pods are closed as far as policies are known");
	bh_agent_update_ready(r->agent);
}

/* To what is in force, for addresses that it does not know. */
static int add_closing(struct bh_reconcile *r, const struct bh_nft_state *state, struct bh_err *err)
{
	bh_auto(bh_deltas_free) struct bh_deltas deltas = { 0 };

	/* Of a part of the world, it says nothing by leaving a pod open that it knows. */
	size_t n_known = bh_nft_state_has_set(state, PART_MARK) ? 0 : BH_ARRAY_LEN(local_sets);

	deltas.of[BH_TABLE_INET] = bh_nft_diff_closing(state, bh_compiler_plan(r->agent->compiler),
						       local_sets, n_known);

	return bh_deltas_are_empty(&deltas) ? 0 : commit(r, &deltas, NULL, err);
}

static void note_hold(struct bh_reconcile *r, uint64_t took_ns)
{
	uint64_t pause_ms = HOLD_PAUSE_FACTOR * took_ns / BH_NS_PER_MS;

	uv_update_time(r->agent->loop);
	r->hold_ms = uv_now(r->agent->loop) +
		     (pause_ms > MIN_HOLD_PAUSE_MS ? pause_ms : MIN_HOLD_PAUSE_MS);
}

/* What is in force is left as it is, and added to where that closes. */
static void use_held(struct bh_reconcile *r)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	uint64_t start_ns = bh_mono_ns(), now = uv_now(r->agent->loop);
	struct bh_err err = { 0 };
	int e;

	if (now < r->hold_ms) {
		arm(r, r->hold_ms - now);
		return;
	}
	r->n_read_backs++;
	e = bh_nft_read(r->agent->nft, BH_TABLE_INET, &state, &err);
	if (e == 0 && !bh_nft_state_is_in_force(state)) {
		r->stage = BH_STAGE_PART;
		follow(r);
		return;
	}
	if (e == 0) {
		hold(r);
		e = add_closing(r, state, &err);
	}
	note_hold(r, bh_mono_ns() - start_ns);
	if (e < 0) {
		fail(r, &err);
	} else {
		r->trouble[0] = '\0';
		r->backoff_ms = 0;
	}
}

static void use_part(struct bh_reconcile *r)
{
	switch (r->stage) {
	case BH_STAGE_GRACE: return;
	case BH_STAGE_FOUND:
	case BH_STAGE_HELD: use_held(r); return;
	case BH_STAGE_PART: follow(r); return;
	case BH_STAGE_WHOLE: return;
	}
	abort();
}

/* What a part of the world would have cut, wrongly perhaps, was not. */
static void revoke_now(struct bh_reconcile *r)
{
	bh_revoker_touch_all(&r->agent->revoker);
	bh_revoker_commit(&r->agent->revoker);
}

static void on_trust(uv_timer_t *timer)
{
	struct bh_reconcile *r = bh_container_of(timer, struct bh_reconcile, grace);

	r->is_part_trusted = true;
	revoke_now(r);
}

static void on_grace(uv_timer_t *timer)
{
	struct bh_reconcile *r = bh_container_of(timer, struct bh_reconcile, grace);

	if (r->stage == BH_STAGE_GRACE)
		r->stage = BH_STAGE_FOUND;
	run_job(r);
	if (r->stage == BH_STAGE_PART)
		uv_timer_start(&r->grace, on_trust, TRUST_PART_MS, 0);
}

bool bh_reconcile_may_revoke(const struct bh_reconcile *r)
{
	return r->stage == BH_STAGE_WHOLE || (r->stage == BH_STAGE_PART && r->is_part_trusted);
}

bool bh_reconcile_is_in_force(const struct bh_reconcile *r)
{
	return r->is_adopted || r->stage == BH_STAGE_HELD;
}

/* --- the job --------------------------------------------------------------------------- */

/* What this node adds to pods that came is in the same commit. */
static void follow_ports(struct bh_reconcile *r)
{
	bh_sources_follow(&r->agent->sources);
	bh_quarantines_follow(&r->agent->quarantines);
	r->is_armed = false;
	uv_timer_stop(&r->job);
}

/* Pods that waited for their rules have them with this commit. */
static void update_tables(struct bh_reconcile *r)
{
	const struct bh_compiler *c = r->agent->compiler;
	bool was_waiting = bh_compiler_is_waiting(c);

	bh_tables_update(r->agent);
	if (was_waiting && !bh_compiler_is_waiting(c))
		bh_revoker_touch_all(&r->agent->revoker);
}

static void follow_world(struct bh_reconcile *r)
{
	struct bh_agent *a = r->agent;
	bool was_part = r->stage == BH_STAGE_PART;

	r->last_job_ms = uv_now(a->loop);
	follow_ports(r);
	/* Also while sources are waited for: the world keeps what was until it is settled. */
	bh_pass_note(&r->pass, a);
	r->has_new_links = false;
	update_tables(r);
	bh_pass_note_closed(&r->pass, a);
	if (!bh_sources_are_usable(&a->sources)) {
		use_part(r);
		return;
	}
	if (r->stage != BH_STAGE_WHOLE)
		uv_timer_stop(&r->grace);
	r->stage = BH_STAGE_WHOLE;
	follow(r);
	if (was_part)
		revoke_now(r);
}

/* What came meanwhile is heard first, and files that changed are read. */
static void go_on_soon(struct bh_reconcile *r)
{
	struct bh_manifest *m = r->agent->sources.manifest;

	uv_update_time(r->agent->loop);
	arm(r, m && bh_manifest_is_behind(m) ? MANIFEST_MS : 0);
}

static void run_job(struct bh_reconcile *r)
{
	follow_world(r);
	if (bh_compiler_is_waiting(r->agent->compiler) && !r->is_armed)
		go_on_soon(r);
}

/* Somebody else's change to our table; the plan is what it was. */
static void repair(struct bh_reconcile *r, const struct culprit *by)
{
	bh_auto(bh_deltas_free) struct bh_deltas deltas = { 0 };
	struct bh_err err = { 0 };
	uint64_t n_tampers = r->n_tampers;
	int e;

	if (!r->is_adopted) {
		/* Whatever was found in force may be gone. */
		bh_reconcile_defer(r, false);
		return;
	}
	e = push(r, by, &deltas, &err);
	bh_deltas_free(&deltas);
	if (e == 0 && n_tampers == r->n_tampers && !r->is_doubtful) {
		/* Changed and changed back, or a notification lost without a change. */
		note_ruleset(r);
		return;
	}
	finish(r, e, &err);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct bh_reconcile *r = bh_container_of(poll, struct bh_reconcile, watch);
	struct culprit by = { .program = "" };

	bool is_changed = drain_watch(r, &by);

	(void)events;
	/* libuv stops at an error, which a loss is. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_watch);
	if (is_changed)
		repair(r, &by);
}

void bh_reconcile_audit(struct bh_reconcile *r)
{
	struct culprit by = { .program = "" };
	uint32_t id;

	if (!r->is_adopted || bh_reconcile_has_trouble(r))
		return;
	/* Any writer in this network namespace moves it, mostly in tables of its own. */
	if (bh_nft_generation(r->agent->nft, &id, NULL) == 0 && id == r->ruleset_id)
		return;
	repair(r, &by);
}

/* Every table of ours has it. */
static const char first_map[] = "in4";

static void on_key(void *ctx, const uint8_t *key)
{
	(void)ctx;
	(void)key;
}

int bh_reconcile_start(struct bh_reconcile *r, struct bh_agent *agent, struct bh_err *err)
{
	int e;

	*r = (struct bh_reconcile){ .agent = agent };
	if (bh_nft_list_keys(first_map, 4, on_key, NULL, NULL) == -ENOENT)
		bh_compiler_set_load(agent->compiler, LOAD_US);
	uv_timer_init(agent->loop, &r->job);
	uv_timer_init(agent->loop, &r->grace);
	uv_timer_start(&r->grace, on_grace, GRACE_MS, 0);
	e = uv_poll_init(agent->loop, &r->watch, bh_nft_watch_fd(agent->nft));
	if (e < 0)
		return bh_err(err, e, "cannot watch nftables: %s", uv_strerror(e));
	uv_poll_start(&r->watch, UV_READABLE, on_watch);
	return 0;
}

void bh_reconcile_stop(struct bh_reconcile *r)
{
	bh_close_handle((uv_handle_t *)&r->job);
	bh_close_handle((uv_handle_t *)&r->grace);
	bh_close_handle((uv_handle_t *)&r->watch);
	bh_pass_done(&r->pass);
}
