/*
 * Exposure as text.
 */
#include "table.h"

static void add_conns(const struct bh_conns *c, struct bh_buf *out)
{
	bh_conns_format(c, true, out);
}

static void add_line(const char *whom, const struct bh_conns *c, struct bh_buf *out)
{
	if (bh_conns_is_empty(c))
		return;
	bh_buf_printf(out, "    %s: ", whom);
	add_conns(c, out);
	bh_buf_putc(out, '\n');
}

static void write_text(const struct bh_exposure *e, struct bh_buf *out)
{
	size_t i;

	bh_sim_workload_label(e->workload, out);
	bh_buf_printf(out, " %s", bh_dir_str(e->dir));
	if (!e->is_protected) {
		bh_buf_puts(out, e->is_host_network ? ": on the host's network, where no policy is "
						      "about it\n"
						    : ": not protected, open to everybody\n");
		return;
	}
	if (bh_conns_is_empty(e->internet) && bh_conns_is_empty(e->cluster) && !e->n_peers) {
		bh_buf_puts(out, ": closed\n");
		return;
	}
	bh_buf_putc(out, '\n');
	add_line("the internet", e->internet, out);
	add_line("the whole cluster", e->cluster, out);
	for (i = 0; i < e->n_peers; i++)
		add_line(e->peers[i].label, e->peers[i].conns, out);
}

static void write_row(const struct bh_exposure *e, const char *whom, const struct bh_conns *c,
		      enum bh_sim_format format, struct bh_buf *out)
{
	struct bh_buf label = { 0 }, conns = { 0 };

	bh_sim_workload_label(e->workload, &label);
	add_conns(c, &conns);
	bh_table_row(format,
		     (const char *const[]){ bh_buf_str(&label), bh_dir_str(e->dir),
					    e->is_protected ? "yes" : "no", whom,
					    bh_buf_str(&conns) },
		     5, out);
	bh_buf_done(&label);
	bh_buf_done(&conns);
}

static void write_rows(const struct bh_exposure *e, enum bh_sim_format format, struct bh_buf *out)
{
	size_t i;

	write_row(e, "the internet", e->internet, format, out);
	write_row(e, "the whole cluster", e->cluster, format, out);
	for (i = 0; i < e->n_peers; i++)
		write_row(e, e->peers[i].label, e->peers[i].conns, format, out);
}

static void write_json(const struct bh_exposure *e, struct bh_buf *out)
{
	struct bh_buf label = { 0 };
	size_t i;

	bh_sim_workload_label(e->workload, &label);
	bh_buf_puts(out, "  {\"workload\": ");
	bh_json_string(bh_buf_str(&label), out);
	bh_buf_printf(out, ", \"direction\": \"%s\", \"protected\": %s, \"host_network\": %s",
		      bh_dir_str(e->dir), e->is_protected ? "true" : "false",
		      e->is_host_network ? "true" : "false");
	bh_buf_puts(out, ", \"internet\": ");
	bh_json_conns(e->internet, out);
	bh_buf_puts(out, ", \"cluster\": ");
	bh_json_conns(e->cluster, out);
	bh_buf_puts(out, ", \"peers\": [");
	for (i = 0; i < e->n_peers; i++) {
		bh_buf_puts(out, i ? ", {\"peer\": " : "{\"peer\": ");
		bh_json_string(e->peers[i].label, out);
		bh_buf_puts(out, ", \"conns\": ");
		bh_json_conns(e->peers[i].conns, out);
		bh_buf_putc(out, '}');
	}
	bh_buf_puts(out, "]}");
	bh_buf_done(&label);
}

void bh_exposures_write(const struct bh_exposure *items, size_t n, enum bh_sim_format format,
			struct bh_buf *out)
{
	static const char *const names[] = { "workload", "direction", "protected", "open to",
					     "connections" };
	size_t i;

	if (format == BH_SIM_CSV || format == BH_SIM_MD)
		bh_table_head(format, names, 5, out);
	if (format == BH_SIM_JSON)
		bh_buf_puts(out, "[\n");
	for (i = 0; i < n; i++) {
		if (format == BH_SIM_JSON) {
			write_json(&items[i], out);
			bh_buf_puts(out, i + 1 < n ? ",\n" : "\n");
		} else if (format == BH_SIM_TXT) {
			write_text(&items[i], out);
		} else {
			write_rows(&items[i], format, out);
		}
	}
	if (format == BH_SIM_JSON)
		bh_buf_puts(out, "]\n");
}
