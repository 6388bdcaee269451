/*
 * One line of `sim eval --batch`: whatever it is, one line comes out, which is
 * a JSON object with a verdict or an error and has all that was asked.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/docs.h"
#include "bh/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char world[] =
	"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: web, labels: {app: web}}}\n"
	"---\n"
	"{apiVersion: v1, kind: Pod, metadata: {namespace: shop, name: db},"
	" status: {podIPs: [{ip: 10.0.0.1}]}}\n"
	"---\n"
	"{apiVersion: v1, kind: Service, metadata: {namespace: shop, name: s},"
	" spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}}\n"
	"---\n"
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {namespace: shop,"
	" name: p}, spec: {podSelector: {}, ingress: [{ports: [{port: 80}]}]}}\n";

static int add(void *ctx, json_t *object)
{
	const struct bh_origin origin = { .source = BH_SOURCE_MANIFEST, .wants_workloads = true };
	bh_auto(bh_decoded_free) struct bh_decoded *d = NULL;

	if (bh_object_decode(object, &origin, &d, NULL) < 0 || bh_sim_add(ctx, d, NULL) < 0)
		abort();
	return 0;
}

static struct bh_sim *make_sim(void)
{
	struct bh_sim *sim = bh_sim_new(&(struct bh_sim_config){ 0 });
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	size_t i;

	if (bh_docs_parse("world", world, strlen(world), &docs, NULL) < 0)
		abort();
	for (i = 0; i < bh_docs_count(docs); i++)
		bh_object_unpack(bh_docs_root(docs, i), add, sim);
	bh_sim_finish(sim);
	return sim;
}

static void check(const json_t *question, const json_t *answer, int r)
{
	const char *key;
	json_t *value;

	if ((json_object_get(answer, "verdict") == NULL) != (r < 0) ||
	    (json_object_get(answer, "error") == NULL) != (r == 0))
		abort();
	json_object_foreach((json_t *)(uintptr_t)question, key, value)
	{
		if (!json_object_get(answer, key) && strcmp(key, "error") != 0 &&
		    strcmp(key, "why") != 0 && strcmp(key, "audit_verdict") != 0 &&
		    strcmp(key, "service") != 0 && strcmp(key, "pods") != 0 && r == 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct bh_sim *sim;
	const char *line = (const char *)data;
	const uint8_t *newline = len ? memchr(data, '\n', len) : NULL;
	struct bh_buf out = { 0 };
	json_t *question, *answer;
	int r;

	if (!sim)
		sim = make_sim();
	if (newline)
		len = (size_t)(newline - data);
	r = bh_sim_batch_line(sim, line, len, &out);
	answer = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
	if (!answer || memchr(out.data, '\n', out.len) != out.data + out.len - 1)
		abort();
	question = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	check(question, answer, r);
	json_decref(question);
	json_decref(answer);
	bh_buf_done(&out);
	return 0;
}
