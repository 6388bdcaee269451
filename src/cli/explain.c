#include <string.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"

/* The text is sentences, the first of which starts with the verdict. */
static void show(const struct bh_cli *cli, const json_t *answer)
{
	const char *verdict = bh_cli_str(answer, "verdict");
	const char *text = bh_cli_str(answer, "text");
	bool is_allowed = !strcmp(verdict, "allowed");
	struct bh_buf out = { 0 };

	bh_cli_paint(cli, &out, is_allowed ? BH_CLI_GREEN : BH_CLI_RED, verdict);
	if (!strncmp(text, verdict, strlen(verdict)))
		text += strlen(verdict);
	else
		bh_buf_puts(&out, *text ? "\n" : "");
	while (*text) {
		size_t len = strcspn(text, "\n");
		bh_auto_free char *line = bh_strndup(text, len);

		bh_buf_escape(&out, line);
		bh_buf_putc(&out, '\n');
		text += len + (text[len] == '\n');
	}
	if (out.len > 0 && out.data[out.len - 1] != '\n')
		bh_buf_putc(&out, '\n');
	bh_cli_print(&out);
	bh_buf_done(&out);
}

static int run(const struct bh_cli *cli)
{
	struct bh_cli_port port = { 0 };
	struct bh_err err = { 0 };
	json_t *answer, *request;
	int r;

	if (bh_cli_parse_port(cli->operands[2], &port, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_USAGE;
	}
	request = json_pack("{s:s, s:s, s:s, s:o, s:s, s:s*, s:s*}", "method", "explain", "src",
			    cli->operands[0], "dst", cli->operands[1], "port",
			    port.port ? json_integer(port.port) : json_null(), "protocol",
			    port.protocol, "from", bh_cli_value(cli, "from"), "to",
			    bh_cli_value(cli, "to"));
	if (!request) {
		bh_log_error("the arguments are not UTF-8");
		return BH_CLI_USAGE;
	}
	r = bh_cli_ask_one(cli, request, &answer);
	if (r != BH_CLI_YES)
		return r;
	if (bh_cli_is_json(cli))
		bh_cli_print_json(answer);
	else
		show(cli, answer);
	r = strcmp(bh_cli_str(answer, "verdict"), "allowed") == 0 ? BH_CLI_YES : BH_CLI_NO;
	json_decref(answer);
	return r;
}

static const struct bh_cli_option options[] = {
	{ .name = "from", .arg = "ADDR", .text = "the source address, if not one of the pod's" },
	{ .name = "to",
	  .arg = "ADDR",
	  .text = "the destination address, if not one of the pod's: a group's" },
	{ .letter = 'o', .name = "output", .arg = "text|json", .text = "how to print" },
	{ .name = NULL },
};

const struct bh_cli_command bh_cli_explain = {
	.name = "explain",
	.summary = "would this connection be allowed, and which rule says so",
	.operands = "SRC DST PORT/PROTO",
	.min_operands = 3,
	.max_operands = 3,
	.options = options,
	.about = "Asks the running agent what would happen to a new connection, and why: the rule\n"
		 "that decides in each direction, or the policies that isolate the pod and the\n"
		 "rule that came nearest.  No packet is sent.\n"
		 "SRC and DST are NAMESPACE/POD, an address, or node:NAME.  PORT is the port of "
		 "the\n"
		 "pod, not of a Service; the protocol is tcp if not given.\n"
		 "For a group's address (multicast, broadcast), each pod that gets a copy is "
		 "named.\n"
		 "Exits with 0 if it is allowed, 1 if denied, 2 and more if there is no answer.\n",
	.examples = "  bulkhead explain shop/web shop/db 5432\n"
		    "  bulkhead explain shop/web 10.96.0.10 53/udp\n"
		    "  bulkhead explain 203.0.113.7 shop/web 8080/tcp\n"
		    "  bulkhead explain shop/web 224.0.0.251 5353/udp\n"
		    "  bulkhead explain --from 10.244.1.9 shop/web shop/db 5432\n"
		    "  bulkhead explain node:worker-1 shop/web icmp\n",
	.run = run,
};
