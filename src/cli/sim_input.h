/*
 * What the simulator's commands share: where their input comes from, and whom
 * they are about.
 */
#ifndef BH_CLI_SIM_INPUT_H
#define BH_CLI_SIM_INPUT_H

#include "bh/sim.h"
#include "cli.h"

/* Exit status beyond yes and no, of commands that are about policies. */
enum bh_cli_sim_exit {
	BH_CLI_SIM_UNDECIDABLE = 2, /* `sim eval`: the API leaves it open */
	BH_CLI_SIM_BAD_INPUT = 3,   /* a manifest, or a line of a batch */
	BH_CLI_SIM_FAILED = 4,      /* wrong usage too, as 2 has a meaning of its own */
};

/* Rows of a command's table of options; every sim command has these. */
#define BH_CLI_SIM_INPUT_OPTIONS                                                                   \
	{ .letter = 'n',                                                                           \
	  .name = "namespace",                                                                     \
	  .arg = "NAME",                                                                           \
	  .text = "of objects and names that give none (default: default)" },                      \
		{ .name = "keep-going", .text = "leave out what cannot be read, and say so" },     \
		{ .name = "compat",                                                                \
		  .arg = "netpol-analyzer|none",                                                   \
		  .text = "judge as this program does" },                                          \
		{ .name = "default-deny",                                                          \
		  .arg = "ingress|egress|both|none",                                               \
		  .text = "as of bulkheadd(8)" },                                                  \
		{ .name = "exempt-namespace",                                                      \
		  .arg = "NAME",                                                                   \
		  .text = "as of bulkheadd(8); may be repeated" },                                 \
		{ .name = "annotations",                                                           \
		  .arg = "[KEY=]WHO",                                                              \
		  .text = "as of bulkheadd(8); may be repeated" },                                 \
		{ .name = "trusted-namespace",                                                     \
		  .arg = "NAME",                                                                   \
		  .text = "as of bulkheadd(8); may be repeated" },                                 \
	{                                                                                          \
		.name = "mode", .arg = "enforce|audit", .text = "as of bulkheadd(8)"               \
	}

/* And those that list things these too. */
#define BH_CLI_SIM_FILTER_OPTIONS                                                                  \
	{ .letter = 'A',                                                                           \
	  .name = "all-namespaces",                                                                \
	  .text = "list all namespaces, also with --namespace" },                                  \
	{                                                                                          \
		.letter = 'l', .name = "selector", .arg = "SELECTOR",                              \
		.text = "only workloads with these labels, as in app=web,tier!=db"                 \
	}

#define BH_CLI_SIM_OPERANDS "DIR|FILE|-..."

/*
 * Reads all of @paths into one simulator, ready for questions.  Returns
 * BH_CLI_YES; otherwise what is wrong has been logged, *ret is unset and the
 * result is the exit status.  With --keep-going it warns instead.
 */
int bh_cli_sim_load(const struct bh_cli *cli, const char *const *paths, size_t n,
		    struct bh_sim **ret);
/* The same for who finds policies that are not valid among the remarks: they are no problem. */
int bh_cli_sim_load_to_check(const struct bh_cli *cli, const char *const *paths, size_t n,
			     struct bh_sim **ret);

/* "web" -> "shop/web", with --namespace or else "default"; other ends as they are.  To be freed. */
char *bh_cli_sim_end(const struct bh_cli *cli, const char *text);

/* Question and answer as a line of a batch has them; a new reference. */
json_t *bh_cli_sim_answers_json(const struct bh_sim *sim, const struct bh_sim_query *q,
				const struct bh_cli_port *port, const struct bh_sim_answers *a);
/* --family; false where it was not given. */
bool bh_cli_sim_family(const struct bh_cli *cli, enum bh_family *ret);

/* Whom the answer is about: --namespace (unless --all-namespaces) and --selector. */
struct bh_cli_sim_filter {
	const char *namespace; /* NULL: all */
	struct bh_selector selector;
	struct bh_arena *arena;
};
int bh_cli_sim_filter_new(const struct bh_cli *cli, struct bh_cli_sim_filter *ret,
			  struct bh_err *err);
/*
 * Reads the filter, and then all operands as bh_cli_sim_load() does.  The filter
 * is to be released after BH_CLI_YES.
 */
int bh_cli_sim_load_filtered(const struct bh_cli *cli, struct bh_sim **ret,
			     struct bh_cli_sim_filter *ret_filter);
void bh_cli_sim_filter_done(struct bh_cli_sim_filter *f);
/* Whether @w, by any of its pods, is meant. */
bool bh_cli_sim_wants(const struct bh_cli_sim_filter *f, const struct bh_sim_workload *w);

/* --- sim_select.c -------------------------------------------------------------------- */

/*
 * A selector as kubectl takes it: "app=web,tier!=db,env in (a,b),zone notin
 * (c),!old,new".  What it points to is of @arena; -EINVAL with text.
 */
int bh_cli_parse_selector(const char *text, struct bh_arena *arena, struct bh_selector *ret,
			  struct bh_err *err);

#endif
