/*
 * What the control socket answers, see bh/serve.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/packet.h"
#include "bh/render.h"

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

/* --- explain --------------------------------------------------------------------- */

/* One end of the question: a pod with several addresses, a node, or one address. */
struct end {
	const char *text;
	const struct bh_pod *pod;
	const struct bh_addr *addrs;
	size_t n_addrs;
	struct bh_addr single;
};

static int find_end(const struct bh_agent *a, const json_t *params, const char *key,
		    struct end *ret, struct bh_err *err)
{
	const char *text = json_string_value(json_object_get(params, key));
	bh_auto_free char *namespace = NULL;
	const char *slash;

	if (!text || !*text)
		return bh_err(err, -EINVAL, "'%s' is missing", key);
	*ret = (struct end){ .text = text };
	if (strncmp(text, "node:", 5) == 0) {
		const struct bh_node *node = bh_world_node(a->world, text + 5);

		if (!node)
			return bh_err(err, -ENOENT, "no node '%s' is known", text + 5);
		ret->addrs = node->addrs;
		ret->n_addrs = node->n_addrs;
		return 0;
	}
	slash = strchr(text, '/');
	if (slash) {
		namespace = bh_strndup(text, (size_t)(slash - text));
		ret->pod = bh_world_pod_by_name(a->world, namespace, slash + 1);
		if (!ret->pod)
			return bh_err(err, -ENOENT, "no pod '%s' is known", text);
		ret->addrs = ret->pod->addrs;
		ret->n_addrs = ret->pod->n_addrs;
		return 0;
	}
	if (bh_addr_parse(text, &ret->single, NULL) < 0)
		return bh_err(err, -EINVAL,
			      "'%s' is neither NAMESPACE/POD, an address nor node:NAME", text);
	ret->addrs = &ret->single;
	ret->n_addrs = 1;
	return 0;
}

/* The first pair that packets can have: one family, and both of a link or neither. */
static int choose_addrs(const struct end *src, const struct end *dst, struct bh_flow *flow,
			struct bh_err *err)
{
	for (size_t i = 0; i < src->n_addrs; i++) {
		for (size_t k = 0; k < dst->n_addrs; k++) {
			if (src->addrs[i].family != dst->addrs[k].family ||
			    bh_addr_is_link_local(&src->addrs[i]) !=
				    bh_addr_is_link_local(&dst->addrs[k]))
				continue;
			flow->src = src->addrs[i];
			flow->dst = dst->addrs[k];
			return 0;
		}
	}
	if (src->n_addrs == 0 || dst->n_addrs == 0)
		return bh_err(
			err, -EADDRNOTAVAIL,
			"%s has no address of its own (host network, finished, or not started)",
			src->n_addrs == 0 ? src->text : dst->text);
	return bh_err(err, -EAFNOSUPPORT, "%s and %s have no address family in common", src->text,
		      dst->text);
}

static bool has_dst_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static int read_service(const json_t *params, struct bh_flow *flow, struct bh_err *err)
{
	const char *protocol = json_string_value(json_object_get(params, "protocol"));
	const json_t *port = json_object_get(params, "port");
	json_int_t number = json_integer_value(port);

	if (bh_protocol_parse(protocol ? protocol : "TCP", &flow->protocol) < 0)
		return bh_err(err, -EINVAL, "'%s' is not a protocol", protocol);
	if (port && !json_is_null(port) && (!json_is_integer(port) || number < 0 || number > 65535))
		return bh_err(err, -EINVAL, "the port is not a number within 0-65535");
	if (has_dst_ports(flow->protocol) && number == 0)
		return bh_err(err, -EINVAL, "a port is missing");
	flow->dst_port = (uint16_t)number;
	return 0;
}

/* ", egress is judged on node b" */
static void add_judge(struct bh_buf *text, const struct bh_end *end, enum bh_dir dir)
{
	if (end->entity != BH_ENTITY_POD)
		return;
	bh_buf_printf(text, ", %s is judged ", bh_dir_str(dir));
	if (end->is_here) {
		bh_buf_puts(text, "here");
	} else if (*end->pod->node) {
		bh_buf_puts(text, "on node ");
		bh_buf_escape(text, end->pod->node);
	} else {
		bh_buf_puts(text, "on another node");
	}
}

static json_t *dir_json(const struct bh_result *result, enum bh_dir dir)
{
	const struct bh_end *own = dir == BH_INGRESS ? &result->dst : &result->src;
	json_t *json = bh_dir_verdict_json(&result->dir[dir], dir);

	json_object_set_new(json, "here", json_boolean(own->is_here));
	return json;
}

static json_t *explain(const struct bh_agent *a, const struct bh_flow *flow)
{
	struct bh_buf text = { 0 };
	struct bh_result result;
	json_t *data;

	bh_eval(a->world, flow, &result);
	bh_result_describe(a->world, flow, &result, &text);
	bh_buf_printf(&text, "by the rules of this node: %s", bh_verdict_str(result.here));
	add_judge(&text, &result.src, BH_EGRESS);
	add_judge(&text, &result.dst, BH_INGRESS);
	bh_buf_putc(&text, '\n');
	data = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "verdict",
			 bh_verdict_str(result.verdict), "audit_verdict",
			 bh_verdict_str(result.audit_verdict), "here", bh_verdict_str(result.here),
			 "text", bh_buf_str(&text), "egress", dir_json(&result, BH_EGRESS),
			 "ingress", dir_json(&result, BH_INGRESS));
	bh_buf_done(&text);
	return data;
}

static void on_explain(void *ctx, const json_t *params, struct bh_reply *reply)
{
	const struct bh_agent *a = ctx;
	struct bh_flow flow = { 0 };
	struct bh_err err = { 0 };
	struct end src, dst;
	int r;

	r = find_end(a, params, "src", &src, &err);
	if (r == 0)
		r = find_end(a, params, "dst", &dst, &err);
	if (r == 0)
		r = read_service(params, &flow, &err);
	if (r == 0)
		r = choose_addrs(&src, &dst, &flow, &err);
	if (r < 0) {
		fail(reply, r, &err);
		return;
	}
	flow.src_pod = src.pod;
	flow.dst_pod = dst.pod;
	answer(reply, explain(a, &flow));
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
static void send_record(struct follower *f, const json_t *record)
{
	if (!f->is_broken && bh_record_matches(record, &f->filter))
		f->is_broken = bh_reply_data(f->reply, json_deep_copy(record)) < 0;
}

static void on_recent(void *ctx, const json_t *record, const char *line)
{
	(void)line;
	send_record(ctx, record);
}

/* Unread records of a follower; beyond, it loses some and is told of it by a gap record. */
#define MAX_UNREAD (1u << 20)

static int on_live(void *ctx, const json_t *record, const char *line)
{
	struct follower *f = ctx;

	(void)line;
	if (!f->is_broken && bh_reply_unread(f->reply) > MAX_UNREAD &&
	    bh_record_matches(record, &f->filter))
		return -EAGAIN;
	send_record(f, record);
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
