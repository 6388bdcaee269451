/*
 * Elements as text, for errors and the tamper record.
 */
#include "nft_impl.h"

#include <netinet/in.h>
#include <string.h>

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

static void put_proto_port(struct bh_buf *out, const uint8_t *first, const uint8_t *last)
{
	unsigned int lo = (unsigned int)first[4] << 8 | first[5];
	unsigned int hi = (unsigned int)last[4] << 8 | last[5];

	switch (first[0]) {
	case IPPROTO_TCP: bh_buf_puts(out, "tcp"); break;
	case IPPROTO_UDP: bh_buf_puts(out, "udp"); break;
	case IPPROTO_SCTP: bh_buf_puts(out, "sctp"); break;
	default: bh_buf_printf(out, "%u", first[0]); break;
	}
	bh_buf_printf(out, " . %u", lo);
	if (hi != lo)
		bh_buf_printf(out, "-%u", hi);
}

void nft_format_elem(struct bh_buf *out, const struct bh_set_spec *spec, const uint8_t *key,
		     const uint8_t *end)
{
	size_t addr_len = bh_family_len(spec->family);

	switch (spec->kind) {
	case BH_SET_ADDR:
	case BH_SET_VERDICT_MAP:
	case BH_SET_LOG_LIMIT: put_addr(out, spec->family, key, end); return;
	case BH_SET_ADDR_PROTO_PORT:
		put_addr(out, spec->family, key, end);
		bh_buf_puts(out, " . ");
		put_proto_port(out, key + addr_len, end + addr_len);
		return;
	case BH_SET_PROTO_PORT: put_proto_port(out, key, end); return;
	case BH_SET_KIND_COUNT_: break;
	}
	abort();
}
