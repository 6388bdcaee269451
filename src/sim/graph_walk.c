/*
 * The tiers, walked with sets of connections instead of one flow.
 *
 * The meaning is that of policy/eval.c, rule by rule; there one flow goes from
 * tier to tier, here the set of those that nobody has decided yet.
 */
#include <string.h>

#include "graph_impl.h"

/* --- one walk ----------------------------------------------------------------------------- */

struct walk {
	struct bh_conn_table *table;
	const struct bh_g_hit *hits;
	size_t n;
	bool with_audited;
	const struct bh_conns *open;    /* undecided in this tier */
	const struct bh_conns *passed;  /* to the next tier */
	const struct bh_conns *allowed; /* the result */
	bh_g_on_part *on_part;
	void *ctx;
};

static bool is_present(const struct walk *w, const struct bh_g_hit *h, enum bh_tier tier)
{
	return h->policy->policy->tier == tier && !h->policy->policy->invalid &&
	       (w->with_audited || !h->policy->is_audited);
}

static void decide(struct walk *w, const struct bh_g_hit *h, enum bh_reason reason, bool is_allowed,
		   const struct bh_conns *conns)
{
	if (bh_conns_is_empty(conns))
		return;
	if (is_allowed)
		w->allowed = bh_conns_or(w->table, w->allowed, conns);
	if (w->on_part)
		w->on_part(w->ctx, h, reason, is_allowed, conns);
}

/* Quarantine, Admin, Baseline, default deny: the first rule decides. */
static void walk_in_order(struct walk *w, const struct bh_g_profile *p, enum bh_tier tier)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		const struct bh_g_hit *h = &w->hits[i];
		const struct bh_conns *conns;
		enum bh_action action;

		if (!is_present(w, h, tier))
			continue;
		conns = bh_conns_and(w->table, w->open, h->conns);
		action = h->policy->policy->rules[p->dir].items[h->rule].action;
		w->open = bh_conns_minus(w->table, w->open, conns);
		if (action == BH_PASS)
			w->passed = bh_conns_or(w->table, w->passed, conns);
		else
			decide(w, h,
			       action == BH_DENY && tier == BH_TIER_QUARANTINE
				       ? BH_REASON_QUARANTINE
				       : BH_REASON_RULE,
			       action == BH_ALLOW, conns);
	}
	w->open = bh_conns_or(w->table, w->open, w->passed);
	w->passed = bh_conns_none(w->table);
}

static void walk_additive(struct walk *w)
{
	size_t i;

	for (i = 0; i < w->n; i++) {
		const struct bh_conns *conns;

		if (!is_present(w, &w->hits[i], BH_TIER_NETWORK_POLICY))
			continue;
		conns = bh_conns_and(w->table, w->open, w->hits[i].conns);
		w->open = bh_conns_minus(w->table, w->open, conns);
		decide(w, &w->hits[i], BH_REASON_RULE, true, conns);
	}
	decide(w, NULL, BH_REASON_DEFAULT_DENY, false, w->open);
}

const struct bh_conns *bh_g_walk(struct bh_graph *g, const struct bh_g_profile *p,
				 const struct bh_g_hit *hits, size_t n, bool with_audited,
				 bh_g_on_part *on_part, void *ctx)
{
	struct walk w = { .table = g->table,
			  .hits = hits,
			  .n = n,
			  .with_audited = with_audited,
			  .open = bh_conns_all(g->table),
			  .passed = bh_conns_none(g->table),
			  .allowed = bh_conns_none(g->table),
			  .on_part = on_part,
			  .ctx = ctx };

	if (p->is_free) {
		decide(&w, NULL, BH_REASON_NOT_SUBJECT, true, w.open);
		return w.allowed;
	}
	if (with_audited ? p->is_closed_if_audited : p->is_closed) {
		decide(&w, NULL,
		       p->subject->has_no_labels_yet ? BH_REASON_NO_LABELS : BH_REASON_CONTESTED,
		       false, w.open);
		return w.allowed;
	}
	walk_in_order(&w, p, BH_TIER_QUARANTINE);
	walk_in_order(&w, p, BH_TIER_ADMIN);
	if (with_audited ? p->is_isolated_if_audited : p->is_isolated) {
		walk_additive(&w);
		return w.allowed;
	}
	walk_in_order(&w, p, BH_TIER_BASELINE);
	walk_in_order(&w, p, BH_TIER_DEFAULT_DENY);
	decide(&w, NULL, BH_REASON_NOT_ISOLATED, true, w.open);
	return w.allowed;
}

/* --- what a rule says of a view -------------------------------------------------- */

static const struct bh_conns *resolve(struct bh_graph *g, const struct bh_g_rule *r,
				      const struct bh_pod *pod)
{
	const struct bh_conns *conns = r->fixed;
	size_t i, k;

	for (i = 0; pod && r->has_names && i < r->rule->n_ports; i++) {
		const struct bh_policy_port *port = &r->rule->ports[i];

		for (k = 0; port->name && k < pod->n_ports; k++) {
			const struct bh_port *own = &pod->ports[k];

			if (!own->name || strcmp(own->name, port->name) != 0 ||
			    (port->protocol && port->protocol != own->protocol))
				continue;
			conns = bh_conns_or(
				g->table, conns,
				bh_conns_range(g->table, own->protocol, own->number, own->number));
		}
	}
	return conns;
}

/*
 * Named ports are looked up in the destination; a block of addresses has no pod for that.
 * Of a pod that cannot be told from others, any port may have the name.
 */
static const struct bh_conns *conns_of(struct bh_graph *g, const struct bh_g_profile *p,
				       const struct bh_g_rule *r, const struct bh_peer *peer,
				       const struct bh_pod *other)
{
	if (p->dir == BH_INGRESS)
		return resolve(g, r, p->subject);
	if ((peer && peer->kind == BH_PEER_CIDR) || !r->has_names)
		return r->fixed;
	if (other && bh_pod_is_closed(other) && r->rule->action == BH_DENY)
		return bh_conns_all(g->table);
	return other && other->is_contested ? r->fixed : resolve(g, r, other);
}

const struct bh_conns *bh_g_rule_conns(struct bh_graph *g, const struct bh_g_profile *p,
				       const struct bh_g_rule *r, uint32_t view)
{
	const struct bh_conns *conns = bh_conns_none(g->table);
	size_t i;

	if (!r->rule->has_peers)
		return conns_of(g, p, r, NULL, g->views[view].pod);
	for (i = 0; i < r->rule->n_peers; i++)
		if (bh_g_view_has(g, view, r->matchers[i]))
			conns = bh_conns_or(
				g->table, conns,
				conns_of(g, p, r, &r->rule->peers[i], g->views[view].pod));
	return conns;
}

size_t bh_g_hits(struct bh_graph *g, const struct bh_g_profile *p, uint32_t view,
		 struct bh_g_hit **ret)
{
	size_t n = 0, cap = 0, i;
	uint32_t k;

	*ret = NULL;
	for (i = 0; i < p->n_policies; i++)
		for (k = 0; k < p->policies[i]->policy->rules[p->dir].n; k++) {
			const struct bh_conns *conns =
				bh_g_rule_conns(g, p, &p->policies[i]->rules[p->dir][k], view);

			if (bh_conns_is_empty(conns))
				continue;
			bh_grow(ret, &cap, n, sizeof(**ret));
			(*ret)[n++] = (struct bh_g_hit){ p->policies[i], k, conns };
		}
	return n;
}

/* --- all views ------------------------------------------------------------------- */

struct hits {
	struct bh_g_hit *items;
	size_t n, cap;
};

/* Rules in evaluation order, each put where it hits. */
struct sweep {
	struct bh_graph *g;
	const struct bh_g_profile *p;
	struct hits everybody; /* whoever is in no peer of any rule so far */
	struct hits *views;    /* one per view; of those that are touched */
	bool *is_touched;
	uint32_t *touched;
	size_t n_touched;
};

static void add_hit(struct bh_graph *g, struct hits *hits, const struct bh_g_hit *h)
{
	struct bh_g_hit *last = hits->n > 0 ? &hits->items[hits->n - 1] : NULL;

	if (bh_conns_is_empty(h->conns))
		return;
	if (last && last->policy == h->policy && last->rule == h->rule) {
		last->conns = bh_conns_or(g->table, last->conns, h->conns);
		return;
	}
	bh_grow(&hits->items, &hits->cap, hits->n, sizeof(*hits->items));
	hits->items[hits->n++] = *h;
}

static struct hits *touch(struct sweep *s, uint32_t view)
{
	struct hits *hits = &s->views[view];
	size_t i;

	if (s->is_touched[view])
		return hits;
	s->is_touched[view] = true;
	s->touched[s->n_touched++] = view;
	hits->n = 0;
	for (i = 0; i < s->everybody.n; i++)
		add_hit(s->g, hits, &s->everybody.items[i]);
	return hits;
}

static void sweep_everybody(struct sweep *s, struct bh_g_hit *h, const struct bh_g_rule *r)
{
	bool differs = r->has_names && s->p->dir == BH_EGRESS;
	uint32_t v;
	size_t i;

	for (v = 0; differs && v < s->g->n_views; v++)
		if (s->g->views[v].pod &&
		    (s->g->views[v].pod->n_ports > 0 || bh_pod_is_closed(s->g->views[v].pod)))
			touch(s, v);
	for (i = 0; i < s->n_touched; i++) {
		h->conns = conns_of(s->g, s->p, r, NULL, s->g->views[s->touched[i]].pod);
		add_hit(s->g, &s->views[s->touched[i]], h);
	}
	h->conns = conns_of(s->g, s->p, r, NULL, NULL);
	add_hit(s->g, &s->everybody, h);
}

static void sweep_peers(struct sweep *s, struct bh_g_hit *h, const struct bh_g_rule *r)
{
	size_t i, k;

	for (i = 0; i < r->rule->n_peers; i++) {
		const struct bh_g_matcher *m = &s->g->matchers[r->matchers[i]];

		for (k = 0; k < m->n_views; k++) {
			h->conns = conns_of(s->g, s->p, r, &r->rule->peers[i],
					    s->g->views[m->views[k]].pod);
			add_hit(s->g, touch(s, m->views[k]), h);
		}
	}
}

static void sweep_rules(struct sweep *s)
{
	size_t i;
	uint32_t k;

	for (i = 0; i < s->p->n_policies; i++) {
		const struct bh_g_policy *p = s->p->policies[i];

		for (k = 0; k < p->policy->rules[s->p->dir].n; k++) {
			const struct bh_g_rule *r = &p->rules[s->p->dir][k];
			struct bh_g_hit h = { .policy = p, .rule = k };

			if (r->rule->has_peers)
				sweep_peers(s, &h, r);
			else
				sweep_everybody(s, &h, r);
		}
	}
}

static struct bh_g_verdict judge_hits(struct bh_graph *g, const struct bh_g_profile *p,
				      const struct hits *hits)
{
	struct bh_g_verdict v;

	v.allowed = bh_g_walk(g, p, hits->items, hits->n, false, NULL, NULL);
	v.audited = p->has_audited ? bh_g_walk(g, p, hits->items, hits->n, true, NULL, NULL)
				   : v.allowed;
	return v;
}

static bool is_same(const struct bh_g_verdict *a, const struct bh_g_verdict *b)
{
	return a->allowed == b->allowed && a->audited == b->audited;
}

static int cmp_overrides(const void *a, const void *b)
{
	uint32_t x = ((const struct bh_g_override *)a)->view;
	uint32_t y = ((const struct bh_g_override *)b)->view;

	return (x > y) - (x < y);
}

/* Leaves the sweep ready for the next profile. */
static void judge_profile(struct sweep *s, struct bh_g_profile *p)
{
	size_t cap = 0, i;

	s->p = p;
	sweep_rules(s);
	p->standard = judge_hits(s->g, p, &s->everybody);
	for (i = 0; i < s->n_touched; i++) {
		uint32_t view = s->touched[i];
		struct bh_g_verdict v = judge_hits(s->g, p, &s->views[view]);

		s->is_touched[view] = false;
		if (is_same(&v, &p->standard))
			continue;
		bh_grow(&p->overrides, &cap, p->n_overrides, sizeof(*p->overrides));
		p->overrides[p->n_overrides++] = (struct bh_g_override){ view, v };
	}
	if (p->n_overrides > 0)
		bh_sort(p->overrides, p->n_overrides, sizeof(*p->overrides), cmp_overrides);
	s->everybody.n = 0;
	s->n_touched = 0;
}

/* Views of which all profiles of a direction think alike get one number. */
static void number_outcomes(struct bh_graph *g, enum bh_dir dir)
{
	struct bh_buf *texts = bh_calloc(g->n_views, sizeof(*texts));
	struct bh_ids ids = { 0 };
	size_t i, k;

	for (i = 0; i < g->n_profiles; i++) {
		const struct bh_g_profile *p = &g->profiles[i];

		for (k = 0; p->dir == dir && k < p->n_overrides; k++) {
			struct bh_buf *text = &texts[p->overrides[k].view];

			bh_buf_add(text, &i, sizeof(i));
			bh_buf_add(text, &p->overrides[k].verdict, sizeof(p->overrides[k].verdict));
		}
	}
	for (i = 0; i < g->n_views; i++) {
		g->views[i].outcome[dir] =
			bh_ids_get(&ids, g->arena, bh_buf_str(&texts[i]), texts[i].len);
		bh_buf_done(&texts[i]);
	}
	bh_ids_done(&ids);
	free(texts);
}

void bh_g_judge(struct bh_graph *g)
{
	struct sweep s = { .g = g };
	size_t i;

	s.views = bh_calloc(g->n_views + 1, sizeof(*s.views));
	s.is_touched = bh_calloc(g->n_views + 1, sizeof(*s.is_touched));
	s.touched = bh_calloc(g->n_views + 1, sizeof(*s.touched));
	for (i = 0; i < g->n_profiles; i++)
		judge_profile(&s, &g->profiles[i]);
	number_outcomes(g, BH_INGRESS);
	number_outcomes(g, BH_EGRESS);
	for (i = 0; i < g->n_views; i++)
		free(s.views[i].items);
	free(s.views);
	free(s.is_touched);
	free(s.touched);
	free(s.everybody.items);
}

struct bh_g_verdict bh_g_verdict_of(const struct bh_g_profile *p, uint32_t view)
{
	size_t low = 0, high = p->n_overrides;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->overrides[mid].view < view)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < p->n_overrides && p->overrides[low].view == view)
		return p->overrides[low].verdict;
	return p->standard;
}
