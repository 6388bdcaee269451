/*
 * The kernel counts every denied packet (named counters) and logs those that its
 * rate limit lets through; NFLOG hands these over, or loses them; the flow log
 * records, aggregates or suppresses what came.  The books balance these figures.
 * The base of the counters is read before the NFLOG group is bound, so that a
 * packet denied in between counts as lost rather than not at all.
 */
#include "packets.h"

#include <errno.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/compile.h"
#include "bh/log.h"
#include "bh/object.h"
#include "handle.h"

#define TICK_MS 1000
/* Longer than the interval of repeats: the last of them has been written. */
#define QUIET_MS 15000
/* Packets take a moment from the kernel's counter to us (its own batching). */
#define SETTLE_NS (2 * BH_NS_PER_S)
/* Reads in one go for exact figures; under a flood they are not exact anyway. */
#define MAX_DRAIN 256

static void on_tick(uv_timer_t *timer);

static void wake(struct bh_packets *p)
{
	p->quiet_since_ms = uv_now(p->agent->loop);
	if (p->is_ticking)
		return;
	p->is_ticking = true;
	uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
}

static void on_packet(void *ctx, const struct bh_nflog_msg *msg)
{
	struct bh_packets *p = ctx;

	bh_flowlog_packet(p->agent->flowlog, msg, bh_real_ns());
	wake(p);
}

static void on_lost(void *ctx, uint32_t n)
{
	struct bh_packets *p = ctx;

	bh_flowlog_lost(p->agent->flowlog, n, "nflog-sequence", bh_real_ns());
	wake(p);
}

/* How many shows by the next packet's sequence number. */
static void on_overrun(void *ctx)
{
	wake(ctx);
}

static int read_once(struct bh_packets *p)
{
	const struct bh_nflog_handler handler = {
		.ctx = p,
		.on_packet = on_packet,
		.on_lost = on_lost,
		.on_overrun = on_overrun,
	};

	return bh_nflog_read(p->nflog, &handler, NULL);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	(void)events;
	read_once(bh_container_of(poll, struct bh_packets, poll));
	/* libuv stops at an error, which a loss is. */
	if (status < 0)
		uv_poll_start(poll, UV_READABLE, on_readable);
}

static void follow(struct bh_counter_base *c, uint64_t value)
{
	if (!c->is_known)
		c->is_known = true;
	else
		c->total += value >= c->last ? value - c->last : value;
	c->last = value;
}

static int read_counters(struct bh_packets *p, struct bh_err *err)
{
	const struct {
		const char *name;
		struct bh_counter_base *base;
	} t[] = {
		{ BH_COUNTER_DENIED, &p->denied[BH_CLASS_DENIED] },
		{ BH_COUNTER_LOGGED, &p->logged[BH_CLASS_DENIED] },
		{ BH_COUNTER_AUDIT, &p->denied[BH_CLASS_AUDIT] },
		{ BH_COUNTER_AUDIT_LOGGED, &p->logged[BH_CLASS_AUDIT] },
		{ BH_COUNTER_NO_POD, &p->no_pod },
	};
	bh_auto_free struct bh_nft_counter *counters = NULL;
	size_t n = 0;
	int r = bh_nft_counters(p->agent->nft, &counters, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		uint64_t value = 0; /* no table yet */

		for (size_t k = 0; k < n; k++)
			if (counters[k].table == BH_TABLE_INET &&
			    strcmp(counters[k].name, t[i].name) == 0)
				value += counters[k].packets;
		follow(t[i].base, value);
	}
	return 0;
}

static uint64_t at_least(uint64_t v, uint64_t min)
{
	return v > min ? v : min;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static void balance(const struct bh_packets *p, const struct bh_flowlog_stats *s,
		    enum bh_verdict_class c, struct bh_account *ret)
{
	uint64_t logged = at_least(p->logged[c].total, s->of[c].received);
	uint64_t denied = at_least(p->denied[c].total, logged);
	uint64_t missing = logged - s->of[c].received;
	uint64_t lost = minus(p->settled[c], s->of[c].received);

	/* Gaps in the sequence prove a loss at once; they are not told apart by book. */
	if (lost < s->lost)
		lost = s->lost;
	if (lost > missing)
		lost = missing;
	*ret = (struct bh_account){
		.denied = denied,
		.logged = logged,
		.recorded = s->of[c].recorded,
		.suppressed = denied - logged + s->of[c].suppressed,
		.pending = s->of[c].pending,
		.lost = lost,
		.in_flight = missing - lost,
	};
}

static void take_sample(struct bh_packets *p)
{
	uint64_t now = bh_mono_ns();

	if (now - p->sample_ns < SETTLE_NS)
		return;
	for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++) {
		p->settled[c] = p->sample[c];
		p->sample[c] = p->logged[c].total;
	}
	p->sample_ns = now;
}

void bh_packets_account(struct bh_packets *p, struct bh_account ret[BH_CLASS_COUNT_])
{
	struct bh_flowlog_stats stats;

	/* Counters first: what is received by then is never more than they say. */
	(void)read_counters(p, NULL);
	for (int i = 0; i < MAX_DRAIN && read_once(p) >= 0; i++)
		;
	take_sample(p);
	stats = bh_flowlog_stats(p->agent->flowlog);
	for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++)
		balance(p, &stats, c, &ret[c]);
}

/*
 * Packets over the kernel's limit never come here; the counters tell how many.
 * Two counters are not read at one instant, so only what two looks agree on is
 * told, until the packets have stopped.
 */
static void tell_limited(struct bh_packets *p, bool is_at_rest)
{
	for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++) {
		uint64_t now = minus(p->denied[c].total, p->logged[c].total);
		uint64_t sure = is_at_rest || now < p->limited_seen[c] ? now : p->limited_seen[c];
		uint64_t n = minus(sure, p->limited_told[c]);

		p->limited_seen[c] = now;
		if (n == 0)
			continue;
		p->limited_told[c] += n;
		bh_flowlog_event(p->agent->flowlog,
				 &(struct bh_record){ .kind = BH_RECORD_GAP,
						      .gap = { .reason = "kernel-rate-limit",
							       .lost = n,
							       .has_class = true,
							       .class = c } },
				 bh_real_ns());
	}
}

/* Said once, until it is over. */
static void watch_file(struct bh_packets *p)
{
	struct bh_flowfile_stats stats;

	if (!p->file)
		return;
	stats = bh_flowfile_stats(p->file);
	if (stats.trouble && !p->has_file_trouble)
		bh_log_error("flow log: %s, leaving records out", stats.trouble);
	p->has_file_trouble = stats.trouble != NULL;
}

static void on_tick(uv_timer_t *timer)
{
	struct bh_packets *p = bh_container_of(timer, struct bh_packets, tick);
	struct bh_account books[BH_CLASS_COUNT_];
	struct bh_flowlog_stats stats;
	uint64_t n_pending = 0;

	bh_flowlog_tick(p->agent->flowlog, bh_real_ns());
	watch_file(p);
	bh_packets_account(p, books);
	stats = bh_flowlog_stats(p->agent->flowlog);
	for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++)
		n_pending += stats.of[c].pending;
	if (n_pending > 0 || uv_now(p->agent->loop) < p->quiet_since_ms + QUIET_MS) {
		tell_limited(p, false);
		return;
	}
	/* Nothing to do any more, so no wake-ups. */
	tell_limited(p, true);
	uv_timer_stop(timer);
	p->is_ticking = false;
}

static json_t *account_json(const struct bh_account *a)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "denied", (json_int_t)a->denied,
			 "logged", (json_int_t)a->logged, "suppressed", (json_int_t)a->suppressed,
			 "lost", (json_int_t)a->lost, "recorded", (json_int_t)a->recorded,
			 "pending", (json_int_t)a->pending, "in_flight", (json_int_t)a->in_flight);
}

json_t *bh_packets_json(struct bh_packets *p)
{
	struct bh_account books[BH_CLASS_COUNT_];
	json_t *denied;

	bh_packets_account(p, books);
	denied = account_json(&books[BH_CLASS_DENIED]);
	json_object_set_new(denied, "audit", account_json(&books[BH_CLASS_AUDIT]));
	return denied;
}

uint64_t bh_packets_no_pod(const struct bh_packets *p)
{
	return p->no_pod.total;
}

json_t *bh_packets_file_json(const struct bh_packets *p)
{
	struct bh_flowfile_stats s;

	if (!p->file)
		return json_null();
	s = bh_flowfile_stats(p->file);
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:s?}", "file",
			 bh_text_json(p->agent->config->flow_log), "bytes", (json_int_t)s.bytes,
			 "rotations", (json_int_t)s.rotations, "left_out_by_rate",
			 (json_int_t)s.left_out_rate, "left_out_by_size",
			 (json_int_t)s.left_out_size, "trouble", s.trouble);
}

static int open_file(struct bh_packets *p, const char *path, struct bh_err *err)
{
	const struct bh_config *c = p->agent->config;
	const struct bh_flowfile_limits limits = {
		.max_bytes = c->flow_log_max_size,
		.bytes_per_s = c->flow_log_rate,
		.keep = c->flow_log_keep,
	};
	struct bh_flowlog_subscriber s;
	int r;

	if (!path)
		return 0;
	r = bh_flowfile_new(&p->file, path, err);
	if (r < 0)
		return bh_err_wrap(err, r, "--flow-log");
	bh_flowfile_limit(p->file, &limits);
	s = bh_flowfile_subscriber(p->file);
	bh_flowlog_subscribe(p->agent->flowlog, &s);
	return 0;
}

int bh_packets_start(struct bh_packets *p, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_nflog_config config = {
		.group = agent->config->nflog_group,
		.copy_len = BH_LOG_SNAPLEN,
	};
	int r;

	*p = (struct bh_packets){ .agent = agent };
	uv_timer_init(agent->loop, &p->tick);
	r = open_file(p, agent->config->flow_log, err);
	if (r < 0)
		return r;
	r = read_counters(p, err);
	if (r < 0)
		return bh_err_wrap(err, r, "cannot read counters");
	r = bh_nflog_new(&p->nflog, &config, err);
	if (r < 0)
		return bh_err_wrap(err, r, "--nflog-group %u", config.group);
	r = uv_poll_init(agent->loop, &p->poll, bh_nflog_fd(p->nflog));
	if (r < 0)
		return bh_err(err, r, "cannot watch NFLOG: %s", uv_strerror(r));
	uv_poll_start(&p->poll, UV_READABLE, on_readable);
	return 0;
}

void bh_packets_stop(struct bh_packets *p)
{
	for (int i = 0; p->nflog && i < MAX_DRAIN && read_once(p) >= 0; i++)
		;
	bh_close_handle((uv_handle_t *)&p->poll);
	bh_close_handle((uv_handle_t *)&p->tick);
	if (p->nflog && read_counters(p, NULL) == 0)
		tell_limited(p, true);
	if (p->agent)
		bh_flowlog_flush(p->agent->flowlog, bh_real_ns());
}

int bh_packets_reopen(struct bh_packets *p, struct bh_err *err)
{
	bh_flowlog_flush(p->agent->flowlog, bh_real_ns());
	return p->file ? bh_flowfile_reopen(p->file, err) : 0;
}
