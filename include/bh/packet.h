/*
 * One IP packet, read with a cursor that never leaves the buffer.
 */
#ifndef BH_PACKET_H
#define BH_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/addr.h"

struct bh_packet {
	uint16_t ether_type; /* ETH_P_*; of others than IPv4, IPv6 and ARP nothing else is known */
	struct bh_addr src, dst;
	/*
	 * Behind IPv6 extension headers; where one of them is cut short, or
	 * there are absurdly many, the number of the one that ended the walk.
	 */
	uint8_t protocol;
	bool has_ports; /* TCP, UDP, UDP-Lite, SCTP, DCCP with that much of the header there */
	uint16_t src_port, dst_port;
	bool has_icmp;
	uint8_t icmp_type, icmp_code;
	uint8_t tcp_flags;
	bool is_later_fragment; /* not the first: no ports */
	uint32_t length;        /* total length by the IP header */
};

/*
 * @data starts at the IP header and may be cut short (snaplen).  -EBADMSG if
 * the addresses cannot be had.  Addresses are taken as they are on the wire: an
 * IPv4-mapped one stays IPv6, because the kernel judges it as such.
 */
int bh_packet_parse(const void *data, size_t len, struct bh_packet *ret);

/*
 * What a link carried: @data starts behind the Ethernet header.  IPv4 and IPv6 as
 * above; of ARP, sender and target are the addresses (RFC 826).  Never fails: what
 * cannot be read has no addresses, which is src.family == BH_FAMILY_COUNT_.
 */
void bh_frame_parse(uint16_t ether_type, const void *data, size_t len, struct bh_packet *ret);

/* "TCP", "UDP", "SCTP", "ICMP", "ICMPv6", or the number in @buf. */
const char *bh_protocol_str(uint8_t protocol, char buf[4]);
/* The other way, any case, also "ipv6-icmp" and numbers up to 255; -EINVAL. */
int bh_protocol_parse(const char *s, uint8_t *ret);

#endif
