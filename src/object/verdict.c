#include <string.h>

#include "bh/alloc.h"
#include "bh/object.h"

json_t *bh_text_json(const char *s)
{
	json_t *json = s ? json_string(s) : json_null();
	struct bh_buf b = { 0 };

	if (json)
		return json;
	bh_buf_escape(&b, s);
	json = json_string(bh_buf_str(&b));
	bh_buf_done(&b);
	return json;
}

/* "ns/name", or the name alone of cluster-scoped kinds; to be freed. */
static char *full_name(const struct bh_policy *p)
{
	return *p->namespace ? bh_asprintf("%s/%s", p->namespace, p->name) : bh_strdup(p->name);
}

static json_t *name_json(const struct bh_policy *p)
{
	bh_auto_free char *name = full_name(p);

	return json_string(name);
}

static void set(json_t *object, const char *key, json_t *value)
{
	json_object_set_new(object, key, value ? value : json_null());
}

json_t *bh_rule_ref_json(const struct bh_rule_ref *ref, enum bh_dir dir)
{
	const struct bh_policy *p = ref->policy;
	const struct bh_rules *rules;
	json_t *json;

	if (!p)
		return json_null();
	rules = &p->rules[dir];
	json = json_object();
	set(json, "kind", json_string(bh_policy_kind_str(p->kind)));
	if (*p->namespace)
		set(json, "namespace", json_string(p->namespace));
	set(json, "name", json_string(p->name));
	set(json, "rule_index", json_integer((json_int_t)ref->rule_index));
	if (ref->rule_index < rules->n && rules->items[ref->rule_index].name)
		set(json, "rule_name", json_string(rules->items[ref->rule_index].name));
	return json;
}

/* @n may be more than are kept in @policies. */
static json_t *names_json(const struct bh_policy *const *policies, size_t n)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < n && i < BH_MAX_ISOLATING; i++)
		json_array_append_new(list, name_json(policies[i]));
	return list;
}

static json_t *near_json(const struct bh_dir_verdict *v)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < v->n_near; i++) {
		json_t *item = json_object();

		set(item, "name", name_json(v->near[i].ref.policy));
		set(item, "rule_index", json_integer((json_int_t)v->near[i].ref.rule_index));
		set(item, "why", json_string(bh_miss_str(v->near[i].why)));
		json_array_append_new(list, item);
	}
	return list;
}

json_t *bh_dir_verdict_json(const struct bh_dir_verdict *v, enum bh_dir dir)
{
	json_t *json = json_object();

	set(json, "verdict", json_string(bh_verdict_str(v->verdict)));
	set(json, "rule",
	    bh_reason_has_rule(v->reason) ? bh_rule_ref_json(&v->rule, dir) : json_null());
	set(json, "reason", json_string(bh_reason_str(v->reason)));
	if (v->verdict == BH_VERDICT_DENIED) {
		set(json, "default_deny_by", names_json(v->isolating, v->n_isolating));
		set(json, "nearest_miss", near_json(v));
	}
	if (v->n_isolating > BH_MAX_ISOLATING)
		set(json, "default_deny_count", json_integer((json_int_t)v->n_isolating));
	if (v->audit_verdict == v->verdict)
		return json;
	set(json, "audit_verdict", json_string(bh_verdict_str(v->audit_verdict)));
	set(json, "audit_rule", bh_rule_ref_json(&v->audit_rule, dir));
	set(json, "audit_default_deny_by", names_json(v->audit_isolating, v->n_audit_isolating));
	return json;
}
