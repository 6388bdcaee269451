/*
 * Who is open to what.
 */
#include <stdlib.h>

#include "bh/alloc.h"
#include "commands.h"
#include "sim_input.h"

static bool is_meant(const struct bh_cli *cli, const struct bh_cli_sim_filter *f,
		     const struct bh_exposure *e)
{
	return bh_cli_sim_wants(f, e->workload) &&
	       !(bh_cli_has(cli, "unprotected") && e->is_protected);
}

static void print(const struct bh_cli *cli, const struct bh_exposures *e,
		  const struct bh_cli_sim_filter *f)
{
	bh_auto_free struct bh_exposure *meant = NULL;
	const struct bh_exposure *items;
	size_t n = bh_exposures_items(e, &items), n_meant = 0, i;
	struct bh_buf out = { 0 };

	meant = bh_calloc(n, sizeof(*meant));
	for (i = 0; i < n; i++)
		if (is_meant(cli, f, &items[i]))
			meant[n_meant++] = items[i];
	bh_exposures_write(meant, n_meant, bh_sim_format_of(bh_cli_value(cli, "output")), &out);
	bh_cli_print(&out);
	bh_buf_done(&out);
}

static int run(const struct bh_cli *cli)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = NULL;
	bh_auto(bh_exposures_free) struct bh_exposures *e = NULL;
	struct bh_cli_sim_filter filter;
	int r = bh_cli_sim_load_filtered(cli, &sim, &filter);

	if (r != BH_CLI_YES)
		return r;
	e = bh_exposures_new(sim);
	print(cli, e, &filter);
	bh_cli_sim_filter_done(&filter);
	return BH_CLI_YES;
}

static const struct bh_cli_option options[] = {
	BH_CLI_SIM_INPUT_OPTIONS,
	BH_CLI_SIM_FILTER_OPTIONS,
	{ .name = "unprotected", .text = "only what no policy protects" },
	{ .letter = 'o', .name = "output", .arg = "txt|json|csv|md", .text = "how to write it" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_sim_exposure = {
	.name = "sim exposure",
	.summary = "what is open to the internet, to the cluster, to pods to come",
	.operands = BH_CLI_SIM_OPERANDS,
	.min_operands = 1,
	.max_operands = BH_CLI_MAX_ARGS,
	.options = options,
	.usage_status = BH_CLI_SIM_FAILED,
	.about = "Says of every workload and direction whether a policy protects it, and what is\n"
		 "open to the internet, to the whole cluster, and to pods that rules select,\n"
		 "whether they exist or not.\n",
	.examples = "  bulkhead sim exposure ./manifests\n"
		    "  bulkhead sim exposure --unprotected -o md ./manifests\n"
		    "  bulkhead sim exposure -l app=db ./manifests\n",
	.run = run,
};
