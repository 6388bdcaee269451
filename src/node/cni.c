/*
 * The ranges of this node's pods, from the CNI configuration.
 *
 * Runtimes take the first *.conflist, *.conf or *.json of the folder by name (libcni's
 * ConfFiles()).  Only ranges that are handed out on this node alone are of use:
 * those of the host-local plugin, literally or as the node's podCIDRs.  Other ways
 * to get an address (a pool of the cluster, DHCP) say nothing of whose pod has it.
 */
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/file.h"
#include "bh/node.h"

#define MAX_FILE   ((size_t)1 << 20)
#define MAX_RANGES 64

static bool is_config(const char *name)
{
	static const char *const ends[] = { ".conf", ".conflist", ".json" };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && name[0] != '.' && i < BH_ARRAY_LEN(ends); i++) {
		if (strcmp(dot, ends[i]) == 0)
			return true;
	}
	return false;
}

static int find_first(const char *dir, struct bh_cni *ret, struct bh_err *err)
{
	char first[sizeof(ret->file)] = "";
	const struct dirent *e;
	DIR *d = opendir(dir);
	int n;

	if (!d)
		return bh_err_wrap(err, -errno, "cannot read '%s'", dir);
	while ((e = readdir(d))) {
		if (is_config(e->d_name) && (!first[0] || strcmp(e->d_name, first) < 0))
			snprintf(first, sizeof(first), "%s", e->d_name);
	}
	closedir(d);
	if (!first[0])
		return bh_err(err, -ENOENT, "'%s' holds no configuration", dir);
	n = snprintf(ret->file, sizeof(ret->file), "%s/%s", dir, first);
	if (n < 0 || (size_t)n >= sizeof(ret->file))
		return bh_err(err, -ENAMETOOLONG, "'%s' has too long names", dir);
	return 0;
}

static const char *get_string(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static void why(struct bh_cni *c, const char *plugin, const char *text, const char *what)
{
	if (!c->why[0])
		snprintf(c->why, sizeof(c->why), "plugin %.60s %.60s%.100s", plugin, text, what);
}

/* The last address of a bridge's subnet is its broadcast address, and no pod's. */
static void leave_broadcast(struct bh_range *r, const struct bh_cidr *subnet)
{
	if (r->last.family == BH_IPV4 && subnet->prefix_len <= 30)
		(void)bh_addr_prev(&r->last);
}

/* {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.99"} */
static bool read_range(const json_t *range, bool is_bridge, struct bh_range *ret)
{
	const char *start = get_string(range, "rangeStart"), *end = get_string(range, "rangeEnd");
	struct bh_cidr subnet;

	if (bh_cidr_parse_lax(get_string(range, "subnet"), &subnet, NULL) < 0)
		return false;
	*ret = bh_cidr_range(&subnet);
	if (*end && bh_addr_parse(end, &ret->last, NULL) < 0)
		return false;
	if (!*end && is_bridge)
		leave_broadcast(ret, &subnet);
	if (*start && bh_addr_parse(start, &ret->first, NULL) < 0)
		return false;
	return bh_cidr_contains(&subnet, &ret->first) && bh_cidr_contains(&subnet, &ret->last) &&
	       bh_addr_cmp(&ret->first, &ret->last) <= 0;
}

static void add_range(struct bh_cni *c, const char *plugin, const json_t *range)
{
	struct bh_range r;

	if (strcmp(get_string(range, "subnet"), "usePodCidr") == 0) {
		c->is_by_node = true;
	} else if (c->n == MAX_RANGES || !read_range(range, strcmp(plugin, "bridge") == 0, &r)) {
		why(c, plugin, "has a range that cannot be read: ", get_string(range, "subnet"));
	} else {
		c->ranges = bh_reallocarray(c->ranges, c->n + 1, sizeof(*c->ranges));
		c->ranges[c->n++] = r;
	}
}

/* host-local: one range beside the other settings, and lists of lists of them. */
static void read_ipam(struct bh_cni *c, const char *plugin, const json_t *ipam)
{
	const json_t *sets = json_object_get(ipam, "ranges"), *set, *range;
	size_t i, k;

	if (strcmp(get_string(ipam, "type"), "host-local") != 0) {
		why(c, plugin, "takes addresses from ", get_string(ipam, "type"));
		return;
	}
	if (json_object_get(ipam, "subnet"))
		add_range(c, plugin, ipam);
	json_array_foreach(sets, i, set)
	{
		json_array_foreach(set, k, range) add_range(c, plugin, range);
	}
}

static void read_plugin(struct bh_cni *c, const json_t *plugin)
{
	/* They write host-local's configuration themselves, from the node's podCIDRs. */
	static const char *const by_node[] = { "flannel", "kindnet" };
	const json_t *ipam = json_object_get(plugin, "ipam");
	const char *type = get_string(plugin, "type");

	for (size_t i = 0; i < BH_ARRAY_LEN(by_node); i++)
		c->is_by_node = c->is_by_node || strcmp(type, by_node[i]) == 0;
	if (json_is_object(ipam) && json_object_size(ipam) > 0)
		read_ipam(c, type, ipam);
}

static void read_config(struct bh_cni *c, const json_t *root)
{
	const json_t *plugins = json_object_get(root, "plugins"), *plugin;
	size_t i;

	if (!json_is_array(plugins)) {
		read_plugin(c, root);
	} else {
		json_array_foreach(plugins, i, plugin) read_plugin(c, plugin);
	}
	if (c->n == 0 && !c->is_by_node && !c->why[0])
		snprintf(c->why, sizeof(c->why), "no plugin of it names ranges");
	/* A part of the ranges would do no harm, and no good either. */
	if (c->why[0]) {
		c->n = 0;
		c->is_by_node = false;
	}
}

int bh_cni_read(const char *dir, struct bh_cni *ret, struct bh_err *err)
{
	bh_auto_free char *text = NULL;
	json_error_t where;
	size_t len = 0;
	json_t *root;
	int r;

	*ret = (struct bh_cni){ 0 };
	r = find_first(dir, ret, err);
	if (r == 0)
		r = bh_read_file(ret->file, MAX_FILE, &text, &len, err);
	if (r < 0)
		return r;
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	if (!root)
		return bh_err(err, -EINVAL, "'%s' is no JSON: line %d: %s", ret->file, where.line,
			      where.text);
	read_config(ret, root);
	json_decref(root);
	return 0;
}

void bh_cni_done(struct bh_cni *c)
{
	free(c->ranges);
	*c = (struct bh_cni){ 0 };
}
