/*
 * Names of ends -> pods, nodes, Services and addresses.
 */
#include <errno.h>
#include <string.h>

#include "bh/nearest.h"
#include "bh/selector.h"
#include "query.h"

/* Names have at most 253 bytes, and a few signs around them. */
#define MAX_TEXT 600

struct name {
	char namespace[MAX_TEXT], name[MAX_TEXT], kind[MAX_TEXT];
};

/* "ns/name" or "ns/name[Kind]" */
static bool split(const char *text, struct name *ret)
{
	const char *slash = strchr(text, '/'), *bracket;
	size_t len;

	if (!slash || strlen(text) >= MAX_TEXT)
		return false;
	len = (size_t)(slash - text);
	memcpy(ret->namespace, text, len);
	ret->namespace[len] = '\0';
	bracket = strchr(slash, '[');
	len = bracket ? (size_t)(bracket - slash - 1) : strlen(slash + 1);
	memcpy(ret->name, slash + 1, len);
	ret->name[len] = '\0';
	ret->kind[0] = '\0';
	if (!bracket)
		return true;
	len = strlen(bracket + 1);
	if (len < 2 || bracket[len] != ']')
		return false;
	memcpy(ret->kind, bracket + 1, len - 1);
	ret->kind[len - 1] = '\0';
	return true;
}

/* --- workloads and Services by name ------------------------------------------------------ */

static int cmp_workload(const struct bh_sim_workload *w, const struct name *n)
{
	int c = strcmp(w->namespace, n->namespace);

	return c ? c : strcmp(w->name, n->name);
}

/* The workloads of a name are beside each other; *ret_n of them. */
static const struct bh_sim_workload *find_workloads(const struct bh_sim *sim, const struct name *n,
						    size_t *ret_n)
{
	size_t lo = 0, hi = sim->n_workloads, count = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (cmp_workload(&sim->workloads[mid], n) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + count < sim->n_workloads && cmp_workload(&sim->workloads[lo + count], n) == 0)
		count++;
	*ret_n = count;
	return &sim->workloads[lo];
}

static int find_workload(const struct bh_sim *sim, const struct name *n, const char *text,
			 const struct bh_pod **ret, struct bh_err *err)
{
	const struct bh_sim_workload *list;
	size_t count, i;

	*ret = NULL;
	list = find_workloads(sim, n, &count);
	for (i = 0; i < count; i++)
		if (!*n->kind || strcmp(n->kind, list[i].kind) == 0)
			break;
	if (i == count)
		return 0;
	if (!*n->kind && count > 1)
		return bh_err(err, -EINVAL, "'%s' is a %s and a %s; say which: %s[%s]", text,
			      list[0].kind, list[1].kind, text, list[0].kind);
	*ret = list[i].pods[0];
	return 0;
}

static const struct bh_service *find_service(const struct bh_sim *sim, const struct name *n)
{
	size_t lo = 0, hi = sim->n_services;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct bh_service *s = sim->services[mid];
		int c = strcmp(s->namespace, n->namespace);

		if (c == 0)
			c = strcmp(s->name, n->name);
		if (c == 0)
			return s;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool is_endpoint(const struct bh_service *s, const struct bh_pod *pod)
{
	return s->has_selector && !pod->is_finished && strcmp(s->namespace, pod->namespace) == 0 &&
	       bh_selector_matches(&s->selector, &pod->labels);
}

const struct bh_pod *const *sim_endpoints(const struct bh_sim *sim,
					  const struct bh_service *service, size_t *ret_n)
{
	/* Services are handed out as const, but what is found here is ours to keep. */
	struct service *s = bh_container_of((uintptr_t)service, struct service, pub);
	const struct bh_pod *const *pods;
	size_t i, n;

	if (!s->pods) {
		n = bh_world_pods(sim->world, &pods);
		s->pods = bh_arena_array(sim->arena, n + 1, sizeof(struct bh_pod *));
		for (i = 0; i < n; i++)
			if (is_endpoint(service, pods[i]))
				s->pods[s->n_pods++] = pods[i];
	}
	*ret_n = s->n_pods;
	return s->pods;
}

static const struct bh_service *service_at(const struct bh_sim *sim, const struct bh_addr *a)
{
	const struct service_addr *found;

	HASH_FIND(hh, sim->service_addrs, a, sizeof(*a), found);
	return found ? found->service : NULL;
}

/* --- what was meant -------------------------------------------------------------------------- */

/* A batch may be wrong in every line; looking for words takes longer than answers. */
#define MAX_HINTS 100

struct hint {
	const char *given;
	struct bh_nearest nearest;
	struct bh_arena *arena;
};

static void consider(struct hint *h, const char *ns, const char *name)
{
	struct bh_nearest before = h->nearest;
	char *word = bh_arena_printf(h->arena, "%s/%s", ns, name);

	bh_nearest_consider(&h->nearest, h->given, word);
	/* The same name in another namespace is nearest of all. */
	if (h->nearest.word == before.word && !before.word &&
	    strcmp(strchr(h->given, '/') + 1, name) == 0)
		h->nearest.word = word;
}

static int unknown_name(const struct bh_sim *sim, const char *text, bool is_dst, struct bh_err *err)
{
	const char *what = is_dst ? "pod, workload or Service" : "pod or workload";
	struct hint h = { .given = text };
	const struct bh_pod *const *pods;
	size_t i, n;

	bh_err(err, -ENOENT, "there is no %s '%s'", what, text);
	if (sim->memo->n_hints++ >= MAX_HINTS)
		return -ENOENT;
	h.arena = bh_arena_new();
	for (i = 0; i < sim->n_workloads; i++)
		consider(&h, sim->workloads[i].namespace, sim->workloads[i].name);
	n = bh_world_pods(sim->world, &pods);
	for (i = 0; i < n; i++)
		consider(&h, pods[i]->namespace, pods[i]->name);
	for (i = 0; i < sim->n_services && is_dst; i++)
		consider(&h, sim->services[i]->namespace, sim->services[i]->name);
	if (h.nearest.word)
		bh_err(err, -ENOENT, "there is no %s '%s'; is %s meant?", what, text,
		       h.nearest.word);
	bh_arena_free(&h.arena);
	return -ENOENT;
}

/* --- ends ------------------------------------------------------------------------ */

void sim_end_of_pod(const struct bh_sim *sim, const struct bh_pod *pod, struct end *ret)
{
	const struct bh_node *node;

	ret->pod = pod;
	ret->addrs = pod->addrs;
	ret->n_addrs = pod->n_addrs;
	node = pod->is_host_network ? bh_world_node(sim->world, pod->node) : NULL;
	if (node) {
		ret->addrs = node->addrs;
		ret->n_addrs = node->n_addrs;
	}
}

static int find_node(const struct bh_sim *sim, const char *name, struct end *ret,
		     struct bh_err *err)
{
	const struct bh_node *const *nodes;
	struct bh_nearest nearest = { 0 };
	size_t i, n;

	ret->node = bh_world_node(sim->world, name);
	if (ret->node) {
		ret->addrs = ret->node->addrs;
		ret->n_addrs = ret->node->n_addrs;
		return 0;
	}
	n = bh_world_nodes(sim->world, &nodes);
	for (i = 0; i < n && sim->memo->n_hints < MAX_HINTS; i++)
		bh_nearest_consider(&nearest, name, nodes[i]->name);
	sim->memo->n_hints++;
	if (nearest.word)
		return bh_err(err, -ENOENT, "there is no node '%s'; is %s meant?", name,
			      nearest.word);
	return bh_err(err, -ENOENT, "there is no node '%s'", name);
}

static int find_addr(const struct bh_sim *sim, const char *text, bool is_dst, struct end *ret,
		     struct bh_err *err)
{
	if (bh_addr_parse(text, &ret->single, NULL) < 0)
		return bh_err(err, -EINVAL,
			      "'%s' is neither NAMESPACE/NAME, an address nor node:NAME", text);
	ret->addrs = &ret->single;
	ret->n_addrs = 1;
	ret->pod = bh_world_pod_by_addr(sim->world, &ret->single);
	if (is_dst && !ret->pod)
		ret->service = service_at(sim, &ret->single);
	return 0;
}

static int find_named_service(const struct bh_sim *sim, const char *text, struct end *ret,
			      struct bh_err *err)
{
	struct name n;

	if (split(text, &n))
		ret->service = find_service(sim, &n);
	return ret->service ? 0 : bh_err(err, -ENOENT, "there is no Service '%s'", text);
}

int sim_find_end(const struct bh_sim *sim, const char *text, bool is_dst, struct end *ret,
		 struct bh_err *err)
{
	const struct bh_pod *pod;
	struct name n;
	int r;

	*ret = (struct end){ .text = text };
	if (strncmp(text, "node:", 5) == 0)
		return find_node(sim, text + 5, ret, err);
	if (is_dst && strncmp(text, "svc:", 4) == 0)
		return find_named_service(sim, text + 4, ret, err);
	if (!split(text, &n))
		return find_addr(sim, text, is_dst, ret, err);
	pod = *n.kind ? NULL : bh_world_pod_by_name(sim->world, n.namespace, n.name);
	if (!pod) {
		r = find_workload(sim, &n, text, &pod, err);
		if (r < 0)
			return r;
	}
	if (pod) {
		sim_end_of_pod(sim, pod, ret);
		return 0;
	}
	ret->service = is_dst && !*n.kind ? find_service(sim, &n) : NULL;
	return ret->service ? 0 : unknown_name(sim, text, is_dst, err);
}
