/*
 * {"selector": LabelSelector, "labels": {...}}: decoded as parts of objects,
 * matched, and compared with a second opinion.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/object.h"
#include "bh/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct bh_label *)a)->key, ((const struct bh_label *)b)->key);
}

/* The words of the API, one by one. */
static bool holds(const struct bh_requirement *r, const struct bh_labels *labels)
{
	const char *value = bh_labels_get(labels, r->key);
	bool is_among = false;
	size_t i;

	for (i = 0; value && i < r->n_values; i++)
		is_among |= strcmp(r->values[i], value) == 0;
	switch (r->op) {
	case BH_SEL_IN: return value && is_among;
	case BH_SEL_NOT_IN: return !value || !is_among;
	case BH_SEL_EXISTS: return value;
	case BH_SEL_DOES_NOT_EXIST: return !value;
	case BH_SEL_OP_COUNT_: break;
	}
	abort();
}

static void check(const struct bh_selector *sel, struct bh_labels *labels)
{
	struct bh_buf once = { 0 }, twice = { 0 }, words = { 0 };
	bool want = true;
	size_t i;

	bh_sort((struct bh_label *)(uintptr_t)labels->items, labels->n, sizeof(*labels->items),
		by_key);
	for (i = 0; i < sel->n_reqs; i++)
		want &= holds(&sel->reqs[i], labels);
	if (bh_selector_matches(sel, labels) != want)
		abort();
	bh_selector_canonical(sel, &once);
	bh_selector_canonical(sel, &twice);
	bh_selector_describe(sel, &words);
	if (once.len != twice.len || memcmp(bh_buf_str(&once), bh_buf_str(&twice), once.len) != 0)
		abort();
	bh_buf_done(&once);
	bh_buf_done(&twice);
	bh_buf_done(&words);
}

static struct bh_decoded *decode(json_t *json)
{
	struct bh_decoded *d = NULL;

	bh_object_decode(json, NULL, &d, NULL);
	json_decref(json);
	return d;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *json = json_loadb((const char *)data, len, 0, NULL);
	json_t *sel = json_object_get(json, "selector"), *labels = json_object_get(json, "labels");
	bh_auto(bh_decoded_free) struct bh_decoded *policy = NULL;
	bh_auto(bh_decoded_free) struct bh_decoded *pod = NULL;

	if (!json)
		return 0;
	policy = decode(json_pack("{s:s, s:s, s:{s:s}, s:{s:O*}}", "apiVersion",
				  "networking.k8s.io/v1", "kind", "NetworkPolicy", "metadata",
				  "name", "p", "spec", "podSelector", sel));
	pod = decode(json_pack("{s:s, s:s, s:{s:s, s:O*}}", "apiVersion", "v1", "kind", "Pod",
			       "metadata", "name", "p", "labels", labels));
	json_decref(json);
	if (policy && pod && bh_decoded_status(policy) == BH_DECODED) {
		struct bh_labels sorted = bh_decoded_fact(pod)->pod.labels;

		check(&bh_decoded_fact(policy)->policy.pods, &sorted);
	}
	return 0;
}
