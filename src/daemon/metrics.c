/*
 * Metrics in Prometheus' text format, and health.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/file.h"
#include "portstatus.h"

#ifndef BH_VERSION
#define BH_VERSION "unknown"
#endif

/* Everything that a scrape shows, taken at one moment. */
struct scrape {
	struct bh_agent *agent;
	struct bh_world_stats world;
	struct bh_compile_stats plan;
	struct bh_account books[BH_CLASS_COUNT_];
	struct bh_flowlog_stats log;
	struct bh_kube_stats kube; /* zero without the API */
};

static void add(struct bh_buf *b, const char *name, const char *labels, double value)
{
	bh_buf_printf(b, "bulkhead_%s%s %.14g\n", name, labels, value);
}

static void add_count(struct bh_buf *b, const char *name, const char *labels, uint64_t value)
{
	bh_buf_printf(b, "bulkhead_%s%s %llu\n", name, labels, (unsigned long long)value);
}

static void build_info(const struct scrape *s, const char *name, struct bh_buf *b)
{
	(void)s;
	add_count(b, name, "{version=\"" BH_VERSION "\"}", 1);
}

static void ready(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->is_ready);
}

static void seccomp_in_force(const struct scrape *s, const char *name, struct bh_buf *b)
{
	const struct bh_seccomp *seccomp = &s->agent->seccomp;
	char labels[64];

	snprintf(labels, sizeof(labels), "{mode=\"%s\"}", bh_seccomp_mode_str(seccomp->mode));
	add_count(b, name, labels, seccomp->is_in_force);
}

static void source_in_sync(const struct scrape *s, const char *name, struct bh_buf *b)
{
	for (enum bh_source i = 0; i < BH_SOURCE_COUNT_; i++) {
		char labels[64];

		if (!s->agent->sources.is_wanted[i])
			continue;
		snprintf(labels, sizeof(labels), "{source=\"%s\"}", bh_source_str(i));
		add_count(b, name, labels, s->agent->sources.is_synced[i]);
	}
}

static void objects(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{kind=\"pod\"}", s->world.n_pods);
	add_count(b, name, "{kind=\"local_pod\"}", s->world.n_local_pods);
	add_count(b, name, "{kind=\"namespace\"}", s->world.n_namespaces);
	add_count(b, name, "{kind=\"node\"}", s->world.n_nodes);
	add_count(b, name, "{kind=\"policy\"}", s->world.n_policies);
}

static void plan_objects(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{kind=\"profile\"}", s->plan.n_profiles);
	add_count(b, name, "{kind=\"closed_profile\"}", s->plan.n_closed);
	add_count(b, name, "{kind=\"profile_beyond_budget\"}", s->plan.n_over);
	add_count(b, name, "{kind=\"set\"}", s->plan.n_sets);
	add_count(b, name, "{kind=\"chain\"}", s->plan.n_chains);
	add_count(b, name, "{kind=\"element\"}", s->plan.n_elems);
}

static void problems(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->problems.n);
}

static void pods_without_port(const struct scrape *s, const char *name, struct bh_buf *b)
{
	const struct bh_ports *ports = s->agent->sources.ports;

	add_count(b, name, "", ports ? bh_ports_stats(ports).n_portless : 0);
}

static void address_conflicts(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", bh_conflicts_count(s->agent));
}

static void link_events(const struct scrape *s, const char *name, struct bh_buf *b)
{
	const struct bh_ports *ports = s->agent->sources.ports;

	add_count(b, name, "", ports ? bh_ports_stats(ports).n_events : 0);
}

static void generation(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{state=\"acknowledged\"}", s->agent->reconcile.generation);
	add_count(b, name, "{state=\"wanted\"}", bh_reconcile_wanted(&s->agent->reconcile));
}

static void commits(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{result=\"ok\"}", s->agent->reconcile.n_commits);
	add_count(b, name, "{result=\"error\"}", s->agent->reconcile.n_failures);
}

static void add_durations(struct bh_buf *b, const char *name, const struct bh_durations *d)
{
	static const double bounds[] = BH_DURATION_BUCKETS;

	for (size_t i = 0; i < BH_ARRAY_LEN(bounds); i++)
		bh_buf_printf(b, "bulkhead_%s_bucket{le=\"%g\"} %llu\n", name, bounds[i],
			      (unsigned long long)d->buckets[i]);
	bh_buf_printf(b, "bulkhead_%s_bucket{le=\"+Inf\"} %llu\n", name, (unsigned long long)d->n);
	bh_buf_printf(b, "bulkhead_%s_sum %.9g\nbulkhead_%s_count %llu\n", name, d->seconds, name,
		      (unsigned long long)d->n);
}

static void commit_duration(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_durations(b, name, &s->agent->reconcile.commits);
}

static void change_duration(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_durations(b, name, &s->agent->reconcile.changes);
}

static void read_backs(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->reconcile.n_read_backs);
}

static void tampers(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->reconcile.n_tampers);
}

static void revoked(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->revoker.n_revoked);
}

static void revocation_walks(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->revoker.n_walks);
}

static void revocation_failures(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->revoker.n_failed);
}

static void revocation_live(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->revoker.n_live);
}

static void revocation_entries(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", s->agent->revoker.n_entries);
}

static void revocation_pending(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "",
		  s->agent->reconcile.generation - bh_revoker_generation(&s->agent->revoker));
}

static void packets(const struct scrape *s, const char *name, struct bh_buf *b)
{
	for (enum bh_verdict_class i = 0; i < BH_CLASS_COUNT_; i++) {
		char labels[64];

		snprintf(labels, sizeof(labels), "{verdict=\"%s\"}", bh_class_words(i)->counter);
		add_count(b, name, labels, s->books[i].denied);
	}
}

static void no_pod_packets(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (bh_closed_is_wanted(s->agent->config))
		add_count(b, name, "", bh_packets_no_pod(&s->agent->packets));
}

static void packet_outcomes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	static const struct {
		const char *outcome;
		size_t offset;
	} t[] = {
		{ "recorded", offsetof(struct bh_account, recorded) },
		{ "suppressed", offsetof(struct bh_account, suppressed) },
		{ "pending", offsetof(struct bh_account, pending) },
		{ "in_flight", offsetof(struct bh_account, in_flight) },
		{ "lost", offsetof(struct bh_account, lost) },
	};

	for (enum bh_verdict_class i = 0; i < BH_CLASS_COUNT_; i++) {
		for (size_t k = 0; k < BH_ARRAY_LEN(t); k++) {
			char labels[96];
			uint64_t value;

			memcpy(&value, (const char *)&s->books[i] + t[k].offset, sizeof(value));
			snprintf(labels, sizeof(labels), "{verdict=\"%s\",outcome=\"%s\"}",
				 bh_class_words(i)->counter, t[k].outcome);
			add_count(b, name, labels, value);
		}
	}
}

static struct bh_flowfile_stats file_stats(const struct scrape *s)
{
	const struct bh_flowfile *file = s->agent->packets.file;

	return file ? bh_flowfile_stats(file) : (struct bh_flowfile_stats){ 0 };
}

static void flow_log_bytes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", file_stats(s).bytes);
}

static void flow_log_rotations(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", file_stats(s).rotations);
}

static void flow_log_left_out(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{reason=\"byte-rate\"}", file_stats(s).left_out_rate);
	add_count(b, name, "{reason=\"size-limit\"}", file_stats(s).left_out_size);
}

static void quarantines(const struct scrape *s, const char *name, struct bh_buf *b)
{
	size_t n_operator, n_annotated;

	bh_quarantines_count(s->agent, &n_operator, &n_annotated);
	add_count(b, name, "{by=\"operator\"}", n_operator);
	add_count(b, name, "{by=\"annotation\"}", n_annotated);
}

static void ignored_annotations(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "", bh_world_ignored(s->agent->world, NULL, NULL));
}

static void flow_records(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_count(b, name, "{result=\"written\"}", s->log.records);
	add_count(b, name, "{result=\"lost\"}", s->log.records_lost);
}

/* A number from a file of /proc; nothing is shown where it is not there. */
static void add_proc(struct bh_buf *b, const char *name, const char *path)
{
	bh_auto_free char *text = NULL;
	size_t len;

	if (bh_read_file(path, 64, &text, &len, NULL) == 0)
		add_count(b, name, "", strtoull(text, NULL, 10));
}

static void conntrack_entries(const struct scrape *s, const char *name, struct bh_buf *b)
{
	(void)s;
	add_proc(b, name, "/proc/sys/net/netfilter/nf_conntrack_count");
}

static void conntrack_limit(const struct scrape *s, const char *name, struct bh_buf *b)
{
	(void)s;
	add_proc(b, name, "/proc/sys/net/netfilter/nf_conntrack_max");
}

/* The second number of /proc/self/statm, in pages, proc(5). */
static void resident(const struct scrape *s, const char *name, struct bh_buf *b)
{
	bh_auto_free char *text = NULL;
	const char *blank;
	size_t len;

	(void)s;
	if (bh_read_file("/proc/self/statm", 256, &text, &len, NULL) < 0)
		return;
	blank = strchr(text, ' ');
	if (blank)
		add_count(b, name, "", strtoull(blank, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE));
}

static void start_time(const struct scrape *s, const char *name, struct bh_buf *b)
{
	uint64_t start_ns = bh_real_ns() - (bh_mono_ns() - s->agent->start_ns);

	add(b, name, "", (double)start_ns / (double)BH_NS_PER_S);
}

static void kube_connected(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (s->agent->sources.kube)
		add_count(b, name, "", s->kube.is_connected);
}

static void kube_bytes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (s->agent->sources.kube)
		add_count(b, name, "", s->kube.bytes_received);
}

static void kube_connects(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (s->agent->sources.kube)
		add_count(b, name, "", s->kube.n_connects);
}

static uint64_t number_at(const struct bh_kube_resource_stats *r, size_t offset)
{
	uint64_t n;

	memcpy(&n, (const char *)r + offset, sizeof(n));
	return n;
}

/* One line for each resource that the server has. */
static void add_resources(const struct scrape *s, const char *name, struct bh_buf *b, size_t offset)
{
	for (enum bh_kube_resource i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		const struct bh_kube_resource_stats *r = &s->kube.resources[i];
		char labels[64];

		if (!s->agent->sources.kube || !r->is_served)
			continue;
		snprintf(labels, sizeof(labels), "{resource=\"%s\"}", bh_kube_resource_str(i));
		add_count(b, name, labels, number_at(r, offset));
	}
}

static void kube_watched(const struct scrape *s, const char *name, struct bh_buf *b)
{
	for (enum bh_kube_resource i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		char labels[64];

		if (!s->agent->sources.kube || !s->kube.resources[i].is_served)
			continue;
		snprintf(labels, sizeof(labels), "{resource=\"%s\"}", bh_kube_resource_str(i));
		add_count(b, name, labels, s->kube.resources[i].is_watched);
	}
}

static void kube_events(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_resources(s, name, b, offsetof(struct bh_kube_resource_stats, n_events));
}

static void kube_lists(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_resources(s, name, b, offsetof(struct bh_kube_resource_stats, n_lists));
}

static void kube_watches(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_resources(s, name, b, offsetof(struct bh_kube_resource_stats, n_watches));
}

static void kube_refused(const struct scrape *s, const char *name, struct bh_buf *b)
{
	add_resources(s, name, b, offsetof(struct bh_kube_resource_stats, n_refused));
}

static void kube_silence(const struct scrape *s, const char *name, struct bh_buf *b)
{
	uint64_t now = bh_mono_ns();

	for (enum bh_kube_resource i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		const struct bh_kube_resource_stats *r = &s->kube.resources[i];
		char labels[64];

		if (!s->agent->sources.kube || !r->is_served || r->last_ns == 0)
			continue;
		snprintf(labels, sizeof(labels), "{resource=\"%s\"}", bh_kube_resource_str(i));
		add(b, name, labels, (double)(now - r->last_ns) / (double)BH_NS_PER_S);
	}
}

static void state_in_use(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (s->agent->cache.agent)
		add_count(b, name, "", s->agent->cache.is_in_use);
}

static void state_age(const struct scrape *s, const char *name, struct bh_buf *b)
{
	uint64_t at = s->agent->cache.writer.state_ns, now = bh_real_ns();

	if (s->agent->cache.agent && at > 0)
		add(b, name, "", now > at ? (double)(now - at) / (double)BH_NS_PER_S : 0);
}

static void state_writes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (!s->agent->cache.agent)
		return;
	add_count(b, name, "{result=\"ok\"}", s->agent->cache.writer.n_writes);
	add_count(b, name, "{result=\"error\"}", s->agent->cache.writer.n_failures);
}

static void manifest_state_writes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (!s->agent->lasttexts.agent)
		return;
	add_count(b, name, "{result=\"ok\"}", s->agent->lasttexts.writer.n_writes);
	add_count(b, name, "{result=\"error\"}", s->agent->lasttexts.writer.n_failures);
}

static void boot_writes(const struct scrape *s, const char *name, struct bh_buf *b)
{
	if (!s->agent->boot.path)
		return;
	add_count(b, name, "{result=\"ok\"}", s->agent->boot.n_writes);
	add_count(b, name, "{result=\"error\"}", s->agent->boot.n_failures);
}

static const struct {
	const char *name, *type, *help;
	void (*print)(const struct scrape *s, const char *name, struct bh_buf *b);
} metrics[] = {
	{ "build_info", "gauge", "Version of the agent.", build_info },
	{ "start_time_seconds", "gauge", "When the agent started, since 1970.", start_time },
	{ "resident_memory_bytes", "gauge", "Resident memory of the agent.", resident },
	{ "ready", "gauge", "1 if rules are in force and nothing bypasses them.", ready },
	{ "seccomp_in_force", "gauge", "1 if the agent's own system calls are filtered.",
	  seccomp_in_force },
	{ "source_in_sync", "gauge", "1 if the source has told all that exists.", source_in_sync },
	{ "objects", "gauge", "Objects the agent knows.", objects },
	{ "plan_objects", "gauge", "What the rules consist of.", plan_objects },
	{ "problems", "gauge", "Things that are wrong now, see bulkhead status.", problems },
	{ "pods_without_port", "gauge",
	  "Pods of this node whose port on it was not found, see bulkhead status.",
	  pods_without_port },
	{ "address_conflicts", "gauge", "Claims on addresses that somebody else has.",
	  address_conflicts },
	{ "link_events_total", "counter", "Notifications about links and network namespaces.",
	  link_events },
	{ "generation", "gauge", "Generation of the rules.", generation },
	{ "commits_total", "counter", "Transactions sent to the kernel.", commits },
	{ "commit_duration_seconds", "histogram", "Time until the kernel acknowledged.",
	  commit_duration },
	{ "change_duration_seconds", "histogram",
	  "Time from the first of the facts in a commit to the kernel's acknowledgement.",
	  change_duration },
	{ "read_backs_total", "counter", "Times the kernel's table was read back.", read_backs },
	{ "tamper_events_total", "counter", "Foreign changes to the table, repaired.", tampers },
	{ "revoked_connections_total", "counter", "Connections cut because policy narrowed.",
	  revoked },
	{ "revocation_walks_total", "counter", "Walks over conntrack for what to cut.",
	  revocation_walks },
	{ "revocation_failures_total", "counter", "Walks over conntrack that failed.",
	  revocation_failures },
	{ "revocation_entries_total", "counter", "Connections that walks judged.",
	  revocation_entries },
	{ "revocation_pending_generations", "gauge",
	  "Generations of the rules whose cuts are not done yet.", revocation_pending },
	{ "revocation_live_connections", "gauge",
	  "Connections that came back, or can, although policy no longer allows them.",
	  revocation_live },
	{ "packets_total", "counter", "Packets that policy denied, or would deny in audit.",
	  packets },
	{ "no_pod_yet_packets_total", "counter",
	  "Of these, those of addresses that are closed until a pod is known to have them.",
	  no_pod_packets },
	{ "packet_outcomes", "gauge",
	  "What became of them in the flow log; adds up to "
	  "bulkhead_packets_total.",
	  packet_outcomes },
	{ "flow_records_total", "counter", "Flow records.", flow_records },
	{ "flow_log_bytes", "gauge", "Size of the flow log's file.", flow_log_bytes },
	{ "flow_log_rotations_total", "counter", "Times the agent began a new flow log.",
	  flow_log_rotations },
	{ "flow_log_left_out_total", "counter", "Records that a limit kept out of the flow log.",
	  flow_log_left_out },
	{ "quarantines", "gauge",
	  "Quarantines that operators set, and pods of this node with the annotation.",
	  quarantines },
	{ "ignored_annotations", "gauge", "Annotations that the configuration does not let count.",
	  ignored_annotations },
	{ "conntrack_entries", "gauge", "Connections tracked.", conntrack_entries },
	{ "conntrack_entries_limit", "gauge", "Most connections the kernel tracks.",
	  conntrack_limit },
	{ "kube_connected", "gauge", "1 if every watch of the Kubernetes API follows.",
	  kube_connected },
	{ "kube_received_bytes_total", "counter", "Bytes of the API's answers.", kube_bytes },
	{ "kube_connects_total", "counter", "Connections to the API server tried.", kube_connects },
	{ "kube_watched", "gauge", "1 if a watch of the resource is open.", kube_watched },
	{ "kube_events_total", "counter", "Changes that the API told of.", kube_events },
	{ "kube_lists_total", "counter", "Lists that ended: the first and relists.", kube_lists },
	{ "kube_watches_total", "counter", "Watches asked for.", kube_watches },
	{ "kube_refused_objects_total", "counter", "Objects of the API that could not be read.",
	  kube_refused },
	{ "kube_silence_seconds", "gauge", "Time since the last sign of life.", kube_silence },
	{ "state_in_use", "gauge", "1 if the state of before the restart serves for the API.",
	  state_in_use },
	{ "state_age_seconds", "gauge", "Age of the API's state on disk.", state_age },
	{ "state_writes_total", "counter", "Times the API's state was written.", state_writes },
	{ "manifest_state_writes_total", "counter", "Times the manifests in force were written.",
	  manifest_state_writes },
	{ "boot_rules_writes_total", "counter", "Times the rules were saved for --boot.",
	  boot_writes },
};

static int on_metrics(void *ctx, struct bh_buf *body)
{
	struct bh_agent *a = ctx;
	struct scrape s = {
		.agent = a,
		.world = bh_world_stats(a->world),
		.plan = bh_compiler_stats(a->compiler),
	};

	if (a->sources.kube)
		s.kube = bh_kube_stats(a->sources.kube);
	bh_packets_account(&a->packets, s.books);
	s.log = bh_flowlog_stats(a->flowlog);
	for (size_t i = 0; i < BH_ARRAY_LEN(metrics); i++) {
		bh_buf_printf(body, "# HELP bulkhead_%s %s\n# TYPE bulkhead_%s %s\n",
			      metrics[i].name, metrics[i].help, metrics[i].name, metrics[i].type);
		metrics[i].print(&s, metrics[i].name, body);
	}
	return 200;
}

/* It answers, so the loop is alive. */
static int on_health(void *ctx, struct bh_buf *body)
{
	const struct bh_agent *a = ctx;

	if (bh_reconcile_is_stuck(&a->reconcile)) {
		bh_buf_puts(body, "the reconciler is stuck\n");
		return 503;
	}
	bh_buf_puts(body, "ok\n");
	return 200;
}

static int on_ready(void *ctx, struct bh_buf *body)
{
	const struct bh_agent *a = ctx;
	json_t *reasons = bh_agent_not_ready(a);
	const json_t *reason;
	size_t i;

	json_array_foreach(reasons, i, reason)
		bh_buf_printf(body, "%s\n", json_string_value(reason));
	json_decref(reasons);
	if (i > 0)
		return 503;
	bh_buf_puts(body, "ok\n");
	return 200;
}

static int on_policies(void *ctx, struct bh_buf *body)
{
	json_t *json = bh_policies_json(ctx);
	char *text = json_dumps(json, JSON_INDENT(1) | JSON_ENSURE_ASCII);

	json_decref(json);
	if (!text)
		return 500;
	bh_buf_puts(body, text);
	bh_buf_putc(body, '\n');
	free(text);
	return 200;
}

#define TEXT "text/plain; charset=utf-8"

const struct bh_http_page bh_pages[] = {
	{ .path = "/metrics",
	  .content_type = "text/plain; version=0.0.4; charset=utf-8",
	  .on_get = on_metrics,
	  .is_costly = true },
	{ .path = "/policies",
	  .content_type = "application/json",
	  .on_get = on_policies,
	  .is_costly = true },
	{ .path = "/healthz", .content_type = TEXT, .on_get = on_health },
	{ .path = "/readyz", .content_type = TEXT, .on_get = on_ready },
	{ .path = NULL },
};
