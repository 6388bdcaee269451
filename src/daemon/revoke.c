/*
 * A pass touches addresses: those of pods that came, went or changed, or all
 * when policies or namespaces did.  After the commit one walk over conntrack
 * judges every connection that has a touched address at either end by the
 * evaluator, with the source before SNAT and the destination after DNAT, and
 * cuts what the rules of this node deny; those of the other end's node are its own
 * affair.  Its next packet is then judged as new by the rules that
 * are in the kernel already, so whatever was wrongly cut comes back.
 *
 * Walks cost time in proportion to the table, entries or not; they are merged, and
 * none is left out.  Those that judge take a twentieth of the time at most; those
 * that forget, which come with the end of a pod of this node, do not wait for that.
 */
#include "revoke.h"

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"
#include "bh/log.h"
#include "handle.h"

/*
 * From one walk's end to the next one's begin: 20 times what it took, within these.
 * The least where an address was forgotten: a client that takes a port again would be
 * led to the pod that is gone, as long as conntrack remembers their last connection.
 */
#define MIN_PAUSE_MS 100
#define MAX_PAUSE_MS 2000
#define MAX_RETRIES  5

struct bh_touched {
	struct bh_addr addr;
	bool is_forgotten;
	UT_hash_handle hh;
};

static void clear(struct bh_revoker *rv)
{
	struct bh_touched *t, *next;

	HASH_ITER (hh, rv->touched, t, next) {
		HASH_DEL(rv->touched, t);
		free(t);
	}
	rv->is_all = false;
	rv->is_due = false;
	rv->has_forgotten = false;
}

static struct bh_touched *find(const struct bh_revoker *rv, const struct bh_addr *a)
{
	struct bh_touched *t;

	HASH_FIND(hh, rv->touched, a, sizeof(*a), t);
	return t;
}

static bool is_local(const struct bh_agent *a, const struct bh_addr *addr)
{
	const struct bh_pod *pod = bh_world_pod_by_addr(a->world, addr);

	return pod && pod->is_local;
}

static enum bh_conn_fate judge(void *ctx, const struct bh_conn *conn)
{
	const struct bh_revoker *rv = ctx;
	const struct bh_touched *src = find(rv, &conn->src), *dst = find(rv, &conn->dst);
	/* What is not judged stays as it is; a block is what a cut left. */
	enum bh_conn_fate unchanged = conn->is_block ? BH_CONN_CUT : BH_CONN_KEEP;
	struct bh_result result;
	struct bh_flow flow;

	if ((src && src->is_forgotten) || (dst && dst->is_forgotten))
		return BH_CONN_FORGET;
	/* What is still to be told may allow it. */
	if (!bh_reconcile_may_revoke(&rv->agent->reconcile))
		return unchanged;
	if (!rv->is_all && !src && !dst)
		return unchanged;
	if (!is_local(rv->agent, &conn->src) && !is_local(rv->agent, &conn->dst))
		return BH_CONN_KEEP;

	flow = (struct bh_flow){
		.src = conn->src,
		.dst = conn->dst,
		.protocol = conn->protocol,
		.dst_port = conn->dst_port,
	};
	bh_eval(rv->agent->world, &flow, &result);
	return result.here == BH_VERDICT_DENIED ? BH_CONN_CUT : BH_CONN_KEEP;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct bh_revoker *rv, uint64_t delay_ms)
{
	uv_timer_start(&rv->timer, on_timer, delay_ms, 0);
}

/* After a walk that took so long. */
static void note_walk(struct bh_revoker *rv, uint64_t walk_ns)
{
	uint64_t pause_ms = 20 * walk_ns / BH_NS_PER_MS;

	if (pause_ms < MIN_PAUSE_MS)
		pause_ms = MIN_PAUSE_MS;
	if (pause_ms > MAX_PAUSE_MS)
		pause_ms = MAX_PAUSE_MS;
	uv_update_time(rv->agent->loop);
	rv->last_walk_ms = uv_now(rv->agent->loop);
	rv->pause_ms = pause_ms;
}

static void walk(struct bh_revoker *rv)
{
	uint64_t start_ns = bh_mono_ns();
	struct bh_err err = { 0 };
	size_t n_cut = 0;
	int r;

	/* What was touched and is not in the kernel yet waits for its commit. */
	if (!rv->is_due || bh_reconcile_has_trouble(&rv->agent->reconcile))
		return;
	rv->n_walks++;
	r = bh_conntrack_walk(judge, rv, &n_cut, &err);
	note_walk(rv, bh_mono_ns() - start_ns);
	rv->n_revoked += n_cut;
	if (n_cut > 0)
		bh_log_info("cut %zu connections that policy no longer allows", n_cut);
	if (r < 0 && rv->n_retries < MAX_RETRIES) {
		rv->n_retries++;
		arm(rv, MIN_PAUSE_MS);
		return;
	}
	if (r < 0) {
		rv->n_failed++;
		bh_log_error("%s: connections that policy no longer allows may live on",
			     bh_err_text(&err));
	}
	rv->n_retries = 0;
	clear(rv);
}

static void on_timer(uv_timer_t *timer)
{
	walk(bh_container_of(timer, struct bh_revoker, timer));
}

void bh_revoker_init(struct bh_revoker *rv, struct bh_agent *agent)
{
	*rv = (struct bh_revoker){ .agent = agent };
	uv_timer_init(agent->loop, &rv->timer);
}

void bh_revoker_stop(struct bh_revoker *rv)
{
	bh_close_handle((uv_handle_t *)&rv->timer);
	clear(rv);
}

static struct bh_touched *touch(struct bh_revoker *rv, const struct bh_addr *a)
{
	struct bh_touched *t = find(rv, a);

	if (t)
		return t;
	t = bh_calloc(1, sizeof(*t));
	t->addr = *a;
	HASH_ADD(hh, rv->touched, addr, sizeof(t->addr), t);
	return t;
}

void bh_revoker_touch(struct bh_revoker *rv, const struct bh_addr *a)
{
	if (rv->agent->config->is_revoking)
		touch(rv, a);
}

/* Also with --revoke no: those connections were never the new owner's. */
void bh_revoker_forget(struct bh_revoker *rv, const struct bh_addr *a)
{
	touch(rv, a)->is_forgotten = true;
	rv->has_forgotten = true;
}

void bh_revoker_touch_all(struct bh_revoker *rv)
{
	if (rv->agent->config->is_revoking)
		rv->is_all = true;
}

void bh_revoker_spare(struct bh_revoker *rv)
{
	struct bh_touched *t, *next;

	/* A walk that is due for an earlier commit looks at a few more, and no harm. */
	if (rv->is_due)
		return;
	rv->is_all = false;
	HASH_ITER (hh, rv->touched, t, next) {
		if (t->is_forgotten)
			continue;
		HASH_DEL(rv->touched, t);
		free(t);
	}
}

void bh_revoker_commit(struct bh_revoker *rv)
{
	uint64_t now = uv_now(rv->agent->loop), next;

	if (!rv->is_all && !rv->touched)
		return;
	rv->is_due = true;
	next = rv->last_walk_ms + (rv->has_forgotten ? MIN_PAUSE_MS : rv->pause_ms);
	if (rv->n_walks == 0 || now >= next)
		walk(rv);
	else
		arm(rv, next - now);
}
