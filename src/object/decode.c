#include "parts.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "bh/nearest.h"
#include "syntax.h"

struct bh_decoded {
	struct bh_arena *arena;
	enum bh_decode_status status;
	struct bh_fact fact;
	struct bh_workload workload; /* BH_DECODED_WORKLOAD */
	struct bh_service service;   /* BH_DECODED_SERVICE */
	const char *subject;
	const char *file;
	int line;
	struct bh_decode_warning *warnings;
	size_t n_warnings;
	int error_line;
};

#define POLICY_GROUP "policy.networking.k8s.io"

/*
 * Kinds that are read.  A kind is known by its group, whatever the version: one
 * that we do not read is an error then, and not another kind.
 */
static const struct kind {
	const char *name, *group;
	bool is_namespaced;
	enum bh_decode_status status; /* what it becomes; others than facts only if wanted */
	/* BH_DECODED */
	void (*decode)(struct decoder *d, const struct field *root, const struct meta *meta,
		       struct bh_fact *ret);
} kinds[] = {
	{ "Pod", "", true, BH_DECODED, decode_pod },
	{ "Namespace", "", false, BH_DECODED, decode_namespace },
	{ "Node", "", false, BH_DECODED, decode_node },
	{ "NetworkPolicy", "networking.k8s.io", true, BH_DECODED, decode_network_policy },
	/* Removed from Kubernetes; the decoder says so and closes the policy. */
	{ "NetworkPolicy", "extensions", true, BH_DECODED, decode_network_policy },
	{ "ClusterNetworkPolicy", POLICY_GROUP, false, BH_DECODED, decode_cluster_network_policy },
	{ "AdminNetworkPolicy", POLICY_GROUP, false, BH_DECODED, decode_admin_network_policy },
	{ "BaselineAdminNetworkPolicy", POLICY_GROUP, false, BH_DECODED,
	  decode_baseline_admin_network_policy },
	{ "Service", "", true, BH_DECODED_SERVICE, NULL },
	{ "ReplicationController", "", true, BH_DECODED_WORKLOAD, NULL },
	{ "Deployment", "apps", true, BH_DECODED_WORKLOAD, NULL },
	{ "ReplicaSet", "apps", true, BH_DECODED_WORKLOAD, NULL },
	{ "StatefulSet", "apps", true, BH_DECODED_WORKLOAD, NULL },
	{ "DaemonSet", "apps", true, BH_DECODED_WORKLOAD, NULL },
	{ "Job", "batch", true, BH_DECODED_WORKLOAD, NULL },
	{ "CronJob", "batch", true, BH_DECODED_WORKLOAD, NULL },
	{ "Deployment", "extensions", true, BH_DECODED_WORKLOAD, NULL },
	{ "ReplicaSet", "extensions", true, BH_DECODED_WORKLOAD, NULL },
	{ "DaemonSet", "extensions", true, BH_DECODED_WORKLOAD, NULL },
};

/* Kinds of other makers that people take for enforced. */
static const char *const other_policies[] = {
	"NetworkPolicy",       "ClusterNetworkPolicy",           "GlobalNetworkPolicy",
	"CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy",
};

static const struct kind *find_kind(const struct decoder *d, const char *version, const char *name)
{
	bool wants_all = d->origin && d->origin->wants_workloads;
	const char *slash = strchr(version, '/');
	size_t i, group_len = slash ? (size_t)(slash - version) : 0;

	for (i = 0; i < BH_ARRAY_LEN(kinds); i++) {
		if ((wants_all || kinds[i].status == BH_DECODED) &&
		    strcmp(kinds[i].name, name) == 0 && strlen(kinds[i].group) == group_len &&
		    memcmp(kinds[i].group, version, group_len) == 0)
			return &kinds[i];
	}
	return NULL;
}

struct size {
	size_t items, bytes;
};

static int check_size(const json_t *json, int depth, struct size *size, struct bh_err *err)
{
	const char *key;
	json_t *value;
	size_t i;
	int r;

	if (depth > BH_OBJECT_MAX_DEPTH)
		return bh_err(err, -E2BIG, "is nested deeper than %d levels", BH_OBJECT_MAX_DEPTH);
	size->bytes += json_string_length(json);
	if (++size->items > BH_OBJECT_MAX_ITEMS)
		return bh_err(err, -E2BIG, "has more than %d values", BH_OBJECT_MAX_ITEMS);
	json_object_foreach((json_t *)(uintptr_t)json, key, value)
	{
		size->bytes += strlen(key);
		r = check_size(value, depth + 1, size, err);
		if (r < 0)
			return r;
	}
	json_array_foreach(json, i, value)
	{
		r = check_size(value, depth + 1, size, err);
		if (r < 0)
			return r;
	}
	if (size->bytes > BH_OBJECT_MAX_BYTES)
		return bh_err(err, -E2BIG, "is over %u bytes", BH_OBJECT_MAX_BYTES);
	return 0;
}

/* @default_ns: the namespace it has if it names none; NULL if it has none. */
static const char *make_subject(struct decoder *d, const char *kind, const char *default_ns,
				const struct field *metadata)
{
	struct field name = field_get(metadata, "name"), ns = field_get(metadata, "namespace");
	const char *n = json_string_value(name.json), *s = json_string_value(ns.json);
	struct bh_buf b = { 0 };
	const char *subject;

	if (!n || !*n) {
		s = default_ns = NULL;
		n = "without a name";
	}
	bh_buf_escape(&b, kind);
	bh_buf_putc(&b, ' ');
	if ((s && *s) || default_ns) {
		bh_buf_escape(&b, s && *s ? s : default_ns);
		bh_buf_putc(&b, '/');
	}
	bh_buf_escape(&b, n);
	/* A name has at most 253 bytes; more is not worth repeating. */
	subject = bh_arena_strndup(d->arena, bh_buf_str(&b), strnlen(bh_buf_str(&b), 400));
	bh_buf_done(&b);
	return subject;
}

/* Kinds of networking.k8s.io that are no policies. */
static const char *const networking_kinds[] = { "Ingress",     "IngressClass", "IPAddress",
						"ServiceCIDR", "ClusterCIDR",  NULL };

/* A group of Kubernetes itself, or a text that was meant for one. */
static bool is_of_kubernetes(const char *group)
{
	size_t len = strlen(group), n = strlen(".k8s.io");

	return !strchr(group, '.') || (len > n && strcmp(group + len - n, ".k8s.io") == 0);
}

static bool is_networking_kind(const char *name)
{
	for (size_t i = 0; networking_kinds[i]; i++)
		if (strcmp(networking_kinds[i], name) == 0)
			return true;
	return false;
}

static bool is_policy_group(const char *group)
{
	return strcmp(group, "networking.k8s.io") == 0 || strcmp(group, POLICY_GROUP) == 0;
}

/* "List", or "PodList" and the like. */
static bool is_list_of_ours(const char *name)
{
	size_t len = strlen(name);

	if (len < 4 || strcmp(name + len - 4, "List") != 0)
		return false;
	for (size_t i = 0; len > 4 && i < BH_ARRAY_LEN(kinds); i++)
		if (strlen(kinds[i].name) == len - 4 && strncmp(kinds[i].name, name, len - 4) == 0)
			return true;
	return len == 4;
}

static bool resembles(const char *given, const char *name)
{
	struct bh_nearest n = { 0 };

	bh_nearest_consider(&n, given, name);
	return strcasecmp(given, name) == 0 || (n.word && n.distance <= 1);
}

/*
 * The kind that an object of no known kind and group was surely meant for: skipping a policy
 * for a letter that is wrong would leave its pods open.  NULL if there is none.
 */
static const struct kind *meant_kind(const char *group, bool has_version, const char *name)
{
	if (!is_of_kubernetes(group))
		return NULL;
	for (size_t i = 0; i < BH_ARRAY_LEN(kinds); i++) {
		bool is_its_group = strcmp(group, kinds[i].group) == 0;

		/* One that is known, but not wanted by the reader. */
		if (is_its_group && has_version && strcmp(name, kinds[i].name) == 0)
			return NULL;
		if ((is_its_group || is_policy_group(kinds[i].group)) &&
		    resembles(name, kinds[i].name))
			return &kinds[i];
	}
	if (strcmp(group, POLICY_GROUP) == 0 ||
	    (is_policy_group(group) && !is_networking_kind(name)))
		for (size_t i = 0; i < BH_ARRAY_LEN(kinds); i++)
			if (strcmp(kinds[i].group, group) == 0)
				return &kinds[i];
	return NULL;
}

/* Of a manifest: error for a kind or group that is misspelt. */
static void check_kind(struct decoder *d, const struct field *kind, const char *version,
		       const char *name)
{
	const char *slash = strchr(version, '/');
	const char *group =
		bh_arena_strndup(d->arena, version, slash ? (size_t)(slash - version) : 0);
	bool has_version = slash || !strchr(version, '.');
	const struct kind *meant = meant_kind(has_version ? group : version, has_version, name);

	if (is_list_of_ours(name)) {
		struct field items = field_get(kind->up, "items");

		field_error(d, &items, "Required value: a list of objects");
		return;
	}
	if (meant)
		field_error(d, kind,
			    "Unsupported value: %s: apiVersion %s has no such kind: did you mean "
			    "%s of %s?",
			    quoted(d, name), quoted(d, version), meant->name,
			    *meant->group ? meant->group : "v1");
}

static void skip_kind(struct decoder *d, const struct field *root, const char *kind)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(other_policies); i++) {
		if (strcmp(kind, other_policies[i]) == 0)
			field_warn(d, root, "policies of this kind are not enforced");
	}
}

/* "file:line: subject: " before the text. */
static int wrap_place(struct bh_err *err, int code, const struct decoder *d, int line,
		      const char *subject)
{
	if (subject)
		bh_err_wrap(err, code, "%s", subject);
	if (d->origin && d->origin->file && line)
		return bh_err_wrap(err, code, "%s:%d", d->origin->file, line);
	if (d->origin && d->origin->file)
		return bh_err_wrap(err, code, "%s", d->origin->file);
	return code;
}

/*
 * The namespace is there under another name or in another place.  What the object is about is
 * not known then: as one of the default namespace it would close that, and leave its own open.
 */
static bool has_lost_namespace(const struct decoder *d, const struct field *root,
			       const struct field *metadata)
{
	struct field spec = field_get(root, "spec"), ns = field_get(metadata, "namespace");

	return d->is_strict && !ns.json &&
	       (field_resembles(metadata, "namespace") || field_resembles(root, "namespace") ||
		field_resembles(&spec, "namespace"));
}

static int decode_root(struct decoder *d, const struct field *root, struct bh_decoded *ret,
		       struct bh_err *err)
{
	struct field version = field_get(root, "apiVersion"), kind = field_get(root, "kind");
	struct field metadata = field_get(root, "metadata");
	const char *v = field_string(d, &version), *k = field_string(d, &kind);
	struct meta meta;
	const struct kind *known;

	if (!v || !*v || !k || !*k) {
		bh_err(err, -EINVAL, "%s",
		       d->error    ? d->error
		       : !k || !*k ? "kind: Required value"
				   : "apiVersion: Required value");
		return wrap_place(err, -EINVAL, d, field_line(d, root), NULL);
	}
	known = find_kind(d, v, k);
	ret->subject = make_subject(
		d, k, known && known->is_namespaced ? default_namespace(d) : NULL, &metadata);
	if (!known) {
		ret->status = BH_DECODE_SKIPPED;
		if (d->is_strict)
			check_kind(d, &kind, v, k);
		if (d->error) {
			bh_err(err, -EINVAL, "%s", d->error);
			return wrap_place(err, -EINVAL, d, d->error_line, ret->subject);
		}
		skip_kind(d, root, k);
		return 0;
	}
	if (d->is_strict && !*known->group && strcmp(v, "v1") != 0)
		field_error(d, &version, "Unsupported value: %s: %s is served as v1 only",
			    quoted(d, v), known->name);
	decode_meta(d, &metadata, known->is_namespaced,
		    strcmp(known->name, "Namespace") == 0 ? wrong_dns_label : wrong_dns_subdomain,
		    &meta);
	if (known->is_namespaced && has_lost_namespace(d, root, &metadata))
		meta.is_named = false;
	ret->status = known->status;
	if (known->status == BH_DECODED_WORKLOAD)
		decode_workload(d, root, &meta, &ret->workload);
	else if (known->status == BH_DECODED_SERVICE)
		decode_service(d, root, &meta, &ret->service);
	else
		known->decode(d, root, &meta, &ret->fact);
	if (!d->error)
		return 0;
	if (known->status == BH_DECODED && ret->fact.kind == BH_KIND_POLICY && meta.is_named) {
		ret->status = BH_DECODE_INVALID;
		return 0;
	}
	bh_err(err, -EINVAL, "%s", d->error);
	return wrap_place(err, -EINVAL, d, d->error_line, ret->subject);
}

int bh_object_decode(const json_t *object, const struct bh_origin *origin, struct bh_decoded **ret,
		     struct bh_err *err)
{
	bh_auto(bh_decoded_free) struct bh_decoded *decoded = NULL;
	struct bh_arena *arena = bh_arena_new();
	struct decoder d = {
		.arena = arena,
		.origin = origin,
		.is_strict = !origin || origin->source != BH_SOURCE_KUBE,
	};
	struct field root = { .json = object };
	struct size size = { 0 };
	int r;

	decoded = bh_arena_alloc(arena, sizeof(*decoded));
	decoded->arena = arena;
	decoded->fact.source = origin ? origin->source : BH_SOURCE_MANIFEST;
	if (!json_is_object(object)) {
		bh_err(err, -EINVAL, "is not an object with apiVersion and kind");
		return wrap_place(err, -EINVAL, &d, field_line(&d, &root), NULL);
	}
	r = check_size(object, 1, &size, err);
	if (r < 0)
		return wrap_place(err, r, &d, field_line(&d, &root), "object");
	decoded->file = origin && origin->file ? bh_arena_strdup(arena, origin->file) : NULL;
	decoded->line = field_line(&d, &root);
	r = decode_root(&d, &root, decoded, err);
	decoded->warnings = d.warnings;
	decoded->n_warnings = d.n_warnings;
	decoded->error_line = d.error_line;
	if (r < 0)
		return r;
	*ret = bh_take_ptr(decoded);
	return 0;
}

void bh_decoded_free(struct bh_decoded **d)
{
	struct bh_arena *arena;

	if (!*d)
		return;
	free((*d)->warnings);
	arena = (*d)->arena; /* holds *d itself */
	bh_arena_free(&arena);
	*d = NULL;
}

enum bh_decode_status bh_decoded_status(const struct bh_decoded *d)
{
	return d->status;
}

const struct bh_fact *bh_decoded_fact(const struct bh_decoded *d)
{
	return d->status == BH_DECODED || d->status == BH_DECODE_INVALID ? &d->fact : NULL;
}

const struct bh_workload *bh_decoded_workload(const struct bh_decoded *d)
{
	return d->status == BH_DECODED_WORKLOAD ? &d->workload : NULL;
}

const struct bh_service *bh_decoded_service(const struct bh_decoded *d)
{
	return d->status == BH_DECODED_SERVICE ? &d->service : NULL;
}

const char *bh_decoded_subject(const struct bh_decoded *d)
{
	return d->subject;
}

const char *bh_decoded_file(const struct bh_decoded *d)
{
	return d->file;
}

int bh_decoded_line(const struct bh_decoded *d)
{
	return d->line;
}

size_t bh_decoded_warnings(const struct bh_decoded *d, const struct bh_decode_warning **ret)
{
	*ret = d->warnings;
	return d->n_warnings;
}

int bh_decoded_error_line(const struct bh_decoded *d)
{
	return d->error_line;
}
