/*
 * Manifests are read strictly: every field of every struct of the policy API is renamed,
 * moved, duplicated under another case and given values of other types, and each of that is
 * refused, never read as "absent".
 */
#include "object_text.h"

#include <ctype.h>

/* Every struct with every field that may stand beside the others. */
#define SELECTOR                                                                                   \
	"{'matchLabels':{'app':'web'},'matchExpressions':[{'key':'tier','operator':'In',"          \
	"'values':['a','b']}]}"
#define PODS  "{'podSelector':" SELECTOR ",'namespaceSelector':" SELECTOR "}"
#define PORTS "[{'protocol':'TCP','port':80,'endPort':90},{'protocol':'UDP','port':'dns'}]"
#define BLOCK "{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}"
#define META  "'metadata':{'name':'default','labels':{'a':'b'},'annotations':{'c':'d'}"

#define NETWORK_POLICY                                                                             \
	"{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy'," META ",'namespace':"        \
	"'shop'},'spec':{'podSelector':" SELECTOR ",'policyTypes':['Ingress','Egress'],"           \
	"'ingress':[{'from':[" PODS "," BLOCK "],'ports':" PORTS "}],"                             \
	"'egress':[{'to':[" PODS "," BLOCK "],'ports':" PORTS "}]}}"

#define CLUSTER_PODS "{'pods':" PODS "}"
#define PROTOCOLS                                                                                  \
	"[{'tcp':{'destinationPort':{'number':80}}},"                                              \
	"{'udp':{'destinationPort':{'range':{'start':1,'end':9}}}},"                               \
	"{'sctp':{'destinationPort':{'number':80}}}]"
#define CLUSTER_POLICY                                                                             \
	"{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':'ClusterNetworkPolicy'," META    \
	"},'spec':{'tier':'Admin','priority':10,'subject':" CLUSTER_PODS ","                       \
	"'ingress':[{'name':'i','action':'Accept','from':[{'namespaces':" SELECTOR                 \
	"}," CLUSTER_PODS "],'protocols':[{'destinationNamedPort':'web'}]}],"                      \
	"'egress':[{'name':'e','action':'Deny','to':[{'namespaces':" SELECTOR "}," CLUSTER_PODS    \
	",{'nodes':" SELECTOR "},{'networks':['10.0.0.0/8']}],'protocols':" PROTOCOLS "}]}}"

#define ADMIN_PORTS                                                                                \
	"[{'portNumber':{'protocol':'TCP','port':80}},"                                            \
	"{'portRange':{'protocol':'UDP','start':1,'end':9}}]"
#define ADMIN_RULES                                                                                \
	"'subject':{'namespaces':" SELECTOR "},'ingress':[{'name':'i','action':'Allow',"           \
	"'from':[{'namespaces':" SELECTOR "}," CLUSTER_PODS "],'ports':[{'namedPort':'web'}]}],"   \
	"'egress':[{'name':'e','action':'Deny','to':[{'namespaces':" SELECTOR "}," CLUSTER_PODS    \
	",{'nodes':" SELECTOR "},{'networks':['10.0.0.0/8']}],'ports':" ADMIN_PORTS "}]"
#define ADMIN_POLICY                                                                               \
	"{'apiVersion':'policy.networking.k8s.io/v1alpha1','kind':'AdminNetworkPolicy'," META      \
	"},'spec':{'priority':10," ADMIN_RULES "}}"
#define BASELINE_POLICY                                                                            \
	"{'apiVersion':'policy.networking.k8s.io/v1alpha1','kind':'BaselineAdminNetworkPolicy'"    \
	"," META "},'spec':{" ADMIN_RULES "}}"

static const char *const policies[] = { NETWORK_POLICY, CLUSTER_POLICY, ADMIN_POLICY,
					BASELINE_POLICY };

#define MAX_NODES 256

/* Every object of the tree that has fields, and not keys of its author's choice. */
struct nodes {
	json_t *items[MAX_NODES];
	size_t n;
};

static void find_objects(json_t *json, struct nodes *ret)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_object(json)) {
		assert_true(ret->n < MAX_NODES);
		ret->items[ret->n++] = json;
	}
	json_object_foreach(json, key, value)
	{
		if (strcmp(key, "matchLabels") != 0 && strcmp(key, "labels") != 0 &&
		    strcmp(key, "annotations") != 0)
			find_objects(value, ret);
	}
	json_array_foreach(json, i, value) find_objects(value, ret);
}

static void assert_refused(const json_t *policy, const char *what)
{
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };
	int r = bh_object_decode(policy, NULL, &d, &err);
	char *text;

	if (r < 0)
		return;
	if (bh_decoded_status(d) != BH_DECODE_INVALID) {
		text = json_dumps(policy, JSON_INDENT(1));
		fail_msg("%s is accepted: %s", what, text);
	}
	for (enum bh_dir dir = 0; dir < BH_DIR_COUNT_; dir++) {
		assert_true(bh_decoded_fact(d)->policy.isolates[dir]);
		assert_int_equal(bh_decoded_fact(d)->policy.rules[dir].n, 0);
	}
	bh_decoded_free(&d);
}

static void the_policies_are_right_as_they_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(policies); i++) {
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		assert_ok(decode_as(policies[i], NULL, &d, &err), &err);
		if (bh_decoded_status(d) != BH_DECODED)
			fail_msg("%s: %s", policies[i], bh_decoded_fact(d)->policy.invalid);
		assert_string_equal(warnings(d), "");
		bh_decoded_free(&d);
	}
}

/* Calls @change for each field of each object; what it did is undone by reading anew. */
static void for_each_field(void (*change)(json_t *policy, json_t *object, const char *key,
					  const struct nodes *all))
{
	for (size_t i = 0; i < BH_ARRAY_LEN(policies); i++) {
		struct nodes nodes = { 0 };
		json_t *first = json_of(policies[i]);
		size_t n_keys[MAX_NODES];

		find_objects(first, &nodes);
		for (size_t k = 0; k < nodes.n; k++)
			n_keys[k] = json_object_size(nodes.items[k]);
		for (size_t k = 0; k < nodes.n; k++) {
			for (size_t n = 0; n < n_keys[k]; n++) {
				json_t *policy = json_of(policies[i]);
				struct nodes all = { 0 };
				void *it;

				find_objects(policy, &all);
				it = json_object_iter(all.items[k]);
				for (size_t s = 0; s < n; s++)
					it = json_object_iter_next(all.items[k], it);
				change(policy, all.items[k], json_object_iter_key(it), &all);
				json_decref(policy);
			}
		}
		json_decref(first);
	}
}

static void rename_field(json_t *policy, json_t *object, const char *key, const struct nodes *all)
{
	bh_auto_free char *name = bh_strdup(key), *upper = bh_strdup(key);
	const char *names[3];
	json_t *value = json_incref(json_object_get(object, key));

	(void)all;
	/* "fro", "FROM", "froms" */
	name[strlen(name) - 1] = '\0';
	for (char *c = upper; *c; c++)
		*c = (char)toupper(*c);
	names[0] = name;
	names[1] = upper;
	for (size_t i = 0; i < 2; i++) {
		json_object_del(object, i ? names[i - 1] : key);
		json_object_set(object, names[i], value);
		assert_refused(policy, names[i]);
	}
	json_decref(value);
}

static void a_field_that_is_renamed_is_refused(void **state)
{
	(void)state;
	for_each_field(rename_field);
}

static void add_fields(json_t *policy, json_t *object, const char *key, const struct nodes *all)
{
	bh_auto_free char *name = bh_asprintf("%ss", key);

	(void)all;
	json_object_set_new(object, name, json_null());
	assert_refused(policy, name);
}

static void a_field_too_many_is_refused_even_if_it_is_null(void **state)
{
	(void)state;
	for_each_field(add_fields);
}

static void mistype(json_t *policy, json_t *object, const char *key, const struct nodes *all)
{
	static const char *const others[] = { "[[]]", "{'x':[]}", "1.5", "true", "'#'" };

	(void)all;
	for (size_t i = 0; i < BH_ARRAY_LEN(others); i++) {
		/* Any text is a name of a port, which matches nothing then. */
		if (*others[i] == '\'' && strcasestr(key, "namedPort"))
			continue;
		json_object_set_new(object, key, json_of(others[i]));
		assert_refused(policy, key);
	}
}

/* What policy does not read of metadata is left to the API server. */
static void mistype_in_spec(json_t *policy, json_t *object, const char *key,
			    const struct nodes *all)
{
	if (object != json_object_get(policy, "metadata") &&
	    !(object == policy && strcmp(key, "status") == 0) && strcmp(key, "name") != 0)
		mistype(policy, object, key, all);
}

static void a_value_of_another_type_is_refused(void **state)
{
	(void)state;
	for_each_field(mistype_in_spec);
}

static void move_field(json_t *policy, json_t *object, const char *key, const struct nodes *all)
{
	json_t *value = json_incref(json_object_get(object, key));
	bh_auto_free char *name = bh_strdup(key);
	struct nodes within = { 0 };

	find_objects(value, &within);
	json_object_del(object, name);
	for (size_t i = 0; i < all->n; i++) {
		json_t *to = all->items[i];
		bool is_within = false;

		for (size_t k = 0; k < within.n; k++)
			is_within |= within.items[k] == to;
		if (to == object || is_within || json_object_get(to, name))
			continue;
		if (json_object_set(to, name, value) == 0)
			assert_refused(policy, name);
		json_object_del(to, name);
	}
	json_decref(value);
}

static void copy_field(json_t *policy, json_t *object, const char *key, const struct nodes *all)
{
	json_t *copy = json_deep_copy(json_object_get(object, key));

	for (size_t i = 0; i < all->n; i++) {
		json_t *to = all->items[i];

		if (json_object_get(to, key))
			continue;
		json_object_set(to, key, copy);
		assert_refused(policy, key);
		json_object_del(to, key);
	}
	json_decref(copy);
}

static void a_field_in_another_place_is_refused(void **state)
{
	(void)state;
	for_each_field(copy_field);
}

static void a_field_that_moved_is_refused(void **state)
{
	(void)state;
	for_each_field(move_field);
}

static struct bh_decoded *decode_policy(const char *spec)
{
	bh_auto_free char *text = bh_asprintf("{'apiVersion':'networking.k8s.io/v1',"
					      "'kind':'NetworkPolicy','metadata':{'name':'web',"
					      "'namespace':'shop'},'spec':%s}",
					      spec);
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	assert_ok(decode_as(text, NULL, &d, &err), &err);
	return d;
}

static void what_was_meant_is_named(void **state)
{
	static const struct {
		const char *spec, *want;
		bool selects_all;
	} t[] = {
		{ "{'podSelector':{'app':'x'}}",
		  "unknown field \"spec.podSelector.app\": known here are \"matchLabels\", "
		  "\"matchExpressions\"",
		  true },
		{ "{'podselector':{'matchLabels':{'app':'x'}}}",
		  "unknown field \"spec.podselector\": did you mean \"podSelector\"?", true },
		{ "{'podSelector':{'matchLabels':{'app':'x'}},'ingress':[{'to':[]}]}",
		  "unknown field \"spec.ingress[0].to\"", false },
		{ "{'podSelector':{'matchLabels':{'app':'x'}},'ingress':[{'from':[{'podSelector':"
		  "{},'ports':[]}]}]}",
		  "unknown field \"spec.ingress[0].from[0].ports\"", false },
		{ "{'podSelector':{'matchLabels':{'app':'x'}},'egress':[{'to':[{'ipBlock':{"
		  "'cidr':'10.0.0.0/8','excepts':['10.1.0.0/16']}}]}]}",
		  "unknown field \"spec.egress[0].to[0].ipBlock.excepts\": did you mean "
		  "\"except\"?",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_policy(t[i].spec);
		const struct bh_policy *p = &bh_decoded_fact(d)->policy;

		assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
		assert_contains(p->invalid, t[i].want);
		assert_int_equal(p->pods.n_reqs, t[i].selects_all ? 0 : 1);
		bh_decoded_free(&d);
	}
}

static void every_unknown_field_is_named_with_the_first(void **state)
{
	struct bh_decoded *d = decode_policy("{'ingres':[],'ingress':[{'form':[]}]}");
	bh_auto_free char *all =
		bh_asprintf("%s\n%s", bh_decoded_fact(d)->policy.invalid, warnings(d));

	(void)state;
	assert_contains(all, "unknown field \"spec.ingres\": did you mean \"ingress\"?");
	assert_contains(all, "unknown field \"spec.ingress[0].form\": did you mean \"from\"?");
	bh_decoded_free(&d);
}

/* An object that policy reads, whose author surely meant one that is read. */
static void objects_that_are_read_wrongly_are_refused(void **state)
{
	static const struct {
		const char *object, *want;
	} t[] = {
		{ "{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicys'}",
		  "kind: Unsupported value: \"NetworkPolicys\"" },
		{ "{'apiVersion':'networking.k8s.io/v1','kind':'networkpolicy'}", "NetworkPolicy" },
		{ "{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':'NetworkPolicy'}",
		  "did you mean NetworkPolicy of networking.k8s.io?" },
		{ "{'apiVersion':'v1','kind':'NetworkPolicy'}", "networking.k8s.io" },
		{ "{'apiVersion':'apps/v1','kind':'NetworkPolicy'}", "networking.k8s.io" },
		{ "{'apiVersion':'networking.k8s.io','kind':'NetworkPolicy'}",
		  "networking.k8s.io" },
		{ "{'apiVersion':'netwroking.k8s.io/v1','kind':'NetworkPolicy'}",
		  "networking.k8s.io" },
		{ "{'apiVersion':'v1','kind':'pod'}", "Pod" },
		{ "{'apiVersion':'v1','kind':'Namespaces'}", "Namespace" },
		{ "{'apiVersion':'v2','kind':'Pod','metadata':{'name':'a'}}", "v1" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','lables':{}}}",
		  "unknown field \"metadata.lables\": did you mean \"labels\"?" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'sttus':{}}",
		  "unknown field \"sttus\": did you mean \"status\"?" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'status':{'podIp':"
		  "'10.0.0.1'}}",
		  "unknown field \"status.podIp\": did you mean \"podIP\"?" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'status':{'podIPs':[{"
		  "'IP':'10.0.0.1'}]}}",
		  "unknown field \"status.podIPs[0].IP\"" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'spec':{'containers':[{"
		  "'ports':[{'name':'web','containerPort':80,'protocl':'UDP'}]}]}}",
		  "unknown field \"spec.containers[0].ports[0].protocl\"" },
		{ "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a'},'spec':{'hostnetwork':"
		  "true}}",
		  "unknown field \"spec.hostnetwork\": did you mean \"hostNetwork\"?" },
		{ "{'apiVersion':'v1','kind':'Node','metadata':{'name':'a'},'status':{'address':"
		  "[]}}",
		  "unknown field \"status.address\": did you mean \"addresses\"?" },
		{ "{'apiVersion':'v1','kind':'List','item':[]}", "items: Required value" },
		{ "{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicyList'}",
		  "items: Required value" },
		/* Else the policy would close the namespace "default". */
		{ "{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':"
		  "{'name':'a','nameSpace':'shop'},'spec':{}}",
		  "unknown field \"metadata.nameSpace\": did you mean \"namespace\"?" },
		{ "{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':"
		  "{'name':'a'},'namespace':'shop','spec':{}}",
		  "unknown field \"namespace\"" },
		{ "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'a','label':{}}}",
		  "unknown field \"metadata.label\"" },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		if (decode_as(t[i].object, NULL, &d, &err) == 0)
			fail_msg("%s is accepted", t[i].object);
		assert_contains(bh_err_text(&err), t[i].want);
	}
}

static void what_others_make_of_kinds_and_fields_is_theirs(void **state)
{
	static const char *const objects[] = {
		"{'apiVersion':'crd.projectcalico.org/v1','kind':'NetworkPolicy'}",
		"{'apiVersion':'networking.k8s.io/v1','kind':'Ingress','specs':1}",
		"{'apiVersion':'networking.k8s.io/v1','kind':'IngressClass'}",
		"{'apiVersion':'networking.k8s.io/v1','kind':'ServiceCIDR'}",
		"{'apiVersion':'v1','kind':'PodTemplate'}",
		"{'apiVersion':'v1','kind':'ConfigMap'}",
		"{'apiVersion':'apps/v1','kind':'Deployment'}",
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'a','creationTimestamp':null,"
		"'annotations':{'any/thing':'x'}},'spec':{'hostPID':true,'hostIPC':true,"
		"'hostUsers':true,'hostname':'x','nodeSelector':{},'containers':[{'name':'x',"
		"'image':'y','ports':[{'name':'web','containerPort':1,'hostPort':2,'hostIP':"
		"'127.0.0.1'}]}]},'status':{'hostIP':'10.0.0.1','hostIPs':[],'podIP':'10.0.0.2',"
		"'podIPs':[{'ip':'10.0.0.2'}],'phase':'Running','observedGeneration':1}}",
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(objects); i++) {
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		assert_ok(decode_as(objects[i], NULL, &d, &err), &err);
		bh_decoded_free(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policies_are_right_as_they_are),
		cmocka_unit_test(a_field_that_is_renamed_is_refused),
		cmocka_unit_test(a_field_too_many_is_refused_even_if_it_is_null),
		cmocka_unit_test(a_value_of_another_type_is_refused),
		cmocka_unit_test(a_field_in_another_place_is_refused),
		cmocka_unit_test(a_field_that_moved_is_refused),
		cmocka_unit_test(what_was_meant_is_named),
		cmocka_unit_test(every_unknown_field_is_named_with_the_first),
		cmocka_unit_test(objects_that_are_read_wrongly_are_refused),
		cmocka_unit_test(what_others_make_of_kinds_and_fields_is_theirs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
