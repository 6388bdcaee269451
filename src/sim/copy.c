#include <string.h>

#include "sim.h"

static const char *text(struct bh_arena *a, const char *s)
{
	return s ? bh_arena_strdup(a, s) : NULL;
}

/* "" where a source may leave it out. */
static const char *full_text(struct bh_arena *a, const char *s)
{
	return bh_arena_strdup(a, s ? s : "");
}

static struct bh_labels copy_labels(struct bh_arena *a, const struct bh_labels *labels)
{
	struct bh_label *items = bh_arena_array(a, labels->n, sizeof(*items));
	size_t i;

	for (i = 0; i < labels->n; i++)
		items[i] = (struct bh_label){ text(a, labels->items[i].key),
					      text(a, labels->items[i].value) };
	return (struct bh_labels){ .items = items, .n = labels->n };
}

static struct bh_selector copy_selector(struct bh_arena *a, const struct bh_selector *sel)
{
	struct bh_requirement *reqs = bh_arena_array(a, sel->n_reqs, sizeof(*reqs));
	size_t i, k;

	for (i = 0; i < sel->n_reqs; i++) {
		const struct bh_requirement *from = &sel->reqs[i];
		const char **values = bh_arena_array(a, from->n_values, sizeof(*values));

		for (k = 0; k < from->n_values; k++)
			values[k] = text(a, from->values[k]);
		reqs[i] = (struct bh_requirement){ .key = text(a, from->key),
						   .op = from->op,
						   .values = values,
						   .n_values = from->n_values };
	}
	return (struct bh_selector){ .reqs = reqs, .n_reqs = sel->n_reqs };
}

void sim_copy_workload(struct bh_sim *sim, const struct bh_workload *w, struct bh_workload *ret)
{
	struct bh_arena *a = sim->arena;
	struct bh_port *ports = bh_arena_array(a, w->pod.n_ports, sizeof(*ports));
	size_t i;

	for (i = 0; i < w->pod.n_ports; i++) {
		ports[i] = w->pod.ports[i];
		ports[i].name = text(a, ports[i].name);
	}
	*ret = *w;
	ret->kind = text(a, w->kind);
	ret->namespace = text(a, w->namespace);
	ret->name = text(a, w->name);
	ret->owner_kind = text(a, w->owner_kind);
	ret->owner_name = text(a, w->owner_name);
	ret->file = text(a, w->file);
	ret->pod = (struct bh_pod){
		.namespace = ret->namespace,
		.uid = "",
		.node = full_text(a, w->pod.node),
		.labels = copy_labels(a, &w->pod.labels),
		.ports = ports,
		.n_ports = w->pod.n_ports,
		.is_host_network = w->pod.is_host_network,
		.is_quarantined = w->pod.is_quarantined,
		.file = ret->file,
		.line = w->line,
	};
}

void sim_copy_service(struct bh_sim *sim, const struct bh_service *s, struct bh_service *ret)
{
	struct bh_arena *a = sim->arena;
	struct bh_service_port *ports = bh_arena_array(a, s->n_ports, sizeof(*ports));
	size_t i;

	for (i = 0; i < s->n_ports; i++) {
		ports[i] = s->ports[i];
		ports[i].name = full_text(a, ports[i].name);
		ports[i].target_name = text(a, ports[i].target_name);
	}
	*ret = *s;
	ret->namespace = text(a, s->namespace);
	ret->name = text(a, s->name);
	ret->selector = copy_selector(a, &s->selector);
	ret->ports = ports;
	ret->addrs = bh_arena_memdup(a, s->addrs, s->n_addrs * sizeof(*s->addrs));
	ret->type = full_text(a, s->type);
	ret->file = text(a, s->file);
}
