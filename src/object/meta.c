#include "parts.h"

#include <netinet/in.h>
#include <string.h>

#include "syntax.h"

/* A value that can be NULL, like the text of a label that is null: the API reads "". */
static const char *or_empty(const char *s)
{
	return s ? s : "";
}

void decode_labels(struct decoder *d, const struct field *f, struct bh_labels *ret)
{
	struct bh_label *items;
	const char *key;
	json_t *value;
	size_t n = 0;

	if (!field_is_object(d, f))
		return;
	items = bh_arena_array(d->arena, json_object_size(f->json), sizeof(*items));
	json_object_foreach((json_t *)(uintptr_t)f->json, key, value)
	{
		struct field at = field_get(f, key);
		const char *text = or_empty(field_string(d, &at)), *why;

		why = wrong_label_key(key);
		if (why)
			field_invalid(d, f, key, why);
		why = wrong_label_value(text);
		if (why)
			field_invalid(d, &at, text, why);
		items[n++] = (struct bh_label){
			.key = bh_arena_strdup(d->arena, key),
			.value = bh_arena_strdup(d->arena, text),
		};
	}
	*ret = (struct bh_labels){ .items = items, .n = n };
}

/* A name or namespace; "" and an error if it cannot be one. */
static const char *decode_name(struct decoder *d, const struct field *f, const char *missing,
			       const char *(*wrong)(const char *))
{
	const char *s = or_empty(field_string(d, f)), *why;

	if (!*s && !missing && json_object_get(f->up->json, "generateName"))
		field_error(d, f,
			    "Required value: generateName takes an API server that makes the "
			    "name; give the object one");
	else if (!*s && !missing)
		field_error(d, f, "Required value");
	if (!*s)
		return or_empty(missing);
	why = wrong(s);
	if (!why)
		return bh_arena_strdup(d->arena, s);
	field_invalid(d, f, s, why);
	return "";
}

const char *default_namespace(const struct decoder *d)
{
	return d->origin && d->origin->default_namespace ? d->origin->default_namespace : "default";
}

void decode_meta(struct decoder *d, const struct field *metadata, bool is_namespaced,
		 const char *(*wrong_name)(const char *), struct meta *ret)
{
	static const char *const names[] = {
		"annotations", "clusterName",     "creationTimestamp", "deletionGracePeriodSeconds",
		"name",        "finalizers",      "deletionTimestamp", "generateName",
		"generation",  "labels",          "managedFields",     "namespace",
		"selfLink",    "ownerReferences", "resourceVersion",   "uid",
		NULL,
	};
	struct field name = field_get(metadata, "name"), ns = field_get(metadata, "namespace");
	struct field uid = field_get(metadata, "uid"), labels = field_get(metadata, "labels");

	*ret = (struct meta){
		.name = "",
		.namespace = "",
		.uid = "",
		.annotations = field_get(metadata, "annotations"),
	};
	field_is_object(d, metadata);
	field_known(d, metadata, names);
	ret->name = decode_name(d, &name, NULL, wrong_name);
	if (is_namespaced)
		ret->namespace = decode_name(d, &ns, default_namespace(d), wrong_dns_label);
	else if (ns.json)
		field_error(d, &ns, "Forbidden: not allowed on this type");
	ret->generation = json_integer_value(field_get(metadata, "generation").json);
	ret->is_named = *ret->name && (!is_namespaced || *ret->namespace);
	ret->uid = bh_arena_strdup(d->arena, or_empty(field_string(d, &uid)));
	decode_labels(d, &labels, &ret->labels);
	field_is_object(d, &ret->annotations);
}

enum bh_mode decode_mode(struct decoder *d, const struct field *annotations)
{
	struct field f = field_get(annotations, ANNOTATION_MODE);
	const char *s = json_string_value(f.json);

	if (!f.json || (s && strcmp(s, "enforce") == 0))
		return BH_ENFORCE;
	if (s && strcmp(s, "audit") == 0)
		return BH_AUDIT;
	field_warn(d, &f,
		   "Unsupported value: %s: supported values: \"audit\", \"enforce\"; policy stays "
		   "enforced",
		   s ? quoted(d, s) : "not a string");
	return BH_ENFORCE;
}

bool decode_quarantine(const struct field *annotations)
{
	struct field f = field_get(annotations, ANNOTATION_QUARANTINE);
	const char *s = json_string_value(f.json);

	/* A typo closes rather than opens. */
	return f.json && !(s && strcmp(s, "false") == 0);
}

void check_annotations(struct decoder *d, const struct field *annotations, const char *const *names)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)annotations->json, key, value)
	{
		struct field f = field_get(annotations, key);
		size_t i;

		if (strncmp(key, ANNOTATION_PREFIX, strlen(ANNOTATION_PREFIX)) != 0)
			continue;
		for (i = 0; names[i] && strcmp(names[i], key) != 0; i++)
			continue;
		if (!names[i])
			field_warn(d, &f, "this kind has no such annotation, it is ignored");
	}
}

uint8_t decode_protocol(struct decoder *d, const struct field *f)
{
	static const char *const names[] = { "TCP", "UDP", "SCTP", NULL };
	static const uint8_t numbers[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	const char *s;
	size_t i;

	if (!f->json)
		return IPPROTO_TCP;
	s = field_string(d, f);
	if (!s)
		return 0;
	for (i = 0; names[i]; i++) {
		if (strcmp(s, names[i]) == 0)
			return numbers[i];
	}
	field_unsupported(d, f, s, names);
	return 0;
}
