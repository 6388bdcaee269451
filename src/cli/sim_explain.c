/*
 * Why a flow is allowed or denied, or which flows are.
 */
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"
#include "sim_input.h"

/* In the order in which a connection meets them. */
static const enum bh_dir dirs[] = { BH_EGRESS, BH_INGRESS };

/* --- one port ----------------------------------------------------------------------------- */

static void print_one_text(const struct bh_cli *cli, const struct bh_sim *sim,
			   const struct bh_sim_answers *a)
{
	struct bh_buf out = { 0 };
	size_t i;

	if (a->verdict == BH_SIM_UNDECIDABLE) {
		bh_cli_paint(cli, &out, BH_CLI_YELLOW, bh_sim_verdict_str(a->verdict));
		bh_buf_puts(&out, ": ");
		bh_buf_escape(&out, a->why);
		bh_buf_puts(&out, "\n\n");
	}
	for (i = 0; i < a->n; i++) {
		bh_buf_puts(&out, i ? "\n" : "");
		bh_sim_answer_explain(sim, &a->items[i], &out);
	}
	bh_cli_print(&out);
	bh_buf_done(&out);
}

static json_t *answer_json(const struct bh_sim *sim, const struct bh_sim_query *q,
			   const struct bh_cli_port *port, const struct bh_sim_answers *a)
{
	json_t *json, *list = json_array();
	size_t i;

	json = bh_cli_sim_answers_json(sim, q, port, a);
	for (i = 0; i < a->n; i++)
		json_array_append_new(list, bh_sim_answer_explain_json(sim, &a->items[i]));
	/* Beside each of a Service's pods, or of the one that there is. */
	if (a->items[0].service) {
		json_t *pods = json_object_get(json, "pods"), *pod;

		json_array_foreach(pods, i, pod)
			json_object_set(pod, "policies", json_array_get(list, i));
	} else {
		json_object_set(json, "policies", json_array_get(list, 0));
	}
	json_decref(list);
	return json;
}

static int explain_one(const struct bh_cli *cli, const struct bh_sim *sim,
		       const struct bh_sim_query *q, const struct bh_cli_port *port)
{
	struct bh_sim_answers a;
	struct bh_err err = { 0 };
	json_t *json;

	if (bh_sim_ask(sim, q, &a, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	if (bh_cli_is_json(cli)) {
		json = answer_json(sim, q, port, &a);
		bh_cli_print_json(json);
		json_decref(json);
	} else {
		print_one_text(cli, sim, &a);
	}
	bh_sim_answers_done(&a);
	return BH_CLI_YES;
}

/* --- every port ------------------------------------------------------------------------------ */

static void add_conns(struct bh_buf *out, const char *title, const struct bh_conns *c)
{
	bh_buf_puts(out, title);
	bh_conns_format(c, true, out);
	bh_buf_putc(out, '\n');
}

static void add_span(const struct bh_sim *sim, const struct bh_sim_span *span, enum bh_dir dir,
		     bool is_rest, struct bh_buf *out)
{
	bh_buf_puts(out, "  ");
	if (is_rest)
		bh_buf_puts(out, "all else");
	else
		bh_conns_format(span->conns, true, out);
	bh_buf_puts(out, ": ");
	bh_sim_span_describe(sim, span, dir, out);
	bh_buf_putc(out, '\n');
}

/* What rules decide, and then the rest; audit can make two kinds of it. */
static void add_spans(const struct bh_sim *sim, const struct bh_sim_spans *s, enum bh_dir dir,
		      struct bh_buf *out)
{
	const struct bh_sim_span *items = s->items[dir];
	size_t i, n_rest = 0;

	bh_buf_printf(out, "%s:\n", bh_dir_str(dir));
	for (i = 0; i < s->n[dir]; i++) {
		if (bh_reason_has_rule(items[i].result.dir[dir].reason))
			add_span(sim, &items[i], dir, false, out);
		else
			n_rest++;
	}
	for (i = 0; i < s->n[dir]; i++)
		if (!bh_reason_has_rule(items[i].result.dir[dir].reason))
			add_span(sim, &items[i], dir, n_rest == 1 && s->n[dir] > 1, out);
}

static void print_all_text(const struct bh_cli *cli, const struct bh_sim *sim,
			   const struct bh_sim_query *q, const struct bh_sim_spans *s)
{
	struct bh_buf out = { 0 };
	size_t d;

	bh_buf_escape(&out, q->src);
	bh_buf_puts(&out, " to ");
	bh_buf_escape(&out, q->dst);
	bh_buf_puts(&out, "\n");
	bh_cli_paint(cli, &out, bh_conns_is_empty(s->allowed) ? BH_CLI_RED : BH_CLI_GREEN,
		     "allowed");
	add_conns(&out, ": ", s->allowed);
	if (!bh_conns_is_empty(s->audited))
		add_conns(&out, "of these denied if audit were enforced: ", s->audited);
	if (!bh_conns_is_empty(s->undecidable)) {
		add_conns(&out, "undecidable: ", s->undecidable);
		bh_buf_puts(&out, "  ");
		bh_buf_escape(&out, s->why);
		bh_buf_putc(&out, '\n');
	}
	for (d = 0; d < BH_ARRAY_LEN(dirs); d++)
		add_spans(sim, s, dirs[d], &out);
	bh_cli_print(&out);
	bh_buf_done(&out);
}

static json_t *conns_json(const struct bh_conns *c)
{
	struct bh_buf text = { 0 };
	json_t *json;

	bh_conns_format(c, true, &text);
	json = json_string(bh_buf_str(&text));
	bh_buf_done(&text);
	return json;
}

static json_t *spans_json(const struct bh_sim_spans *s, enum bh_dir dir)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < s->n[dir]; i++) {
		const struct bh_sim_span *span = &s->items[dir][i];
		json_t *item = bh_dir_verdict_json(&span->result.dir[dir], dir);

		json_object_set_new(item, "connections", conns_json(span->conns));
		json_array_append_new(list, item);
	}
	return list;
}

static void print_all_json(const struct bh_sim_query *q, const struct bh_sim_spans *s)
{
	json_t *json = json_pack("{s:s, s:s, s:o, s:o, s:o}", "src", q->src, "dst", q->dst,
				 "allowed", conns_json(s->allowed), "egress",
				 spans_json(s, BH_EGRESS), "ingress", spans_json(s, BH_INGRESS));

	if (!bh_conns_is_empty(s->audited))
		json_object_set_new(json, "audited", conns_json(s->audited));
	if (!bh_conns_is_empty(s->undecidable)) {
		json_object_set_new(json, "undecidable", conns_json(s->undecidable));
		json_object_set_new(json, "why", json_string(s->why));
	}
	bh_cli_print_json(json);
	json_decref(json);
}

static int explain_all(const struct bh_cli *cli, const struct bh_sim *sim,
		       const struct bh_sim_query *q)
{
	struct bh_sim_spans s;
	struct bh_err err = { 0 };

	if (bh_sim_ask_all(sim, q, &s, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	if (bh_cli_is_json(cli))
		print_all_json(q, &s);
	else
		print_all_text(cli, sim, q, &s);
	bh_sim_spans_done(&s);
	return BH_CLI_YES;
}

/* --- the command ----------------------------------------------------------------- */

static int run(const struct bh_cli *cli)
{
	bh_auto_free char *src = bh_cli_sim_end(cli, cli->operands[0]);
	bh_auto_free char *dst = bh_cli_sim_end(cli, cli->operands[1]);
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	struct bh_sim_query q = { .src = src, .dst = dst };
	struct bh_cli_port port;
	struct bh_err err = { 0 };
	/* What could be a port is one: a folder of that name is ./80. */
	bool has_port = bh_cli_parse_port(cli->operands[2], &port, &err) == 0;
	size_t n_question = has_port ? 3 : 2;
	int r;

	if (cli->n_operands == n_question) {
		bh_log_error("sim explain needs %s after its question", BH_CLI_SIM_OPERANDS);
		return BH_CLI_SIM_FAILED;
	}
	r = bh_cli_sim_load(cli, cli->operands + n_question, cli->n_operands - n_question, &sim);
	if (r != BH_CLI_YES)
		return r;
	q.has_family = bh_cli_sim_family(cli, &q.family);
	if (!has_port)
		return explain_all(cli, sim, &q);
	q.protocol = port.number;
	q.port = port.port;
	return explain_one(cli, sim, &q, &port);
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	{ .name = "family", .arg = "4|6", .text = "where both ends have both (default: 4)" },
	{ .letter = 'o', .name = "output", .arg = "text|json", .text = "how to print" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_explain = {
	.name = "sim explain",
	.summary = "why is it allowed or denied, policy by policy",
	.operands = "SRC DST [PORT/PROTO] " BH_CLI_SIM_OPERANDS,
	.min_operands = 3,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about = "Walks through every policy that selects one of the ends, in the order in which\n"
		 "they are asked: the rule that matched, or those that came nearest and what they\n"
		 "missed, with file and line.  Policies in audit are shown as such.\n"
		 "Without PORT: all that is allowed, and what decides about which ports.\n"
		 "The ends are those of sim eval.  Exits with 0, 3 if input cannot be read, 4 "
		 "after\n"
		 "other errors.\n",
	.examples = "  bulkhead sim explain shop/web shop/db 5432 ./manifests\n"
		    "  bulkhead sim explain shop/web shop/db ./manifests\n"
		    "  bulkhead sim explain -o json 203.0.113.7 shop/web 8080/tcp ./manifests\n",
	.run = run,
};
