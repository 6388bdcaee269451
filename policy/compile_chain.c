/*
 * The policies of one profile -> its chains.
 *
 * The tiers become steps: runs of rules of one action in Quarantine and Admin, then either the
 * NetworkPolicies (all that they allow, then deny the rest) or Baseline.  What
 * falls off the end is allowed.  Allow is a return to the base chain, which goes
 * on to the flow's other end; deny ends in counters, a log and a drop; Pass
 * leads to a chain with the steps behind Admin.
 *
 * Audited policies are evaluated in a chain of their own, together with the
 * enforced ones, after the enforced ones alone have let the packet pass: what it
 * would drop is what auditing is about, and it drops nothing.
 */
#include "compile_impl.h"

#include <string.h>

struct steps {
	struct rule_run *items;
	size_t n, cap;
	bool is_last_unconditional;
};

struct tiers {
	struct steps admin, rest;
};

/* --- policies -> steps ----------------------------------------------------------------- */

static struct rule_run *add_step(struct steps *s, enum bh_action action)
{
	bh_grow(&s->items, &s->cap, s->n, sizeof(*s->items));
	s->items[s->n] = (struct rule_run){ .action = action };
	return &s->items[s->n++];
}

static void drop_step(struct steps *s)
{
	free(s->items[--s->n].rules);
	s->is_last_unconditional = false;
}

static void steps_done(struct steps *s)
{
	while (s->n)
		drop_step(s);
	free(s->items);
}

static void add_rule(struct rule_run *run, const struct bh_policy *p, const struct bh_rule *rule)
{
	bh_grow(&run->rules, &run->cap, run->n, sizeof(*run->rules));
	run->rules[run->n++] = (struct run_rule){ .rule = rule, .ns = p->namespace };
}

static bool has_default_deny(const struct policy_list *l, enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (l->items[i]->tier == BH_TIER_DEFAULT_DENY && l->items[i]->rules[dir].n)
			return true;
	}
	return false;
}

/*
 * Tiers in which the first match decides.  What Baseline passes comes to the
 * default deny if there is one, and that denies everything.
 */
static void add_ordered(struct steps *s, const struct policy_list *l, enum bh_tier tier,
			enum bh_dir dir)
{
	bool is_pass_denied = tier == BH_TIER_BASELINE && has_default_deny(l, dir);
	size_t i, j;

	for (i = 0; i < l->n; i++) {
		const struct bh_policy *p = l->items[i];

		if (bh_policy_tier(p) != tier)
			continue;
		for (j = 0; j < p->rules[dir].n; j++) {
			const struct bh_rule *rule = &p->rules[dir].items[j];
			struct rule_run *run = s->n ? &s->items[s->n - 1] : NULL;
			enum bh_action action = rule->action;

			if (action == BH_PASS && is_pass_denied)
				action = BH_DENY;
			if (!run || run->action != action)
				run = add_step(s, action);
			add_rule(run, p, rule);
		}
	}
}

static void add_ordered_rest(struct steps *s, const struct policy_list *l, enum bh_dir dir)
{
	add_ordered(s, l, BH_TIER_BASELINE, dir);
	add_ordered(s, l, BH_TIER_DEFAULT_DENY, dir);
}

/* One that failed validation isolates and allows nothing. */
static bool add_isolation(struct steps *s, const struct policy_list *l, enum bh_dir dir)
{
	struct rule_run *allow = NULL;
	bool is_isolated = false;
	size_t i, j;

	for (i = 0; i < l->n; i++) {
		const struct bh_policy *p = l->items[i];

		if (!bh_policy_isolates(p, dir))
			continue;
		is_isolated = true;
		for (j = 0; !p->invalid && j < p->rules[dir].n; j++) {
			if (!allow)
				allow = add_step(s, BH_ALLOW);
			add_rule(allow, p, &p->rules[dir].items[j]);
		}
	}
	return is_isolated;
}

static const struct bh_rule anything = { .action = BH_DENY };
static const struct bh_policy nobody = { .namespace = "" };

/* What follows a step that matches everything is never reached. */
static void cut_unreachable(struct steps *s, enum bh_dir dir, const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (!run_is_unconditional(&s->items[i], dir, pod))
			continue;
		while (s->n > i + 1)
			drop_step(s);
		s->is_last_unconditional = true;
		return;
	}
}

/* Before the end, where everything is allowed, only a denial says anything. */
static void drop_allowing_end(struct steps *s)
{
	while (s->n && s->items[s->n - 1].action != BH_DENY)
		drop_step(s);
}

static bool has_pass(const struct steps *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		if (s->items[i].action == BH_PASS)
			return true;
	}
	return false;
}

static void append(struct steps *to, struct steps *from)
{
	size_t i;

	for (i = 0; i < from->n; i++)
		*add_step(to, BH_ALLOW) = from->items[i];
	to->is_last_unconditional = from->is_last_unconditional;
	from->n = 0;
}

/*
 * Makes the steps, as few as say the same.  Afterwards either @rest is empty or
 * some step of @admin passes to it.
 */
static void make_steps(struct tiers *t, const struct policy_list *l, enum bh_dir dir,
		       const struct bh_pod *pod)
{
	add_ordered(&t->admin, l, BH_TIER_QUARANTINE, dir);
	add_ordered(&t->admin, l, BH_TIER_ADMIN, dir);
	cut_unreachable(&t->admin, dir, pod);
	while (t->admin.n && t->admin.items[t->admin.n - 1].action == BH_PASS)
		drop_step(&t->admin);
	if (!t->admin.is_last_unconditional || has_pass(&t->admin)) {
		if (add_isolation(&t->rest, l, dir))
			add_rule(add_step(&t->rest, BH_DENY), &nobody, &anything);
		else
			add_ordered_rest(&t->rest, l, dir);
	}
	cut_unreachable(&t->rest, dir, pod);
	drop_allowing_end(&t->rest);
	if (t->rest.n == 0)
		drop_allowing_end(&t->admin);
	else if (!has_pass(&t->admin))
		append(&t->admin, &t->rest);
}

static void tiers_done(struct tiers *t)
{
	steps_done(&t->admin);
	steps_done(&t->rest);
}

/* --- steps -> chains --------------------------------------------------------------------- */

/* One evaluation, enforced or audited. */
struct builder {
	struct bh_compiler *c;
	struct profile *p;
	const struct bh_pod *pod;
	bool is_audit;
	struct bh_plan_chain *deny, *rest;
};

static struct bh_plan_chain *add_chain(struct bh_compiler *c, struct profile *p, const char *name,
				       const char *comment)
{
	struct bh_plan_chain *chain = bh_plan_add_chain(c->plan, name, comment, BH_HOOK_NONE, 0);

	bh_grow(&p->chains, &p->chains_cap, p->n_chains, sizeof(struct bh_plan_chain *));
	p->chains[p->n_chains++] = chain;
	return chain;
}

/* A chain beside the profile's own, of the same digest. */
static struct bh_plan_chain *add_part(struct bh_compiler *c, struct profile *p, const char *prefix)
{
	bh_auto_free char *name = bh_asprintf("%s_%s", prefix, strchr(p->pub.name, '_') + 1);

	return add_chain(c, p, name, NULL);
}

struct bh_expr group_match(bool is_group)
{
	const uint32_t bit = BH_GROUP_BIT;
	struct bh_expr e = { .kind = BH_EXPR_MATCH,
			     .load = BH_LOAD_PRIORITY,
			     .op = is_group ? BH_MATCH_BYTES : BH_MATCH_NOT_BYTES };

	memcpy(e.bytes, &bit, sizeof(bit));
	memcpy(e.mask, &bit, sizeof(bit));
	return e;
}

struct log_rule {
	const struct bh_expr *match;     /* NULL: every packet */
	const struct bh_plan_set *limit; /* NULL: none */
	enum bh_lookup_key key;          /* of the limit */
	const char *counter, *prefix;
};

static void add_jump(struct bh_compiler *c, struct bh_plan_chain *chain, enum bh_plan_verdict v,
		     const struct bh_plan_chain *to)
{
	match_add_rule(c, chain,
		       &(struct bh_expr){ .kind = BH_EXPR_VERDICT, .verdict = v, .chain = to }, 1);
}

/*
 * A packet over its pod's limit ends the logging rule and is dropped by the next
 * one, so the counters tell how many were not logged.
 */
static void add_log(struct bh_compiler *c, struct bh_plan_chain *chain, const struct log_rule *rule)
{
	struct bh_expr exprs[4];
	size_t n = 0;

	if (rule->match)
		exprs[n++] = *rule->match;
	if (rule->limit)
		exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LIMIT,
					       .set = rule->limit,
					       .key = rule->key };
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_COUNTER, .name = rule->counter };
	exprs[n++] = (struct bh_expr){ .kind = BH_EXPR_LOG,
				       .name = rule->prefix,
				       .group = c->config.log_group,
				       .snaplen = c->config.log_snaplen };
	match_add_rule(c, chain, exprs, n);
}

/*
 * The sender of a group's packet chooses the group's address.  As the key of a limit it would
 * fill the set that has the pods' addresses, so the limit's key is the port.
 */
void denial_add(struct bh_compiler *c, struct bh_plan_chain *chain, const char *name,
		enum bh_dir dir, const struct denial_limits *limits, bool is_audit)
{
	const struct bh_class_words *class =
		bh_class_words(is_audit ? BH_CLASS_AUDIT : BH_CLASS_DENIED);
	bh_auto_free char *prefix = bh_asprintf(BH_LOG_PREFIX "%c:%s", class->letter, name);
	const struct bh_expr is_group = group_match(true), is_other = group_match(false);
	struct log_rule rule = {
		.key = dir == BH_INGRESS ? BH_KEY_DADDR : BH_KEY_SADDR,
		.counter = class->logged,
		.prefix = prefix,
		.match = limits->group ? &is_other : NULL,
	};
	struct log_rule group = rule;
	struct bh_expr end[2] = {
		{ .kind = BH_EXPR_COUNTER, .name = class->counter },
		{ .kind = BH_EXPR_VERDICT, .verdict = is_audit ? BH_V_RETURN : BH_V_DROP },
	};

	for (enum bh_family f = 0; f < BH_FAMILY_COUNT_ && c->config.log_rate; f++) {
		rule.limit = limits->addr[f];
		add_log(c, chain, &rule);
	}
	if (!c->config.log_rate)
		add_log(c, chain, &rule);
	if (limits->group) {
		group.match = &is_group;
		group.limit = limits->group;
		group.key = BH_KEY_PRIORITY;
		add_log(c, chain, &group);
	}
	match_add_rule(c, chain, end, 2);
}

static void add_denial(struct bh_compiler *c, const struct profile *p, struct bh_plan_chain *chain,
		       bool is_audit)
{
	denial_add(c, chain, p->pub.name, p->pub.dir, &c->limits[p->pub.dir], is_audit);
}

static const struct bh_plan_chain *deny_chain(struct builder *b)
{
	if (!b->deny) {
		b->deny = add_part(b->c, b->p, b->is_audit ? "ad" : "dn");
		add_denial(b->c, b->p, b->deny, b->is_audit);
	}
	return b->deny;
}

static struct bh_expr verdict_of(struct builder *b, enum bh_action action)
{
	struct bh_expr e = { .kind = BH_EXPR_VERDICT, .verdict = BH_V_RETURN };

	switch (action) {
	case BH_ALLOW: break;
	case BH_DENY:
		e.verdict = BH_V_GOTO;
		e.chain = deny_chain(b);
		break;
	case BH_PASS:
		if (b->rest) {
			e.verdict = BH_V_GOTO;
			e.chain = b->rest;
		}
		break;
	case BH_ACTION_COUNT_: abort();
	}
	return e;
}

/* False over budget. */
static bool add_steps(struct builder *b, struct bh_plan_chain *chain, const struct steps *s)
{
	size_t n = s->n - (s->is_last_unconditional ? 1 : 0), i;

	for (i = 0; i < n; i++) {
		struct bh_expr verdict = verdict_of(b, s->items[i].action);

		if (!match_build(b->c, b->p, chain, &s->items[i], b->pod, &verdict))
			return false;
	}
	if (!s->is_last_unconditional)
		return true;
	if (s->items[n].action == BH_DENY && !b->deny) {
		add_denial(b->c, b->p, chain, b->is_audit);
	} else {
		struct bh_expr verdict = verdict_of(b, s->items[n].action);

		match_add_rule(b->c, chain, &verdict, 1);
	}
	return true;
}

static bool build(struct bh_compiler *c, struct profile *p, struct bh_plan_chain *chain,
		  const struct tiers *t, const struct bh_pod *pod, bool is_audit)
{
	struct builder b = { .c = c, .p = p, .pod = pod, .is_audit = is_audit };

	if (t->rest.n)
		b.rest = add_part(c, p, is_audit ? "ar" : "rs");
	if (!add_steps(&b, chain, &t->admin))
		return false;
	if (!t->rest.n)
		return true;
	if (!t->admin.is_last_unconditional)
		add_jump(c, chain, BH_V_GOTO, b.rest);
	return add_steps(&b, b.rest, &t->rest);
}

static void describe(const struct profile *p, struct bh_buf *out)
{
	size_t i;

	for (i = 0; i < p->pub.n_enforced + p->pub.n_audited && out->len < 200; i++) {
		bool is_audited = i >= p->pub.n_enforced;
		const struct bh_policy_id *id =
			is_audited ? &p->pub.audited[i - p->pub.n_enforced] : &p->pub.enforced[i];

		bh_buf_puts(out, i ? ", " : "");
		bh_buf_puts(out, is_audited ? "audit " : "");
		bh_buf_puts(out, *id->namespace ? id->namespace : bh_policy_kind_str(id->kind));
		bh_buf_printf(out, "/%s", id->name);
	}
	comment_cut(out);
}

/*
 * More NetworkPolicies allow more once the pod is isolated, so auditing them
 * can show nothing.
 */
static bool can_audit_differ(const struct policy_list *enforced, const struct policy_list *audited,
			     enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < audited->n; i++) {
		if (!bh_policy_isolates(audited->items[i], dir))
			return true;
	}
	for (i = 0; i < enforced->n; i++) {
		if (bh_policy_isolates(enforced->items[i], dir))
			return false;
	}
	return audited->n > 0;
}

bool chains_build(struct bh_compiler *c, struct profile *p, const struct policy_list *enforced,
		  const struct policy_list *audited, const struct policy_list *all,
		  const struct bh_pod *pod)
{
	bh_auto(bh_buf_done) struct bh_buf comment = { 0 };
	bh_auto(tiers_done) struct tiers now = { 0 }, then = { 0 };
	struct bh_plan_chain *chain;
	bool has_audit;

	describe(p, &comment);
	chain = add_chain(c, p, p->pub.name, bh_buf_str(&comment));
	p->pub.chain = chain;
	make_steps(&now, enforced, p->pub.dir, pod);
	if (can_audit_differ(enforced, audited, p->pub.dir))
		make_steps(&then, all, p->pub.dir, pod);
	has_audit = then.admin.n || then.rest.n;
	p->pub.is_denying = now.admin.n || now.rest.n;
	if (!has_audit) {
		return build(c, p, chain, &now, pod, false);
	} else if (now.admin.n == 0 && now.rest.n == 0) {
		return build(c, p, chain, &then, pod, true);
	} else {
		struct bh_plan_chain *first = add_part(c, p, "en"), *second = add_part(c, p, "au");

		add_jump(c, chain, BH_V_JUMP, first);
		add_jump(c, chain, BH_V_JUMP, second);
		return build(c, p, first, &now, pod, false) &&
		       build(c, p, second, &then, pod, true);
	}
}

void chains_build_closed(struct bh_compiler *c, struct profile *p, bool is_audit)
{
	bh_auto(bh_buf_done) struct bh_buf comment = { 0 };
	struct bh_plan_chain *chain;

	p->pub.is_denying = !is_audit;
	/* Which of its sets is found to be too large first may depend on the history. */
	bh_buf_printf(&comment, "closed: %s", p->over ? "beyond its budget: " : p->pub.closed);
	if (p->over)
		describe(p, &comment);
	comment_cut(&comment);
	chain = add_chain(c, p, p->pub.name, bh_buf_str(&comment));
	p->pub.chain = chain;
	add_denial(c, p, chain, is_audit);
}
