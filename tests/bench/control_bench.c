/*
 * From a decoded object to the kernel's acknowledgement.
 *
 *	control_bench PODS POLICIES [EVENTS] [--no-kernel]
 *
 * Builds a cluster of that size, of which 100 pods are on this node, compiles
 * and commits it from nothing, then applies EVENTS events of each kind one by
 * one.  Prints one JSON line.  With --no-kernel nothing is committed, so that
 * instruction counts (callgrind) are of our own code.
 *
 * "state" is the file of bulkheadd --state: how long the agent stands still for the
 * child that writes it, how long that takes, and how long reading it does.
 *
 * The shape follows what is known of real clusters: 20 pods and 4 applications
 * a namespace; a policy selects one application, admits one application of its
 * namespace on one port, every tenth another team's namespaces, every fifth a
 * CIDR.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/daemon/cachefile.h"
#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/compile.h"
#include "bh/file.h"
#include "bh/nft.h"

/* Facts in one turn of the agent's loop, as in cache.c. */
#define PORTION            256
#define PODS_PER_NAMESPACE 20u
#define APPS               4u
#define TEAMS              25u
#define LOCAL_PODS         100u
#define MAX_EVENTS         100000u

struct bench {
	unsigned int n_pods, n_policies, n_events;
	struct bh_world *world;
	struct bh_compiler *compiler;
	struct bh_nft *nft; /* NULL: --no-kernel */
};

static _Noreturn void die(const char *what, const struct bh_err *err)
{
	fprintf(stderr, "%s: %s\n", what, bh_err_text(err));
	exit(1);
}

static void apply(struct bench *b, const struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	if (bh_world_apply(b->world, fact, &err) < 0)
		die("apply", &err);
}

/* World -> plan -> kernel; returns the operations committed. */
static size_t sync_kernel(struct bench *b)
{
	struct bh_err err = { 0 };
	struct bh_plan *plan = bh_compiler_plan(b->compiler);
	bh_auto(bh_delta_free) struct bh_delta *delta = NULL;
	size_t n;

	bh_compiler_update(b->compiler);
	delta = bh_plan_delta(plan);
	if (!delta)
		return 0;
	n = delta->n_ops;
	if (b->nft && bh_nft_commit(b->nft, &(const struct bh_delta *){ delta }, 1, NULL, &err) < 0)
		die("commit", &err);
	bh_delta_free(&delta);
	bh_plan_settle(plan);
	return n;
}

struct names {
	char namespace[32], name[32], uid[48], app[16], team[16];
};

static unsigned int namespace_of(unsigned int pod)
{
	return pod / PODS_PER_NAMESPACE;
}

static void put_namespace(struct bench *b, unsigned int i)
{
	char name[32], team[16];
	struct bh_label labels[] = { { "team", team } };
	struct bh_fact fact = { .kind = BH_KIND_NAMESPACE,
				.source = BH_SOURCE_KUBE,
				.ns = { .name = name, .labels = { labels, 1 } } };

	snprintf(name, sizeof(name), "ns-%u", i);
	snprintf(team, sizeof(team), "team-%u", i % TEAMS);
	apply(b, &fact);
}

/* Local pods are spread over the cluster, one in so many. */
static bool is_local(const struct bench *b, unsigned int pod)
{
	unsigned int every = b->n_pods / LOCAL_PODS;

	return every == 0 || pod % every == 0;
}

static void put_pod(struct bench *b, unsigned int i, unsigned int app, unsigned int incarnation)
{
	struct names n;
	struct bh_label labels[] = {
		{ "app", n.app },
		{ "pod-template-hash", "5d8f9c7b6" },
		{ "team", n.team },
	};
	struct bh_addr addr = { .bytes = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i },
				.family = BH_IPV4 };
	struct bh_fact fact = {
		.kind = BH_KIND_POD,
		.source = BH_SOURCE_KUBE,
		.pod = { .namespace = n.namespace,
			 .name = n.name,
			 .uid = n.uid,
			 .node = is_local(b, i) ? "this" : "other",
			 .labels = { labels, BH_ARRAY_LEN(labels) },
			 .addrs = &addr,
			 .n_addrs = 1,
			 .created_ns = incarnation + 1 },
	};

	snprintf(n.namespace, sizeof(n.namespace), "ns-%u", namespace_of(i));
	snprintf(n.name, sizeof(n.name), "pod-%u", i);
	snprintf(n.uid, sizeof(n.uid), "%08x-0000-4000-8000-%012x", i, incarnation);
	snprintf(n.app, sizeof(n.app), "app-%u", app);
	snprintf(n.team, sizeof(n.team), "team-%u", namespace_of(i) % TEAMS);
	apply(b, &fact);
}

static void remove_pod(struct bench *b, unsigned int i, unsigned int incarnation)
{
	struct names n;
	struct bh_key key = { .kind = BH_KIND_POD,
			      .source = BH_SOURCE_KUBE,
			      .namespace = n.namespace,
			      .name = n.name,
			      .uid = n.uid };

	snprintf(n.namespace, sizeof(n.namespace), "ns-%u", namespace_of(i));
	snprintf(n.name, sizeof(n.name), "pod-%u", i);
	snprintf(n.uid, sizeof(n.uid), "%08x-0000-4000-8000-%012x", i, incarnation);
	bh_world_remove(b->world, &key);
}

static void put_policy(struct bench *b, unsigned int i, uint16_t port)
{
	unsigned int n_namespaces = namespace_of(b->n_pods - 1) + 1;
	struct names n;
	char peer_app[16];
	const char *app_value = n.app, *peer_value = peer_app, *team_value = n.team;
	const struct bh_requirement own[] = { { "app", BH_SEL_IN, &app_value, 1, false } };
	const struct bh_requirement peer[] = { { "app", BH_SEL_IN, &peer_value, 1, false } };
	const struct bh_requirement team[] = { { "team", BH_SEL_IN, &team_value, 1, false } };
	struct bh_peer peers[2] = { { .kind = BH_PEER_PODS, .pods = { peer, 1 } } };
	struct bh_policy_port ports[] = {
		{ .protocol = IPPROTO_TCP, .first = port, .last = port },
	};
	struct bh_rule rule = { .action = BH_ALLOW,
				.has_peers = true,
				.peers = peers,
				.n_peers = 1,
				.has_ports = true,
				.ports = ports,
				.n_ports = 1 };
	struct bh_fact fact = {
		.kind = BH_KIND_POLICY,
		.source = BH_SOURCE_KUBE,
		.policy = { .kind = BH_NETWORK_POLICY,
			    .tier = BH_TIER_NETWORK_POLICY,
			    .namespace = n.namespace,
			    .name = n.name,
			    .uid = "",
			    .pods = { own, 1 },
			    .isolates = { [BH_INGRESS] = true },
			    .rules = { [BH_INGRESS] = { &rule, 1 } } },
	};

	snprintf(n.namespace, sizeof(n.namespace), "ns-%u", i % n_namespaces);
	snprintf(n.name, sizeof(n.name), "policy-%u", i);
	snprintf(n.app, sizeof(n.app), "app-%u", i / n_namespaces % APPS);
	snprintf(peer_app, sizeof(peer_app), "app-%u", (i + 1) % APPS);
	snprintf(n.team, sizeof(n.team), "team-%u", i % TEAMS);
	if (i % 10 == 0) {
		peers[0].has_namespaces = true;
		peers[0].namespaces = (struct bh_selector){ team, 1 };
	}
	if (i % 5 == 0) {
		peers[1].kind = BH_PEER_CIDR;
		(void)bh_cidr_parse("192.0.2.0/24", &peers[1].cidr, NULL);
		rule.n_peers = 2;
	}
	apply(b, &fact);
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Applies @n events; @on_event(i) prepares nothing and is timed with its commit. */
static void time_events(struct bench *b, const char *name,
			void (*on_event)(struct bench *b, unsigned int i, unsigned int step),
			struct bh_buf *out)
{
	bh_auto_free uint64_t *ns = bh_calloc(b->n_events, sizeof(*ns));
	unsigned int i;
	uint64_t start;

	if (b->n_events == 0)
		return;
	for (i = 0; i < b->n_events; i++) {
		/* 7919 is prime: walks all over the cluster. */
		unsigned int target = (unsigned int)((uint64_t)i * 7919 % b->n_pods);

		start = bh_mono_ns();
		on_event(b, target, i);
		(void)sync_kernel(b);
		ns[i] = bh_mono_ns() - start;
	}
	bh_sort(ns, b->n_events, sizeof(*ns), cmp_u64);
	bh_buf_printf(out, ", \"%s_us\": {\"p50\": %.1f, \"p99\": %.1f}", name,
		      (double)ns[b->n_events / 2] / 1e3, (double)ns[b->n_events * 99 / 100] / 1e3);
}

static void relabel(struct bench *b, unsigned int pod, unsigned int step)
{
	put_pod(b, pod, (pod + step + 1) % APPS, 0);
}

static void drop_pod(struct bench *b, unsigned int pod, unsigned int step)
{
	(void)step;
	remove_pod(b, pod, 0);
}

static void bring_pod(struct bench *b, unsigned int pod, unsigned int step)
{
	(void)step;
	put_pod(b, pod, pod % APPS, 0);
}

static unsigned int local_pod(const struct bench *b, unsigned int step)
{
	unsigned int every = b->n_pods / LOCAL_PODS;

	return every ? step % LOCAL_PODS * every : step % b->n_pods;
}

static void drop_local(struct bench *b, unsigned int pod, unsigned int step)
{
	(void)pod;
	/* Every second event brings back what the one before removed. */
	if (step % 2 == 0)
		remove_pod(b, local_pod(b, step / 2), 0);
	else
		put_pod(b, local_pod(b, step / 2), local_pod(b, step / 2) % APPS, 0);
}

static void edit_policy(struct bench *b, unsigned int pod, unsigned int step)
{
	(void)pod;
	put_policy(b, step * 31 % b->n_policies, (uint16_t)(9000 + step % 1000));
}

static unsigned long memory_kb(const char *field)
{
	bh_auto_free char *text = NULL;
	const char *at;
	size_t len;

	if (bh_read_file("/proc/self/status", 1 << 16, &text, &len, NULL) < 0)
		return 0;
	at = strstr(text, field);
	return at ? strtoul(at + strlen(field), NULL, 10) : 0;
}

static double ms(uint64_t from, uint64_t to)
{
	return (double)(to - from) / 1e6;
}

static void on_fact(void *ctx, const struct bh_fact *fact)
{
	apply(ctx, fact);
}

/* The file whole, and how long its slowest portion took. */
static uint64_t read_state(struct bench *b, const char *path)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	bh_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bh_cachefile_info info = { 0 };
	uint64_t start_ns = bh_mono_ns(), slowest_ns = 0;
	struct bh_err err = { 0 };
	int n = bh_cachefile_open(&f, fd, "", &info, &err);

	if (n < 0)
		die("open", &err);
	do {
		uint64_t ns = bh_mono_ns() - start_ns;

		slowest_ns = ns > slowest_ns ? ns : slowest_ns;
		start_ns = bh_mono_ns();
		n = bh_cachefile_read(f, PORTION, on_fact, b, &err);
	} while (n > 0);
	if (n < 0)
		die("read", &err);
	return slowest_ns;
}

static void time_state(struct bench *b, struct bh_buf *out)
{
	char path[] = "/tmp/control_bench.XXXXXX";
	struct bh_cachefile_info info = { .of = "bench" };
	struct bh_err err = { 0 };
	uint64_t t[5], slowest_ns;
	pid_t child;

	close(mkstemp(path));
	t[0] = bh_mono_ns();
	child = fork();
	if (child == 0)
		_exit(0);
	t[1] = bh_mono_ns();
	waitpid(child, NULL, 0);
	t[2] = bh_mono_ns();
	if (bh_cachefile_write(path, b->world, &info, &err) < 0)
		die("write", &err);
	t[3] = bh_mono_ns();
	slowest_ns = read_state(b, path);
	t[4] = bh_mono_ns();
	unlink(path);
	bh_buf_printf(out,
		      ", \"state\": {\"bytes\": %zu, \"fork_ms\": %.2f, \"write_ms\": %.1f, "
		      "\"read_ms\": %.1f, \"read_slowest_ms\": %.1f}",
		      info.n_bytes, ms(t[0], t[1]), ms(t[2], t[3]), ms(t[3], t[4]),
		      ms(0, slowest_ns));
}

static void run(struct bench *b)
{
	static const struct bh_compile_config config = {
		.log_group = 100, .log_snaplen = 128, .log_rate = 100, .log_burst = 200
	};
	struct bh_world_config world = { .node = "this" };
	struct bh_buf out = { 0 };
	uint64_t t[4];
	struct bh_compile_stats stats;
	struct bh_err err = { 0 };
	unsigned int i;

	b->world = bh_world_new(&world);
	t[0] = bh_mono_ns();
	for (i = 0; i <= namespace_of(b->n_pods - 1); i++)
		put_namespace(b, i);
	for (i = 0; i < b->n_pods; i++)
		put_pod(b, i, i % APPS, 0);
	for (i = 0; i < b->n_policies; i++)
		put_policy(b, i, 8080);
	t[1] = bh_mono_ns();
	b->compiler = bh_compiler_new(b->world, &config);
	bh_compiler_update(b->compiler);
	t[2] = bh_mono_ns();
	(void)sync_kernel(b);
	t[3] = bh_mono_ns();
	stats = bh_compiler_stats(b->compiler);

	bh_buf_printf(&out,
		      "{\"bench\": \"control\", \"pods\": %u, \"policies\": %u, "
		      "\"load_ms\": %.1f, \"compile_ms\": %.1f, \"commit_ms\": %.1f, "
		      "\"elements\": %zu, \"chains\": %zu, \"rss_kb\": %lu",
		      b->n_pods, b->n_policies, ms(t[0], t[1]), ms(t[1], t[2]), ms(t[2], t[3]),
		      stats.n_elems, stats.n_chains, memory_kb("VmHWM:"));
	time_events(b, "pod_relabelled", relabel, &out);
	time_events(b, "pod_removed", drop_pod, &out);
	time_events(b, "pod_added", bring_pod, &out);
	time_events(b, "local_pod", drop_local, &out);
	time_events(b, "policy_changed", edit_policy, &out);
	time_state(b, &out);
	printf("%s}\n", bh_buf_str(&out));
	bh_buf_done(&out);

	if (b->nft && bh_nft_cleanup(b->nft, &err) < 0)
		die("cleanup", &err);
	bh_compiler_free(&b->compiler);
	bh_world_free(&b->world);
}

int main(int argc, char **argv)
{
	bool with_kernel = true;
	struct bh_err err = { 0 };
	struct bench b = { .n_events = 1000 };
	int i, n = 0;

	for (i = 1; i < argc; i++) {
		unsigned int v = (unsigned int)strtoul(argv[i], NULL, 10);

		if (strcmp(argv[i], "--no-kernel") == 0)
			with_kernel = false;
		else if (n == 0)
			b.n_pods = v, n++;
		else if (n == 1)
			b.n_policies = v, n++;
		else
			b.n_events = v, n++;
	}
	if (n < 2 || b.n_pods == 0 || b.n_policies == 0 || b.n_events > MAX_EVENTS) {
		fputs("usage: control_bench PODS POLICIES [EVENTS] [--no-kernel]\n", stderr);
		return 2;
	}
	if (with_kernel) {
		/* A network namespace of our own: nothing of the machine is touched. */
		if (unshare(CLONE_NEWNET) < 0) {
			perror("cannot make a network namespace");
			return 77;
		}
		if (bh_nft_new(&b.nft, &err) < 0)
			die("nftables", &err);
	}
	run(&b);
	bh_nft_free(&b.nft);
	return 0;
}
