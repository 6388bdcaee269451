/*
 * What policy says is the evaluator's answer.  Besides, a packet may not come as far as
 * policy: its source is not the pod's, its address no pod of this node has, or it is for an
 * address that the pod does not own (bh/guard.h, closed.h).  And what is for a group is
 * copied to many pods, each of which judges it.
 */
#include "explain.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/eval.h"
#include "bh/object.h"
#include "bh/packet.h"

/* --- the question ------------------------------------------------------------------ */

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

/* Another address than the pod's own, if @key is there. */
static int read_addr(const json_t *params, const char *key, struct end *end, struct bh_err *err)
{
	const json_t *value = json_object_get(params, key);
	const char *text = json_string_value(value);

	if (!value || json_is_null(value))
		return 0;
	if (!text || bh_addr_parse(text, &end->single, NULL) < 0)
		return bh_err(err, -EINVAL, "'%s' is no address", text ? text : "");
	if (!end->pod)
		return bh_err(err, -EINVAL, "only a pod can bear another address, not %s",
			      end->text);
	end->addrs = &end->single;
	end->n_addrs = 1;
	return 0;
}

static bool is_group(const struct bh_agent *a, const struct bh_addr *addr)
{
	const struct bh_addr *broadcasts;
	size_t n = bh_sources_broadcasts(&a->sources, &broadcasts);

	for (size_t i = 0; i < n; i++)
		if (bh_addr_eq(&broadcasts[i], addr))
			return true;
	return bh_addr_is_group(addr);
}

/* One family, and both of a link or neither, unless one of them is a group's. */
static bool can_be_a_pair(const struct bh_agent *a, const struct bh_addr *src,
			  const struct bh_addr *dst)
{
	return src->family == dst->family &&
	       (is_group(a, dst) || bh_addr_is_link_local(src) == bh_addr_is_link_local(dst));
}

/* The first pair that packets can have. */
static int choose_addrs(const struct bh_agent *a, const struct end *src, const struct end *dst,
			struct bh_flow *flow, struct bh_err *err)
{
	for (size_t i = 0; i < src->n_addrs; i++) {
		for (size_t k = 0; k < dst->n_addrs; k++) {
			if (!can_be_a_pair(a, &src->addrs[i], &dst->addrs[k]))
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

/* --- what comes before policy --------------------------------------------------------- */

static bool is_own_node(const struct bh_agent *a, const struct bh_end *end)
{
	return end->entity == BH_ENTITY_NODE &&
	       (!end->node || strcmp(end->node->name, bh_world_own_node(a->world)) == 0);
}

static bool is_closed_until_known(const struct bh_agent *a, const struct bh_addr *addr,
				  const struct bh_end *end)
{
	if (end->is_here || is_own_node(a, end) || is_group(a, addr))
		return false;
	for (size_t i = 0; i < a->closed.ranges.n; i++) {
		const struct bh_range *r = &a->closed.ranges.items[i];

		if (r->first.family == addr->family && bh_addr_cmp(&r->first, addr) <= 0 &&
		    bh_addr_cmp(addr, &r->last) <= 0)
			return true;
	}
	return false;
}

static void judge_unknown(const struct bh_agent *a, const struct bh_flow *flow,
			  struct bh_result *result)
{
	bool is_audit = bh_world_mode(a->world) == BH_AUDIT;
	bool is_closed_dst = is_closed_until_known(a, &flow->dst, &result->dst);
	bool is_closed_src = is_closed_until_known(a, &flow->src, &result->src);

	if (is_closed_dst && !is_own_node(a, &result->src))
		bh_result_close(result, BH_INGRESS, BH_REASON_NO_POD, is_audit);
	if (is_closed_src)
		bh_result_close(result, BH_EGRESS, BH_REASON_NO_POD, is_audit);
}

/* --- groups ------------------------------------------------------------------------------ */

static void judge(const struct bh_agent *a, const struct bh_flow *flow, struct bh_result *ret)
{
	if (flow->dst_pod && !bh_pod_owns(flow->dst_pod, &flow->dst))
		bh_eval_copy(a->world, flow, ret);
	else
		bh_eval(a->world, flow, ret);
	judge_unknown(a, flow, ret);
	bh_guard_judge(a->guard, flow, is_group(a, &flow->dst), ret);
}

/* Gathers what pods of this node make of a packet that is copied to them. */
struct copies {
	const struct bh_agent *agent;
	const struct bh_flow *flow;
	uint32_t bridge; /* of the sender; 0: any */
	struct bh_buf *text;
	json_t *list;
};

#define MAX_COPIES 256

static void on_receiver(void *ctx, const struct bh_pod *pod)
{
	struct copies *c = ctx;
	struct bh_flow flow = *c->flow;
	struct bh_dir_verdict v;

	if (pod == flow.src_pod || pod->is_host_network || pod->is_finished ||
	    pod->n_pod_ports == 0 || pod->pod_ports[0].bridge == 0 ||
	    (c->bridge && pod->pod_ports[0].bridge != c->bridge) ||
	    json_array_size(c->list) >= MAX_COPIES)
		return;
	flow.dst_pod = pod;
	bh_eval_dir(c->agent->world, &flow, BH_INGRESS, &v);
	bh_buf_puts(c->text, "  a copy for pod ");
	bh_buf_escape(c->text, pod->namespace);
	bh_buf_putc(c->text, '/');
	bh_buf_escape(c->text, pod->name);
	bh_buf_printf(c->text, ": %s, %s\n", bh_verdict_str(v.verdict), bh_reason_str(v.reason));
	json_array_append_new(c->list, json_pack("{s:o, s:o, s:s, s:s}", "namespace",
						 bh_text_json(pod->namespace), "name",
						 bh_text_json(pod->name), "verdict",
						 bh_verdict_str(v.verdict), "reason",
						 bh_reason_str(v.reason)));
}

/* A new reference. */
static json_t *describe_copies(const struct bh_agent *a, const struct bh_flow *flow,
			       struct bh_buf *text)
{
	const struct bh_pod *src = flow->src_pod;
	struct copies c = { .agent = a, .flow = flow, .text = text, .list = json_array() };

	if (src && src->is_local && src->n_pod_ports > 0)
		c.bridge = src->pod_ports[0].bridge;
	if (c.bridge || !src || !src->is_local)
		bh_compiler_local_pods(a->compiler, on_receiver, &c);
	return c.list;
}

/* --- the answer ----------------------------------------------------------------------------- */

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
	json_t *data, *copies = NULL;

	judge(a, flow, &result);
	bh_result_describe(a->world, flow, &result, &text);
	if (!flow->dst_pod && is_group(a, &flow->dst))
		copies = describe_copies(a, flow, &text);
	bh_buf_printf(&text, "by the rules of this node: %s", bh_verdict_str(result.here));
	add_judge(&text, &result.src, BH_EGRESS);
	add_judge(&text, &result.dst, BH_INGRESS);
	bh_buf_putc(&text, '\n');
	data = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "verdict",
			 bh_verdict_str(result.verdict), "audit_verdict",
			 bh_verdict_str(result.audit_verdict), "here", bh_verdict_str(result.here),
			 "text", bh_buf_str(&text), "egress", dir_json(&result, BH_EGRESS),
			 "ingress", dir_json(&result, BH_INGRESS));
	if (copies)
		json_object_set_new(data, "copies", copies);
	bh_buf_done(&text);
	return data;
}

int bh_explain(const struct bh_agent *a, const json_t *params, json_t **ret, struct bh_err *err)
{
	struct bh_flow flow = { 0 };
	struct end src, dst;
	int r = find_end(a, params, "src", &src, err);

	if (r == 0)
		r = find_end(a, params, "dst", &dst, err);
	if (r == 0)
		r = read_addr(params, "from", &src, err);
	if (r == 0)
		r = read_addr(params, "to", &dst, err);
	if (r == 0)
		r = read_service(params, &flow, err);
	if (r == 0)
		r = choose_addrs(a, &src, &dst, &flow, err);
	if (r < 0)
		return r;
	flow.src_pod = src.pod;
	flow.dst_pod = dst.pod;
	*ret = explain(a, &flow);
	return 0;
}
