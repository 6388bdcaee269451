/*
 * What is wrong with policies, as a compiler says it.
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

static const enum bh_cli_color colors[BH_SEVERITY_COUNT_] = {
	[BH_SEVERITY_INFO] = BH_CLI_DIM,
	[BH_SEVERITY_WARNING] = BH_CLI_YELLOW,
	[BH_SEVERITY_ERROR] = BH_CLI_RED,
};

struct report {
	const struct bh_cli *cli;
	const struct bh_finding *findings;
	size_t n;
	size_t counts[BH_SEVERITY_COUNT_];
	struct bh_buf out;
	/* The file whose lines were quoted last; findings are sorted by file. */
	const char *file;
	char *text;
};

/* --- text ------------------------------------------------------------------------------ */

/* NULL where the file cannot be read again (standard input) or has no such line. */
static const char *quote(struct report *r, const struct bh_finding *f, size_t *len)
{
	const char *at;
	size_t size;
	int i;

	if (!r->file || strcmp(r->file, f->file) != 0) {
		free(r->text);
		r->text = NULL;
		r->file = f->file;
		bh_read_file(f->file, BH_DOCS_MAX_BYTES, &r->text, &size, NULL);
	}
	at = r->text;
	for (i = 1; at && i < f->line; i++) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (at)
		*len = strcspn(at, "\r\n");
	return at;
}

static void add_quote(struct report *r, const struct bh_finding *f)
{
	bh_auto_free char *line = NULL;
	const char *at;
	size_t len = 0;

	if (!f->file || f->line <= 0)
		return;
	at = quote(r, f, &len);
	if (!at || len > 200)
		return;
	line = bh_strndup(at, len);
	bh_buf_printf(&r->out, "%6d | ", f->line);
	bh_buf_escape(&r->out, line);
	bh_buf_putc(&r->out, '\n');
}

static void add_text(struct report *r, const struct bh_finding *f)
{
	if (f->file) {
		bh_buf_escape(&r->out, f->file);
		bh_buf_printf(&r->out, f->line > 0 ? ":%d: " : ": ", f->line);
	}
	bh_cli_paint(r->cli, &r->out, colors[f->severity], bh_severity_str(f->severity));
	bh_buf_puts(&r->out, ": ");
	bh_cli_paint(r->cli, &r->out, BH_CLI_BOLD, f->subject);
	bh_buf_puts(&r->out, ": ");
	bh_buf_escape(&r->out, f->text);
	bh_buf_printf(&r->out, " [%s]\n", f->check->name);
	add_quote(r, f);
	if (f->fix) {
		bh_buf_puts(&r->out, "       = fix: ");
		bh_buf_escape(&r->out, f->fix);
		bh_buf_putc(&r->out, '\n');
	}
}

static void add_summary(struct report *r)
{
	if (r->n == 0) {
		bh_buf_puts(&r->out, "no findings\n");
		return;
	}
	bh_cli_count(&r->out, (json_int_t)r->counts[BH_SEVERITY_ERROR], "error");
	bh_buf_puts(&r->out, ", ");
	bh_cli_count(&r->out, (json_int_t)r->counts[BH_SEVERITY_WARNING], "warning");
	bh_buf_printf(&r->out, ", %zu info\n", r->counts[BH_SEVERITY_INFO]);
}

static void print_text(struct report *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		add_text(r, &r->findings[i]);
	add_summary(r);
	bh_cli_print(&r->out);
}

/* --- for machines and documents --------------------------------------------------------------- */

static void print_json(const struct report *r)
{
	json_t *list = json_array(), *top;
	size_t i;

	for (i = 0; i < r->n; i++) {
		const struct bh_finding *f = &r->findings[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "check",
					f->check->name, "severity", bh_severity_str(f->severity),
					"file", bh_text_json(f->file), "line",
					f->line > 0 ? json_integer(f->line) : json_null(),
					"subject", bh_text_json(f->subject), "text",
					bh_text_json(f->text), "fix", bh_text_json(f->fix)));
	}
	top = json_pack("{s:o, s:{s:I, s:I, s:I}}", "findings", list, "summary", "error",
			(json_int_t)r->counts[BH_SEVERITY_ERROR], "warning",
			(json_int_t)r->counts[BH_SEVERITY_WARNING], "info",
			(json_int_t)r->counts[BH_SEVERITY_INFO]);
	bh_cli_print_json(top);
	json_decref(top);
}

/* A table cell: what would end the cell or start markup is escaped. */
static void add_cell(struct bh_buf *out, const char *text)
{
	struct bh_buf escaped = { 0 };
	const char *c;

	bh_buf_escape(&escaped, text);
	for (c = bh_buf_str(&escaped); *c; c++) {
		if (strchr("|\\`*_<>[]", *c))
			bh_buf_putc(out, '\\');
		bh_buf_putc(out, *c);
	}
	bh_buf_done(&escaped);
	bh_buf_puts(out, " | ");
}

static void print_markdown(struct report *r)
{
	size_t i;

	if (r->n)
		bh_buf_puts(&r->out, "| severity | check | where | object | finding | fix |\n"
				     "|---|---|---|---|---|---|\n");
	for (i = 0; i < r->n; i++) {
		const struct bh_finding *f = &r->findings[i];
		bh_auto_free char *where =
			bh_asprintf(f->line > 0 ? "%s:%d" : "%s", f->file ? f->file : "", f->line);

		bh_buf_printf(&r->out, "| %s | %s | ", bh_severity_str(f->severity),
			      f->check->name);
		add_cell(&r->out, where);
		add_cell(&r->out, f->subject);
		add_cell(&r->out, f->text);
		add_cell(&r->out, f->fix ? f->fix : "");
		r->out.len--;
		bh_buf_putc(&r->out, '\n');
	}
	if (r->n)
		bh_buf_putc(&r->out, '\n');
	add_summary(r);
	bh_cli_print(&r->out);
}

static void print_sarif(const struct bh_lint *lint)
{
	json_t *top = bh_lint_sarif(lint);

	bh_cli_print_json(top);
	json_decref(top);
}

/* --- the command --------------------------------------------------------------------------- */

static int list_checks(const struct bh_cli *cli)
{
	const struct bh_lint_check *const *checks;
	size_t n = bh_lint_checks(&checks), i;
	struct bh_buf out = { 0 };

	for (i = 0; i < n; i++) {
		bh_buf_printf(&out, "%-26s", checks[i]->name);
		bh_cli_paint(cli, &out, colors[checks[i]->severity],
			     bh_severity_str(checks[i]->severity));
		bh_buf_printf(&out, "%*s%s\n",
			      (int)(9 - strlen(bh_severity_str(checks[i]->severity))), "",
			      checks[i]->summary);
	}
	bh_cli_print(&out);
	bh_buf_done(&out);
	return BH_CLI_YES;
}

/* Whether a finding is as severe as --fail-on says. */
static bool fails(const struct report *r)
{
	const char *from = bh_cli_value(r->cli, "fail-on");
	size_t s;

	if (from && strcmp(from, "none") == 0)
		return false;
	for (s = BH_SEVERITY_COUNT_; s-- > 0;) {
		if (r->counts[s])
			return true;
		if (strcmp(from ? from : "error", bh_severity_str((enum bh_severity)s)) == 0)
			return false;
	}
	return false;
}

static int print(const struct bh_cli *cli, const struct bh_lint *lint)
{
	const char *format = bh_cli_value(cli, "output");
	struct report r = { .cli = cli };
	size_t i;

	r.n = bh_lint_findings(lint, &r.findings);
	for (i = 0; i < r.n; i++)
		r.counts[r.findings[i].severity]++;
	if (!format || strcmp(format, "txt") == 0)
		print_text(&r);
	else if (strcmp(format, "json") == 0)
		print_json(&r);
	else if (strcmp(format, "md") == 0)
		print_markdown(&r);
	else
		print_sarif(lint);
	bh_buf_done(&r.out);
	free(r.text);
	return fails(&r) ? BH_CLI_NO : BH_CLI_YES;
}

static size_t values(const struct bh_cli *cli, const char *name, const char **ret)
{
	size_t n = 0;

	while (n < BH_CLI_MAX_ARGS && (ret[n] = bh_cli_nth_value(cli, name, n)))
		n++;
	return n;
}

static int run(const struct bh_cli *cli)
{
	const char *only[BH_CLI_MAX_ARGS], *ignored[BH_CLI_MAX_ARGS];
	struct bh_lint_config config = { .only = only,
					 .n_only = values(cli, "only", only),
					 .ignored = ignored,
					 .n_ignored = values(cli, "ignore", ignored) };
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bh_auto(bh_lint_free) struct bh_lint *lint = NULL;
	struct bh_err err = { 0 };
	int r;

	if (bh_cli_has(cli, "list-checks"))
		return list_checks(cli);
	if (cli->n_operands == 0) {
		bh_log_error("sim lint needs %s", BH_CLI_SIM_OPERANDS);
		return BH_CLI_SIM_FAILED;
	}
	r = bh_cli_sim_load_to_check(cli, cli->operands, cli->n_operands, &sim);
	if (r != BH_CLI_YES)
		return r;
	if (bh_lint_new(&lint, sim, &config, &err) < 0) {
		bh_log_error("%s; --list-checks lists them", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	return print(cli, lint);
}

static const struct bh_cli_option options[] = {
	{ .letter = 'o', .name = "output", .arg = "txt|json|md|sarif", .text = "default: txt" },
	{ .name = "fail-on",
	  .arg = "error|warning|info|none",
	  .text = "exit with 1 from this severity on (default: error)" },
	{ .name = "ignore", .arg = "CHECK", .text = "leave this check out; may be repeated" },
	{ .name = "only", .arg = "CHECK", .text = "this check only; may be repeated" },
	{ .name = "list-checks", .text = "list all checks" },
	BH_CLI_SIM_INPUT_OPTIONS,
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_lint = {
	.name = "sim lint",
	.summary = "what is wrong with policies, where, and how to mend it",
	.operands = BH_CLI_SIM_OPERANDS,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about = "Looks for policies that do not do what their author most likely meant: each\n"
		 "finding has a severity, a place, and what to do.  Policies that are not valid\n"
		 "are findings here.  Exit status 1 if there is an error (see --fail-on).\n",
	.examples = "  bulkhead sim lint ./manifests\n"
		    "  bulkhead sim lint --fail-on warning --ignore open-rule ./manifests\n"
		    "  bulkhead sim lint -o sarif ./manifests > lint.sarif\n"
		    "  helm template ./chart | bulkhead sim lint -\n",
	.run = run,
};
