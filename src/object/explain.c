/*
 * The walk through every policy that could have a say, as text and as JSON.
 */
#include <string.h>

#include "bh/alloc.h"
#include "describe.h"

/* One policy on the way, whether or not the verdict came to it. */
struct step {
	const struct bh_policy *policy;
	bool is_selecting, is_audited, is_asked;
	bool is_audit_ignored; /* an annotation says so, and does not count */
	struct bh_policy_word word;
};

struct walk {
	struct step *items;
	size_t n;
};

static enum bh_action action_of(const struct step *s, enum bh_dir dir)
{
	return s->policy->rules[dir].items[s->word.rule_index].action;
}

/* Where the walk of the enforced policies ends, and what Pass leaves out on the way. */
static void mark_asked(struct walk *walk, enum bh_dir dir)
{
	bool is_over[BH_TIER_COUNT_] = { false };
	bool is_isolated = false, is_decided = false;
	enum bh_tier tier;
	size_t i;

	for (tier = 0; tier < BH_TIER_COUNT_; tier++) {
		for (i = 0; i < walk->n; i++) {
			struct step *s = &walk->items[i];

			if (bh_policy_tier(s->policy) != tier || !s->word.is_about)
				continue;
			s->is_asked = !is_decided && !is_over[tier];
			if (!s->is_asked || s->is_audited)
				continue;
			if (tier == BH_TIER_NETWORK_POLICY) {
				is_isolated = true;
			} else if (s->word.matches) {
				is_over[tier] = true;
				is_decided = action_of(s, dir) != BH_PASS;
			}
		}
		is_decided |= tier == BH_TIER_NETWORK_POLICY && is_isolated;
	}
}

static bool says_audit(const struct bh_world *w, const struct bh_policy *p)
{
	const struct bh_namespace *ns = *p->namespace ? bh_world_namespace(w, p->namespace) : NULL;

	return p->kind != BH_QUARANTINE && (p->mode == BH_AUDIT || (ns && ns->mode == BH_AUDIT));
}

static struct walk walk_of(const struct bh_world *w, const struct bh_flow *flow, enum bh_dir dir,
			   const struct bh_pod *pod)
{
	const struct bh_policy *const *policies;
	size_t i, n = bh_world_policies_of(w, pod->namespace, &policies);
	struct walk walk = { .items = bh_calloc(n, sizeof(*walk.items)), .n = n };

	for (i = 0; i < n; i++) {
		struct step *s = &walk.items[i];

		s->policy = policies[i];
		s->is_selecting = bh_world_selects(w, policies[i], pod);
		s->is_audited = bh_world_policy_mode(w, policies[i]) == BH_AUDIT;
		s->is_audit_ignored = !s->is_audited && says_audit(w, policies[i]);
		bh_eval_policy(w, flow, dir, policies[i], &s->word);
	}
	mark_asked(&walk, dir);
	return walk;
}

/* Whether policies have a say in that direction. */
static bool is_judged(const struct bh_dir_verdict *v)
{
	return v->reason == BH_REASON_NOT_ISOLATED || bh_reason_has_rule(v->reason) ||
	       v->reason == BH_REASON_DEFAULT_DENY;
}

/* --- as text -------------------------------------------------------------------------------- */

static const char *const action_words[] = {
	[BH_ALLOW] = "allows it",
	[BH_DENY] = "denies it",
	[BH_PASS] = "passes it on to the next tier",
};

static void add_rule(struct bh_buf *b, const struct bh_policy *p, enum bh_dir dir, size_t index)
{
	const struct bh_rule *rule = &p->rules[dir].items[index];

	if (p->kind == BH_DEFAULT_DENY || p->kind == BH_QUARANTINE)
		return;
	bh_buf_printf(b, " rule %zu", index);
	if (rule->name) {
		bh_buf_puts(b, " \"");
		bh_buf_escape(b, rule->name);
		bh_buf_putc(b, '"');
	}
	describe_place(b, p, rule->line);
}

static void add_nearest(const struct tale *t, const struct step *s, enum bh_dir dir)
{
	size_t i;

	for (i = 0; i < s->word.n_near; i++) {
		bh_buf_puts(t->out, i == 0 ? "    nearest:" : "    then:");
		add_rule(t->out, s->policy, dir, s->word.near[i].ref.rule_index);
		bh_buf_puts(t->out, ", but ");
		describe_miss(t, &s->word.near[i], dir);
		bh_buf_putc(t->out, '\n');
	}
}

static void add_word(const struct tale *t, const struct step *s, enum bh_dir dir)
{
	struct bh_buf *b = t->out;

	if (s->policy->invalid) {
		bh_buf_puts(b, ": is not valid, isolates it and allows nothing: ");
		bh_buf_escape(b, s->policy->invalid);
	} else if (s->word.matches) {
		bh_buf_putc(b, ':');
		add_rule(b, s->policy, dir, s->word.rule_index);
		bh_buf_printf(b, " %s", action_words[action_of(s, dir)]);
	} else {
		bh_buf_puts(b, bh_policy_tier(s->policy) != BH_TIER_NETWORK_POLICY
				       ? ": no rule matches"
			       : s->policy->rules[dir].n ? ": isolates it, no rule matches"
							 : ": isolates it and has no rules");
	}
}

static void add_step(const struct tale *t, const struct step *s, enum bh_dir dir)
{
	struct bh_buf *b = t->out;

	bh_buf_puts(b, "  ");
	describe_policy(b, s->policy);
	describe_place(b, s->policy, s->policy->line);
	if (bh_policy_tier(s->policy) != BH_TIER_NETWORK_POLICY &&
	    s->policy->kind != BH_DEFAULT_DENY && s->policy->kind != BH_QUARANTINE)
		bh_buf_printf(b, ", tier %s, priority %d", bh_tier_str(s->policy->tier),
			      s->policy->priority);
	if (s->is_audited)
		bh_buf_puts(b, ", in audit");
	if (s->is_audit_ignored)
		bh_buf_puts(b, ", enforced as its annotation bulkhead.dev/mode does not count");
	if (!s->is_audited && !s->is_asked)
		bh_buf_puts(b, ", not asked any more");
	add_word(t, s, dir);
	bh_buf_putc(b, '\n');
	if (!s->word.matches)
		add_nearest(t, s, dir);
}

/* How many of a kind are named. */
#define MAX_NAMED 6

/* "  do not select it: NetworkPolicy shop/a, NetworkPolicy shop/b and 3 more" */
static void add_others(const struct tale *t, const struct walk *walk, bool is_selecting,
		       const char *words)
{
	size_t i, n = 0;

	for (i = 0; i < walk->n; i++) {
		const struct step *s = &walk->items[i];

		if (s->word.is_about || s->is_selecting != is_selecting)
			continue;
		if (n == 0)
			bh_buf_printf(t->out, "  %s: ", words);
		if (n < MAX_NAMED) {
			bh_buf_puts(t->out, n ? ", " : "");
			describe_policy(t->out, s->policy);
		}
		n++;
	}
	if (n > MAX_NAMED)
		bh_buf_printf(t->out, " and %zu more", n - MAX_NAMED);
	bh_buf_puts(t->out, n ? "\n" : "");
}

static void explain_dir(const struct tale *t, const struct bh_flow *judged, enum bh_dir dir)
{
	const struct bh_dir_verdict *v = &t->result->dir[dir];
	struct walk walk;
	size_t i;

	bh_buf_printf(t->out, "%s: ", bh_dir_str(dir));
	describe_reason(t, v, dir);
	bh_buf_putc(t->out, '\n');
	if (!is_judged(v))
		return;
	walk = walk_of(t->w, judged, dir, describe_own_end(t, dir)->pod);
	for (i = 0; i < walk.n; i++)
		if (walk.items[i].word.is_about)
			add_step(t, &walk.items[i], dir);
	add_others(t, &walk, true,
		   dir == BH_INGRESS ? "select it, but not for ingress"
				     : "select it, but not for egress");
	add_others(t, &walk, false, "do not select it");
	describe_audit(t, v, dir);
	free(walk.items);
}

void bh_result_explain(const struct bh_world *w, const struct bh_flow *flow,
		       const struct bh_flow *shown, const struct bh_result *result,
		       struct bh_buf *out)
{
	const struct tale t = { .w = w, .flow = shown, .result = result, .out = out };

	describe_head(&t);
	explain_dir(&t, flow, BH_EGRESS);
	explain_dir(&t, flow, BH_INGRESS);
}

/* --- as JSON --------------------------------------------------------------------------------- */

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

static json_t *place_json(json_t *object, const char *file, int line)
{
	if (file)
		set(object, "file", bh_text_json(file));
	if (line > 0)
		set(object, "line", json_integer(line));
	return object;
}

static json_t *rule_json(const struct bh_policy *p, enum bh_dir dir, size_t index)
{
	const struct bh_rule *rule = &p->rules[dir].items[index];
	json_t *json = json_object();

	set(json, "rule_index", json_integer((json_int_t)index));
	if (rule->name)
		set(json, "rule_name", json_string(rule->name));
	set(json, "action", json_string(bh_action_str(rule->action)));
	return place_json(json, p->file, rule->line);
}

static json_t *nearest_json(const struct step *s, enum bh_dir dir)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < s->word.n_near; i++) {
		json_t *rule = rule_json(s->policy, dir, s->word.near[i].ref.rule_index);

		set(rule, "why", json_string(bh_miss_str(s->word.near[i].why)));
		json_array_append_new(list, rule);
	}
	return list;
}

static json_t *step_json(const struct step *s, enum bh_dir dir)
{
	const struct bh_policy *p = s->policy;
	json_t *json = json_object();

	set(json, "kind", json_string(bh_policy_kind_str(p->kind)));
	if (*p->namespace)
		set(json, "namespace", json_string(p->namespace));
	set(json, "name", json_string(p->name));
	place_json(json, p->file, p->line);
	set(json, "tier", json_string(bh_tier_str(p->tier)));
	if (p->tier != BH_TIER_NETWORK_POLICY)
		set(json, "priority", json_integer(p->priority));
	set(json, "mode", json_string(bh_mode_str(s->is_audited ? BH_AUDIT : BH_ENFORCE)));
	if (s->is_audit_ignored)
		set(json, "audit_ignored", json_true());
	set(json, "selects", json_boolean(s->is_selecting));
	if (!s->word.is_about)
		return json;
	set(json, "isolates", json_boolean(bh_policy_tier(p) == BH_TIER_NETWORK_POLICY));
	set(json, "asked", json_boolean(s->is_asked && !s->is_audited));
	if (p->invalid)
		set(json, "invalid", json_string(p->invalid));
	set(json, "match", s->word.matches ? rule_json(p, dir, s->word.rule_index) : json_null());
	set(json, "nearest_miss", nearest_json(s, dir));
	return json;
}

json_t *bh_dir_explain_json(const struct bh_world *w, const struct bh_flow *flow,
			    const struct bh_result *result, enum bh_dir dir)
{
	const struct bh_end *own = dir == BH_INGRESS ? &result->dst : &result->src;
	json_t *list = json_array();
	struct walk walk;
	size_t i;

	if (!is_judged(&result->dir[dir]))
		return list;
	walk = walk_of(w, flow, dir, own->pod);
	for (i = 0; i < walk.n; i++)
		json_array_append_new(list, step_json(&walk.items[i], dir));
	free(walk.items);
	return list;
}
