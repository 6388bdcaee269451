/*
 * What a change of policies changes.
 */
#include <string.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"
#include "sim_input.h"
#include "sim_page.h"

/* Gains and losses of connections that changed count for both. */
static bool counts(const struct bh_graph *after, const struct bh_graph_change *c, const char *what)
{
	struct bh_conn_table *t = bh_graph_table(after);

	if (strcmp(what, "removed") == 0)
		return !bh_conns_is_empty(bh_conns_minus(t, c->before, c->after));
	if (strcmp(what, "added") == 0)
		return !bh_conns_is_empty(bh_conns_minus(t, c->after, c->before));
	return true;
}

static bool fails(const struct bh_cli *cli, const struct bh_graph *after,
		  const struct bh_graph_diff *d)
{
	const struct bh_graph_change *changes;
	size_t n = bh_graph_diff_changes(d, &changes), i, k;
	const char *what;

	for (i = 0; (what = bh_cli_nth_value(cli, "fail-on", i)); i++)
		for (k = 0; k < n; k++)
			if (counts(after, &changes[k], what))
				return true;
	return i == 0 && n > 0;
}

static int print(const struct bh_cli *cli, const struct bh_sim *new, struct bh_graph *after,
		 const struct bh_graph_diff *d)
{
	const char *format = bh_cli_value(cli, "output");
	bh_auto(bh_buf_done) struct bh_buf out = { 0 };

	if (format && strcmp(format, "html") == 0) {
		struct bh_sim_page page = { .sim = new, .graph = after, .diff = d };

		page.n_edges = bh_graph_edges(after, &page.edges);
		return bh_cli_sim_page(&page);
	}
	bh_graph_diff_write(d, bh_sim_format_of(format), bh_sim_is_compat(new), &out);
	bh_cli_print(&out);
	return BH_CLI_YES;
}

static int run(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *old = NULL, *new = NULL;
	bh_auto(bh_graph_free) struct bh_graph *before = NULL, *after = NULL;
	bh_auto(bh_graph_diff_free) struct bh_graph_diff *d = NULL;
	int r = bh_cli_sim_load(cli, cli->operands, 1, &old);

	if (r == BH_CLI_YES)
		r = bh_cli_sim_load(cli, cli->operands + 1, 1, &new);
	if (r != BH_CLI_YES)
		return r;
	bh_graph_new_two(old, new, &before, &after);
	d = bh_graph_diff_new(before, after);
	r = print(cli, new, after, d);
	if (r != BH_CLI_YES)
		return r;
	return fails(cli, after, d) ? BH_CLI_NO : BH_CLI_YES;
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	{ .name = "fail-on",
	  .arg = "removed|added|any",
	  .text = "exit with 1 only where connections get lost, or new ones; may be repeated" },
	{ .letter = 'o',
	  .name = "output",
	  .arg = "txt|json|csv|md|dot|html",
	  .text = "how to write it" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_diff = {
	.name = "sim diff",
	.summary = "say which connections a change of manifests changes, and why",
	.operands = "OLD NEW",
	.min_operands = 2,
	.max_operands = 2,
	.options = options,
	.about = "Compares what two folders or files of manifests allow.  Each connection that is\n"
		 "added (+), removed (-) or changed (~), or of which audited policies would deny\n"
		 "something else (?), comes with the policy and rule, or the labels, that made it\n"
		 "so.  Exits with 0 if nothing changed and with 1 if something did.\n",
	.examples = "  bulkhead sim diff ./before ./after\n"
		    "  bulkhead sim diff --fail-on removed <(git show HEAD:net.yaml) net.yaml\n"
		    "  bulkhead sim diff -o json ./before ./after\n",
	.run = run,
};
