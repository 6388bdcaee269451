/*
 * What the control socket answers, see bh/serve.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/render.h"
#include "explain.h"

static void answer(struct bh_reply *reply, json_t *data)
{
	if (bh_reply_data(reply, data) == 0)
		bh_reply_end(reply);
	else
		bh_reply_error(reply, -EIO, "the answer could not be sent");
}

static void fail(struct bh_reply *reply, int code, const struct bh_err *err)
{
	bh_reply_error(reply, code, bh_err_text(err));
}

static void on_status(void *ctx, const json_t *params, struct bh_reply *reply)
{
	(void)params;
	answer(reply, bh_status_json(ctx));
}

static void on_reload(void *ctx, const json_t *params, struct bh_reply *reply)
{
	bool accepts_empty = json_is_true(json_object_get(params, "accept_empty"));

	if (accepts_empty && !bh_reply_is_owner(reply)) {
		bh_reply_error(reply, -EACCES,
			       "only root may accept what is empty: it takes rules away");
		return;
	}
	bh_agent_reload(ctx, accepts_empty);
	answer(reply, json_object());
}

/* Only root cuts pods off, and only root lets them back. */
static void call_quarantine(struct bh_agent *a, const json_t *params, struct bh_reply *reply,
			    int (*call)(struct bh_quarantines *q, const json_t *params,
					unsigned int who, json_t **ret, struct bh_err *err))
{
	struct bh_err err = { 0 };
	json_t *data = NULL;
	int r;

	if (!bh_reply_is_owner(reply)) {
		bh_reply_error(reply, -EACCES, "only root may set or release a quarantine");
		return;
	}
	r = call(&a->quarantines, params, bh_reply_uid(reply), &data, &err);
	if (r < 0)
		fail(reply, r, &err);
	else
		answer(reply, data);
}

static void on_quarantine(void *ctx, const json_t *params, struct bh_reply *reply)
{
	call_quarantine(ctx, params, reply, bh_quarantines_set);
}

static void on_release(void *ctx, const json_t *params, struct bh_reply *reply)
{
	call_quarantine(ctx, params, reply, bh_quarantines_release);
}

static void on_render(void *ctx, const json_t *params, struct bh_reply *reply)
{
	const struct bh_agent *a = ctx;
	struct bh_buf text = { 0 };

	(void)params;
	bh_render(bh_compiler_plan(a->compiler), &text);
	answer(reply, json_pack("{s:s}", "nft", bh_buf_str(&text)));
	bh_buf_done(&text);
}

static void on_explain(void *ctx, const json_t *params, struct bh_reply *reply)
{
	struct bh_err err = { 0 };
	json_t *data = NULL;
	int r = bh_explain(ctx, params, &data, &err);

	if (r < 0)
		fail(reply, r, &err);
	else
		answer(reply, data);
}

/* --- flows ----------------------------------------------------------------------- */

/* One client; lives until its reply ends or the client goes. */
struct follower {
	struct bh_agent *agent;
	struct bh_reply *reply;
	int handle; /* of the subscription; -1 while there is none */
	bool is_broken;
	char *namespace, *pod, *verdict;
	struct bh_record_filter filter;
};

static void free_follower(struct follower *f)
{
	if (f->handle >= 0)
		bh_flowlog_unsubscribe(f->agent->flowlog, f->handle);
	free(f->namespace);
	free(f->pod);
	free(f->verdict);
	free(f);
}

static void on_follower_gone(void *ctx)
{
	free_follower(ctx);
}

/*
 * A client that is gone or reads too slowly has been told so by the server, which
 * calls on_follower_gone() in a later turn, outside the flow log's own walk.
 */
static void send_line(struct follower *f, const char *line)
{
	if (!f->is_broken)
		f->is_broken = bh_reply_text(f->reply, line) < 0;
}

static void on_recent(void *ctx, const struct bh_record *record)
{
	struct follower *f = ctx;
	bh_auto_free char *line = NULL;

	if (f->is_broken || !bh_record_matches(record, &f->filter))
		return;
	line = bh_record_line(record);
	send_line(f, line);
}

/* Unread records of a follower; beyond, it loses some and is told of it by a gap record. */
#define MAX_UNREAD (1u << 20)

static int on_live(void *ctx, const struct bh_record *record, const char *line)
{
	struct follower *f = ctx;

	if (f->is_broken || !bh_record_matches(record, &f->filter))
		return 0;
	if (bh_reply_unread(f->reply) > MAX_UNREAD)
		return -EAGAIN;
	send_line(f, line);
	return 0;
}

static char *string_param(const json_t *params, const char *key)
{
	const char *s = json_string_value(json_object_get(params, key));

	return s && *s ? bh_strdup(s) : NULL;
}

/* RFC 3339, or nanoseconds since 1970. */
static int read_since(const json_t *params, uint64_t *ret, struct bh_err *err)
{
	const json_t *since = json_object_get(params, "since");

	if (!since || json_is_null(since)) {
		*ret = 0;
		return 0;
	}
	if (json_is_integer(since) && json_integer_value(since) >= 0) {
		*ret = (uint64_t)json_integer_value(since);
		return 0;
	}
	if (json_is_string(since) && bh_time_parse(json_string_value(since), ret) == 0)
		return 0;
	return bh_err(err, -EINVAL, "'since' is neither a time (RFC 3339) nor nanoseconds");
}

static void on_flows(void *ctx, const json_t *params, struct bh_reply *reply)
{
	struct follower *f;
	struct bh_err err = { 0 };
	uint64_t since_ns;
	int r = read_since(params, &since_ns, &err);

	if (r < 0) {
		fail(reply, r, &err);
		return;
	}
	f = bh_calloc(1, sizeof(*f));
	f->agent = ctx;
	f->reply = reply;
	f->handle = -1;
	f->namespace = string_param(params, "namespace");
	f->pod = string_param(params, "pod");
	f->verdict = string_param(params, "verdict");
	f->filter = (struct bh_record_filter){
		.namespace = f->namespace,
		.pod = f->pod,
		.verdict = f->verdict,
		.since_ns = since_ns,
	};
	bh_reply_on_close(reply, on_follower_gone, f);

	bh_flowlog_recent(f->agent->flowlog, on_recent, f);
	if (f->is_broken)
		return;
	if (!json_is_true(json_object_get(params, "follow"))) {
		bh_reply_end(reply);
		free_follower(f);
		return;
	}
	f->handle = bh_flowlog_subscribe(f->agent->flowlog, &(struct bh_flowlog_subscriber){
								    .ctx = f,
								    .on_record = on_live,
							    });
}

const struct bh_control_method bh_methods[] = {
	{ .name = "status", .on_call = on_status },
	{ .name = "explain", .on_call = on_explain },
	{ .name = "flows", .on_call = on_flows },
	{ .name = "render", .on_call = on_render },
	{ .name = "reload", .on_call = on_reload },
	{ .name = "quarantine", .on_call = on_quarantine },
	{ .name = "release", .on_call = on_release },
	{ .name = NULL },
};
