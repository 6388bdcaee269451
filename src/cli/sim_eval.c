/*
 * One flow, or many.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"
#include "lines.h"
#include "sim_input.h"

/* SRC DST PORT */
#define N_QUESTION 3

static int exit_of(enum bh_sim_verdict v)
{
	static const int status[] = {
		[BH_SIM_ALLOWED] = BH_CLI_YES,
		[BH_SIM_DENIED] = BH_CLI_NO,
		[BH_SIM_UNDECIDABLE] = BH_CLI_SIM_UNDECIDABLE,
	};

	return status[v];
}

/* --- one --------------------------------------------------------------------------------- */

/* Of a Service with more pods than this the first are described. */
#define MAX_DESCRIBED 8

static void paint_verdict(const struct bh_cli *cli, enum bh_sim_verdict v, struct bh_buf *out)
{
	static const enum bh_cli_color colors[] = {
		[BH_SIM_ALLOWED] = BH_CLI_GREEN,
		[BH_SIM_DENIED] = BH_CLI_RED,
		[BH_SIM_UNDECIDABLE] = BH_CLI_YELLOW,
	};

	bh_cli_paint(cli, out, colors[v], bh_sim_verdict_str(v));
}

/* The sentences, with their first word in colour. */
static void add_answer(const struct bh_cli *cli, const struct bh_sim *sim,
		       const struct bh_sim_answer *a, struct bh_buf *out)
{
	struct bh_buf text = { 0 };

	bh_sim_answer_describe(sim, a, &text);
	bh_cli_paint(cli, out, a->result.verdict == BH_VERDICT_ALLOWED ? BH_CLI_GREEN : BH_CLI_RED,
		     bh_verdict_str(a->result.verdict));
	bh_buf_puts(out, bh_buf_str(&text) + strlen(bh_verdict_str(a->result.verdict)));
	bh_buf_done(&text);
}

static void add_service(const struct bh_cli *cli, const struct bh_sim_answers *a,
			struct bh_buf *out)
{
	const struct bh_service *s = a->items[0].service;

	paint_verdict(cli, a->verdict, out);
	bh_buf_puts(out, ": Service ");
	bh_buf_escape(out, s->namespace);
	bh_buf_putc(out, '/');
	bh_buf_escape(out, s->name);
	bh_buf_puts(out, " leads to ");
	bh_cli_count(out, (json_int_t)a->n, "pod");
	bh_buf_puts(out, "\n");
}

static void print_text(const struct bh_cli *cli, const struct bh_sim *sim,
		       const struct bh_sim_answers *a)
{
	struct bh_buf out = { 0 };
	size_t i;

	if (a->items[0].service)
		add_service(cli, a, &out);
	if (a->verdict == BH_SIM_UNDECIDABLE) {
		paint_verdict(cli, a->verdict, &out);
		bh_buf_puts(&out, ": ");
		bh_buf_escape(&out, a->why);
		bh_buf_puts(&out, "\n");
	}
	for (i = 0; i < a->n && i < MAX_DESCRIBED; i++)
		add_answer(cli, sim, &a->items[i], &out);
	if (i < a->n) {
		bh_buf_puts(&out, "and ");
		bh_cli_count(&out, (json_int_t)(a->n - i), "more pod");
		bh_buf_puts(&out, "\n");
	}
	bh_cli_print(&out);
	bh_buf_done(&out);
}

static void print_json(const struct bh_sim *sim, const struct bh_sim_query *q,
		       const struct bh_cli_port *port, const struct bh_sim_answers *a)
{
	json_t *json = bh_cli_sim_answers_json(sim, q, port, a);

	bh_cli_print_json(json);
	json_decref(json);
}

#define MAX_CLOSED 64

static int read_closed(const struct bh_cli *cli, struct bh_cidr *ret, size_t *ret_n,
		       struct bh_err *err)
{
	const char *text;

	for (*ret_n = 0; (text = bh_cli_nth_value(cli, "closed-until-known", *ret_n)); (*ret_n)++) {
		int r = *ret_n < MAX_CLOSED
				? bh_cidr_parse(text, &ret[*ret_n], err)
				: bh_err(err, -E2BIG, "more than %d ranges", MAX_CLOSED);

		if (r < 0)
			return bh_err_wrap(err, r, "--closed-until-known");
	}
	return 0;
}

static int eval_one(const struct bh_cli *cli, const struct bh_sim *sim,
		    const struct bh_cli_port *port)
{
	bh_auto_free char *src = bh_cli_sim_end(cli, cli->operands[0]);
	bh_auto_free char *dst = bh_cli_sim_end(cli, cli->operands[1]);
	struct bh_cidr closed[MAX_CLOSED];
	struct bh_sim_query q = {
		.src = src,
		.dst = dst,
		.protocol = port->number,
		.port = port->port,
		.from = bh_cli_value(cli, "from"),
		.to = bh_cli_value(cli, "to"),
		.closed = closed,
	};
	struct bh_sim_answers a;
	struct bh_err err = { 0 };
	int status;

	if (read_closed(cli, closed, &q.n_closed, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	q.has_family = bh_cli_sim_family(cli, &q.family);
	if (bh_sim_ask(sim, &q, &a, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	if (bh_cli_is_json(cli))
		print_json(sim, &q, port, &a);
	else
		print_text(cli, sim, &a);
	status = exit_of(a.verdict);
	bh_sim_answers_done(&a);
	return status;
}

static int run_one(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	struct bh_cli_port port;
	struct bh_err err = { 0 };
	int r;

	if (cli->n_operands <= N_QUESTION) {
		bh_log_error("sim eval needs SRC DST PORT/PROTO and %s", BH_CLI_SIM_OPERANDS);
		return BH_CLI_SIM_FAILED;
	}
	if (bh_cli_parse_port(cli->operands[2], &port, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	r = bh_cli_sim_load(cli, cli->operands + N_QUESTION, cli->n_operands - N_QUESTION, &sim);
	return r == BH_CLI_YES ? eval_one(cli, sim, &port) : r;
}

/* --- many ---------------------------------------------------------------------------------- */

#define FLUSH_BYTES 262144

/* Whoever asks one question at a time waits for its answer. */
static void flush(void *ctx)
{
	struct bh_buf *out = ctx;

	fwrite(bh_buf_str(out), 1, out->len, stdout);
	fflush(stdout);
	bh_buf_reset(out);
}

static int eval_lines(const struct bh_sim *sim, int fd, const char *name)
{
	struct bh_cli_lines lines;
	struct bh_buf out = { 0 };
	struct bh_err err = { 0 };
	const char *line;
	size_t len, n_bad = 0;
	int r;

	bh_cli_lines_init(&lines, fd, BH_SIM_MAX_LINE);
	lines.before_read = flush;
	lines.ctx = &out;
	while ((r = bh_cli_lines_next(&lines, &line, &len, &err)) > 0 && !ferror(stdout)) {
		n_bad += bh_sim_batch_line(sim, line, len, &out) < 0;
		if (out.len > FLUSH_BYTES)
			flush(&out);
	}
	flush(&out);
	bh_buf_done(&out);
	bh_cli_lines_done(&lines);
	if (r < 0) {
		bh_log_error("%s: %s", name, bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	if (n_bad == 0)
		return BH_CLI_YES;
	bh_log_error("%s: %zu line%s no answer", name, n_bad, n_bad == 1 ? " has" : "s have");
	return BH_CLI_SIM_BAD_INPUT;
}

static int run_batch(const struct bh_cli *cli, const char *path)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bool is_stdin = strcmp(path, "-") == 0;
	bh_auto_close int opened = -1;
	int r;

	if (cli->n_operands == 0) {
		bh_log_error("sim eval --batch needs %s", BH_CLI_SIM_OPERANDS);
		return BH_CLI_SIM_FAILED;
	}
	if (!is_stdin) {
		opened = open(path, O_RDONLY | O_CLOEXEC);
		if (opened < 0) {
			bh_log_error("cannot open '%s': %s", path, strerror(errno));
			return BH_CLI_SIM_FAILED;
		}
	}
	r = bh_cli_sim_load(cli, cli->operands, cli->n_operands, &sim);
	if (r != BH_CLI_YES)
		return r;
	return eval_lines(sim, is_stdin ? STDIN_FILENO : opened, is_stdin ? "stdin" : path);
}

static bool reads_stdin_twice(const struct bh_cli *cli, const char *batch)
{
	size_t i, n = strcmp(batch, "-") == 0;

	for (i = 0; i < cli->n_operands; i++)
		n += strcmp(cli->operands[i], "-") == 0;
	return n > 1;
}

static int run(const struct bh_cli *cli)
{
	const char *batch = bh_cli_value(cli, "batch");

	if (reads_stdin_twice(cli, batch ? batch : "")) {
		bh_log_error("standard input ('-') can be read once only");
		return BH_CLI_SIM_FAILED;
	}
	if (batch && (bh_cli_has(cli, "from") || bh_cli_has(cli, "to") ||
		      bh_cli_has(cli, "closed-until-known"))) {
		bh_log_error("--from, --to and --closed-until-known are of one question, not of "
			     "--batch");
		return BH_CLI_SIM_FAILED;
	}
	return batch ? run_batch(cli, batch) : run_one(cli);
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	{ .name = "family", .arg = "4|6", .text = "where both ends have both (default: 4)" },
	{ .name = "from", .arg = "ADDR", .text = "the source address, if not one of the pod's" },
	{ .name = "to", .arg = "ADDR", .text = "the group's address of which the pod gets a copy" },
	{ .name = "closed-until-known",
	  .arg = "CIDR",
	  .text = "closed where no pod is; may be repeated" },
	{ .name = "batch",
	  .arg = "FILE",
	  .text = "answer questions, one JSON object a line; - is standard input" },
	{ .letter = 'o', .name = "output", .arg = "text|json", .text = "how to print" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_eval = {
	.name = "sim eval",
	.summary = "would this connection be allowed",
	.operands = "SRC DST PORT/PROTO " BH_CLI_SIM_OPERANDS,
	.min_operands = 1,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about =
		"Judges one new connection by manifests, and says what decides in each direction.\n"
		"SRC and DST are NAMESPACE/POD, NAMESPACE/WORKLOAD (its first pod), an address or\n"
		"node:NAME; DST may be a Service, NAMESPACE/SERVICE, where PORT is the Service's.\n"
		"The protocol is tcp if not given.\n"
		"Exits with 0 if it is allowed, 1 if denied, 2 if the API leaves it open or the\n"
		"pods of a Service differ, 3 if input cannot be read, 4 after other errors.\n"
		"With --batch there are no SRC, DST and PORT: every line of FILE is a question,\n"
		"which comes back with its answer, and 0 means that every line has one.\n",
	.examples = "  bulkhead sim eval shop/web shop/db 5432 ./manifests\n"
		    "  helm template . | bulkhead sim eval -n shop web 203.0.113.7 443/tcp -\n"
		    "  bulkhead sim eval node:worker-1 shop/web icmp --family 6 ./manifests\n"
		    "  bulkhead sim eval --batch flows.jsonl ./manifests\n",
	.run = run,
};
