#include "object_text.h"

#include <netinet/in.h>

#define SUBJECT "'subject':{'namespaces':{}}"
#define CNP     "ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2"
#define ANP     "AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1"
#define BANP    "BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1"

static struct bh_decoded *decode_named(const char *kind, const char *version, const char *name,
				       const char *spec)
{
	bh_auto_free char *text =
		bh_asprintf("{'apiVersion':'%s','kind':'%s','metadata':{'name':'%s'},'spec':%s}",
			    version, kind, name, spec);
	/* As the API server hands them out; manifests are in test_strict.c. */
	const struct bh_origin origin = { .source = BH_SOURCE_KUBE };
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	assert_ok(decode_as(text, &origin, &d, &err), &err);
	return d;
}

/* Everything that the kind requires is there beside @spec. */
static struct bh_decoded *decode_spec(const char *kind, const char *version, const char *spec)
{
	const char *head = strcmp(kind, "ClusterNetworkPolicy") == 0
				   ? "{'tier':'Admin','priority':10," SUBJECT ","
			   : strcmp(kind, "AdminNetworkPolicy") == 0 ? "{'priority':10," SUBJECT ","
								     : "{" SUBJECT ",";
	bh_auto_free char *whole = bh_asprintf("%s%s}", head, spec);

	return decode_named(kind, version, "default", whole);
}

static const struct bh_policy *policy_of(const struct bh_decoded *d)
{
	return &bh_decoded_fact(d)->policy;
}

static void the_three_kinds_have_their_tiers_and_priorities(void **state)
{
	static const struct {
		const char *kind, *version, *spec;
		enum bh_policy_kind want_kind;
		enum bh_tier tier;
		int priority;
	} t[] = {
		{ CNP, "{'tier':'Admin','priority':0," SUBJECT "}", BH_CLUSTER_NETWORK_POLICY,
		  BH_TIER_ADMIN, 0 },
		{ CNP, "{'tier':'Baseline','priority':1000," SUBJECT "}", BH_CLUSTER_NETWORK_POLICY,
		  BH_TIER_BASELINE, 1000 },
		{ ANP, "{'priority':7," SUBJECT "}", BH_ADMIN_NETWORK_POLICY, BH_TIER_ADMIN, 7 },
		{ BANP, "{" SUBJECT "}", BH_BASELINE_ADMIN_NETWORK_POLICY, BH_TIER_BASELINE, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_named(t[i].kind, t[i].version, "default", t[i].spec);
		const struct bh_policy *p = policy_of(d);

		assert_int_equal(bh_decoded_status(d), BH_DECODED);
		assert_string_equal(warnings(d), "");
		assert_int_equal(p->kind, t[i].want_kind);
		assert_int_equal(p->tier, t[i].tier);
		assert_int_equal(p->priority, t[i].priority);
		assert_string_equal(p->namespace, "");
		assert_true(p->has_namespaces);
		assert_false(p->isolates[BH_INGRESS] || p->isolates[BH_EGRESS]);
		bh_decoded_free(&d);
	}
}

static void a_subject_is_namespaces_or_pods(void **state)
{
	struct bh_decoded *d = decode_named(CNP, "a",
					    "{'tier':'Admin','priority':1,'subject':"
					    "{'namespaces':{'matchLabels':{'a':'b'}}}}");

	(void)state;
	assert_int_equal(policy_of(d)->namespaces.n_reqs, 1);
	assert_int_equal(policy_of(d)->pods.n_reqs, 0);
	bh_decoded_free(&d);
	d = decode_named(ANP, "a",
			 "{'priority':1,'subject':{'pods':{'namespaceSelector':{},'podSelector':"
			 "{'matchExpressions':[{'key':'x','operator':'Exists'}]}}}}");
	assert_int_equal(policy_of(d)->namespaces.n_reqs, 0);
	assert_int_equal(policy_of(d)->pods.reqs[0].op, BH_SEL_EXISTS);
	bh_decoded_free(&d);
}

static void rules_keep_order_names_and_actions(void **state)
{
	struct bh_decoded *d = decode_spec(
		CNP, "'ingress':[{'name':'one','action':'Pass','from':[{'namespaces':{}}]},"
		     "{'action':'Deny','from':[{'namespaces':{}}]},"
		     "{'name':'','action':'Accept','from':[{'namespaces':{}}]}]");
	const struct bh_rules *r = &policy_of(d)->rules[BH_INGRESS];

	(void)state;
	assert_int_equal(r->n, 3);
	assert_string_equal(r->items[0].name, "one");
	assert_int_equal(r->items[0].action, BH_PASS);
	assert_null(r->items[1].name);
	assert_int_equal(r->items[1].action, BH_DENY);
	assert_null(r->items[2].name);
	assert_int_equal(r->items[2].action, BH_ALLOW);
	assert_int_equal(policy_of(d)->rules[BH_EGRESS].n, 0);
	bh_decoded_free(&d);
}

static void peers_are_namespaces_pods_nodes_networks(void **state)
{
	struct bh_decoded *d =
		decode_spec(CNP, "'egress':[{'action':'Deny','to':["
				 "{'namespaces':{'matchLabels':{'a':'b'}}},"
				 "{'pods':{'podSelector':{'matchLabels':{'c':'d'}}}},"
				 "{'nodes':{'matchLabels':{'e':'f'}}},"
				 "{'networks':['10.0.0.0/8','fd00::/8','10.1.2.3/16']}]}]");
	const struct bh_rule *r = &policy_of(d)->rules[BH_EGRESS].items[0];
	char text[BH_CIDR_STRLEN];

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODED);
	assert_true(r->has_peers);
	assert_false(r->has_ports);
	assert_int_equal(r->n_peers, 6);
	assert_int_equal(r->peers[0].kind, BH_PEER_PODS);
	assert_true(r->peers[0].has_namespaces);
	assert_int_equal(r->peers[0].namespaces.n_reqs, 1);
	assert_int_equal(r->peers[0].pods.n_reqs, 0);
	assert_true(r->peers[1].has_namespaces);
	assert_int_equal(r->peers[1].namespaces.n_reqs, 0);
	assert_int_equal(r->peers[1].pods.n_reqs, 1);
	assert_int_equal(r->peers[2].kind, BH_PEER_NODES);
	assert_int_equal(r->peers[2].pods.n_reqs, 1);
	assert_int_equal(r->peers[3].kind, BH_PEER_CIDR);
	assert_string_equal(bh_cidr_format(&r->peers[4].cidr, text), "fd00::/8");
	assert_string_equal(bh_cidr_format(&r->peers[5].cidr, text), "10.1.0.0/16");
	assert_contains(warnings(d), "spec.egress[0].to[3].networks[2]: CIDR value \"10.1.2.3/16\" "
				     "is ambiguous");
	bh_decoded_free(&d);
}

static void ports_are_read_in_both_dialects(void **state)
{
	static const struct {
		const char *kind, *version, *list, *port;
		uint8_t protocol;
		const char *name;
		uint16_t first, last;
	} t[] = {
		{ CNP, "protocols", "{'tcp':{'destinationPort':{'number':80}}}", IPPROTO_TCP, NULL,
		  80, 80 },
		{ CNP, "protocols", "{'udp':{'destinationPort':{'number':53}}}", IPPROTO_UDP, NULL,
		  53, 53 },
		{ CNP, "protocols",
		  "{'sctp':{'destinationPort':{'range':{'start':1,'end':65535}}}}", IPPROTO_SCTP,
		  NULL, 1, 65535 },
		{ CNP, "protocols", "{'destinationNamedPort':'web'}", 0, "web", 0, 65535 },
		{ ANP, "ports", "{'portNumber':{'port':80}}", IPPROTO_TCP, NULL, 80, 80 },
		{ ANP, "ports", "{'portNumber':{'protocol':'UDP','port':53}}", IPPROTO_UDP, NULL,
		  53, 53 },
		{ ANP, "ports", "{'portRange':{'protocol':'SCTP','start':5,'end':9}}", IPPROTO_SCTP,
		  NULL, 5, 9 },
		{ ANP, "ports", "{'portRange':{'start':5,'end':5}}", IPPROTO_TCP, NULL, 5, 5 },
		{ ANP, "ports", "{'namedPort':'web'}", 0, "web", 0, 65535 },
		{ BANP, "ports", "{'namedPort':'web'}", 0, "web", 0, 65535 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *spec = bh_asprintf("'ingress':[{'action':'Deny','from':"
						      "[{'namespaces':{}}],'%s':[%s]}]",
						      t[i].list, t[i].port);
		struct bh_decoded *d = decode_spec(t[i].kind, t[i].version, spec);
		const struct bh_policy_port *p;

		if (bh_decoded_status(d) != BH_DECODED)
			fail_msg("%s: %s", spec, policy_of(d)->invalid);
		assert_string_equal(warnings(d), "");
		p = &policy_of(d)->rules[BH_INGRESS].items[0].ports[0];
		assert_int_equal(p->protocol, t[i].protocol);
		assert_int_equal(p->first, t[i].first);
		assert_int_equal(p->last, t[i].last);
		if (t[i].name)
			assert_string_equal(p->name, t[i].name);
		else
			assert_null(p->name);
		bh_decoded_free(&d);
	}
}

static void a_policy_that_the_api_server_refuses_is_closed_in_its_words(void **state)
{
	static const struct {
		const char *kind, *version, *spec, *want;
	} t[] = {
		{ CNP, "{'priority':1," SUBJECT "}", "spec.tier: Required value" },
		{ CNP, "{'tier':'admin','priority':1," SUBJECT "}",
		  "spec.tier: Unsupported value: \"admin\": supported values: \"Admin\", "
		  "\"Baseline\"" },
		{ CNP, "{'tier':'NetworkPolicy','priority':1," SUBJECT "}",
		  "spec.tier: Unsupported value: \"NetworkPolicy\"" },
		{ CNP, "{'tier':'Admin'," SUBJECT "}", "spec.priority: Required value" },
		{ CNP, "{'tier':'Admin','priority':-1," SUBJECT "}",
		  "spec.priority: Invalid value: -1: should be greater than or equal to 0" },
		{ ANP, "{'priority':1001," SUBJECT "}",
		  "spec.priority: Invalid value: 1001: should be less than or equal to 1000" },
		{ ANP, "{'priority':'1'," SUBJECT "}",
		  "spec.priority: Invalid value: must be a whole number, not a string" },
		{ ANP, "{'priority':1}", "spec.subject: Required value" },
		{ BANP, "{'subject':{}}",
		  "spec.subject: Invalid value: 0: should have at least 1 properties" },
		{ BANP, "{'subject':{'namespaces':null}}",
		  "spec.subject: Required value: "
		  "namespaces or pods" },
		{ BANP, "{'subject':{'nodes':{}}}",
		  "spec.subject: Required value: namespaces or "
		  "pods" },
		{ BANP,
		  "{'subject':{'namespaces':{},'pods':{'namespaceSelector':{},'podSelector':{}}}}",
		  "spec.subject: Too many: 2: must have at most 1 items" },
		{ BANP, "{'subject':{'namespaces':[]}}",
		  "spec.subject.namespaces: Invalid value: must be an object, not a list" },
		{ BANP, "{'subject':{'pods':{'podSelector':{}}}}",
		  "spec.subject.pods.namespaceSelector: Required value" },
		{ CNP, "{'tier':'Admin','priority':1,'subject':{'pods':{'namespaceSelector':{}}}}",
		  "spec.subject.pods.podSelector: Required value" },
		{ BANP,
		  "{'subject':{'namespaces':{'matchExpressions':[{'key':'a','operator':'Is'}]}}}",
		  "spec.subject.namespaces.matchExpressions[0].operator: Invalid value: \"Is\": "
		  "not a valid selector operator" },
		{ ANP, "[]", "spec: Invalid value: must be an object, not a list" },
		{ ANP, "null", "spec: Required value" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_named(t[i].kind, t[i].version, "default", t[i].spec);
		const struct bh_policy *p = policy_of(d);

		assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
		assert_contains(p->invalid, t[i].want);
		assert_true(p->isolates[BH_INGRESS] && p->isolates[BH_EGRESS]);
		assert_int_equal(p->rules[BH_INGRESS].n + p->rules[BH_EGRESS].n, 0);
		bh_decoded_free(&d);
	}
}

#define FROM "'from':[{'namespaces':{}}]"
#define TO   "'to':[{'namespaces':{}}]"

static void a_rule_that_the_api_server_refuses_closes_the_policy(void **state)
{
	static const struct {
		const char *kind, *version, *rules, *want;
	} t[] = {
		{ CNP, "'ingress':[{" FROM "}]", "spec.ingress[0].action: Required value" },
		{ CNP, "'ingress':[{'action':'Allow'," FROM "}]",
		  "spec.ingress[0].action: Unsupported value: \"Allow\": supported values: "
		  "\"Accept\", \"Deny\", \"Pass\"" },
		{ ANP, "'ingress':[{'action':'Accept'," FROM "}]",
		  "supported values: \"Allow\", \"Deny\", \"Pass\"" },
		{ BANP, "'egress':[{'action':'Pass'," TO "}]",
		  "spec.egress[0].action: Unsupported value: \"Pass\": supported values: "
		  "\"Allow\", \"Deny\"" },
		{ CNP, "'ingress':[{'action':'Deny'}]", "spec.ingress[0].from: Required value" },
		{ CNP, "'egress':[{'action':'Deny','to':[]}]",
		  "spec.egress[0].to: Invalid value: 0: should have at least 1 items" },
		{ CNP, "'egress':[{'action':'Deny','to':[{}]}]",
		  "spec.egress[0].to[0]: Invalid value: 0: should have at least 1 properties" },
		{ CNP, "'egress':[{'action':'Deny','to':[null]}]",
		  "spec.egress[0].to[0]: Required value" },
		{ CNP, "'egress':[{'action':'Deny','to':[{'nodes':{},'networks':['::/0']}]}]",
		  "spec.egress[0].to[0]: Too many: 2: must have at most 1 items" },
		{ CNP, "'egress':[{'action':'Deny','to':[{'networks':[]}]}]",
		  "spec.egress[0].to[0].networks: Invalid value: 0: should have at least 1 "
		  "items" },
		{ CNP, "'egress':[{'action':'Deny','to':[{'networks':['10.0.0.0']}]}]",
		  "spec.egress[0].to[0].networks[0]: Invalid value: \"10.0.0.0\": Invalid CIDR "
		  "format provided" },
		{ CNP, "'egress':[{'action':'Deny','to':[{'networks':['::/0','::/0']}]}]",
		  "spec.egress[0].to[0].networks[1]: Duplicate value: \"::/0\"" },
		{ ANP, "'egress':[{'action':'Allow','to':[{'domainNames':['com']}]}]",
		  "spec.egress[0].to[0].domainNames[0]: Invalid value: \"com\": must be a domain "
		  "name of two labels at least" },
		{ ANP, "'egress':[{'action':'Allow','to':[{'domainNames':['a.*.com']}]}]",
		  "spec.egress[0].to[0].domainNames[0]: Invalid value: \"a.*.com\": must be a "
		  "domain name" },
		{ ANP, "'egress':[{'action':'Allow','to':[{'domainNames':['a..com']}]}]",
		  "Invalid value: \"a..com\"" },
		{ ANP, "'egress':[{'action':'Allow','to':[{'domainNames':[null]}]}]",
		  "spec.egress[0].to[0].domainNames[0]: Invalid value: \"\": must be a domain" },
		{ CNP,
		  "'egress':[{'action':'Deny','to':[{'networks':['::/0']}],'protocols':["
		  "{'destinationNamedPort':'web'}]}]",
		  "spec.egress[0]: Invalid value: \"object\": networks/nodes/domainNames peer "
		  "cannot be set with namedPorts since there are no namedPorts for "
		  "networks/nodes/domainNames" },
		{ ANP,
		  "'egress':[{'action':'Deny','to':[{'nodes':{}}],'ports':[{'portNumber':"
		  "{'port':1}},{'namedPort':'web'}]}]",
		  "spec.egress[0]: Invalid value: \"object\": networks/nodes/domainNames peer" },
		{ CNP, "'ingress':[{'action':'Deny'," FROM ",'protocols':[]}]",
		  "spec.ingress[0].protocols: Invalid value: 0: should have at least 1 items" },
		{ CNP, "'ingress':[{'action':'Deny'," FROM ",'protocols':[{}]}]",
		  "spec.ingress[0].protocols[0]: Invalid value: 0: should have at least 1 "
		  "properties" },
		{ CNP, "'ingress':[{'action':'Deny'," FROM ",'protocols':[{'tcp':{}}]}]",
		  "spec.ingress[0].protocols[0].tcp: Invalid value: 0: should have at least 1 "
		  "properties" },
		{ CNP,
		  "'ingress':[{'action':'Deny'," FROM ",'protocols':[{'tcp':{'destinationPort':"
		  "{'number':0}}}]}]",
		  "spec.ingress[0].protocols[0].tcp.destinationPort.number: Invalid value: 0: "
		  "should be greater than or equal to 1" },
		{ CNP,
		  "'ingress':[{'action':'Deny'," FROM ",'protocols':[{'tcp':{'destinationPort':"
		  "{'range':{'start':80,'end':80}}}}]}]",
		  "spec.ingress[0].protocols[0].tcp.destinationPort.range: Invalid value: Start "
		  "port must be less than End port" },
		{ CNP,
		  "'ingress':[{'action':'Deny'," FROM ",'protocols':[{'tcp':{'destinationPort':"
		  "{'number':1,'range':{'start':80,'end':81}}}}]}]",
		  "destinationPort: Too many: 2: must have at most 1 items" },
		{ CNP,
		  "'ingress':[{'action':'Deny'," FROM ",'protocols':[{'udp':{'destinationPort':"
		  "{'range':{'start':80}}}}]}]",
		  "range.end: Required value" },
		{ CNP,
		  "'ingress':[{'action':'Deny'," FROM
		  ",'protocols':[{'destinationNamedPort':''}]}]",
		  "spec.ingress[0].protocols[0].destinationNamedPort: Required value" },
		{ ANP, "'ingress':[{'action':'Deny'," FROM ",'ports':[{'portNumber':{}}]}]",
		  "spec.ingress[0].ports[0].portNumber.port: Required value" },
		{ ANP,
		  "'ingress':[{'action':'Deny'," FROM ",'ports':[{'portNumber':{'port':65536}}]}]",
		  "spec.ingress[0].ports[0].portNumber.port: Invalid value: 65536: should be less "
		  "than or equal to 65535" },
		{ ANP,
		  "'ingress':[{'action':'Deny'," FROM ",'ports':[{'portNumber':{'protocol':"
		  "'ICMP','port':1}}]}]",
		  "spec.ingress[0].ports[0].portNumber.protocol: Unsupported value: \"ICMP\"" },
		{ ANP,
		  "'ingress':[{'action':'Deny'," FROM ",'ports':[{'portRange':{'start':9,"
		  "'end':5}}]}]",
		  "spec.ingress[0].ports[0].portRange: Invalid value: Start port must be less than "
		  "End port" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_spec(t[i].kind, t[i].version, t[i].rules);
		const struct bh_policy *p = policy_of(d);

		if (bh_decoded_status(d) != BH_DECODE_INVALID)
			fail_msg("accepted: %s", t[i].rules);
		assert_contains(p->invalid, t[i].want);
		assert_int_equal(p->rules[BH_INGRESS].n + p->rules[BH_EGRESS].n, 0);
		bh_decoded_free(&d);
	}
}

static void lists_have_the_lengths_of_their_version(void **state)
{
	static const struct {
		const char *kind, *version, *peers;
		size_t max;
	} t[] = {
		{ CNP, "from", 25 },
		{ ANP, "from", 100 },
		{ BANP, "from", 100 },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		for (k = 0; k < 2; k++) {
			bh_auto(bh_buf_done) struct bh_buf peers = { 0 }, rules = { 0 };
			bh_auto_free char *want =
				bh_asprintf("Too many: %zu: must have at most %zu items",
					    t[i].max + 1, t[i].max);
			struct bh_decoded *d;
			size_t n;

			for (n = 0; n < t[i].max + k; n++)
				bh_buf_printf(&peers, "%s{'namespaces':{}}", n ? "," : "");
			bh_buf_printf(&rules, "'ingress':[{'action':'Deny','from':[%s]}]",
				      bh_buf_str(&peers));
			d = decode_spec(t[i].kind, t[i].version, bh_buf_str(&rules));
			assert_int_equal(bh_decoded_status(d), k ? BH_DECODE_INVALID : BH_DECODED);
			if (k)
				assert_contains(policy_of(d)->invalid, want);
			bh_decoded_free(&d);
		}
	}
}

/* Semantics 52: what a newer version may mean by it is not known. */
static void what_a_rule_says_beyond_this_version_closes_the_rule(void **state)
{
	static const struct {
		const char *kind, *version, *rule;
		bool is_accept;
	} t[] = {
		{ CNP, "{'action':'Accept','to':[{'fancy':{}}]}", true },
		{ CNP, "{'action':'Accept','to':[{'namespaces':{}},{'fancy':{}}]}", true },
		{ CNP, "{'action':'Deny','to':[{'fancy':{}}]}", false },
		{ CNP, "{'action':'Pass','to':[{'namespaces':{}},{'fancy':{}}]}", false },
		{ CNP, "{'action':'Accept'," TO ",'ports':[{'portNumber':{'port':80}}]}", true },
		{ CNP, "{'action':'Accept'," TO ",'protocols':[{'icmp':{}}]}", true },
		{ CNP, "{'action':'Deny'," TO ",'protocols':[{'tcp':{'flags':1}}]}", false },
		{ CNP,
		  "{'action':'Pass'," TO ",'protocols':[{'tcp':{'destinationPort':{'name':'x'}}}]}",
		  false },
		{ ANP,
		  "{'action':'Allow','to':[{'pods':{'namespaceSelector':{},'podSelector':{},"
		  "'x':1}}]}",
		  true },
		{ ANP, "{'action':'Allow','to':[{'namespaces':{'matchlabels':{'a':'b'}}}]}", true },
		{ BANP, "{'action':'Deny','to':[{'domainNames':['a.example']}]}", false },
		{ BANP, "{'action':'Allow'," TO ",'ports':[{'portNumber':{'port':1,'x':2}}]}",
		  true },
		{ CNP, "{'action':'Deny','to':[{'domainNames':['a.example']}]}", false },
		{ ANP, "{'action':'Pass','to':[{'domainNames':['a.example']}]}", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *spec = bh_asprintf("'egress':[%s]", t[i].rule);
		struct bh_decoded *d = decode_spec(t[i].kind, t[i].version, spec);
		const struct bh_rule *r;

		if (bh_decoded_status(d) != BH_DECODED)
			fail_msg("%s: %s", spec, policy_of(d)->invalid);
		r = &policy_of(d)->rules[BH_EGRESS].items[0];
		assert_int_equal(r->action, t[i].is_accept ? BH_ALLOW : BH_DENY);
		assert_false(r->has_ports);
		assert_int_equal(r->has_peers, t[i].is_accept);
		if (t[i].is_accept) {
			assert_int_equal(r->n_peers, 1);
			assert_int_equal(r->peers[0].kind, BH_PEER_NOTHING);
		}
		assert_contains(warnings(d), t[i].is_accept ? "rule it matches nothing"
							    : "rule it denies everything");
		bh_decoded_free(&d);
	}
}

static void domain_names_are_read_and_match_nothing(void **state)
{
	struct bh_decoded *d = decode_spec(
		CNP, "'egress':[{'action':'Accept','to':[{'namespaces':{}},{'domainNames':"
		     "['www.example.com','*.example.com.','a_b.c']}]}]");
	const struct bh_rule *r = &policy_of(d)->rules[BH_EGRESS].items[0];

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODED);
	assert_int_equal(r->n_peers, 2);
	assert_int_equal(r->peers[0].kind, BH_PEER_PODS);
	assert_int_equal(r->peers[1].kind, BH_PEER_NOTHING);
	assert_string_equal(warnings(d), "spec.egress[0].to[1].domainNames: this version does not "
					 "resolve names: the peer matches nothing\n");
	bh_decoded_free(&d);
}

static void ingress_peers_are_pods_only(void **state)
{
	static const char *const peers[] = { "nodes", "networks", "domainNames" };
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(peers); i++) {
		bh_auto_free char *spec = bh_asprintf(
			"'ingress':[{'action':'Accept','from':[{'%s':['::/0']}]}]", peers[i]);
		bh_auto_free char *want =
			bh_asprintf("unknown field \"spec.ingress[0].from[0].%s\"\n", peers[i]);
		struct bh_decoded *d = decode_spec(CNP, spec);

		assert_int_equal(policy_of(d)->rules[BH_INGRESS].items[0].peers[0].kind,
				 BH_PEER_NOTHING);
		assert_contains(warnings(d), want);
		bh_decoded_free(&d);
	}
}

static void a_name_that_no_port_can_have_is_warned_about(void **state)
{
	struct bh_decoded *d = decode_spec(CNP, "'ingress':[{'action':'Deny'," FROM ",'protocols':"
						"[{'destinationNamedPort':'HTTP'}]}]");

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODED);
	assert_contains(warnings(d), "spec.ingress[0].protocols[0].destinationNamedPort: no "
				     "container has a port of this name, it matches nothing: must "
				     "contain only");
	bh_decoded_free(&d);
}

static void rule_names_have_100_bytes(void **state)
{
	char name[102];
	size_t len;

	(void)state;
	for (len = 100; len <= 101; len++) {
		bh_auto_free char *spec = NULL;
		struct bh_decoded *d;

		memset(name, 'x', len);
		name[len] = '\0';
		spec = bh_asprintf("'ingress':[{'name':'%s','action':'Deny'," FROM "}]", name);
		d = decode_spec(CNP, spec);
		if (len == 100)
			assert_int_equal(bh_decoded_status(d), BH_DECODED);
		else
			assert_contains(policy_of(d)->invalid, "spec.ingress[0].name: Too long: "
							       "may not be more than 100 bytes");
		bh_decoded_free(&d);
	}
}

static void there_is_one_baseline_and_it_is_called_default(void **state)
{
	struct bh_decoded *d = decode_named(BANP, "other", "{" SUBJECT "}");

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
	assert_string_equal(policy_of(d)->invalid,
			    "metadata.name: Invalid value: \"other\": Only one baseline admin "
			    "network policy with metadata.name=\"default\" can be created in the "
			    "cluster");
	bh_decoded_free(&d);
}

static void each_kind_has_one_version(void **state)
{
	static const struct {
		const char *kind, *version, *want;
	} t[] = {
		{ "ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha1",
		  "apiVersion: Unsupported value: \"policy.networking.k8s.io/v1alpha1\": "
		  "ClusterNetworkPolicy is served as policy.networking.k8s.io/v1alpha2 only" },
		{ "AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha2",
		  "AdminNetworkPolicy is served as policy.networking.k8s.io/v1alpha1 only" },
		{ "BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1",
		  "BaselineAdminNetworkPolicy is served as policy.networking.k8s.io/v1alpha1 "
		  "only" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_spec(t[i].kind, t[i].version, "'ingress':[]");

		assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
		assert_contains(policy_of(d)->invalid, t[i].want);
		bh_decoded_free(&d);
	}
}

static void an_invalid_policy_selects_what_it_says_or_every_pod(void **state)
{
	static const struct {
		const char *subject;
		size_t n_namespaces, n_pods;
	} t[] = {
		{ "{'namespaces':{'matchLabels':{'a':'b'}}}", 1, 0 },
		{ "{'pods':{'namespaceSelector':{'matchLabels':{'a':'b'}},'podSelector':"
		  "{'matchLabels':{'a':'b'}}}}",
		  1, 1 },
		{ "{'pods':{'namespaceSelector':{'matchLabels':{'a':'b'}},'podSelector':"
		  "{'matchLabels':{'a':'-'}}}}",
		  0, 0 },
		{ "{'namespaces':7}", 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *spec = bh_asprintf("{'priority':-1,'subject':%s}", t[i].subject);
		struct bh_decoded *d = decode_named(ANP, "a", spec);
		const struct bh_policy *p = policy_of(d);

		assert_int_equal(bh_decoded_status(d), BH_DECODE_INVALID);
		assert_true(p->has_namespaces);
		assert_int_equal(p->namespaces.n_reqs, t[i].n_namespaces);
		assert_int_equal(p->pods.n_reqs, t[i].n_pods);
		bh_decoded_free(&d);
	}
}

static void the_mode_annotation_works_as_on_network_policies(void **state)
{
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(decode_as("{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':"
			    "'ClusterNetworkPolicy','metadata':{'name':'a.b','annotations':"
			    "{'bulkhead.dev/mode':'audit','bulkhead.dev/default-deny':'both'}},"
			    "'spec':{'tier':'Admin','priority':1," SUBJECT "}}",
			    NULL, &d, &err),
		  &err);
	assert_int_equal(policy_of(d)->mode, BH_AUDIT);
	assert_string_equal(bh_decoded_subject(d), "ClusterNetworkPolicy a.b");
	assert_contains(warnings(d), "this kind has no such annotation");
	bh_decoded_free(&d);
	assert_ok(decode_as("{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':"
			    "'ClusterNetworkPolicy','metadata':{'name':'a','namespace':'b'},"
			    "'spec':{'tier':'Admin','priority':1," SUBJECT "}}",
			    NULL, &d, &err),
		  &err);
	assert_contains(policy_of(d)->invalid,
			"metadata.namespace: Forbidden: not allowed on this type");
	bh_decoded_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_kinds_have_their_tiers_and_priorities),
		cmocka_unit_test(a_subject_is_namespaces_or_pods),
		cmocka_unit_test(rules_keep_order_names_and_actions),
		cmocka_unit_test(peers_are_namespaces_pods_nodes_networks),
		cmocka_unit_test(ports_are_read_in_both_dialects),
		cmocka_unit_test(a_policy_that_the_api_server_refuses_is_closed_in_its_words),
		cmocka_unit_test(a_rule_that_the_api_server_refuses_closes_the_policy),
		cmocka_unit_test(lists_have_the_lengths_of_their_version),
		cmocka_unit_test(what_a_rule_says_beyond_this_version_closes_the_rule),
		cmocka_unit_test(domain_names_are_read_and_match_nothing),
		cmocka_unit_test(ingress_peers_are_pods_only),
		cmocka_unit_test(a_name_that_no_port_can_have_is_warned_about),
		cmocka_unit_test(rule_names_have_100_bytes),
		cmocka_unit_test(there_is_one_baseline_and_it_is_called_default),
		cmocka_unit_test(each_kind_has_one_version),
		cmocka_unit_test(an_invalid_policy_selects_what_it_says_or_every_pod),
		cmocka_unit_test(the_mode_annotation_works_as_on_network_policies),
	};

	return cmocka_run_group_tests_name("cluster policy", tests, NULL, NULL);
}
