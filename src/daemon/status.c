/*
 * The answer to `bulkhead status`.
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/hash.h"
#include "portstatus.h"

#ifndef BH_VERSION
#define BH_VERSION "unknown"
#endif

/* Why pods of a policy are closed, by kind, namespace and name. */
struct closed {
	char *key;
	const char *why;
	UT_hash_handle hh;
};

static char *policy_key(enum bh_policy_kind kind, const char *ns, const char *name)
{
	return bh_asprintf("%s %s/%s", bh_policy_kind_str(kind), ns, name);
}

static void add_closed(struct closed **map, const struct bh_profile *p)
{
	for (size_t i = 0; i < p->n_enforced; i++) {
		bh_auto_free char *key = policy_key(p->enforced[i].kind, p->enforced[i].namespace,
						    p->enforced[i].name);
		struct closed *c;

		HASH_FIND_STR(*map, key, c);
		if (c)
			continue;
		c = bh_calloc(1, sizeof(*c));
		c->why = p->closed;
		c->key = bh_take_ptr(key);
		HASH_ADD_KEYPTR(hh, *map, c->key, strlen(c->key), c);
	}
}

/* Empty unless the kernel refused something, or something is beyond its budget. */
static struct closed *find_closed(const struct bh_agent *a)
{
	struct closed *map = NULL;
	const struct bh_pod *const *pods;
	size_t n;

	if (bh_compiler_stats(a->compiler).n_closed == 0)
		return NULL;
	n = bh_world_pods(a->world, &pods);
	for (size_t i = 0; i < n; i++) {
		for (enum bh_dir d = 0; d < BH_DIR_COUNT_; d++) {
			const struct bh_profile *p =
				bh_compiler_profile_of(a->compiler, pods[i], d);

			if (p && p->closed)
				add_closed(&map, p);
		}
	}
	return map;
}

static void free_closed(struct closed **map)
{
	struct closed *c, *next;

	HASH_ITER (hh, *map, c, next) {
		HASH_DEL(*map, c);
		free(c->key);
		free(c);
	}
}

static const char *why_closed(struct closed *map, const struct bh_policy *p)
{
	bh_auto_free char *key = NULL;
	struct closed *c;

	if (p->invalid || !map)
		return p->invalid;
	key = policy_key(p->kind, p->namespace, p->name);
	HASH_FIND_STR(map, key, c);
	return c ? c->why : NULL;
}

struct selected {
	const struct bh_world *w;
	const struct bh_policy *p;
	size_t n;
};

static void count_local(void *ctx, const struct bh_pod *pod)
{
	struct selected *s = ctx;

	s->n += pod->is_local && !pod->has_no_labels_yet &&
		(s->p->kind != BH_QUARANTINE || bh_world_selects(s->w, s->p, pod));
}

/* Policies that changed since the last commit, whose rules the kernel has not. */
static bool is_pending(const struct bh_changes *changes, const struct bh_policy *p)
{
	for (size_t i = 0; i < changes->n_policies; i++)
		if (changes->policies[i].after == p)
			return true;
	return false;
}

/* Nothing of what the world says is kept from the kernel. */
static bool is_kernel_ours(const struct bh_agent *a)
{
	return a->reconcile.is_adopted && !bh_reconcile_has_trouble(&a->reconcile) &&
	       a->bridges != BH_BRIDGE_BYPASSED;
}

static json_t *policies_json(const struct bh_agent *a)
{
	bh_auto(free_closed) struct closed *closed = find_closed(a);
	const struct bh_changes *changes = bh_world_changes(a->world);
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(a->world, &policies);
	bool is_ours = is_kernel_ours(a);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct bh_policy *p = policies[i];
		const char *error = why_closed(closed, p);
		struct selected selected = { .w = a->world, .p = p };

		bh_world_find_pods(a->world, *p->namespace ? p->namespace : NULL, &p->namespaces,
				   &p->pods, count_local, &selected);
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:b, s:s?}", "kind",
					bh_policy_kind_str(p->kind), "namespace", p->namespace,
					"name", p->name, "uid", p->uid ? p->uid : "", "generation",
					(json_int_t)p->generation, "mode",
					bh_mode_str(bh_world_policy_mode(a->world, p)), "pods",
					(json_int_t)selected.n, "enforced",
					(int)(is_ours && !error && !is_pending(changes, p)),
					"error", error));
	}
	return list;
}

/* Beyond these only the number is told. */
#define MAX_IGNORED 1000

static void add_ignored(void *ctx, const struct bh_ignored *i)
{
	json_t *list = ctx;

	if (json_array_size(list) == MAX_IGNORED)
		return;
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s+, s:s}", "kind", i->kind,
					      "namespace", i->namespace, "name", i->name,
					      "annotation", BH_ANNOTATION_PREFIX,
					      bh_annotation_str(i->annotation), "reason", i->why));
}

static void set_ignored(json_t *o, const struct bh_agent *a)
{
	json_t *list = json_array();
	size_t n = bh_world_ignored(a->world, add_ignored, list);

	json_object_set_new(o, "ignored_annotations", list);
	json_object_set_new(o, "ignored_annotations_total", json_integer((json_int_t)n));
}

static json_t *last_commit_json(const struct bh_reconcile *r)
{
	char time[BH_TIME_STRLEN];

	if (r->n_commits == 0)
		return json_null();
	return json_pack("{s:s, s:I, s:I}", "time", bh_time_format(r->last_real_ns, time),
			 "duration_us", (json_int_t)r->last_duration_us, "operations",
			 (json_int_t)r->last_n_ops);
}

static void set_int(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static json_t *kube_json(const struct bh_agent *a)
{
	struct bh_kube_stats stats;
	json_t *list = json_array(), *kube;
	uint64_t now = bh_mono_ns();

	stats = bh_kube_stats(a->sources.kube);
	for (enum bh_kube_resource i = 0; i < BH_KUBE_RESOURCE_COUNT_; i++) {
		const struct bh_kube_resource_stats *r = &stats.resources[i];
		json_t *o =
			json_pack("{s:s, s:b, s:b, s:b, s:b}", "resource", bh_kube_resource_str(i),
				  "served", (int)r->is_served, "in_sync", (int)r->is_synced,
				  "watched", (int)r->is_watched, "forbidden", (int)r->is_forbidden);

		set_int(o, "objects", r->n_objects);
		set_int(o, "events", r->n_events);
		set_int(o, "lists", r->n_lists);
		set_int(o, "watches", r->n_watches);
		set_int(o, "refused", r->n_refused);
		if (r->last_ns > 0)
			set_int(o, "silent_s", (now - r->last_ns) / BH_NS_PER_S);
		json_array_append_new(list, o);
	}
	kube = json_pack("{s:s, s:s, s:b, s:o}", "server", stats.server, "version", stats.version,
			 "connected", (int)stats.is_connected, "resources", list);
	set_int(kube, "received_bytes", stats.bytes_received);
	set_int(kube, "connects", stats.n_connects);
	return kube;
}

/* The API's last state on disk. */
static json_t *state_json(const struct bh_agent *a)
{
	const struct bh_cache *c = &a->cache;
	char time[BH_TIME_STRLEN];

	return json_pack(
		"{s:s, s:b, s:s?, s:I, s:I}", "file", c->path, "in_use", (int)c->is_in_use, "time",
		c->writer.state_ns > 0 ? bh_time_format(c->writer.state_ns, time) : NULL, "writes",
		(json_int_t)c->writer.n_writes, "failures", (json_int_t)c->writer.n_failures);
}

/* The manifests in force on disk. */
static json_t *manifest_state_json(const struct bh_agent *a)
{
	const struct bh_lasttexts *l = &a->lasttexts;
	char time[BH_TIME_STRLEN];

	return json_pack("{s:s, s:s?, s:I, s:I}", "file", l->path, "time",
			 l->writer.state_ns > 0 ? bh_time_format(l->writer.state_ns, time) : NULL,
			 "writes", (json_int_t)l->writer.n_writes, "failures",
			 (json_int_t)l->writer.n_failures);
}

json_t *bh_policies_json(struct bh_agent *a)
{
	json_t *o = json_object();

	json_object_set_new(o, "node", json_string(a->config->node_name));
	json_object_set_new(o, "mode", json_string(bh_mode_str(a->config->mode)));
	json_object_set_new(o, "in_sync", json_boolean(bh_sources_are_synced(&a->sources)));
	json_object_set_new(o, "ready", json_boolean(a->is_ready));
	set_int(o, "generation", a->reconcile.generation);
	set_int(o, "wanted_generation", bh_reconcile_wanted(&a->reconcile));
	set_int(o, "cut_generation", bh_revoker_generation(&a->revoker));
	json_object_set_new(o, "policies", policies_json(a));
	set_ignored(o, a);
	return o;
}

static json_t *revocation_json(const struct bh_revoker *rv)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:s?}", "walks", (json_int_t)rv->n_walks,
			 "entries", (json_int_t)rv->n_entries, "cpu_us",
			 (json_int_t)(rv->cpu_ns / 1000), "failures", (json_int_t)rv->n_failed,
			 "live", (json_int_t)rv->n_live, "trouble",
			 rv->trouble[0] ? rv->trouble : NULL);
}

json_t *bh_status_json(struct bh_agent *a)
{
	const struct bh_world_stats world = bh_world_stats(a->world);
	const struct bh_compile_stats plan = bh_compiler_stats(a->compiler);
	json_t *s = json_object();

	bh_revoker_hurry(&a->revoker);
	json_object_set_new(s, "version", json_string(BH_VERSION));
	json_object_set_new(s, "node", json_string(a->config->node_name));
	json_object_set_new(s, "mode", json_string(bh_mode_str(a->config->mode)));
	json_object_set_new(s, "in_sync", json_boolean(bh_sources_are_synced(&a->sources)));
	json_object_set_new(s, "ready", json_boolean(a->is_ready));
	json_object_set_new(s, "not_ready", bh_agent_not_ready(a));
	set_int(s, "generation", a->reconcile.generation);
	set_int(s, "wanted_generation", bh_reconcile_wanted(&a->reconcile));
	set_int(s, "cut_generation", bh_revoker_generation(&a->revoker));
	set_int(s, "uptime_s", (bh_mono_ns() - a->start_ns) / BH_NS_PER_S);
	json_object_set_new(s, "sources", bh_sources_json(&a->sources));
	if (a->sources.kube)
		json_object_set_new(s, "kube", kube_json(a));
	if (a->cache.path)
		json_object_set_new(s, "state", state_json(a));
	if (a->boot.path)
		json_object_set_new(s, "boot_rules", bh_boot_json(&a->boot));
	if (a->lasttexts.path)
		json_object_set_new(s, "manifest_state", manifest_state_json(a));
	json_object_set_new(s, "closed_until_known", bh_closed_json(&a->closed));
	set_int(s, "pods", world.n_pods);
	set_int(s, "local_pods", world.n_local_pods);
	set_int(s, "namespaces", world.n_namespaces);
	set_int(s, "policies", world.n_policies);
	set_int(s, "profiles", plan.n_profiles);
	set_int(s, "profiles_closed", plan.n_closed);
	set_int(s, "profiles_beyond_budget", plan.n_over);
	set_int(s, "sets", plan.n_sets);
	set_int(s, "chains", plan.n_chains);
	set_int(s, "elements", plan.n_elems);
	json_object_set_new(s, "ports", bh_ports_json(a));
	json_object_set_new(s, "address_conflicts", bh_conflicts_json(a));
	json_object_set_new(s, "problems", bh_problems_json(&a->problems));
	json_object_set_new(s, "policies_status", policies_json(a));
	set_ignored(s, a);
	json_object_set_new(s, "quarantines", bh_quarantines_json(a));
	json_object_set_new(s, "seccomp", bh_seccomp_json(&a->seccomp));
	json_object_set_new(s, "packets", bh_packets_json(&a->packets));
	json_object_set_new(s, "flow_log", bh_packets_file_json(&a->packets));
	set_int(s, "tamper_events", a->reconcile.n_tampers);
	json_object_set_new(s, "revocation", revocation_json(&a->revoker));
	set_int(s, "revoked_connections", a->revoker.n_revoked);
	json_object_set_new(s, "last_commit", last_commit_json(&a->reconcile));
	return s;
}
