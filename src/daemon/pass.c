#include "pass.h"

#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "bh/object.h"

void bh_pass_done(struct bh_pass *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->events[i]);
	free(p->events);
	*p = (struct bh_pass){ 0 };
}

/* More than a node has pods and policies; a commit that fails may wait for long. */
#define MAX_EVENTS 65536

static void add_event(struct bh_pass *p, const struct bh_record *event)
{
	if (p->n == MAX_EVENTS) {
		p->n_left_out++;
		return;
	}
	bh_grow(&p->events, &p->cap, p->n, sizeof(*p->events));
	p->events[p->n++] = bh_record_copy(event, NULL);
}

/*
 * The first of a pod's addresses from @i on by which others know it; n_addrs if there is
 * none.  Those of a link are found with its port, before the pod has any other.
 */
static size_t next_addr(const struct bh_pod *pod, size_t i)
{
	while (i < pod->n_addrs && bh_addr_is_link_local(&pod->addrs[i]))
		i++;
	return i;
}

/* The addresses by which others know it, to be freed. */
static struct bh_addr *known_addrs(const struct bh_pod *pod, size_t *ret_n)
{
	struct bh_addr *addrs = bh_calloc(pod->n_addrs + 1, sizeof(*addrs));

	*ret_n = 0;
	for (size_t i = next_addr(pod, 0); i < pod->n_addrs; i = next_addr(pod, i + 1))
		addrs[(*ret_n)++] = pod->addrs[i];
	return addrs;
}

static struct bh_record_pod pod_of(const struct bh_pod *pod, const struct bh_addr *addrs, size_t n)
{
	return (struct bh_record_pod){
		.id = { .namespace = pod->namespace,
			.name = pod->name,
			.uid = pod->uid,
			.labels = pod->labels },
		.addrs = { .items = addrs, .n = n },
	};
}

static void add_pod(struct bh_pass *p, enum bh_record_kind kind, const struct bh_pod *pod)
{
	size_t n;
	bh_auto_free struct bh_addr *addrs = known_addrs(pod, &n);

	add_event(p, &(struct bh_record){ .kind = kind, .pod = pod_of(pod, addrs, n) });
}

static bool is_bound(const struct bh_pod *pod)
{
	return pod && pod->is_local && next_addr(pod, 0) < pod->n_addrs;
}

static bool have_same_addrs(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i = next_addr(a, 0), k = next_addr(b, 0);

	while (i < a->n_addrs && k < b->n_addrs && bh_addr_eq(&a->addrs[i], &b->addrs[k])) {
		i = next_addr(a, i + 1);
		k = next_addr(b, k + 1);
	}
	return i == a->n_addrs && k == b->n_addrs;
}

/* A pod that learnt its uid from a second source is the same pod. */
static bool is_same_pod(const struct bh_pod *a, const struct bh_pod *b)
{
	return strcmp(a->namespace, b->namespace) == 0 && strcmp(a->name, b->name) == 0 &&
	       (!*a->uid || !*b->uid || strcmp(a->uid, b->uid) == 0);
}

/* Whoever owns the address by now. */
static void note_addr(struct bh_agent *a, const struct bh_pod *before, const struct bh_addr *addr,
		      enum bh_touch why)
{
	const struct bh_pod *owner = bh_world_pod_by_addr(a->world, addr);

	bh_revoker_touch(&a->revoker, addr, why);
	if (before && before->is_local && !(owner && is_same_pod(before, owner)))
		bh_revoker_forget(&a->revoker, addr);
}

static bool is_annotated(const struct bh_agent *a, const struct bh_pod *pod)
{
	return pod && pod->is_local && pod->is_quarantined &&
	       bh_world_honours(a->world, BH_ANNOTATION_QUARANTINE, pod->namespace, NULL);
}

static void note_annotation(struct bh_pass *p, const struct bh_agent *a,
			    const struct bh_pod_change *c)
{
	const bool was = is_annotated(a, c->before), is = is_annotated(a, c->after);
	const struct bh_pod *pod = is ? c->after : c->before;
	bh_auto_free struct bh_addr *addrs = NULL;
	size_t n;

	if (was == is)
		return;
	addrs = known_addrs(pod, &n);
	add_event(p, &(struct bh_record){
			     .kind = is ? BH_RECORD_QUARANTINE_SET : BH_RECORD_QUARANTINE_RELEASED,
			     .quarantine = { .by = "annotation", .pod = pod_of(pod, addrs, n) },
		     });
}

static void note_pod(struct bh_pass *p, struct bh_agent *a, const struct bh_pod_change *c)
{
	enum bh_touch why = !c->before                          ? BH_TOUCH_NEW
			    : !c->after && !c->before->is_local ? BH_TOUCH_GONE
								: BH_TOUCH_CHANGED;

	for (size_t i = 0; c->before && i < c->before->n_addrs; i++)
		note_addr(a, c->before, &c->before->addrs[i], why);
	for (size_t i = 0; c->after && i < c->after->n_addrs; i++)
		note_addr(a, NULL, &c->after->addrs[i], why);

	note_annotation(p, a, c);
	if (is_bound(c->before) && is_bound(c->after) && have_same_addrs(c->before, c->after))
		return;
	if (is_bound(c->before))
		add_pod(p, BH_RECORD_POD_UNBOUND, c->before);
	if (is_bound(c->after))
		add_pod(p, BH_RECORD_POD_BOUND, c->after);
}

static void touch_pod(void *ctx, const struct bh_pod *pod)
{
	struct bh_agent *a = ctx;

	for (size_t i = 0; pod->is_local && i < pod->n_addrs; i++)
		bh_revoker_touch(&a->revoker, &pod->addrs[i], BH_TOUCH_CHANGED);
}

/* What a policy of a namespace says is about the pods that it selects, or selected. */
static void touch_selected(struct bh_agent *a, const struct bh_policy *p)
{
	static const struct bh_selector all;

	if (p && *p->namespace)
		bh_world_find_pods(a->world, p->namespace, NULL, p->invalid ? &all : &p->pods,
				   touch_pod, a);
	else if (p)
		bh_revoker_touch_all(&a->revoker);
}

static void note_policy(struct bh_pass *p, struct bh_agent *a, const struct bh_policy_change *c)
{
	const struct bh_policy *policy = c->after ? c->after : c->before;
	const char *change = !c->before ? "added" : !c->after ? "removed" : "changed";

	touch_selected(a, c->before);
	touch_selected(a, c->after);
	bh_revoker_count_policy(&a->revoker, c->before, c->after);
	add_event(p, &(struct bh_record){
			     .kind = BH_RECORD_POLICY_CHANGED,
			     .policy = { .rule = { .kind = bh_policy_kind_str(policy->kind),
						   .policy = { policy->namespace, policy->name } },
					 .change = change },
		     });
}

void bh_pass_note(struct bh_pass *p, struct bh_agent *a)
{
	const struct bh_changes *c = bh_world_changes(a->world);

	/* The past begins with what all sources said first. */
	if (bh_sources_are_usable(&a->sources))
		bh_history_note(a->history, c, bh_real_ns());
	for (size_t i = 0; i < c->n_pods; i++)
		note_pod(p, a, &c->pods[i]);
	for (size_t i = 0; i < c->n_policies; i++)
		note_policy(p, a, &c->policies[i]);
	if (c->n_namespaces > 0 || c->n_nodes > 0 || c->is_mode_changed)
		bh_revoker_touch_all(&a->revoker);
}

/* More pods of other labels may be closed for the same policy; the first ones tell it. */
#define MAX_CLOSED 32

void bh_pass_note_closed(struct bh_pass *p, struct bh_agent *a)
{
	const struct bh_profile *profile;
	size_t n = 0;

	while ((profile = bh_compiler_next_over(a->compiler)) != NULL) {
		const struct bh_policy_id *id = profile->blamed;

		if (n++ >= MAX_CLOSED)
			continue;
		bh_log_error("%s: its pods are closed for %s, everything else is enforced",
			     profile->closed, bh_dir_str(profile->dir));
		add_event(p, &(struct bh_record){
				     .kind = BH_RECORD_POLICY_CHANGED,
				     .policy = { .rule = { .kind = bh_policy_kind_str(id->kind),
							   .policy = { id->namespace, id->name } },
						 .change = "closed",
						 .closed = profile->closed,
						 .has_dir = true,
						 .dir = profile->dir },
			     });
	}
	if (n > MAX_CLOSED)
		bh_log_error("%zu more groups of pods are beyond their budgets and closed",
			     n - MAX_CLOSED);
}

void bh_pass_commit(struct bh_pass *p, struct bh_agent *a)
{
	uint64_t now_ns = bh_real_ns();

	bh_flowlog_set_generation(a->flowlog, a->reconcile.generation);
	for (size_t i = 0; i < p->n; i++) {
		bh_flowlog_event(a->flowlog, p->events[i], now_ns);
		free(p->events[i]);
	}
	if (p->n_left_out > 0)
		bh_flowlog_event(a->flowlog,
				 &(struct bh_record){ .kind = BH_RECORD_GAP,
						      .gap = { .reason = "event-limit",
							       .lost = p->n_left_out } },
				 now_ns);
	p->n = p->n_left_out = 0;
	bh_revoker_commit(&a->revoker);
}
