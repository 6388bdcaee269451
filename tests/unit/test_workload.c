#include "object_text.h"

#include <errno.h>
#include <netinet/in.h>

static const struct bh_origin wanted = { .wants_workloads = true };

static struct bh_decoded *decode_ok(const char *text)
{
	struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	assert_ok(decode_as(text, &wanted, &d, &err), &err);
	return d;
}

static char *workload_text(const char *version, const char *kind, const char *spec)
{
	return bh_asprintf("{'apiVersion':'%s','kind':'%s','metadata':{'name':'web',"
			   "'namespace':'shop'},'spec':%s}",
			   version, kind, spec);
}

#define WEB        "'metadata':{'labels':{'app':'web'}}"
#define TEMPLATE   "'template':{" WEB "}"
#define SELECTED   "'selector':{'matchLabels':{'app':'web'}},"
#define CONTAINERS "'containers':[{'ports':[{'name':'http','containerPort':80}]}]"

static void each_kind_of_workload_is_read(void **state)
{
	static const struct {
		const char *version, *kind, *spec;
		uint32_t replicas;
	} t[] = {
		{ "apps/v1", "Deployment", "{'replicas':3," SELECTED TEMPLATE "}", 3 },
		{ "apps/v1", "Deployment", "{" SELECTED TEMPLATE "}", 1 },
		{ "apps/v1", "Deployment", "{'replicas':0," SELECTED TEMPLATE "}", 0 },
		{ "apps/v1", "ReplicaSet", "{'replicas':2," SELECTED TEMPLATE "}", 2 },
		{ "apps/v1", "StatefulSet",
		  "{'serviceName':'db','replicas':2," SELECTED TEMPLATE "}", 2 },
		{ "apps/v1", "DaemonSet", "{" SELECTED TEMPLATE "}", 1 },
		{ "v1", "ReplicationController",
		  "{'replicas':2,'selector':{'app':'web'}," TEMPLATE "}", 2 },
		{ "v1", "ReplicationController", "{" TEMPLATE "}", 1 },
		{ "batch/v1", "Job", "{'parallelism':5," TEMPLATE "}", 1 },
		{ "batch/v1", "Job", "{" SELECTED TEMPLATE "}", 1 },
		{ "batch/v1", "CronJob",
		  "{'schedule':'@daily','jobTemplate':{'spec':{" TEMPLATE "}}}", 1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = workload_text(t[i].version, t[i].kind, t[i].spec);
		struct bh_decoded *d = decode_ok(text);
		const struct bh_workload *w = bh_decoded_workload(d);

		assert_int_equal(bh_decoded_status(d), BH_DECODED_WORKLOAD);
		assert_null(bh_decoded_fact(d));
		assert_null(bh_decoded_service(d));
		assert_string_equal(warnings(d), "");
		assert_string_equal(w->kind, t[i].kind);
		assert_string_equal(w->namespace, "shop");
		assert_string_equal(w->name, "web");
		assert_int_equal(w->replicas, t[i].replicas);
		assert_null(w->owner_kind);
		assert_int_equal(w->pod.labels.n, 1);
		assert_string_equal(w->pod.labels.items[0].value, "web");
		assert_string_equal(w->pod.workload_kind, t[i].kind);
		assert_string_equal(w->pod.workload_name, "web");
		assert_string_equal(w->pod.name, "");
		bh_decoded_free(&d);
	}
}

static void a_template_is_read_like_a_pod(void **state)
{
	struct bh_decoded *d = decode_ok(
		"{'apiVersion':'apps/v1','kind':'Deployment','metadata':{'name':'web'},'spec':"
		"{'selector':{'matchExpressions':[{'key':'app','operator':'In','values':['web']},"
		"{'key':'old','operator':'DoesNotExist'}]},'template':{'metadata':{'labels':"
		"{'tier':'front','app':'web','a':''},'annotations':{'x':'y'}},'spec':{'nodeName':"
		"'n1','hostNetwork':true,'initContainers':[{'restartPolicy':'Always','ports':"
		"[{'name':'proxy','containerPort':15001,'protocol':'UDP'}]},{'ports':[{'name':"
		"'once','containerPort':1}]}]," CONTAINERS "}}}}");
	const struct bh_pod *p = &bh_decoded_workload(d)->pod;

	(void)state;
	assert_string_equal(p->namespace, "default");
	assert_int_equal(p->labels.n, 3);
	assert_string_equal(p->labels.items[0].key, "a");
	assert_string_equal(p->labels.items[1].key, "app");
	assert_string_equal(p->labels.items[2].key, "tier");
	assert_string_equal(p->node, "n1");
	assert_true(p->is_host_network);
	assert_int_equal(p->n_ports, 2);
	assert_string_equal(p->ports[0].name, "http");
	assert_string_equal(p->ports[1].name, "proxy");
	assert_int_equal(p->ports[1].protocol, IPPROTO_UDP);
	assert_int_equal(p->n_addrs, 0);
	bh_decoded_free(&d);
}

static void the_controlling_owner_of_a_workload_is_known(void **state)
{
	struct bh_decoded *d = decode_ok(
		"{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'web-7d','labels':"
		"{'pod-template-hash':'7d'},'ownerReferences':[{'kind':'Deployment','name':'web',"
		"'controller':true}]},'spec':{" SELECTED TEMPLATE "}}");
	const struct bh_workload *w = bh_decoded_workload(d);

	(void)state;
	assert_string_equal(w->owner_kind, "Deployment");
	assert_string_equal(w->owner_name, "web");
	assert_string_equal(w->pod.workload_kind, "ReplicaSet");
	bh_decoded_free(&d);
}

static void a_workload_that_the_api_server_refuses_is_an_error(void **state)
{
	static const struct {
		const char *version, *kind, *spec, *want;
	} t[] = {
		{ "extensions/v1beta1", "Deployment", "{" SELECTED TEMPLATE "}",
		  "Deployment shop/web: apiVersion: Unsupported value: \"extensions/v1beta1\": "
		  "Deployment is served as apps/v1 only; change apiVersion" },
		{ "apps/v1beta2", "StatefulSet", "{" SELECTED TEMPLATE "}",
		  "StatefulSet is served as apps/v1 only" },
		{ "batch/v1beta1", "CronJob", "{'jobTemplate':{'spec':{" TEMPLATE "}}}",
		  "CronJob is served as batch/v1 only" },
		{ "apps/v1", "Deployment", "{" TEMPLATE "}", "spec.selector: Required value" },
		{ "apps/v1", "Deployment", "{'selector':{}," TEMPLATE "}",
		  "spec.selector: Invalid value: empty selector is invalid for Deployment" },
		{ "apps/v1", "Deployment",
		  "{'selector':{'matchLabels':{'app':'api'}}," TEMPLATE "}",
		  "spec.template.metadata.labels: Invalid value: `selector` does not match "
		  "template `labels`" },
		{ "v1", "ReplicationController", "{'selector':{'app':'api'}," TEMPLATE "}",
		  "spec.template.metadata.labels: Invalid value: `selector` does not match" },
		{ "v1", "ReplicationController", "{'selector':{'app':7}," TEMPLATE "}",
		  "spec.selector.app: Invalid value: must be a string, not a number" },
		{ "apps/v1", "DaemonSet", "{" SELECTED "'template':null}",
		  "spec.template: Required value" },
		{ "batch/v1", "CronJob", "{" TEMPLATE "}",
		  "spec.jobTemplate.spec.template: Required value" },
		{ "batch/v1", "CronJob", "{'jobTemplate':[]}",
		  "spec.jobTemplate: Invalid value: must be an object, not a list" },
		{ "apps/v1", "Deployment", "{'replicas':-1," SELECTED TEMPLATE "}",
		  "spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
		{ "apps/v1", "Deployment", "{'replicas':'2'," SELECTED TEMPLATE "}",
		  "spec.replicas: Invalid value: must be a whole number, not a string" },
		{ "batch/v1", "Job",
		  "{'template':{'spec':{'containers':[{'ports':[{'name':'x','containerPort':0}]}]}}"
		  "}",
		  "Job shop/web: spec.template.spec.containers[0].ports[0].containerPort: Invalid "
		  "value: 0: must be between 1 and 65535, inclusive" },
		{ "batch/v1", "Job", "{'template':{'metadata':{'labels':{'a b':'x'}}}}",
		  "spec.template.metadata.labels: Invalid value: \"a b\": name part must" },
		{ "apps/v1", "Deployment", "7", "spec: Invalid value: must be an object" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = workload_text(t[i].version, t[i].kind, t[i].spec);
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		assert_err(decode_as(text, &wanted, &d, &err), &err, -EINVAL, t[i].want);
		assert_null(d);
	}
}

static void kinds_of_other_groups_are_no_workloads(void **state)
{
	static const char *const versions[] = { "v1", "example.com/v1", "batch/v1" };
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(versions); i++) {
		bh_auto_free char *text = workload_text(versions[i], "Deployment", "{}");
		struct bh_decoded *d = decode_ok(text);

		assert_int_equal(bh_decoded_status(d), BH_DECODE_SKIPPED);
		assert_null(bh_decoded_workload(d));
		bh_decoded_free(&d);
	}
}

static struct bh_decoded *decode_service_spec(const char *spec)
{
	bh_auto_free char *text = workload_text("v1", "Service", spec);

	return decode_ok(text);
}

static void a_service_has_ports_selector_and_addresses(void **state)
{
	struct bh_decoded *d = decode_service_spec(
		"{'type':'NodePort','selector':{'app':'web','tier':''},'clusterIP':'10.96.0.1',"
		"'clusterIPs':['10.96.0.1','fd00::1'],'ports':[{'name':'http','port':80,"
		"'targetPort':'web','nodePort':30080},{'name':'dns','port':53,'protocol':'UDP'},"
		"{'name':'x','port':9,'targetPort':9000,'appProtocol':'http'},"
		"{'name':'y','port':10,'targetPort':0}]}");
	const struct bh_service *s = bh_decoded_service(d);

	(void)state;
	assert_int_equal(bh_decoded_status(d), BH_DECODED_SERVICE);
	assert_null(bh_decoded_workload(d));
	assert_string_equal(warnings(d), "");
	assert_string_equal(s->namespace, "shop");
	assert_string_equal(s->type, "NodePort");
	assert_true(s->has_selector);
	assert_int_equal(s->selector.n_reqs, 2);
	assert_int_equal(s->selector.reqs[0].op, BH_SEL_IN);
	assert_string_equal(s->selector.reqs[1].values[0], "");
	assert_int_equal(s->n_addrs, 2);
	assert_false(s->is_headless);
	assert_int_equal(s->n_ports, 4);
	assert_string_equal(s->ports[0].target_name, "web");
	assert_int_equal(s->ports[0].port, 80);
	assert_int_equal(s->ports[1].protocol, IPPROTO_UDP);
	assert_null(s->ports[1].target_name);
	assert_int_equal(s->ports[1].target, 53);
	assert_int_equal(s->ports[2].target, 9000);
	assert_int_equal(s->ports[3].target, 10);
	bh_decoded_free(&d);
}

static void services_come_in_types(void **state)
{
	static const struct {
		const char *spec, *type;
		bool has_selector, is_headless;
		size_t n_addrs, n_ports;
	} t[] = {
		{ "{'ports':[{'port':80}]}", "ClusterIP", false, false, 0, 1 },
		{ "{'selector':{},'ports':[{'port':80}]}", "ClusterIP", false, false, 0, 1 },
		{ "{'selector':{'a':'b'},'clusterIP':'None'}", "ClusterIP", true, true, 0, 0 },
		{ "{'selector':{'a':'b'},'clusterIPs':['None']}", "ClusterIP", true, true, 0, 0 },
		{ "{'clusterIP':'','ports':[{'port':80}]}", "ClusterIP", false, false, 0, 1 },
		{ "{'type':'LoadBalancer','selector':{'a':'b'},'clusterIP':'10.0.0.1','ports':"
		  "[{'port':80}]}",
		  "LoadBalancer", true, false, 1, 1 },
		{ "{'type':'ExternalName','externalName':'db.example.com','selector':{'a':'b'}}",
		  "ExternalName", false, false, 0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		struct bh_decoded *d = decode_service_spec(t[i].spec);
		const struct bh_service *s = bh_decoded_service(d);

		assert_string_equal(s->type, t[i].type);
		assert_int_equal(s->has_selector, t[i].has_selector);
		assert_int_equal(s->is_headless, t[i].is_headless);
		assert_int_equal(s->n_addrs, t[i].n_addrs);
		assert_int_equal(s->n_ports, t[i].n_ports);
		bh_decoded_free(&d);
	}
}

static void a_service_that_the_api_server_refuses_is_an_error(void **state)
{
	static const struct {
		const char *spec, *want;
	} t[] = {
		{ "{}", "Service shop/web: spec.ports: Required value" },
		{ "{'ports':[{}]}", "spec.ports[0].port: Required value" },
		{ "{'ports':[{'port':0}]}",
		  "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive" },
		{ "{'ports':[{'port':80,'targetPort':70000}]}",
		  "spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, "
		  "inclusive" },
		{ "{'ports':[{'port':80,'targetPort':'80'}]}",
		  "spec.ports[0].targetPort: Invalid value: \"80\": must contain at least one "
		  "letter (a-z)" },
		{ "{'ports':[{'port':80,'protocol':'HTTP'}]}",
		  "spec.ports[0].protocol: Unsupported value: \"HTTP\": supported values: \"TCP\", "
		  "\"UDP\", \"SCTP\"" },
		{ "{'ports':[{'port':80,'name':'a'},{'port':81}]}",
		  "spec.ports[1].name: Required value" },
		{ "{'ports':[{'port':80,'name':'a'},{'port':81,'name':'a'}]}",
		  "spec.ports[1].name: Duplicate value: \"a\"" },
		{ "{'ports':[{'port':80,'name':'A'}]}",
		  "spec.ports[0].name: Invalid value: \"A\": a lowercase RFC 1123 label" },
		{ "{'type':'Ingress','ports':[{'port':80}]}",
		  "spec.type: Unsupported value: \"Ingress\": supported values: \"ClusterIP\", "
		  "\"ExternalName\", \"LoadBalancer\", \"NodePort\"" },
		{ "{'type':'ExternalName'}", "spec.externalName: Required value" },
		{ "{'clusterIP':'10.0.0','ports':[{'port':80}]}",
		  "spec.clusterIP: Invalid value: \"10.0.0\": must be a valid IP address" },
		{ "{'clusterIPs':[4],'ports':[{'port':80}]}",
		  "spec.clusterIPs[0]: Invalid value: must be a string" },
		{ "{'selector':{'app':'-'},'ports':[{'port':80}]}",
		  "spec.selector.app: Invalid value: \"-\": a valid label must be" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		bh_auto_free char *text = workload_text("v1", "Service", t[i].spec);
		struct bh_decoded *d = NULL;
		struct bh_err err = { 0 };

		assert_err(decode_as(text, &wanted, &d, &err), &err, -EINVAL, t[i].want);
		assert_null(d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_workload_is_read),
		cmocka_unit_test(a_template_is_read_like_a_pod),
		cmocka_unit_test(the_controlling_owner_of_a_workload_is_known),
		cmocka_unit_test(a_workload_that_the_api_server_refuses_is_an_error),
		cmocka_unit_test(kinds_of_other_groups_are_no_workloads),
		cmocka_unit_test(a_service_has_ports_selector_and_addresses),
		cmocka_unit_test(services_come_in_types),
		cmocka_unit_test(a_service_that_the_api_server_refuses_is_an_error),
	};

	return cmocka_run_group_tests_name("workload", tests, NULL, NULL);
}
