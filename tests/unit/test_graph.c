/*
 * What the graph is for people: peers, lines, markers.  That it is right is
 * test_graph_random.c's.
 */
#include "test.h"

#include "../../src/sim/table.h"
#include "sim_text.h"

#define POD(name, labels, rest)                                                                    \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " name                 \
	", labels: {" labels "}}" rest "}\n"
#define AT(v4)      ", status: {podIPs: [{ip: " v4 "}]}"
#define AT2(v4, v6) ", status: {podIPs: [{ip: " v4 "}, {ip: '" v6 "'}]}"
#define ON(node)    ", spec: {nodeName: " node ", containers: [{name: a, image: a}]}"
#define HOST(node)                                                                                 \
	", spec: {hostNetwork: true, nodeName: " node ", containers: [{name: a, image: a}]}"
#define NODE(name, address)                                                                        \
	"---\n{apiVersion: v1, kind: Node, metadata: {name: " name                                 \
	"}, status: {addresses: [{type: InternalIP, address: " address "}]}}\n"
#define PORTS(name, number)                                                                        \
	", spec: {containers: [{name: a, image: a, ports: [{name: " name                           \
	", containerPort: " number "}]}]}"
#define POLICY(name, spec)                                                                         \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "                            \
	"metadata: {namespace: shop, name: " name "}, spec: {" spec "}}\n"
#define AUDIT(name, spec)                                                                          \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "                            \
	"metadata: {namespace: shop, name: " name                                                  \
	", annotations: {bulkhead.dev/mode: audit}}, spec: {" spec "}}\n"
#define DENY POLICY("deny", "podSelector: {}, policyTypes: [Ingress, Egress]")
#define DEPLOYMENT(name, replicas)                                                                 \
	"---\n{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: " name     \
	"}, spec: {replicas: " replicas ", selector: {matchLabels: {app: " name                    \
	"}}, template: {metadata: {labels: {app: " name                                            \
	"}}, spec: {containers: [{name: a, image: a}]}}}}\n"
#define OWNED(pod, labels)                                                                         \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " pod                  \
	", labels: {" labels "}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, "      \
	"name: db, controller: true}]}}\n"

static void write_list(const struct bh_sim *sim, enum bh_sim_format format, struct bh_buf *out)
{
	bh_auto(bh_graph_free) struct bh_graph *g = bh_graph_new(sim);
	struct bh_graph_listing list = { .graph = g, .is_compat = bh_sim_is_compat(sim) };

	list.n = bh_graph_edges(g, &list.edges);
	bh_graph_list(&list, format, out);
}

static const struct bh_sim_config plain = { 0 };
static const struct bh_sim_config compat = { .is_compat = true };

struct row {
	const char *what, *text, *list;
};

static void assert_rows(const struct bh_sim_config *config, const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bh_auto(bh_sim_free) struct bh_sim *sim = sim_text_with(config, rows[i].text);
		bh_auto(bh_buf_done) struct bh_buf out = { 0 };

		write_list(sim, BH_SIM_TXT, &out);
		if (strcmp(bh_buf_str(&out), rows[i].list) != 0)
			fail_msg("%s:\n%s", rows[i].what, bh_buf_str(&out));
	}
}

static void lines_are_those_of_netpol_analyzer(void **state)
{
	static const struct row rows[] = {
		{ "nothing isolated", DEPLOYMENT("web", "1") DEPLOYMENT("db", "1"),
		  "0.0.0.0-255.255.255.255[External] => shop/db[Deployment] : All Connections\n"
		  "0.0.0.0-255.255.255.255[External] => shop/web[Deployment] : All Connections\n"
		  "shop/db[Deployment] => 0.0.0.0-255.255.255.255[External] : All Connections\n"
		  "shop/db[Deployment] => shop/web[Deployment] : All Connections\n"
		  "shop/web[Deployment] => 0.0.0.0-255.255.255.255[External] : All Connections\n"
		  "shop/web[Deployment] => shop/db[Deployment] : All Connections\n" },
		{ "ranges of sources and of destinations are not the same",
		  POD("web", "app: web", "") DENY POLICY(
			  "p", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "
			       "10.0.0.0/8, except: [10.1.0.0/16]}}]}], egress: [{to: "
			       "[{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 443}, "
			       "{port: 80}]}]"),
		  "10.0.0.0-10.0.255.255[External] => shop/web[Pod] : All Connections\n"
		  "10.2.0.0-10.255.255.255[External] => shop/web[Pod] : All Connections\n"
		  "shop/web[Pod] => 192.0.2.0-192.0.2.255[External] : TCP 80,443\n" },
		{ "nothing allowed", POD("a", "", "") POD("b", "", "") DENY, "" },
	};

	(void)state;
	assert_rows(&plain, rows, BH_ARRAY_LEN(rows));
	assert_rows(&compat, rows, BH_ARRAY_LEN(rows));
}

static void what_they_have_no_words_for_comes_behind(void **state)
{
	static const struct row rows[] = {
		{ "replicas talk to each other",
		  DEPLOYMENT("db", "3") DENY POLICY(
			  "p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}], "
			       "egress: [{to: [{podSelector: {}}], ports: [{port: 5432}]}]"),
		  "shop/db[Deployment] => shop/db[Deployment] : TCP 5432\n" },
		{ "pods of one workload that policies tell apart",
		  OWNED("db-0", "role: primary") OWNED("db-1", "role: replica")
			  OWNED("db-2", "role: replica") DENY POLICY(
				  "p", "podSelector: {matchLabels: {role: primary}}, "
				       "ingress: [{from: [{podSelector: {}}]}]")
				  POLICY("out", "podSelector: {matchLabels: {role: replica}}, "
						"policyTypes: [Egress], egress: [{to: "
						"[{podSelector: {}}], ports: [{port: 5432}]}]"),
		  "shop/db[StatefulSet]{db-1,db-2} => shop/db[StatefulSet]{db-0} : TCP 5432\n" },
		{ "labels that no policy asks for part nothing",
		  OWNED("db-0", "n: a") OWNED("db-1", "n: b") DENY POLICY(
			  "p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}], "
			       "egress: [{ports: [{port: 1}], to: [{podSelector: {}}]}]"),
		  "shop/db[StatefulSet] => shop/db[StatefulSet] : TCP 1\n" },
		{ "audit",
		  POD("a", "", "") DENY POLICY("p", "podSelector: {}, ingress: [{}], egress: "
						    "[{to: [{podSelector: {}}]}]")
			  POD("b", "app: b", "")
				  AUDIT("later", "podSelector: {matchLabels: {app: b}}, "
						 "policyTypes: [Ingress]")
					  POLICY("none", "podSelector: {matchLabels: {app: b}}, "
							 "policyTypes: [Egress]"),
		  "0.0.0.0-255.255.255.255[External] => shop/a[Pod] : All Connections\n"
		  "0.0.0.0-255.255.255.255[External] => shop/b[Pod] : All Connections\n"
		  "shop/a[Pod] => shop/b[Pod] : All Connections\n"
		  "shop/b[Pod] => shop/a[Pod] : All Connections\n" },
		{ "audit alone",
		  POD("b", "app: b", "") AUDIT("later", "podSelector: {}, policyTypes: [Ingress], "
							"ingress: [{ports: [{port: 80}]}]")
			  POLICY("none", "podSelector: {}, policyTypes: [Egress]"),
		  "0.0.0.0-255.255.255.255[External] => shop/b[Pod] : All Connections (in audit, "
		  "to be denied: SCTP 1-65535,TCP 1-79,81-65535,UDP 1-65535,other protocols)\n" },
		{ "one family of two",
		  POD("a", "app: a", AT2("10.0.0.1", "fd00::1")) POD("b", "app: b",
								     AT2("10.0.0.2", "fd00::2"))
			  POLICY("p", "podSelector: {matchLabels: {app: b}}, policyTypes: "
				      "[Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: "
				      "10.0.0.0/24}}], ports: [{port: 80}]}, {from: "
				      "[{podSelector: {}}], ports: [{port: 81}]}]")
				  POLICY("q",
					 "podSelector: {matchLabels: {app: a}}, policyTypes: "
					 "[Egress, Ingress], egress: [{to: [{podSelector: {}}]}]"),
		  "10.0.0.0-10.0.0.255[External] => shop/b[Pod] : TCP 80\n"
		  "shop/a[Pod] => shop/b[Pod] : TCP 80-81 (IPv4 only: TCP 80)\n" },
		{ "made-up addresses tell of no second family",
		  POD("a", "app: a", "") POLICY("p", "podSelector: {}, policyTypes: [Ingress, "
						     "Egress], ingress: [{from: [{ipBlock: {cidr: "
						     "0.0.0.0/0}}]}], egress: [{to: "
						     "[{podSelector: {}}]}]") POD("b", "", ""),
		  "0.0.0.0-255.255.255.255[External] => shop/a[Pod] : All Connections\n"
		  "0.0.0.0-255.255.255.255[External] => shop/b[Pod] : All Connections\n"
		  "shop/a[Pod] => shop/b[Pod] : All Connections\n"
		  "shop/b[Pod] => shop/a[Pod] : All Connections\n" },
		{ "a second family that a rule names",
		  POD("a", "", "") POLICY("p", "podSelector: {}, policyTypes: [Ingress, Egress], "
					       "egress: [{to: [{ipBlock: {cidr: 'fd00::/8'}}]}]"),
		  "shop/a[Pod] => fd00::-fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff[External] : All "
		  "Connections\n" },
		{ "named ports are those of each destination",
		  POD("a", "app: a", PORTS("http", "80")) POD("b", "app: b", PORTS("http", "8080"))
			  POD("c", "app: c", "") POLICY(
				  "p", "podSelector: {matchLabels: {app: c}}, policyTypes: "
				       "[Ingress, Egress], egress: [{ports: [{port: http}]}]")
				  POLICY("q",
					 "podSelector: {matchExpressions: [{key: app, operator: "
					 "NotIn, values: [c]}]}, policyTypes: [Egress, Ingress], "
					 "ingress: [{from: [{podSelector: {}}]}]"),
		  "shop/c[Pod] => shop/a[Pod] : TCP 80\n"
		  "shop/c[Pod] => shop/b[Pod] : TCP 8080\n" },
		{ "nodes, and their own pods",
		  NODE("n1", "192.0.2.1") NODE("n2", "192.0.2.2") POD("a", "", ON("n1")) DENY,
		  "n1,n2[Node] => shop/a[Pod] : No Connections (All Connections to pods of its "
		  "own node)\n" },
		{ "host-network pods are their node",
		  NODE("n1", "192.0.2.1") POD("a", "", ON("n2"))
			  POD("agent", "app: agent", HOST("n1")) DENY POLICY(
				  "p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}, "
				       "{from: [{ipBlock: {cidr: 192.0.2.1/32}}], ports: "
				       "[{port: 9100}]}]"),
		  "n1[Node] => shop/a[Pod] : TCP 9100\n"
		  "shop/agent[Pod] => shop/a[Pod] : TCP 9100\n" },
		{ "addresses of pods are not outside",
		  POD("a", "", AT("10.0.0.1")) DENY POLICY(
			  "p", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "
			       "10.0.0.1/32}}]}, {from: [{ipBlock: {cidr: 10.0.0.2/32}}], "
			       "ports: [{port: 80}]}]"),
		  "10.0.0.2-10.0.0.2[External] => shop/a[Pod] : TCP 80\n" },
		{ "neighbours that policies treat alike are one range",
		  POD("a", "", "") DENY POLICY("p", "podSelector: {}, ingress: [{from: [{ipBlock: "
						    "{cidr: 10.0.0.0/9}}, {ipBlock: {cidr: "
						    "10.128.0.0/9}}]}]"),
		  "10.0.0.0-10.255.255.255[External] => shop/a[Pod] : All Connections\n" },
	};

	(void)state;
	assert_rows(&plain, rows, BH_ARRAY_LEN(rows));
}

static void compat_leaves_out_what_netpol_analyzer_leaves_out(void **state)
{
	static const struct row rows[] = {
		{ "replicas",
		  DEPLOYMENT("db", "3") POLICY("p", "podSelector: {}, policyTypes: "
						    "[Ingress, Egress], egress: [{}]"),
		  "shop/db[Deployment] => 0.0.0.0-255.255.255.255[External] : All Connections\n" },
		{ "blocks that differ, but not in what they allow",
		  POD("a", "", "") DENY POLICY("p", "podSelector: {}, ingress: [{from: [{ipBlock: "
						    "{cidr: 10.0.0.0/9}}, {ipBlock: {cidr: "
						    "10.128.0.0/9}}]}]"),
		  "10.0.0.0-10.127.255.255[External] => shop/a[Pod] : All Connections\n"
		  "10.128.0.0-10.255.255.255[External] => shop/a[Pod] : All Connections\n" },
		{ "an address in a block is not the pod that has it",
		  POD("a", "app: a", AT("10.0.0.1")) POD("b", "", AT("10.0.0.2")) DENY POLICY(
			  "p", "podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], "
			       "egress: [{to: [{ipBlock: {cidr: 10.0.0.2/32}}]}]")
			  POLICY("q", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]"),
		  "shop/a[Pod] => 10.0.0.2-10.0.0.2[External] : All Connections\n" },
	};

	(void)state;
	assert_rows(&compat, rows, BH_ARRAY_LEN(rows));
}

#define AUDITED                                                                                    \
	POD("a", "", "")                                                                           \
	AUDIT("later", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}]")                  \
	POLICY("none", "podSelector: {}, policyTypes: [Egress]")                                   \
	POLICY("p", "podSelector: {}, ingress: [{ports: [{port: 80}, {port: 443}]}]")              \
	POD("b", "app: b", "")                                                                     \
	AUDIT("b", "podSelector: {matchLabels: {app: b}}, policyTypes: [Egress]")                  \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: other, name: x}}\n"                \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: "      \
	"other, name: later, annotations: {bulkhead.dev/mode: audit}}, spec: {podSelector: {}, "   \
	"policyTypes: [Ingress, Egress], ingress: [{ports: [{port: 22}]}]}}\n"

static void audit_is_seen_in_every_format(void **state)
{
	static const char *const want[BH_SIM_FORMAT_COUNT_] = {
		[BH_SIM_TXT] = "other/x[Pod] => shop/a[Pod] : TCP 80,443 (in audit, to be denied: "
			       "TCP 80,443)\n",
		[BH_SIM_CSV] = "other/x[Pod],shop/a[Pod],\"TCP 80,443\",\"TCP 80,443\",,,\n",
		[BH_SIM_MD] = "| other/x[Pod] | shop/a[Pod] | TCP 80,443 | TCP 80,443 |  |  |  |\n",
		[BH_SIM_JSON] = "\"audited\": \"TCP 80,443\"",
		[BH_SIM_DOT] =
			"\t\"other/x[Pod]\" -> \"shop/a[Pod]\" [label=\"TCP 80,443\\nin audit, "
			"to be denied: TCP 80,443\" color=\"gold2\" fontcolor=\"darkgreen\" "
			"weight=0.5 style=dashed]\n",
	};
	bh_auto(bh_sim_free) struct bh_sim *sim = sim_text(AUDITED);
	enum bh_sim_format f;

	(void)state;
	for (f = 0; f < BH_SIM_FORMAT_COUNT_; f++) {
		bh_auto(bh_buf_done) struct bh_buf out = { 0 };

		write_list(sim, f, &out);
		assert_contains(bh_buf_str(&out), want[f]);
	}
}

static void json_is_valid_and_has_ports_as_numbers(void **state)
{
	bh_auto(bh_sim_free) struct bh_sim *sim = sim_text(AUDITED);
	bh_auto(bh_buf_done) struct bh_buf out = { 0 };
	json_t *list, *edge, *found = NULL;
	size_t i;

	(void)state;
	write_list(sim, BH_SIM_JSON, &out);
	list = json_loads(bh_buf_str(&out), 0, NULL);
	assert_true(json_is_array(list));
	json_array_foreach(list, i, edge)
	{
		const char *src = json_string_value(json_object_get(edge, "src"));
		const char *dst = json_string_value(json_object_get(edge, "dst"));

		if (!strcmp(src, "other/x[Pod]") && !strcmp(dst, "shop/a[Pod]"))
			found = edge;
	}
	found = json_array_get(json_object_get(found, "ports"), 1);
	assert_string_equal(json_string_value(json_object_get(found, "protocol")), "TCP");
	assert_int_equal(json_integer_value(json_object_get(found, "first")), 443);
	assert_int_equal(json_integer_value(json_object_get(found, "last")), 443);
	json_decref(list);
}

static void names_cannot_forge_output(void **state)
{
	static const struct {
		const char *name;
		enum bh_sim_format format;
		const char *want;
	} t[] = {
		{ "a,\"b", BH_SIM_CSV, "\"a,\"\"b\"" },
		{ "a|b", BH_SIM_MD, "| a\\|b |" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto(bh_buf_done) struct bh_buf out = { 0 };

		bh_table_row(t[i].format, &t[i].name, 1, &out);
		assert_contains(bh_buf_str(&out), t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_those_of_netpol_analyzer),
		cmocka_unit_test(what_they_have_no_words_for_comes_behind),
		cmocka_unit_test(compat_leaves_out_what_netpol_analyzer_leaves_out),
		cmocka_unit_test(audit_is_seen_in_every_format),
		cmocka_unit_test(json_is_valid_and_has_ports_as_numbers),
		cmocka_unit_test(names_cannot_forge_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
