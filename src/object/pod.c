#include "parts.h"

#include <string.h>

#include "bh/clock.h"
#include "syntax.h"

/* Where ports are gathered from all containers of a pod. */
struct ports {
	struct bh_port *items; /* malloc'ed */
	size_t n, cap;
};

static const char *dup_string(struct decoder *d, const struct field *f)
{
	const char *s = field_string(d, f);

	return bh_arena_strdup(d->arena, s ? s : "");
}

static void decode_container_port(struct decoder *d, const struct field *f, struct ports *ports)
{
	static const char *const names[] = { "name",     "containerPort", "protocol",
					     "hostPort", "hostIP",        NULL };
	struct field name = field_get(f, "name"), number = field_get(f, "containerPort");
	struct field protocol = field_get(f, "protocol");
	const char *s, *why;
	uint8_t proto;
	int32_t v = 0;

	field_is_object(d, f);
	field_known(d, f, names);
	s = field_string(d, &name);
	proto = decode_protocol(d, &protocol);
	if (!field_int(d, &number, &v)) {
		if (!number.json)
			field_error(d, &number, "Required value");
		return;
	}
	if (v < 1 || v > UINT16_MAX) {
		field_error(d, &number, "Invalid value: %d: must be between 1 and 65535, inclusive",
			    v);
		return;
	}
	if (!s || !*s)
		return;
	why = wrong_port_name(s);
	if (why)
		field_invalid(d, &name, s, why);
	bh_grow(&ports->items, &ports->cap, ports->n, sizeof(*ports->items));
	ports->items[ports->n++] = (struct bh_port){
		.name = bh_arena_strdup(d->arena, s),
		.number = (uint16_t)v,
		.protocol = proto,
	};
}

/* @only_sidecars: containers that end before the pod serves have no ports to speak of. */
static void decode_containers(struct decoder *d, const struct field *f, bool only_sidecars,
			      struct ports *ports)
{
	static const char *const names[] = { "name", "ports", "restartPolicy", NULL };
	size_t i, k, n = field_list(d, f);

	for (i = 0; i < n; i++) {
		struct field container = field_at(f, i);
		struct field list = field_get(&container, "ports");
		struct field restart = field_get(&container, "restartPolicy");
		const char *policy = json_string_value(restart.json);
		size_t n_ports;

		field_is_object(d, &container);
		field_not_misspelt(d, &container, names);
		if (only_sidecars && (!policy || strcmp(policy, "Always") != 0))
			continue;
		n_ports = field_list(d, &list);
		for (k = 0; k < n_ports; k++) {
			struct field at = field_at(&list, k);

			decode_container_port(d, &at, ports);
		}
	}
}

bool decode_addr(struct decoder *d, const struct field *f, struct bh_addr *ret)
{
	const char *s = field_string(d, f);

	if (!s || !*s)
		return false;
	if (bh_addr_parse(s, ret, NULL) == 0)
		return true;
	field_invalid(d, f, s, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
	return false;
}

static void add_addr(struct bh_addr *addrs, size_t *n, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < *n; i++) {
		if (bh_addr_eq(&addrs[i], a))
			return;
	}
	addrs[(*n)++] = *a;
}

/* More than any pod or node has; comparing each with each stays cheap. */
#define MAX_ADDRS 64

static size_t addr_list(struct decoder *d, const struct field *f)
{
	size_t n = field_list(d, f);

	if (n > MAX_ADDRS) {
		field_error(d, f, "Too many: %zu: must have at most %d items", n, MAX_ADDRS);
		return 0;
	}
	return n;
}

/* podIPs; a pod that was written by hand may have only podIP. */
static void decode_pod_addrs(struct decoder *d, const struct field *status, struct bh_pod *pod)
{
	static const char *const names[] = { "ip", NULL };
	struct field list = field_get(status, "podIPs"), one = field_get(status, "podIP");
	size_t i, n = addr_list(d, &list);
	struct bh_addr *addrs = bh_arena_array(d->arena, n + 1, sizeof(*addrs)), a;

	for (i = 0; i < n; i++) {
		struct field at = field_at(&list, i), ip = field_get(&at, "ip");

		field_is_object(d, &at);
		field_known(d, &at, names);
		if (decode_addr(d, &ip, &a))
			add_addr(addrs, &pod->n_addrs, &a);
	}
	if (decode_addr(d, &one, &a))
		add_addr(addrs, &pod->n_addrs, &a);
	pod->addrs = addrs;
}

/*
 * The owner that made the pod or workload.  A Deployment stands behind a ReplicaSet, which
 * is named after it with the hash of the template that its pods carry.
 */
void decode_owner(struct decoder *d, const struct field *metadata, const char **ret_kind,
		  const char **ret_name)
{
	struct field owners = field_get(metadata, "ownerReferences");
	struct field labels = field_get(metadata, "labels");
	struct field label = field_get(&labels, "pod-template-hash");
	const char *hash = json_string_value(label.json);
	size_t i, n = field_list(d, &owners);

	for (i = 0; i < n; i++) {
		struct field owner = field_at(&owners, i);
		struct field controller = field_get(&owner, "controller");
		struct field kind = field_get(&owner, "kind"), name = field_get(&owner, "name");
		const char *k, *s;
		size_t len, hash_len;

		field_is_object(d, &owner);
		if (!field_is_true(d, &controller))
			continue;
		k = dup_string(d, &kind);
		s = dup_string(d, &name);
		/* A static pod's mirror belongs to its node, which is no workload. */
		if (!*k || !*s || strcmp(k, "Node") == 0)
			return;
		*ret_kind = k;
		*ret_name = s;
		len = strlen(s);
		hash_len = hash ? strlen(hash) : 0;
		if (strcmp(k, "ReplicaSet") == 0 && hash_len > 0 && len > hash_len + 1 &&
		    s[len - hash_len - 1] == '-' && strcmp(s + len - hash_len, hash) == 0) {
			*ret_kind = "Deployment";
			*ret_name = bh_arena_strndup(d->arena, s, len - hash_len - 1);
		}
		return;
	}
}

static uint64_t decode_time(struct decoder *d, const struct field *f)
{
	const char *s = field_string(d, f);
	uint64_t ns = 0;

	if (s && bh_time_parse(s, &ns) < 0)
		field_invalid(d, f, s, "must be a time as RFC 3339 writes it");
	return ns;
}

void decode_pod_spec(struct decoder *d, const struct field *spec, struct bh_pod *pod)
{
	static const char *const names[] = { "nodeName", "hostNetwork", "containers",
					     "initContainers", NULL };
	struct field node = field_get(spec, "nodeName"), host = field_get(spec, "hostNetwork");
	struct field containers = field_get(spec, "containers");
	struct field init = field_get(spec, "initContainers");
	struct ports ports = { 0 };

	field_is_object(d, spec);
	field_not_misspelt(d, spec, names);
	pod->node = dup_string(d, &node);
	pod->is_host_network = field_is_true(d, &host);
	decode_containers(d, &containers, false, &ports);
	decode_containers(d, &init, true, &ports);
	pod->ports = bh_arena_memdup(d->arena, ports.items, ports.n * sizeof(*ports.items));
	pod->n_ports = ports.n;
	free(ports.items);
}

/*
 * The uid by which the container runtime knows the pod.  Of a static pod the API
 * has a mirror with a uid of its own, which names the pod's in this annotation
 * (k8s.io/kubernetes pkg/kubelet/types, ConfigMirrorAnnotationKey).
 */
static const char *decode_uid(struct decoder *d, const struct meta *meta)
{
	struct field mirror = field_get(&meta->annotations, "kubernetes.io/config.mirror");
	const char *uid = json_string_value(mirror.json);

	return uid && *uid ? bh_arena_strdup(d->arena, uid) : meta->uid;
}

/*
 * The path of the pod's network namespace, from an operator's file on this node only.
 * In the API it would be the word of whoever makes the pod, who could name another
 * pod's namespace and be judged as that pod.
 */
static const char *decode_netns(struct decoder *d, const struct meta *meta)
{
	struct field f = field_get(&meta->annotations, ANNOTATION_NETNS);
	const char *s;

	if (!f.json)
		return NULL;
	if (d->origin && d->origin->source != BH_SOURCE_MANIFEST)
		return NULL;
	s = field_string(d, &f);
	if (s && bh_netns_path_is_good(s))
		return bh_arena_strdup(d->arena, s);
	field_invalid(d, &f, s ? s : "",
		      "must be the absolute path of a network namespace, without '..' (e.g. "
		      "/run/netns/web-1)");
	return NULL;
}

void decode_pod(struct decoder *d, const struct field *root, const struct meta *meta,
		struct bh_fact *ret)
{
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	static const char *const status_names[] = { "phase",  "podIP",   "podIPs",
						    "hostIP", "hostIPs", NULL };
	struct field metadata = field_get(root, "metadata"), spec = field_get(root, "spec");
	struct field status = field_get(root, "status"), phase = field_get(&status, "phase");
	struct field created = field_get(&metadata, "creationTimestamp");
	struct bh_pod *pod = &ret->pod;
	const char *s;

	ret->kind = BH_KIND_POD;
	*pod = (struct bh_pod){
		.namespace = meta->namespace,
		.name = meta->name,
		.uid = decode_uid(d, meta),
		.labels = meta->labels,
		.file = origin_file(d),
		.line = field_line(d, root),
	};
	field_known(d, root, names);
	pod->netns = decode_netns(d, meta);
	decode_pod_spec(d, &spec, pod);
	field_is_object(d, &status);
	field_not_misspelt(d, &status, status_names);
	s = field_string(d, &phase);
	pod->is_finished = s && (strcmp(s, "Succeeded") == 0 || strcmp(s, "Failed") == 0);
	decode_pod_addrs(d, &status, pod);
	decode_owner(d, &metadata, &pod->workload_kind, &pod->workload_name);
	pod->created_ns = decode_time(d, &created);
	pod->is_quarantined = decode_quarantine(&meta->annotations);
}

/* spec.podCIDRs, or spec.podCIDR of old objects. */
static void decode_pod_cidrs(struct decoder *d, const struct field *root, struct bh_node *ret)
{
	struct field spec = field_get(root, "spec");
	struct field list = field_get(&spec, "podCIDRs"), one = field_get(&spec, "podCIDR");
	size_t n = json_array_size(list.json);
	struct bh_cidr *cidrs = bh_arena_array(d->arena, n + 1, sizeof(*cidrs));

	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list.json, i));

		ret->n_pod_cidrs +=
			text && bh_cidr_parse_lax(text, &cidrs[ret->n_pod_cidrs], NULL) == 0;
	}
	if (n == 0 && json_is_string(one.json))
		ret->n_pod_cidrs =
			bh_cidr_parse_lax(json_string_value(one.json), &cidrs[0], NULL) == 0;
	ret->pod_cidrs = cidrs;
}

void decode_node(struct decoder *d, const struct field *root, const struct meta *meta,
		 struct bh_fact *ret)
{
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	static const char *const status_names[] = { "addresses", NULL };
	static const char *const address_names[] = { "type", "address", NULL };
	struct field status = field_get(root, "status");
	struct field list = field_get(&status, "addresses");
	size_t i, n = addr_list(d, &list);
	struct bh_addr *addrs = bh_arena_array(d->arena, n, sizeof(*addrs)), a;

	ret->kind = BH_KIND_NODE;
	ret->node = (struct bh_node){ .name = meta->name, .labels = meta->labels, .addrs = addrs };
	field_known(d, root, names);
	field_is_object(d, &status);
	field_not_misspelt(d, &status, status_names);
	decode_pod_cidrs(d, root, &ret->node);
	for (i = 0; i < n; i++) {
		struct field at = field_at(&list, i), type = field_get(&at, "type");
		struct field address = field_get(&at, "address");
		const char *s;

		field_is_object(d, &at);
		field_known(d, &at, address_names);
		s = field_string(d, &type);
		if (!s || (strcmp(s, "InternalIP") != 0 && strcmp(s, "ExternalIP") != 0))
			continue;
		if (decode_addr(d, &address, &a))
			add_addr(addrs, &ret->node.n_addrs, &a);
	}
}

/* A value that is none of these closes both directions: better than an open typo. */
static void decode_default_deny(struct decoder *d, const struct field *f, struct bh_namespace *ns)
{
	static const struct {
		const char *text;
		bool ingress, egress;
	} t[] = {
		{ "ingress", true, false },
		{ "egress", false, true },
		{ "both", true, true },
		{ "none", false, false },
	};
	const char *s = json_string_value(f->json);
	size_t i;

	if (!f->json)
		return;
	ns->has_default_deny = true;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (s && strcmp(s, t[i].text) == 0) {
			ns->default_deny[BH_INGRESS] = t[i].ingress;
			ns->default_deny[BH_EGRESS] = t[i].egress;
			return;
		}
	}
	ns->default_deny[BH_INGRESS] = ns->default_deny[BH_EGRESS] = true;
	field_warn(d, f,
		   "Unsupported value: %s: supported values: \"ingress\", \"egress\", \"both\", "
		   "\"none\"; both directions are denied",
		   s ? quoted(d, s) : "not a string");
}

void decode_namespace(struct decoder *d, const struct field *root, const struct meta *meta,
		      struct bh_fact *ret)
{
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	static const char *const annotations[] = { ANNOTATION_MODE, ANNOTATION_DEFAULT_DENY, NULL };
	struct field deny = field_get(&meta->annotations, ANNOTATION_DEFAULT_DENY);

	ret->kind = BH_KIND_NAMESPACE;
	ret->ns = (struct bh_namespace){
		.name = meta->name,
		.labels = meta->labels,
		.mode = decode_mode(d, &meta->annotations),
	};
	field_known(d, root, names);
	check_annotations(d, &meta->annotations, annotations);
	decode_default_deny(d, &deny, &ret->ns);
}
