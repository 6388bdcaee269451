#include "cli.h"

#include <errno.h>

#include "bh/log.h"
#include "bh/serve.h"

int bh_cli_report(const struct bh_cli *cli, int code, const struct bh_err *err)
{
	switch (code) {
	case -EHOSTDOWN:
		bh_log_error("%s", bh_err_text(err));
		bh_log_info("Is bulkheadd running (systemctl status bulkheadd)? "
			    "An agent elsewhere is found with --control PATH.");
		return BH_CLI_NO_AGENT;
	case -ECONNRESET:
	case -ETIMEDOUT: bh_log_error("%s", bh_err_text(err)); return BH_CLI_NO_AGENT;
	case -EACCES:
	case -EPERM:
		bh_log_error("%s", bh_err_text(err));
		bh_log_info("Run this as root, or let a group in: chgrp GROUP %s", cli->control);
		return BH_CLI_FAILED;
	default: bh_log_error("%s", bh_err_text(err)); return BH_CLI_FAILED;
	}
}

int bh_cli_ask(const struct bh_cli *cli, json_t *request, int timeout_ms,
	       int (*on_data)(void *ctx, const json_t *data), void *ctx)
{
	struct bh_err err = { 0 };
	int r = bh_control_call(cli->control, request, timeout_ms, on_data, ctx, &err);

	json_decref(request);
	return r < 0 ? bh_cli_report(cli, r, &err) : BH_CLI_YES;
}

static int keep_answer(void *ctx, const json_t *data)
{
	json_t **answer = ctx;

	json_decref(*answer);
	*answer = json_deep_copy(data);
	return 0;
}

int bh_cli_ask_one(const struct bh_cli *cli, json_t *request, json_t **ret)
{
	json_t *answer = NULL;
	int r = bh_cli_ask(cli, request, BH_CLI_TIMEOUT_MS, keep_answer, &answer);

	if (r == BH_CLI_YES && !json_is_object(answer)) {
		bh_log_error("the agent's answer is not an object");
		r = BH_CLI_FAILED;
	}
	if (r == BH_CLI_YES)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}
