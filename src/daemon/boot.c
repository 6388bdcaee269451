/*
 * The last rules on disk.
 *
 * After commits of a whole world the agent writes its table as the messages that
 * make it (bh_nft_save()), at most every few seconds, in a process of its own.
 * `bulkheadd --boot` sends them before there is a network, and waits for nothing.
 * The agent that comes later finds a table in force, which it holds until its
 * sources are in sync (reconcile.c).  Where nothing was saved, or what was is
 * refused, the ranges of --closed-until-known are closed, if they can be found.
 *
 * A pod's address may be another pod's after the machine's start.  One that policy
 * isolates in both directions stays judged by the rules that it had.  One that is
 * open in a direction is left out of the pods that are known: the agent may then
 * close it by what it knows first, and with closed-until-known it is closed.
 */
#include "boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "caps.h"
#include "handle.h"
#include "sealed.h"

#define FILE_NAME "boot.rules"
#define FORMAT    "bulkhead-boot-rules"
#define VERSION   1
#define MAX_BYTES ((size_t)512 << 20)
#define MAX_HEAD  4096

#define FIRST_WRITE_MS 1000
#define MIN_PAUSE_MS   10000
/* Times what the last write took. */
#define PAUSE_FACTOR 50

static char *path_in(const char *state)
{
	return bh_asprintf("%s/" FILE_NAME, state);
}

/* --- writing ----------------------------------------------------------------------------- */

struct known {
	const struct bh_plan *plan;
	const struct bh_plan_set *local[BH_FAMILY_COUNT_];
};

static bool is_in(const struct bh_plan *plan, const char *map, const struct bh_elem *elem)
{
	const struct bh_plan_set *set = bh_plan_set(plan, map);

	return set && bh_plan_has(set, elem);
}

/* Of the addresses of this node's pods, those that are judged in both directions. */
static bool is_kept(void *ctx, const struct bh_plan_set *set, const struct bh_elem *elem)
{
	static const char *const maps[BH_FAMILY_COUNT_][BH_DIR_COUNT_] = { { "in4", "eg4" },
									   { "in6", "eg6" } };
	const struct known *k = ctx;

	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++) {
		if (set == k->local[f])
			return is_in(k->plan, maps[f][BH_INGRESS], elem) &&
			       is_in(k->plan, maps[f][BH_EGRESS], elem);
	}
	return true;
}

static int write_rules(void *ctx, struct bh_err *err)
{
	static const char *const local[BH_FAMILY_COUNT_] = BH_LOCAL_SETS;
	struct bh_boot *b = ctx;
	struct known known = { .plan = bh_compiler_plan(b->agent->compiler) };
	const struct bh_save_filter filter = { .is_kept = is_kept, .ctx = &known };
	bh_auto(bh_buf_done) struct bh_buf body = { 0 };
	json_t *head =
		json_pack("{s:s, s:i, s:s, s:I, s:I}", "format", FORMAT, "version", VERSION, "node",
			  b->agent->config->node_name, "time", (json_int_t)bh_real_ns(),
			  "quarantines", (json_int_t)bh_quarantines_kept(&b->agent->quarantines));
	int r;

	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_; f++)
		known.local[f] = bh_plan_set(known.plan, local[f]);
	bh_nft_save(b->agent->nft, known.plan, &filter, &body);
	r = bh_sealed_write(b->path, head, &body, err);
	json_decref(head);
	return r;
}

/* The kernel has the plan, and the plan is of a whole world. */
static bool may_write(const struct bh_boot *b)
{
	const struct bh_agent *a = b->agent;

	return a->reconcile.stage == BH_STAGE_WHOLE && a->reconcile.is_adopted &&
	       !bh_reconcile_has_trouble(&a->reconcile) &&
	       !bh_plan_is_dirty(bh_compiler_plan(a->compiler));
}

static void on_timer(uv_timer_t *timer);

static void arm(struct bh_boot *b)
{
	uint64_t now = uv_now(b->agent->loop), next = now + FIRST_WRITE_MS;

	if (bh_child_is_running(&b->child) || uv_is_active((uv_handle_t *)&b->timer))
		return;
	if (b->next_ms > next)
		next = b->next_ms;
	uv_timer_start(&b->timer, on_timer, next - now, 0);
}

static void count(struct bh_boot *b, const char *error)
{
	if (!error) {
		b->n_writes++;
		return;
	}
	b->n_failures++;
	b->is_changed = true;
	bh_log_error("%s: after a restart of this machine, older rules would be loaded", error);
}

static void on_written(void *ctx, const char *error)
{
	struct bh_boot *b = ctx;
	uint64_t now = uv_now(b->agent->loop), pause = PAUSE_FACTOR * (now - b->start_ms);

	b->next_ms = now + (pause > MIN_PAUSE_MS ? pause : MIN_PAUSE_MS);
	count(b, error);
	/* Its handle is still to be closed. */
	if (b->is_changed && !b->agent->is_stopping)
		uv_timer_start(&b->timer, on_timer, b->next_ms - now, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_boot *b = bh_container_of(timer, struct bh_boot, timer);
	struct bh_err err = { 0 };

	if (!b->is_changed || !may_write(b))
		return;
	b->is_changed = false;
	b->start_ms = uv_now(b->agent->loop);
	b->saved_ns = bh_real_ns();
	if (bh_child_start(&b->child, b->agent->loop, write_rules, on_written, b, &err) < 0)
		on_written(b, bh_err_text(&err));
}

void bh_boot_note(struct bh_boot *b)
{
	if (!b->agent)
		return;
	b->is_changed = true;
	arm(b);
}

int bh_boot_start(struct bh_boot *b, struct bh_agent *agent, struct bh_err *err)
{
	int r;

	if (!agent->config->state)
		return 0;
	r = bh_state_make(agent->config->state, err);
	if (r < 0)
		return r;
	*b = (struct bh_boot){ .agent = agent, .path = path_in(agent->config->state) };
	uv_timer_init(agent->loop, &b->timer);
	return 0;
}

void bh_boot_stop(struct bh_boot *b)
{
	struct bh_err err = { 0 };

	if (!b->agent)
		return;
	if (bh_child_is_running(&b->child))
		b->is_changed = true;
	bh_child_stop(&b->child);
	if (b->is_changed && may_write(b) && write_rules(b, &err) < 0)
		bh_log_error("%s", bh_err_text(&err));
	bh_close_handle((uv_handle_t *)&b->timer);
	free(b->path);
	b->path = NULL;
}

json_t *bh_boot_json(const struct bh_boot *b)
{
	char time[BH_TIME_STRLEN];

	return json_pack("{s:s, s:s?, s:I, s:I}", "file", b->path, "time",
			 b->saved_ns > 0 ? bh_time_format(b->saved_ns, time) : NULL, "writes",
			 (json_int_t)b->n_writes, "failures", (json_int_t)b->n_failures);
}

/* --- loading -------------------------------------------------------------------------- */

/* Another machine's rules, as on the image of a disk, are not ours. */
static int check_head(json_t *head, const struct bh_config *config, uint64_t *ret_ns,
		      struct bh_err *err)
{
	const char *format = "", *node = "";
	json_int_t time = 0;
	int version = 0;

	(void)json_unpack(head, "{s:s, s:i, s:s, s:I}", "format", &format, "version", &version,
			  "node", &node, "time", &time);
	if (strcmp(format, FORMAT) != 0 || version != VERSION)
		return bh_err(err, -EPROTO, "is of another format or version");
	if (strcmp(node, config->node_name) != 0)
		return bh_err(err, -EPROTO, "is of node '%s', and this is '%s'", node,
			      config->node_name);
	*ret_ns = time > 0 ? (uint64_t)time : 0;
	return 0;
}

static int load_saved(struct bh_nft *nft, const struct bh_config *config, struct bh_err *err)
{
	bh_auto_free char *path = path_in(config->state);
	bh_auto(bh_buf_done) struct bh_buf body = { 0 };
	char text[BH_TIME_STRLEN];
	json_t *head = NULL;
	uint64_t ns = 0;
	int r = bh_sealed_read(path, MAX_BYTES, &head, &body, err);

	if (r < 0)
		return r;
	r = check_head(head, config, &ns, err);
	json_decref(head);
	if (r == 0)
		r = bh_nft_load(nft, &body, err);
	if (r < 0)
		return bh_err_wrap(err, r, "'%s'", path);
	bh_log_info("loaded the rules of %s", bh_time_format(ns, text));
	return 0;
}

size_t bh_boot_quarantines(const struct bh_config *config)
{
	bh_auto_free char *path = config->state ? path_in(config->state) : NULL;
	bh_auto_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	char line[MAX_HEAD];
	ssize_t len = fd >= 0 ? read(fd, line, sizeof(line)) : 0;
	const char *end = len > 0 ? memchr(line, '\n', (size_t)len) : NULL;
	json_t *head = end ? json_loadb(line, (size_t)(end - line), 0, NULL) : NULL;
	json_int_t n = json_integer_value(json_object_get(head, "quarantines"));

	json_decref(head);
	return n > 0 ? (size_t)n : 0;
}

/* 1: rules are in force already.  What is there and does nothing makes room. */
static int look(struct bh_nft *nft, struct bh_err *err)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	int r = bh_nft_read(nft, BH_TABLE_INET, &state, err);

	if (r < 0)
		return r;
	if (bh_nft_state_is_in_force(state))
		return 1;
	return bh_nft_state_is_absent(state) ? 0 : bh_nft_cleanup(nft, err);
}

/* What --closed-until-known closes, as long as no pod is known. */
static int commit_skeleton(struct bh_nft *nft, const struct bh_config *config,
			   const struct bh_ranges *ranges, struct bh_err *err)
{
	const struct bh_world_config world = bh_world_config_of(config);
	struct bh_compile_config compile =
		bh_compile_config_of(config->nflog_group, config->log_rate);
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&world);
	bh_auto(bh_compiler_free) struct bh_compiler *c = NULL;
	bh_auto(bh_delta_free) struct bh_delta *delta = NULL;
	const struct bh_delta *deltas[1];
	int r;

	compile.closes_unknown = true;
	c = bh_compiler_new(w, &compile);
	bh_compiler_update(c);
	bh_compiler_close_unknown(c, ranges->items, ranges->n);
	r = bh_nft_read(nft, BH_TABLE_INET, &state, err);
	if (r < 0)
		return r;
	delta = bh_nft_diff(state, bh_compiler_plan(c));
	deltas[0] = delta;
	r = delta ? bh_nft_commit(nft, deltas, 1, NULL, err) : 0;
	/* It borrows from the compiler's plan. */
	bh_delta_free(&delta);
	return r;
}

/* 0 where something is closed, 1 where nothing is to be. */
static int load_skeleton(struct bh_nft *nft, const struct bh_config *config, struct bh_err *err)
{
	struct bh_ranges ranges = { 0 };
	int r = 1;

	bh_closed_at_boot(config, &ranges);
	if (ranges.n > 0)
		r = commit_skeleton(nft, config, &ranges, err);
	if (r == 0)
		bh_log_info("closed %zu ranges until pods are known", ranges.n);
	free(ranges.items);
	return r;
}

static int load_something(struct bh_nft *nft, const struct bh_config *config)
{
	struct bh_err err = { 0 }, second = { 0 };
	int r = config->state ? load_saved(nft, config, &err)
			      : bh_err(&err, -ENOENT, "option '--state' is missing");
	int left;

	if (r == 0)
		return 0;
	if (r != -ENOENT)
		bh_log_error("%s", bh_err_text(&err));
	/* A part of a table may have come in. */
	left = bh_nft_cleanup(nft, &second);
	if (left == 0)
		left = load_skeleton(nft, config, &second);
	if (left < 0)
		bh_log_error("%s", bh_err_text(&second));
	if (left != 0)
		bh_log_warning("nothing is loaded: %s", bh_err_text(&err));
	return r == -ENOENT && left >= 0 ? 0 : -EIO;
}

static int load(const struct bh_config *config, struct bh_err *err)
{
	bh_auto(bh_nft_free) struct bh_nft *nft = NULL;
	struct bh_seccomp seccomp;
	int r = bh_caps_check(err);

	if (r == 0)
		r = bh_caps_drop(err);
	if (r < 0)
		return r;
	bh_seccomp_start(&seccomp, config->seccomp);
	r = bh_nft_new(&nft, err);
	if (r == 0)
		r = look(nft, err);
	if (r < 0)
		return r;
	if (r > 0) {
		bh_log_info("rules are in force already, nothing is loaded");
		return 0;
	}
	return load_something(nft, config);
}

static void mend_bridges(void)
{
	bh_auto(bh_buf_done) struct bh_buf text = { 0 };

	if (bh_node_bridges(NULL, true, &text) != BH_BRIDGE_FILTERED)
		bh_log_warning("%s", bh_buf_str(&text));
}

int bh_boot_load(const struct bh_config *config)
{
	struct bh_err err = { 0 };
	int r = load(config, &err);

	mend_bridges();
	if (r < 0 && *bh_err_text(&err))
		bh_log_error("%s, nothing is loaded", bh_err_text(&err));
	return r == 0 ? BH_EXIT_OK : BH_EXIT_FAILED;
}
