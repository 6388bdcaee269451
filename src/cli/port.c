#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bh/alloc.h"
#include "cli.h"

static const struct {
	const char *name; /* as the agent reads it; people may write it small */
	uint8_t number;
	bool has_ports;
} protocols[] = {
	{ "TCP", IPPROTO_TCP, true },        { "UDP", IPPROTO_UDP, true },
	{ "SCTP", IPPROTO_SCTP, true },      { "ICMP", IPPROTO_ICMP, false },
	{ "ICMPv6", IPPROTO_ICMPV6, false },
};

static int parse_protocol(const char *s, struct bh_cli_port *ret, bool *ret_has_ports)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(protocols); i++) {
		if (strcasecmp(s, protocols[i].name) != 0)
			continue;
		ret->protocol = protocols[i].name;
		ret->number = protocols[i].number;
		*ret_has_ports = protocols[i].has_ports;
		return 0;
	}
	return -EINVAL;
}

static int parse_name(const char *s, struct bh_cli_port *ret, struct bh_err *err)
{
	bool has_ports;

	if (parse_protocol(s, ret, &has_ports) < 0)
		return bh_err(err, -EINVAL,
			      "'%.64s' is not a port and protocol such as 8080, 53/udp or icmp", s);
	if (has_ports)
		return bh_err(err, -EINVAL, "%s needs a port, as in 8080/%.64s", ret->protocol, s);
	return 0;
}

int bh_cli_parse_port(const char *s, struct bh_cli_port *ret, struct bh_err *err)
{
	struct bh_cli_port p = { .protocol = "TCP", .number = IPPROTO_TCP };
	bool has_ports = true;
	unsigned long port;
	char *end;
	int r;

	if (!isdigit((unsigned char)*s)) {
		r = parse_name(s, &p, err);
		if (r == 0)
			*ret = p;
		return r;
	}
	port = strtoul(s, &end, 10);
	if (port == 0 || port > UINT16_MAX)
		return bh_err(err, -ERANGE, "port %.*s is not within 1-65535",
			      (int)(end - s > 32 ? 32 : end - s), s);
	if (*end && (*end != '/' || parse_protocol(end + 1, &p, &has_ports) < 0))
		return bh_err(err, -EINVAL,
			      "'%.64s' does not end with a protocol such as /tcp, /udp or /sctp",
			      s);
	if (!has_ports)
		return bh_err(err, -EINVAL, "%s has no ports: write %.64s", p.protocol, end + 1);
	p.port = (uint16_t)port;
	*ret = p;
	return 0;
}
