/*
 * Differences, written for people and for programs.
 */
#include <string.h>

#include "diff_impl.h"
#include "table.h"

struct writer {
	const struct bh_graph_diff *d;
	bool is_compat;
	struct bh_buf before, after, more, because;
	struct bh_buf *out;
};

static const char *text(const struct writer *w, const struct bh_conns *c, struct bh_buf *b)
{
	return bh_conns_text(c, w->is_compat, b);
}

static void add_only(struct bh_buf *out, const char *name, const struct bh_conns *before,
		     const struct bh_conns *after)
{
	if (before == after)
		return;
	bh_buf_printf(out, "%s%s only: ", out->len ? "; " : "", name);
	bh_conns_format(after, true, out);
	bh_buf_puts(out, ", before: ");
	bh_conns_format(before, true, out);
}

/* What changed beside the verdict. */
static const char *more_of(struct writer *w, const struct bh_graph_change *c)
{
	struct bh_buf *out = &w->more;

	bh_buf_reset(out);
	if (c->audited_before != c->audited_after) {
		bh_buf_puts(out, "in audit, to be denied: ");
		bh_conns_format(c->audited_after, true, out);
		bh_buf_puts(out, ", before: ");
		bh_conns_format(c->audited_before, true, out);
	}
	add_only(out, "IPv4", c->only_before[BH_IPV4], c->only_after[BH_IPV4]);
	add_only(out, "IPv6", c->only_before[BH_IPV6], c->only_after[BH_IPV6]);
	return bh_buf_str(out);
}

static const char *because_of(struct writer *w, const struct bh_graph_change *c)
{
	size_t i;

	bh_buf_reset(&w->because);
	for (i = 0; i < c->n_because; i++)
		bh_buf_printf(&w->because, "%s%s", i ? "; " : "", c->because[i]);
	return bh_buf_str(&w->because);
}

/* "workload shop/a[Pod] and shop/b[Pod] added", as netpol-analyzer has it. */
static const char *workloads_of(struct writer *w, const struct bh_graph_change *c)
{
	bool has_src = c->is_src_new || c->is_src_gone, has_dst = c->is_dst_new || c->is_dst_gone;

	bh_buf_reset(&w->more);
	if (has_src || has_dst)
		bh_buf_printf(&w->more, "workload %s%s%s %s", has_src ? c->src : "",
			      has_src && has_dst ? " and " : "", has_dst ? c->dst : "",
			      bh_change_str(c->kind));
	return bh_buf_str(&w->more);
}

/* --- text -------------------------------------------------------------------------------- */

static void txt_change(struct writer *w, const struct bh_graph_change *c)
{
	static const char signs[] = { [BH_CHANGE_ADDED] = '+',
				      [BH_CHANGE_REMOVED] = '-',
				      [BH_CHANGE_CHANGED] = '~',
				      [BH_CHANGE_AUDITED] = '?' };
	const char *more = more_of(w, c);
	size_t i;

	bh_buf_printf(w->out, "%c %s => %s : ", signs[c->kind], c->src, c->dst);
	if (c->kind == BH_CHANGE_CHANGED)
		bh_buf_printf(w->out, "%s, now ", text(w, c->before, &w->before));
	bh_buf_puts(w->out, c->kind == BH_CHANGE_REMOVED ? text(w, c->before, &w->before)
							 : text(w, c->after, &w->after));
	if (*more)
		bh_buf_printf(w->out, " (%s)", more);
	bh_buf_putc(w->out, '\n');
	for (i = 0; i < c->n_because; i++)
		bh_buf_printf(w->out, "    because %s\n", c->because[i]);
}

static void txt_workloads(struct writer *w, bool is_new)
{
	size_t i;

	for (i = 0; i < w->d->n_workloads[is_new]; i++)
		bh_buf_printf(w->out, "%s workload: %s\n", is_new ? "new" : "gone",
			      w->d->workloads[is_new][i]);
}

static void count(const struct bh_graph_diff *d, size_t n[BH_CHANGE_COUNT_])
{
	size_t i;

	memset(n, 0, BH_CHANGE_COUNT_ * sizeof(*n));
	for (i = 0; i < d->n_changes; i++)
		n[d->changes[i].kind]++;
}

static void write_txt(struct writer *w)
{
	size_t n[BH_CHANGE_COUNT_], i;

	for (i = 0; i < w->d->n_changes; i++)
		txt_change(w, &w->d->changes[i]);
	txt_workloads(w, true);
	txt_workloads(w, false);
	count(w->d, n);
	bh_buf_printf(w->out, "connections: %zu added, %zu removed, %zu changed, %zu in audit\n",
		      n[BH_CHANGE_ADDED], n[BH_CHANGE_REMOVED], n[BH_CHANGE_CHANGED],
		      n[BH_CHANGE_AUDITED]);
}

/* Their lines are sorted by kind and then by text. */
static void write_compat_txt(struct writer *w)
{
	static const enum bh_change_kind order[] = { BH_CHANGE_CHANGED, BH_CHANGE_ADDED,
						     BH_CHANGE_REMOVED };
	size_t i, k;

	bh_buf_puts(w->out, "Connectivity diff:\n");
	for (k = 0; k < BH_ARRAY_LEN(order); k++)
		for (i = 0; i < w->d->n_changes; i++) {
			const struct bh_graph_change *c = &w->d->changes[i];
			const char *more;

			if (c->kind != order[k])
				continue;
			bh_buf_printf(w->out,
				      "diff-type: %s, source: %s, destination: %s, dir1: %s, "
				      "dir2: %s",
				      bh_change_str(c->kind), c->src, c->dst,
				      text(w, c->before, &w->before), text(w, c->after, &w->after));
			more = workloads_of(w, c);
			bh_buf_printf(w->out, "%s%s\n", *more ? ", workloads-diff-info: " : "",
				      more);
		}
}

/* --- tables -------------------------------------------------------------------------------- */

static void write_table(struct writer *w, enum bh_sim_format format)
{
	static const char *const theirs[] = { "diff-type", "source", "destination",
					      "dir1",      "dir2",   "workloads-diff-info" };
	static const char *const ours[] = { "change", "src",       "dst",     "before",
					    "after",  "workloads", "audited", "because" };
	bh_auto(bh_buf_done) struct bh_buf audited = { 0 };
	size_t i, n = w->is_compat ? BH_ARRAY_LEN(theirs) : BH_ARRAY_LEN(ours);

	bh_table_head(format, w->is_compat ? theirs : ours, n, w->out);
	for (i = 0; i < w->d->n_changes; i++) {
		const struct bh_graph_change *c = &w->d->changes[i];
		const char *const cells[] = {
			bh_change_str(c->kind),
			c->src,
			c->dst,
			text(w, c->before, &w->before),
			text(w, c->after, &w->after),
			workloads_of(w, c),
			bh_conns_is_empty(c->audited_after) ? ""
							    : text(w, c->audited_after, &audited),
			because_of(w, c),
		};

		if (!w->is_compat || c->kind != BH_CHANGE_AUDITED)
			bh_table_row(format, cells, n, w->out);
	}
}

static void write_csv(struct writer *w)
{
	write_table(w, BH_SIM_CSV);
}

static void write_md(struct writer *w)
{
	write_table(w, BH_SIM_MD);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void json_member(struct writer *w, const char *key, const char *value)
{
	bh_buf_printf(w->out, ",\n      \"%s\": ", key);
	bh_json_string(value, w->out);
}

static void json_list(struct writer *w, const char *const *items, size_t n)
{
	size_t i;

	bh_buf_putc(w->out, '[');
	for (i = 0; i < n; i++) {
		bh_buf_puts(w->out, i ? ", " : "");
		bh_json_string(items[i], w->out);
	}
	bh_buf_putc(w->out, ']');
}

static void json_ports(struct writer *w, const char *key, const struct bh_conns *c)
{
	bh_buf_printf(w->out, ",\n      \"%s\": ", key);
	bh_json_conns(c, w->out);
}

static void json_presence(struct writer *w, const char *key, bool is_new, bool is_gone)
{
	if (is_new || is_gone)
		json_member(w, key, is_new ? "new" : "gone");
}

static void json_change(struct writer *w, const struct bh_graph_change *c)
{
	bh_buf_printf(w->out, "    {\n      \"change\": \"%s\"", bh_change_str(c->kind));
	json_member(w, "src", c->src);
	json_member(w, "dst", c->dst);
	json_member(w, "before", text(w, c->before, &w->before));
	json_member(w, "after", text(w, c->after, &w->after));
	json_ports(w, "before_ports", c->before);
	json_ports(w, "after_ports", c->after);
	json_member(w, "audited_before", text(w, c->audited_before, &w->before));
	json_member(w, "audited_after", text(w, c->audited_after, &w->after));
	json_presence(w, "src_workload", c->is_src_new, c->is_src_gone);
	json_presence(w, "dst_workload", c->is_dst_new, c->is_dst_gone);
	bh_buf_puts(w->out, ",\n      \"because\": ");
	json_list(w, c->because, c->n_because);
	bh_buf_puts(w->out, "\n    }");
}

static void write_json(struct writer *w)
{
	size_t i;

	bh_buf_puts(w->out, "{\n  \"changes\": [");
	for (i = 0; i < w->d->n_changes; i++) {
		bh_buf_puts(w->out, i ? ",\n" : "\n");
		json_change(w, &w->d->changes[i]);
	}
	bh_buf_puts(w->out, "],\n  \"new_workloads\": ");
	json_list(w, w->d->workloads[1], w->d->n_workloads[1]);
	bh_buf_puts(w->out, ",\n  \"gone_workloads\": ");
	json_list(w, w->d->workloads[0], w->d->n_workloads[0]);
	bh_buf_puts(w->out, "\n}\n");
}

/* --- DOT ------------------------------------------------------------------------- */

static void dot_change(struct writer *w, const struct bh_graph_change *c)
{
	static const char *const colors[] = { [BH_CHANGE_ADDED] = "#008000",
					      [BH_CHANGE_REMOVED] = "red2",
					      [BH_CHANGE_CHANGED] = "magenta",
					      [BH_CHANGE_AUDITED] = "orange" };
	bh_auto(bh_buf_done) struct bh_buf label = { 0 };
	const char *more = w->is_compat ? "" : more_of(w, c);

	bh_buf_puts(&label, c->kind == BH_CHANGE_REMOVED ? text(w, c->before, &w->before)
							 : text(w, c->after, &w->after));
	if (c->kind == BH_CHANGE_CHANGED)
		bh_buf_printf(&label, " (before: %s)", text(w, c->before, &w->before));
	if (*more)
		bh_buf_printf(&label, "\n%s", more);
	bh_buf_putc(w->out, '\t');
	bh_dot_string(c->src, w->out);
	bh_buf_puts(w->out, " -> ");
	bh_dot_string(c->dst, w->out);
	bh_buf_puts(w->out, " [label=");
	bh_dot_string(bh_buf_str(&label), w->out);
	bh_buf_printf(w->out, " color=\"%s\" fontcolor=\"%s\"]\n", colors[c->kind],
		      colors[c->kind]);
}

static void dot_workloads(struct writer *w, bool is_new)
{
	size_t i;

	for (i = 0; i < w->d->n_workloads[is_new]; i++) {
		bh_buf_putc(w->out, '\t');
		bh_dot_string(w->d->workloads[is_new][i], w->out);
		bh_buf_printf(w->out, " [color=\"%s\"]\n", is_new ? "#008000" : "red");
	}
}

static void write_dot(struct writer *w)
{
	size_t i;

	bh_buf_puts(w->out, "digraph {\n");
	dot_workloads(w, true);
	dot_workloads(w, false);
	for (i = 0; i < w->d->n_changes; i++)
		dot_change(w, &w->d->changes[i]);
	bh_buf_puts(w->out, "}\n");
}

void bh_graph_diff_write(const struct bh_graph_diff *d, enum bh_sim_format format, bool is_compat,
			 struct bh_buf *out)
{
	static void (*const write[BH_SIM_FORMAT_COUNT_])(struct writer *) = {
		[BH_SIM_TXT] = write_txt, [BH_SIM_JSON] = write_json, [BH_SIM_CSV] = write_csv,
		[BH_SIM_MD] = write_md,   [BH_SIM_DOT] = write_dot,
	};
	struct writer w = { .d = d, .is_compat = is_compat, .out = out };

	if (is_compat && format == BH_SIM_TXT)
		write_compat_txt(&w);
	else
		write[format](&w);
	bh_buf_done(&w.before);
	bh_buf_done(&w.after);
	bh_buf_done(&w.more);
	bh_buf_done(&w.because);
}
