/*
 * Simulators from manifests as text.
 */
#ifndef BH_SIM_TEXT_H
#define BH_SIM_TEXT_H

#include "bh/docs.h"
#include "bh/sim.h"

struct st {
	struct bh_sim *sim;
	struct bh_origin origin;
};

static inline int st_add(void *ctx, json_t *object)
{
	bh_auto(bh_decoded_free) struct bh_decoded *d = NULL;
	struct st *t = ctx;
	struct bh_err err = { 0 };

	assert_ok(bh_object_decode(object, &t->origin, &d, &err), &err);
	assert_ok(bh_sim_add(t->sim, d, &err), &err);
	return 0;
}

/* Adds every object of a YAML text, as of a file of that name. */
static inline void sim_text_add(struct bh_sim *sim, const char *file, const char *text)
{
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	struct st t = { .sim = sim };
	struct bh_err err = { 0 };
	size_t i;

	assert_ok(bh_docs_parse(file, text, strlen(text), &docs, &err), &err);
	t.origin = (struct bh_origin){ .source = BH_SOURCE_MANIFEST,
				       .wants_workloads = true,
				       .file = file,
				       .line_of = bh_docs_line,
				       .ctx = docs };
	for (i = 0; i < bh_docs_count(docs); i++)
		assert_int_equal(bh_object_unpack(bh_docs_root(docs, i), st_add, &t), 0);
}

/* The whole of it, finished. */
static inline struct bh_sim *sim_text_with(const struct bh_sim_config *config, const char *text)
{
	struct bh_sim *sim = bh_sim_new(config);

	sim_text_add(sim, "test.yaml", text);
	bh_sim_finish(sim);
	return sim;
}

static inline struct bh_sim *sim_text(const char *text)
{
	return sim_text_with(&(struct bh_sim_config){ 0 }, text);
}

/* Objects of one line each, for tables. */
#define ST_POD(name, rest)                                                                         \
	"---\n{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: " name "}" rest "}\n"

#endif
