/*
 * Elements as text, for errors and the tamper record.
 */
#include "nft_impl.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <linux/if_ether.h>

static void put_addr(struct bh_buf *out, enum bh_family family, const uint8_t *first,
		     const uint8_t *last)
{
	struct bh_addr a = { .family = (uint8_t)family }, z = { .family = (uint8_t)family };
	char text[BH_ADDR_STRLEN];

	memcpy(a.bytes, first, bh_family_len(family));
	memcpy(z.bytes, last, bh_family_len(family));
	bh_buf_puts(out, bh_addr_format(&a, text));
	if (!bh_addr_eq(&a, &z))
		bh_buf_printf(out, "-%s", bh_addr_format(&z, text));
}

static uint32_t get_u16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static void put_protocol(struct bh_buf *out, uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP: bh_buf_puts(out, "tcp"); break;
	case IPPROTO_UDP: bh_buf_puts(out, "udp"); break;
	case IPPROTO_SCTP: bh_buf_puts(out, "sctp"); break;
	default: bh_buf_printf(out, "%u", protocol); break;
	}
}

static void put_mac(struct bh_buf *out, const uint8_t *mac)
{
	for (size_t i = 0; i < ETH_ALEN; i++)
		bh_buf_printf(out, "%s%02x", i ? ":" : "", mac[i]);
}

static void put_ether_type(struct bh_buf *out, uint32_t type)
{
	switch (type) {
	case ETH_P_IP: bh_buf_puts(out, "ip"); break;
	case ETH_P_IPV6: bh_buf_puts(out, "ip6"); break;
	case ETH_P_ARP: bh_buf_puts(out, "arp"); break;
	default: bh_buf_printf(out, "0x%04x", type); break;
	}
}

static void put_field(struct bh_buf *out, enum bh_field field, enum bh_family family,
		      const uint8_t *first, const uint8_t *last)
{
	uint32_t number;

	switch (field) {
	case BH_FIELD_ADDR: put_addr(out, family, first, last); return;
	case BH_FIELD_TARGET: put_addr(out, BH_IPV6, first, last); return;
	case BH_FIELD_PROTO: put_protocol(out, first[0]); return;
	case BH_FIELD_PORT:
		bh_buf_printf(out, "%u", get_u16(first));
		if (get_u16(last) != get_u16(first))
			bh_buf_printf(out, "-%u", get_u16(last));
		return;
	case BH_FIELD_LINK:
		memcpy(&number, first, sizeof(number));
		bh_buf_printf(out, "%u", number);
		return;
	case BH_FIELD_PRIORITY:
		memcpy(&number, first, sizeof(number));
		bh_buf_printf(out, "%x:%x", number >> 16, number & UINT16_MAX);
		return;
	case BH_FIELD_MAC: put_mac(out, first); return;
	case BH_FIELD_ETHER_TYPE: put_ether_type(out, get_u16(first)); return;
	case BH_FIELD_COUNT_: break;
	}
	abort();
}

void nft_format_elem(struct bh_buf *out, const struct bh_set_spec *spec, const uint8_t *key,
		     const uint8_t *end)
{
	const struct bh_set_shape *shape = bh_set_shape_of(spec->kind);
	size_t at = 0;

	for (size_t i = 0; i < shape->n_fields; i++) {
		if (i)
			bh_buf_puts(out, " . ");
		put_field(out, shape->fields[i], spec->family, key + at, end + at);
		at += bh_field_width(shape->fields[i], spec->family);
	}
}
