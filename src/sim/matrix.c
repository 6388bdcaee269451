/*
 * Who can connect to whom on some ports: a sign for each pair.
 */
#include <string.h>

#include "bh/alloc.h"
#include "table.h"

enum sign { SIGN_ALLOWED, SIGN_DENIED, SIGN_SOME, SIGN_AUDITED, SIGN_NONE, SIGN_COUNT_ };

static const struct {
	char letter;
	const char *word, *meaning;
} signs[SIGN_COUNT_] = {
	[SIGN_ALLOWED] = { '.', "allowed", "allowed" },
	[SIGN_DENIED] = { 'X', "denied", "denied" },
	[SIGN_SOME] = { '~', "some", "some of the ports, one family only, or some nodes only" },
	[SIGN_AUDITED] = { 'a', "audited", "allowed; denied once audited policies are enforced" },
	[SIGN_NONE] = { '-', "none", "a pod and itself, or a pair that policy is not about" },
};

enum view { VIEW_INGRESS, VIEW_EGRESS, VIEW_COMBINED, VIEW_COUNT_ };

static const char *const view_names[VIEW_COUNT_] = { "ingress", "egress", "combined" };

struct cell {
	uint8_t signs[VIEW_COUNT_];
};

struct matrix {
	const struct bh_matrix *m;
	struct bh_conn_table *table;
	const struct bh_graph_peer *peers;
	const struct bh_conns *about;
	struct cell *cells; /* of that port, row by row */
	struct bh_buf *out;
};

/* --- cells ---------------------------------------------------------------------------- */

static bool meets(const struct matrix *x, const struct bh_conns *c)
{
	return !bh_conns_is_empty(bh_conns_and(x->table, c, x->about));
}

/* Policy is about pods, and never asked of a pod that talks to itself. */
static bool is_asked(const struct matrix *x, uint32_t src, uint32_t dst)
{
	const struct bh_graph_peer *a = &x->peers[src], *b = &x->peers[dst];

	if (a->kind != BH_GRAPH_WORKLOAD && b->kind != BH_GRAPH_WORKLOAD)
		return false;
	return src != dst || a->n_pods > 1;
}

static enum sign sign_of(const struct matrix *x, const struct bh_graph_edge *e, enum view view)
{
	const struct bh_conns *conns = view == VIEW_INGRESS  ? e->ingress
				       : view == VIEW_EGRESS ? e->egress
							     : e->allowed;

	conns = bh_conns_and(x->table, conns, x->about);
	if (view != VIEW_EGRESS && e->own_node == BH_GRAPH_SOME_OWN && conns != x->about)
		return SIGN_SOME;
	if (bh_conns_is_empty(conns))
		return SIGN_DENIED;
	if (conns != x->about)
		return SIGN_SOME;
	if (view != VIEW_COMBINED)
		return SIGN_ALLOWED;
	if (meets(x, e->only[BH_IPV4]) || meets(x, e->only[BH_IPV6]))
		return SIGN_SOME;
	return meets(x, e->audited) ? SIGN_AUDITED : SIGN_ALLOWED;
}

static struct cell cell_of(const struct matrix *x, uint32_t src, uint32_t dst)
{
	struct cell cell = { .signs = { SIGN_NONE, SIGN_NONE, SIGN_NONE } };
	struct bh_graph_edge e;
	enum view v;

	if (!is_asked(x, src, dst))
		return cell;
	bh_graph_pair(x->m->graph, src, dst, &e);
	for (v = 0; v < VIEW_COUNT_; v++)
		cell.signs[v] = (uint8_t)sign_of(x, &e, v);
	return cell;
}

static void ask_about(struct matrix *x, const struct bh_conns *port)
{
	size_t i, k;

	x->about = port;
	for (i = 0; i < x->m->n_rows; i++)
		for (k = 0; k < x->m->n_columns; k++)
			x->cells[i * x->m->n_columns + k] =
				cell_of(x, x->m->rows[i], x->m->columns[k]);
}

static enum sign sign_at(const struct matrix *x, size_t row, size_t column, enum view view)
{
	return x->cells[row * x->m->n_columns + column].signs[view];
}

/* --- for people ------------------------------------------------------------------------ */

static void write_grid(const struct matrix *x, enum view view)
{
	size_t i, k, width = 0;

	for (i = 0; i < x->m->n_rows; i++) {
		size_t len = strlen(x->peers[x->m->rows[i]].label);

		width = len > width ? len : width;
	}
	bh_buf_printf(x->out, "%*s ", (int)width, "");
	for (k = 0; k < x->m->n_columns; k++)
		bh_buf_printf(x->out, " %3zu", k + 1);
	bh_buf_putc(x->out, '\n');
	for (i = 0; i < x->m->n_rows; i++) {
		bh_buf_printf(x->out, "%-*s ", (int)width, x->peers[x->m->rows[i]].label);
		for (k = 0; k < x->m->n_columns; k++)
			bh_buf_printf(x->out, " %3c", signs[sign_at(x, i, k, view)].letter);
		bh_buf_putc(x->out, '\n');
	}
}

static void write_legend(const struct matrix *x)
{
	size_t i;

	for (i = 0; i < SIGN_COUNT_; i++)
		bh_buf_printf(x->out, "%c  %s\n", signs[i].letter, signs[i].meaning);
	bh_buf_puts(x->out, "\nRows are sources; columns are destinations:\n");
	for (i = 0; i < x->m->n_columns; i++)
		bh_buf_printf(x->out, "%3zu  %s\n", i + 1, x->peers[x->m->columns[i]].label);
}

static void write_markdown(const struct matrix *x, enum view view)
{
	bh_auto_free const char **cells = bh_calloc(x->m->n_columns + 1, sizeof(*cells));
	size_t i, k;

	cells[0] = "from \\ to";
	for (k = 0; k < x->m->n_columns; k++)
		cells[k + 1] = x->peers[x->m->columns[k]].label;
	bh_table_head(BH_SIM_MD, cells, x->m->n_columns + 1, x->out);
	for (i = 0; i < x->m->n_rows; i++) {
		char letters[2 * SIGN_COUNT_] = { 0 };

		for (k = 0; k < SIGN_COUNT_; k++)
			letters[2 * k] = signs[k].letter;
		cells[0] = x->peers[x->m->rows[i]].label;
		for (k = 0; k < x->m->n_columns; k++)
			cells[k + 1] = &letters[2 * sign_at(x, i, k, view)];
		bh_table_row(BH_SIM_MD, cells, x->m->n_columns + 1, x->out);
	}
}

static void write_tables(struct matrix *x, enum bh_sim_format format)
{
	struct bh_buf text = { 0 };
	size_t i;
	enum view v;

	if (format == BH_SIM_TXT)
		write_legend(x);
	for (i = 0; i < x->m->n_ports; i++) {
		ask_about(x, x->m->ports[i]);
		for (v = 0; v < VIEW_COUNT_; v++) {
			bh_buf_printf(x->out, "%s%s%s, %s\n\n",
				      i || v || format == BH_SIM_TXT ? "\n" : "",
				      format == BH_SIM_MD ? "### " : "",
				      bh_conns_text(x->about, false, &text), view_names[v]);
			if (format == BH_SIM_MD)
				write_markdown(x, v);
			else
				write_grid(x, v);
		}
	}
	bh_buf_done(&text);
}

/* --- for machines ------------------------------------------------------------------------ */

static void write_cell(const struct matrix *x, enum bh_sim_format format, const char *port,
		       size_t row, size_t column)
{
	const char *cells[3 + VIEW_COUNT_] = { port, x->peers[x->m->rows[row]].label,
					       x->peers[x->m->columns[column]].label };
	enum view v;

	for (v = 0; v < VIEW_COUNT_; v++)
		cells[3 + v] = signs[sign_at(x, row, column, v)].word;
	if (format == BH_SIM_CSV) {
		bh_table_row(format, cells, BH_ARRAY_LEN(cells), x->out);
		return;
	}
	bh_buf_puts(x->out, "{\"port\": ");
	bh_json_string(port, x->out);
	bh_buf_puts(x->out, ", \"src\": ");
	bh_json_string(cells[1], x->out);
	bh_buf_puts(x->out, ", \"dst\": ");
	bh_json_string(cells[2], x->out);
	for (v = 0; v < VIEW_COUNT_; v++)
		bh_buf_printf(x->out, ", \"%s\": \"%s\"", view_names[v], cells[3 + v]);
	bh_buf_putc(x->out, '}');
}

static void write_cells(struct matrix *x, enum bh_sim_format format)
{
	static const char *const names[] = {
		"port", "src", "dst", "ingress", "egress", "combined"
	};
	struct bh_buf text = { 0 };
	bool is_first = true;
	size_t p, i, k;

	if (format == BH_SIM_CSV)
		bh_table_head(format, names, BH_ARRAY_LEN(names), x->out);
	else
		bh_buf_puts(x->out, "[");
	for (p = 0; p < x->m->n_ports; p++) {
		ask_about(x, x->m->ports[p]);
		bh_conns_text(x->about, false, &text);
		for (i = 0; i < x->m->n_rows; i++) {
			for (k = 0; k < x->m->n_columns; k++) {
				if (format == BH_SIM_JSON)
					bh_buf_puts(x->out, is_first ? "\n  " : ",\n  ");
				is_first = false;
				write_cell(x, format, bh_buf_str(&text), i, k);
			}
		}
	}
	if (format == BH_SIM_JSON)
		bh_buf_puts(x->out, "\n]\n");
	bh_buf_done(&text);
}

void bh_matrix_write(const struct bh_matrix *m, enum bh_sim_format format, struct bh_buf *out)
{
	bh_auto_free struct cell *cells = bh_calloc(m->n_rows * m->n_columns + 1, sizeof(*cells));
	struct matrix x = { .m = m, .table = bh_graph_table(m->graph), .cells = cells, .out = out };

	bh_graph_peers(m->graph, &x.peers);
	if (format == BH_SIM_CSV || format == BH_SIM_JSON)
		write_cells(&x, format);
	else
		write_tables(&x, format);
}
