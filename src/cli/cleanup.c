#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bh/log.h"
#include "bh/nft.h"
#include "bh/serve.h"
#include "commands.h"

static int ignore(void *ctx, const json_t *data)
{
	(void)ctx;
	(void)data;
	return 1;
}

static bool is_agent_there(const struct bh_cli *cli)
{
	json_t *request = json_pack("{s:s}", "method", "status");
	int r = bh_control_call(cli->control, request, 2000, ignore, NULL, NULL);

	json_decref(request);
	return r != -EHOSTDOWN;
}

/* Anything but y or yes is a no. */
static bool is_confirmed(void)
{
	char answer[16];

	fputs("Remove the rules nevertheless? [y/N] ", stderr);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return !strcmp(answer, "y") || !strcmp(answer, "Y") || !strcmp(answer, "yes");
}

static bool may_remove(const struct bh_cli *cli)
{
	if (bh_cli_has(cli, "yes") || bh_cli_has(cli, "force") || !is_agent_there(cli))
		return true;
	bh_log_warning("an agent runs on '%s': it will notice and load its rules again; "
		       "stop it first (systemctl stop bulkheadd)",
		       cli->control);
	if (!isatty(STDIN_FILENO)) {
		bh_log_error("nothing was removed; --yes removes without a question");
		return false;
	}
	if (is_confirmed())
		return true;
	bh_log_info("Nothing was removed.");
	return false;
}

static int remove_tables(struct bh_err *err)
{
	struct bh_nft *nft;
	int r;

	r = bh_nft_new(&nft, err);
	if (r < 0)
		return r;
	r = bh_nft_cleanup(nft, err);
	bh_nft_free(&nft);
	return r;
}

static int run(const struct bh_cli *cli)
{
	struct bh_err err = { 0 };
	int r;

	if (!may_remove(cli))
		return BH_CLI_NO;
	r = remove_tables(&err);
	if (r == -EPERM || r == -EACCES) {
		bh_log_error("removing rules needs CAP_NET_ADMIN: run this as root (%s)",
			     bh_err_text(&err));
		return BH_CLI_FAILED;
	}
	if (r < 0) {
		bh_log_error("cannot remove the rules: %s", bh_err_text(&err));
		return BH_CLI_FAILED;
	}
	puts("The tables of Bulkhead ('inet bulkhead', 'netdev bulkhead' and 'bridge bulkhead') "
	     "are gone from this network namespace.");
	return BH_CLI_YES;
}

static const struct bh_cli_option options[] = {
	{ .letter = 'y', .name = "yes", .text = "do not ask, even while an agent runs" },
	{ .letter = 'f', .name = "force", .text = "the same as --yes" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_cleanup = {
	.name = "cleanup",
	.summary = "remove all rules of Bulkhead from the kernel",
	.operands = "",
	.options = options,
	.about =
		"Removes the tables 'inet bulkhead', 'netdev bulkhead' and 'bridge bulkhead' from\n"
		"the network namespace that this runs in, and with them all enforcement.  A "
		"stopped agent leaves its rules in force; this is\n"
		"how they go.  Other tables are not touched.  Needs CAP_NET_ADMIN.\n",
	.examples = "  systemctl stop bulkheadd && bulkhead cleanup\n"
		    "  ip netns exec lab bulkhead cleanup --yes\n",
	.run = run,
};
