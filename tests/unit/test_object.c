#include "object_text.h"

#include <errno.h>
#include <netinet/in.h>

static int decode(const char *text, struct bh_decoded **ret, struct bh_err *err)
{
	return decode_as(text, NULL, ret, err);
}

static struct bh_decoded *decode_ok(const char *text)
{
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	assert_ok(decode(text, &d, &err), &err);
	return d;
}

/* A NetworkPolicy shop/web around a spec. */
static struct bh_decoded *decode_spec(const char *spec)
{
	bh_auto_free char *text = bh_asprintf("{'apiVersion':'networking.k8s.io/v1',"
					      "'kind':'NetworkPolicy','metadata':{'name':'web',"
					      "'namespace':'shop'},'spec':%s}",
					      spec);

	return decode_ok(text);
}

static const struct bh_policy *policy_of(const struct bh_decoded *d)
{
	return &bh_decoded_fact(d)->policy;
}

static void a_policy_that_the_api_server_refuses_is_refused_in_its_words(void **state)
{
	static const struct {
		const char *spec, *want;
	} t[] = {
		{ "{'ingress':[{'ports':[{},{'port':80,'endPort':79}]}]}",
		  "spec.ingress[0].ports[1].endPort: Invalid value: 79: must be greater than or "
		  "equal to `port`" },
		{ "{'ingress':[{'ports':[{'endPort':79}]}]}",
		  "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when "
		  "`port` is not specified" },
		{ "{'ingress':[{'ports':[{'port':'web','endPort':79}]}]}",
		  "spec.ingress[0].ports[0].endPort: Invalid value: 79: may not be specified when "
		  "`port` is non-numeric" },
		{ "{'egress':[{'ports':[{'port':0}]}]}",
		  "spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, "
		  "inclusive" },
		{ "{'egress':[{'ports':[{'port':65536}]}]}", "must be between 1 and 65535" },
		{ "{'egress':[{'ports':[{'port':-1}]}]}", "must be between 1 and 65535" },
		{ "{'egress':[{'ports':[{'port':1,'endPort':65536}]}]}",
		  "spec.egress[0].ports[0].endPort: Invalid value: 65536: must be between" },
		{ "{'ingress':[{'ports':[{'port':'80'}]}]}",
		  "spec.ingress[0].ports[0].port: Invalid value: \"80\": must contain at least one "
		  "letter (a-z)" },
		{ "{'ingress':[{'ports':[{'port':'sixteen-letters-'}]}]}",
		  "must be no more than 15 bytes" },
		{ "{'ingress':[{'ports':[{'port':'a--b'}]}]}",
		  "must not contain consecutive hyphens" },
		{ "{'ingress':[{'ports':[{'port':'-ab'}]}]}",
		  "must not begin or end with a hyphen" },
		{ "{'ingress':[{'ports':[{'port':'Web'}]}]}",
		  "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)" },
		{ "{'ingress':[{'ports':[{'port':''}]}]}", "must contain only alpha-numeric" },
		{ "{'ingress':[{'ports':[{'protocol':'tcp'}]}]}",
		  "spec.ingress[0].ports[0].protocol: Unsupported value: \"tcp\": supported "
		  "values: "
		  "\"TCP\", \"UDP\", \"SCTP\"" },
		{ "{'ingress':[{'from':[{}]}]}",
		  "spec.ingress[0].from[0]: Required value: must specify a peer" },
		{ "{'ingress':[{'from':[null]}]}", "Required value: must specify a peer" },
		{ "{'ingress':[{'from':[{'podSelector':{},'ipBlock':{'cidr':'10.0.0.0/8'}}]}]}",
		  "spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another "
		  "peer" },
		{ "{'egress':[{'to':[{'ipBlock':{}}]}]}",
		  "spec.egress[0].to[0].ipBlock.cidr: Required value" },
		{ "{'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.1'}}]}]}",
		  "spec.egress[0].to[0].ipBlock.cidr: Invalid value: \"10.0.0.1\": must be a valid "
		  "CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)" },
		{ "{'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['11.0.0.0/"
		  "16']}}]}]}",
		  "spec.egress[0].to[0].ipBlock.except[0]: Invalid value: \"11.0.0.0/16\": must be "
		  "a "
		  "strict subset of `cidr`" },
		{ "{'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.0.0.0/8']}}]}]}",
		  "must be a strict subset" },
		{ "{'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['::/64']}}]}]}",
		  "must be a strict subset" },
		{ "{'egress':[{'to':[{'ipBlock':{'cidr':'::/0','except':[null]}}]}]}",
		  "must be a valid CIDR" },
		{ "{'podSelector':{'matchLabels':{'a b':'x'}}}",
		  "spec.podSelector.matchLabels: Invalid value: \"a b\": name part must consist of "
		  "alphanumeric characters, '-', '_' or '.'" },
		{ "{'podSelector':{'matchLabels':{'app':'-x'}}}",
		  "spec.podSelector.matchLabels.app: Invalid value: \"-x\": a valid label must be "
		  "an "
		  "empty string or consist of" },
		{ "{'podSelector':{'matchLabels':{'app':1}}}",
		  "spec.podSelector.matchLabels.app: Invalid value: must be a string, not a "
		  "number: "
		  "write it in quotes" },
		{ "{'podSelector':{'matchExpressions':[{'key':'a','operator':'in','values':['x']}]}"
		  "}",
		  "spec.podSelector.matchExpressions[0].operator: Invalid value: \"in\": not a "
		  "valid "
		  "selector operator" },
		{ "{'podSelector':{'matchExpressions':[{'key':'a','operator':'In'}]}}",
		  "spec.podSelector.matchExpressions[0].values: Required value: must be specified "
		  "when `operator` is 'In' or 'NotIn'" },
		{ "{'podSelector':{'matchExpressions':[{'key':'a','operator':'Exists',"
		  "'values':['x']}]}}",
		  "spec.podSelector.matchExpressions[0].values: Forbidden: may not be specified "
		  "when "
		  "`operator` is 'Exists' or 'DoesNotExist'" },
		{ "{'podSelector':{'matchExpressions':[{'operator':'Exists'}]}}",
		  "spec.podSelector.matchExpressions[0].key: Invalid value: \"\": name part must "
		  "be "
		  "non-empty" },
		{ "{'podSelector':{'matchExpressions':[{'key':'/a','operator':'Exists'}]}}",
		  "prefix part must be non-empty" },
		{ "{'podSelector':{'matchExpressions':[{'key':'A_/a','operator':'Exists'}]}}",
		  "prefix part a lowercase RFC 1123 subdomain" },
		{ "{'podSelector':{'matchExpressions':[{'key':'a/b/c','operator':'Exists'}]}}",
		  "a qualified name must consist of" },
		{ "{'policyTypes':['ingress']}",
		  "spec.policyTypes[0]: Unsupported value: \"ingress\": supported values: "
		  "\"Ingress\", \"Egress\"" },
		{ "{'policyTypes':['Ingress','Egress','Ingress']}",
		  "spec.policyTypes: Invalid value: may not specify more than two policyTypes" },
		{ "{'ingress':{}}", "spec.ingress: Invalid value: must be a list, not an object" },
		{ "{'ingress':['x']}",
		  "spec.ingress[0]: Invalid value: must be an object, not a string" },
		{ "{'ingress':[{'ports':[{'port':true}]}]}",
		  "spec.ingress[0].ports[0].port: Invalid value: must be a whole number, not a "
		  "boolean" },
		{ "{'ingress':[{'ports':[{'port':4294967376}]}]}", "does not fit into 32 bits" },
		{ "[]", "spec: Invalid value: must be an object, not a list" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_spec(t[i].spec);
		const struct bh_policy *p = policy_of(d);

		if (bh_decoded_status(d) != BH_DECODE_INVALID)
			fail_msg("is valid: %s", t[i].spec);
		assert_contains(p->invalid, t[i].want);
		/* Closed: isolates both ways and allows nothing. */
		assert_true(p->isolates[BH_INGRESS] && p->isolates[BH_EGRESS]);
		assert_int_equal(p->rules[BH_INGRESS].n + p->rules[BH_EGRESS].n, 0);
		bh_decoded_free(&d);
	}
}

static void an_invalid_policy_selects_what_it_says_or_its_whole_namespace(void **state)
{
	struct bh_decoded *d;

	(void)state;
	d = decode_spec("{'podSelector':{'matchLabels':{'app':'web'}},'ingress':7}");
	assert_int_equal(policy_of(d)->pods.n_reqs, 1);
	assert_string_equal(policy_of(d)->pods.reqs[0].key, "app");
	bh_decoded_free(&d);

	d = decode_spec("{'podSelector':{'matchLabels':{'app':'we b'}}}");
	assert_int_equal(policy_of(d)->pods.n_reqs, 0);
	assert_string_equal(policy_of(d)->namespace, "shop");
	bh_decoded_free(&d);
}

static void policy_types_follow_the_rules_where_they_are_missing(void **state)
{
	static const struct {
		const char *spec;
		bool ingress, egress;
	} t[] = {
		{ "{}", true, false },
		{ "{'policyTypes':[]}", true, false },
		{ "{'policyTypes':null}", true, false },
		{ "{'egress':[]}", true, false },
		{ "{'egress':[{}]}", true, true },
		{ "{'ingress':[{}]}", true, false },
		{ "{'policyTypes':['Egress']}", false, true },
		{ "{'policyTypes':['Egress','Ingress']}", true, true },
		{ "{'policyTypes':['Ingress','Ingress']}", true, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_spec(t[i].spec);

		assert_int_equal(bh_decoded_status(d), BH_DECODED);
		assert_int_equal(policy_of(d)->isolates[BH_INGRESS], t[i].ingress);
		assert_int_equal(policy_of(d)->isolates[BH_EGRESS], t[i].egress);
		bh_decoded_free(&d);
	}
}

static void rules_of_a_direction_that_is_not_listed_have_no_effect(void **state)
{
	struct bh_decoded *d = decode_spec("{'policyTypes':['Ingress'],'egress':[{}]}");

	(void)state;
	assert_int_equal(policy_of(d)->rules[BH_EGRESS].n, 0);
	assert_contains(warnings(d),
			"spec.egress: has no effect, because policyTypes does not list "
			"Egress");
	bh_decoded_free(&d);
}

static void missing_and_empty_lists_of_peers_and_ports_are_everything(void **state)
{
	static const char *const specs[] = {
		"{'ingress':[{}]}",
		"{'ingress':[{'from':[],'ports':[]}]}",
		"{'ingress':[{'from':null,'ports':null}]}",
		"{'ingress':[null]}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(specs); i++) {
		struct bh_decoded *d = decode_spec(specs[i]);
		const struct bh_rules *rules = &policy_of(d)->rules[BH_INGRESS];

		assert_int_equal(rules->n, 1);
		assert_false(rules->items[0].has_peers);
		assert_false(rules->items[0].has_ports);
		bh_decoded_free(&d);
	}
}

static void ports_have_their_defaults(void **state)
{
	static const struct {
		const char *port;
		uint8_t protocol;
		const char *name;
		uint16_t first, last;
	} t[] = {
		{ "{}", IPPROTO_TCP, NULL, 0, 65535 },
		{ "{'protocol':'UDP'}", IPPROTO_UDP, NULL, 0, 65535 },
		{ "{'protocol':'SCTP','port':7}", IPPROTO_SCTP, NULL, 7, 7 },
		{ "{'protocol':null,'port':80}", IPPROTO_TCP, NULL, 80, 80 },
		{ "{'port':80,'endPort':80}", IPPROTO_TCP, NULL, 80, 80 },
		{ "{'port':1,'endPort':65535}", IPPROTO_TCP, NULL, 1, 65535 },
		{ "{'port':'http-alt2'}", IPPROTO_TCP, "http-alt2", 0, 65535 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *spec = bh_asprintf("{'ingress':[{'ports':[%s]}]}", t[i].port);
		struct bh_decoded *d = decode_spec(spec);
		const struct bh_policy_port *p;

		assert_int_equal(bh_decoded_status(d), BH_DECODED);
		p = &policy_of(d)->rules[BH_INGRESS].items[0].ports[0];
		assert_int_equal(p->protocol, t[i].protocol);
		if (t[i].name) {
			assert_string_equal(p->name, t[i].name);
		} else {
			assert_null(p->name);
			assert_int_equal(p->first, t[i].first);
			assert_int_equal(p->last, t[i].last);
		}
		bh_decoded_free(&d);
	}
}

static void peers_tell_own_namespace_from_all_namespaces(void **state)
{
	struct bh_decoded *d = decode_spec(
		"{'ingress':[{'from':[{'podSelector':{}},{'namespaceSelector':{}},"
		"{'namespaceSelector':{'matchLabels':{'a':'b'}},'podSelector':"
		"{'matchExpressions':[{'key':'x/y','operator':'NotIn','values':['1','']}]}},"
		"{'ipBlock':{'cidr':'10.1.2.3/8','except':['10.1.0.0/16']}}]}]}");
	const struct bh_peer *p = policy_of(d)->rules[BH_INGRESS].items[0].peers;
	char text[BH_CIDR_STRLEN];

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODED);
	assert_int_equal(p[0].kind, BH_PEER_PODS);
	assert_false(p[0].has_namespaces);
	assert_true(p[1].has_namespaces);
	assert_int_equal(p[1].namespaces.n_reqs + p[1].pods.n_reqs, 0);
	assert_int_equal(p[2].namespaces.n_reqs, 1);
	assert_int_equal(p[2].pods.reqs[0].op, BH_SEL_NOT_IN);
	assert_string_equal(p[2].pods.reqs[0].values[1], "");
	assert_int_equal(p[3].kind, BH_PEER_CIDR);
	assert_string_equal(bh_cidr_format(&p[3].cidr, text), "10.0.0.0/8");
	assert_string_equal(bh_cidr_format(&p[3].except[0], text), "10.1.0.0/16");
	assert_contains(warnings(d), "spec.ingress[0].from[3].ipBlock.cidr: CIDR value "
				     "\"10.1.2.3/8\" is ambiguous in this context (should be "
				     "\"10.0.0.0/8\"?)");
	bh_decoded_free(&d);
}

/* Lenient with objects of the API, whose server pruned them; newer ones have more fields. */
static void unknown_fields_of_the_api_are_warned_about_with_their_path(void **state)
{
	const struct bh_origin origin = { .source = BH_SOURCE_KUBE };
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };
	const char *text;

	(void)state;
	assert_ok(decode_as("{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy',"
			    "'metadata':{'name':'web','namespace':'shop'},'spec':"
			    "{'ingres':[],'ingress':[{'form':[],'ports':[{'Port':1}],"
			    "'from':[{'podSelector':{'matchlabels':{}}}]}]}}",
			    &origin, &d, &err),
		  &err);
	text = warnings(d);
	assert_int_equal(bh_decoded_status(d), BH_DECODED);
	assert_contains(text, "unknown field \"spec.ingres\"\n");
	assert_contains(text, "unknown field \"spec.ingress[0].form\"\n");
	assert_contains(text, "unknown field \"spec.ingress[0].ports[0].Port\"\n");
	assert_contains(text,
			"unknown field \"spec.ingress[0].from[0].podSelector.matchlabels\"\n");
	bh_decoded_free(&d);
}

static void every_problem_after_the_first_is_a_warning(void **state)
{
	struct bh_decoded *d = decode_spec("{'ingress':[{'ports':[{'port':0},{'port':70000}]}]}");

	(void)state;
	assert_contains(policy_of(d)->invalid, "ports[0].port: Invalid value: 0");
	assert_contains(warnings(d), "ports[1].port: Invalid value: 70000");
	bh_decoded_free(&d);
}

static void objects_that_are_not_valid_are_errors_with_their_name(void **state)
{
	static const struct {
		const char *json, *want;
	} t[] = {
		{ "[]", "is not an object" },
		{ "{}", "kind: Required value" },
		{ "{'kind':'Pod'}", "apiVersion: Required value" },
		{ "{'kind':7,'apiVersion':'v1'}", "kind: Invalid value: must be a string" },
		{ "{'kind':'Pod','apiVersion':'v1'}", "Pod without a name: metadata.name: Required "
						      "value" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'generateName':'a-'}}",
		  "Pod without a name: metadata.name: Required value: generateName takes an API "
		  "server that makes the name; give the object one" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'A'}}",
		  "Pod default/A: metadata.name: Invalid value: \"A\": a lowercase RFC 1123 "
		  "subdomain" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a','namespace':'b.c'}}",
		  "Pod b.c/a: metadata.namespace: Invalid value: \"b.c\": must not contain dots" },
		{ "{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'a','namespace':'b'}}",
		  "metadata.namespace: Forbidden: not allowed on this type" },
		{ "{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'a.b'}}",
		  "metadata.name: Invalid value: \"a.b\": must not contain dots" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a','labels':{'k':'ä'}}}",
		  "metadata.labels.k: Invalid value: \"ä\": a valid label must be" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a'},'status':{'podIPs':[{'"
		  "ip':"
		  "'10.0.0'}]}}",
		  "status.podIPs[0].ip: Invalid value: \"10.0.0\": must be a valid IP address" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a'},'spec':{'containers':[{"
		  "'ports':[{'name':'x','containerPort':0}]}]}}",
		  "spec.containers[0].ports[0].containerPort: Invalid value: 0" },
		{ "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a'},'spec':{'hostNetwork':"
		  "'true'}}",
		  "spec.hostNetwork: Invalid value: must be a boolean, not a string" },
		{ "{'kind':'Node','apiVersion':'v1','metadata':{'name':'a\\u001b[2J'}}",
		  "Invalid value: \"a\\x1b[2J\"" },
		{ "{'kind':'NetworkPolicy','apiVersion':'networking.k8s.io/v1','metadata':{'name':"
		  "'x','namespace':'Shop'}}",
		  "NetworkPolicy Shop/x: metadata.namespace: Invalid value: \"Shop\"" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		assert_err(decode(t[i].json, &d, &err), &err, -EINVAL, t[i].want);
		assert_null(d);
	}
}

static void kinds_that_policy_is_not_about_are_skipped(void **state)
{
	static const struct {
		const char *version, *kind, *warning;
	} t[] = {
		{ "apps/v1", "Deployment", "" },
		{ "extensions/v1beta1", "DaemonSet", "" },
		{ "batch/v1", "CronJob", "" },
		{ "v1", "Service", "" },
		{ "networking.k8s.io/v1", "Ingress", "" },
		{ "projectcalico.org/v3", "NetworkPolicy",
		  "policies of this kind are not enforced" },
		{ "crd.antrea.io/v1beta1", "ClusterNetworkPolicy",
		  "policies of this kind are not enforced" },
		{ "cilium.io/v2", "CiliumNetworkPolicy", "policies of this kind are not enforced" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = bh_asprintf(
			"{'apiVersion':'%s','kind':'%s','metadata':7}", t[i].version, t[i].kind);
		struct bh_decoded *d = decode_ok(text);

		assert_int_equal(bh_decoded_status(d), BH_DECODE_SKIPPED);
		assert_null(bh_decoded_fact(d));
		assert_null(bh_decoded_workload(d));
		assert_null(bh_decoded_service(d));
		assert_contains(warnings(d), t[i].warning);
		bh_decoded_free(&d);
	}
}

static void a_policy_of_a_removed_version_is_closed_and_says_how_to_migrate(void **state)
{
	struct bh_decoded *d =
		decode_ok("{'apiVersion':'extensions/v1beta1','kind':'NetworkPolicy','metadata':"
			  "{'name':'old'},'spec':{'podSelector':{'matchLabels':{'a':'b'}}}}");

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
	assert_string_equal(bh_decoded_subject(d), "NetworkPolicy default/old");
	assert_contains(policy_of(d)->invalid, "apiVersion: Unsupported value: "
					       "\"extensions/v1beta1\": NetworkPolicy is served as "
					       "networking.k8s.io/v1 only; change apiVersion");
	assert_int_equal(policy_of(d)->pods.n_reqs, 1);
	bh_decoded_free(&d);
}

static void a_pod_is_read_whole(void **state)
{
	struct bh_decoded *d = decode_ok(
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web-7d-x','namespace':'shop',"
		"'uid':'u1','labels':{'app':'web','pod-template-hash':'7d'},'creationTimestamp':"
		"'2026-01-02T03:04:05Z','deletionTimestamp':'2026-01-02T03:05:05Z',"
		"'ownerReferences':[{'kind':'X','name':'y'},"
		"{'kind':'ReplicaSet','name':'web-7d','controller':true}]},"
		"'spec':{'nodeName':'n1','containers':[{'ports':[{'name':'http','containerPort':80}"
		","
		"{'containerPort':81}]},{'ports':[{'name':'dns','containerPort':53,'protocol':"
		"'UDP'}]}],'initContainers':[{'ports':[{'name':'once','containerPort':1}]},"
		"{'restartPolicy':'Always','ports':[{'name':'side','containerPort':2}]}]},"
		"'status':{'phase':'Running','podIP':'10.0.0.1','podIPs':[{'ip':'10.0.0.1'},"
		"{'ip':'fd00::1'}]}}");
	const struct bh_pod *p = &bh_decoded_fact(d)->pod;

	(void)state;
	assert_int_equal(bh_decoded_fact(d)->kind, BH_KIND_POD);
	assert_string_equal(p->namespace, "shop");
	assert_string_equal(p->name, "web-7d-x");
	assert_string_equal(p->uid, "u1");
	assert_string_equal(p->node, "n1");
	assert_int_equal(p->labels.n, 2);
	assert_string_equal(p->labels.items[0].key, "app");
	assert_string_equal(p->labels.items[0].value, "web");
	assert_int_equal(p->n_addrs, 2);
	assert_int_equal(p->n_ports, 3);
	assert_string_equal(p->ports[0].name, "http");
	assert_int_equal(p->ports[1].protocol, IPPROTO_UDP);
	assert_string_equal(p->ports[2].name, "side");
	assert_false(p->is_finished);
	assert_false(p->is_host_network);
	assert_true(p->created_ns == UINT64_C(1767323045000000000));
	assert_string_equal(p->workload_kind, "Deployment");
	assert_string_equal(p->workload_name, "web");
	bh_decoded_free(&d);
}

/* The runtime knows a static pod by the uid that its mirror in the API names. */
static void a_mirror_has_the_uid_of_its_static_pod(void **state)
{
	struct bh_decoded *d = decode_ok(
		"{'apiVersion':'v1','kind':'Pod','metadata':{'name':'etcd-n1','namespace':'s',"
		"'uid':'api','annotations':{'kubernetes.io/config.mirror':'hash',"
		"'kubernetes.io/config.hash':'hash'}}}");

	(void)state;
	assert_string_equal(bh_decoded_fact(d)->pod.uid, "hash");
	bh_decoded_free(&d);
	/* A static pod itself has a hash and is no mirror. */
	d = decode_ok("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'etcd-n1',"
		      "'namespace':'s','uid':'u','annotations':{"
		      "'kubernetes.io/config.hash':'hash'}}}");
	assert_string_equal(bh_decoded_fact(d)->pod.uid, "u");
	bh_decoded_free(&d);
}

static void a_policy_has_its_generation(void **state)
{
	struct bh_decoded *d =
		decode_ok("{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':{"
			  "'name':'p','namespace':'s','generation':9007199254740993},'spec':{"
			  "'podSelector':{}}}");

	(void)state;
	assert_true(policy_of(d)->generation == INT64_C(9007199254740993));
	bh_decoded_free(&d);
}

static void a_pod_by_hand_needs_no_more_than_a_name_and_an_address(void **state)
{
	struct bh_decoded *d =
		decode_ok("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web'},"
			  "'spec':{'hostNetwork':true},'status':{'podIP':'::ffff:10.0.0.1',"
			  "'phase':'Failed'}}");
	const struct bh_pod *p = &bh_decoded_fact(d)->pod;
	char text[BH_ADDR_STRLEN];

	(void)state;
	assert_string_equal(p->namespace, "default");
	assert_string_equal(p->uid, "");
	assert_string_equal(bh_addr_format(&p->addrs[0], text), "10.0.0.1");
	assert_true(p->is_host_network);
	assert_true(p->is_finished);
	assert_null(p->workload_kind);
	assert_string_equal(bh_decoded_subject(d), "Pod default/web");
	bh_decoded_free(&d);
}

static void any_value_but_false_quarantines_a_pod(void **state)
{
	static const struct {
		const char *annotations;
		bool want;
	} t[] = {
		{ "", false },
		{ "'bulkhead.dev/quarantine':'false'", false },
		{ "'bulkhead.dev/quarantine':'true'", true },
		{ "'bulkhead.dev/quarantine':'flase'", true },
		{ "'bulkhead.dev/quarantine':''", true },
	};

	(void)state;
	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text =
			bh_asprintf("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web',"
				    "'annotations':{%s}}}",
				    t[i].annotations);
		struct bh_decoded *d = decode_ok(text);

		assert_int_equal(bh_decoded_fact(d)->pod.is_quarantined, t[i].want);
		bh_decoded_free(&d);
	}
}

static void a_replica_set_of_its_own_is_the_workload(void **state)
{
	struct bh_decoded *d =
		decode_ok("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'w','labels':"
			  "{'pod-template-hash':'7d'},'ownerReferences':[{'kind':'ReplicaSet',"
			  "'name':'web-8e','controller':true}]}}");
	const struct bh_pod *p = &bh_decoded_fact(d)->pod;

	(void)state;
	assert_string_equal(p->workload_kind, "ReplicaSet");
	assert_string_equal(p->workload_name, "web-8e");
	bh_decoded_free(&d);
}

static void what_is_no_workload_owns_no_pods(void **state)
{
	static const char *const owners[] = {
		"{'kind':'Node','name':'n1','controller':true}", /* of a static pod's mirror */
		"{'name':'x','controller':true}",
		"{'kind':'ReplicaSet','controller':true}",
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(owners); i++) {
		bh_auto_free char *text = bh_asprintf("{'apiVersion':'v1','kind':'Pod','metadata':"
						      "{'name':'w','ownerReferences':[%s]}}",
						      owners[i]);
		struct bh_decoded *d = decode_ok(text);

		assert_null(bh_decoded_fact(d)->pod.workload_kind);
		bh_decoded_free(&d);
	}
}

static void a_node_has_the_addresses_that_are_ips(void **state)
{
	struct bh_decoded *d = decode_ok(
		"{'apiVersion':'v1','kind':'Node','metadata':{'name':'n1.example'},'status':{'"
		"addresses':["
		"{'type':'Hostname','address':'n1'},{'type':'InternalIP','address':'10.0.0.1'},"
		"{'type':'ExternalIP','address':'2001:db8::1'}]}}");

	(void)state;
	assert_string_equal(bh_decoded_fact(d)->node.name, "n1.example");
	assert_int_equal(bh_decoded_fact(d)->node.n_addrs, 2);
	bh_decoded_free(&d);
}

static void annotations_of_a_namespace_set_mode_and_default_deny(void **state)
{
	static const struct {
		const char *annotations;
		enum bh_mode mode;
		bool has, ingress, egress;
		const char *warning;
	} t[] = {
		{ "{}", BH_ENFORCE, false, false, false, "" },
		{ "{'bulkhead.dev/mode':'audit'}", BH_AUDIT, false, false, false, "" },
		{ "{'bulkhead.dev/mode':'enforce'}", BH_ENFORCE, false, false, false, "" },
		{ "{'bulkhead.dev/mode':'Audit'}", BH_ENFORCE, false, false, false,
		  "metadata.annotations[bulkhead.dev/mode]: Unsupported value: \"Audit\"" },
		{ "{'bulkhead.dev/default-deny':'ingress'}", BH_ENFORCE, true, true, false, "" },
		{ "{'bulkhead.dev/default-deny':'egress'}", BH_ENFORCE, true, false, true, "" },
		{ "{'bulkhead.dev/default-deny':'both'}", BH_ENFORCE, true, true, true, "" },
		{ "{'bulkhead.dev/default-deny':'none'}", BH_ENFORCE, true, false, false, "" },
		{ "{'bulkhead.dev/default-deny':'ingres'}", BH_ENFORCE, true, true, true,
		  "both directions are denied" },
		{ "{'bulkhead.dev/default-deny':true}", BH_ENFORCE, true, true, true,
		  "both directions are denied" },
		{ "{'bulkhead.dev/modus':'audit','x':'y'}", BH_ENFORCE, false, false, false,
		  "metadata.annotations[bulkhead.dev/modus]: this kind has no such annotation" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = bh_asprintf("{'apiVersion':'v1','kind':'Namespace',"
						      "'metadata':{'name':'a','annotations':%s}}",
						      t[i].annotations);
		struct bh_decoded *d = decode_ok(text);
		const struct bh_namespace *ns = &bh_decoded_fact(d)->ns;

		assert_int_equal(ns->mode, t[i].mode);
		assert_int_equal(ns->has_default_deny, t[i].has);
		assert_int_equal(ns->default_deny[BH_INGRESS], t[i].ingress);
		assert_int_equal(ns->default_deny[BH_EGRESS], t[i].egress);
		assert_contains(warnings(d), t[i].warning);
		if (!*t[i].warning)
			assert_string_equal(warnings(d), "");
		bh_decoded_free(&d);
	}
}

static void a_policy_in_audit_stays_there_even_if_it_is_invalid(void **state)
{
	struct bh_decoded *d =
		decode_ok("{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':"
			  "{'name':'a','annotations':{'bulkhead.dev/mode':'audit'}},'spec':[]}");

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
	assert_int_equal(policy_of(d)->mode, BH_AUDIT);
	bh_decoded_free(&d);
}

static void objects_beyond_the_limits_are_refused(void **state)
{
	json_t *deep = json_pack("{s:s,s:s,s:{s:s}}", "kind", "Pod", "apiVersion", "v1", "metadata",
				 "name", "a");
	json_t *many = json_deep_copy(deep), *list = json_array(), *at = deep;
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };
	int i;

	(void)state;
	for (i = 0; i < BH_OBJECT_MAX_DEPTH; i++) {
		json_t *inner = json_object();

		json_object_set_new(at, "x", inner);
		at = inner;
	}
	assert_err(bh_object_decode(deep, NULL, &d, &err), &err, -E2BIG, "deeper than 64");
	json_decref(deep);

	for (i = 0; i < BH_OBJECT_MAX_ITEMS; i++)
		json_array_append_new(list, json_true());
	json_object_set_new(many, "x", list);
	assert_err(bh_object_decode(many, NULL, &d, &err), &err, -E2BIG, "more than 100000");
	json_decref(many);
}

static int count(void *ctx, json_t *object)
{
	size_t *n = ctx;

	(*n)++;
	assert_string_equal(json_string_value(json_object_get(object, "kind")), "Pod");
	return 0;
}

static void lists_are_unpacked_with_the_kind_that_items_lack(void **state)
{
	static const struct {
		const char *json;
		size_t n;
	} t[] = {
		{ "{'kind':'Pod'}", 1 },
		{ "{'kind':'List','apiVersion':'v1','items':[{'kind':'Pod'},{'kind':'Pod'}]}", 2 },
		{ "{'kind':'PodList','apiVersion':'v1','items':[{},{},{}]}", 3 },
		{ "{'kind':'List','items':[{'kind':'PodList','items':[{}]},{'kind':'Pod'}]}", 2 },
	};
	size_t i, n;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		json_t *json = json_of(t[i].json);

		n = 0;
		assert_int_equal(bh_object_unpack(json, count, &n), 0);
		assert_int_equal(n, t[i].n);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_that_the_api_server_refuses_is_refused_in_its_words),
		cmocka_unit_test(an_invalid_policy_selects_what_it_says_or_its_whole_namespace),
		cmocka_unit_test(policy_types_follow_the_rules_where_they_are_missing),
		cmocka_unit_test(rules_of_a_direction_that_is_not_listed_have_no_effect),
		cmocka_unit_test(missing_and_empty_lists_of_peers_and_ports_are_everything),
		cmocka_unit_test(ports_have_their_defaults),
		cmocka_unit_test(peers_tell_own_namespace_from_all_namespaces),
		cmocka_unit_test(unknown_fields_of_the_api_are_warned_about_with_their_path),
		cmocka_unit_test(every_problem_after_the_first_is_a_warning),
		cmocka_unit_test(objects_that_are_not_valid_are_errors_with_their_name),
		cmocka_unit_test(kinds_that_policy_is_not_about_are_skipped),
		cmocka_unit_test(a_policy_of_a_removed_version_is_closed_and_says_how_to_migrate),
		cmocka_unit_test(a_pod_is_read_whole),
		cmocka_unit_test(a_mirror_has_the_uid_of_its_static_pod),
		cmocka_unit_test(a_policy_has_its_generation),
		cmocka_unit_test(a_pod_by_hand_needs_no_more_than_a_name_and_an_address),
		cmocka_unit_test(any_value_but_false_quarantines_a_pod),
		cmocka_unit_test(a_replica_set_of_its_own_is_the_workload),
		cmocka_unit_test(what_is_no_workload_owns_no_pods),
		cmocka_unit_test(a_node_has_the_addresses_that_are_ips),
		cmocka_unit_test(annotations_of_a_namespace_set_mode_and_default_deny),
		cmocka_unit_test(a_policy_in_audit_stays_there_even_if_it_is_invalid),
		cmocka_unit_test(objects_beyond_the_limits_are_refused),
		cmocka_unit_test(lists_are_unpacked_with_the_kind_that_items_lack),
	};

	return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
