/*
 * The examples that people copy, replayed through `bulkhead sim eval`: their
 * policies, workloads as charts render them, and what shall be allowed.
 */
#include "cli_run.h"

#define DEPLOYMENT(ns, name, labels)                                                               \
	"---\n{apiVersion: apps/v1, kind: Deployment, metadata: {namespace: " ns ", name: " name   \
	"}, spec: {replicas: 2, selector: {matchLabels: {" labels                                  \
	"}}, template: {metadata: {labels: {" labels                                               \
	"}}, spec: {containers: [{name: c, ports: [{name: metrics, containerPort: 9100}]}]}}}}\n"

/* clang-format off */
static const char workloads[] =
	DEPLOYMENT("closed", "x", "app: x")
	DEPLOYMENT("closed-by-annotation", "x", "app: x")
	DEPLOYMENT("kube-system", "coredns", "k8s-app: kube-dns")
	DEPLOYMENT("three-tier", "front", "tier: front")
	DEPLOYMENT("three-tier", "middle", "tier: middle")
	DEPLOYMENT("three-tier", "data", "tier: data")
	DEPLOYMENT("island", "a", "app: a")
	DEPLOYMENT("ward", "ill", "quarantine: 'true'")
	DEPLOYMENT("ward", "well", "app: x")
	DEPLOYMENT("partners", "exchange", "app: exchange")
	DEPLOYMENT("partners", "crawler", "app: crawler")
	DEPLOYMENT("ingress-nginx", "controller", "app.kubernetes.io/component: controller")
	DEPLOYMENT("sites", "site", "app: site")
	DEPLOYMENT("monitoring", "scraper", "app: scraper")
	DEPLOYMENT("calls", "media", "app: media")
	DEPLOYMENT("rollout", "cache", "app: cache")
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: kube-system, "
	"name: kube-dns}, spec: {clusterIP: 10.96.0.10, selector: {k8s-app: "
	"kube-dns}, ports: [{name: dns, protocol: UDP, port: 53}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: sites, name: "
	"site-metrics}, spec: {selector: {app: site}, ports: [{port: 80, "
	"targetPort: metrics}]}}\n";
/* clang-format on */

static const struct {
	const char *src, *dst, *protocol;
	int port, family;
	const char *want;
} t[] = {
	{ "198.51.100.9", "shop/web", "TCP", 8080, 4, "allowed" },
	{ "2001:db8:9::9", "shop/web", "TCP", 8080, 6, "allowed" },
	{ "198.51.100.9", "shop/web", "TCP", 22, 4, "denied" },
	{ "198.51.100.9", "shop/web", "ICMP", 0, 4, "denied" },
	{ "shop/web", "shop/api", "TCP", 8080, 4, "allowed" },
	{ "shop/web", "shop/api", "UDP", 8080, 4, "denied" },
	{ "shop/web", "shop/db", "TCP", 5432, 4, "denied" },
	{ "shop/api", "shop/db", "TCP", 5432, 4, "allowed" },
	{ "shop/api", "203.0.113.10", "TCP", 443, 4, "allowed" },
	{ "shop/attacker", "shop/db", "TCP", 5432, 4, "denied" },
	{ "shop/attacker", "svc:kube-system/kube-dns", "UDP", 53, 4, "allowed" },
	{ "shop/attacker", "10.96.0.10", "UDP", 53, 4, "allowed" },
	{ "closed/x", "kube-system/coredns", "UDP", 53, 6, "allowed" },
	{ "closed/x", "198.51.100.9", "TCP", 80, 4, "denied" },
	{ "198.51.100.9", "closed/x", "TCP", 80, 4, "denied" },
	{ "198.51.100.9", "closed-by-annotation/x", "TCP", 80, 4, "denied" },
	{ "198.51.100.9", "three-tier/front", "TCP", 443, 4, "allowed" },
	{ "three-tier/front", "three-tier/middle", "TCP", 8080, 4, "allowed" },
	{ "three-tier/front", "three-tier/data", "TCP", 5432, 4, "denied" },
	{ "three-tier/middle", "three-tier/data-1", "TCP", 5432, 6, "allowed" },
	{ "island/a", "island/a-1", "SCTP", 7, 4, "allowed" },
	{ "island/a", "three-tier/front", "TCP", 443, 4, "denied" },
	{ "ward/ill", "198.51.100.9", "TCP", 443, 4, "denied" },
	{ "ward/well", "ward/ill", "TCP", 443, 4, "denied" },
	{ "ward/ill", "ward/ill", "TCP", 443, 4, "allowed" },
	{ "partners/exchange", "198.51.100.1", "TCP", 443, 4, "allowed" },
	{ "partners/exchange", "198.51.100.65", "TCP", 443, 4, "denied" },
	{ "partners/crawler", "203.0.113.1", "TCP", 80, 4, "allowed" },
	{ "partners/crawler", "192.168.1.1", "TCP", 80, 4, "denied" },
	{ "ingress-nginx/controller", "sites/site", "TCP", 8080, 4, "allowed" },
	{ "ward/well", "sites/site", "TCP", 8080, 4, "denied" },
	{ "monitoring/scraper", "sites/site", "TCP", 9100, 4, "allowed" },
	{ "monitoring/scraper", "sites/site-metrics", "TCP", 80, 4, "allowed" },
	{ "198.51.100.9", "calls/media", "UDP", 10000, 4, "allowed" },
	{ "198.51.100.9", "calls/media", "UDP", 20001, 4, "denied" },
	{ "198.51.100.9", "rollout/cache", "TCP", 6379, 4, "allowed" }, /* in audit */
};

/* Every line as it is, with what is wanted of it: fields are kept. */
static void the_examples_do_what_they_say(void **state)
{
	struct cli_test *test = *state;
	bh_auto_free char *path = bh_asprintf("%s/questions", test->dir);
	FILE *f = fopen(path, "w");
	const char *line;
	size_t i;

	assert_non_null(f);
	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		fprintf(f,
			"{\"src\": \"%s\", \"dst\": \"%s\", \"protocol\": \"%s\", \"port\": %d, "
			"\"family\": %d, \"want\": \"%s\"}\n",
			t[i].src, t[i].dst, t[i].protocol, t[i].port, t[i].family, t[i].want);
	fclose(f);
	cli_run_with(test, workloads,
		     CLI_ARGS("sim", "eval", "--batch", path, "policy/examples", "-"));
	unlink(path);
	assert_status(test, 0);
	assert_string_equal(bh_buf_str(&test->err), "");
	line = bh_buf_str(&test->out);
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		size_t len = strcspn(line, "\n");
		json_t *answer = json_loadb(line, len, 0, NULL);

		assert_non_null(answer);
		if (strcmp(json_string_value(json_object_get(answer, "verdict")),
			   json_string_value(json_object_get(answer, "want"))) != 0)
			fail_msg("%.*s", (int)len, line);
		json_decref(answer);
		line += len + 1;
	}
	assert_string_equal(line, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(the_examples_do_what_they_say),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("cli_sim_examples", tests, NULL, NULL);
}
