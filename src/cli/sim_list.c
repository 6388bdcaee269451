/*
 * Every connection that policies allow.
 */
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"
#include "sim_focus.h"
#include "sim_input.h"
#include "sim_page.h"

struct listing {
	struct bh_graph_listing list;
	struct bh_graph_edge *edges;
	size_t cap;
	struct bh_sim_focus focus;
};

/* Leaves of @e what the answer is about. */
static bool narrow(struct bh_conn_table *t, const struct bh_conns *about, struct bh_graph_edge *e)
{
	enum bh_family f;

	if (!about)
		return true;
	e->allowed = bh_conns_and(t, e->allowed, about);
	e->audited = bh_conns_and(t, e->audited, about);
	for (f = 0; f < BH_FAMILY_COUNT_; f++)
		e->only[f] = bh_conns_and(t, e->only[f], about);
	return !bh_conns_is_empty(e->allowed) || e->own_node == BH_GRAPH_SOME_OWN;
}

static void choose(struct bh_graph *g, struct listing *l)
{
	const struct bh_graph_edge *edges;
	const struct bh_graph_peer *peers;
	size_t n = bh_graph_edges(g, &edges), i;

	bh_graph_peers(g, &peers);
	for (i = 0; i < n; i++) {
		struct bh_graph_edge e = edges[i];

		if (!bh_sim_focus_wants(&l->focus, &peers[e.src], &peers[e.dst]) ||
		    !narrow(bh_graph_table(g), l->list.about, &e))
			continue;
		bh_grow(&l->edges, &l->cap, l->list.n, sizeof(*l->edges));
		l->edges[l->list.n++] = e;
	}
	l->list.edges = l->edges;
}

static int print(const struct bh_cli *cli, const struct bh_sim *sim, struct bh_graph *g,
		 const struct bh_graph_listing *list)
{
	const char *format = bh_cli_value(cli, "output");
	struct bh_buf out = { 0 };

	if (format && strcmp(format, "html") == 0)
		return bh_cli_sim_page(&(struct bh_sim_page){
			.sim = sim,
			.graph = g,
			.edges = list->edges,
			.n_edges = list->n,
		});
	bh_graph_list(list, bh_sim_format_of(format), &out);
	bh_cli_print(&out);
	bh_buf_done(&out);
	return BH_CLI_YES;
}

static int list(const struct bh_cli *cli, const struct bh_sim *sim, struct bh_graph *g)
{
	struct listing l = { .list = { .graph = g, .is_compat = bh_sim_is_compat(sim) } };
	const char *conn = bh_cli_value(cli, "conn");
	struct bh_err err = { 0 };
	int r = 0;

	if (conn)
		r = bh_conns_parse(bh_graph_table(g), conn, &l.list.about, &err);
	if (r < 0)
		bh_err_wrap(&err, r, "--conn");
	else
		r = bh_sim_focus_new(cli, sim, &l.focus, &err);
	if (r < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	choose(g, &l);
	r = print(cli, sim, g, &l.list);
	bh_sim_focus_done(&l.focus);
	free(l.edges);
	return r;
}

static int run(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bh_auto(bh_graph_free) struct bh_graph *g = NULL;
	int r = bh_cli_sim_load(cli, cli->operands, cli->n_operands, &sim);

	if (r != BH_CLI_YES)
		return r;
	g = bh_graph_new(sim);
	return list(cli, sim, g);
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	BH_CLI_SIM_FILTER_OPTIONS,
	BH_CLI_SIM_FOCUS_OPTIONS,
	{ .name = "conn",
	  .arg = "CONN",
	  .text = "only these connections: tcp/80, udp/5000-6000, icmp" },
	{ .letter = 'o',
	  .name = "output",
	  .arg = "txt|json|csv|md|dot|html",
	  .text = "how to write it" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_list = {
	.name = "sim list",
	.summary = "list all connections that policies in manifests allow",
	.operands = BH_CLI_SIM_OPERANDS,
	.min_operands = 1,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.about = "Lists what may connect to what: workloads, ranges of addresses outside, and "
		 "nodes\n"
		 "where manifests describe them.  Needs no cluster, no root and no network.\n"
		 "Connections that are only logged because a policy is in audit are listed, with\n"
		 "what will be denied.  See bulkhead-sim(1) for what the lines mean.\n",
	.examples = "  bulkhead sim list ./manifests\n"
		    "  helm template ./chart | bulkhead sim list -\n"
		    "  bulkhead sim list --focus shop/db --direction ingress ./manifests\n"
		    "  bulkhead sim list --conn tcp/5432 -o json ./manifests\n",
	.run = run,
};
