/*
 * The matrix: each sign is what the evaluator says of the pair.
 */
#include "cli_run.h"

#include <netinet/in.h>

#include "bh/sim.h"
#include "sim_objects.h"
#include "worldgen.h"

#define SEEDS 40u

/* --- signs ------------------------------------------------------------------------------ */

static const char world[] = NS("x", "a: b") POD_AT(
	"x", "a", "app: a",
	"{ip: 10.0.0.1}, {ip: 'fd00::1'}") POD_AT("x", "b", "app: b",
						  "{ip: 10.0.0.2}, {ip: 'fd00::2'}")
	POD_AT("x", "c", "app: c", "{ip: 10.0.0.3}, {ip: 'fd00::3'}") POLICY(
		"x", "a",
		"podSelector: {matchLabels: {app: a}}, ingress: [{from: [{podSelector: "
		"{matchLabels: {app: b}}}], ports: [{port: 80}]}, {from: [{ipBlock: {cidr: "
		"10.0.0.3/32}}], ports: [{port: 80}]}]") "---\n{apiVersion: networking.k8s.io/v1, "
							 "kind: NetworkPolicy, metadata: "
							 "{namespace: x, name: b, "
							 "annotations: {bulkhead.dev/mode: "
							 "audit}}, spec: {podSelector: "
							 "{matchLabels: {app: b}}}}\n";

static void each_sign_stands_for_what_the_legend_says(void **state)
{
	struct cli_test *t = *state;

	cli_run_with(t, world, CLI_ARGS("sim", "matrix", "--port", "tcp/80", "-o", "csv", "-"));
	assert_status(t, 0);
	assert_out(t, "port,src,dst,ingress,egress,combined\n");
	assert_out(t, "TCP 80,x/a[Pod],x/a[Pod],none,none,none\n");
	assert_out(t, "TCP 80,x/b[Pod],x/a[Pod],allowed,allowed,allowed\n");
	/* The block has one family only. */
	assert_out(t, "TCP 80,x/c[Pod],x/a[Pod],allowed,allowed,some\n");
	assert_out(t, "TCP 80,x/a[Pod],x/b[Pod],allowed,allowed,audited\n");
	assert_out(t, "TCP 80,x/a[Pod],x/c[Pod],allowed,allowed,allowed\n");
	cli_run_with(t, world, CLI_ARGS("sim", "matrix", "--port", "tcp/79-80", "-o", "csv", "-"));
	assert_out(t, "TCP 79-80,x/b[Pod],x/a[Pod],some,allowed,some\n");
	cli_run_with(t, world, CLI_ARGS("sim", "matrix", "--port", "udp/80", "-o", "csv", "-"));
	assert_out(t, "UDP 80,x/b[Pod],x/a[Pod],denied,allowed,denied\n");
}

static void there_is_a_table_for_each_port_and_direction(void **state)
{
	static const char *const parts[] = {
		"TCP 80, ingress\n",  "TCP 80, egress\n",          "TCP 80, combined\n",
		"UDP 53, combined\n", "\nx/b[Pod]    .   -   .\n",
	};
	struct cli_test *t = *state;
	size_t i;

	cli_run_with(t, world,
		     CLI_ARGS("sim", "matrix", "--port", "tcp/80", "--port", "udp/53", "-"));
	assert_status(t, 0);
	for (i = 0; i < BH_ARRAY_LEN(parts); i++)
		assert_out(t, parts[i]);
	cli_run_with(t, world, CLI_ARGS("sim", "matrix", "--port", "tcp/80", "-o", "md", "-"));
	assert_out(t, "| x/b[Pod] | . | - | . |\n");
	cli_run_with(t, world, CLI_ARGS("sim", "matrix", "--port", "tcp/0-x", "-"));
	assert_status(t, 4);
}

/* Addresses that are made up say nothing of families. */
static void pods_by_themselves_are_judged_as_workloads_are(void **state)
{
	static const char one[] = POD("x", "a", "app: a", "") POD("x", "b", "app: b", "")
		POLICY("x", "a",
		       "podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: "
		       "[{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]");
	static const char *const options[] = { "--keep-going", "--pods" };
	struct cli_test *t = *state;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(options); i++) {
		cli_run_with(t, one,
			     CLI_ARGS("sim", "matrix", options[i], "--outside", "--port", "tcp/80",
				      "-o", "json", "-"));
		assert_status(t, 0);
		assert_out(t, "\"src\": \"x/a[Pod]\", \"dst\": \"x/b[Pod]\", \"ingress\": "
			      "\"allowed\", \"egress\": \"allowed\", \"combined\": \"allowed\"");
		assert_null(strstr(bh_buf_str(&t->out), "::-ffff"));
	}
	cli_run_with(t, one, CLI_ARGS("sim", "matrix", "-l", "app=c", "-"));
	assert_status(t, 0);
	assert_contains(bh_buf_str(&t->err), "no workload is meant");
	cli_run_with(t, one, CLI_ARGS("sim", "matrix", "-l", "app=b", "-o", "csv", "-"));
	assert_out(t, "x/b[Pod],x/b[Pod],none");
	assert_null(strstr(bh_buf_str(&t->out), "x/a[Pod]"));
}

/* --- against the evaluator ---------------------------------------------------------------- */

/* Of ingress, egress and both. */
struct tally {
	size_t n, n_allowed[3], n_audited;
};

/* Every pair of addresses of one family. */
static struct tally judge(const struct bh_world *w, const struct bh_pod *src,
			  const struct bh_pod *dst, uint8_t protocol, uint16_t port)
{
	struct tally t = { 0 };
	size_t i, k;

	for (i = 0; i < src->n_addrs; i++) {
		for (k = 0; k < dst->n_addrs; k++) {
			struct bh_flow flow = { .src = src->addrs[i],
						.dst = dst->addrs[k],
						.protocol = protocol,
						.dst_port = port };
			struct bh_result r;

			if (flow.src.family != flow.dst.family)
				continue;
			bh_eval(w, &flow, &r);
			t.n++;
			t.n_allowed[0] += r.dir[BH_INGRESS].verdict == BH_VERDICT_ALLOWED;
			t.n_allowed[1] += r.dir[BH_EGRESS].verdict == BH_VERDICT_ALLOWED;
			t.n_allowed[2] += r.verdict == BH_VERDICT_ALLOWED;
			t.n_audited += r.verdict == BH_VERDICT_ALLOWED &&
				       r.audit_verdict == BH_VERDICT_DENIED;
		}
	}
	return t;
}

/* Each direction by itself counts what is open in one family. */
static void expect(const struct tally *t, struct bh_buf *ret)
{
	const char *both = t->n_allowed[2] == 0     ? "denied"
			   : t->n_allowed[2] < t->n ? "some"
			   : t->n_audited > 0       ? "audited"
						    : "allowed";

	bh_buf_printf(ret, ",%s,%s,%s\n", t->n_allowed[0] ? "allowed" : "denied",
		      t->n_allowed[1] ? "allowed" : "denied", both);
}

static size_t check_pair(const struct bh_world *w, struct bh_graph *g, uint8_t protocol,
			 uint16_t port, uint32_t src, uint32_t dst)
{
	const struct bh_conns *conns = bh_conns_range(bh_graph_table(g), protocol, port, port);
	struct bh_matrix m = { .graph = g,
			       .rows = &src,
			       .columns = &dst,
			       .n_rows = 1,
			       .n_columns = 1,
			       .ports = &conns,
			       .n_ports = 1 };
	const struct bh_graph_peer *peers;
	struct bh_buf out = { 0 }, want = { 0 };
	struct tally t;
	size_t len;

	bh_graph_peers(g, &peers);
	/* One address of a family each, else families and addresses mix. */
	if (src == dst || peers[src].kind != BH_GRAPH_WORKLOAD ||
	    peers[dst].kind != BH_GRAPH_WORKLOAD || peers[src].n_pods != 1 ||
	    peers[dst].n_pods != 1 || peers[src].pods[0]->n_addrs > 2 ||
	    peers[dst].pods[0]->n_addrs > 2)
		return 0;
	t = judge(w, peers[src].pods[0], peers[dst].pods[0], protocol, port);
	if (t.n == 0)
		return 0;
	bh_matrix_write(&m, BH_SIM_CSV, &out);
	expect(&t, &want);
	len = want.len < out.len ? out.len - want.len : 0;
	if (strcmp(out.data + len, want.data) != 0)
		fail_msg("%s -> %s %u: the matrix says %s, the evaluator %s", peers[src].label,
			 peers[dst].label, port, out.data, want.data);
	bh_buf_done(&out);
	bh_buf_done(&want);
	return 1;
}

static void the_matrix_is_what_the_evaluator_says(void **state)
{
	size_t n_checked = 0;
	unsigned int seed;

	(void)state;
	for (seed = 0; seed < SEEDS; seed++) {
		const struct bh_graph_peer *peers;
		struct bh_graph *g;
		struct gen gen;
		uint32_t i, k, n;

		gen_init(&gen, seed);
		gen_fill(&gen);
		g = bh_graph_of_world(gen.w);
		n = (uint32_t)bh_graph_peers(g, &peers);
		for (i = 0; i < n; i++) {
			for (k = 0; k < n; k++) {
				n_checked += check_pair(gen.w, g, IPPROTO_TCP, 80, i, k);
				n_checked += check_pair(gen.w, g, IPPROTO_UDP, 53, i, k);
				n_checked += check_pair(gen.w, g, IPPROTO_SCTP, 8080, i, k);
			}
		}
		bh_graph_free(&g);
		gen_done(&gen);
	}
	assert_true(n_checked > 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLI_TEST(each_sign_stands_for_what_the_legend_says),
		CLI_TEST(there_is_a_table_for_each_port_and_direction),
		CLI_TEST(pods_by_themselves_are_judged_as_workloads_are),
		cmocka_unit_test(the_matrix_is_what_the_evaluator_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
