/*
 * All connections, written for people and for programs.
 *
 * Lines, columns and their order are netpol-analyzer's, so that what reads its
 * output reads ours; what it has no words for comes behind.
 */
#include <string.h>

#include "bh/alloc.h"
#include "table.h"

/* Texts of one connection, in buffers that are used again. */
struct texts {
	struct bh_buf conn, audited, only[BH_FAMILY_COUNT_], notes;
};

struct writer {
	const struct bh_graph_listing *list;
	const struct bh_graph_peer *peers;
	size_t n_peers;
	struct texts t;
	struct bh_buf *out;
};

static const char *text(const struct writer *w, const struct bh_conns *c, struct bh_buf *buf)
{
	return bh_conns_text(c, w->list->is_compat, buf);
}

/* "" where there is nothing. */
static const char *some_text(const struct writer *w, const struct bh_conns *c, struct bh_buf *buf)
{
	return bh_conns_is_empty(c) ? "" : text(w, c, buf);
}

static const char *own_node(const struct bh_graph_edge *e)
{
	static const char *const texts[] = {
		[BH_GRAPH_OTHER_NODES] = "",
		[BH_GRAPH_SOME_OWN] = "some",
		[BH_GRAPH_ALL_OWN] = "all",
	};

	return texts[e->own_node];
}

static void add_note(struct bh_buf *out, const char *before, const char *conns)
{
	if (*conns)
		bh_buf_printf(out, "%s%s%s", out->len ? "; " : "", before, conns);
}

static const char *notes(struct writer *w, const struct bh_graph_edge *e)
{
	struct bh_buf *out = &w->t.notes;

	bh_buf_reset(out);
	if (w->list->is_compat)
		return "";
	add_note(out, "in audit, to be denied: ", some_text(w, e->audited, &w->t.audited));
	add_note(out, "IPv4 only: ", some_text(w, e->only[BH_IPV4], &w->t.only[BH_IPV4]));
	add_note(out, "IPv6 only: ", some_text(w, e->only[BH_IPV6], &w->t.only[BH_IPV6]));
	if (e->own_node == BH_GRAPH_SOME_OWN)
		add_note(out, "", "All Connections to pods of its own node");
	return bh_buf_str(out);
}

/* --- text -------------------------------------------------------------------------- */

static void txt_edge(struct writer *w, const struct bh_graph_edge *e)
{
	const char *more = notes(w, e);

	bh_buf_printf(w->out, "%s => %s", w->peers[e->src].label, w->peers[e->dst].label);
	if (!w->list->is_compat || !w->list->about)
		bh_buf_printf(w->out, " : %s", text(w, e->allowed, &w->t.conn));
	if (*more)
		bh_buf_printf(w->out, " (%s)", more);
	bh_buf_putc(w->out, '\n');
}

static void write_txt(struct writer *w)
{
	struct bh_buf *b = &w->t.conn;
	size_t i;

	if (w->list->is_compat && w->list->about)
		bh_buf_printf(w->out, "Permitted connections on %s:\n",
			      bh_conns_text(w->list->about, true, b));
	for (i = 0; i < w->list->n; i++)
		txt_edge(w, &w->list->edges[i]);
}

/* --- tables ------------------------------------------------------------------------ */

static void write_table(struct writer *w, enum bh_sim_format format)
{
	static const char *const names[] = {
		"src", "dst", "conn", "audited", "ipv4_only", "ipv6_only", "own_node",
	};
	size_t n = !w->list->is_compat ? BH_ARRAY_LEN(names) : w->list->about ? 2 : 3;
	struct texts *t = &w->t;
	size_t i;

	bh_table_head(format, names, n, w->out);
	for (i = 0; i < w->list->n; i++) {
		const struct bh_graph_edge *e = &w->list->edges[i];
		const char *const cells[] = {
			w->peers[e->src].label,
			w->peers[e->dst].label,
			text(w, e->allowed, &t->conn),
			some_text(w, e->audited, &t->audited),
			some_text(w, e->only[BH_IPV4], &t->only[BH_IPV4]),
			some_text(w, e->only[BH_IPV6], &t->only[BH_IPV6]),
			own_node(e),
		};

		bh_table_row(format, cells, n, w->out);
	}
}

static void write_csv(struct writer *w)
{
	write_table(w, BH_SIM_CSV);
}

/* netpol-analyzer's own line under the names of columns is of one length. */
static void write_md(struct writer *w)
{
	write_table(w, BH_SIM_MD);
}

/* --- JSON ------------------------------------------------------------------------------ */

static void json_member(struct writer *w, const char *key, const char *value)
{
	if (!*value)
		return;
	bh_buf_printf(w->out, ",\n    \"%s\": ", key);
	bh_json_string(value, w->out);
}

static void json_more(struct writer *w, const struct bh_graph_edge *e)
{
	bh_buf_puts(w->out, ",\n    \"ports\": ");
	bh_json_conns(e->allowed, w->out);
	json_member(w, "audited", some_text(w, e->audited, &w->t.audited));
	json_member(w, "ipv4_only", some_text(w, e->only[BH_IPV4], &w->t.only[BH_IPV4]));
	json_member(w, "ipv6_only", some_text(w, e->only[BH_IPV6], &w->t.only[BH_IPV6]));
	json_member(w, "own_node", own_node(e));
}

static void json_edge(struct writer *w, const struct bh_graph_edge *e)
{
	bh_buf_puts(w->out, "  {\n    \"src\": ");
	bh_json_string(w->peers[e->src].label, w->out);
	json_member(w, "dst", w->peers[e->dst].label);
	if (!w->list->is_compat || !w->list->about)
		json_member(w, "conn", text(w, e->allowed, &w->t.conn));
	if (!w->list->is_compat)
		json_more(w, e);
	bh_buf_puts(w->out, "\n  }");
}

static void write_json(struct writer *w)
{
	size_t i;

	bh_buf_putc(w->out, '[');
	for (i = 0; i < w->list->n; i++) {
		bh_buf_puts(w->out, i ? ",\n" : "\n");
		json_edge(w, &w->list->edges[i]);
	}
	bh_buf_puts(w->out, w->list->n ? "\n]\n" : "]\n");
}

/* --- DOT ---------------------------------------------------------------------------------- */

static void dot_peer(struct writer *w, const struct bh_graph_peer *p, const char *label,
		     const char *color, const char *indent)
{
	bh_buf_puts(w->out, indent);
	bh_dot_string(p->label, w->out);
	bh_buf_puts(w->out, " [label=");
	bh_dot_string(label, w->out);
	bh_buf_printf(w->out, " color=\"%s\" fontcolor=\"%s\"]\n", color, color);
}

/* Peers are sorted by label, so those of a namespace come together. */
static size_t dot_namespace(struct writer *w, size_t first)
{
	const char *ns = w->peers[first].workload->namespace, *c;
	size_t i;

	bh_buf_puts(w->out, "\tsubgraph \"cluster_");
	for (c = ns; *c; c++)
		bh_buf_putc(w->out, *c == '-' ? '_' : *c);
	bh_buf_puts(w->out, "[namespace]\" {\n\t\tcolor=\"black\"\n\t\tfontcolor=\"black\"\n");
	for (i = first; i < w->n_peers; i++) {
		const struct bh_graph_peer *p = &w->peers[i];

		if (p->kind != BH_GRAPH_WORKLOAD || strcmp(p->workload->namespace, ns) != 0)
			break;
		dot_peer(w, p, p->label + strlen(ns) + 1, "blue", "\t\t");
	}
	bh_buf_printf(w->out, "\t\tlabel=\"%s[namespace]\"\n\t}\n", ns);
	return i;
}

static void dot_peers(struct writer *w)
{
	bool *is_there = bh_calloc(w->n_peers + 1, sizeof(*is_there));
	size_t i;

	for (i = 0; i < w->list->n; i++) {
		is_there[w->list->edges[i].src] = true;
		is_there[w->list->edges[i].dst] = true;
	}
	for (i = 0; i < w->n_peers;)
		i = w->peers[i].kind == BH_GRAPH_WORKLOAD ? dot_namespace(w, i) : i + 1;
	for (i = 0; i < w->n_peers; i++)
		if (w->peers[i].kind != BH_GRAPH_WORKLOAD && is_there[i])
			dot_peer(w, &w->peers[i], w->peers[i].label, "red2", "\t");
	free(is_there);
}

static void dot_edge(struct writer *w, const struct bh_graph_edge *e)
{
	const char *src = w->peers[e->src].label, *dst = w->peers[e->dst].label;
	const char *more = notes(w, e);
	bh_auto(bh_buf_done) struct bh_buf label = { 0 };

	bh_buf_puts(&label, text(w, e->allowed, &w->t.conn));
	if (*more)
		bh_buf_printf(&label, "\n%s", more);
	bh_buf_putc(w->out, '\t');
	bh_dot_string(src, w->out);
	bh_buf_puts(w->out, " -> ");
	bh_dot_string(dst, w->out);
	bh_buf_puts(w->out, " [label=");
	bh_dot_string(bh_buf_str(&label), w->out);
	bh_buf_printf(w->out, " color=\"gold2\" fontcolor=\"darkgreen\" weight=%s%s]\n",
		      strcmp(src, dst) <= 0 ? "0.5" : "1",
		      !w->list->is_compat && e->audited == e->allowed ? " style=dashed" : "");
}

static void write_dot(struct writer *w)
{
	size_t i;

	bh_buf_puts(w->out, "digraph {\n");
	dot_peers(w);
	for (i = 0; i < w->list->n; i++)
		dot_edge(w, &w->list->edges[i]);
	bh_buf_puts(w->out, "}\n");
}

/* --- all of them ------------------------------------------------------------------------------ */

void bh_graph_list(const struct bh_graph_listing *list, enum bh_sim_format format,
		   struct bh_buf *out)
{
	static void (*const write[BH_SIM_FORMAT_COUNT_])(struct writer *) = {
		[BH_SIM_TXT] = write_txt, [BH_SIM_JSON] = write_json, [BH_SIM_CSV] = write_csv,
		[BH_SIM_MD] = write_md,   [BH_SIM_DOT] = write_dot,
	};
	struct writer w = { .list = list, .out = out };

	w.n_peers = bh_graph_peers(list->graph, &w.peers);
	write[format](&w);
	bh_buf_done(&w.t.conn);
	bh_buf_done(&w.t.audited);
	bh_buf_done(&w.t.only[BH_IPV4]);
	bh_buf_done(&w.t.only[BH_IPV6]);
	bh_buf_done(&w.t.notes);
}
