/*
 * Text of the kinds that answers are written in: CSV (RFC 4180), Markdown
 * tables, JSON strings, DOT strings.
 */
#ifndef BH_SIM_TABLE_H
#define BH_SIM_TABLE_H

#include "bh/sim.h"

/* One row, with its end of line; @format is CSV or MD. */
void bh_table_row(enum bh_sim_format format, const char *const *cells, size_t n,
		  struct bh_buf *out);
/* The row of names and, for Markdown, the line under it. */
void bh_table_head(enum bh_sim_format format, const char *const *names, size_t n,
		   struct bh_buf *out);

/* A quoted string. */
void bh_json_string(const char *s, struct bh_buf *out);
void bh_dot_string(const char *s, struct bh_buf *out);
/* [{"protocol": "TCP", "first": 80, "last": 90}, {"protocol": "other"}] */
void bh_json_conns(const struct bh_conns *c, struct bh_buf *out);

/* Text of connections in a buffer that is used again. */
const char *bh_conns_text(const struct bh_conns *c, bool is_compat, struct bh_buf *buf);

#endif
