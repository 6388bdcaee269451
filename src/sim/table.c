#include "table.h"

#include <assert.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/object.h"

static const char *const formats[] = {
	[BH_SIM_TXT] = "txt", [BH_SIM_JSON] = "json", [BH_SIM_CSV] = "csv",
	[BH_SIM_MD] = "md",   [BH_SIM_DOT] = "dot",
};
static_assert(BH_ARRAY_LEN(formats) == BH_SIM_FORMAT_COUNT_, "every format has a name");

enum bh_sim_format bh_sim_format_of(const char *name)
{
	size_t i;

	for (i = 0; name && i < BH_ARRAY_LEN(formats); i++)
		if (strcmp(formats[i], name) == 0)
			return (enum bh_sim_format)i;
	return BH_SIM_TXT;
}

/*
 * Manifests hold what nobody has validated.  Backslashes and ends of lines are the
 * caller's; @room is for what has more than printable ASCII in it.
 */
static const char *plain(const char *s, struct bh_buf *room)
{
	const unsigned char *c = (const unsigned char *)s;

	while (*c == '\n' || (*c >= ' ' && *c < 0x7f))
		c++;
	if (!*c)
		return s;
	bh_buf_escape(room, s);
	return bh_buf_str(room);
}

static void csv_cell(const char *cell, struct bh_buf *out)
{
	if (!strpbrk(cell, ",\"\r\n")) {
		bh_buf_puts(out, cell);
		return;
	}
	bh_buf_putc(out, '"');
	for (; *cell; cell++) {
		if (*cell == '"')
			bh_buf_putc(out, '"');
		bh_buf_putc(out, *cell);
	}
	bh_buf_putc(out, '"');
}

static void md_cell(const char *cell, struct bh_buf *out)
{
	bh_buf_putc(out, ' ');
	for (; *cell; cell++) {
		if (*cell == '|')
			bh_buf_putc(out, '\\');
		bh_buf_putc(out, *cell == '\n' ? ' ' : *cell);
	}
	bh_buf_puts(out, " |");
}

void bh_table_row(enum bh_sim_format format, const char *const *cells, size_t n, struct bh_buf *out)
{
	size_t i;

	if (format == BH_SIM_MD)
		bh_buf_putc(out, '|');
	for (i = 0; i < n; i++) {
		struct bh_buf room = { 0 };

		if (format == BH_SIM_MD) {
			md_cell(plain(cells[i], &room), out);
		} else {
			if (i > 0)
				bh_buf_putc(out, ',');
			csv_cell(plain(cells[i], &room), out);
		}
		bh_buf_done(&room);
	}
	bh_buf_putc(out, '\n');
}

void bh_table_head(enum bh_sim_format format, const char *const *names, size_t n,
		   struct bh_buf *out)
{
	size_t i, k;

	bh_table_row(format, names, n, out);
	if (format != BH_SIM_MD)
		return;
	bh_buf_putc(out, '|');
	for (i = 0; i < n; i++) {
		for (k = strlen(names[i]) + 2; k > 0; k--)
			bh_buf_putc(out, '-');
		bh_buf_putc(out, '|');
	}
	bh_buf_putc(out, '\n');
}

void bh_json_string(const char *s, struct bh_buf *out)
{
	json_t *text = bh_text_json(s);
	bh_auto_free char *json = json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	json_decref(text);
	bh_buf_puts(out, json ? json : "null");
}

void bh_dot_string(const char *text, struct bh_buf *out)
{
	bh_auto(bh_buf_done) struct bh_buf room = { 0 };
	const char *s = plain(text, &room);

	bh_buf_putc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			bh_buf_putc(out, '\\');
		if (*s == '\n')
			bh_buf_puts(out, "\\n");
		else
			bh_buf_putc(out, *s);
	}
	bh_buf_putc(out, '"');
}

void bh_json_conns(const struct bh_conns *c, struct bh_buf *out)
{
	static const char *const names[] = {
		[BH_CONNS_TCP] = "TCP", [BH_CONNS_UDP] = "UDP", [BH_CONNS_SCTP] = "SCTP"
	};
	const char *comma = "";
	size_t p, i;

	bh_buf_putc(out, '[');
	for (p = 0; p < BH_ARRAY_LEN(names); p++)
		for (i = 0; i < c->n[p]; i++) {
			bh_buf_printf(out, "%s{\"protocol\": \"%s\", \"first\": %u, \"last\": %u}",
				      comma, names[p], c->ranges[p][i].first, c->ranges[p][i].last);
			comma = ", ";
		}
	if (c->n[BH_CONNS_OTHER])
		bh_buf_printf(out, "%s{\"protocol\": \"other\"}", comma);
	bh_buf_putc(out, ']');
}

const char *bh_conns_text(const struct bh_conns *c, bool is_compat, struct bh_buf *buf)
{
	bh_buf_reset(buf);
	bh_conns_format(c, !is_compat, buf);
	return bh_buf_str(buf);
}
