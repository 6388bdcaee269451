/*
 * --check-config: what a start with this configuration would find wrong with the
 * manifests and the kubeconfig, with the rights that it has then and without touching
 * anything.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/log.h"
#include "caps.h"

struct check {
	struct bh_world *world;
	size_t n_problems, n_objects;
};

/* Standard output is the answer: one line a problem. */
static void print(const char *subject, const char *text)
{
	struct bh_buf line = { 0 };

	bh_buf_escape(&line, subject);
	bh_buf_puts(&line, ": ");
	bh_buf_escape(&line, text);
	puts(bh_buf_str(&line));
	bh_buf_done(&line);
}

static void on_put(void *ctx, const struct bh_fact *fact)
{
	struct check *c = ctx;
	struct bh_err err = { 0 };

	c->n_objects++;
	if (bh_world_apply(c->world, fact, &err) < 0) {
		c->n_problems++;
		print(bh_kind_str(fact->kind), bh_err_text(&err));
	}
}

static void on_delete(void *ctx, const struct bh_key *key)
{
	bh_world_remove(((struct check *)ctx)->world, key);
}

static void on_synced(void *ctx, enum bh_source source)
{
	(void)ctx;
	(void)source;
}

static void on_problem(void *ctx, enum bh_source source, const char *subject, const char *text)
{
	struct check *c = ctx;

	(void)source;
	if (!text)
		return;
	c->n_problems += strncmp(text, "warning: ", strlen("warning: ")) != 0;
	print(subject, text);
}

static void check_manifests(struct check *c, const struct bh_config *config,
			    const struct bh_sink *sink)
{
	struct bh_err err = { 0 };

	if (bh_manifest_load(config->policies, sink, &err) == 0)
		return;
	print(config->policies, bh_err_text(&err));
	c->n_problems++;
}

/* The server is not asked. */
static void check_kube(struct check *c, const struct bh_config *config)
{
	const struct bh_kube_config kube = bh_kube_config_of(config);
	struct bh_err err = { 0 };

	if (bh_kube_check(&kube, &err) == 0)
		return;
	print("--kubeconfig", bh_err_text(&err));
	c->n_problems++;
}

int bh_check_config(const struct bh_config *config)
{
	struct bh_world_config world = bh_world_config_of(config);
	bh_auto(bh_world_free) struct bh_world *w = bh_world_new(&world);
	struct check c = { .world = w };
	const struct bh_sink sink = {
		.ctx = &c,
		.on_put = on_put,
		.on_delete = on_delete,
		.on_synced = on_synced,
		.on_problem = on_problem,
	};
	struct bh_err err = { 0 };

	/* A file that only CAP_DAC_OVERRIDE can read is one that the agent cannot read. */
	if (bh_caps_drop_all(&err) < 0) {
		print("capabilities", bh_err_text(&err));
		c.n_problems++;
	}
	if (config->policies)
		check_manifests(&c, config, &sink);
	if (bh_config_has_kube(config))
		check_kube(&c, config);
	printf("%zu objects, %zu problems\n", c.n_objects, c.n_problems);
	return c.n_problems > 0 ? BH_EXIT_FAILED : BH_EXIT_OK;
}
