#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "commands.h"

static const struct {
	const char *name; /* as people write it */
	const char *wire;
	bool has_ports;
} protocols[] = {
	{ "tcp", "TCP", true },    { "udp", "UDP", true },        { "sctp", "SCTP", true },
	{ "icmp", "ICMP", false }, { "icmpv6", "ICMPv6", false },
};

struct service {
	const char *protocol; /* as the agent reads it */
	unsigned int port;    /* 0: none */
};

static int parse_protocol(const char *s, struct service *ret, bool *ret_has_ports)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(protocols); i++) {
		if (strcasecmp(s, protocols[i].name) != 0)
			continue;
		ret->protocol = protocols[i].wire;
		*ret_has_ports = protocols[i].has_ports;
		return 0;
	}
	return -EINVAL;
}

/* "8080", "8080/tcp", "53/UDP", "icmp" */
static int parse_service(const char *s, struct service *ret, struct bh_err *err)
{
	struct service service = { .protocol = "TCP" };
	bool has_ports = true;
	unsigned long port;
	char *end;

	if (!isdigit((unsigned char)*s)) {
		if (parse_protocol(s, &service, &has_ports) < 0)
			return bh_err(
				err, -EINVAL,
				"'%.64s' is not a port and protocol such as 8080, 53/udp or icmp",
				s);
		if (has_ports)
			return bh_err(err, -EINVAL, "%s needs a port, as in 8080/%.64s",
				      service.protocol, s);
		*ret = service;
		return 0;
	}

	port = strtoul(s, &end, 10);
	if (port == 0 || port > UINT16_MAX)
		return bh_err(err, -ERANGE, "port %.*s is not within 1-65535",
			      (int)(end - s > 32 ? 32 : end - s), s);
	if (*end && (*end != '/' || parse_protocol(end + 1, &service, &has_ports) < 0))
		return bh_err(err, -EINVAL,
			      "'%.64s' does not end with a protocol such as /tcp, /udp or /sctp",
			      s);
	if (!has_ports)
		return bh_err(err, -EINVAL, "%s has no ports: write %.64s", service.protocol,
			      end + 1);
	service.port = (unsigned int)port;
	*ret = service;
	return 0;
}

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
	struct service service = { 0 };
	struct bh_err err = { 0 };
	json_t *answer, *request;
	int r;

	if (parse_service(cli->operands[2], &service, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_USAGE;
	}
	request = json_pack("{s:s, s:s, s:s, s:o, s:s}", "method", "explain", "src",
			    cli->operands[0], "dst", cli->operands[1], "port",
			    service.port ? json_integer((json_int_t)service.port) : json_null(),
			    "protocol", service.protocol);
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
		 "Exits with 0 if it is allowed, 1 if denied, 2 and more if there is no answer.\n",
	.examples = "  bulkhead explain shop/web shop/db 5432\n"
		    "  bulkhead explain shop/web 10.96.0.10 53/udp\n"
		    "  bulkhead explain 203.0.113.7 shop/web 8080/tcp\n"
		    "  bulkhead explain node:worker-1 shop/web icmp\n",
	.run = run,
};
