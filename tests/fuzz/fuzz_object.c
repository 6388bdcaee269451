/*
 * A JSON object of anybody's making: decoded, checked for what every fact
 * promises, and told to a world.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_port(const struct bh_policy_port *p, enum bh_policy_kind kind)
{
	must(p->first <= p->last);
	must(kind == BH_NETWORK_POLICY ? p->protocol != 0 : p->protocol || p->name);
}

static void check_peer(const struct bh_peer *p, enum bh_policy_kind kind)
{
	size_t i;

	must(p->kind < BH_PEER_KIND_COUNT_);
	must(kind != BH_NETWORK_POLICY || p->kind == BH_PEER_PODS || p->kind == BH_PEER_CIDR);
	must(kind == BH_NETWORK_POLICY || p->kind != BH_PEER_PODS || p->has_namespaces);
	for (i = 0; i < p->n_except; i++)
		must(bh_cidr_covers(&p->cidr, &p->except[i]) &&
		     p->except[i].prefix_len > p->cidr.prefix_len);
}

static void check_rule(const struct bh_rule *r, enum bh_policy_kind kind)
{
	size_t i;

	must(r->action < BH_ACTION_COUNT_);
	must(kind != BH_NETWORK_POLICY || r->action == BH_ALLOW);
	must(kind != BH_BASELINE_ADMIN_NETWORK_POLICY || r->action != BH_PASS);
	must(r->has_peers == (r->n_peers > 0) && r->has_ports == (r->n_ports > 0));
	/* Of all rules only those that were closed are about everybody. */
	must(kind == BH_NETWORK_POLICY || r->has_peers || r->action == BH_DENY);
	for (i = 0; i < r->n_ports; i++)
		check_port(&r->ports[i], kind);
	for (i = 0; i < r->n_peers; i++)
		check_peer(&r->peers[i], kind);
}

static void check_policy(const struct bh_policy *p, enum bh_decode_status status)
{
	bool is_v1 = p->kind == BH_NETWORK_POLICY;
	size_t i, dir;

	must(*p->name && p->uid && (*p->namespace != '\0') == is_v1);
	must((p->tier == BH_TIER_NETWORK_POLICY) == is_v1);
	must(p->has_namespaces == !is_v1);
	must((status == BH_DECODE_INVALID) == (p->invalid != NULL));
	must(p->isolates[BH_INGRESS] || p->isolates[BH_EGRESS] || !is_v1);
	for (dir = 0; dir < BH_DIR_COUNT_; dir++) {
		must(p->isolates[dir] || p->rules[dir].n == 0 || !is_v1);
		must(p->isolates[dir] == (p->invalid != NULL) || is_v1);
		must(!p->invalid || (p->isolates[dir] && p->rules[dir].n == 0));
		for (i = 0; i < p->rules[dir].n; i++)
			check_rule(&p->rules[dir].items[i], p->kind);
	}
}

static void check_workload(const struct bh_workload *w)
{
	size_t i;

	must(*w->kind && *w->namespace && *w->name);
	must(!w->owner_kind == !w->owner_name);
	for (i = 0; i < w->pod.n_ports; i++)
		must(*w->pod.ports[i].name && w->pod.ports[i].number);
	for (i = 1; i < w->pod.labels.n; i++)
		must(strcmp(w->pod.labels.items[i - 1].key, w->pod.labels.items[i].key) < 0);
}

static void check_service(const struct bh_service *s)
{
	size_t i;

	must(*s->namespace && *s->name && *s->type);
	must(s->has_selector == (s->selector.n_reqs > 0));
	must(!s->is_headless || s->n_addrs == 0);
	for (i = 0; i < s->n_ports; i++) {
		const struct bh_service_port *p = &s->ports[i];

		must(p->name && p->port && p->protocol);
		must((p->target_name == NULL) == (p->target != 0));
	}
}

/* Whose fields may be newer than this version. */
static void decode_as_api(const json_t *json)
{
	const struct bh_origin origin = { .source = BH_SOURCE_KUBE };
	bh_auto(bh_decoded_free) struct bh_decoded *d = NULL;
	struct bh_err err = { 0 };

	if (bh_object_decode(json, &origin, &d, &err) < 0)
		must(!d && err.text[0]);
	else if (bh_decoded_fact(d) && bh_decoded_fact(d)->kind == BH_KIND_POLICY)
		check_policy(&bh_decoded_fact(d)->policy, bh_decoded_status(d));
}

static int on_object(void *ctx, json_t *json)
{
	const struct bh_origin origin = { .source = BH_SOURCE_MANIFEST, .wants_workloads = true };
	bh_auto(bh_decoded_free) struct bh_decoded *d = NULL;
	const struct bh_decode_warning *w;
	const struct bh_fact *fact;
	struct bh_err err = { 0 };
	size_t i;

	decode_as_api(json);
	if (bh_object_decode(json, &origin, &d, &err) < 0) {
		must(!d && err.text[0]);
		return 0;
	}
	must(*bh_decoded_subject(d));
	for (i = 0; i < bh_decoded_warnings(d, &w); i++)
		must(*w[i].text);
	fact = bh_decoded_fact(d);
	must((fact != NULL) ==
	     (bh_decoded_status(d) == BH_DECODED || bh_decoded_status(d) == BH_DECODE_INVALID));
	if (bh_decoded_workload(d))
		check_workload(bh_decoded_workload(d));
	if (bh_decoded_service(d))
		check_service(bh_decoded_service(d));
	if (!fact)
		return 0;
	if (fact->kind == BH_KIND_POLICY)
		check_policy(&fact->policy, bh_decoded_status(d));
	must(bh_world_apply(ctx, fact, NULL) == 0);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const struct bh_world_config config = { 0 };
	bh_auto(bh_world_free) struct bh_world *w = NULL;
	json_t *json = json_loadb((const char *)data, len, JSON_DECODE_ANY, NULL);

	if (!json)
		return 0;
	w = bh_world_new(&config);
	bh_object_unpack(json, on_object, w);
	bh_world_settle(w);
	json_decref(json);
	return 0;
}
