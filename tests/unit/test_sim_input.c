/*
 * What the simulator makes of its input.
 */
#include "test.h"

#include "bh/manifest.h"
#include "sim_text.h"

static const struct bh_pod *pod_of(const struct bh_sim *sim, const char *name)
{
	const struct bh_pod *pod = bh_world_pod_by_name(bh_sim_world(sim), "shop", name);

	if (!pod)
		fail_msg("there is no pod %s", name);
	return pod;
}

/* "shop/api[Pod]: api; shop/web[Deployment]: web, web-1" */
static void assert_workloads(const struct bh_sim *sim, const char *want)
{
	const struct bh_sim_workload *w;
	size_t i, k, n = bh_sim_workloads(sim, &w);
	struct bh_buf b = { 0 };

	for (i = 0; i < n; i++) {
		bh_buf_puts(&b, i ? "; " : "");
		bh_sim_workload_label(&w[i], &b);
		bh_buf_puts(&b, ": ");
		for (k = 0; k < w[i].n_pods; k++) {
			bh_buf_printf(&b, "%s%s", k ? ", " : "", w[i].pods[k]->name);
			assert_ptr_equal(bh_sim_workload_of(sim, w[i].pods[k]), &w[i]);
		}
	}
	assert_string_equal(bh_buf_str(&b), want);
	bh_buf_done(&b);
}

#define OWNED(kind, name, pod, rest)                                                               \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " pod                  \
	", ownerReferences: [{controller: true, kind: " kind ", name: " name "}]}" rest "}\n"

static void pods_are_one_by_their_controlling_owner(void **state)
{
	struct bh_sim *sim = sim_text(
		OWNED("StatefulSet", "db", "db-1", "") OWNED("StatefulSet", "db", "db-0", "")
			ST_POD("alone", "") OWNED("ReplicaSet", "rs", "rs-x", ""));

	(void)state;
	assert_workloads(sim, "shop/alone[Pod]: alone; shop/db[StatefulSet]: db-0, db-1; "
			      "shop/rs[ReplicaSet]: rs-x");
	bh_sim_free(&sim);
}

static void finished_pods_are_left_out_but_not_from_the_world(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("done", ", status: {phase: Succeeded}"));

	(void)state;
	assert_workloads(sim, "");
	assert_null(bh_sim_workload_of(sim, pod_of(sim, "done")));
	bh_sim_free(&sim);
}

#define MAKER(kind, group, name, owner, replicas, pods)                                            \
	"---\n{apiVersion: " group ", kind: " kind                                                 \
	", metadata: {namespace: shop, name: " name owner "}, spec: {" replicas                    \
	"selector: {matchLabels: {app: " name "}}, template: {metadata: {labels: {app: " name      \
	"}}, " pods "}}}\n"
#define OWNER(kind, name)                                                                          \
	", ownerReferences: [{apiVersion: apps/v1, controller: true, uid: u, kind: " kind          \
	", name: " name "}]"
#define DEPLOYMENT(name, replicas) MAKER("Deployment", "apps/v1", name, "", replicas, "")

static void workloads_without_pods_get_one_or_two(void **state)
{
	struct bh_sim *sim = sim_text(
		DEPLOYMENT("web", "replicas: 5, ") DEPLOYMENT("api", "")
			MAKER("StatefulSet", "apps/v1", "db", "", "replicas: 1, ", "")
				MAKER("DaemonSet", "apps/v1", "agent", "", "",
				      "spec: {hostNetwork: true, containers: [{name: c}]}"));

	(void)state;
	assert_workloads(sim, "shop/agent[DaemonSet]: agent; shop/api[Deployment]: api; "
			      "shop/db[StatefulSet]: db; shop/web[Deployment]: web, web-1");
	assert_true(pod_of(sim, "agent")->is_host_network);
	assert_string_equal(pod_of(sim, "web-1")->labels.items[0].value, "web");
	assert_string_equal(pod_of(sim, "web-1")->workload_kind, "Deployment");
	bh_sim_free(&sim);
}

static void workloads_with_pods_get_none(void **state)
{
	struct bh_sim *sim = sim_text(
		DEPLOYMENT("web", "replicas: 3, ") OWNED("Deployment", "web", "web-x", "")
			DEPLOYMENT("old", "replicas: 2, ")
				OWNED("Deployment", "old", "old-x", ", status: {phase: Failed}"));

	(void)state;
	/* What failed is replaced by its Deployment. */
	assert_workloads(sim, "shop/old[Deployment]: old, old-1; shop/web[Deployment]: web-x");
	bh_sim_free(&sim);
}

static void pods_belong_to_the_owner_of_their_owner(void **state)
{
	struct bh_sim *sim = sim_text(DEPLOYMENT("web", "replicas: 2, ") MAKER(
		"ReplicaSet", "apps/v1", "web-1", OWNER("Deployment", "web"), "",
		"") MAKER("ReplicaSet", "apps/v1", "web-2", OWNER("Deployment", "web"), "", "")
					      OWNED("ReplicaSet", "web-2", "web-2-x", "")
						      MAKER("Deployment", "apps/v1", "op",
							    OWNER("Operator", "o"), "", ""));

	(void)state;
	assert_workloads(sim, "shop/op[Deployment]: op; shop/web[Deployment]: web-2-x");
	bh_sim_free(&sim);
}

static void an_owner_that_is_missing_still_names_the_workload(void **state)
{
	struct bh_sim *sim = sim_text(
		MAKER("ReplicaSet", "apps/v1", "web-1", OWNER("Deployment", "web"), "replicas: 0, ",
		      "") MAKER("ReplicaSet", "apps/v1", "web-2", OWNER("Deployment", "web"),
				"replicas: 2, ", ""));

	(void)state;
	assert_workloads(sim, "shop/web[Deployment]: web, web-1");
	assert_string_equal(pod_of(sim, "web")->labels.items[0].value, "web-2");
	bh_sim_free(&sim);
}

static void a_job_that_is_finished_is_no_workload(void **state)
{
	struct bh_sim *sim = sim_text(
		"{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: once}, spec: "
		"{template: {metadata: {labels: {a: b}}}}}\n"
		"---\n{apiVersion: batch/v1, kind: Job, metadata: {namespace: shop, name: soon}, "
		"spec: "
		"{template: {metadata: {labels: {a: b}}}}}\n" OWNED(
			"Job", "once", "once-x", ", status: {phase: Succeeded}"));

	(void)state;
	assert_workloads(sim, "shop/soon[Job]: soon");
	bh_sim_free(&sim);
}

static void a_made_up_pod_takes_a_name_that_is_free(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("web", "") ST_POD("web-statefulset", "") DEPLOYMENT(
		"web", "replicas: 2, ") MAKER("StatefulSet", "apps/v1", "web", "", "", ""));

	(void)state;
	assert_workloads(sim, "shop/web[Deployment]: web-deployment, web-deployment-1; "
			      "shop/web[Pod]: web; shop/web[StatefulSet]: web-statefulset-2; "
			      "shop/web-statefulset[Pod]: web-statefulset");
	bh_sim_free(&sim);
}

static void services_are_sorted_and_the_later_of_one_name_counts(void **state)
{
	struct bh_sim *sim = sim_text(
		"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: b}, spec: "
		"{selector: "
		"{app: x}, clusterIP: None, ports: [{name: http, port: 80, targetPort: web}]}}\n"
		"---\n{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: a}, spec: "
		"{ports: [{port: 1}]}}\n"
		"---\n{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: a}, spec: "
		"{ports: [{port: 2}]}}\n");
	const struct bh_service *const *s;
	const struct bh_sim_duplicate *d;

	(void)state;
	assert_int_equal(bh_sim_services(sim, &s), 2);
	assert_string_equal(s[0]->name, "a");
	assert_int_equal(s[0]->ports[0].port, 2);
	assert_string_equal(s[1]->name, "b");
	assert_true(s[1]->is_headless);
	assert_string_equal(s[1]->ports[0].target_name, "web");
	assert_string_equal(s[1]->selector.reqs[0].key, "app");
	assert_int_equal(bh_sim_duplicates(sim, &d), 1);
	bh_sim_free(&sim);
}

/* --- addresses ----------------------------------------------------------------------- */

static bool is_within(const struct bh_addr *a, const char *cidr)
{
	struct bh_cidr c;

	assert_int_equal(bh_cidr_parse(cidr, &c, NULL), 0);
	return bh_cidr_contains(&c, a);
}

static void pods_without_addresses_get_one_of_each_family(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("a", "") ST_POD("b", ""));
	const struct bh_pod *a = pod_of(sim, "a"), *b = pod_of(sim, "b");

	(void)state;
	assert_int_equal(a->n_addrs, 2);
	assert_true(is_within(&a->addrs[0], "198.18.0.0/15"));
	assert_true(is_within(&a->addrs[1], "2001:2::/48"));
	assert_false(bh_addr_eq(&a->addrs[0], &b->addrs[0]));
	assert_true(bh_sim_is_made_up(sim, &a->addrs[0]));
	assert_true(bh_sim_is_made_up(sim, &b->addrs[1]));
	assert_ptr_equal(bh_world_pod_by_addr(bh_sim_world(sim), &a->addrs[1]), a);
	bh_sim_free(&sim);
}

static void a_made_up_address_is_the_same_in_another_input(void **state)
{
	struct bh_sim *one = sim_text(ST_POD("a", "")), *two = NULL;
	struct bh_addr addr = pod_of(one, "a")->addrs[0];
	char text[BH_ADDR_STRLEN];

	(void)state;
	two = sim_text(ST_POD("b", "") ST_POD("a", "") ST_POD("c", ""));
	assert_true(bh_addr_eq(&pod_of(two, "a")->addrs[0], &addr));
	/* Nor does it change from one version of this program to the next. */
	assert_string_equal(bh_addr_format(&addr, text), "198.19.111.131");
	bh_sim_free(&one);
	bh_sim_free(&two);
}

static void given_addresses_stay(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("a", ", status: {podIPs: [{ip: 10.0.0.1}]}"));
	const struct bh_pod *a = pod_of(sim, "a");

	(void)state;
	assert_int_equal(a->n_addrs, 1);
	assert_false(bh_sim_is_made_up(sim, &a->addrs[0]));
	bh_sim_free(&sim);
}

static void host_network_and_finished_pods_get_no_address(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("host", ", spec: {hostNetwork: true}")
					      ST_POD("done", ", status: {phase: Failed}"));

	(void)state;
	assert_int_equal(pod_of(sim, "host")->n_addrs, 0);
	assert_int_equal(pod_of(sim, "done")->n_addrs, 0);
	bh_sim_free(&sim);
}

static void a_node_that_only_pods_name_is_made_up(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("a", ", spec: {nodeName: n1}"));
	const struct bh_node *node = bh_world_node(bh_sim_world(sim), "n1");

	(void)state;
	assert_non_null(node);
	assert_int_equal(node->n_addrs, 2);
	assert_true(bh_sim_is_made_up(sim, &node->addrs[0]));
	bh_sim_free(&sim);
}

#define BLOCKS(list)                                                                               \
	"---\n{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"                             \
	" metadata: {namespace: shop, name: p}, spec: {podSelector: {}, ingress: [{from: [" list   \
	"]}]}}\n"

/* Half of the block is named, and all pods have their addresses in the other. */
static void made_up_addresses_are_in_no_block_that_a_policy_names(void **state)
{
	struct bh_sim *sim;
	struct bh_buf text = { 0 };
	const struct bh_pod *const *pods;
	size_t i, n;

	(void)state;
	for (i = 0; i < 40; i++)
		bh_buf_printf(&text, ST_POD("p%zu", ""), i);
	bh_buf_puts(&text, BLOCKS("{ipBlock: {cidr: 0.0.0.0/0, except: [198.18.0.0/16]}}, "
				  "{ipBlock: {cidr: '2001:2::/97'}}"));
	bh_buf_puts(&text, ST_POD("told", ", status: {podIPs: [{ip: 198.19.0.1}]}"));
	sim = sim_text(bh_buf_str(&text));
	n = bh_world_pods(bh_sim_world(sim), &pods);
	assert_int_equal(n, 41);
	for (i = 0; i + 1 < n; i++) {
		assert_true(is_within(&pods[i]->addrs[0], "198.19.0.0/16"));
		assert_true(is_within(&pods[i]->addrs[1], "2001:2::8000:0/97"));
	}
	bh_sim_free(&sim);
	bh_buf_done(&text);
}

static void a_block_that_is_named_as_a_whole_is_left_for_another(void **state)
{
	static const struct {
		const char *blocks;
		const char *want;
	} t[] = {
		{ "{ipBlock: {cidr: 0.0.0.0/0}}", "198.18.0.0/15" },
		{ "{ipBlock: {cidr: 198.0.0.0/8}}", "240.0.0.0/5" },
		{ "{ipBlock: {cidr: 0.0.0.0/0, except: [198.18.0.0/15]}}", "240.0.0.0/5" },
		/* Everything reserved is: then a cluster's address is among it. */
		{ "{ipBlock: {cidr: 0.0.0.0/1, except: []}}, {ipBlock: {cidr: 128.0.0.0/1}}",
		  "198.18.0.0/15" },
		/* Full but for its ends, which are not used. */
		{ "{ipBlock: {cidr: 198.18.0.0/16}}, {ipBlock: {cidr: 198.19.0.0/16}}",
		  "240.0.0.0/5" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text =
			bh_asprintf("%s" BLOCKS("%s"), ST_POD("a", ""), t[i].blocks);
		struct bh_sim *sim = sim_text(text);

		if (!is_within(&pod_of(sim, "a")->addrs[0], t[i].want))
			fail_msg("not within %s for %s", t[i].want, t[i].blocks);
		bh_sim_free(&sim);
	}
}

/* --- one name twice ------------------------------------------------------------------- */

static void the_later_of_two_objects_of_one_name_wins(void **state)
{
	struct bh_sim *sim = bh_sim_new(&(struct bh_sim_config){ 0 });
	const struct bh_sim_duplicate *d;

	(void)state;
	sim_text_add(sim, "a.yaml",
		     "{apiVersion: v1, kind: Pod, metadata: {namespace: shop, "
		     "name: web, uid: u1}}\n");
	sim_text_add(sim, "b.yaml",
		     "\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, "
		     "name: web, uid: u2, labels: {v: '2'}}}\n");
	bh_sim_finish(sim);
	assert_int_equal(bh_sim_duplicates(sim, &d), 1);
	assert_string_equal(d->subject, "Pod shop/web");
	assert_string_equal(d->file, "a.yaml");
	assert_string_equal(d->other_file, "b.yaml");
	assert_int_equal(d->line, 1);
	assert_int_equal(d->other_line, 2);
	assert_workloads(sim, "shop/web[Pod]: web");
	assert_int_equal(pod_of(sim, "web")->labels.n, 1);
	bh_sim_free(&sim);
}

/* --- what is said of objects ------------------------------------------------------------ */

static void warnings_and_errors_are_kept_with_their_place(void **state)
{
	struct bh_sim *sim = sim_text("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,\n"
				      "metadata: {namespace: shop, name: p},\n"
				      "spec: {podSelector: {}, ingres: [],\n"
				      "policyTypes: [Outgress]}}\n");
	const struct bh_sim_remark *r;
	size_t n = bh_sim_remarks(sim, &r);

	(void)state;
	assert_int_equal(n, 2);
	assert_true(r[0].is_error);
	assert_int_equal(r[0].line, 3);
	assert_contains(r[0].text, "spec.ingres");
	assert_false(r[1].is_error);
	assert_int_equal(r[1].line, 4);
	assert_contains(r[1].text, "spec.policyTypes[0]");
	assert_string_equal(r[1].subject, "NetworkPolicy shop/p");
	assert_string_equal(r[1].file, "test.yaml");
	bh_sim_free(&sim);
}

static void skipped_kinds_are_counted(void **state)
{
	struct bh_sim *sim =
		sim_text("{apiVersion: v1, kind: Secret, metadata: {name: a}}\n"
			 "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
			 "---\n{apiVersion: v1, kind: Secret, metadata: {name: b}}\n");
	const struct bh_sim_skipped *s;

	(void)state;
	assert_int_equal(bh_sim_skipped(sim, &s), 2);
	assert_string_equal(s[0].kind, "ConfigMap");
	assert_int_equal(s[0].n, 1);
	assert_string_equal(s[1].kind, "Secret");
	assert_int_equal(s[1].n, 2);
	bh_sim_free(&sim);
}

static void namespaces_that_are_only_named_are_told_apart(void **state)
{
	struct bh_sim *sim = sim_text(ST_POD("a", "") "---\n{apiVersion: v1, kind: Namespace, "
						      "metadata: {name: prod}}\n");

	(void)state;
	assert_true(bh_sim_has_namespace(sim, "prod"));
	assert_false(bh_sim_has_namespace(sim, "shop"));
	assert_non_null(bh_world_namespace(bh_sim_world(sim), "shop"));
	bh_sim_free(&sim);
}

/* --- as netpol-analyzer sees it ------------------------------------------------------------ */

static void in_compat_mode_all_pods_are_ordinary_and_have_no_address(void **state)
{
	struct bh_sim *sim =
		sim_text_with(&(struct bh_sim_config){ .is_compat = true },
			      ST_POD("host", ", spec: {hostNetwork: true}")
				      ST_POD("done", ", status: {phase: Succeeded, podIPs: [{ip: "
						     "10.0.0.1}]}"));

	(void)state;
	assert_true(bh_sim_is_compat(sim));
	assert_workloads(sim, "shop/done[Pod]: done; shop/host[Pod]: host");
	assert_false(pod_of(sim, "host")->is_host_network);
	assert_int_equal(pod_of(sim, "done")->n_addrs, 0);
	assert_int_equal(pod_of(sim, "host")->n_addrs, 0);
	bh_sim_free(&sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pods_are_one_by_their_controlling_owner),
		cmocka_unit_test(finished_pods_are_left_out_but_not_from_the_world),
		cmocka_unit_test(workloads_without_pods_get_one_or_two),
		cmocka_unit_test(workloads_with_pods_get_none),
		cmocka_unit_test(pods_belong_to_the_owner_of_their_owner),
		cmocka_unit_test(an_owner_that_is_missing_still_names_the_workload),
		cmocka_unit_test(a_job_that_is_finished_is_no_workload),
		cmocka_unit_test(a_made_up_pod_takes_a_name_that_is_free),
		cmocka_unit_test(services_are_sorted_and_the_later_of_one_name_counts),
		cmocka_unit_test(pods_without_addresses_get_one_of_each_family),
		cmocka_unit_test(a_made_up_address_is_the_same_in_another_input),
		cmocka_unit_test(given_addresses_stay),
		cmocka_unit_test(host_network_and_finished_pods_get_no_address),
		cmocka_unit_test(a_node_that_only_pods_name_is_made_up),
		cmocka_unit_test(made_up_addresses_are_in_no_block_that_a_policy_names),
		cmocka_unit_test(a_block_that_is_named_as_a_whole_is_left_for_another),
		cmocka_unit_test(the_later_of_two_objects_of_one_name_wins),
		cmocka_unit_test(warnings_and_errors_are_kept_with_their_place),
		cmocka_unit_test(skipped_kinds_are_counted),
		cmocka_unit_test(namespaces_that_are_only_named_are_told_apart),
		cmocka_unit_test(in_compat_mode_all_pods_are_ordinary_and_have_no_address),
	};

	return cmocka_run_group_tests_name("sim_input", tests, NULL, NULL);
}
