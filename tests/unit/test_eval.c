#include "test.h"

#include "bh/eval.h"
#include "world_text.h"

static const struct bh_world_config node_a = { .node = "node-a" };

/*
 * Who talks in most rows.  client and web are on node-a, the world's node;
 * far is elsewhere.
 */
#define PODS                                                                                       \
	"ns shop label=team:red\n"                                                                 \
	"ns other label=team:blue\n"                                                               \
	"node node-a 192.168.0.1 fe80::1 label=zone:z1\n"                                          \
	"node node-b 192.168.0.2\n"                                                                \
	"pod shop/web 10.0.0.1 fd00::1 label=app:web port=http:TCP:8080 node=node-a\n"             \
	"pod shop/client 10.0.0.2 fd00::2 label=app:client node=node-a\n"                          \
	"pod other/far 10.0.1.1 label=app:client port=dns:UDP:53 node=node-b\n"

/* An end is "ns/name" or an address; a flow is "src dst PROTO[:port]". */
static const struct bh_pod *find_end(const struct bh_world *w, char *text, struct bh_flow *f,
				     bool is_src, const struct bh_flow *like)
{
	const struct bh_pod *pod;
	char *name = text;
	char *ns = strsep(&name, "/");
	size_t i;

	if (!name) {
		*(is_src ? &f->src : &f->dst) = wt_addr(ns);
		return NULL;
	}
	pod = bh_world_pod_by_name(w, ns, name);
	assert_non_null(pod);
	for (i = 0; i < pod->n_addrs; i++)
		if (!like || pod->addrs[i].family == like->src.family) {
			*(is_src ? &f->src : &f->dst) = pod->addrs[i];
			return pod;
		}
	return pod;
}

static struct bh_flow flow_of(const struct bh_world *w, const char *text)
{
	struct bh_flow f = { 0 };
	char buf[128], *at = buf, *src, *dst;

	snprintf(buf, sizeof(buf), "%s", text);
	src = strsep(&at, " ");
	dst = strsep(&at, " ");
	f.protocol = wt_protocol(strsep(&at, ":"));
	f.dst_port = at ? (uint16_t)atoi(at) : 0;
	f.src_pod = find_end(w, src, &f, true, NULL);
	f.dst_pod = find_end(w, dst, &f, false, strchr(text, '/') ? &f : NULL);
	return f;
}

struct row {
	const char *what; /* item of the semantics, and its sentence */
	const char *world;
	const char *flow;
	enum bh_verdict verdict;
	enum bh_reason egress, ingress;
};

#define OK   BH_VERDICT_ALLOWED
#define DENY BH_VERDICT_DENIED
#define NS   BH_REASON_NOT_SUBJECT
#define OPEN BH_REASON_NOT_ISOLATED
#define RULE BH_REASON_RULE
#define SHUT BH_REASON_DEFAULT_DENY

static void check_rows(const struct row *rows, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&node_a);
		struct bh_result r = { 0 };
		struct bh_flow f;

		world_text(w, BH_SOURCE_MANIFEST, PODS);
		world_text(w, BH_SOURCE_MANIFEST, rows[i].world);
		f = flow_of(w, rows[i].flow);
		bh_eval(w, &f, &r);
		if (r.verdict != rows[i].verdict || r.dir[BH_EGRESS].reason != rows[i].egress ||
		    r.dir[BH_INGRESS].reason != rows[i].ingress)
			fail_msg("%s: %s: got %s, egress %s, ingress %s", rows[i].what,
				 rows[i].flow, bh_verdict_str(r.verdict),
				 bh_reason_str(r.dir[BH_EGRESS].reason),
				 bh_reason_str(r.dir[BH_INGRESS].reason));
	}
}

static void v1_policies_mean_what_the_api_says(void **state)
{
	static const struct row rows[] = {
		{ "1: nothing selects, all is open", "", "shop/client shop/web TCP:80", OK, OPEN,
		  OPEN },
		{ "1: selected for ingress only, ingress is shut", "policy shop/p types=ingress",
		  "other/far shop/web TCP:80", DENY, OPEN, SHUT },
	};

	(void)state;
	check_rows(rows, BH_ARRAY_LEN(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_policies_mean_what_the_api_says),
	};

	return cmocka_run_group_tests_name("eval", tests, NULL, NULL);
}
