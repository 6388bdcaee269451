/*
 * Any bytes as an IP packet.  What is parsed must be consistent.
 */
#include <stdint.h>
#include <stdlib.h>

#include "bh/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bh_packet p;
	char buf[4];
	uint8_t back;

	if (bh_packet_parse(data, size, &p) < 0)
		return 0;
	if (p.src.family != p.dst.family || (p.has_ports && p.has_icmp) ||
	    (p.is_later_fragment && (p.has_ports || p.has_icmp)) ||
	    (!p.has_ports && (p.src_port || p.dst_port || p.tcp_flags)))
		abort();
	if (bh_protocol_parse(bh_protocol_str(p.protocol, buf), &back) < 0 || back != p.protocol)
		abort();
	return 0;
}
