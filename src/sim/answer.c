/*
 * Answers as JSON text.
 *
 * A batch has millions of answers and few different ones: the text of each
 * direction's judgement is made once and kept by what the judgement consists
 * of.  Policies and their rules do not change while the simulator lives.
 */
#include <string.h>

#include "query.h"

/* Beyond these all are forgotten, and made again when needed. */
#define MAX_TEXTS 16384

#define MAX_KEY (16 + 2 * BH_MAX_ISOLATING + 3 * BH_MAX_NEAR_MISSES)

struct text {
	uint64_t key[MAX_KEY];
	char *json;
	UT_hash_handle hh;
};

void sim_forget_texts(struct memo *memo)
{
	struct text *t = memo->texts, *next;

	HASH_CLEAR(hh, memo->texts);
	for (; t; t = next) {
		next = t->hh.next;
		free(t->json);
		free(t);
	}
	memo->n_texts = 0;
}

static void add_word(struct text *t, size_t *n, uint64_t word)
{
	t->key[(*n)++] = word;
}

static void add_policies(struct text *t, size_t *n, const struct bh_policy *const *policies,
			 size_t n_policies)
{
	size_t i;

	add_word(t, n, n_policies);
	for (i = 0; i < n_policies && i < BH_MAX_ISOLATING; i++)
		add_word(t, n, (uintptr_t)policies[i]);
}

/* The length of the key in bytes. */
static size_t make_key(struct text *t, const struct bh_dir_verdict *v, enum bh_dir dir)
{
	size_t n = 0, i;

	add_word(t, &n, dir);
	add_word(t, &n, (uint64_t)v->verdict << 32 | (uint64_t)v->reason);
	add_word(t, &n, v->audit_verdict);
	add_word(t, &n, (uintptr_t)v->rule.policy);
	add_word(t, &n, v->rule.rule_index);
	add_word(t, &n, (uintptr_t)v->audit_rule.policy);
	add_word(t, &n, v->audit_rule.rule_index);
	add_policies(t, &n, v->isolating, v->n_isolating);
	add_policies(t, &n, v->audit_isolating, v->n_audit_isolating);
	for (i = 0; i < v->n_near; i++) {
		add_word(t, &n, (uintptr_t)v->near[i].ref.policy);
		add_word(t, &n, v->near[i].ref.rule_index);
		add_word(t, &n, v->near[i].why);
	}
	return n * sizeof(t->key[0]);
}

static char *make_json(const struct bh_dir_verdict *v, enum bh_dir dir)
{
	json_t *json = bh_dir_verdict_json(v, dir);
	bh_auto_free char *text = json_dumps(json, JSON_ENSURE_ASCII);

	json_decref(json);
	return bh_strdup(text ? text : "null");
}

static const char *text_of(struct memo *memo, const struct bh_dir_verdict *v, enum bh_dir dir)
{
	struct text key, *t;
	size_t len = make_key(&key, v, dir);

	HASH_FIND(hh, memo->texts, key.key, len, t);
	if (t)
		return t->json;
	if (memo->n_texts == MAX_TEXTS)
		sim_forget_texts(memo);
	t = bh_calloc(1, sizeof(*t));
	memcpy(t->key, key.key, len);
	t->json = make_json(v, dir);
	HASH_ADD_KEYPTR(hh, memo->texts, t->key, len, t);
	memo->n_texts++;
	return t->json;
}

/* --- members ----------------------------------------------------------------------------- */

static void add_string(struct bh_buf *out, const char *key, const char *value)
{
	json_t *json = json_string(value);
	bh_auto_free char *text = NULL;

	text = json ? json_dumps(json, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	bh_buf_printf(out, "\"%s\": %s", key, text ? text : "null");
	json_decref(json);
}

static void add_result(const struct bh_sim *sim, const struct bh_sim_answer *a, struct bh_buf *out)
{
	const struct bh_result *r = &a->result;

	if (r->audit_verdict != r->verdict)
		bh_buf_printf(out, ", \"audit_verdict\": \"%s\"", bh_verdict_str(r->audit_verdict));
	bh_buf_puts(out, ", \"egress\": ");
	bh_buf_puts(out, text_of(sim->memo, &r->dir[BH_EGRESS], BH_EGRESS));
	bh_buf_puts(out, ", \"ingress\": ");
	bh_buf_puts(out, text_of(sim->memo, &r->dir[BH_INGRESS], BH_INGRESS));
}

static void add_pods(const struct bh_sim *sim, const struct bh_sim_answers *a, struct bh_buf *out)
{
	const struct bh_service *s = a->items[0].service;
	bh_auto_free char *name = bh_asprintf("%s/%s", s->namespace, s->name);
	size_t i;

	bh_buf_puts(out, ", ");
	add_string(out, "service", name);
	bh_buf_puts(out, ", \"pods\": [");
	for (i = 0; i < a->n; i++) {
		const struct bh_sim_answer *item = &a->items[i];
		const struct bh_pod *pod = item->flow.dst_pod;
		bh_auto_free char *pod_name = bh_asprintf("%s/%s", pod->namespace, pod->name);

		bh_buf_puts(out, i ? ", {" : "{");
		add_string(out, "pod", pod_name);
		bh_buf_printf(out, ", \"port\": %u, \"verdict\": \"%s\"", item->flow.dst_port,
			      bh_sim_verdict_str(item->verdict));
		add_result(sim, item, out);
		bh_buf_putc(out, '}');
	}
	bh_buf_putc(out, ']');
}

/* Of several pods the one that says most: the first that is not allowed. */
static const struct bh_sim_answer *telling(const struct bh_sim_answers *a)
{
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->items[i].verdict != BH_SIM_ALLOWED)
			return &a->items[i];
	return &a->items[0];
}

void bh_sim_answers_write(const struct bh_sim *sim, const struct bh_sim_answers *a,
			  struct bh_buf *out)
{
	bh_buf_printf(out, "\"verdict\": \"%s\"", bh_sim_verdict_str(a->verdict));
	if (a->verdict == BH_SIM_UNDECIDABLE) {
		bh_buf_puts(out, ", ");
		add_string(out, "why", a->why);
	}
	add_result(sim, telling(a), out);
	if (a->items[0].service)
		add_pods(sim, a, out);
}

static void hide_made_up(const struct bh_sim *sim, struct bh_addr *a)
{
	if (bh_sim_is_made_up(sim, a))
		*a = (struct bh_addr){ .family = a->family };
}

struct bh_flow sim_shown(const struct bh_sim *sim, const struct bh_flow *flow)
{
	struct bh_flow shown = *flow;

	hide_made_up(sim, &shown.src);
	hide_made_up(sim, &shown.dst);
	return shown;
}

void bh_sim_answer_describe(const struct bh_sim *sim, const struct bh_sim_answer *a,
			    struct bh_buf *out)
{
	struct bh_flow shown = sim_shown(sim, &a->flow);

	bh_result_describe(sim->world, &shown, &a->result, out);
}

/* To look at the policies it must not look like a pod that talks to itself directly. */
static struct bh_flow as_judged(const struct bh_sim_answer *a, struct bh_pod *twin)
{
	struct bh_flow flow = a->flow;

	if (a->service && flow.src_pod && flow.src_pod == flow.dst_pod) {
		*twin = sim_twin(flow.src_pod);
		flow.src_pod = twin;
	}
	return flow;
}

void bh_sim_answer_explain(const struct bh_sim *sim, const struct bh_sim_answer *a,
			   struct bh_buf *out)
{
	struct bh_flow shown = sim_shown(sim, &a->flow);
	struct bh_pod twin;
	struct bh_flow flow = as_judged(a, &twin);

	bh_result_explain(sim->world, &flow, &shown, &a->result, out);
}

json_t *bh_sim_answer_explain_json(const struct bh_sim *sim, const struct bh_sim_answer *a)
{
	struct bh_pod twin;
	struct bh_flow flow = as_judged(a, &twin);
	json_t *json = json_object();
	json_t *egress = bh_dir_explain_json(sim->world, &flow, &a->result, BH_EGRESS);
	json_t *ingress = bh_dir_explain_json(sim->world, &flow, &a->result, BH_INGRESS);

	json_object_set_new(json, "egress", egress);
	json_object_set_new(json, "ingress", ingress);
	return json;
}
