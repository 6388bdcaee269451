/*
 * bulkheadd: the agent of one node.
 */
#include <stdio.h>
#include <stdlib.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/log.h"
#include "config.h"

static void print_help(void)
{
	struct bh_buf text = { 0 };

	bh_config_help(&text);
	fputs(bh_buf_str(&text), stdout);
	bh_buf_done(&text);
}

static int run(const struct bh_config *config)
{
	struct bh_err err = { 0 };

	if (bh_agent_run(config, &err) == 0)
		return BH_EXIT_OK;
	bh_log_error("cannot start: %s", bh_err_text(&err));
	return BH_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	bh_auto(bh_config_done) struct bh_config config = { 0 };
	struct bh_err err = { 0 };

	/* systemd-journald(8) sets it where standard error is its own. */
	bh_log_set_journal(getenv("JOURNAL_STREAM") != NULL);
	if (bh_config_parse(argc, argv, &config, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_EXIT_USAGE;
	}
	bh_log_set_level(config.log_level);

	switch (config.action) {
	case BH_CONFIG_RUN: return run(&config);
	case BH_CONFIG_CHECK: return bh_check_config(&config);
	case BH_CONFIG_BOOT: return bh_boot_load(&config);
	case BH_CONFIG_HELP: print_help(); return BH_EXIT_OK;
	case BH_CONFIG_VERSION: puts("bulkheadd " BH_VERSION); return BH_EXIT_OK;
	}
	abort();
}
