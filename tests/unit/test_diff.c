/*
 * Two worlds: what changed, and because of what.
 */
#include "test.h"

#include "sim_text.h"

#define POD(name, labels)                                                                          \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " name                 \
	", labels: {" labels "}}}\n"
#define POLICY(name, spec)                                                                         \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "                            \
	"metadata: {namespace: shop, name: " name "}, spec: {" spec "}}\n"
#define AUDIT(name, spec)                                                                          \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "                            \
	"metadata: {namespace: shop, name: " name                                                  \
	", annotations: {bulkhead.dev/mode: audit}}, spec: {" spec "}}\n"
#define PODS POD("web", "app: web") POD("db", "app: db")
#define REPLICA(name, n)                                                                           \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " name                 \
	", labels: {n: '" n "'}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, "      \
	"name: db, uid: u, controller: true}]}}\n"
#define IN(name, pods)                                                                             \
	POLICY(name, "podSelector: {" pods "}, ingress: [{from: [{podSelector: {}}]}]")
/* Only what later policies allow: rows are short. */
#define DENY POLICY("deny", "podSelector: {}, policyTypes: [Ingress, Egress]")
#define OUT                                                                                        \
	POLICY("out", "podSelector: {}, policyTypes: [Egress], egress: [{to: [{podSelector: "      \
		      "{}}]}]")
#define TO_DB(rules) POLICY("db", "podSelector: {matchLabels: {app: db}}, ingress: [" rules "]")
#define FROM_WEB(port)                                                                             \
	"{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: " port "}]}"

static const struct row {
	const char *what, *before, *after, *diff;
} rows[] = {
	{ "the same", PODS DENY OUT TO_DB(FROM_WEB("80")), PODS DENY OUT TO_DB(FROM_WEB("80")),
	  "connections: 0 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "another order", PODS DENY OUT TO_DB(FROM_WEB("80") ", " FROM_WEB("81")),
	  OUT DENY TO_DB(FROM_WEB("81") ", " FROM_WEB("80")) PODS,
	  "connections: 0 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "a policy is added", PODS DENY OUT, PODS DENY OUT TO_DB(FROM_WEB("80")),
	  "+ shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because NetworkPolicy shop/db was added (test.yaml:10)\n"
	  "connections: 1 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "a policy is removed", PODS DENY OUT TO_DB(FROM_WEB("80")), PODS DENY OUT,
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because NetworkPolicy shop/db was removed (test.yaml:10)\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "a rule is edited", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  PODS DENY OUT TO_DB(FROM_WEB("81")),
	  "~ shop/web[Pod] => shop/db[Pod] : TCP 80, now TCP 81\n"
	  "    because NetworkPolicy shop/db: ingress rule 0 was edited (test.yaml:10)\n"
	  "connections: 0 added, 0 removed, 1 changed, 0 in audit\n" },
	{ "a rule is removed", PODS DENY OUT TO_DB(FROM_WEB("80") ", " FROM_WEB("81")),
	  PODS DENY OUT TO_DB(FROM_WEB("80")),
	  "~ shop/web[Pod] => shop/db[Pod] : TCP 80-81, now TCP 80\n"
	  "    because NetworkPolicy shop/db: ingress rule 1 was removed (test.yaml:10)\n"
	  "connections: 0 added, 0 removed, 1 changed, 0 in audit\n" },
	{ "a rule is added", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  PODS DENY OUT TO_DB(FROM_WEB("80") ", " FROM_WEB("81")),
	  "~ shop/web[Pod] => shop/db[Pod] : TCP 80, now TCP 80-81\n"
	  "    because NetworkPolicy shop/db: ingress rule 1 was added (test.yaml:10)\n"
	  "connections: 0 added, 0 removed, 1 changed, 0 in audit\n" },
	{ "labels of the source", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  POD("web", "app: site") POD("db", "app: db") DENY OUT TO_DB(FROM_WEB("80")),
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because labels of shop/web[Pod], its ports or addresses changed: others match the "
	  "rules of NetworkPolicy shop/db\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "labels of the destination", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  POD("web", "app: web") POD("db", "app: base") DENY OUT TO_DB(FROM_WEB("80")),
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because labels of shop/db[Pod] or its namespace changed: it is no longer selected "
	  "by "
	  "NetworkPolicy shop/db\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "the selector", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  PODS DENY OUT POLICY("db", "podSelector: {matchLabels: {app: nobody}}, "
				     "ingress: [" FROM_WEB("80") "]"),
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because NetworkPolicy shop/db: the selector of its pods changed (test.yaml:10)\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "a change that has nothing to do with it is not named",
	  PODS DENY OUT TO_DB(FROM_WEB("80")), PODS DENY TO_DB(FROM_WEB("80") ", " FROM_WEB("81")),
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because NetworkPolicy shop/out was removed (test.yaml:8)\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "a workload is new", POD("db", "app: db") DENY OUT TO_DB(FROM_WEB("80")),
	  PODS DENY OUT TO_DB(FROM_WEB("80")),
	  "+ shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because shop/web[Pod] is new\n"
	  "new workload: shop/web[Pod]\n"
	  "connections: 1 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "a workload is gone", PODS DENY OUT TO_DB(FROM_WEB("80")),
	  POD("db", "app: db") DENY OUT TO_DB(FROM_WEB("80")),
	  "- shop/web[Pod] => shop/db[Pod] : TCP 80\n"
	  "    because shop/web[Pod] is gone\n"
	  "gone workload: shop/web[Pod]\n"
	  "connections: 0 added, 1 removed, 0 changed, 0 in audit\n" },
	{ "a pod that is told from its like has lost no way to itself",
	  REPLICA("db-0", "0") REPLICA("db-1", "1") DENY OUT IN("in", ""),
	  REPLICA("db-0", "0") REPLICA("db-1", "1") DENY OUT IN("in", "")
		  IN("more", "matchLabels: {n: '0'}"),
	  "connections: 0 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "audit is enforced", PODS OUT AUDIT("x", "podSelector: {}, policyTypes: [Ingress]"),
	  PODS OUT POLICY("x", "podSelector: {}, policyTypes: [Ingress]"),
	  "- 0.0.0.0-255.255.255.255[External] => shop/db[Pod] : All Connections (in audit, to be "
	  "denied: No Connections, before: All Connections)\n"
	  "    because NetworkPolicy shop/x is enforced now (test.yaml:8)\n"
	  "- 0.0.0.0-255.255.255.255[External] => shop/web[Pod] : All Connections (in audit, to be "
	  "denied: No Connections, before: All Connections)\n"
	  "    because NetworkPolicy shop/x is enforced now (test.yaml:8)\n"
	  "- shop/db[Pod] => shop/web[Pod] : All Connections (in audit, to be denied: No "
	  "Connections, before: All Connections)\n"
	  "    because NetworkPolicy shop/x is enforced now (test.yaml:8)\n"
	  "- shop/web[Pod] => shop/db[Pod] : All Connections (in audit, to be denied: No "
	  "Connections, before: All Connections)\n"
	  "    because NetworkPolicy shop/x is enforced now (test.yaml:8)\n"
	  "connections: 0 added, 4 removed, 0 changed, 0 in audit\n" },
	{ "only audit changes",
	  POD("web", "app: web") DENY POLICY("in", "podSelector: {}, ingress: [{}]"),
	  POD("web", "app: web") DENY POLICY(
		  "in", "podSelector: {}, ingress: [{}]") "---\n{apiVersion: v1, kind: Namespace, "
							  "metadata: {name: shop, annotations: "
							  "{bulkhead.dev/mode: audit}}}\n",
	  "+ shop/web[Pod] => 0.0.0.0-255.255.255.255[External] : All Connections (in audit, to be "
	  "denied: All Connections, before: No Connections)\n"
	  "    because NetworkPolicy shop/deny is in audit now (test.yaml:4)\n"
	  "connections: 1 added, 0 removed, 0 changed, 0 in audit\n" },
	{ "ranges that changed alike are one",
	  POD("web", "app: web") DENY POLICY(
		  "in",
		  "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/9}}], ports: "
		  "[{port: 1}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]"),
	  POD("web", "app: web") DENY POLICY(
		  "in",
		  "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.64.0.0/10}}], ports: "
		  "[{port: 1}]}, {from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 80}]}]"),
	  "~ 10.0.0.0-10.63.255.255[External] => shop/web[Pod] : TCP 1,80, now TCP 80\n"
	  "    because NetworkPolicy shop/in: ingress rule 0 was edited (test.yaml:6)\n"
	  "connections: 0 added, 0 removed, 1 changed, 0 in audit\n" },
};

struct two {
	struct bh_sim *sims[2];
	struct bh_graph *graphs[2];
	struct bh_graph_diff *diff;
};

static void two_init(struct two *t, const char *before, const char *after)
{
	t->sims[0] = sim_text(before);
	t->sims[1] = sim_text(after);
	bh_graph_new_two(t->sims[0], t->sims[1], &t->graphs[0], &t->graphs[1]);
	t->diff = bh_graph_diff_new(t->graphs[0], t->graphs[1]);
}

static void two_done(struct two *t)
{
	size_t i;

	bh_graph_diff_free(&t->diff);
	for (i = 0; i < 2; i++) {
		bh_graph_free(&t->graphs[i]);
		bh_sim_free(&t->sims[i]);
	}
}

static void what_changed_comes_with_its_reason(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		bh_auto(bh_buf_done) struct bh_buf out = { 0 };
		struct two t;

		two_init(&t, rows[i].before, rows[i].after);
		bh_graph_diff_write(t.diff, BH_SIM_TXT, false, &out);
		two_done(&t);
		if (strcmp(bh_buf_str(&out), rows[i].diff) != 0)
			fail_msg("%s:\n%s", rows[i].what, bh_buf_str(&out));
	}
}

static void every_format_tells_every_change(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(rows); i++) {
		const struct bh_graph_change *changes;
		enum bh_sim_format f;
		struct two t;
		size_t n, k;

		two_init(&t, rows[i].before, rows[i].after);
		n = bh_graph_diff_changes(t.diff, &changes);
		for (f = 0; f < BH_SIM_FORMAT_COUNT_; f++) {
			bh_auto(bh_buf_done) struct bh_buf out = { 0 };

			bh_graph_diff_write(t.diff, f, false, &out);
			for (k = 0; k < n; k++) {
				assert_contains(bh_buf_str(&out), changes[k].src);
				assert_contains(bh_buf_str(&out), changes[k].dst);
				if (f != BH_SIM_DOT)
					assert_contains(bh_buf_str(&out), changes[k].because[0]);
			}
			if (f == BH_SIM_JSON) {
				json_t *o = json_loads(bh_buf_str(&out), 0, NULL);

				assert_int_equal(json_array_size(json_object_get(o, "changes")), n);
				json_decref(o);
			}
		}
		two_done(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changed_comes_with_its_reason),
		cmocka_unit_test(every_format_tells_every_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
