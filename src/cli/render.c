/*
 * The ruleset as text: the agent's, or that of a folder of manifests, through
 * the same engine and without kernel, root or agent.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/compile.h"
#include "bh/log.h"
#include "bh/manifest.h"
#include "bh/render.h"
#include "bh/world.h"
#include "commands.h"

/* --- asking the agent ------------------------------------------------------------- */

static int print_answer(void *ctx, const json_t *data)
{
	const char *text = bh_cli_str(data, "nft");

	(void)ctx;
	fputs(text, stdout);
	return 0;
}

static int render_online(const struct bh_cli *cli)
{
	return bh_cli_ask(cli, json_pack("{s:s}", "method", "render"), BH_CLI_TIMEOUT_MS,
			  print_answer, NULL);
}

/* --- from files --------------------------------------------------------------------- */

struct offline {
	struct bh_world *world;
	unsigned int n_problems;
};

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct offline *o = ctx;
	struct bh_err err = { 0 };

	if (bh_world_apply(o->world, fact, &err) == 0)
		return;
	bh_log_error("%s", bh_err_text(&err));
	o->n_problems++;
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	const struct offline *o = ctx;

	bh_world_remove(o->world, key);
}

static void on_synced(void *ctx, enum bh_source source)
{
	(void)ctx;
	(void)source;
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct offline *o = ctx;

	(void)source;
	if (!text)
		return;
	bh_log_error("%s: %s", subject, text);
	o->n_problems++;
}

static int parse_number(const struct bh_cli *cli, const char *option, unsigned long max,
			unsigned long *ret)
{
	const char *s = bh_cli_value(cli, option);
	unsigned long v;
	char *end;

	if (!s)
		return 0;
	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9' || *end || errno || v > max) {
		bh_log_error("--%s: '%s' is not a number within 0-%lu", option, s, max);
		return -EINVAL;
	}
	*ret = v;
	return 0;
}

/* NULL with text where an option is wrong. */
static struct bh_world *make_world(const struct bh_cli *cli, struct bh_err *err)
{
	const char *exempt[BH_CLI_MAX_ARGS], *trusted[BH_CLI_MAX_ARGS];
	const char *mode = bh_cli_value(cli, "mode");
	struct bh_world_config config = {
		.node = bh_cli_value(cli, "node"),
		.default_deny = { bh_cli_denies(cli, BH_INGRESS), bh_cli_denies(cli, BH_EGRESS) },
		.exempt_namespaces = exempt,
		.n_exempt_namespaces = bh_cli_exempt_namespaces(cli, exempt),
		.mode = mode && !strcmp(mode, "audit") ? BH_AUDIT : BH_ENFORCE,
	};

	if (bh_cli_trust(cli, trusted, &config.trust, err) < 0)
		return NULL;
	return bh_world_new(&config);
}

static void print_plan(struct bh_world *w, const struct bh_compile_config *config)
{
	struct bh_compiler *c = bh_compiler_new(w, config);
	struct bh_buf text = { 0 };

	bh_compiler_update(c);
	bh_render(bh_compiler_plan(c), &text);
	bh_cli_print(&text);
	bh_buf_done(&text);
	bh_compiler_free(&c);
}

/* Every --policies; false where one cannot be read at all. */
static bool load(const struct bh_cli *cli, struct offline *o)
{
	struct bh_sink sink = {
		.ctx = o,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	struct bh_err err = { 0 };
	const char *path;
	size_t i;

	for (i = 0; (path = bh_cli_nth_value(cli, "policies", i)); i++) {
		if (bh_manifest_load(path, &sink, &err) < 0) {
			bh_log_error("%s", bh_err_text(&err));
			return false;
		}
	}
	return true;
}

static int render_offline(const struct bh_cli *cli)
{
	unsigned long group = BH_DEFAULT_LOG_GROUP, rate = BH_DEFAULT_LOG_RATE;
	struct bh_compile_config config;
	struct offline o = { 0 };
	struct bh_err err = { 0 };
	int r = BH_CLI_FAILED;

	if (parse_number(cli, "nflog-group", UINT16_MAX, &group) < 0 ||
	    parse_number(cli, "log-rate", 1000000, &rate) < 0)
		return BH_CLI_USAGE;
	config = bh_compile_config_of((uint16_t)group, (uint32_t)rate);
	o.world = make_world(cli, &err);
	if (!o.world) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_USAGE;
	}
	if (load(cli, &o)) {
		print_plan(o.world, &config);
		r = o.n_problems == 0 ? BH_CLI_YES : BH_CLI_FAILED;
	}
	bh_world_free(&o.world);
	return r;
}

static int run(const struct bh_cli *cli)
{
	size_t i;

	if (bh_cli_has(cli, "policies"))
		return render_offline(cli);
	for (i = 0; i < cli->n_values; i++) {
		const char *name = cli->values[i].option->name;

		if (!strcmp(name, "control"))
			continue;
		bh_log_error("--%s is for --policies; the agent has settings of its own", name);
		return BH_CLI_USAGE;
	}
	return render_online(cli);
}

static const struct bh_cli_option options[] = {
	{ .name = "policies",
	  .arg = "PATH",
	  .text = "render these manifests instead; may be repeated" },
	{ .name = "node", .arg = "NAME", .text = "rules for this node's pods only" },
	{ .name = "mode", .arg = "enforce|audit", .text = "as of bulkheadd(8)" },
	{ .name = "default-deny", .arg = "ingress|egress|both|none", .text = "as of bulkheadd(8)" },
	{ .name = "exempt-namespace",
	  .arg = "NAME",
	  .text = "as of bulkheadd(8); may be repeated" },
	{ .name = "annotations",
	  .arg = "[KEY=]WHO",
	  .text = "as of bulkheadd(8); may be repeated" },
	{ .name = "trusted-namespace",
	  .arg = "NAME",
	  .text = "as of bulkheadd(8); may be repeated" },
	{ .name = "nflog-group", .arg = "N", .text = "as of bulkheadd(8)" },
	{ .name = "log-rate", .arg = "N", .text = "as of bulkheadd(8)" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_render = {
	.name = "render",
	.summary = "print the nftables ruleset, of the agent or of manifests",
	.operands = "",
	.options = options,
	.about = "Prints the ruleset that the agent wants in the kernel, in the syntax of nft(8).\n"
		 "With --policies it is made from a file or folder of manifests instead, without\n"
		 "agent and root: Pods need status.podIPs to appear in it.  Problems with files\n"
		 "go to standard error and make the exit status 4.\n",
	.examples = "  bulkhead render\n"
		    "  bulkhead render --policies ./policies > rules.nft && nft -c -f rules.nft\n"
		    "  bulkhead render --policies ./policies --default-deny both\n",
	.run = run,
};
