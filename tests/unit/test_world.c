#include "test.h"

#include <stdio.h>

#include "bh/world.h"

/* --- building ------------------------------------------------------------------------ */

#define LABELS(...)                                                                                \
	(struct bh_labels)                                                                         \
	{                                                                                          \
		(const struct bh_label[]){ __VA_ARGS__ },                                          \
			sizeof((const struct bh_label[]){ __VA_ARGS__ }) / sizeof(struct bh_label) \
	}
#define REQS(...)                                                                                  \
	(struct bh_selector)                                                                       \
	{                                                                                          \
		(const struct bh_requirement[]){ __VA_ARGS__ },                                    \
			sizeof((const struct bh_requirement[]){ __VA_ARGS__ }) /                   \
				sizeof(struct bh_requirement)                                      \
	}
#define IS(k, v)                                                                                   \
	{                                                                                          \
		.key = (k), .op = BH_SEL_IN, .values = (const char *const[]){ v }, .n_values = 1   \
	}

static const struct bh_world_config no_config;

static struct bh_addr ip(const char *s)
{
	struct bh_err err = { 0 };
	struct bh_addr a = { 0 };

	assert_ok(bh_addr_parse(s, &a, &err), &err);
	return a;
}

static void put(struct bh_world *w, const struct bh_fact *fact)
{
	struct bh_err err = { 0 };

	assert_ok(bh_world_apply(w, fact, &err), &err);
}

/* A pod with up to two addresses; @pod has everything else. */
static void put_pod(struct bh_world *w, enum bh_source source, struct bh_pod pod, const char *a,
		    const char *b)
{
	struct bh_fact fact = { .kind = BH_KIND_POD, .source = source };
	struct bh_addr addrs[2];

	if (!pod.namespace)
		pod.namespace = "shop";
	if (a)
		addrs[pod.n_addrs++] = ip(a);
	if (b)
		addrs[pod.n_addrs++] = ip(b);
	pod.addrs = addrs;
	fact.pod = pod;
	put(w, &fact);
}

static void del_pod(struct bh_world *w, enum bh_source source, const char *ns, const char *name,
		    const char *uid)
{
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_POD,
					     .source = source,
					     .namespace = ns,
					     .name = name,
					     .uid = uid });
}

static void put_ns(struct bh_world *w, enum bh_source source, struct bh_namespace ns)
{
	put(w, &(struct bh_fact){ .kind = BH_KIND_NAMESPACE, .source = source, .ns = ns });
}

static void del_ns(struct bh_world *w, enum bh_source source, const char *name)
{
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_NAMESPACE,
					     .source = source,
					     .namespace = "",
					     .name = name });
}

static void put_node(struct bh_world *w, const char *name, const char *a)
{
	struct bh_addr addr = ip(a);

	put(w, &(struct bh_fact){ .kind = BH_KIND_NODE,
				  .source = BH_SOURCE_MANIFEST,
				  .node = { .name = name, .addrs = &addr, .n_addrs = 1 } });
}

static void del_node(struct bh_world *w, const char *name)
{
	bh_world_remove(w, &(struct bh_key){ .kind = BH_KIND_NODE,
					     .source = BH_SOURCE_MANIFEST,
					     .namespace = "",
					     .name = name });
}

static void put_policy(struct bh_world *w, enum bh_source source, struct bh_policy p)
{
	put(w, &(struct bh_fact){ .kind = BH_KIND_POLICY, .source = source, .policy = p });
}

static const char *owner(const struct bh_world *w, const char *a)
{
	struct bh_addr addr = ip(a);
	const struct bh_pod *p = bh_world_pod_by_addr(w, &addr);

	return p ? p->name : "";
}

/* --- addresses -------------------------------------------------------------------------- */

static void newest_pod_owns_an_address_until_it_goes(void **state)
{
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&no_config);
	const struct bh_changes *c;

	(void)state;
	put_pod(w, BH_SOURCE_KUBE, (struct bh_pod){ .name = "old", .uid = "1", .created_ns = 1 },
		"10.0.0.1", "fd00::1");
	bh_world_settle(w);
	put_pod(w, BH_SOURCE_KUBE, (struct bh_pod){ .name = "new", .uid = "2", .created_ns = 2 },
		"10.0.0.1", NULL);

	assert_string_equal(owner(w, "10.0.0.1"), "new");
	assert_string_equal(owner(w, "fd00::1"), "old");
	c = bh_world_changes(w);
	assert_int_equal(c->n_pods, 2);
	assert_string_equal(c->pods[0].after->name, "new");
	assert_null(c->pods[0].before);
	assert_int_equal(c->pods[1].before->n_addrs, 2);
	assert_int_equal(c->pods[1].after->n_addrs, 1);
	assert_int_equal(c->pods[1].after->addrs[0].family, BH_IPV6);
	bh_world_settle(w);

	/* The old one speaking again does not get it back. */
	put_pod(w, BH_SOURCE_KUBE,
		(struct bh_pod){ .name = "old", .uid = "1", .created_ns = 1, .node = "n" },
		"10.0.0.1", "fd00::1");
	assert_string_equal(owner(w, "10.0.0.1"), "new");
	bh_world_settle(w);

	del_pod(w, BH_SOURCE_KUBE, "shop", "new", "2");
	assert_string_equal(owner(w, "10.0.0.1"), "old");
	c = bh_world_changes(w);
	assert_int_equal(c->n_pods, 2);
	assert_null(c->pods[0].after);
	assert_int_equal(c->pods[1].after->n_addrs, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(newest_pod_owns_an_address_until_it_goes),
	};

	(void)del_node;
	(void)put_node;
	(void)put_ns;
	(void)del_ns;
	(void)put_policy;
	return cmocka_run_group_tests_name("world", tests, NULL, NULL);
}
