#include "parts.h"

#include <string.h>

#include "syntax.h"

/* More than any Service has; comparing each with each stays cheap. */
#define MAX_PORTS 1000
#define MAX_ADDRS 64

static uint16_t decode_number(struct decoder *d, const struct field *f)
{
	int32_t v = 0;

	if (!f->json)
		field_error(d, f, "Required value");
	if (!field_int(d, f, &v))
		return 0;
	if (v < 1 || v > UINT16_MAX)
		field_error(d, f, "Invalid value: %d: must be between 1 and 65535, inclusive", v);
	return (uint16_t)v;
}

/* A number, or the name of a container's port; the Service's own number if absent or 0. */
static void decode_target(struct decoder *d, const struct field *f, struct bh_service_port *ret)
{
	const char *name = json_string_value(f->json), *why;

	ret->target = ret->port;
	if (!f->json || (json_is_integer(f->json) && json_integer_value(f->json) == 0))
		return;
	if (!name) {
		ret->target = decode_number(d, f);
		return;
	}
	why = wrong_port_name(name);
	if (why)
		field_invalid(d, f, name, why);
	ret->target_name = bh_arena_strdup(d->arena, name);
	ret->target = 0;
}

static void check_name(struct decoder *d, const struct field *f, const struct bh_service_port *port,
		       const struct bh_service *s)
{
	const char *why = *port->name ? wrong_dns_label(port->name) : NULL;
	size_t i;

	if (!*port->name && s->n_ports > 1)
		field_error(d, f, "Required value");
	if (why)
		field_invalid(d, f, port->name, why);
	for (i = 0; *port->name && &s->ports[i] < port; i++) {
		if (strcmp(s->ports[i].name, port->name) == 0)
			field_error(d, f, "Duplicate value: %s", quoted(d, port->name));
	}
}

static void decode_service_ports(struct decoder *d, const struct field *f, struct bh_service *ret)
{
	static const char *const names[] = { "name",       "protocol", "appProtocol", "port",
					     "targetPort", "nodePort", NULL };
	struct bh_service_port *ports;
	size_t i, n = field_list(d, f);

	if (n > MAX_PORTS) {
		field_error(d, f, "Too many: %zu: must have at most %d items", n, MAX_PORTS);
		return;
	}
	ret->ports = ports = bh_arena_array(d->arena, n, sizeof(*ports));
	ret->n_ports = n;
	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i), name = field_get(&at, "name");
		struct field protocol = field_get(&at, "protocol"), port = field_get(&at, "port");
		struct field target = field_get(&at, "targetPort");
		const char *s;

		field_is_object(d, &at);
		field_known(d, &at, names);
		s = field_string(d, &name);
		ports[i].name = bh_arena_strdup(d->arena, s ? s : "");
		ports[i].protocol = decode_protocol(d, &protocol);
		ports[i].port = decode_number(d, &port);
		decode_target(d, &target, &ports[i]);
		check_name(d, &name, &ports[i], ret);
	}
}

static void add_addr(struct decoder *d, const struct field *f, struct bh_addr *addrs,
		     struct bh_service *ret)
{
	struct bh_addr a;
	size_t i;

	if (!decode_addr(d, f, &a))
		return;
	for (i = 0; i < ret->n_addrs; i++) {
		if (bh_addr_eq(&addrs[i], &a))
			return;
	}
	addrs[ret->n_addrs++] = a;
}

/* clusterIPs, or clusterIP alone in an object by hand; "None" is a headless Service. */
static void decode_cluster_addrs(struct decoder *d, const struct field *spec,
				 struct bh_service *ret)
{
	struct field one = field_get(spec, "clusterIP"), list = field_get(spec, "clusterIPs");
	const char *s = field_string(d, &one);
	size_t i, n = field_list(d, &list);
	struct bh_addr *addrs;

	if (s && strcmp(s, "None") == 0) {
		ret->is_headless = true;
		return;
	}
	if (n > MAX_ADDRS) {
		field_error(d, &list, "Too many: %zu: must have at most %d items", n, MAX_ADDRS);
		return;
	}
	ret->addrs = addrs = bh_arena_array(d->arena, n + 1, sizeof(*addrs));
	add_addr(d, &one, addrs, ret);
	for (i = 0; i < n; i++) {
		struct field at = field_at(&list, i);

		s = field_string(d, &at);
		if (s && strcmp(s, "None") == 0)
			ret->is_headless = true;
		else
			add_addr(d, &at, addrs, ret);
	}
}

static const char *decode_type(struct decoder *d, const struct field *f)
{
	static const char *const names[] = { "ClusterIP", "ExternalName", "LoadBalancer",
					     "NodePort", NULL };
	const char *s = field_string(d, f);
	size_t i;

	if (!s)
		return names[0];
	for (i = 0; names[i]; i++) {
		if (strcmp(s, names[i]) == 0)
			return names[i];
	}
	field_unsupported(d, f, s, names);
	return names[0];
}

/* A name for something outside: the API server ignores selector and addresses. */
static void decode_external_name(struct decoder *d, const struct field *spec,
				 struct bh_service *ret)
{
	struct field f = field_get(spec, "externalName");
	const char *s = field_string(d, &f);

	if (!s || !*s)
		field_error(d, &f, "Required value");
	ret->has_selector = ret->is_headless = false;
	ret->selector = (struct bh_selector){ 0 };
	ret->addrs = NULL;
	ret->n_addrs = 0;
}

void decode_service(struct decoder *d, const struct field *root, const struct meta *meta,
		    struct bh_service *ret)
{
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	struct field spec = field_get(root, "spec"), ports = field_get(&spec, "ports");
	struct field type = field_get(&spec, "type"), selector = field_get(&spec, "selector");

	*ret = (struct bh_service){
		.namespace = meta->namespace,
		.name = meta->name,
		.file = origin_file(d),
		.line = field_line(d, root),
	};
	field_known(d, root, names);
	field_is_object(d, &spec);
	ret->type = decode_type(d, &type);
	ret->selector = decode_label_map(d, &selector);
	ret->has_selector = ret->selector.n_reqs > 0;
	decode_service_ports(d, &ports, ret);
	decode_cluster_addrs(d, &spec, ret);
	if (strcmp(ret->type, "ExternalName") == 0)
		decode_external_name(d, &spec, ret);
	else if (ret->n_ports == 0 && !ret->is_headless)
		field_error(d, &ports, "Required value");
}
