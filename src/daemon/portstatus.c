/*
 * What `status` and the metrics say of pods' ports and of addresses that several
 * claim.
 */
#include "portstatus.h"

#include "agent.h"

/* Beyond these only the number is told. */
#define MAX_LISTED 1000

static void add_portless(void *ctx, const struct bh_portless *pod)
{
	json_t *list = ctx;

	if (json_array_size(list) < MAX_LISTED)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "namespace",
						      pod->namespace, "name", pod->name, "uid",
						      pod->uid, "reason", pod->reason));
}

json_t *bh_ports_json(const struct bh_agent *a)
{
	const struct bh_ports *ports = a->sources.ports;
	json_t *list = json_array();
	struct bh_ports_stats stats;

	if (!ports) {
		json_decref(list);
		return json_null();
	}
	stats = bh_ports_stats(ports);
	bh_ports_each_portless(ports, add_portless, list);
	return json_pack("{s:I, s:I, s:I, s:o, s:I, s:I, s:I}", "pods", (json_int_t)stats.n_pods,
			 "pods_without_port", (json_int_t)stats.n_portless, "links",
			 (json_int_t)stats.n_links, "without_port", list, "events",
			 (json_int_t)stats.n_events, "listings", (json_int_t)stats.n_listings,
			 "lookups", (json_int_t)stats.n_lookups);
}

struct conflicts {
	json_t *list;
	size_t n;
};

static json_t *pod_json(const struct bh_pod *pod)
{
	return json_pack("{s:s, s:s, s:s, s:b}", "namespace", pod->namespace, "name", pod->name,
			 "node", pod->node, "closed", (int)pod->is_contested);
}

/* Of link-local addresses many pods may have the same, on other nodes' links. */
static void add_conflict(void *ctx, const struct bh_addr *a, const struct bh_pod *owner,
			 const struct bh_pod *pod, const struct bh_node *node)
{
	struct conflicts *c = ctx;
	char text[BH_ADDR_STRLEN];
	json_t *o;

	c->n++;
	if (!c->list || json_array_size(c->list) == MAX_LISTED)
		return;
	o = json_pack("{s:s}", "address", bh_addr_format(a, text));
	if (owner)
		json_object_set_new(o, "owner", pod_json(owner));
	if (pod)
		json_object_set_new(o, "claimed_by", pod_json(pod));
	else
		json_object_set_new(o, "claimed_by_node", json_string(node->name));
	json_array_append_new(c->list, o);
}

json_t *bh_conflicts_json(const struct bh_agent *a)
{
	struct conflicts c = { .list = json_array() };

	bh_world_conflicts(a->world, add_conflict, &c);
	return c.list;
}

size_t bh_conflicts_count(const struct bh_agent *a)
{
	struct conflicts c = { .list = NULL };

	bh_world_conflicts(a->world, add_conflict, &c);
	return c.n;
}
