/*
 * Why a connection is another one: which policy, and what of it.
 *
 * A policy is a cause if what it says of the two ends differs between the
 * worlds.  Then its text is compared; where that is the same, the labels,
 * addresses or ports of the ends are not.
 */
#include <string.h>

#include "bh/selector.h"
#include "diff_impl.h"

/* One world's side of one direction of a pair. */
struct side {
	struct bh_graph *g;
	const struct bh_g_profile *profile; /* NULL: there is no such end */
	uint32_t view;                      /* of the other end */
};

struct asking {
	struct bh_graph_diff *d;
	enum bh_dir dir;
	struct side before, after;
	const char *subject, *other; /* labels */
	const char **texts;
	size_t n, cap;
};

static const char *intern(struct bh_graph_diff *d, const struct bh_buf *text)
{
	uint32_t id = bh_ids_get(&d->strings, d->arena, bh_buf_str(text), text->len);

	if (id < d->n_texts)
		return d->texts[id];
	bh_grow(&d->texts, &d->cap_texts, d->n_texts, sizeof(*d->texts));
	d->texts[d->n_texts++] = bh_arena_strdup(d->arena, bh_buf_str(text));
	return d->texts[id];
}

static void add_text(struct asking *a, const struct bh_buf *text)
{
	const char *s = intern(a->d, text);
	size_t i;

	for (i = 0; i < a->n; i++)
		if (a->texts[i] == s)
			return;
	bh_grow(&a->texts, &a->cap, a->n, sizeof(*a->texts));
	a->texts[a->n++] = s;
}

static void say(struct asking *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct asking *a, const char *fmt, ...)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	va_list ap;

	va_start(ap, fmt);
	bh_buf_vprintf(&b, fmt, ap);
	va_end(ap);
	add_text(a, &b);
}

/* --- what a policy says of a pair --------------------------------------------------------- */

static const struct bh_g_policy *policy_of(const struct side *s, const struct bh_policy *p)
{
	size_t i;

	for (i = 0; s->profile && i < s->profile->n_policies; i++) {
		const struct bh_policy *q = s->profile->policies[i]->policy;

		if (q->kind == p->kind && strcmp(q->name, p->name) == 0 &&
		    strcmp(q->namespace, p->namespace) == 0)
			return s->profile->policies[i];
	}
	return NULL;
}

static const struct bh_conns *rule_conns(const struct side *s, const struct bh_g_policy *p,
					 enum bh_dir dir, size_t rule)
{
	return bh_g_rule_conns(s->g, s->profile, &p->rules[dir][rule], s->view);
}

/* Canonical, so that the same text is the same say. */
static void word_of(struct asking *a, const struct side *s, const struct bh_g_policy *p,
		    struct bh_buf *out)
{
	struct bh_conn_table *t = a->d->after->table;
	const struct bh_conns *sum = bh_conns_none(t);
	size_t i;

	if (!p)
		return;
	bh_buf_printf(out, "%d%d%d ", p->is_audited, p->policy->tier, p->policy->invalid != NULL);
	for (i = 0; !p->policy->invalid && i < p->policy->rules[a->dir].n; i++) {
		const struct bh_conns *c = bh_conns_import(t, rule_conns(s, p, a->dir, i));

		if (p->policy->tier == BH_TIER_NETWORK_POLICY)
			sum = bh_conns_or(t, sum, c);
		else if (!bh_conns_is_empty(c))
			bh_buf_printf(out, "%d %d %p ", p->policy->priority,
				      p->policy->rules[a->dir].items[i].action, (const void *)c);
	}
	bh_buf_printf(out, "%p", (const void *)sum);
}

/* --- what is another text ------------------------------------------------------------------ */

static void rule_text(const struct bh_policy *p, const struct bh_rule *r, struct bh_buf *out)
{
	size_t i;

	bh_buf_printf(out, "%d%d%d\n", r->action, r->has_peers, r->has_ports);
	for (i = 0; r->has_peers && i < r->n_peers; i++) {
		bh_g_peer_text(p, &r->peers[i], out);
		bh_buf_putc(out, '\n');
	}
	for (i = 0; r->has_ports && i < r->n_ports; i++)
		bh_buf_printf(out, "%u %s %u-%u\n", r->ports[i].protocol,
			      r->ports[i].name ? r->ports[i].name : "", r->ports[i].first,
			      r->ports[i].last);
}

static bool has_rule(const struct bh_policy *p, enum bh_dir dir, const struct bh_policy *of,
		     const struct bh_rule *rule)
{
	bh_auto(bh_buf_done) struct bh_buf want = { 0 }, b = { 0 };
	size_t i;

	rule_text(of, rule, &want);
	for (i = 0; i < p->rules[dir].n; i++) {
		bh_buf_reset(&b);
		rule_text(p, &p->rules[dir].items[i], &b);
		if (strcmp(bh_buf_str(&b), bh_buf_str(&want)) == 0)
			return true;
	}
	return false;
}

/* Rules about the pair that the other world's policy does not have. */
static size_t find_own_rules(struct asking *a, const struct side *s, const struct bh_policy *p,
			     const struct bh_policy *other, size_t *ret_first)
{
	const struct bh_g_policy *compiled = policy_of(s, p);
	size_t i, n = 0;

	for (i = 0; compiled && i < p->rules[a->dir].n; i++) {
		if (has_rule(other, a->dir, p, &p->rules[a->dir].items[i]) ||
		    bh_conns_is_empty(rule_conns(s, compiled, a->dir, i)))
			continue;
		if (n++ == 0)
			*ret_first = i;
	}
	return n;
}

static void add_place(struct bh_buf *b, const struct bh_policy *p, int line)
{
	if (!p->file)
		return;
	bh_buf_puts(b, " (");
	bh_buf_escape(b, p->file);
	if (line > 0)
		bh_buf_printf(b, ":%d", line);
	bh_buf_putc(b, ')');
}

static void add_name(struct bh_buf *b, const struct bh_policy *p)
{
	bh_buf_printf(b, "%s ", bh_policy_kind_str(p->kind));
	if (*p->namespace) {
		bh_buf_escape(b, p->namespace);
		bh_buf_putc(b, '/');
	}
	bh_buf_escape(b, p->name);
}

static void say_policy(struct asking *a, const struct bh_policy *p, const char *what, int line)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	add_name(&b, p);
	bh_buf_puts(&b, what);
	add_place(&b, p, line);
	add_text(a, &b);
}

static void say_rule(struct asking *a, const struct bh_policy *p, size_t rule, const char *what)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };

	bh_buf_printf(&b, ": %s rule %zu was %s", bh_dir_str(a->dir), rule, what);
	say_policy(a, p, bh_buf_str(&b), p->rules[a->dir].items[rule].line);
}

static bool is_same_selector(const struct bh_selector *x, const struct bh_selector *y)
{
	bh_auto(bh_buf_done) struct bh_buf a = { 0 }, b = { 0 };

	bh_selector_canonical(x, &a);
	bh_selector_canonical(y, &b);
	return strcmp(bh_buf_str(&a), bh_buf_str(&b)) == 0;
}

/* Returns whether anything was said. */
static bool say_rules(struct asking *a, const struct bh_policy *before,
		      const struct bh_policy *after)
{
	size_t gone = 0, added = 0;
	size_t n_gone = find_own_rules(a, &a->before, before, after, &gone);
	size_t n_added = find_own_rules(a, &a->after, after, before, &added);

	if (n_gone == 1 && n_added == 1) {
		say_rule(a, after, added, "edited");
		return true;
	}
	/* A rule that no longer mentions the pair has another text all the same. */
	if (n_gone > 0 && before->rules[a->dir].n == after->rules[a->dir].n &&
	    !has_rule(before, a->dir, after, &after->rules[a->dir].items[gone]))
		say_rule(a, after, gone, "edited");
	else if (n_gone > 0)
		say_rule(a, before, gone, "removed");
	if (n_added > 0 && n_gone == 0 && before->rules[a->dir].n == after->rules[a->dir].n &&
	    !has_rule(after, a->dir, before, &before->rules[a->dir].items[added]))
		say_rule(a, after, added, "edited");
	else if (n_added > 0)
		say_rule(a, after, added, "added");
	return n_gone + n_added > 0;
}

static bool say_head(struct asking *a, const struct bh_policy *before,
		     const struct bh_policy *after)
{
	bool is_audited[2] = {
		bh_world_policy_mode(a->before.g->source.world, before) == BH_AUDIT,
		bh_world_policy_mode(a->after.g->source.world, after) == BH_AUDIT,
	};
	size_t n = a->n;

	if (is_audited[0] != is_audited[1])
		say_policy(a, after, is_audited[1] ? " is in audit now" : " is enforced now",
			   after->line);
	if (!before->invalid != !after->invalid)
		say_policy(a, after, after->invalid ? " is not valid any more" : " is valid now",
			   after->line);
	if (before->isolates[a->dir] != after->isolates[a->dir])
		say_policy(a, after, ": policyTypes changed", after->line);
	if (before->tier != after->tier || before->priority != after->priority)
		say_policy(a, after, ": tier or priority changed", after->line);
	if (!is_same_selector(&before->pods, &after->pods) ||
	    !is_same_selector(&before->namespaces, &after->namespaces))
		say_policy(a, after, ": the selector of its pods changed", after->line);
	return a->n > n;
}

/* The policy is the same and says something else: its objects changed. */
static void say_ends(struct asking *a, const struct bh_policy *p)
{
	bh_auto(bh_buf_done) struct bh_buf b = { 0 };
	bool did = policy_of(&a->before, p) != NULL, does = policy_of(&a->after, p) != NULL;

	bh_buf_puts(&b, "labels of ");
	if (did != does) {
		bh_buf_printf(&b, "%s or its namespace changed: %s selected by ", a->subject,
			      does ? "it is now" : "it is no longer");
	} else {
		bh_buf_printf(&b, "%s, its ports or addresses changed: others match the rules of ",
			      a->other);
	}
	add_name(&b, p);
	add_text(a, &b);
}

static void say_difference(struct asking *a, const struct bh_policy *p,
			   const struct bh_policy *before, const struct bh_policy *after)
{
	bool has_head = say_head(a, before, after), has_rules = say_rules(a, before, after);

	if (!has_head && !has_rules)
		say_ends(a, p);
}

static void ask_policy(struct asking *a, const struct bh_policy *p)
{
	const struct bh_g_policy *x = policy_of(&a->before, p), *y = policy_of(&a->after, p);
	const struct bh_policy *before =
		bh_world_policy(a->before.g->source.world, p->kind, p->namespace, p->name);
	const struct bh_policy *after =
		bh_world_policy(a->after.g->source.world, p->kind, p->namespace, p->name);
	bh_auto(bh_buf_done) struct bh_buf old = { 0 }, now = { 0 };

	word_of(a, &a->before, x, &old);
	word_of(a, &a->after, y, &now);
	if (strcmp(bh_buf_str(&old), bh_buf_str(&now)) == 0)
		return;
	if (!before)
		say_policy(a, after, " was added", after->line);
	else if (!after)
		say_policy(a, before, " was removed", before->line);
	else
		say_difference(a, p, before, after);
}

/* --- a pair ---------------------------------------------------------------------- */

static struct side side_of(struct bh_graph *g, uint32_t src, uint32_t dst, enum bh_dir dir)
{
	struct side s = { .g = g };
	uint32_t src_view, dst_view;
	enum bh_family f;

	if (src == BH_D_NONE || dst == BH_D_NONE)
		return s;
	bh_g_view_pair(g->peers[src].end, g->peers[dst].end, 0, &src_view, &dst_view, &f);
	s.profile = &g->profiles[g->peers[dir == BH_INGRESS ? dst : src].end->profile[dir]];
	s.view = dir == BH_INGRESS ? src_view : dst_view;
	return s;
}

static void ask_direction(struct asking *a)
{
	size_t i;

	for (i = 0; i < a->before.profile->n_policies; i++)
		ask_policy(a, a->before.profile->policies[i]->policy);
	for (i = 0; i < a->after.profile->n_policies; i++) {
		const struct bh_policy *p = a->after.profile->policies[i]->policy;

		if (!policy_of(&a->before, p))
			ask_policy(a, p);
	}
}

/* Whether this direction has to do with what was lost and gained. */
static bool is_involved(const struct asking *a, const struct bh_d_end *src,
			const struct bh_d_end *dst, const struct bh_graph_change *c)
{
	struct bh_conn_table *t = a->d->after->table;
	struct bh_graph_edge before, after;
	const struct bh_conns *was, *is, *lost, *gained;

	if (c->before == c->after)
		return true;
	bh_graph_pair(a->d->before, src->before, dst->before, &before);
	bh_graph_pair(a->d->after, src->after, dst->after, &after);
	was = bh_conns_import(t, a->dir == BH_INGRESS ? before.ingress : before.egress);
	is = a->dir == BH_INGRESS ? after.ingress : after.egress;
	lost = bh_conns_minus(t, c->before, c->after);
	gained = bh_conns_minus(t, c->after, c->before);
	return !bh_conns_is_empty(bh_conns_minus(t, lost, is)) ||
	       !bh_conns_is_empty(bh_conns_minus(t, gained, was));
}

static bool say_presence(struct asking *a, const struct bh_d_end *e)
{
	if (e->before != BH_D_NONE && e->after != BH_D_NONE)
		return false;
	say(a, "%s is %s", e->label, e->before == BH_D_NONE ? "new" : "gone");
	return true;
}

void bh_d_find_causes(struct bh_graph_diff *d, const struct bh_d_end *src,
		      const struct bh_d_end *dst, struct bh_graph_change *change)
{
	struct asking a = { .d = d };
	bool is_here = !say_presence(&a, src);

	if (dst != src)
		is_here &= !say_presence(&a, dst);
	for (a.dir = 0; is_here && a.dir < BH_DIR_COUNT_; a.dir++) {
		if (!is_involved(&a, src, dst, change))
			continue;
		a.before = side_of(d->before, src->before, dst->before, a.dir);
		a.after = side_of(d->after, src->after, dst->after, a.dir);
		a.subject = a.dir == BH_INGRESS ? dst->label : src->label;
		a.other = a.dir == BH_INGRESS ? src->label : dst->label;
		ask_direction(&a);
	}
	if (a.n == 0)
		say(&a, "the number, nodes or addresses of pods changed");
	change->because = bh_arena_memdup(d->arena, a.texts, a.n * sizeof(*a.texts));
	change->n_because = a.n;
	free(a.texts);
}
