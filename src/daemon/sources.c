#include "sources.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"

/* "Pod shop/web-1" */
static const char *subject_of(const struct bh_key *key, char buf[BH_ERR_MAX])
{
	const char *namespace = key->namespace ? key->namespace : "";

	snprintf(buf, BH_ERR_MAX, "%s %s%s%s", bh_kind_str(key->kind), namespace,
		 *namespace ? "/" : "", key->name);
	return buf;
}

/* A pod of this node is about to send packets: it does not wait for a burst to end. */
static bool is_urgent(const struct bh_sources *s, const struct bh_fact *fact)
{
	const char *node = s->agent->config->node;

	if (fact->kind != BH_KIND_POD)
		return false;
	if (!*fact->pod.node) /* in the API: not scheduled */
		return fact->source != BH_SOURCE_KUBE;
	return !node || strcmp(fact->pod.node, node) == 0;
}

static void put(struct bh_sources *s, const struct bh_fact *fact)
{
	const struct bh_key key = bh_fact_key(fact);
	struct bh_agent *a = s->agent;
	char subject[BH_ERR_MAX];
	struct bh_err err = { 0 };
	int r = bh_world_apply(a->world, fact, &err);

	if (r < 0) {
		subject_of(&key, subject);
		if (bh_problems_set(&a->problems, fact->source, subject, bh_err_text(&err)))
			bh_log_error("%s: %s, %s", subject, bh_err_text(&err),
				     bh_world_is_told(a->world, &key) ? "keeping its previous state"
								      : "it is not in force");
		return;
	}
	if (a->problems.n > 0)
		bh_problems_clear(&a->problems, fact->source, subject_of(&key, subject));
	bh_reconcile_defer(&a->reconcile, is_urgent(s, fact));
}

/*
 * The kernel's own word on which addresses are this node's is added to what
 * manifests or an API say of it.
 */
static void put_own_node(struct bh_sources *s, enum bh_source source,
			 const struct bh_labels *labels)
{
	size_t n = s->n_kernel_addrs + s->n_told_addrs;
	bh_auto_free struct bh_addr *addrs = bh_calloc(n + 1, sizeof(*addrs));
	struct bh_fact fact = {
		.kind = BH_KIND_NODE,
		.source = source,
		.node = { .name = s->agent->config->node_name, .addrs = addrs },
	};

	if (labels)
		fact.node.labels = *labels;
	if (s->n_kernel_addrs > 0)
		memcpy(addrs, s->kernel_addrs, s->n_kernel_addrs * sizeof(*addrs));
	n = s->n_kernel_addrs;
	for (size_t i = 0; i < s->n_told_addrs; i++) {
		bool is_known = false;

		for (size_t k = 0; k < n && !is_known; k++)
			is_known = bh_addr_eq(&addrs[k], &s->told_addrs[i]);
		if (!is_known)
			addrs[n++] = s->told_addrs[i];
	}
	fact.node.n_addrs = n;
	fact.node.n_kernel = s->n_kernel_addrs;
	put(s, &fact);
}

static void tell_own_node(struct bh_sources *s, enum bh_source source, const struct bh_addr *addrs,
			  size_t n)
{
	free(s->told_addrs);
	s->told_addrs = n > 0 ? bh_calloc(n, sizeof(*addrs)) : NULL;
	if (n > 0)
		memcpy(s->told_addrs, addrs, n * sizeof(*addrs));
	s->n_told_addrs = n;
	s->told_by = source;
}

static bool is_own_node(const struct bh_sources *s, enum bh_kind kind, const char *name)
{
	return kind == BH_KIND_NODE && strcmp(name, s->agent->config->node_name) == 0;
}

static void note_source(struct bh_sources *s, enum bh_source source)
{
	if (source == BH_SOURCE_KUBE)
		bh_cache_note(&s->agent->cache);
	if (source == BH_SOURCE_MANIFEST)
		bh_lasttexts_note(&s->agent->lasttexts);
}

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct bh_sources *s = ctx;

	note_source(s, fact->source);
	if (!is_own_node(s, fact->kind, fact->kind == BH_KIND_NODE ? fact->node.name : "")) {
		put(s, fact);
		return;
	}
	bh_closed_tell(&s->agent->closed, fact->node.pod_cidrs, fact->node.n_pod_cidrs);
	tell_own_node(s, fact->source, fact->node.addrs, fact->node.n_addrs);
	put_own_node(s, fact->source, &fact->node.labels);
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	struct bh_sources *s = ctx;
	char subject[BH_ERR_MAX];

	note_source(s, key->source);
	bh_world_remove(s->agent->world, key);
	if (s->agent->problems.n > 0)
		bh_problems_clear(&s->agent->problems, key->source, subject_of(key, subject));
	if (is_own_node(s, key->kind, key->name)) {
		tell_own_node(s, key->source, NULL, 0);
		put_own_node(s, BH_SOURCE_NODE, NULL);
	}
	bh_reconcile_defer(&s->agent->reconcile, false);
}

static void on_synced(void *ctx, enum bh_source source)
{
	struct bh_sources *s = ctx;

	if (!s->is_synced[source])
		bh_log_info("source %s is in sync", bh_source_str(source));
	s->is_synced[source] = true;
	if (source == BH_SOURCE_KUBE)
		bh_cache_end_use(&s->agent->cache);
	note_source(s, source);
	bh_reconcile_defer(&s->agent->reconcile, true);
	bh_agent_update_ready(s->agent);
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct bh_sources *s = ctx;
	/* Of a file its source says itself what stays in force. */
	const char *then = source == BH_SOURCE_MANIFEST ? "" : ", changing nothing";

	if (text && bh_problems_set(&s->agent->problems, source, subject, text))
		bh_log_warning("%s: %s%s", subject, text, then);
	else if (!text && bh_problems_clear(&s->agent->problems, source, subject))
		bh_log_info("%s: is fine again", subject);
	if (source == BH_SOURCE_MANIFEST)
		note_source(s, source);
	if (source != BH_SOURCE_CRI)
		bh_agent_update_ready(s->agent);
}

static void read_node(struct bh_sources *s)
{
	const struct bh_addr *addrs;
	const struct bh_node *node;
	size_t n = bh_node_watch_addrs(s->node_watch, &addrs);

	free(s->kernel_addrs);
	s->kernel_addrs = bh_calloc(n, sizeof(*addrs));
	if (n > 0)
		memcpy(s->kernel_addrs, addrs, n * sizeof(*addrs));
	s->n_kernel_addrs = n;
	put_own_node(s, BH_SOURCE_NODE, NULL);
	node = bh_world_node(s->agent->world, s->agent->config->node_name);
	if (s->told_addrs && node)
		put_own_node(s, s->told_by, &node->labels);
}

static void on_node_change(void *ctx)
{
	struct bh_sources *s = ctx;

	read_node(s);
	/* Broadcast addresses are the guard's only, not the world's. */
	bh_reconcile_note_links(&s->agent->reconcile);
}

static void on_ports_change(void *ctx)
{
	struct bh_sources *s = ctx;

	bh_reconcile_note_links(&s->agent->reconcile);
	/* Looks at the CNI configuration too, which comes with the first pods. */
	bh_agent_check_bridges(s->agent);
}

static int start_ports(struct bh_sources *s, struct bh_err *err)
{
	const struct bh_config *c = s->agent->config;
	const struct bh_ports_config config = {
		.extra = c->extra_addrs,
		.n_extra = c->n_extra_addrs,
		.on_change = on_ports_change,
		.ctx = s,
	};

	return bh_ports_new(&s->ports, s->agent->loop, &config, &s->sink, err);
}

const char *bh_sources_a_bridge(const struct bh_sources *s)
{
	const char *name = s->ports ? bh_ports_a_bridge(s->ports) : NULL;

	return s->ports && !name ? "" : name;
}

void bh_sources_follow(struct bh_sources *s)
{
	if (s->ports)
		bh_ports_follow(s->ports, bh_world_changes(s->agent->world));
}

static int start_kube(struct bh_sources *s, struct bh_err *err)
{
	const struct bh_kube_config config = bh_kube_config_of(s->agent->config);
	int r = bh_kube_new(&s->kube, s->agent->loop, &config, &s->sink, err);

	return r < 0 ? bh_err_wrap(err, r, "--kubeconfig") : 0;
}

/* Rules of an earlier run, which the manifests may have made. */
static bool has_rules(const struct bh_sources *s)
{
	bh_auto(bh_nft_state_free) struct bh_nft_state *state = NULL;

	/* What the API says made them, mostly; it is waited for anyway. */
	if (s->is_wanted[BH_SOURCE_KUBE])
		return false;
	return bh_nft_read(s->agent->nft, BH_TABLE_INET, &state, NULL) == 0 &&
	       bh_nft_state_has_pods(state);
}

static void start_manifest(struct bh_sources *s)
{
	struct bh_manifest_start start = {
		.is_recalled = bh_lasttexts_recall(&s->agent->lasttexts, s->manifest),
	};

	start.has_rules = !start.is_recalled && has_rules(s);
	bh_manifest_start(s->manifest, &start);
}

int bh_sources_start(struct bh_sources *s, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *c = agent->config;
	int r;

	s->agent = agent;
	s->sink = (struct bh_sink){
		.ctx = s,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	s->is_wanted[BH_SOURCE_MANIFEST] = c->policies != NULL;
	s->is_wanted[BH_SOURCE_CRI] = c->runtime != NULL;
	s->is_wanted[BH_SOURCE_KUBE] = bh_config_has_kube(c);

	r = bh_node_watch_new(&s->node_watch, agent->loop, on_node_change, s, err);
	if (r < 0)
		return r;
	read_node(s);
	r = start_ports(s, err);
	if (r < 0)
		return r;
	if (c->runtime) {
		struct bh_cri_config cri = { .endpoint = c->runtime, .node = c->node_name };

		r = bh_cri_new(&s->cri, agent->loop, &cri, &s->sink, err);
		if (r < 0)
			return bh_err_wrap(err, r, "--runtime");
	}
	if (s->is_wanted[BH_SOURCE_KUBE]) {
		r = start_kube(s, err);
		if (r < 0)
			return r;
	}
	if (!c->policies)
		return 0;
	r = bh_manifest_new(&s->manifest, agent->loop, c->policies, &s->sink, err);
	if (r < 0)
		return bh_err_wrap(err, r, "--policies");
	start_manifest(s);
	return 0;
}

void bh_sources_stop(struct bh_sources *s)
{
	bh_manifest_free(&s->manifest);
	bh_cri_free(&s->cri);
	bh_kube_free(&s->kube);
	bh_node_watch_free(&s->node_watch);
	bh_ports_free(&s->ports);
	free(s->kernel_addrs);
	free(s->told_addrs);
	free(s->unknown_links);
	s->unknown_links = NULL;
	s->kernel_addrs = s->told_addrs = NULL;
}

static bool is_closed_until_known(const struct bh_config *c, const char *link)
{
	for (size_t i = 0; i < c->n_closed_links; i++)
		if (fnmatch(c->closed_links[i], link, 0) == 0)
			return true;
	return false;
}

size_t bh_sources_broadcasts(const struct bh_sources *s, const struct bh_addr **ret)
{
	return bh_node_watch_broadcasts(s->node_watch, ret);
}

/* Of the links that may be a pod's, those that share a bridge with pods, or are to be closed. */
size_t bh_sources_unknown_links(struct bh_sources *s, const struct bh_guard_link **ret)
{
	const struct bh_unknown_port *ports = NULL;
	size_t n = s->ports ? bh_ports_unknown(s->ports, &ports) : 0, kept = 0;

	s->unknown_links = bh_reallocarray(s->unknown_links, n + 1, sizeof(*s->unknown_links));
	for (size_t i = 0; i < n; i++) {
		bool is_closed = is_closed_until_known(s->agent->config, ports[i].name);

		if (ports[i].is_beside_pods || is_closed)
			s->unknown_links[kept++] =
				(struct bh_guard_link){ .ifindex = ports[i].ifindex,
							.name = ports[i].name,
							.is_closed = is_closed };
	}
	*ret = s->unknown_links;
	return kept;
}

bool bh_sources_are_synced(const struct bh_sources *s)
{
	for (enum bh_source i = 0; i < BH_SOURCE_COUNT_; i++)
		if (s->is_wanted[i] && !s->is_synced[i])
			return false;
	return true;
}

bool bh_sources_are_usable(const struct bh_sources *s)
{
	for (enum bh_source i = 0; i < BH_SOURCE_COUNT_; i++)
		if (s->is_wanted[i] && !s->is_synced[i] &&
		    !(i == BH_SOURCE_KUBE && s->agent->cache.is_in_use))
			return false;
	return true;
}

const char *bh_sources_refused(const struct bh_sources *s)
{
	struct bh_kube_stats stats;

	if (!s->kube)
		return NULL;
	stats = bh_kube_stats(s->kube);
	for (enum bh_kube_resource i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++)
		if (stats.resources[i].is_forbidden)
			return bh_kube_resource_str(i);
	return NULL;
}

/* What is enforced may be old: nobody tells what changed since. */
static bool is_stale(const struct bh_sources *s, enum bh_source source)
{
	switch (source) {
	case BH_SOURCE_CRI: return !bh_cri_stats(s->cri).is_connected;
	case BH_SOURCE_KUBE: return !bh_kube_stats(s->kube).is_connected;
	case BH_SOURCE_NODE:
	case BH_SOURCE_MANIFEST:
	case BH_SOURCE_COUNT_: break;
	}
	return false;
}

static void describe_kube(const struct bh_sources *s, char *buf, size_t size)
{
	struct bh_kube_stats stats = bh_kube_stats(s->kube);
	char time[BH_TIME_STRLEN], state[128] = "";

	if (s->agent->cache.is_in_use)
		snprintf(state, sizeof(state), ", using its state of %s",
			 bh_time_format(s->agent->cache.writer.state_ns, time));
	snprintf(buf, size, "%s Kubernetes%s%s at %s%s",
		 stats.is_connected ? "connected to" : "no connection to",
		 stats.version[0] ? " " : "", stats.version,
		 stats.server[0] ? stats.server : "an unknown server", state);
}

static void describe(const struct bh_sources *s, enum bh_source source, char *buf, size_t size)
{
	const struct bh_config *c = s->agent->config;
	struct bh_cri_stats cri;

	switch (source) {
	case BH_SOURCE_CRI:
		cri = bh_cri_stats(s->cri);
		snprintf(buf, size, "%s %s at %s",
			 cri.is_connected ? "connected to" : "no connection to",
			 cri.runtime[0] ? cri.runtime : "the runtime", c->runtime);
		return;
	case BH_SOURCE_MANIFEST: snprintf(buf, size, "folder %s", c->policies); return;
	case BH_SOURCE_KUBE: describe_kube(s, buf, size); return;
	case BH_SOURCE_NODE: /* never wanted */
	case BH_SOURCE_COUNT_: break;
	}
	abort();
}

json_t *bh_sources_json(const struct bh_sources *s)
{
	json_t *list = json_array();

	for (enum bh_source i = 0; i < BH_SOURCE_COUNT_; i++) {
		char detail[768] = "";

		if (!s->is_wanted[i])
			continue;
		describe(s, i, detail, sizeof(detail));
		json_array_append_new(list,
				      json_pack("{s:s, s:b, s:b, s:s}", "source", bh_source_str(i),
						"in_sync", (int)s->is_synced[i], "stale",
						(int)is_stale(s, i), "detail", detail));
	}
	return list;
}
