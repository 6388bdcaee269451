/*
 * Who can connect to whom on the ports that are asked for.
 */
#include <stdlib.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"
#include "sim_input.h"

#define DEFAULT_PORT "any"

struct picked {
	uint32_t *rows, *columns;
	const struct bh_conns **ports;
	struct bh_matrix matrix;
};

static void picked_done(struct picked *p)
{
	free(p->rows);
	free(p->columns);
	free(p->ports);
}

static bool is_meant(const struct bh_cli *cli, const struct bh_sim *sim,
		     const struct bh_cli_sim_filter *f, const struct bh_graph_peer *peer)
{
	const struct bh_sim_workload *w;

	if (peer->kind != BH_GRAPH_WORKLOAD)
		return bh_cli_has(cli, "outside");
	w = peer->workload ? peer->workload : bh_sim_workload_of(sim, peer->pods[0]);
	return w && bh_cli_sim_wants(f, w);
}

static void pick_peers(const struct bh_cli *cli, const struct bh_sim *sim,
		       const struct bh_cli_sim_filter *f, struct picked *p)
{
	const struct bh_graph_peer *peers;
	size_t i, n = bh_graph_peers(p->matrix.graph, &peers);

	p->rows = bh_calloc(n + 1, sizeof(*p->rows));
	p->columns = bh_calloc(n + 1, sizeof(*p->columns));
	for (i = 0; i < n; i++) {
		bool is_workload = peers[i].kind == BH_GRAPH_WORKLOAD;

		if (!is_meant(cli, sim, f, &peers[i]))
			continue;
		if (is_workload || peers[i].is_src)
			p->rows[p->matrix.n_rows++] = (uint32_t)i;
		if (is_workload || peers[i].is_dst)
			p->columns[p->matrix.n_columns++] = (uint32_t)i;
	}
	p->matrix.rows = p->rows;
	p->matrix.columns = p->columns;
}

static int pick_ports(const struct bh_cli *cli, struct picked *p, struct bh_err *err)
{
	struct bh_conn_table *t = bh_graph_table(p->matrix.graph);
	const char *text;
	size_t i;
	int r;

	p->ports = bh_calloc(BH_CLI_MAX_ARGS, sizeof(*p->ports));
	for (i = 0; (text = bh_cli_nth_value(cli, "port", i)) || i == 0; i++) {
		r = bh_conns_parse(t, text ? text : DEFAULT_PORT, &p->ports[i], err);
		if (r < 0)
			return bh_err_wrap(err, r, "--port");
		p->matrix.n_ports++;
	}
	p->matrix.ports = p->ports;
	return 0;
}

static int print(const struct bh_cli *cli, const struct bh_sim *sim, struct bh_graph *g,
		 const struct bh_cli_sim_filter *f)
{
	bh_auto(picked_done) struct picked p = { .matrix = { .graph = g } };
	struct bh_buf out = { 0 };
	struct bh_err err = { 0 };

	if (pick_ports(cli, &p, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	pick_peers(cli, sim, f, &p);
	if (p.matrix.n_rows == 0 || p.matrix.n_columns == 0) {
		bh_log_warning("no workload is meant by --namespace and --selector");
		return BH_CLI_YES;
	}
	bh_matrix_write(&p.matrix, bh_sim_format_of(bh_cli_value(cli, "output")), &out);
	bh_cli_print(&out);
	bh_buf_done(&out);
	return BH_CLI_YES;
}

static int run(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bh_auto(bh_graph_free) struct bh_graph *g = NULL;
	struct bh_cli_sim_filter filter;
	int r = bh_cli_sim_load_filtered(cli, &sim, &filter);

	if (r != BH_CLI_YES)
		return r;
	g = bh_cli_has(cli, "pods") ? bh_graph_of_pods(sim) : bh_graph_new(sim);
	r = print(cli, sim, g, &filter);
	bh_cli_sim_filter_done(&filter);
	return r;
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	BH_CLI_SIM_FILTER_OPTIONS,
	{ .name = "port",
	  .arg = "CONN",
	  .text = "tcp/80, udp/5000-6000, icmp; may be repeated (default: any)" },
	{ .name = "pods", .text = "every pod by itself, instead of workloads" },
	{ .name = "outside", .text = "ranges of addresses outside and nodes, too" },
	{ .letter = 'o', .name = "output", .arg = "txt|json|csv|md", .text = "how to write it" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_matrix = {
	.name = "sim matrix",
	.summary = "who can connect to whom on some ports, as a table",
	.operands = BH_CLI_SIM_OPERANDS,
	.min_operands = 1,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about = "Prints three tables for each --port: what the destinations' policies let in\n"
		 "(ingress), what the sources' let out (egress), and both (combined).  A dot is\n"
		 "allowed and X is denied; the legend has the rest.\n",
	.examples = "  bulkhead sim matrix --port tcp/80 --port udp/53 ./manifests\n"
		    "  bulkhead sim matrix --pods --port tcp/5432 -n shop ./manifests\n"
		    "  bulkhead sim matrix --port icmp --outside -o csv ./manifests\n",
	.run = run,
};
