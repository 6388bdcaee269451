#include "bh/packet.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "bh/alloc.h"

/*
 * Reading past the end gives zeros and sets is_short for good, so that a header
 * is read field by field and checked once.
 */
struct cursor {
	const uint8_t *at;
	size_t left;
	bool is_short;
};

static void take(struct cursor *c, void *dst, size_t n)
{
	if (n > c->left) {
		c->is_short = true;
		c->left = 0;
		memset(dst, 0, n);
		return;
	}
	memcpy(dst, c->at, n);
	c->at += n;
	c->left -= n;
}

static void skip(struct cursor *c, size_t n)
{
	if (n > c->left) {
		c->is_short = true;
		n = c->left;
	}
	c->at += n;
	c->left -= n;
}

static uint8_t u8(struct cursor *c)
{
	uint8_t v;

	take(c, &v, sizeof(v));
	return v;
}

static uint16_t be16(struct cursor *c)
{
	uint16_t v;

	take(c, &v, sizeof(v));
	return ntohs(v);
}

/* What is behind the end that the IP header names is padding. */
static void limit(struct cursor *c, size_t n)
{
	if (c->left > n)
		c->left = n;
}

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

static void parse_ports(struct cursor *c, struct bh_packet *p)
{
	uint16_t src = be16(c), dst = be16(c);
	uint8_t flags;

	if (c->is_short)
		return;
	p->has_ports = true;
	p->src_port = src;
	p->dst_port = dst;
	if (p->protocol != IPPROTO_TCP)
		return;
	/* Sequence, acknowledgement, data offset (RFC 9293 section 3.1). */
	skip(c, 9);
	flags = u8(c);
	if (!c->is_short)
		p->tcp_flags = flags;
}

static void parse_icmp(struct cursor *c, struct bh_packet *p)
{
	uint8_t type = u8(c), code = u8(c);

	if (c->is_short)
		return;
	p->has_icmp = true;
	p->icmp_type = type;
	p->icmp_code = code;
}

static void parse_transport(struct cursor *c, struct bh_packet *p)
{
	const uint8_t icmp = p->src.family == BH_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;

	if (p->is_later_fragment || c->is_short)
		return;
	if (has_ports(p->protocol))
		parse_ports(c, p);
	else if (p->protocol == icmp)
		parse_icmp(c, p);
}

/* RFC 791 section 3.1. */
static int parse_ipv4(struct cursor *c, struct bh_packet *p)
{
	size_t header_len = (size_t)(u8(c) & 0x0f) * 4;
	uint16_t fragment;

	skip(c, 1);
	p->length = be16(c);
	skip(c, 2);
	fragment = be16(c);
	skip(c, 1);
	p->protocol = u8(c);
	skip(c, 2);
	take(c, p->src.bytes, 4);
	take(c, p->dst.bytes, 4);
	/* Length 0: the kernel's own segments of more than 64 KiB. */
	if (c->is_short || header_len < 20 || (p->length > 0 && p->length < header_len))
		return -EBADMSG;

	p->src.family = p->dst.family = BH_IPV4;
	p->is_later_fragment = (fragment & 0x1fff) != 0;
	if (p->length > 0)
		limit(c, p->length - 20);
	skip(c, header_len - 20);
	return 0;
}

/* More than that many extension headers are an attempt to hide something. */
#define MAX_EXTENSIONS 16

/* One extension header behind which @p->protocol is; false where the walk ends. */
static bool skip_extension(struct cursor *c, struct bh_packet *p)
{
	/* The ones the kernel walks over too (ipv6_ext_hdr()), so that we agree with it. */
	const uint8_t kind = p->protocol;
	struct cursor peek = *c;
	uint8_t next, len;

	if (kind != IPPROTO_HOPOPTS && kind != IPPROTO_ROUTING && kind != IPPROTO_DSTOPTS &&
	    kind != IPPROTO_FRAGMENT && kind != IPPROTO_AH)
		return false;

	next = u8(&peek);
	len = u8(&peek);
	if (kind == IPPROTO_FRAGMENT) {
		p->is_later_fragment = (be16(&peek) & 0xfff8) != 0;
		skip(&peek, 4);
	} else if (kind == IPPROTO_AH) {
		skip(&peek, ((size_t)len + 2) * 4 - 2); /* RFC 4302 section 2.2 */
	} else {
		skip(&peek, ((size_t)len + 1) * 8 - 2);
	}
	*c = peek;
	if (peek.is_short)
		return false;
	p->protocol = next;
	return !p->is_later_fragment;
}

/* RFC 8200 section 3. */
static int parse_ipv6(struct cursor *c, struct bh_packet *p)
{
	uint16_t payload_len;

	skip(c, 4);
	payload_len = be16(c);
	p->protocol = u8(c);
	skip(c, 1);
	take(c, p->src.bytes, 16);
	take(c, p->dst.bytes, 16);
	if (c->is_short)
		return -EBADMSG;

	p->src.family = p->dst.family = BH_IPV6;
	p->length = 40u + payload_len;
	/* 0: a jumbogram (RFC 2675), or nothing. */
	if (payload_len > 0)
		limit(c, payload_len);
	for (int i = 0; i < MAX_EXTENSIONS && skip_extension(c, p); i++)
		;
	return 0;
}

int bh_packet_parse(const void *data, size_t len, struct bh_packet *ret)
{
	struct cursor c = { .at = data, .left = len };
	struct bh_packet p = { 0 };
	int r = -EBADMSG;

	if (len == 0)
		return r;
	if (*c.at >> 4 == 4)
		r = parse_ipv4(&c, &p);
	else if (*c.at >> 4 == 6)
		r = parse_ipv6(&c, &p);
	if (r < 0)
		return r;
	parse_transport(&c, &p);
	p.ether_type = p.src.family == BH_IPV4 ? ETH_P_IP : ETH_P_IPV6;
	*ret = p;
	return 0;
}

/* RFC 826 with Ethernet and IPv4. */
static int parse_arp(const void *data, size_t len, struct bh_packet *ret)
{
	struct cursor c = { .at = data, .left = len };
	struct bh_packet p = { .ether_type = ETH_P_ARP };
	uint16_t htype = be16(&c), ptype = be16(&c);
	uint8_t hlen = u8(&c), plen = u8(&c);

	skip(&c, 2 + 6);
	take(&c, p.src.bytes, 4);
	skip(&c, 6);
	take(&c, p.dst.bytes, 4);
	if (c.is_short || htype != 1 || ptype != ETH_P_IP || hlen != 6 || plen != 4)
		return -EBADMSG;
	*ret = p;
	return 0;
}

void bh_frame_parse(uint16_t ether_type, const void *data, size_t len, struct bh_packet *ret)
{
	struct bh_packet p;
	int r = -EBADMSG;

	if (ether_type == ETH_P_ARP)
		r = parse_arp(data, len, &p);
	else if (ether_type == ETH_P_IP || ether_type == ETH_P_IPV6)
		r = bh_packet_parse(data, len, &p);
	if (r < 0)
		p = (struct bh_packet){ .src.family = BH_FAMILY_COUNT_,
					.dst.family = BH_FAMILY_COUNT_ };
	p.ether_type = ether_type;
	*ret = p;
}

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "TCP", IPPROTO_TCP },   { "UDP", IPPROTO_UDP },       { "SCTP", IPPROTO_SCTP },
	{ "ICMP", IPPROTO_ICMP }, { "ICMPv6", IPPROTO_ICMPV6 }, { "ipv6-icmp", IPPROTO_ICMPV6 },
};

const char *bh_protocol_str(uint8_t protocol, char buf[4])
{
	for (size_t i = 0; i < BH_ARRAY_LEN(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	snprintf(buf, 4, "%u", protocol);
	return buf;
}

int bh_protocol_parse(const char *s, uint8_t *ret)
{
	unsigned int v = 0;

	for (size_t i = 0; i < BH_ARRAY_LEN(protocols); i++) {
		if (strcasecmp(protocols[i].name, s) == 0) {
			*ret = protocols[i].number;
			return 0;
		}
	}
	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(*s - '0');
		if (v > UINT8_MAX)
			return -EINVAL;
	}
	*ret = (uint8_t)v;
	return 0;
}
