#include "bh/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

size_t bh_family_len(enum bh_family family)
{
	return family == BH_IPV4 ? 4 : 16;
}

const char *bh_family_str(enum bh_family family)
{
	return family == BH_IPV4 ? "IPv4" : "IPv6";
}

int bh_addr_from_bytes(const void *bytes, size_t len, struct bh_addr *ret)
{
	struct bh_addr a = { 0 };

	if (len != 4 && len != 16)
		return -EINVAL;
	a.family = len == 4 ? BH_IPV4 : BH_IPV6;
	memcpy(a.bytes, bytes, len);
	if (len == 16 && memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		a = (struct bh_addr){ .family = BH_IPV4 };
		memcpy(a.bytes, (const uint8_t *)bytes + 12, 4);
	}
	*ret = a;
	return 0;
}

int bh_addr_parse(const char *s, struct bh_addr *ret, struct bh_err *err)
{
	uint8_t bytes[16];

	if (inet_pton(AF_INET, s, bytes) == 1)
		return bh_addr_from_bytes(bytes, 4, ret);
	if (inet_pton(AF_INET6, s, bytes) == 1)
		return bh_addr_from_bytes(bytes, 16, ret);
	return bh_err(err, -EINVAL, "'%.64s' is not an IP address", s);
}

const char *bh_addr_format(const struct bh_addr *a, char buf[BH_ADDR_STRLEN])
{
	inet_ntop(a->family == BH_IPV4 ? AF_INET : AF_INET6, a->bytes, buf, BH_ADDR_STRLEN);
	return buf;
}

int bh_addr_cmp(const struct bh_addr *a, const struct bh_addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool bh_addr_eq(const struct bh_addr *a, const struct bh_addr *b)
{
	return bh_addr_cmp(a, b) == 0;
}

bool bh_addr_is_link_local(const struct bh_addr *a)
{
	return a->family == BH_IPV6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

bool bh_addr_is_group(const struct bh_addr *a)
{
	static const uint8_t everyone[4] = { 255, 255, 255, 255 };

	if (a->family == BH_IPV6)
		return a->bytes[0] == 0xff;
	return (a->bytes[0] & 0xf0) == 0xe0 || memcmp(a->bytes, everyone, sizeof(everyone)) == 0;
}

bool bh_addr_next(struct bh_addr *a)
{
	struct bh_addr next = *a;
	size_t i;

	for (i = bh_family_len(a->family); i-- > 0;) {
		if (++next.bytes[i] != 0) {
			*a = next;
			return true;
		}
	}
	return false;
}

bool bh_addr_prev(struct bh_addr *a)
{
	struct bh_addr prev = *a;
	size_t i;

	for (i = bh_family_len(a->family); i-- > 0;) {
		if (prev.bytes[i]-- != 0) {
			*a = prev;
			return true;
		}
	}
	return false;
}

/* Sets the bits behind the prefix to zeros or ones. */
static void fill_host(struct bh_addr *a, uint8_t prefix_len, bool ones)
{
	size_t i, len = bh_family_len(a->family);

	for (i = 0; i < len; i++) {
		unsigned int bits = prefix_len >= (i + 1) * 8 ? 8
				    : prefix_len <= i * 8     ? 0
							      : prefix_len - (unsigned int)i * 8;
		uint8_t host = (uint8_t)(0xff >> bits);

		if (ones)
			a->bytes[i] |= host;
		else
			a->bytes[i] &= (uint8_t)~host;
	}
}

static bool is_mapped_text(const char *s)
{
	uint8_t bytes[16];

	return inet_pton(AF_INET6, s, bytes) == 1 &&
	       memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

static int parse_cidr(const char *s, struct bh_cidr *ret, bool *has_host_bits, struct bh_err *err)
{
	char text[BH_ADDR_STRLEN];
	const char *slash = strchr(s, '/');
	struct bh_cidr c = { 0 };
	struct bh_addr whole;
	unsigned long len;
	char *end;

	if (!slash || (size_t)(slash - s) >= sizeof(text) || slash[1] < '0' || slash[1] > '9')
		return bh_err(err, -EINVAL, "'%.64s' is not an address/length", s);
	memcpy(text, s, (size_t)(slash - s));
	text[slash - s] = '\0';
	if (bh_addr_parse(text, &c.addr, NULL) < 0)
		return bh_err(err, -EINVAL, "'%.64s' is not an address/length", s);

	errno = 0;
	len = strtoul(slash + 1, &end, 10);
	if (*end || errno || len > 128)
		return bh_err(err, -EINVAL, "'%.64s' has a length that is not within 0-%zu", s,
			      bh_family_len(c.addr.family) * 8);
	if (is_mapped_text(text)) {
		if (len < 96)
			return bh_err(err, -EINVAL, "'%.64s' mixes IPv4-mapped and other addresses",
				      s);
		len -= 96;
	}
	if (len > bh_family_len(c.addr.family) * 8)
		return bh_err(err, -EINVAL, "'%.64s' has a length that is not within 0-%zu", s,
			      bh_family_len(c.addr.family) * 8);

	c.prefix_len = (uint8_t)len;
	whole = c.addr;
	fill_host(&c.addr, c.prefix_len, false);
	*has_host_bits = !bh_addr_eq(&whole, &c.addr);
	*ret = c;
	return 0;
}

int bh_cidr_parse(const char *s, struct bh_cidr *ret, struct bh_err *err)
{
	bool has_host_bits;
	struct bh_cidr c;
	int r;

	r = parse_cidr(s, &c, &has_host_bits, err);
	if (r < 0)
		return r;
	if (has_host_bits)
		return bh_err(err, -EINVAL, "'%.64s' has bits set behind its length", s);
	*ret = c;
	return 0;
}

int bh_cidr_parse_lax(const char *s, struct bh_cidr *ret, struct bh_err *err)
{
	bool has_host_bits;

	return parse_cidr(s, ret, &has_host_bits, err);
}

const char *bh_cidr_format(const struct bh_cidr *c, char buf[BH_CIDR_STRLEN])
{
	char addr[BH_ADDR_STRLEN];

	snprintf(buf, BH_CIDR_STRLEN, "%s/%u", bh_addr_format(&c->addr, addr), c->prefix_len);
	return buf;
}

bool bh_cidr_contains(const struct bh_cidr *c, const struct bh_addr *a)
{
	struct bh_addr net = *a;

	if (a->family != c->addr.family)
		return false;
	fill_host(&net, c->prefix_len, false);
	return bh_addr_eq(&net, &c->addr);
}

bool bh_cidr_covers(const struct bh_cidr *outer, const struct bh_cidr *inner)
{
	return outer->prefix_len <= inner->prefix_len && bh_cidr_contains(outer, &inner->addr);
}

int bh_cidr_cmp(const struct bh_cidr *a, const struct bh_cidr *b)
{
	int c = bh_addr_cmp(&a->addr, &b->addr);

	return c ? c : (a->prefix_len > b->prefix_len) - (a->prefix_len < b->prefix_len);
}

struct bh_range bh_cidr_range(const struct bh_cidr *c)
{
	struct bh_range r = { .first = c->addr, .last = c->addr };

	fill_host(&r.last, c->prefix_len, true);
	return r;
}
