/*
 * Sets of connections by protocol and destination port, as ranges.
 *
 * Interned in a table: sets of one table are equal if and only if their
 * pointers are.  They never change and live as long as the table.
 */
#ifndef BH_CONNS_H
#define BH_CONNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/buf.h"
#include "bh/err.h"

enum bh_conns_proto {
	BH_CONNS_TCP,
	BH_CONNS_UDP,
	BH_CONNS_SCTP,
	BH_CONNS_OTHER, /* ICMP and every other protocol: all or nothing, range 0-65535 */
	BH_CONNS_PROTO_COUNT_
};

/* Inclusive, host byte order. */
struct bh_port_range {
	uint16_t first, last;
};

/* Sorted, disjoint, and not adjacent, per protocol. */
struct bh_conns {
	const struct bh_port_range *ranges[BH_CONNS_PROTO_COUNT_];
	size_t n[BH_CONNS_PROTO_COUNT_];
};

struct bh_conn_table;

struct bh_conn_table *bh_conn_table_new(void);
void bh_conn_table_free(struct bh_conn_table **t);

const struct bh_conns *bh_conns_none(struct bh_conn_table *t);
/* Every protocol and port. */
const struct bh_conns *bh_conns_all(struct bh_conn_table *t);
/*
 * @protocol: IPPROTO_*, 0 for any.  The range is of the ports of TCP, UDP and
 * SCTP; other protocols, which have none, are in 0-65535 only.
 */
const struct bh_conns *bh_conns_range(struct bh_conn_table *t, uint8_t protocol, uint16_t first,
				      uint16_t last);
const struct bh_conns *bh_conns_and(struct bh_conn_table *t, const struct bh_conns *a,
				    const struct bh_conns *b);
const struct bh_conns *bh_conns_or(struct bh_conn_table *t, const struct bh_conns *a,
				   const struct bh_conns *b);
const struct bh_conns *bh_conns_minus(struct bh_conn_table *t, const struct bh_conns *a,
				      const struct bh_conns *b);

/* The same set in @t; @c is of any table. */
const struct bh_conns *bh_conns_import(struct bh_conn_table *t, const struct bh_conns *c);

/*
 * "tcp/80", "80/TCP", "udp/8080-8090", "sctp", "icmp" (every protocol without
 * ports) or "any"; -EINVAL with text.
 */
int bh_conns_parse(struct bh_conn_table *t, const char *text, const struct bh_conns **ret,
		   struct bh_err *err);

bool bh_conns_is_empty(const struct bh_conns *c);
bool bh_conns_is_all(const struct bh_conns *c);
bool bh_conns_has(const struct bh_conns *c, uint8_t protocol, uint16_t port);

/*
 * "TCP 80,443,UDP 53", "All Connections", "No Connections".  Without
 * @with_other only TCP, UDP and SCTP count and are shown; with it "All" is
 * every protocol there is, and "other protocols" (ICMP and the rest) are named.
 */
void bh_conns_format(const struct bh_conns *c, bool with_other, struct bh_buf *out);

#endif
