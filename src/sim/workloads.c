/*
 * Pods and what they belong to.
 *
 * A pod belongs to the workload that its controlling owners lead to: a
 * ReplicaSet's to its Deployment, a Job's to its CronJob.  Other owners
 * (operators' own kinds) are not followed, because nobody knows them by name.
 * A pod without owner is a workload of its own.
 */
#include <ctype.h>
#include <string.h>

#include "sim.h"

/* Owners that are followed; as deep as they can be stacked. */
#define MAX_OWNERS 2

static struct template *find_template(const struct bh_sim *sim, const char *kind, const char *ns,
				      const char *name)
{
	bh_auto_free char *subject = bh_asprintf("%s %s/%s", kind, ns, name);
	struct seen *s;

	HASH_FIND_STR(sim->seen, subject, s);
	return s ? s->template : NULL;
}

static bool is_followed(const char *kind)
{
	static const char *const kinds[] = {
		"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController",
		"Job",        "CronJob"
	};
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static void find_owner(const struct bh_sim *sim, struct template *t)
{
	const struct bh_workload *at = &t->w;
	int i;

	t->group_kind = at->kind;
	t->group_name = at->name;
	for (i = 0; i < MAX_OWNERS && at->owner_kind && is_followed(at->owner_kind); i++) {
		const struct template *owner;

		t->group_kind = at->owner_kind;
		t->group_name = at->owner_name;
		owner = find_template(sim, at->owner_kind, at->namespace, at->owner_name);
		if (!owner)
			return;
		at = &owner->w;
	}
}

/* The workload that @pod belongs to. */
static void group_of(const struct bh_sim *sim, const struct bh_pod *pod, const char **ret_kind,
		     const char **ret_name)
{
	const struct template *t;

	if (!pod->workload_kind) {
		*ret_kind = "Pod";
		*ret_name = pod->name;
		return;
	}
	t = find_template(sim, pod->workload_kind, pod->namespace, pod->workload_name);
	*ret_kind = t ? t->group_kind : pod->workload_kind;
	*ret_name = t ? t->group_name : pod->workload_name;
}

static int by_group(const void *a, const void *b)
{
	const struct template *t = *(struct template *const *)a;
	const struct template *u = *(struct template *const *)b;
	int c = strcmp(t->w.namespace, u->w.namespace);

	if (c == 0)
		c = strcmp(t->group_name, u->group_name);
	if (c == 0)
		c = strcmp(t->group_kind, u->group_kind);
	/* Of several ReplicaSets of one Deployment the one that has pods. */
	if (c == 0)
		c = (t->w.replicas == 0) - (u->w.replicas == 0);
	return c ? c : strcmp(t->w.name, u->w.name);
}

void sim_find_owners(struct bh_sim *sim)
{
	size_t i;

	for (i = 0; i < sim->n_templates; i++)
		find_owner(sim, sim->templates[i]);
	if (sim->n_templates)
		bh_sort(sim->templates, sim->n_templates, sizeof(struct template *), by_group);
}

/* --- pods that nobody described -------------------------------------------------------- */

/* A workload that has pods. */
struct owner {
	char *key;
	UT_hash_handle hh;
};

static void add_owner(struct owner **owners, char *key)
{
	struct owner *o;

	HASH_FIND_STR(*owners, key, o);
	if (o) {
		free(key);
		return;
	}
	o = bh_calloc(1, sizeof(*o));
	o->key = key;
	HASH_ADD_KEYPTR(hh, *owners, o->key, strlen(o->key), o);
}

static void free_owners(struct owner *owners)
{
	struct owner *o = owners, *next;

	HASH_CLEAR(hh, owners);
	for (; o; o = next) {
		next = o->hh.next;
		free(o->key);
		free(o);
	}
}

/* A finished pod is replaced by its workload, but the Job that it finished is over. */
static struct owner *find_owners(const struct bh_sim *sim)
{
	const struct bh_pod *const *pods;
	size_t i, n = bh_world_pods(sim->world, &pods);
	struct owner *owners = NULL;

	for (i = 0; i < n; i++) {
		const char *kind, *name;

		group_of(sim, pods[i], &kind, &name);
		if (!pods[i]->is_finished || strcmp(kind, "Job") == 0)
			add_owner(&owners, bh_asprintf("%s %s/%s", kind, pods[i]->namespace, name));
	}
	return owners;
}

static bool is_taken(const struct bh_sim *sim, const char *ns, const char *name)
{
	return bh_world_pod_by_name(sim->world, ns, name) != NULL;
}

/* The workload's own name if no other pod has it, else with the kind behind it. */
static char *free_name(const struct bh_sim *sim, const struct template *t)
{
	char *name = bh_strdup(t->group_name), *at;
	unsigned int i;

	for (i = 1; is_taken(sim, t->w.namespace, name); i++) {
		free(name);
		name = bh_asprintf("%s-%s", t->group_name, t->group_kind);
		for (at = name + strlen(t->group_name); *at; at++)
			*at = (char)tolower((unsigned char)*at);
		if (i > 1) {
			at = name;
			name = bh_asprintf("%s-%u", at, i);
			free(at);
		}
	}
	return name;
}

static void make_pod(struct bh_sim *sim, const struct template *t, const char *name)
{
	struct bh_fact fact = { .kind = BH_KIND_POD,
				.source = BH_SOURCE_MANIFEST,
				.pod = t->w.pod };

	fact.pod.name = name;
	fact.pod.workload_kind = t->group_kind;
	fact.pod.workload_name = t->group_name;
	/* There is room: bh_sim_add() counted it. */
	bh_world_apply(sim->world, &fact, NULL);
}

/* Two stand for any number of replicas: one has to be asked about the other. */
static void make_pods_of(struct bh_sim *sim, const struct template *t)
{
	bh_auto_free char *name = free_name(sim, t), *second = NULL;

	make_pod(sim, t, name);
	second = bh_asprintf("%s-1", name);
	if (t->w.replicas > 1 && !is_taken(sim, t->w.namespace, second))
		make_pod(sim, t, second);
}

void sim_make_pods(struct bh_sim *sim)
{
	struct owner *owners = find_owners(sim), *o;
	size_t i;

	for (i = 0; i < sim->n_templates; i++) {
		const struct template *t = sim->templates[i];
		char *key = bh_asprintf("%s %s/%s", t->group_kind, t->w.namespace, t->group_name);

		HASH_FIND_STR(owners, key, o);
		if (!o)
			make_pods_of(sim, t);
		add_owner(&owners, key);
	}
	free_owners(owners);
}

void sim_make_nodes(struct bh_sim *sim)
{
	const struct bh_pod *const *listed;
	size_t i, n = bh_world_pods(sim->world, &listed);
	bh_auto_free const char **names = bh_calloc(n, sizeof(*names));

	/* The listing is good until the next object is told, the names are for longer. */
	for (i = 0; i < n; i++)
		names[i] = listed[i]->node;
	for (i = 0; i < n; i++) {
		struct bh_fact fact = { .kind = BH_KIND_NODE,
					.source = BH_SOURCE_MANIFEST,
					.node.name = names[i] };

		if (*names[i] && !bh_world_node(sim->world, names[i]))
			bh_world_apply(sim->world, &fact, NULL);
	}
}

/* --- grouping ---------------------------------------------------------------------------- */

struct member {
	const struct bh_pod *pod;
	const char *kind, *name;
};

static int by_workload(const void *a, const void *b)
{
	const struct member *m = a, *o = b;
	int c = strcmp(m->pod->namespace, o->pod->namespace);

	if (c == 0)
		c = strcmp(m->name, o->name);
	if (c == 0)
		c = strcmp(m->kind, o->kind);
	if (c == 0)
		c = strcmp(m->pod->name, o->pod->name);
	return c ? c : strcmp(m->pod->uid, o->pod->uid);
}

static bool is_same_workload(const struct member *a, const struct member *b)
{
	return strcmp(a->pod->namespace, b->pod->namespace) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->kind, b->kind) == 0;
}

static int by_pointer(const void *a, const void *b)
{
	const struct pod_ref *r = a, *s = b;

	return ((uintptr_t)r->pod > (uintptr_t)s->pod) - ((uintptr_t)r->pod < (uintptr_t)s->pod);
}

static void add_workload(struct bh_sim *sim, const struct member *members, size_t n)
{
	const struct bh_pod *first = members[0].pod;
	const struct template *t =
		find_template(sim, members[0].kind, first->namespace, members[0].name);
	const struct bh_pod **pods = bh_arena_array(sim->arena, n, sizeof(struct bh_pod *));
	size_t i;

	for (i = 0; i < n; i++) {
		pods[i] = members[i].pod;
		sim->refs[sim->n_refs++] = (struct pod_ref){ pods[i], sim->n_workloads };
	}
	sim->workloads[sim->n_workloads++] = (struct bh_sim_workload){
		.kind = bh_arena_strdup(sim->arena, members[0].kind),
		.namespace = first->namespace,
		.name = bh_arena_strdup(sim->arena, members[0].name),
		.pods = pods,
		.n_pods = n,
		.file = t ? t->w.file : first->file,
		.line = t ? t->w.line : first->line,
	};
}

void sim_group_pods(struct bh_sim *sim)
{
	const struct bh_pod *const *pods;
	size_t i, start, n_pods = bh_world_pods(sim->world, &pods), n = 0;
	bh_auto_free struct member *members = bh_calloc(n_pods, sizeof(*members));

	for (i = 0; i < n_pods; i++) {
		if (pods[i]->is_finished)
			continue;
		members[n].pod = pods[i];
		group_of(sim, pods[i], &members[n].kind, &members[n].name);
		n++;
	}
	if (n)
		bh_sort(members, n, sizeof(*members), by_workload);
	sim->workloads = bh_calloc(n, sizeof(*sim->workloads));
	sim->refs = bh_calloc(n, sizeof(*sim->refs));
	for (start = 0, i = 1; i <= n; i++) {
		if (i < n && is_same_workload(&members[start], &members[i]))
			continue;
		add_workload(sim, &members[start], i - start);
		start = i;
	}
	if (n)
		bh_sort(sim->refs, n, sizeof(*sim->refs), by_pointer);
}

size_t bh_sim_workloads(const struct bh_sim *sim, const struct bh_sim_workload **ret)
{
	*ret = sim->workloads;
	return sim->n_workloads;
}

const struct bh_sim_workload *bh_sim_workload_of(const struct bh_sim *sim, const struct bh_pod *pod)
{
	const struct pod_ref key = { .pod = pod }, *ref;

	ref = sim->n_refs ? bh_search(&key, sim->refs, sim->n_refs, sizeof(key), by_pointer) : NULL;
	return ref ? &sim->workloads[ref->workload] : NULL;
}

void bh_sim_workload_label(const struct bh_sim_workload *w, struct bh_buf *out)
{
	bh_buf_escape(out, w->namespace);
	bh_buf_putc(out, '/');
	bh_buf_escape(out, w->name);
	bh_buf_putc(out, '[');
	bh_buf_escape(out, w->kind);
	bh_buf_putc(out, ']');
}
