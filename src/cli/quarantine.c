/*
 * Cuts a pod off, and lets it back.  Both wait until the kernel has the rules and the
 * connections are cut.
 */
#include <errno.h>
#include <time.h>

#include "bh/clock.h"
#include "bh/log.h"
#include "bh/serve.h"
#include "commands.h"

#define WAIT_NS (30 * BH_NS_PER_S)
#define POLL_NS (50 * (long)BH_NS_PER_MS)

static int keep(void *ctx, const json_t *data)
{
	json_t **status = ctx;

	json_decref(*status);
	*status = json_deep_copy(data);
	return 0;
}

static bool is_done(const json_t *status)
{
	json_int_t wanted = bh_cli_int(status, "wanted_generation");

	return bh_cli_int(status, "generation") >= wanted &&
	       bh_cli_int(status, "cut_generation") >= wanted;
}

static int wait_for_kernel(const struct bh_cli *cli)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	uint64_t end_ns = bh_mono_ns() + WAIT_NS;
	json_t *status = NULL;
	int r;

	do {
		nanosleep(&pause, NULL);
		r = bh_cli_ask(cli, json_pack("{s:s}", "method", "status"), BH_CLI_TIMEOUT_MS, keep,
			       &status);
	} while (r == BH_CLI_YES && !is_done(status) && bh_mono_ns() < end_ns);
	if (r == BH_CLI_YES && !is_done(status)) {
		bh_log_error("it is kept, but not in the kernel yet (see bulkhead status)");
		r = BH_CLI_NO;
	}
	json_decref(status);
	return r;
}

static int call(const struct bh_cli *cli, json_t *request, json_t **ret)
{
	int r = bh_cli_ask_one(cli, request, ret);

	if (r == BH_CLI_YES && *bh_cli_str(*ret, "warning"))
		bh_log_warning("%s", bh_cli_str(*ret, "warning"));
	return r == BH_CLI_YES ? wait_for_kernel(cli) : r;
}

static int run_quarantine(const struct bh_cli *cli)
{
	const char *duration = bh_cli_value(cli, "for"), *reason = bh_cli_value(cli, "reason");
	json_t *allow = json_array(), *request, *answer = NULL;
	struct bh_err err = { 0 };
	struct bh_buf out = { 0 };
	uint64_t ns = 0;
	int r;

	if (duration && bh_cli_parse_duration(duration, &ns, &err) == 0 && ns == 0)
		bh_err(&err, -EINVAL, "'%s' is no time at all", duration);
	if (*bh_err_text(&err)) {
		bh_log_error("--for: %s", bh_err_text(&err));
		json_decref(allow);
		return BH_CLI_USAGE;
	}
	for (size_t i = 0; bh_cli_nth_value(cli, "allow", i); i++)
		json_array_append_new(allow, json_string(bh_cli_nth_value(cli, "allow", i)));
	request = json_pack("{s:s, s:s, s:o, s:s}", "method", "quarantine", "target",
			    cli->operands[0], "allow", allow, "reason", reason ? reason : "");
	if (!request) {
		bh_log_error("target and reason are not UTF-8");
		return BH_CLI_USAGE;
	}
	if (duration)
		json_object_set_new(request, "for_s", json_integer((json_int_t)(ns / BH_NS_PER_S)));
	r = call(cli, request, &answer);
	if (r == BH_CLI_YES) {
		bh_buf_escape(&out, cli->operands[0]);
		bh_buf_puts(&out, " is in quarantine: ");
		bh_cli_count(&out, bh_cli_int(answer, "pods"), "pod");
		bh_buf_puts(&out, " of this node\n");
		bh_cli_print(&out);
		bh_buf_done(&out);
		if (bh_cli_int(answer, "pods") == 0)
			bh_log_warning("no pod of this node is meant by it now (a pod on the "
				       "network of its node cannot be)");
	}
	json_decref(answer);
	return r;
}

static int run_release(const struct bh_cli *cli)
{
	bool is_all = bh_cli_has(cli, "all"), is_lost = bh_cli_has(cli, "lost");
	json_t *request, *answer = NULL;
	int r;

	if (is_all + is_lost + (cli->n_operands > 0) != 1) {
		bh_log_error("release wants a target, or --all, or --lost");
		return BH_CLI_USAGE;
	}
	request =
		is_all || is_lost
			? json_pack("{s:s, s:b}", "method", "release", is_all ? "all" : "lost", 1)
			: json_pack("{s:s, s:s}", "method", "release", "target", cli->operands[0]);
	if (!request) {
		bh_log_error("the target is not UTF-8");
		return BH_CLI_USAGE;
	}
	r = call(cli, request, &answer);
	json_decref(answer);
	return r;
}

static const struct bh_cli_option options[] = {
	{ .name = "allow",
	  .arg = "CIDR",
	  .text = "addresses that stay in reach, both ways; may be repeated" },
	{ .name = "for", .arg = "DURATION", .text = "ends by itself: 30m, 2h, 7d" },
	{ .name = "reason", .arg = "TEXT", .text = "for status and records" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_quarantine = {
	.name = "quarantine",
	.summary = "cut a pod off from everything, now",
	.operands = "NAMESPACE/POD|NAMESPACE/KEY=VALUE[,...]",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.about =
		"Cuts every connection of a pod of this node, or of all pods of a namespace that\n"
		"have these labels, and denies them both directions before any policy is asked.\n"
		"What is denied is recorded, with the reason \"quarantine\".  It survives "
		"restarts\n"
		"of the agent and lasts until it is released or --for ends it; the same target\n"
		"again replaces it.  The own node reaches its pods as before (probes).  Ends when\n"
		"the kernel has the rules and the connections are cut.  Only root may.\n",
	.examples = "  bulkhead quarantine shop/web-1 --reason 'talks to a miner'\n"
		    "  bulkhead quarantine shop/app=web --allow 10.9.0.5/32 --for 2h\n",
	.run = run_quarantine,
};

static const struct bh_cli_option release_options[] = {
	{ .name = "all", .text = "every one that an operator set; what was lost is given up" },
	{ .name = "lost", .text = "those that are set now are all: what was lost is given up" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_release = {
	.name = "release",
	.summary = "end a quarantine",
	.operands = "[NAMESPACE/POD|NAMESPACE/KEY=VALUE[,...]]",
	.max_operands = 1,
	.options = release_options,
	.about =
		"Ends what `bulkhead quarantine` set for the same target.  One by annotation ends\n"
		"with the annotation.  Where the list of quarantines was lost, every pod of this\n"
		"node is in quarantine: set those again that are wanted, then end that with "
		"--lost.\n"
		"Only root may.\n",
	.examples = "  bulkhead release shop/web-1\n",
	.run = run_release,
};
