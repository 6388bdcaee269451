/*
 * Policies as assertions: flows that must be allowed or denied.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/docs.h"
#include "bh/file.h"
#include "bh/log.h"
#include "commands.h"
#include "sim_input.h"

struct outcome {
	const struct bh_assertion *assertion;
	bool holds;
	char *why; /* sentences, a line each; NULL where it holds */
};

struct run {
	const struct bh_cli *cli;
	const char *file;
	struct outcome *items;
	size_t n, n_failed;
	struct bh_buf out;
};

static void add_title(const struct bh_assertion *a, struct bh_buf *out)
{
	bh_buf_escape(out, a->name);
	bh_buf_puts(out, ": ");
	bh_buf_escape(out, a->src);
	bh_buf_puts(out, " -> ");
	bh_buf_escape(out, a->dst);
	bh_buf_printf(out, " %s %s", a->port_text, bh_sim_verdict_str(a->expected));
}

/* The sentences with @prefix before each line. */
static void add_lines(const char *text, const char *prefix, struct bh_buf *out)
{
	bh_auto_free char *copy = bh_strdup(text);
	char *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		if (!*line)
			continue;
		bh_buf_puts(out, prefix);
		bh_buf_escape(out, line);
		bh_buf_putc(out, '\n');
	}
}

/* --- text ------------------------------------------------------------------------------ */

static void print_text(struct run *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct outcome *o = &r->items[i];

		bh_cli_paint(r->cli, &r->out, o->holds ? BH_CLI_GREEN : BH_CLI_RED,
			     o->holds ? "ok    " : "FAILED");
		bh_buf_putc(&r->out, ' ');
		add_title(o->assertion, &r->out);
		if (!o->holds) {
			bh_buf_puts(&r->out, " (");
			bh_buf_escape(&r->out, o->assertion->file);
			bh_buf_printf(&r->out, ":%d)", o->assertion->line);
		}
		bh_buf_putc(&r->out, '\n');
		if (!o->holds)
			add_lines(o->why, "       ", &r->out);
	}
	bh_buf_printf(&r->out, "%zu passed, %zu failed\n", r->n - r->n_failed, r->n_failed);
}

/* --- TAP 14 ------------------------------------------------------------------------------ */

/* In descriptions '#' starts a directive. */
static void add_description(const struct bh_assertion *a, struct bh_buf *out)
{
	struct bh_buf title = { 0 };
	const char *c;

	add_title(a, &title);
	for (c = bh_buf_str(&title); *c; c++) {
		if (*c == '#')
			bh_buf_putc(out, '\\');
		bh_buf_putc(out, *c);
	}
	bh_buf_done(&title);
}

static void print_tap(struct run *r)
{
	size_t i;

	bh_buf_printf(&r->out, "TAP version 14\n1..%zu\n", r->n);
	for (i = 0; i < r->n; i++) {
		const struct outcome *o = &r->items[i];
		struct bh_buf file = { 0 };

		bh_buf_printf(&r->out, "%sok %zu - ", o->holds ? "" : "not ", i + 1);
		add_description(o->assertion, &r->out);
		bh_buf_putc(&r->out, '\n');
		if (o->holds)
			continue;
		bh_buf_escape(&file, o->assertion->file);
		bh_buf_printf(&r->out, "  ---\n  file: '%s'\n  line: %d\n  message: |\n",
			      bh_buf_str(&file), o->assertion->line);
		bh_buf_done(&file);
		add_lines(o->why, "    ", &r->out);
		bh_buf_puts(&r->out, "  ...\n");
	}
}

/* --- JUnit ---------------------------------------------------------------------------------- */

static void add_xml(const char *text, struct bh_buf *out)
{
	struct bh_buf plain = { 0 };
	const char *c;

	bh_buf_escape(&plain, text);
	for (c = bh_buf_str(&plain); *c; c++) {
		switch (*c) {
		case '<': bh_buf_puts(out, "&lt;"); break;
		case '>': bh_buf_puts(out, "&gt;"); break;
		case '&': bh_buf_puts(out, "&amp;"); break;
		case '"': bh_buf_puts(out, "&quot;"); break;
		default: bh_buf_putc(out, *c);
		}
	}
	bh_buf_done(&plain);
}

static void add_xml_lines(const char *text, struct bh_buf *out)
{
	bh_auto_free char *copy = bh_strdup(text);
	char *at = copy, *line;

	while ((line = strsep(&at, "\n"))) {
		if (!*line)
			continue;
		add_xml(line, out);
		bh_buf_putc(out, '\n');
	}
}

static void add_case(struct run *r, const struct outcome *o)
{
	struct bh_buf title = { 0 };

	add_title(o->assertion, &title);
	bh_buf_puts(&r->out, "    <testcase classname=\"");
	add_xml(r->file, &r->out);
	bh_buf_puts(&r->out, "\" name=\"");
	add_xml(bh_buf_str(&title), &r->out);
	bh_buf_printf(&r->out, "\" file=\"");
	add_xml(o->assertion->file, &r->out);
	bh_buf_printf(&r->out, "\" line=\"%d\"%s", o->assertion->line, o->holds ? "/>\n" : ">\n");
	if (!o->holds) {
		bh_buf_printf(&r->out, "      <failure message=\"not %s\">\n",
			      bh_sim_verdict_str(o->assertion->expected));
		add_xml_lines(o->why, &r->out);
		bh_buf_puts(&r->out, "</failure>\n    </testcase>\n");
	}
	bh_buf_done(&title);
}

static void print_junit(struct run *r)
{
	size_t i;

	bh_buf_printf(&r->out,
		      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		      "<testsuites tests=\"%zu\" failures=\"%zu\">\n"
		      "  <testsuite name=\"",
		      r->n, r->n_failed);
	add_xml(r->file, &r->out);
	bh_buf_printf(&r->out, "\" tests=\"%zu\" failures=\"%zu\" errors=\"0\">\n", r->n,
		      r->n_failed);
	for (i = 0; i < r->n; i++)
		add_case(r, &r->items[i]);
	bh_buf_puts(&r->out, "  </testsuite>\n</testsuites>\n");
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void print_json(struct run *r)
{
	json_t *list = json_array(), *top;
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct outcome *o = &r->items[i];
		const struct bh_assertion *a = o->assertion;

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:i, s:s, s:s, s:s, s:s, s:b, s:s?}", "name",
					a->name, "file", bh_text_json(a->file), "line", a->line,
					"from", a->src, "to", a->dst, "port", a->port_text,
					"expect", bh_sim_verdict_str(a->expected), "holds",
					o->holds, "why", o->why));
	}
	top = json_pack("{s:o, s:I, s:I}", "tests", list, "passed",
			(json_int_t)(r->n - r->n_failed), "failed", (json_int_t)r->n_failed);
	bh_cli_print_json(top);
	json_decref(top);
}

/* --- the command ---------------------------------------------------------------------------- */

static void judge(struct run *r, const struct bh_sim *sim, const struct bh_assertions *a)
{
	const struct bh_assertion *items;
	size_t i;

	r->n = bh_assertions_items(a, &items);
	r->items = bh_calloc(r->n, sizeof(*r->items));
	for (i = 0; i < r->n; i++) {
		struct bh_buf why = { 0 };

		r->items[i].assertion = &items[i];
		r->items[i].holds = bh_assertion_holds(sim, &items[i], &why);
		if (!r->items[i].holds)
			r->items[i].why = bh_buf_take(&why);
		r->n_failed += !r->items[i].holds;
		bh_buf_done(&why);
	}
}

static void print(struct run *r)
{
	static const struct {
		const char *format;
		void (*print)(struct run *r);
	} t[] = { { "txt", print_text },
		  { "tap", print_tap },
		  { "junit", print_junit },
		  { "json", print_json } };
	const char *format = bh_cli_value(r->cli, "output");
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		if (strcmp(t[i].format, format ? format : "txt") == 0)
			t[i].print(r);
	bh_cli_print(&r->out);
}

static int load_assertions(const char *path, struct bh_assertions **ret)
{
	bh_auto_free char *text = NULL;
	struct bh_err err = { 0 };
	size_t len;

	if (bh_read_file(path, BH_DOCS_MAX_BYTES, &text, &len, &err) == 0 &&
	    bh_assertions_parse(ret, path, text, len, &err) == 0)
		return BH_CLI_YES;
	bh_log_error("%s", bh_err_text(&err));
	return BH_CLI_SIM_BAD_INPUT;
}

static int run(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bh_auto(bh_assertions_free) struct bh_assertions *a = NULL;
	struct run r = { .cli = cli, .file = cli->operands[0] };
	size_t i;
	int status;

	if (cli->n_operands < 2) {
		bh_log_error("sim test needs ASSERTIONS.yaml and %s", BH_CLI_SIM_OPERANDS);
		return BH_CLI_SIM_FAILED;
	}
	status = load_assertions(cli->operands[0], &a);
	if (status == BH_CLI_YES)
		status = bh_cli_sim_load(cli, cli->operands + 1, cli->n_operands - 1, &sim);
	if (status != BH_CLI_YES)
		return status;
	judge(&r, sim, a);
	print(&r);
	for (i = 0; i < r.n; i++)
		free(r.items[i].why);
	free(r.items);
	bh_buf_done(&r.out);
	return r.n_failed ? BH_CLI_NO : BH_CLI_YES;
}

static const struct bh_cli_option options[] = {
	{ .letter = 'o', .name = "output", .arg = "txt|tap|junit|json", .text = "default: txt" },
	BH_CLI_SIM_INPUT_OPTIONS,
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_test = {
	.name = "sim test",
	.summary = "do policies let through what they must, and only that",
	.operands = "ASSERTIONS.yaml " BH_CLI_SIM_OPERANDS,
	.min_operands = 1,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about = "Judges the flows of a file against manifests: each must come out as the file\n"
		 "says.  Exits with 0 if all do, 1 if one does not, 3 if input cannot be read.\n"
		 "The file is described in bulkhead-sim(1); it may lie among the manifests.\n",
	.examples = "  bulkhead sim test flows.yaml ./manifests\n"
		    "  bulkhead sim test -o tap flows.yaml ./manifests\n"
		    "  helm template . | bulkhead sim test -o junit flows.yaml - > report.xml\n",
	.run = run,
};
