/*
 * A quarantine is a policy of kind BH_QUARANTINE that this node tells the world of; all that
 * follows (rules, cuts, records) is as with other policies.  This file keeps the list: by
 * target, in files that are written whole before the answer goes out, so that what was
 * answered survives whatever ends the agent (quarantinelist.h).
 *
 * That there is a list is also said where the list is not: by a set of the kernel's table,
 * which has the list's number and length, and by the head of the rules kept for the boot.
 * With these, a list that is gone is told from one that never was.  A list that was lost, or
 * an older one than the rules were made of, names no pods; so every pod of this node is in
 * quarantine then, over restarts too, until an operator has set what is still wanted and
 * gives up the rest (release --lost).
 *
 * The end of one is a time of the wall clock, which may be set meanwhile: it is looked at
 * once a minute at least.
 */
#include "quarantine.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "handle.h"

#define MAX_FOR_S    (UINT64_C(10) * 366 * 86400)
#define MAX_PAUSE_MS 60000
/* The name of what holds all pods of a namespace; no target can have it. */
#define ALL_PODS "*"
/* The kernel's set that says of the list how many it has. */
#define MARK "quarantines"

/* --- as a policy ------------------------------------------------------------------------ */

static struct bh_key key_of(const struct bh_quarantine *i)
{
	return (struct bh_key){ .kind = BH_KIND_POLICY,
				.source = BH_SOURCE_NODE,
				.policy_kind = BH_QUARANTINE,
				.namespace = i->namespace,
				.name = i->name };
}

/* Cuts @text at its commas; the parts live in it. */
static size_t split_labels(char *text, struct bh_requirement *reqs, const char **values)
{
	char *rest = NULL, *part;
	size_t n = 0;

	for (part = strtok_r(text, ",", &rest); part && n < BH_QUARANTINE_MAX_LABELS;
	     part = strtok_r(NULL, ",", &rest)) {
		char *value = strchr(part, '=');

		*value++ = '\0';
		values[n] = value;
		reqs[n] = (struct bh_requirement){
			.key = part, .op = BH_SEL_IN, .values = &values[n], .n_values = 1
		};
		n++;
	}
	return n;
}

static int tell(const struct bh_quarantines *q, const struct bh_quarantine *i, struct bh_err *err)
{
	bh_auto_free char *text = bh_strdup(i->name);
	struct bh_peer peers[BH_QUARANTINE_MAX_ALLOW] = { 0 };
	struct bh_requirement reqs[BH_QUARANTINE_MAX_LABELS];
	const char *values[BH_QUARANTINE_MAX_LABELS];
	struct bh_rule rules[2] = {
		{ .action = BH_ALLOW, .has_peers = true, .peers = peers, .n_peers = i->n_allow },
		{ .action = BH_DENY },
	};
	const struct bh_rules all = { .items = rules + (i->n_allow == 0),
				      .n = 1 + (i->n_allow > 0) };
	/* One that allows nothing is asked first. */
	struct bh_fact fact = { .kind = BH_KIND_POLICY,
				.source = BH_SOURCE_NODE,
				.policy = { .kind = BH_QUARANTINE,
					    .tier = BH_TIER_QUARANTINE,
					    .priority = i->n_allow > 0,
					    .namespace = i->namespace,
					    .name = i->name,
					    .uid = "",
					    .rules = { [BH_INGRESS] = all, [BH_EGRESS] = all } } };

	for (size_t k = 0; k < i->n_allow; k++)
		peers[k] = (struct bh_peer){ .kind = BH_PEER_CIDR, .cidr = i->allow[k] };
	if (strchr(i->name, '=')) {
		fact.policy.pods.reqs = reqs;
		fact.policy.pods.n_reqs = split_labels(text, reqs, values);
	} else if (strcmp(i->name, ALL_PODS) != 0) {
		fact.policy.pod = i->name;
	}
	return bh_world_apply(q->agent->world, &fact, err);
}

struct counting {
	const struct bh_world *w;
	const struct bh_policy *p;
	size_t n;
};

static void count_selected(void *ctx, const struct bh_pod *pod)
{
	struct counting *c = ctx;

	c->n += pod->is_local && bh_world_selects(c->w, c->p, pod);
}

static size_t n_pods(const struct bh_agent *a, const struct bh_policy *p)
{
	struct counting c = { .w = a->world, .p = p };

	if (p)
		bh_world_find_pods(a->world, p->namespace, NULL, &p->pods, count_selected, &c);
	return c.n;
}

/* --- as JSON ---------------------------------------------------------------------------- */

static const struct bh_policy *policy_of(const struct bh_agent *a, const struct bh_quarantine *i)
{
	return bh_world_policy(a->world, BH_QUARANTINE, i->namespace, i->name);
}

/* Those that no item of the list stands for: by annotation, or because the list was lost. */
static const char *cause_of(const struct bh_policy *p)
{
	if (p->kind != BH_QUARANTINE)
		return NULL;
	return p->is_by_annotation ? "annotation" : strcmp(p->name, ALL_PODS) == 0 ? "loss" : NULL;
}

static void add_others(const struct bh_agent *a, json_t *list)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(a->world, &policies);

	for (size_t i = 0; i < n; i++) {
		const struct bh_policy *p = policies[i];
		const char *cause = cause_of(p);

		if (cause)
			json_array_append_new(
				list,
				json_pack("{s:s, s:s, s:s, s:I, s:s*}", "namespace", p->namespace,
					  "name", p->name, "by", cause, "pods",
					  (json_int_t)n_pods(a, p), "reason",
					  p->is_by_annotation ? NULL : a->quarantines.list.lost));
	}
}

json_t *bh_quarantines_json(const struct bh_agent *a)
{
	const struct bh_quarantine_list *l = &a->quarantines.list;
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++) {
		json_t *o = bh_quarantine_json(&l->items[i]);
		size_t n = n_pods(a, policy_of(a, &l->items[i]));

		json_object_set_new(o, "pods", json_integer((json_int_t)n));
		json_array_append_new(list, o);
	}
	add_others(a, list);
	return list;
}

void bh_quarantines_count(const struct bh_agent *a, size_t *ret_operator, size_t *ret_annotated)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(a->world, &policies);

	*ret_operator = a->quarantines.list.n;
	*ret_annotated = 0;
	for (size_t i = 0; i < n; i++)
		if (policies[i]->is_by_annotation)
			*ret_annotated += n_pods(a, policies[i]);
}

static void record(const struct bh_quarantines *q, enum bh_record_kind kind,
		   const struct bh_quarantine *i, const char *cause, unsigned int who)
{
	bh_auto_free char *target = bh_asprintf("%s/%s", i->namespace, i->name);
	bh_auto_free char *texts = bh_calloc(i->n_allow + 1, BH_CIDR_STRLEN);
	bh_auto_free const char **allow = bh_calloc(i->n_allow + 1, sizeof(*allow));
	const struct bh_record r = {
		.kind = kind,
		.quarantine = { .target = target,
				.by = cause,
				.has_user = true,
				.user = who,
				.reason = i->reason,
				.has_allow = true,
				.allow = { allow, i->n_allow, 0 },
				.until_ns = i->until_ns },
	};

	for (size_t k = 0; k < i->n_allow; k++)
		allow[k] = bh_cidr_format(&i->allow[k], texts + k * BH_CIDR_STRLEN);
	bh_flowlog_event(q->agent->flowlog, &r, bh_real_ns());
	bh_log_info("%s %s (%s, user %u)%s%s", bh_record_action(&r), target, cause, who,
		    *i->reason ? ": " : "", i->reason);
}

/* --- kept ------------------------------------------------------------------------------- */

static const char *problem_key(const struct bh_quarantines *q)
{
	return q->copies.paths[0];
}

static void note_problem(struct bh_quarantines *q, const char *text)
{
	if (text && *text)
		bh_problems_set(&q->agent->problems, BH_SOURCE_NODE, problem_key(q), text);
	else
		bh_problems_clear(&q->agent->problems, BH_SOURCE_NODE, problem_key(q));
}

size_t bh_quarantines_kept(const struct bh_quarantines *q)
{
	return q->list.n + (q->list.lost[0] != '\0');
}

/* The number and the length of the list, as the key of an element. */
static struct bh_elem mark_of(const struct bh_quarantines *q)
{
	const uint64_t values[] = { htobe64(q->list.serial), htobe64(bh_quarantines_kept(q)) };
	struct bh_addr addr = { .family = BH_IPV6 };
	struct bh_elem elem = { .chain = NULL };

	static_assert(sizeof(values) == sizeof(addr.bytes), "an address has room for both");
	memcpy(addr.bytes, values, sizeof(values));
	bh_plan_key(BH_SET_ADDR, &addr, 0, 0, elem.key);
	return elem;
}

static void mark(struct bh_quarantines *q)
{
	static const struct bh_set_spec spec = {
		.name = MARK,
		.comment = "number of the list of quarantines, and how many it has",
		.kind = BH_SET_ADDR,
		.family = BH_IPV6,
	};
	struct bh_plan *plan = bh_compiler_plan(q->agent->compiler);
	struct bh_elem elem = mark_of(q);

	if (!q->mark)
		q->mark = bh_plan_add_set(plan, &spec);
	else
		bh_plan_drop(plan, q->mark, &q->marked);
	bh_plan_put(plan, q->mark, &elem);
	q->marked = elem;
}

struct found_mark {
	uint64_t serial, n;
};

static void on_mark(void *ctx, const uint8_t *key)
{
	struct found_mark *m = ctx;
	uint64_t values[2];

	memcpy(values, key, sizeof(values));
	if (be64toh(values[0]) >= m->serial)
		*m = (struct found_mark){ be64toh(values[0]), be64toh(values[1]) };
}

static int save(struct bh_quarantines *q, struct bh_err *err)
{
	size_t n = 0;
	int r = bh_copies_write(&q->copies, &q->list, &n, err);

	if (r < 0)
		bh_log_error("%s: %s", bh_err_text(err),
			     n > 0 ? "the list of quarantines has fewer copies"
				   : "a restart would not know the quarantines");
	note_problem(q, r < 0 ? bh_err_text(err) : q->list.lost);
	mark(q);
	return n > 0 ? 0 : r;
}

/* --- the list --------------------------------------------------------------------------- */

static int read_for(const json_t *params, struct bh_quarantine *ret, struct bh_err *err)
{
	const json_t *seconds = json_object_get(params, "for_s");
	json_int_t v = json_integer_value(seconds);

	if (!seconds || json_is_null(seconds))
		return 0;
	if (v < 1 || (uint64_t)v > MAX_FOR_S)
		return bh_err(err, -EINVAL, "'for_s' is no number of seconds, ten years at most");
	ret->until_ns = ret->set_ns + (uint64_t)v * BH_NS_PER_S;
	return 0;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct bh_quarantines *q)
{
	uint64_t now = bh_real_ns(), pause_ms = MAX_PAUSE_MS;
	bool is_wanted = false;

	for (size_t i = 0; i < q->list.n; i++) {
		uint64_t until = q->list.items[i].until_ns;
		uint64_t ms = until > now ? (until - now) / BH_NS_PER_MS + 1 : 0;

		if (!until)
			continue;
		is_wanted = true;
		pause_ms = ms < pause_ms ? ms : pause_ms;
	}
	if (is_wanted)
		uv_timer_start(&q->timer, on_timer, pause_ms, 0);
	else
		uv_timer_stop(&q->timer);
}

/* Takes @i out of the list and of the world. */
static void drop(struct bh_quarantines *q, struct bh_quarantine *i, const char *cause,
		 unsigned int who)
{
	const struct bh_key key = key_of(i);

	bh_world_remove(q->agent->world, &key);
	record(q, BH_RECORD_QUARANTINE_RELEASED, i, cause, who);
	bh_quarantine_done(i);
	*i = q->list.items[--q->list.n];
}

static size_t drop_ended(struct bh_quarantines *q)
{
	uint64_t now = bh_real_ns();
	size_t n = 0;

	for (size_t i = q->list.n; i-- > 0;) {
		if (!q->list.items[i].until_ns || q->list.items[i].until_ns > now)
			continue;
		drop(q, &q->list.items[i], "time", q->list.items[i].who);
		n++;
	}
	return n;
}

static void on_timer(uv_timer_t *timer)
{
	struct bh_quarantines *q = bh_container_of(timer, struct bh_quarantines, timer);
	struct bh_err err = { 0 };

	if (drop_ended(q) > 0) {
		(void)save(q, &err); /* it is logged, and ended again after a restart */
		bh_reconcile_defer(&q->agent->reconcile, true);
	}
	arm(q);
}

/* --- a list that was lost ------------------------------------------------------------------ */

static struct bh_quarantine everything(const char *namespace, const struct bh_quarantines *q)
{
	return (struct bh_quarantine){ .namespace = bh_strdup(namespace),
				       .name = bh_strdup(ALL_PODS),
				       .reason = bh_strdup(q->list.lost) };
}

/* Puts every namespace of which this node has pods into quarantine. */
void bh_quarantines_follow(struct bh_quarantines *q)
{
	const struct bh_world *w = q->agent->world;
	const struct bh_pod *const *pods;
	size_t n = q->list.lost[0] ? bh_world_pods(w, &pods) : 0;

	for (size_t i = 0; i < n; i++) {
		const char *namespace = pods[i]->namespace;
		bh_auto(bh_quarantine_done) struct bh_quarantine all = { 0 };

		if (!pods[i]->is_local || bh_world_policy(w, BH_QUARANTINE, namespace, ALL_PODS))
			continue;
		all = everything(namespace, q);
		/* It cannot fail: no part of it came from outside. */
		(void)tell(q, &all, NULL);
	}
}

static void lose(struct bh_quarantines *q, const char *why)
{
	bh_auto(bh_quarantine_done) struct bh_quarantine all = { 0 };

	snprintf(q->list.lost, sizeof(q->list.lost), "%s", why);
	all = everything(ALL_PODS, q);
	record(q, BH_RECORD_QUARANTINE_SET, &all, "loss", 0);
	bh_log_error("%s: quarantines were lost, so every pod of this node is in quarantine until "
		     "`bulkhead release --lost`",
		     why);
}

/* An operator says that the list is whole as it is now. */
static void give_up_lost(struct bh_quarantines *q, unsigned int who)
{
	const struct bh_policy *const *policies;
	bh_auto(bh_quarantine_done) struct bh_quarantine all = everything(ALL_PODS, q);
	size_t n = bh_world_policies(q->agent->world, &policies);
	bh_auto_free char **names = bh_calloc(n + 1, sizeof(*names));
	size_t n_names = 0;

	if (!q->list.lost[0])
		return;
	record(q, BH_RECORD_QUARANTINE_RELEASED, &all, "operator", who);
	q->list.lost[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (cause_of(policies[i]) && !policies[i]->is_by_annotation)
			names[n_names++] = bh_strdup(policies[i]->namespace);
	for (size_t i = 0; i < n_names; i++) {
		bh_auto(bh_quarantine_done) struct bh_quarantine one = everything(names[i], q);
		const struct bh_key key = key_of(&one);

		bh_world_remove(q->agent->world, &key);
		free(names[i]);
	}
}

/* --- the operator's requests ---------------------------------------------------------------- */

static json_t *answer_of(const struct bh_quarantines *q, int saved, const struct bh_err *err)
{
	json_t *o = json_object(), *warning = NULL;

	bh_reconcile_defer(&q->agent->reconcile, true);
	if (saved < 0)
		warning = json_sprintf("a restart would not know of it: %s", bh_err_text(err));
	else if (bh_world_mode(q->agent->world) == BH_AUDIT)
		warning =
			json_string("the agent is in audit as a whole (--mode audit): quarantines "
				    "are recorded and cut nothing");
	if (warning)
		json_object_set_new(o, "warning", warning);
	return o;
}

int bh_quarantines_set(struct bh_quarantines *q, const json_t *params, unsigned int who,
		       json_t **ret, struct bh_err *err)
{
	bh_auto(bh_quarantine_done) struct bh_quarantine item = { .who = who,
								  .set_ns = bh_real_ns() };
	struct bh_err write_err = { 0 };
	const struct bh_policy *policy;
	int r = bh_quarantine_parse_target(json_string_value(json_object_get(params, "target")),
					   &item, err);

	if (r == 0)
		r = bh_quarantine_parse_params(params, &item, err);
	if (r == 0)
		r = read_for(params, &item, err);
	if (r == 0 && q->list.n >= BH_MAX_QUARANTINES && !bh_quarantine_list_find(&q->list, &item))
		r = bh_err(err, -E2BIG, "there are %d quarantines already", BH_MAX_QUARANTINES);
	if (r == 0)
		r = tell(q, &item, err);
	if (r < 0)
		return r;
	policy = policy_of(q->agent, &item);
	record(q, BH_RECORD_QUARANTINE_SET, &item, "operator", who);
	bh_quarantine_list_put(&q->list, &item);
	*ret = answer_of(q, save(q, &write_err), &write_err);
	json_object_set_new(*ret, "pods", json_integer((json_int_t)n_pods(q->agent, policy)));
	arm(q);
	return 0;
}

int bh_quarantines_release(struct bh_quarantines *q, const json_t *params, unsigned int who,
			   json_t **ret, struct bh_err *err)
{
	bool is_all = json_is_true(json_object_get(params, "all"));
	bool is_lost = is_all || json_is_true(json_object_get(params, "lost"));
	const char *target = json_string_value(json_object_get(params, "target"));
	bh_auto(bh_quarantine_done) struct bh_quarantine like = { 0 };
	struct bh_err write_err = { 0 };
	struct bh_quarantine *i;
	size_t n = 0;
	int r;

	if (!is_lost) {
		r = bh_quarantine_parse_target(target, &like, err);
		if (r < 0)
			return r;
		i = bh_quarantine_list_find(&q->list, &like);
		if (!i)
			return bh_err(err, -ENOENT,
				      "no operator set a quarantine of '%.128s' (one by annotation "
				      "ends with the annotation)",
				      target);
		drop(q, i, "operator", who);
		n = 1;
	}
	for (; is_all && q->list.n > 0; n++)
		drop(q, &q->list.items[q->list.n - 1], "operator", who);
	if (is_lost)
		give_up_lost(q, who);
	*ret = answer_of(q, save(q, &write_err), &write_err);
	json_object_set_new(*ret, "released", json_integer((json_int_t)n));
	arm(q);
	bh_agent_update_ready(q->agent);
	return 0;
}

/* --- life --------------------------------------------------------------------------------- */

/* Why the list that was read is not all that was in force; false: it is. */
static bool find_loss(const struct bh_quarantines *q, int read, const struct bh_err *why,
		      const struct found_mark *kernel, struct bh_err *ret)
{
	size_t n_boot;

	if (read < 0 && read != -ENOENT) {
		bh_err(ret, read, "%s, and no copy is better", bh_err_text(why));
	} else if (kernel->n > 0 && kernel->serial > q->list.serial) {
		bh_err(ret, -ENOENT,
		       "'%s' is gone or older than the rules in the kernel, which are of %" PRIu64
		       " quarantines",
		       q->copies.paths[0], kernel->n);
	} else if (read == -ENOENT && kernel->serial == 0) {
		n_boot = bh_boot_quarantines(q->agent->config);
		if (n_boot > 0)
			bh_err(ret, -ENOENT,
			       "'%s' is gone, and the rules kept for the boot are of %zu "
			       "quarantines",
			       q->copies.paths[0], n_boot);
	}
	return *bh_err_text(ret) != '\0';
}

static void tell_all(struct bh_quarantines *q)
{
	for (size_t i = 0; i < q->list.n; i++) {
		struct bh_err err = { 0 };

		/* What was accepted once is, unless another version wrote it. */
		if (tell(q, &q->list.items[i], &err) < 0)
			lose(q, bh_err_text(&err));
	}
}

static void recall(struct bh_quarantines *q)
{
	struct found_mark kernel = { 0 };
	struct bh_err err = { 0 }, loss = { 0 }, mark_err = { 0 }, write_err = { 0 };
	bool is_complete = false;
	int r = bh_copies_read(&q->copies, &q->list, &is_complete, &err);
	int e = bh_nft_list_keys(MARK, bh_set_key_len(BH_SET_ADDR, BH_IPV6), on_mark, &kernel,
				 &mark_err);

	if (e < 0 && e != -ENOENT)
		bh_log_warning("%s: whether quarantines were lost is not known",
			       bh_err_text(&mark_err));
	if (find_loss(q, r, &err, &kernel, &loss))
		lose(q, bh_err_text(&loss));
	else if (r == -ENOENT && kernel.serial == 0)
		return;
	tell_all(q);
	if (kernel.serial > q->list.serial)
		q->list.serial = kernel.serial;
	/* A list that was lost stays so when the next run finds good copies. */
	if (drop_ended(q) > 0 || *bh_err_text(&loss) || !is_complete)
		(void)save(q, &write_err);
	else
		mark(q);
	note_problem(q, *bh_err_text(&write_err) ? bh_err_text(&write_err) : q->list.lost);
}

void bh_quarantines_check(struct bh_quarantines *q)
{
	struct bh_err err = { 0 };

	if (q->list.serial == 0 || bh_copies_are_intact(&q->copies))
		return;
	bh_log_warning("a copy of the list of quarantines is gone or was changed: writing it anew");
	(void)save(q, &err);
	bh_reconcile_defer(&q->agent->reconcile, false);
}

int bh_quarantines_start(struct bh_quarantines *q, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *config = agent->config;

	if (config->state) {
		int r = bh_state_make_folder(config->state, err);

		if (r < 0)
			return r;
	}
	*q = (struct bh_quarantines){ .agent = agent };
	bh_copies_init(&q->copies, config->state, config->control);
	uv_timer_init(agent->loop, &q->timer);
	recall(q);
	arm(q);
	return 0;
}

void bh_quarantines_stop(struct bh_quarantines *q)
{
	if (!q->agent)
		return;
	if (!uv_is_closing((uv_handle_t *)&q->timer))
		bh_quarantines_check(q);
	bh_close_handle((uv_handle_t *)&q->timer);
	bh_quarantine_list_done(&q->list);
	bh_copies_done(&q->copies);
}
