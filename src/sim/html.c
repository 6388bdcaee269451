/*
 * The page for people who review policies: page.html, with the answers as JSON
 * where it says @DATA@.  Everything that is drawn is drawn by the page's own script.
 */
#include <string.h>

#include "bh/alloc.h"
#include "bh/sim.h"

/* The template is part of the program. */
__asm__(".pushsection .rodata\n"
	"page_start: .incbin \"src/sim/page.html\"\n"
	"page_end: .byte 0\n"
	".popsection\n");
extern const char page_start[], page_end[];

#define PLACE "@DATA@"

/* Why each connection is allowed is left out beyond this: a page must open. */
#define MAX_EXPLAINED 20000

/* Texts that many connections share, each once; UTF-8. */
struct texts {
	json_t *list;  /* in the page */
	json_t *index; /* text -> number */
};

static struct texts texts_new(void)
{
	return (struct texts){ json_array(), json_object() };
}

static json_int_t texts_add(struct texts *t, const char *text)
{
	json_t *known = json_object_get(t->index, text);

	if (known)
		return json_integer_value(known);
	json_array_append_new(t->list, json_string(text));
	known = json_integer((json_int_t)json_array_size(t->list) - 1);
	json_object_set_new(t->index, text, known);
	return json_integer_value(known);
}

/* Steals the list. */
static json_t *texts_take(struct texts *t)
{
	json_decref(t->index);
	return t->list;
}

static json_int_t add_conns(struct texts *t, const struct bh_conns *conns)
{
	struct bh_buf text = { 0 };
	json_int_t n;

	bh_conns_format(conns, false, &text);
	n = texts_add(t, bh_buf_str(&text));
	bh_buf_done(&text);
	return n;
}

static json_t *conns_json(const struct bh_conns *conns)
{
	struct bh_buf text = { 0 };
	json_t *json;

	bh_conns_format(conns, false, &text);
	json = json_string(bh_buf_str(&text));
	bh_buf_done(&text);
	return json;
}

/* --- peers and connections ------------------------------------------------------------ */

static json_t *peers_json(const struct bh_graph *g)
{
	const struct bh_graph_peer *peers;
	size_t i, n = bh_graph_peers(g, &peers);
	json_t *list = json_array();

	for (i = 0; i < n; i++)
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "label", peers[i].label, "ns",
					peers[i].workload ? peers[i].workload->namespace : ""));
	return list;
}

/* Where no rule decides. */
static const char *const why_texts[BH_REASON_COUNT_] = {
	[BH_REASON_NOT_SUBJECT] = "policy is not about this end",
	[BH_REASON_NOT_ISOLATED] = "no policy isolates this end",
	[BH_REASON_SELF] = "it is the pod itself",
	[BH_REASON_OWN_NODE] = "it is the pod's own node",
	[BH_REASON_RULE] = "a rule",
	/* Of what is denied, which is not shown. */
	[BH_REASON_DEFAULT_DENY] = "",
	[BH_REASON_NO_LABELS] = "",
	[BH_REASON_QUARANTINE] = "",
	[BH_REASON_CONTESTED] = "",
	[BH_REASON_SPOOFED] = "",
	[BH_REASON_UNLISTED] = "",
	[BH_REASON_NO_POD] = "",
};

static void describe_reason(const struct bh_graph_reason *r, enum bh_dir dir, struct bh_buf *out)
{
	const struct bh_policy *p = r->rule.policy;
	int line;

	bh_conns_format(r->conns, false, out);
	if (!p) {
		bh_buf_printf(out, ": %s", why_texts[r->reason]);
		return;
	}
	line = p->rules[dir].items[r->rule.rule_index].line;
	bh_buf_printf(out, ": %s %s%s%s, %s rule %zu", bh_policy_kind_str(p->kind), p->namespace,
		      *p->namespace ? "/" : "", p->name, bh_dir_str(dir), r->rule.rule_index);
	if (!p->file)
		return;
	bh_buf_puts(out, " (");
	bh_buf_escape(out, p->file);
	bh_buf_printf(out, ":%d)", line ? line : p->line);
}

static json_t *reasons_json(struct bh_graph *g, const struct bh_graph_edge *e, enum bh_dir dir,
			    struct texts *reasons)
{
	bh_auto_free struct bh_graph_reason *items = NULL;
	size_t i, n = bh_graph_why(g, e, dir, &items);
	json_t *list = json_array();

	for (i = 0; i < n; i++) {
		struct bh_buf text = { 0 };

		if (!items[i].is_allowed)
			continue;
		describe_reason(&items[i], dir, &text);
		json_array_append_new(list, json_integer(texts_add(reasons, bh_buf_str(&text))));
		bh_buf_done(&text);
	}
	return list;
}

static void add_edges(const struct bh_sim_page *p, json_t *page)
{
	struct texts conns = texts_new(), reasons = texts_new();
	bool is_explained = p->n_edges <= MAX_EXPLAINED;
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < p->n_edges; i++) {
		const struct bh_graph_edge *e = &p->edges[i];
		bool is_audited = e->audited && !bh_conns_is_empty(e->audited);
		json_t *edge;

		if (bh_conns_is_empty(e->allowed))
			continue;
		edge = json_pack("[I, I, I, I]", (json_int_t)e->src, (json_int_t)e->dst,
				 add_conns(&conns, e->allowed),
				 is_audited ? add_conns(&conns, e->audited) : (json_int_t)-1);
		json_array_append_new(edge, is_explained
						    ? reasons_json(p->graph, e, BH_EGRESS, &reasons)
						    : json_array());
		json_array_append_new(edge,
				      is_explained ? reasons_json(p->graph, e, BH_INGRESS, &reasons)
						   : json_array());
		json_array_append_new(list, edge);
	}
	json_object_set_new(page, "peers", peers_json(p->graph));
	json_object_set_new(page, "edges", list);
	json_object_set_new(page, "conns", texts_take(&conns));
	json_object_set_new(page, "reasons", texts_take(&reasons));
}

/* --- the rest ---------------------------------------------------------------------------- */

static json_t *exposure_json(const struct bh_exposures *exposures)
{
	const struct bh_exposure *items;
	size_t i, n = bh_exposures_items(exposures, &items);
	json_t *list = json_array();

	for (i = 0; i < n; i++) {
		struct bh_buf label = { 0 };

		bh_sim_workload_label(items[i].workload, &label);
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:b}", "workload", bh_buf_str(&label),
						"dir", bh_dir_str(items[i].dir), "protected",
						items[i].is_protected));
		bh_buf_done(&label);
	}
	return list;
}

static json_t *findings_json(const struct bh_lint *lint)
{
	const struct bh_finding *items;
	size_t i, n = bh_lint_findings(lint, &items);
	json_t *list = json_array();

	for (i = 0; i < n; i++) {
		const struct bh_finding *f = &items[i];

		json_array_append_new(
			list, json_pack("{s:s, s:s, s:o, s:i, s:s, s:o, s:s?}", "check",
					f->check->name, "severity", bh_severity_str(f->severity),
					"file", bh_text_json(f->file), "line", f->line, "subject",
					f->subject, "text", bh_text_json(f->text), "fix", f->fix));
	}
	return list;
}

static json_t *strings_json(const char *const *items, size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_string(items[i]));
	return list;
}

static json_t *diff_json(const struct bh_graph_diff *diff)
{
	const struct bh_graph_change *items;
	size_t i, n = bh_graph_diff_changes(diff, &items);
	json_t *list = json_array(), *object = json_object();
	const char *const *names;

	for (i = 0; i < n; i++) {
		const struct bh_graph_change *c = &items[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind",
						      bh_change_str(c->kind), "src", c->src, "dst",
						      c->dst, "before", conns_json(c->before),
						      "after", conns_json(c->after), "because",
						      strings_json(c->because, c->n_because)));
	}
	json_object_set_new(object, "changes", list);
	n = bh_graph_diff_workloads(diff, true, &names);
	json_object_set_new(object, "new", strings_json(names, n));
	n = bh_graph_diff_workloads(diff, false, &names);
	json_object_set_new(object, "gone", strings_json(names, n));
	return object;
}

static json_t *summary_json(const struct bh_sim *sim)
{
	const struct bh_world_stats stats = bh_world_stats(bh_sim_world(sim));
	const struct bh_sim_workload *workloads;
	size_t n = bh_sim_workloads(sim, &workloads);

	return json_sprintf("%zu workloads with %zu pods, %zu namespaces, %zu policies", n,
			    stats.n_pods, stats.n_namespaces, stats.n_policies);
}

/* ASCII, and no "<" that could end the script element it stands in. */
static void add_data(const json_t *page, struct bh_buf *out)
{
	bh_auto_free char *text = json_dumps(page, JSON_COMPACT | JSON_ENSURE_ASCII);
	const char *s = text ? text : "{}", *less;

	for (; (less = strchr(s, '<')); s = less + 1) {
		bh_buf_add(out, s, (size_t)(less - s));
		bh_buf_puts(out, "\\u003c");
	}
	bh_buf_puts(out, s);
}

void bh_sim_html(const struct bh_sim_page *p, struct bh_buf *out)
{
	const char *place = strstr(page_start, PLACE), *rest = place + strlen(PLACE);
	json_t *page = json_object();

	json_object_set_new(page, "title",
			    json_string(p->diff ? "Network policy: what changes"
						: "Network policy: who can talk to whom"));
	json_object_set_new(page, "summary", summary_json(p->sim));
	add_edges(p, page);
	json_object_set_new(page, "exposure", exposure_json(p->exposures));
	json_object_set_new(page, "findings", findings_json(p->lint));
	json_object_set_new(page, "diff", p->diff ? diff_json(p->diff) : json_null());

	bh_buf_add(out, page_start, (size_t)(place - page_start));
	add_data(page, out);
	bh_buf_add(out, rest, (size_t)(page_end - rest));
	json_decref(page);
}
