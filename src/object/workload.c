/*
 * Objects that make pods: how their pods will look.
 */
#include "parts.h"

#include <string.h>

#include "bh/selector.h"

enum selector_kind {
	SELECTOR_REQUIRED,
	SELECTOR_MAP,  /* of ReplicationController: labels, those of the template by default */
	SELECTOR_NONE, /* made by the API server */
};

static const struct shape {
	const char *kind, *version;
	enum selector_kind selector;
	bool has_replicas;
	bool has_job_template; /* the template is one level deeper */
} shapes[] = {
	{ "Deployment", "apps/v1", SELECTOR_REQUIRED, true, false },
	{ "ReplicaSet", "apps/v1", SELECTOR_REQUIRED, true, false },
	{ "StatefulSet", "apps/v1", SELECTOR_REQUIRED, true, false },
	{ "DaemonSet", "apps/v1", SELECTOR_REQUIRED, false, false },
	{ "ReplicationController", "v1", SELECTOR_MAP, true, false },
	{ "Job", "batch/v1", SELECTOR_NONE, false, false },
	{ "CronJob", "batch/v1", SELECTOR_NONE, false, true },
};

static const struct shape *find_shape(const char *kind)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(shapes); i++) {
		if (strcmp(shapes[i].kind, kind) == 0)
			return &shapes[i];
	}
	abort(); /* the kinds of decode.c are these */
}

static void check_version(struct decoder *d, const struct field *root, const struct shape *shape)
{
	struct field version = field_get(root, "apiVersion");
	const char *v = json_string_value(version.json);

	if (strcmp(v, shape->version) != 0)
		field_error(d, &version,
			    "Unsupported value: %s: %s is served as %s only; change apiVersion",
			    quoted(d, v), shape->kind, shape->version);
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct bh_label *)a)->key, ((const struct bh_label *)b)->key);
}

/* As bh_selector_matches() wants them. */
static struct bh_labels sorted(struct decoder *d, const struct bh_labels *labels)
{
	struct bh_label *items =
		bh_arena_memdup(d->arena, labels->items, labels->n * sizeof(*items));

	if (labels->n)
		bh_sort(items, labels->n, sizeof(*items), by_key);
	return (struct bh_labels){ .items = items, .n = labels->n };
}

static void decode_template(struct decoder *d, const struct field *f, struct bh_pod *pod)
{
	static const char *const names[] = { "metadata", "spec", NULL };
	struct field metadata = field_get(f, "metadata"), spec = field_get(f, "spec");
	struct field labels = field_get(&metadata, "labels");
	struct field annotations = field_get(&metadata, "annotations");

	if (!f->json)
		field_error(d, f, "Required value");
	field_is_object(d, f);
	field_known(d, f, names);
	field_is_object(d, &metadata);
	decode_labels(d, &labels, &pod->labels);
	pod->labels = sorted(d, &pod->labels);
	decode_pod_spec(d, &spec, pod);
	pod->is_quarantined = decode_quarantine(&annotations);
}

/* The API server wants a workload to select what it makes. */
static void check_selector(struct decoder *d, const struct field *spec,
			   const struct field *template, const struct shape *shape,
			   const struct bh_labels *labels)
{
	struct field f = field_get(spec, "selector"), metadata = field_get(template, "metadata");
	struct field at = field_get(&metadata, "labels");
	struct bh_selector sel;

	if (shape->selector == SELECTOR_NONE || (shape->selector == SELECTOR_MAP && !f.json))
		return;
	if (!f.json) {
		field_error(d, &f, "Required value");
		return;
	}
	sel = shape->selector == SELECTOR_MAP ? decode_label_map(d, &f) : decode_selector(d, &f);
	if (d->error)
		return;
	if (sel.n_reqs == 0)
		field_error(d, &f, "Invalid value: empty selector is invalid for %s", shape->kind);
	else if (!bh_selector_matches(&sel, labels))
		field_error(d, &at, "Invalid value: `selector` does not match template `labels`");
}

static uint32_t decode_replicas(struct decoder *d, const struct field *spec,
				const struct shape *shape)
{
	struct field f = field_get(spec, "replicas");
	int32_t v = 1;

	if (!shape->has_replicas || !field_int(d, &f, &v))
		return 1;
	if (v < 0)
		field_error(d, &f, "Invalid value: %d: must be greater than or equal to 0", v);
	return v < 0 ? 0 : (uint32_t)v;
}

void decode_workload(struct decoder *d, const struct field *root, const struct meta *meta,
		     struct bh_workload *ret)
{
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	struct field kind = field_get(root, "kind"), metadata = field_get(root, "metadata");
	struct field spec = field_get(root, "spec"), job = field_get(&spec, "jobTemplate");
	struct field job_spec = field_get(&job, "spec");
	const struct shape *shape = find_shape(json_string_value(kind.json));
	const struct field *outer = shape->has_job_template ? &job_spec : &spec;
	struct field template = field_get(outer, "template");

	*ret = (struct bh_workload){
		.kind = shape->kind,
		.namespace = meta->namespace,
		.name = meta->name,
		.pod = { .namespace = meta->namespace,
			 .name = "",
			 .uid = "",
			 .node = "",
			 .workload_kind = shape->kind,
			 .workload_name = meta->name,
			 .file = origin_file(d),
			 .line = field_line(d, root) },
		.file = origin_file(d),
		.line = field_line(d, root),
	};
	check_version(d, root, shape);
	field_known(d, root, names);
	field_is_object(d, &spec);
	field_is_object(d, &job);
	field_is_object(d, &job_spec);
	decode_template(d, &template, &ret->pod);
	check_selector(d, &spec, &template, shape, &ret->pod.labels);
	ret->replicas = decode_replicas(d, &spec, shape);
	decode_owner(d, &metadata, &ret->owner_kind, &ret->owner_name);
}
