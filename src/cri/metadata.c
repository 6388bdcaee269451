/*
 * What containerd's CRI plugin keeps beside its containers: the configuration a
 * sandbox or container was made with and, once known, its addresses, as JSON
 * {"Version": "v1", "Metadata": {...}}.  Names inside Config are those of the
 * CRI messages.
 */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "messages.h"

static int load(const char *json, size_t len, json_t **ret, struct bh_err *err)
{
	json_error_t e;
	json_t *root;

	if (len > BH_CRI_MAX_JSON)
		return bh_err(err, -E2BIG, "metadata of containerd is over %u bytes",
			      BH_CRI_MAX_JSON);
	root = json_loadb(len ? json : "", len, 0, &e);
	if (!root)
		return bh_err(err, -EINVAL, "metadata of containerd is not JSON: %.100s", e.text);
	if (!json_is_object(json_object_get(root, "Metadata"))) {
		json_decref(root);
		return bh_err(err, -EINVAL, "metadata of containerd has no object Metadata");
	}
	*ret = root;
	return 0;
}

/* A JSON object of strings; anything else in it makes it bad. */
static int string_map(json_t *map, struct bh_arena *arena, struct bh_label **ret, size_t *ret_n,
		      struct bh_err *err)
{
	struct bh_label *labels = bh_arena_array(arena, json_object_size(map), sizeof(*labels));
	const char *key;
	json_t *value;
	size_t n = 0;

	if (map && !json_is_object(map) && !json_is_null(map))
		return bh_err(err, -EINVAL, "metadata of containerd: labels are no object");
	json_object_foreach(map, key, value)
	{
		if (!json_is_string(value))
			return bh_err(err, -EINVAL, "metadata of containerd: a label is no string");
		labels[n].key = key;
		labels[n++].value = json_string_value(value);
	}
	*ret = labels;
	*ret_n = n;
	return 0;
}

static bool is_on_host_network(const json_t *config)
{
	const json_t *v = json_object_get(config, "linux");

	v = json_object_get(v, "security_context");
	v = json_object_get(v, "namespace_options");
	return json_integer_value(json_object_get(v, "network")) == 2;
}

static const char **addresses(const json_t *meta, struct bh_arena *arena, size_t *ret_n)
{
	const json_t *more = json_object_get(meta, "AdditionalIPs");
	size_t i, n = 1 + json_array_size(more);
	const char **addrs;

	if (n > BH_CRI_MAX_ADDRS + 1)
		n = BH_CRI_MAX_ADDRS + 1;
	addrs = bh_arena_array(arena, n, sizeof(*addrs));
	addrs[0] = json_string_value(json_object_get(meta, "IP"));
	for (i = 1; i < n; i++)
		addrs[i] = json_string_value(json_array_get(more, i - 1));
	*ret_n = n;
	return addrs;
}

static uint32_t attempt_of(const json_t *metadata)
{
	json_int_t v = json_integer_value(json_object_get(metadata, "attempt"));

	return v < 0 || v > UINT32_MAX ? 0 : (uint32_t)v;
}

static int read_sandbox(json_t *root, uint64_t created_ns, struct bh_arena *arena,
			struct bh_sandbox *ret, struct bh_err *err)
{
	const json_t *meta = json_object_get(root, "Metadata");
	const json_t *config = json_object_get(meta, "Config");
	const json_t *id = json_object_get(config, "metadata");
	struct bh_label *labels, *annotations;
	struct bh_sandbox_raw raw = {
		.id = json_string_value(json_object_get(meta, "ID")),
		.namespace = json_string_value(json_object_get(id, "namespace")),
		.name = json_string_value(json_object_get(id, "name")),
		.uid = json_string_value(json_object_get(id, "uid")),
		.attempt = attempt_of(id),
		.is_host_network = is_on_host_network(config),
		.created_ns = created_ns,
	};
	int r;

	r = string_map(json_object_get(config, "labels"), arena, &labels, &raw.n_labels, err);
	if (r < 0)
		return r;
	r = string_map(json_object_get(config, "annotations"), arena, &annotations,
		       &raw.n_annotations, err);
	if (r < 0)
		return r;
	raw.labels = labels;
	raw.annotations = annotations;
	raw.addrs = addresses(meta, arena, &raw.n_addrs);
	raw.netns = json_string_value(json_object_get(meta, "NetNSPath"));
	/* Until the network is set up there is no address: not the same as none. */
	raw.has_network = raw.is_host_network || (raw.addrs[0] && raw.addrs[0][0]);
	return bh_sandbox_make(&raw, arena, ret, err);
}

/* The OCI runtime specification's list of namespaces. */
static const char *netns_of(const json_t *info)
{
	const json_t *list = json_object_get(info, "runtimeSpec"), *item;
	size_t i;

	list = json_object_get(json_object_get(list, "linux"), "namespaces");
	json_array_foreach(list, i, item)
	{
		const char *type = json_string_value(json_object_get(item, "type"));

		if (type && strcmp(type, "network") == 0)
			return json_string_value(json_object_get(item, "path"));
	}
	return NULL;
}

const char *bh_cri_parse_info(const char *json, struct bh_arena *arena)
{
	const char *path;
	json_t *info;

	if (strlen(json) > BH_CRI_MAX_JSON)
		return NULL;
	info = json_loads(json, 0, NULL);
	path = netns_of(info);
	if (path)
		path = bh_arena_strdup(arena, path);
	json_decref(info);
	return path;
}

int bh_containerd_parse_sandbox(const char *json, size_t len, uint64_t created_ns,
				struct bh_arena *arena, struct bh_sandbox *ret, struct bh_err *err)
{
	json_t *root;
	int r;

	r = load(json, len, &root, err);
	if (r < 0)
		return r;
	r = read_sandbox(root, created_ns, arena, ret, err);
	json_decref(root);
	return r;
}

static int read_container(json_t *root, struct bh_arena *arena, struct bh_cri_container *ret,
			  struct bh_err *err)
{
	const json_t *meta = json_object_get(root, "Metadata");
	const json_t *config = json_object_get(meta, "Config");
	const char *sandbox_id = json_string_value(json_object_get(meta, "SandboxID"));
	const char *ports = json_string_value(
		json_object_get(json_object_get(config, "annotations"), BH_CRI_KUBELET_PORTS));
	struct bh_cri_container c = { 0 };
	int r;

	if (!ports)
		return 0;
	if (!sandbox_id || !bh_cri_is_id(sandbox_id, BH_CRI_MAX_ID))
		return bh_err(err, -EINVAL, "metadata of containerd: SandboxID is not an id");
	r = bh_cri_parse_ports(ports, arena, &c.ports, &c.n_ports, err);
	if (r < 0)
		return bh_err_wrap(err, r, "annotation " BH_CRI_KUBELET_PORTS);
	c.sandbox_id = bh_arena_strdup(arena, sandbox_id);
	*ret = c;
	return 1;
}

int bh_containerd_parse_container(const char *json, size_t len, struct bh_arena *arena,
				  struct bh_cri_container *ret, struct bh_err *err)
{
	json_t *root;
	int r;

	r = load(json, len, &root, err);
	if (r < 0)
		return r;
	r = read_container(root, arena, ret, err);
	json_decref(root);
	return r;
}
