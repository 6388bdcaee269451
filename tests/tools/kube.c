/*
 * The agent's Kubernetes source alone, for tests: prints one JSON object a line
 * for everything that the sink is told.
 *
 *	kube watch [--kubeconfig FILE] [--context NAME] [--plain] [--page-size N]
 *		[--silence MS] [--adopt KIND/NS/NAME/UID]... [--for TEXT] [--quiet]
 *	kube check [--kubeconfig FILE] [--context NAME] [--plain]
 *
 * {"event":"put","kind":"Pod","namespace":"shop","name":"web","uid":"...",...}
 * {"event":"delete","kind":"Pod","namespace":"shop","name":"web","uid":"..."}
 * {"event":"synced"}
 * {"event":"problem","subject":"pods","text":"..."}	text is null at its end
 * {"event":"stats",...}	on SIGUSR1, and at the end
 *
 * Every line begins with "ms", the time since the start.  It ends after the first
 * line that contains TEXT, or on SIGTERM.  --quiet leaves out puts and deletes.
 * Without --kubeconfig it is in-cluster.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <uv.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/kube.h"

#define MAX_ADOPTED 64

struct tool {
	uv_loop_t loop;
	uv_signal_t usr1, term;
	struct bh_kube *kube;
	const char *wait_for;
	bool is_quiet;
	uint64_t start_ns;
};

static void stop(struct tool *t)
{
	uv_stop(&t->loop);
}

/* Uses @line up. */
static void print_line(struct tool *t, json_t *line)
{
	bh_auto_free char *text = NULL;

	json_object_set_new(
		line, "ms",
		json_integer((json_int_t)((bh_mono_ns() - t->start_ns) / BH_NS_PER_MS)));
	text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(line);
	puts(text);
	fflush(stdout);
	if (t->wait_for && strstr(text, t->wait_for))
		stop(t);
}

static json_t *labels_json(const struct bh_labels *labels)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < labels->n; i++)
		json_object_set_new(o, labels->items[i].key, json_string(labels->items[i].value));
	return o;
}

static json_t *addrs_json(const struct bh_addr *addrs, size_t n)
{
	json_t *list = json_array();
	char text[BH_ADDR_STRLEN];
	size_t i;

	for (i = 0; i < n; i++)
		json_array_append_new(list, json_string(bh_addr_format(&addrs[i], text)));
	return list;
}

static json_t *pod_json(const struct bh_pod *p)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:b, s:b}", "event", "put",
			 "kind", "Pod", "namespace", p->namespace, "name", p->name, "uid", p->uid,
			 "node", p->node, "labels", labels_json(&p->labels), "addrs",
			 addrs_json(p->addrs, p->n_addrs), "ports", (int)p->n_ports, "host_network",
			 (int)p->is_host_network, "finished", (int)p->is_finished);
}

static json_t *fact_json(const struct bh_fact *f)
{
	switch (f->kind) {
	case BH_KIND_POD: return pod_json(&f->pod);
	case BH_KIND_NAMESPACE:
		return json_pack("{s:s, s:s, s:s, s:o, s:s}", "event", "put", "kind", "Namespace",
				 "name", f->ns.name, "labels", labels_json(&f->ns.labels), "mode",
				 bh_mode_str(f->ns.mode));
	case BH_KIND_NODE:
		return json_pack("{s:s, s:s, s:s, s:o, s:o}", "event", "put", "kind", "Node",
				 "name", f->node.name, "labels", labels_json(&f->node.labels),
				 "addrs", addrs_json(f->node.addrs, f->node.n_addrs));
	case BH_KIND_POLICY:
		return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:s?}", "event", "put",
				 "kind", bh_policy_kind_str(f->policy.kind), "namespace",
				 f->policy.namespace, "name", f->policy.name, "tier",
				 bh_tier_str(f->policy.tier), "ingress_rules",
				 (int)f->policy.rules[BH_INGRESS].n, "egress_rules",
				 (int)f->policy.rules[BH_EGRESS].n, "invalid", f->policy.invalid);
	case BH_KIND_COUNT_: break;
	}
	abort();
}

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct tool *t = ctx;

	if (!t->is_quiet)
		print_line(t, fact_json(fact));
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct tool *t = ctx;
	const char *kind = key->kind == BH_KIND_POLICY ? bh_policy_kind_str(key->policy_kind)
						       : bh_kind_str(key->kind);

	if (!t->is_quiet)
		print_line(t, json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "delete", "kind",
					kind, "namespace", key->namespace, "name", key->name, "uid",
					key->uid));
}

static void on_synced(void *ctx, enum bh_source source)
{
	(void)source;
	print_line(ctx, json_pack("{s:s}", "event", "synced"));
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	(void)source;
	print_line(ctx, json_pack("{s:s, s:s, s:s?}", "event", "problem", "subject", subject,
				  "text", text));
}

static json_t *resource_json(const struct bh_kube_resource_stats *s)
{
	return json_pack("{s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I}", "is_served", (int)s->is_served,
			 "is_synced", (int)s->is_synced, "is_watched", (int)s->is_watched,
			 "n_objects", (json_int_t)s->n_objects, "n_events", (json_int_t)s->n_events,
			 "n_lists", (json_int_t)s->n_lists, "n_watches", (json_int_t)s->n_watches,
			 "n_refused", (json_int_t)s->n_refused);
}

static void print_stats(struct tool *t)
{
	struct bh_kube_stats s = bh_kube_stats(t->kube);
	json_t *resources = json_object();
	struct rusage usage;
	enum bh_kube_resource i;

	getrusage(RUSAGE_SELF, &usage);
	for (i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		json_object_set_new(resources, bh_kube_resource_str(i),
				    resource_json(&s.resources[i]));
	t->wait_for = NULL;
	print_line(t,
		   json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "event", "stats",
			     "is_connected", (int)s.is_connected, "server", s.server, "version",
			     s.version, "bytes_received", (json_int_t)s.bytes_received,
			     "n_connects", (json_int_t)s.n_connects, "max_rss_kb",
			     (json_int_t)usage.ru_maxrss, "cpu_ms",
			     (json_int_t)((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
					  (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000),
			     "resources", resources));
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct tool *t = handle->data;

	if (number == SIGUSR1)
		print_stats(t);
	else
		stop(t);
}

/* Pod/shop/web/UID; parts that a kind does not have are empty. */
static void adopt(struct tool *t, char *text)
{
	struct bh_key key = { .source = BH_SOURCE_KUBE };
	const char *kind = strsep(&text, "/");

	key.namespace = strsep(&text, "/");
	key.name = strsep(&text, "/");
	key.uid = text;
	if (!key.name) {
		fprintf(stderr, "kube: --adopt KIND/NS/NAME/UID\n");
		exit(2);
	}
	while (key.kind < BH_KIND_POLICY && strcmp(kind, bh_kind_str(key.kind)) != 0)
		key.kind++;
	while (key.kind == BH_KIND_POLICY && key.policy_kind < BH_DEFAULT_DENY &&
	       strcmp(kind, bh_policy_kind_str(key.policy_kind)) != 0)
		key.policy_kind++;
	bh_kube_adopt(t->kube, &key);
}

static int watch(struct tool *t, const struct bh_kube_config *config, char **adopted, size_t n)
{
	const struct bh_sink sink = {
		.ctx = t,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	struct bh_err err = { 0 };
	size_t i;

	uv_loop_init(&t->loop);
	uv_signal_init(&t->loop, &t->usr1);
	uv_signal_init(&t->loop, &t->term);
	t->usr1.data = t->term.data = t;
	uv_signal_start(&t->usr1, on_signal, SIGUSR1);
	uv_signal_start(&t->term, on_signal, SIGTERM);
	t->start_ns = bh_mono_ns();
	if (bh_kube_new(&t->kube, &t->loop, config, &sink, &err) < 0) {
		fprintf(stderr, "kube: %s\n", err.text);
		return 1;
	}
	for (i = 0; i < n; i++)
		adopt(t, adopted[i]);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	print_stats(t);
	bh_kube_free(&t->kube);
	uv_close((uv_handle_t *)&t->usr1, NULL);
	uv_close((uv_handle_t *)&t->term, NULL);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	return uv_loop_close(&t->loop) == 0 ? 0 : 1;
}

static int check(const struct bh_kube_config *config)
{
	struct bh_err err = { 0 };

	if (bh_kube_check(config, &err) == 0)
		return 0;
	fprintf(stderr, "kube: %s\n", err.text);
	return 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "kubeconfig", required_argument, NULL, 'k' },
		{ "context", required_argument, NULL, 'c' },
		{ "page-size", required_argument, NULL, 'n' },
		{ "silence", required_argument, NULL, 's' },
		{ "adopt", required_argument, NULL, 'a' },
		{ "for", required_argument, NULL, 'f' },
		{ "plain", no_argument, NULL, 'p' },
		{ "quiet", no_argument, NULL, 'q' },
		{ 0 },
	};
	struct bh_kube_config config = { 0 };
	char *adopted[MAX_ADOPTED];
	struct tool t = { 0 };
	size_t n = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'k': config.kubeconfig = optarg; break;
		case 'c': config.context = optarg; break;
		case 'n': config.page_size = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 's': config.watch_silence_ms = (uint32_t)strtoul(optarg, NULL, 10); break;
		case 'f': t.wait_for = optarg; break;
		case 'p': config.allows_plain = true; break;
		case 'q': t.is_quiet = true; break;
		case 'a':
			if (n == MAX_ADOPTED)
				return 2;
			adopted[n++] = optarg;
			break;
		default: return 2;
		}
	}
	if (optind + 1 == argc && strcmp(argv[optind], "watch") == 0)
		return watch(&t, &config, adopted, n);
	if (optind + 1 == argc && strcmp(argv[optind], "check") == 0)
		return check(&config);
	fputs("kube: watch or check?\n", stderr);
	return 2;
}
