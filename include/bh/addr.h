/*
 * IP addresses and prefixes of both families in one type.
 *
 * Bytes are in network order.  An IPv4 address uses the first four bytes and
 * the rest are zero, so that two addresses are equal when the structs are.
 */
#ifndef BH_ADDR_H
#define BH_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/err.h"

enum bh_family { BH_IPV4, BH_IPV6, BH_FAMILY_COUNT_ };

struct bh_addr {
	uint8_t bytes[16];
	uint8_t family; /* enum bh_family */
};

struct bh_cidr {
	struct bh_addr addr; /* host bits are zero */
	uint8_t prefix_len;
};

/* An inclusive range within one family. */
struct bh_range {
	struct bh_addr first, last;
};

#define BH_ADDR_STRLEN 46
#define BH_CIDR_STRLEN (BH_ADDR_STRLEN + 4)

/* Address length in bytes: 4 or 16. */
size_t bh_family_len(enum bh_family family);
/* "IPv4" or "IPv6". */
const char *bh_family_str(enum bh_family family);

/*
 * An address in the form that inet_pton(3) takes, without zone.  IPv4-mapped
 * IPv6 addresses (RFC 4291 section 2.5.5.2) become IPv4.  -EINVAL with text
 * otherwise.
 */
int bh_addr_parse(const char *s, struct bh_addr *ret, struct bh_err *err);
/* From 4 or 16 bytes in network order; IPv4-mapped becomes IPv4. */
int bh_addr_from_bytes(const void *bytes, size_t len, struct bh_addr *ret);
/* Writes the canonical text (RFC 5952) and returns @buf. */
const char *bh_addr_format(const struct bh_addr *a, char buf[BH_ADDR_STRLEN]);
/* Order: IPv4 before IPv6, then by value. */
int bh_addr_cmp(const struct bh_addr *a, const struct bh_addr *b);
bool bh_addr_eq(const struct bh_addr *a, const struct bh_addr *b);
/* fe80::/10: it means something on one link only (RFC 4291 section 2.5.6). */
bool bh_addr_is_link_local(const struct bh_addr *a);
/* Multicast (224.0.0.0/4, ff00::/8) or 255.255.255.255; not a subnet's broadcast address. */
bool bh_addr_is_group(const struct bh_addr *a);
/* One up or down; false (and unchanged) at the end of the family. */
bool bh_addr_next(struct bh_addr *a);
bool bh_addr_prev(struct bh_addr *a);

/*
 * "address/length".  Host bits that are set are refused, as is a missing
 * length; -EINVAL with text.  Mapped prefixes of /96 and longer become IPv4.
 */
int bh_cidr_parse(const char *s, struct bh_cidr *ret, struct bh_err *err);
/* Like bh_cidr_parse(), but clears host bits instead (the API accepts them). */
int bh_cidr_parse_lax(const char *s, struct bh_cidr *ret, struct bh_err *err);
const char *bh_cidr_format(const struct bh_cidr *c, char buf[BH_CIDR_STRLEN]);
bool bh_cidr_contains(const struct bh_cidr *c, const struct bh_addr *a);
/* Every address of @inner is in @outer. */
bool bh_cidr_covers(const struct bh_cidr *outer, const struct bh_cidr *inner);
int bh_cidr_cmp(const struct bh_cidr *a, const struct bh_cidr *b);
struct bh_range bh_cidr_range(const struct bh_cidr *c);

#endif
