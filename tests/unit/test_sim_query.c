/*
 * Questions about one flow.
 */
#include "test.h"

#include <errno.h>
#include <netinet/in.h>

#include "sim_text.h"
#include "world_text.h"
#include "simgen.h"

/* A shop, with everything that an end can be. */
static const char shop[] =
	"{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: shop, name: web},\n"
	" spec: {replicas: 3, selector: {matchLabels: {app: web}}, template: {metadata: {\n"
	" labels: {app: web}}}}}\n"
	"---\n"
	"{apiVersion: apps/v1, kind: StatefulSet, metadata: {namespace: shop, name: db},\n"
	" spec: {selector: {matchLabels: {app: db}}, template: {metadata: {labels: {app: db}}, "
	"spec: {containers: [{name: c, ports:\n"
	"  [{name: sql, containerPort: 5432}]}]}}}}\n"
	"---\n"
	"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: cache, labels: {app: db}},\n"
	" spec: {containers: [{name: c, ports: [{name: sql, containerPort: 6000}]}]},\n"
	" status: {podIPs: [{ip: 10.0.0.7}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: agent},\n"
	" spec: {hostNetwork: true, nodeName: n1}}\n"
	"---\n"
	"{apiVersion: v1, kind: Node, metadata: {name: n1},\n"
	" status: {addresses: [{type: InternalIP, address: 172.16.0.1}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: sql}, spec: {\n"
	" clusterIP: 10.96.0.10, selector: {app: db}, ports: [{port: 3306, targetPort: sql}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: web}, spec: {\n"
	" selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: u,\n"
	" port: 80, protocol: UDP}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: pods}, spec: {\n"
	" clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: none}, spec: {\n"
	" selector: {app: nobody}, ports: [{port: 80}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: ext}, spec: {\n"
	" ports: [{port: 80}]}}\n"
	"---\n"
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop,\n"
	" name: web}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{ipBlock: "
	"{\n"
	" cidr: 203.0.113.0/24}}], ports: [{port: 8080}]}]}}\n"
	"---\n"
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop,\n"
	" name: db}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: "
	"{\n"
	" matchLabels: {app: web}}}], ports: [{port: 5432}, {port: 53, protocol: UDP}]}]}}\n";

static struct bh_sim_query query(const char *src, const char *dst, uint8_t protocol, uint16_t port)
{
	return (struct bh_sim_query){ .src = src, .dst = dst, .protocol = protocol, .port = port };
}

static void ends_are_who_they_are_written_to_be(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t protocol;
		uint16_t port;
		enum bh_sim_verdict want;
	} t[] = {
		{ "shop/web", "shop/db", IPPROTO_TCP, 5432, BH_SIM_ALLOWED },
		{ "shop/web", "shop/db", IPPROTO_TCP, 5433, BH_SIM_DENIED },
		{ "shop/web", "shop/db", IPPROTO_UDP, 53, BH_SIM_ALLOWED },
		{ "shop/web-1", "shop/db", IPPROTO_TCP, 5432, BH_SIM_ALLOWED },
		{ "shop/web[Deployment]", "shop/db[StatefulSet]", IPPROTO_TCP, 5432,
		  BH_SIM_ALLOWED },
		{ "shop/web", "shop/db", IPPROTO_SCTP, 5432, BH_SIM_DENIED },
		{ "shop/web", "shop/db", IPPROTO_ICMP, 0, BH_SIM_DENIED },
		{ "shop/db", "shop/agent", IPPROTO_ICMP, 0, BH_SIM_ALLOWED },
		{ "203.0.113.9", "shop/web", IPPROTO_TCP, 8080, BH_SIM_ALLOWED },
		{ "203.0.112.9", "shop/web", IPPROTO_TCP, 8080, BH_SIM_DENIED },
		{ "2001:db8::1", "shop/web", IPPROTO_TCP, 8080, BH_SIM_DENIED },
		{ "10.0.0.7", "shop/web", IPPROTO_TCP, 8080, BH_SIM_DENIED },
		{ "shop/web", "10.0.0.7", IPPROTO_TCP, 5432, BH_SIM_ALLOWED }, /* the cache */
		{ "shop/db", "shop/db", IPPROTO_TCP, 1, BH_SIM_ALLOWED },      /* itself */
		{ "shop/web", "shop/web-1", IPPROTO_TCP, 8080, BH_SIM_DENIED },
		{ "node:n1", "shop/db", IPPROTO_TCP, 5432, BH_SIM_ALLOWED }, /* the only node */
		{ "shop/web", "node:n1", IPPROTO_TCP, 22, BH_SIM_ALLOWED },
		{ "203.0.113.9", "svc:shop/web", IPPROTO_TCP, 80, BH_SIM_ALLOWED },
		{ "203.0.113.9", "svc:shop/web", IPPROTO_UDP, 80, BH_SIM_DENIED },
		{ "203.0.113.9", "shop/pods", IPPROTO_TCP, 8080, BH_SIM_ALLOWED },
		{ "203.0.113.9", "shop/pods", IPPROTO_TCP, 80, BH_SIM_DENIED }, /* no translation */
		{ "node:n1", "shop/sql", IPPROTO_TCP, 3306, BH_SIM_ALLOWED },
		{ "203.0.113.9", "10.96.0.10", IPPROTO_TCP, 3306, BH_SIM_DENIED },
		{ "203.0.113.9", "10.96.0.10", IPPROTO_TCP, 1, BH_SIM_ALLOWED }, /* to nobody */
	};
	struct bh_sim *sim = sim_text(shop);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_sim_query q = query(t[i].src, t[i].dst, t[i].protocol, t[i].port);
		struct bh_sim_answers a;
		struct bh_err err = { 0 };

		assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
		if (a.verdict != t[i].want)
			fail_msg("%s to %s %u/%u: %s", q.src, q.dst, q.port, q.protocol,
				 bh_sim_verdict_str(a.verdict));
		bh_sim_answers_done(&a);
	}
	bh_sim_free(&sim);
}

static void what_cannot_be_asked_is_said_with_a_hint(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t protocol;
		uint16_t port;
		int code;
		const char *want;
	} t[] = {
		{ "shop/webb", "shop/db", IPPROTO_TCP, 1, -ENOENT,
		  "no pod or workload 'shop/webb'; is shop/web meant?" },
		{ "shop/web", "prod/cache", IPPROTO_TCP, 1, -ENOENT, "is shop/cache meant?" },
		{ "shop/web", "shop/sqll", IPPROTO_TCP, 1, -ENOENT,
		  "no pod, workload or Service 'shop/sqll'; is shop/sql meant?" },
		{ "shop/sql", "shop/db", IPPROTO_TCP, 1, -ENOENT, "no pod or workload 'shop/sql'" },
		{ "shop/web", "shop/db[Deployment]", IPPROTO_TCP, 1, -ENOENT,
		  "shop/db[Deployment]" },
		{ "node:n2", "shop/db", IPPROTO_TCP, 1, -ENOENT, "no node 'n2'; is n1 meant?" },
		{ "web", "shop/db", IPPROTO_TCP, 1, -EINVAL, "neither NAMESPACE/NAME" },
		{ "10.0.0.256", "shop/db", IPPROTO_TCP, 1, -EINVAL, "'10.0.0.256' is neither" },
		{ "shop/web", "shop/sql", IPPROTO_TCP, 3307, -EINVAL,
		  "no port TCP 3307; it has TCP 3306" },
		{ "shop/web", "shop/sql", IPPROTO_UDP, 3306, -EINVAL, "no port UDP 3306" },
		{ "shop/web", "shop/sql", IPPROTO_ICMP, 0, -EINVAL,
		  "passes on TCP, UDP and SCTP only" },
		{ "shop/web", "shop/none", IPPROTO_TCP, 80, -ENOENT, "leads to no pod" },
		{ "shop/web", "shop/ext", IPPROTO_TCP, 80, -EINVAL, "no selector" },
		{ "shop/web", "svc:shop/nope", IPPROTO_TCP, 80, -ENOENT, "no Service 'shop/nope'" },
		{ "2001:db8::1", "shop/cache", IPPROTO_TCP, 80, -EINVAL, "of the same family" },
		{ "10.9.9.9", "2001:db8::1", IPPROTO_TCP, 80, -EINVAL, "of the same family" },
	};
	struct bh_sim *sim = sim_text(shop);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_sim_query q = query(t[i].src, t[i].dst, t[i].protocol, t[i].port);
		struct bh_sim_answers a;
		struct bh_err err = { 0 };

		assert_err(bh_sim_ask(sim, &q, &a, &err), &err, t[i].code, t[i].want);
	}
	bh_sim_free(&sim);
}

static void the_family_is_what_is_asked_for(void **state)
{
	struct bh_sim *sim = sim_text(shop);
	struct bh_sim_query q = query("shop/web", "shop/db", IPPROTO_ICMP, 0);
	struct bh_sim_answers a;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_int_equal(a.items[0].flow.src.family, BH_IPV4);
	assert_int_equal(a.items[0].flow.protocol, IPPROTO_ICMP);
	bh_sim_answers_done(&a);
	q.has_family = true;
	q.family = BH_IPV6;
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_int_equal(a.items[0].flow.src.family, BH_IPV6);
	assert_int_equal(a.items[0].flow.dst.family, BH_IPV6);
	assert_int_equal(a.items[0].flow.protocol, IPPROTO_ICMPV6);
	bh_sim_answers_done(&a);
	q.dst = "shop/cache";
	assert_err(bh_sim_ask(sim, &q, &a, &err), &err, -EINVAL, "shop/cache has no IPv6 address");
	bh_sim_free(&sim);
}

static void a_name_of_two_kinds_has_to_say_which(void **state)
{
	struct bh_sim *sim =
		sim_text("{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: a-1, "
			 "ownerReferences: "
			 "[{controller: true, kind: DaemonSet, name: a}]}}\n"
			 "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: a-2, "
			 "ownerReferences: [{controller: true, kind: Deployment, name: a}]}}\n");
	struct bh_sim_query q = query("shop/a", "10.0.0.1", IPPROTO_TCP, 1);
	struct bh_sim_answers a;
	struct bh_err err = { 0 };

	(void)state;
	assert_err(bh_sim_ask(sim, &q, &a, &err), &err, -EINVAL,
		   "is a DaemonSet and a Deployment; say which: shop/a[DaemonSet]");
	q.src = "shop/a[Deployment]";
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_string_equal(a.items[0].flow.src_pod->name, "a-2");
	bh_sim_answers_done(&a);
	bh_sim_free(&sim);
}

/* --- undecidable ------------------------------------------------------------------------ */

static void a_service_whose_pods_differ_is_undecidable(void **state)
{
	struct bh_sim *sim = sim_text(shop);
	struct bh_sim_query q = query("shop/web", "shop/sql", IPPROTO_TCP, 3306);
	struct bh_sim_answers a;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.verdict, BH_SIM_UNDECIDABLE);
	assert_string_equal(a.why,
			    "the pods of the Service differ: cache is denied, db is allowed");
	assert_int_equal(a.items[0].flow.dst_port, 6000);
	assert_int_equal(a.items[1].flow.dst_port, 5432);
	assert_string_equal(a.items[1].service->name, "sql");
	bh_sim_answers_done(&a);
	bh_sim_free(&sim);
}

static void a_pod_to_itself_through_its_service_is_undecidable_where_policy_denies_it(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD(
		"a", "") "---\n{apiVersion: v1, kind: Service, metadata: {namespace: shop, "
			 "name: s}, spec: {selector: {}, ports: [{port: 80}]}}\n"
			 "---\n{apiVersion: v1, kind: Service, metadata: {namespace: shop, "
			 "name: t}, spec: {selector: {app: b}, ports: [{port: 80}]}}\n"
			 "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: b, "
			 "labels: {app: b}}}\n"
			 "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: "
			 "{namespace: shop, name: p}, spec: {podSelector: {}, ingress: [{from: "
			 "[{podSelector: {matchLabels: {app: c}}}]}]}}\n");
	struct bh_sim_query q = query("shop/b", "shop/t", IPPROTO_TCP, 80);
	struct bh_sim_answers a;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_int_equal(a.verdict, BH_SIM_UNDECIDABLE);
	assert_contains(a.why, "shop/b reaches itself through the Service");
	assert_ptr_equal(a.items[0].flow.src_pod, a.items[0].flow.dst_pod);
	assert_ptr_equal(a.items[0].result.src.pod, a.items[0].flow.src_pod);
	bh_sim_answers_done(&a);
	bh_sim_free(&sim);
}

static void equal_priorities_are_undecidable_only_where_order_matters(void **state)
{
	static const struct {
		const char *rule, *policies;
		enum bh_sim_verdict want;
		const char *why;
	} t[] = {
		{ "one that denies and one that allows",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin deny port=TCP:80\n",
		  BH_SIM_UNDECIDABLE,
		  "ingress: ClusterNetworkPolicy a (Allow) and ClusterNetworkPolicy b (Deny) have "
		  "the same priority 1" },
		{ "other priorities",
		  "cluster a tier=admin prio=2 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin deny port=TCP:80\n",
		  BH_SIM_DENIED, "" },
		{ "another port",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin deny port=TCP:81\n",
		  BH_SIM_ALLOWED, "" },
		{ "passing on to what says the same",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin pass port=TCP:80\n",
		  BH_SIM_ALLOWED, "" },
		{ "passing on to what says another",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin pass port=TCP:80\n"
		  "policy shop/p pods=* types=ingress\n",
		  BH_SIM_UNDECIDABLE, "ClusterNetworkPolicy b (Pass)" },
		{ "decided by an earlier one",
		  "cluster a tier=admin prio=2 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=2 ns=* pods=*\nin deny port=TCP:80\n"
		  "cluster c tier=admin prio=1 ns=* pods=*\nin deny port=TCP:80\n",
		  BH_SIM_DENIED, "" },
		{ "denied by the other end",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=*\nin deny port=TCP:80\n"
		  "policy shop/p pods=app=web types=egress\n",
		  BH_SIM_DENIED, "" },
		{ "one of them in audit",
		  "cluster a tier=admin prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=admin prio=1 ns=* pods=* audit\nin deny port=TCP:80\n",
		  BH_SIM_ALLOWED, "" },
		{ "behind a tier that decides",
		  "cluster a tier=baseline prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=baseline prio=1 ns=* pods=*\nin deny port=TCP:80\n"
		  "policy shop/p pods=* types=ingress\nin allow\n",
		  BH_SIM_ALLOWED, "" },
		{ "passing on to the default deny, which says the same",
		  "ns shop deny=ingress\n"
		  "cluster a tier=baseline prio=1 ns=* pods=*\nin deny port=TCP:80\n"
		  "cluster b tier=baseline prio=1 ns=* pods=*\nin pass port=TCP:80\n",
		  BH_SIM_DENIED, "" },
		{ "in the last tier",
		  "cluster a tier=baseline prio=1 ns=* pods=*\nin allow port=TCP:80\n"
		  "cluster b tier=baseline prio=1 ns=* pods=*\nin deny port=TCP:80\n",
		  BH_SIM_UNDECIDABLE, "priority 1" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_sim *sim = bh_sim_new(&(struct bh_sim_config){ 0 });
		struct bh_sim_query q = query("shop/web", "shop/db", IPPROTO_TCP, 80);
		struct bh_sim_answers a;
		struct bh_err err = { 0 };

		world_text(bh_sim_world(sim), BH_SOURCE_MANIFEST,
			   "pod shop/web label=app:web\npod shop/db\n");
		world_text(bh_sim_world(sim), BH_SOURCE_MANIFEST, t[i].policies);
		bh_sim_finish(sim);
		assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
		if (a.verdict != t[i].want)
			fail_msg("%s: %s", t[i].rule, bh_sim_verdict_str(a.verdict));
		assert_contains(a.why, t[i].why);
		bh_sim_answers_done(&a);
		bh_sim_free(&sim);
	}
}

static void where_pods_run_matters_to_nodes(void **state)
{
	static const struct {
		const char *src, *dst;
		enum bh_sim_verdict want;
		const char *why;
	} t[] = {
		/* The pod may be on the node, or not. */
		{ "node:n1", "shop/anywhere", BH_SIM_UNDECIDABLE,
		  "on which node shop/anywhere runs" },
		{ "shop/host", "shop/anywhere", BH_SIM_UNDECIDABLE,
		  "on which node shop/anywhere runs" },
		{ "shop/host1", "shop/anywhere", BH_SIM_UNDECIDABLE, "node shop/anywhere runs" },
		{ "shop/host", "shop/on1", BH_SIM_UNDECIDABLE, "on which node shop/host runs" },
		{ "shop/host1", "shop/on1", BH_SIM_ALLOWED, "" },
		{ "node:n1", "shop/on1", BH_SIM_ALLOWED, "" },
		{ "node:n2", "shop/on1", BH_SIM_DENIED, "" },
		/* Allowed wherever it is. */
		{ "shop/host", "shop/open", BH_SIM_ALLOWED, "" },
		{ "shop/on1", "shop/host", BH_SIM_ALLOWED, "" },
	};
	struct bh_sim *sim = bh_sim_new(&(struct bh_sim_config){ 0 });
	size_t i;

	(void)state;
	world_text(bh_sim_world(sim), BH_SOURCE_MANIFEST,
		   "node n1 172.16.0.1\nnode n2 172.16.0.2\n"
		   "pod shop/anywhere label=a:b\npod shop/on1 node=n1 label=a:b\npod shop/open\n"
		   "pod shop/host host\npod shop/host1 host node=n1\n"
		   "policy shop/p pods=a=b types=ingress\n");
	bh_sim_finish(sim);
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_sim_query q = query(t[i].src, t[i].dst, IPPROTO_TCP, 80);
		struct bh_sim_answers a;
		struct bh_err err = { 0 };

		assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
		if (a.verdict != t[i].want)
			fail_msg("%s to %s: %s", q.src, q.dst, bh_sim_verdict_str(a.verdict));
		assert_contains(a.why, t[i].why);
		bh_sim_answers_done(&a);
	}
	bh_sim_free(&sim);
}

/* --- compat ------------------------------------------------------------------------------- */

static void in_compat_mode_a_block_of_addresses_has_no_pods(void **state)
{
	static const char text[] = ST_POD("a", ", status: {podIPs: [{ip: 10.0.0.1}]}")
		ST_POD("b", "") "---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, "
				"metadata: {namespace: shop, name: p}, spec: {podSelector: {}, "
				"ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}\n";
	struct bh_sim *sim = sim_text(text);
	struct bh_sim *compat = sim_text_with(&(struct bh_sim_config){ .is_compat = true }, text);
	struct bh_sim_query q = query("shop/a", "shop/b", IPPROTO_TCP, 80);
	struct bh_sim_answers a;
	struct bh_err err = { 0 };

	(void)state;
	assert_ok(bh_sim_ask(sim, &q, &a, &err), &err);
	assert_int_equal(a.verdict, BH_SIM_ALLOWED);
	bh_sim_answers_done(&a);
	assert_ok(bh_sim_ask(compat, &q, &a, &err), &err);
	assert_int_equal(a.verdict, BH_SIM_DENIED);
	bh_sim_answers_done(&a);
	/* An address is one outside, whoever has it. */
	q.src = "10.0.0.1";
	assert_ok(bh_sim_ask(compat, &q, &a, &err), &err);
	assert_int_equal(a.verdict, BH_SIM_ALLOWED);
	assert_null(a.items[0].flow.src_pod);
	bh_sim_answers_done(&a);
	bh_sim_free(&sim);
	bh_sim_free(&compat);
}

/* --- batch -------------------------------------------------------------------------------- */

static void assert_line(const struct bh_sim *sim, const char *line, int want_code, const char *want)
{
	struct bh_buf out = { 0 };
	int r = bh_sim_batch_line(sim, line, strlen(line), &out);

	if (r != want_code)
		fail_msg("%s: %d: %s", line, r, bh_buf_str(&out));
	assert_string_equal(bh_buf_str(&out), want);
	bh_buf_done(&out);
}

static void a_line_comes_back_with_its_answer_behind_it(void **state)
{
	struct bh_sim *sim = sim_text(shop);

	(void)state;
	assert_line(
		sim,
		"{\"src\": \"shop/web\", \"dst\": \"shop/cache\",  \"port\":5432, \"x\": 1.50} ", 0,
		"{\"src\": \"shop/web\", \"dst\": \"shop/cache\",  \"port\":5432, \"x\": 1.50, "
		"\"verdict\": \"allowed\", "
		"\"egress\": {\"verdict\": \"allowed\", \"rule\": null, "
		"\"reason\": \"not-isolated\"}, "
		"\"ingress\": {\"verdict\": \"allowed\", \"rule\": {\"kind\": \"NetworkPolicy\", "
		"\"namespace\": \"shop\", \"name\": \"db\", \"rule_index\": 0}, "
		"\"reason\": \"rule\"}}\n");
	/* What an answer had is replaced. */
	assert_line(
		sim,
		"{\"src\": \"shop/db\", \"error\": \"old\", \"dst\": \"10.9.9.9\", \"protocol\": "
		"\"icmp\", \"verdict\": \"denied\", \"family\": 4, \"port\": null}",
		0,
		"{\"src\": \"shop/db\", \"dst\": \"10.9.9.9\", \"protocol\": \"icmp\", "
		"\"family\": 4, \"port\": null, \"verdict\": \"allowed\", "
		"\"egress\": {\"verdict\": \"allowed\", \"rule\": null, "
		"\"reason\": \"not-isolated\"}, "
		"\"ingress\": {\"verdict\": \"allowed\", \"rule\": null, "
		"\"reason\": \"not-subject\"}}\n");
	bh_sim_free(&sim);
}

static void a_line_without_an_answer_says_why(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *error;
	} t[] = {
		{ "", -EINVAL, "{\"error\": \"'[' or '{' expected near end of file\"}\n" },
		{ "[]", -EINVAL, "{\"error\": \"the line is not an object\"}\n" },
		{ "{}", -EINVAL, "{\"error\": \"src: is missing\"}\n" },
		{ "{\"src\": 1}", -EINVAL, "{\"src\": 1, \"error\": \"src: is not a text\"}\n" },
		{ "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\"}", -EINVAL,
		  "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\", \"error\": \"port: is not a number "
		  "within 1-65535\"}\n" },
		{ "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":0}", -EINVAL,
		  "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":0, \"error\": \"port: is "
		  "not a "
		  "number within 1-65535\"}\n" },
		{ "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"protocol\":\"icmp\"}",
		  -EINVAL,
		  "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"protocol\":\"icmp\", "
		  "\"error\": \"port: this protocol has none\"}\n" },
		{ "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"protocol\":\"tcpp\"}",
		  -EINVAL,
		  "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"protocol\":\"tcpp\", "
		  "\"error\": \"protocol: is not one of TCP, UDP, SCTP, ICMP, ICMPv6\"}\n" },
		{ "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"family\":5}", -EINVAL,
		  "{\"src\":\"10.0.0.1\",\"dst\":\"10.0.0.2\",\"port\":1,\"family\":5, "
		  "\"error\": \"family: is neither 4 nor 6\"}\n" },
		{ "{\"src\":\"a/b\",\"dst\":\"10.0.0.2\",\"port\":1}", -ENOENT,
		  "{\"src\":\"a/b\",\"dst\":\"10.0.0.2\",\"port\":1, \"error\": \"there is no pod "
		  "or "
		  "workload 'a/b'\"}\n" },
	};
	struct bh_sim *sim = sim_text(ST_POD("a", ""));
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		assert_line(sim, t[i].line, t[i].code, t[i].error);
	bh_sim_free(&sim);
}

static void every_answer_of_a_batch_is_json_of_its_own(void **state)
{
	static const char *const lines[] = {
		("{\"src\": \"shop/web\", \"dst\": \"shop/sql\", \"port\": 3306, \"note\": "
		 "\"\\u00fc\"}"),
		"{\"src\": \"203.0.113.9\", \"dst\": \"svc:shop/web\", \"port\": 80}",
		"{\"src\": \"shop/web\", \"dst\": \"shop/none\", \"port\": 80}",
	};
	static const char *const verdicts[] = { "undecidable", "allowed", NULL };
	struct bh_sim *sim = sim_text(shop);
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(lines); i++) {
		struct bh_buf out = { 0 };
		json_t *json;

		bh_sim_batch_line(sim, lines[i], strlen(lines[i]), &out);
		json = json_loads(bh_buf_str(&out), JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(json);
		if (verdicts[i]) {
			const json_t *pods = json_object_get(json, "pods");

			assert_string_equal(json_string_value(json_object_get(json, "verdict")),
					    verdicts[i]);
			assert_int_equal(json_array_size(pods), 2);
			assert_true(json_is_object(json_object_get(json, "egress")));
			assert_true(json_is_object(
				json_object_get(json_array_get(pods, 1), "ingress")));
		} else {
			assert_non_null(json_object_get(json, "error"));
		}
		json_decref(json);
		bh_buf_done(&out);
	}
	bh_sim_free(&sim);
}

/* --- the engine says the same ------------------------------------------------------------- */

#define N_SEEDS     150
#define N_QUESTIONS 60

struct random_end {
	char text[64];
	const struct bh_pod *pod;
	const struct bh_addr *addrs;
	size_t n_addrs;
	struct bh_addr single;
};

static void random_end(struct gen *g, struct random_end *e)
{
	uint32_t what = gen_next(g, 100), i = gen_next(g, GEN_PODS);
	char text[BH_ADDR_STRLEN];
	const struct bh_node *node;

	*e = (struct random_end){ 0 };
	if (what < 60) {
		struct bh_key key = gen_pod_key(g, i);

		e->pod = bh_world_pod_by_name(g->w, key.namespace, key.name);
		snprintf(e->text, sizeof(e->text), "%s/%s", key.namespace, key.name);
		e->addrs = e->pod->addrs;
		e->n_addrs = e->pod->n_addrs;
		node = e->pod->is_host_network ? bh_world_node(g->w, e->pod->node) : NULL;
	} else if (what < 75) {
		node = bh_world_node(g->w, what % 2 ? "n1" : "n2");
		snprintf(e->text, sizeof(e->text), "node:%s", node->name);
	} else {
		node = NULL;
		e->single = what < 90 ? gen_addr(gen_next(g, GEN_ADDRS))
				      : (struct bh_addr){ .bytes = { 192, 0, 2, 200 } };
		snprintf(e->text, sizeof(e->text), "%s", bh_addr_format(&e->single, text));
		e->addrs = &e->single;
		e->n_addrs = 1;
	}
	if (node) {
		e->addrs = node->addrs;
		e->n_addrs = node->n_addrs;
	}
}

/* The flow between the first addresses of a family that both have. */
static bool flow_of(const struct random_end *src, const struct random_end *dst, struct bh_flow *f)
{
	size_t family, i, k;

	f->src_pod = src->pod;
	f->dst_pod = dst->pod;
	for (family = 0; family < BH_FAMILY_COUNT_; family++) {
		bool has_src = src->n_addrs == 0, has_dst = dst->n_addrs == 0;

		f->src = f->dst = (struct bh_addr){ .family = (uint8_t)family };
		for (i = src->n_addrs; i-- > 0;)
			if (src->addrs[i].family == family) {
				f->src = src->addrs[i];
				has_src = true;
			}
		for (k = dst->n_addrs; k-- > 0;)
			if (dst->addrs[k].family == family) {
				f->dst = dst->addrs[k];
				has_dst = true;
			}
		if (has_src && has_dst)
			return true;
	}
	return false;
}

static void ask_random(struct gen *g, const struct bh_sim *sim, size_t *n_asked)
{
	struct bh_flow f = { .protocol = GEN_PICK(g, gen_protocols),
			     .dst_port = GEN_PICK(g, gen_ports) };
	struct random_end src, dst;
	struct bh_sim_query q;
	struct bh_sim_answers a;
	struct bh_result want;
	struct bh_err err = { 0 };
	bool has_flow;

	random_end(g, &src);
	random_end(g, &dst);
	q = query(src.text, dst.text, f.protocol, f.dst_port);
	has_flow = flow_of(&src, &dst, &f);
	assert_int_equal(bh_sim_ask(sim, &q, &a, &err), has_flow ? 0 : -EINVAL);
	if (!has_flow)
		return;
	bh_eval(g->w, &f, &want);
	assert_int_equal(a.items[0].result.verdict, want.verdict);
	assert_int_equal(a.items[0].result.audit_verdict, want.audit_verdict);
	if (a.verdict != BH_SIM_UNDECIDABLE)
		assert_int_equal(a.verdict, (int)want.verdict);
	bh_sim_answers_done(&a);
	++*n_asked;
}

/* Spans are exact: whatever is asked, its span says what the engine does. */
static void ask_spans(struct gen *g, const struct bh_sim *sim, size_t *n_asked)
{
	struct random_end src, dst;
	struct bh_sim_query q;
	struct bh_sim_spans s;
	struct bh_flow f = { 0 };
	struct bh_result want;
	struct bh_err err = { 0 };
	bool is_undecidable;
	uint32_t i, k, d;

	random_end(g, &src);
	random_end(g, &dst);
	q = query(src.text, dst.text, 0, 0);
	if (!flow_of(&src, &dst, &f))
		return;
	assert_ok(bh_sim_ask_all(sim, &q, &s, &err), &err);
	for (i = 0; i < 40; i++) {
		f.protocol = GEN_PICK(g, gen_protocols);
		f.dst_port = (uint16_t)(GEN_PICK(g, gen_ports) + gen_next(g, 3));
		f.dst_port = gen_chance(g, 20) ? (uint16_t)(1 + gen_next(g, 65535)) : f.dst_port;
		if (gen_chance(g, 10)) {
			f.protocol = f.src.family == BH_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
			f.dst_port = 0;
		}
		bh_eval(g->w, &f, &want);
		is_undecidable = bh_conns_has(s.undecidable, f.protocol, f.dst_port);
		assert_true(is_undecidable || bh_conns_has(s.allowed, f.protocol, f.dst_port) ==
						      (want.verdict == BH_VERDICT_ALLOWED));
		for (d = 0; d < BH_DIR_COUNT_; d++) {
			for (k = 0; k < s.n[d]; k++)
				if (bh_conns_has(s.items[d][k].conns, f.protocol, f.dst_port))
					break;
			assert_true(k < s.n[d]);
			assert_int_equal(s.items[d][k].result.dir[d].reason, want.dir[d].reason);
			assert_ptr_equal(s.items[d][k].result.dir[d].rule.policy,
					 want.dir[d].rule.policy);
		}
	}
	bh_sim_spans_done(&s);
	++*n_asked;
}

static void questions_to_random_worlds_are_answered_as_the_engine_does(void **state)
{
	size_t n_asked = 0, n_spans = 0;
	uint64_t seed;
	int i;

	(void)state;
	for (seed = 1; seed <= N_SEEDS; seed++) {
		struct simgen s;

		simgen_init(&s, seed);
		simgen_fill(&s, 0);
		bh_sim_finish(s.sim);
		for (i = 0; i < N_QUESTIONS; i++)
			ask_random(&s.gen, s.sim, &n_asked);
		for (i = 0; i < 4; i++)
			ask_spans(&s.gen, s.sim, &n_spans);
		simgen_done(&s);
	}
	assert_true(n_asked > N_SEEDS * N_QUESTIONS / 2 && n_spans > N_SEEDS);
}

/* --- and a Service leads where its selector says ------------------------------------------- */

static void add_service(struct gen *g, struct bh_sim *sim, const char *ns, const char *key,
			const char *value, bool is_headless, const char *target)
{
	bh_auto_free char *text = bh_asprintf(
		"{apiVersion: v1, kind: Service, metadata: {namespace: %s, name: svc}, spec: {%s"
		"selector: {%s: %s}, ports: [{port: 1234, targetPort: %s}]}}",
		ns, is_headless ? "clusterIP: None, " : "", key, value, target);

	(void)g;
	sim_text_add(sim, "service.yaml", text);
}

/* -1 where the Service leads nowhere, else the mask of verdicts: 1 allowed, 2 denied. */
static int expected(struct gen *g, const struct bh_pod *src, const char *ns, const char *key,
		    const char *value, bool is_headless, const char *target)
{
	const struct bh_pod *const *pods;
	size_t i, k, n = bh_world_pods(g->w, &pods);
	int mask = 0;

	for (i = 0; i < n; i++) {
		const char *label = bh_labels_get(&pods[i]->labels, key);
		struct bh_flow f = { .protocol = IPPROTO_TCP, .dst_port = 1234 };
		struct random_end from = { .pod = src }, to = { .pod = pods[i] };
		struct bh_result r;

		if (strcmp(pods[i]->namespace, ns) != 0 || !label || strcmp(label, value) != 0 ||
		    pods[i]->is_finished)
			continue;
		if (!is_headless) {
			f.dst_port = (uint16_t)atoi(target);
			for (k = 0; k < pods[i]->n_ports && f.dst_port == 0; k++)
				if (strcmp(pods[i]->ports[k].name, target) == 0 &&
				    pods[i]->ports[k].protocol == IPPROTO_TCP)
					f.dst_port = pods[i]->ports[k].number;
		}
		if (f.dst_port == 0)
			continue;
		if (src == pods[i])
			return -2; /* a matter of its own */
		from.addrs = src->addrs;
		from.n_addrs = src->n_addrs;
		to.addrs = pods[i]->addrs;
		to.n_addrs = pods[i]->n_addrs;
		if (src->is_host_network || pods[i]->is_host_network || !flow_of(&from, &to, &f))
			return -2;
		bh_eval(g->w, &f, &r);
		mask |= r.verdict == BH_VERDICT_ALLOWED ? 1 : 2;
	}
	return mask ? mask : -1;
}

static void a_service_of_a_random_world_is_all_of_its_pods(void **state)
{
	static const enum bh_sim_verdict verdicts[] = {
		[1] = BH_SIM_ALLOWED, [2] = BH_SIM_DENIED, [3] = BH_SIM_UNDECIDABLE
	};
	size_t n[4] = { 0 }, n_nowhere = 0;
	uint64_t seed;

	(void)state;
	/* Even ones: without tiers, so that only pods that differ are undecidable. */
	for (seed = 2; seed <= 4000; seed += 2) {
		const char *ns, *key, *value, *target;
		const struct bh_pod *src;
		struct bh_sim_query q;
		struct bh_sim_answers a;
		struct bh_err err = { 0 };
		char from[64], to[64];
		bool is_headless;
		struct bh_key pod;
		struct simgen s;
		struct gen *g = &s.gen;
		int want, r;

		simgen_init(&s, seed);
		simgen_fill(&s, 0);
		ns = GEN_PICK(g, gen_spaces);
		key = GEN_PICK(g, gen_keys);
		value = GEN_PICK(g, gen_values);
		is_headless = gen_chance(g, 20);
		target = gen_chance(g, 40) ? GEN_PICK(g, gen_names) : "80";
		add_service(g, s.sim, ns, key, value, is_headless, target);
		bh_sim_finish(s.sim);
		pod = gen_pod_key(g, gen_next(g, GEN_PODS));
		src = bh_world_pod_by_name(g->w, pod.namespace, pod.name);
		snprintf(from, sizeof(from), "%s/%s", pod.namespace, pod.name);
		snprintf(to, sizeof(to), "%s/svc", ns);
		q = query(from, to, IPPROTO_TCP, 1234);
		want = expected(g, src, ns, key, value, is_headless, target);
		r = bh_sim_ask(s.sim, &q, &a, &err);
		if (want == -1) {
			assert_err(r, &err, -ENOENT, "leads to no pod");
			n_nowhere++;
		} else if (want > 0) {
			assert_ok(r, &err);
			assert_int_equal(a.verdict, verdicts[want]);
			n[want]++;
		}
		if (r == 0)
			bh_sim_answers_done(&a);
		simgen_done(&s);
	}
	assert_true(n[1] > 20 && n[2] > 20 && n[3] > 0 && n_nowhere > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ends_are_who_they_are_written_to_be),
		cmocka_unit_test(what_cannot_be_asked_is_said_with_a_hint),
		cmocka_unit_test(the_family_is_what_is_asked_for),
		cmocka_unit_test(a_name_of_two_kinds_has_to_say_which),
		cmocka_unit_test(a_service_whose_pods_differ_is_undecidable),
		cmocka_unit_test(
			a_pod_to_itself_through_its_service_is_undecidable_where_policy_denies_it),
		cmocka_unit_test(equal_priorities_are_undecidable_only_where_order_matters),
		cmocka_unit_test(where_pods_run_matters_to_nodes),
		cmocka_unit_test(in_compat_mode_a_block_of_addresses_has_no_pods),
		cmocka_unit_test(a_line_comes_back_with_its_answer_behind_it),
		cmocka_unit_test(a_line_without_an_answer_says_why),
		cmocka_unit_test(every_answer_of_a_batch_is_json_of_its_own),
		cmocka_unit_test(questions_to_random_worlds_are_answered_as_the_engine_does),
		cmocka_unit_test(a_service_of_a_random_world_is_all_of_its_pods),
	};

	return cmocka_run_group_tests_name("sim_query", tests, NULL, NULL);
}
