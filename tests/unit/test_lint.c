/*
 * Lint: each check finds what it is for, and nothing that only looks like it.
 */
#include "test.h"

#include <errno.h>

#include "sim_objects.h"
#include "sim_text.h"

#define SHOP NS("shop", "") POD("shop", "web", "app: web", PORT("http", "8080"))
#define DB   POD("shop", "db", "app: db", "")
#define MON  NS("mon", "team: ops") POD("mon", "prom", "app: prom", "")
#define DNS  NS("kube-system", "") POD("kube-system", "dns", "k8s-app: kube-dns", PORT("dns", "53"))

#define ALLOW(ports) "podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [" ports "]}]"
#define FROM(peers)  "podSelector: {}, policyTypes: [Ingress], ingress: [{from: [" peers "]}]"
#define TO(peers)    "podSelector: {}, policyTypes: [Egress], egress: [{to: [" peers "]}]"
#define BOTH(in, out)                                                                              \
	"podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{ports: [{port: " in           \
	"}]}], egress: [{ports: [{port: " out "}]}]"
#define APP(value)         "{podSelector: {matchLabels: {app: " value "}}}"
#define SPACE(team)        "{namespaceSelector: {matchLabels: {team: " team "}}}"
#define DNS_RULE(protocol) "{ports: [{port: 53, protocol: " protocol "}]}"

#define CLUSTER(version, kind, name, priority, tier)                                               \
	"---\n{apiVersion: policy.networking.k8s.io/" version ", kind: " kind                      \
	", metadata: {name: " name "}, spec: {" tier "priority: " priority                         \
	", subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}}\n"
#define ADMIN(name, priority)                                                                      \
	CLUSTER("v1alpha2", "ClusterNetworkPolicy", name, priority, "tier: Admin, ")

#define FROM_PODS(name, priority, action, labels)                                                  \
	"---\n{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, "        \
	"metadata: {name: " name "}, spec: {tier: Admin, priority: " priority                      \
	", subject: {namespaces: {}}, ingress: [{action: " action                                  \
	", from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {" labels              \
	"}}}}]}]}}\n"

static const struct row {
	const char *check;
	const char *world;  /* has it */
	const char *almost; /* does not */
	const char *part;   /* of the text */
} rows[] = {
	{ "unknown-namespace", SHOP POLICY("shpo", "a", "podSelector: {}"),
	  SHOP POLICY("shop", "a", "podSelector: {}"), "called shpo" },
	/* A pod lives there: the Namespace was left out of the input only. */
	{ "unknown-namespace", SHOP POLICY("else", "a", "podSelector: {}"),
	  SHOP POD("else", "x", "", "") POLICY("else", "a", "podSelector: {}"), "else" },
	{ "selects-no-pod", SHOP POLICY("shop", "a", "podSelector: {matchLabels: {app: wbe}}"),
	  SHOP POLICY("shop", "a", "podSelector: {matchLabels: {app: web}}"), "app=wbe" },
	{ "selects-no-pod", SHOP MON POLICY("shop", "a", "podSelector: {matchLabels: {app: prom}}"),
	  SHOP POD("shop", "net", "app: net", "hostNetwork: true")
		  POLICY("shop", "a", "podSelector: {matchLabels: {app: net}}"),
	  "app=prom" },
	{ "host-network-selected",
	  SHOP POD("shop", "net", "app: net", "hostNetwork: true")
		  POLICY("shop", "a", "podSelector: {matchLabels: {app: net}}"),
	  SHOP POD("shop", "net", "app: net", "hostNetwork: true")
		  POLICY("shop", "a", "podSelector: {}"),
	  "shop/net" },
	{ "no-workloads", NS("shop", "") POLICY("shop", "a", "podSelector: {}"),
	  SHOP POLICY("shop", "a", "podSelector: {}"), "no pods" },

	{ "peer-matches-nothing", SHOP POLICY("shop", "a", FROM(APP("dbb"))),
	  SHOP DB POLICY("shop", "a", FROM(APP("db"))), "app=dbb" },
	{ "peer-namespace-unknown", SHOP MON POLICY("shop", "a", FROM(SPACE("opps"))),
	  SHOP MON POLICY("shop", "a", FROM(SPACE("ops"))), "team=opps" },
	{ "peer-or-for-and", SHOP MON POLICY("shop", "a", FROM(SPACE("ops") ", " APP("prom"))),
	  SHOP MON POLICY("shop", "a", FROM(SPACE("ops") ", " APP("web"))), "app=prom" },
	{ "peer-and-for-or",
	  SHOP MON POLICY("shop", "a",
			  FROM("{namespaceSelector: {matchLabels: {team: ops}}, podSelector: "
			       "{matchLabels: {app: web}}}")),
	  SHOP MON POLICY("shop", "a",
			  FROM("{namespaceSelector: {matchLabels: {team: ops}}, podSelector: "
			       "{matchLabels: {app: prom}}}")),
	  "app=web" },
	{ "host-network-peer",
	  SHOP POD("shop", "net", "app: net", "hostNetwork: true")
		  POLICY("shop", "a", FROM(APP("net"))),
	  SHOP POD("shop", "net", "app: net", "hostNetwork: true")
		  POLICY("shop", "a", FROM("{podSelector: {}}")),
	  "shop/net" },

	{ "named-port-unknown", SHOP POLICY("shop", "a", ALLOW("{port: htpp}")),
	  SHOP DB POLICY("shop", "a", ALLOW("{port: http}")), "htpp" },
	{ "named-port-unknown", SHOP POLICY("shop", "a", ALLOW("{port: http, protocol: UDP}")),
	  SHOP POLICY("shop", "a", ALLOW("{port: http, protocol: TCP}")),
	  "shop/web has it as TCP" },
	/* In egress the name is that of the other end. */
	{ "named-port-unknown",
	  SHOP DB POLICY("shop", "a",
			 "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: "
			 "[{to: [" APP("db") "], ports: [{port: http}]}]"),
	  SHOP DB POLICY("shop", "a",
			 "podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: "
			 "[{to: [" APP("web") "], ports: [{port: http}]}]"),
	  "among the destinations" },
	{ "named-port-ip-block",
	  SHOP POLICY("shop", "a",
		      "podSelector: {}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: "
		      "10.0.0.0/8}}], ports: [{port: http}]}]"),
	  SHOP POLICY("shop", "a",
		      "podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{ipBlock: "
		      "{cidr: 10.0.0.0/8}}], ports: [{port: http}]}]"),
	  "http" },
#define SERVICE(target)                                                                            \
	"---\n{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web}, spec: "      \
	"{selector: {app: web}, ports: [{port: 80, targetPort: " target "}]}}\n"
	{ "service-port", SHOP SERVICE("http") POLICY("shop", "a", ALLOW("{port: 80}")),
	  SHOP SERVICE("http") POLICY("shop", "a", ALLOW("{port: 80}, {port: 8080}")),
	  "which is 8080" },
	{ "service-port", SHOP SERVICE("8080") POLICY("shop", "a", ALLOW("{port: 80}")),
	  SHOP SERVICE("80") POLICY("shop", "a", ALLOW("{port: 80}")), "Service shop/web" },

	{ "except-leaves-nothing",
	  SHOP POLICY("shop", "a",
		      FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [10.128.0.0/9, 10.0.0.0/9]}}")),
	  SHOP POLICY("shop", "a",
		      FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [10.128.0.0/9, 10.0.0.0/10]}}")),
	  "10.0.0.0/8" },
	{ "ip-block-of-pods",
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: 10.0.0.0/8}}")),
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}")),
	  "shop/web" },
	/* An address that bulkhead made up says nothing. */
	{ "ip-block-of-pods",
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: 0.0.0.0/0}}")),
	  SHOP POLICY("shop", "a", FROM("{ipBlock: {cidr: 0.0.0.0/0}}")), "1 pod," },
	{ "one-family",
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}, {ip: 'fd00::3'}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: 0.0.0.0/0}}")),
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}, {ip: 'fd00::3'}") POLICY(
		  "shop", "a", FROM("{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}")),
	  "IPv4 only" },
	{ "one-family",
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}, {ip: 'fd00::3'}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: '::/0'}}")),
	  POD_AT("shop", "web", "", "{ip: 10.1.2.3}")
		  POLICY("shop", "a", FROM("{ipBlock: {cidr: 0.0.0.0/0}}")),
	  "IPv6 only" },

	{ "ingress-closed-by-default", SHOP POLICY("shop", "a", "podSelector: {}, egress: [{}]"),
	  SHOP POLICY("shop", "a", "podSelector: {}, policyTypes: [Ingress, Egress], egress: [{}]"),
	  "shop/web" },
	/* Who else closes it has the pod closed on purpose. */
	{ "ingress-closed-by-default",
	  SHOP POLICY("shop", "a", "podSelector: {}, egress: [{}]")
		  POLICY("shop", "b", "podSelector: {matchLabels: {app: db}}"),
	  SHOP POLICY("shop", "a", "podSelector: {}, egress: [{}]")
		  POLICY("shop", "b", "podSelector: {}"),
	  "ingress" },
	{ "egress-closed-whole",
	  SHOP POLICY("shop", "a",
		      "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]"),
	  SHOP POLICY("shop", "a", "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]")
		  POLICY("shop", "b", "podSelector: {}, policyTypes: [Egress], egress: [{}]"),
	  "shop/web" },
	{ "open-rule", SHOP POLICY("shop", "a", "podSelector: {}, ingress: [{}]"),
	  SHOP POLICY("shop", "a", ALLOW("{protocol: TCP}")), "ingress rule 0 allows everything" },
	{ "rules-without-effect",
	  SHOP POLICY("shop", "a", "podSelector: {}, policyTypes: [Ingress], egress: [{}]"),
	  SHOP POLICY("shop", "a", "podSelector: {}, policyTypes: [Egress], egress: [{}]"),
	  "spec.egress" },

	{ "invalid-object", SHOP POLICY("shop", "a", ALLOW("{port: 0}")),
	  SHOP POLICY("shop", "a", ALLOW("{port: 1}")), "between 1 and 65535" },
	{ "except-outside-cidr",
	  SHOP POLICY("shop", "a", FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [11.0.0.0/16]}}")),
	  SHOP POLICY("shop", "a", FROM("{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/16]}}")),
	  "strict subset" },
	{ "questionable-field",
	  SHOP POLICY("shop", "a", "podSelector: {}, ingress: [{from: null}]"),
	  SHOP POLICY("shop", "a", "podSelector: {}, ingress: []"), "all peers" },
	{ "invalid-object", SHOP POLICY("shop", "a", "podSelector: {}, ingres: []"),
	  SHOP POLICY("shop", "a", "podSelector: {}, ingress: []"), "did you mean" },
	{ "duplicate-name",
	  SHOP POLICY("shop", "a", "podSelector: {}") POLICY("shop", "a", "podSelector: {}"),
	  SHOP POLICY("shop", "a", "podSelector: {}") POLICY("shop", "b", "podSelector: {}"),
	  "test.yaml:6" },
	{ "sctp", SHOP POLICY("shop", "a", ALLOW("{port: 1, protocol: SCTP}")),
	  SHOP POLICY("shop", "a", ALLOW("{port: 1, protocol: UDP}")), "SCTP" },

	{ "dns-cut-off", SHOP DB POLICY("shop", "a", TO(APP("db") "], ports: [{port: 5432}")),
	  SHOP DB POLICY("shop", "a", TO(APP("db") "], ports: [{port: 5432}"))
		  POLICY("shop", "b",
			 "podSelector: {}, policyTypes: [Egress], egress: [" DNS_RULE("UDP") "]"),
	  "shop/db" },
	/* To the servers of the input, not to just anybody's port 53. */
	{ "dns-cut-off", SHOP DB DNS POLICY("shop", "a", TO(APP("db"))),
	  SHOP DB DNS POLICY("shop", "a", TO(APP("db") ", {namespaceSelector: {}}")), "shop/db" },
	/* Who may talk to nobody needs no names. */
	{ "dns-cut-off", SHOP DNS POLICY("shop", "a", TO(APP("web"))),
	  SHOP DNS POLICY("shop", "a", "podSelector: {}, policyTypes: [Egress]"), "shop/web" },
	{ "dns-udp-only",
	  SHOP POLICY("shop", "a",
		      "podSelector: {}, policyTypes: [Egress], egress: [" DNS_RULE("UDP") "]"),
	  SHOP POLICY("shop", "a",
		      "podSelector: {}, policyTypes: [Egress], egress: [" DNS_RULE(
			      "UDP") ", " DNS_RULE("TCP") "]"),
	  "over UDP only" },

	{ "alpha-api", SHOP ADMIN("a", "1"), SHOP POLICY("shop", "a", "podSelector: {}"),
	  "alpha API" },
	{ "alpha-api", SHOP CLUSTER("v1alpha1", "AdminNetworkPolicy", "a", "1", ""), SHOP,
	  "given up" },
	{ "equal-priority", SHOP ADMIN("a", "1") ADMIN("b", "1"),
	  SHOP ADMIN("a", "1") ADMIN("b", "2"), "ClusterNetworkPolicy a has" },
	{ "redundant", SHOP ADMIN("a", "1") ADMIN("b", "2"), SHOP ADMIN("a", "1"),
	  "comes out the same" },
	/* The one that comes last is told. */
	{ "redundant",
	  SHOP POLICY("shop", "a", ALLOW("{port: 80}")) POLICY("shop", "b", ALLOW("{port: 80}")),
	  SHOP POLICY("shop", "a", ALLOW("{port: 80}")) POLICY("shop", "b", ALLOW("{port: 81}")),
	  "changes nothing" },
	{ "redundant",
	  SHOP DB POLICY("shop", "a",
			 "podSelector: {}, ingress: [{from: [" APP(
				 "web") "]}, {from: [{podSelector: {}}]}]"),
	  SHOP DB POLICY(
		  "shop", "a",
		  "podSelector: {}, ingress: [{from: [" APP("web") "]}, {from: [" APP("db") "]}]"),
	  "ingress rule 0 changes nothing, whatever pods there will be: a rule of NetworkPolicy "
	  "shop/a" },
	/* What is found in one direction stays out while the other is looked at. */
	{ "redundant",
	  SHOP POLICY("shop", "a", BOTH("80", "1")) POLICY("shop", "b", BOTH("80", "2")),
	  SHOP POLICY("shop", "a", BOTH("80", "1")) POLICY("shop", "b", BOTH("81", "2")),
	  "changes nothing" },
	/* Today every pod has both labels; one to come may not. */
	{ "redundant",
	  NS("shop", "") POD("shop", "web", "app: web, tier: a", "")
		  POLICY("shop", "a",
			 "podSelector: {}, ingress: [{from: [" APP("web") "]}, {from: [" APP(
				 "web") "], ports: [{port: 1}]}]"),
	  NS("shop", "") POD("shop", "web", "app: web, tier: a", "")
		  POLICY("shop", "a",
			 "podSelector: {}, ingress: [{from: [" APP(
				 "web") "]}, {from: [{podSelector: {matchLabels: {tier: a}}}], "
					"ports: [{port: 1}]}]"),
	  "ingress rule 1" },
	/* Pods to come may be several of a kind. */
	{ "redundant",
	  SHOP POLICY("shop", "a",
		      "podSelector: {matchLabels: {app: db}}, ingress: [{from: [" APP(
			      "db") "]}, {from: [" APP("db") "], ports: [{port: 1}]}]"),
	  SHOP POLICY("shop", "a",
		      "podSelector: {matchLabels: {app: db}}, ingress: [{from: [" APP("db") "]}]"),
	  "ingress rule 1" },
	/* Where tiers let some pods pass, one to come may have the labels of several rules. */
	{ "redundant",
	  SHOP DB FROM_PODS("a", "1", "Pass", "tier: x") FROM_PODS("b", "2", "Deny", "app: web")
		  POLICY("shop", "c",
			 "podSelector: {matchLabels: {app: db}}, ingress: [{from: [" APP(
				 "web") "]}]"),
	  NS("shop", "") POD("shop", "web", "app: web, tier: x", "")
		  DB FROM_PODS("a", "1", "Pass", "tier: x") FROM_PODS("b", "2", "Deny", "app: web")
			  POLICY("shop", "c",
				 "podSelector: {matchLabels: {app: db}}, ingress: [{from: [" APP(
					 "web") "]}]"),
	  "ingress rule 0 changes nothing, for the pods of the input" },
	/* A block that begins with a pod has other addresses in it. */
	{ "redundant",
	  POD_AT("shop", "web", "", "{ip: 10.0.0.4}")
		  POLICY("shop", "a",
			 TO("{ipBlock: {cidr: 10.0.0.4/32}}]}, {to: [{namespaceSelector: {}}")),
	  POD_AT("shop", "web", "", "{ip: 10.0.0.4}")
		  POLICY("shop", "a",
			 TO("{ipBlock: {cidr: 10.0.0.4/30}}]}, {to: [{namespaceSelector: {}}")),
	  "egress rule 0 changes nothing" },
	/* Of a pod that two policies select nobody knows before it is there. */
	{ "redundant",
	  SHOP POD("shop", "x", "tier: x", "") POLICY("shop", "closed",
						      "podSelector: {matchLabels: {app: web}}")
		  POLICY("shop", "open", "podSelector: {matchLabels: {tier: x}}, ingress: [{}]"),
	  SHOP POD("shop", "x", "app: web, tier: x",
		   "") POLICY("shop", "closed", "podSelector: {matchLabels: {app: web}}")
		  POLICY("shop", "open", "podSelector: {matchLabels: {tier: x}}, ingress: [{}]"),
	  "changes nothing, for the pods of the input" },
	/* What closes every pod that others close one by one closes those to come. */
	{ "redundant",
	  SHOP POLICY("shop", "a", "podSelector: {}")
		  POLICY("shop", "b", "podSelector: {matchLabels: {app: web}}"),
	  SHOP POLICY("shop", "a", "podSelector: {}, policyTypes: [Ingress]") POLICY(
		  "shop", "b", "podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]"),
	  "comes out the same" },
	{ "redundant",
	  SHOP POLICY("shop", "a",
		      FROM("{ipBlock: {cidr: 10.0.0.0/8}}, {ipBlock: {cidr: 11.0.0.0/8}}"))
		  POLICY("shop", "b", FROM("{ipBlock: {cidr: 10.0.0.0/7}}")),
	  SHOP POLICY("shop", "a", FROM("{ipBlock: {cidr: 10.0.0.0/8}}"))
		  POLICY("shop", "b", FROM("{ipBlock: {cidr: 10.0.0.0/7, except: [10.7.0.0/16]}}")),
	  "changes nothing" },
};

static struct bh_lint *lint(struct bh_sim *sim, const char *check)
{
	const struct bh_lint_config config = { .only = &check, .n_only = 1 };
	struct bh_err err = { 0 };
	struct bh_lint *l = NULL;

	assert_ok(bh_lint_new(&l, sim, &config, &err), &err);
	return l;
}

static void check_has(const struct row *row)
{
	struct bh_sim *sim = sim_text(row->world);
	struct bh_lint *l = lint(sim, row->check);
	const struct bh_finding *f;
	size_t i, n = bh_lint_findings(l, &f), n_fitting = 0;

	for (i = 0; i < n; i++) {
		assert_string_equal(f[i].check->name, row->check);
		n_fitting += strstr(f[i].text, row->part) != NULL;
	}
	if (n_fitting != 1)
		fail_msg("%s: %zu of %zu findings have '%s' (%s)", row->check, n_fitting, n,
			 row->part, n ? f[0].text : "");
	bh_lint_free(&l);
	bh_sim_free(&sim);
}

static void check_has_not(const struct row *row)
{
	struct bh_sim *sim = sim_text(row->almost);
	struct bh_lint *l = lint(sim, row->check);
	const struct bh_finding *f;

	if (bh_lint_findings(l, &f) > 0)
		fail_msg("%s is reported of %s: %s", row->check, row->almost, f[0].text);
	bh_lint_free(&l);
	bh_sim_free(&sim);
}

static void a_check_finds_what_it_is_for_and_nothing_else(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		check_has(&rows[i]);
		check_has_not(&rows[i]);
	}
}

static void every_check_has_a_row(void **state)
{
	const struct bh_lint_check *const *checks;
	size_t n = bh_lint_checks(&checks), i, k;

	(void)state;
	for (i = 0; i < n; i++) {
		bool is_tested = false;

		for (k = 0; k < BH_ARRAY_LEN(rows); k++)
			is_tested |= strcmp(rows[k].check, checks[i]->name) == 0;
		if (!is_tested)
			fail_msg("no row for %s", checks[i]->name);
	}
}

static void checks_are_sorted_and_have_names_of_their_own(void **state)
{
	const struct bh_lint_check *const *checks;
	size_t n = bh_lint_checks(&checks), i;

	(void)state;
	assert_true(n > 20);
	for (i = 1; i < n; i++)
		assert_true(strcmp(checks[i - 1]->name, checks[i]->name) < 0);
}

static void a_finding_has_file_line_and_subject(void **state)
{
	struct bh_sim *sim = sim_text(rows[2].world);
	struct bh_lint *l = lint(sim, rows[2].check);
	const struct bh_finding *f;

	(void)state;
	assert_int_equal(bh_lint_findings(l, &f), 1);
	assert_string_equal(f->file, "test.yaml");
	assert_int_equal(f->line, 6);
	assert_string_equal(f->subject, "NetworkPolicy shop/a");
	assert_int_equal(f->severity, BH_SEVERITY_WARNING);
	assert_non_null(f->fix);
	bh_lint_free(&l);
	bh_sim_free(&sim);
}

static void a_check_can_be_left_out(void **state)
{
	const char *const ignored[] = { "selects-no-pod" };
	const struct bh_lint_config config = { .ignored = ignored, .n_ignored = 1 };
	struct bh_sim *sim = sim_text(rows[2].world);
	struct bh_lint *l = NULL;
	const struct bh_finding *f;

	(void)state;
	assert_ok(bh_lint_new(&l, sim, &config, NULL), NULL);
	assert_int_equal(bh_lint_findings(l, &f), 0);
	bh_lint_free(&l);
	bh_sim_free(&sim);
}

static void a_check_that_does_not_exist_is_refused(void **state)
{
	const char *const only[] = { "selects-no-pods" };
	const struct bh_lint_config config = { .only = only, .n_only = 1 };
	struct bh_sim *sim = sim_text(SHOP);
	struct bh_err err = { 0 };
	struct bh_lint *l = NULL;

	(void)state;
	assert_err(bh_lint_new(&l, sim, &config, &err), &err, -EINVAL, "'selects-no-pods'");
	assert_null(l);
	bh_sim_free(&sim);
}

static void sarif_names_rule_level_and_place(void **state)
{
	struct bh_sim *sim = sim_text(rows[2].world);
	struct bh_lint *l = lint(sim, rows[2].check);
	json_t *top = bh_lint_sarif(l), *result, *rule, *place;
	const char *id = NULL, *level = NULL, *uri = NULL;
	int index = -1, line = 0;

	(void)state;
	assert_non_null(top);
	result = json_array_get(
		json_object_get(json_array_get(json_object_get(top, "runs"), 0), "results"), 0);
	assert_int_equal(json_unpack(result, "{s:s, s:i, s:s}", "ruleId", &id, "ruleIndex", &index,
				     "level", &level),
			 0);
	assert_string_equal(id, "selects-no-pod");
	assert_string_equal(level, "warning");
	assert_int_equal(json_unpack(json_array_get(json_object_get(result, "locations"), 0),
				     "{s:o}", "physicalLocation", &place),
			 0);
	assert_int_equal(json_unpack(place, "{s:{s:s}, s:{s:i}}", "artifactLocation", "uri", &uri,
				     "region", "startLine", &line),
			 0);
	assert_string_equal(uri, "test.yaml");
	assert_int_equal(line, 6);
	rule = json_array_get(json_array_get(json_object_get(top, "runs"), 0), 0);
	assert_null(rule);
	assert_int_equal(
		json_unpack(top, "{s:[{s:{s:{s:o}}}]}", "runs", "tool", "driver", "rules", &rule),
		0);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(rule, (size_t)index), "id")), id);
	json_decref(top);
	bh_lint_free(&l);
	bh_sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_check_finds_what_it_is_for_and_nothing_else),
		cmocka_unit_test(every_check_has_a_row),
		cmocka_unit_test(checks_are_sorted_and_have_names_of_their_own),
		cmocka_unit_test(a_finding_has_file_line_and_subject),
		cmocka_unit_test(a_check_can_be_left_out),
		cmocka_unit_test(a_check_that_does_not_exist_is_refused),
		cmocka_unit_test(sarif_names_rule_level_and_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
