/*
 * A quarantine is a policy of kind BH_QUARANTINE that this node tells the world of; all that
 * follows (rules, cuts, records) is as with other policies.  This file keeps the list: by
 * target, in a file that is written whole before the answer goes out, so that what was
 * answered survives whatever ends the agent.
 *
 * The end of one is a time of the wall clock, which may be set meanwhile: it is looked at
 * once a minute at least.
 */
#include "quarantine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/log.h"
#include "cachefile.h"
#include "handle.h"

#define FILE_NAME    "quarantine.cache"
#define FILE_OF      "the operator of this node"
#define MAX_TARGET   512
#define MAX_REASON   256
#define MAX_ALLOW    64
#define MAX_LABELS   16
#define MAX_FOR_S    (UINT64_C(10) * 366 * 86400)
#define MAX_PAUSE_MS 60000
#define PORTION      256

struct bh_quarantine {
	char *namespace, *name;    /* the parts of the target */
	char *reason;              /* "" if none was given */
	unsigned int who;          /* user id */
	uint64_t set_ns, until_ns; /* since 1970; until_ns 0: until it is released */
	struct bh_cidr allow[MAX_ALLOW];
	size_t n_allow;
};

static void free_item(struct bh_quarantine *i)
{
	free(i->namespace);
	free(i->name);
	free(i->reason);
}

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

	for (part = strtok_r(text, ",", &rest); part && n < MAX_LABELS;
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
	struct bh_peer peers[MAX_ALLOW] = { 0 };
	struct bh_requirement reqs[MAX_LABELS];
	const char *values[MAX_LABELS];
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
	} else {
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

static void set_time(json_t *o, const char *key, uint64_t ns)
{
	char text[BH_TIME_STRLEN];

	if (ns > 0)
		json_object_set_new(o, key, json_string(bh_time_format(ns, text)));
}

static json_t *item_json(const struct bh_quarantine *i)
{
	json_t *allow = json_array(), *o;
	char text[BH_CIDR_STRLEN];

	for (size_t k = 0; k < i->n_allow; k++)
		json_array_append_new(allow, json_string(bh_cidr_format(&i->allow[k], text)));
	o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "namespace", i->namespace, "name", i->name,
		      "by", "operator", "user", (json_int_t)i->who, "reason", i->reason, "allow",
		      allow);
	set_time(o, "since", i->set_ns);
	set_time(o, "until", i->until_ns);
	return o;
}

static void add_annotated(const struct bh_agent *a, json_t *list)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(a->world, &policies);

	for (size_t i = 0; i < n; i++)
		if (policies[i]->is_by_annotation)
			json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I}", "namespace",
							      policies[i]->namespace, "name",
							      policies[i]->name, "by", "annotation",
							      "pods",
							      (json_int_t)n_pods(a, policies[i])));
}

static const struct bh_policy *policy_of(const struct bh_agent *a, const struct bh_quarantine *i)
{
	return bh_world_policy(a->world, BH_QUARANTINE, i->namespace, i->name);
}

json_t *bh_quarantines_json(const struct bh_agent *a)
{
	const struct bh_quarantines *q = &a->quarantines;
	json_t *list = json_array();

	for (size_t i = 0; i < q->n; i++) {
		json_t *o = item_json(&q->items[i]);
		size_t n = n_pods(a, policy_of(a, &q->items[i]));

		json_object_set_new(o, "pods", json_integer((json_int_t)n));
		json_array_append_new(list, o);
	}
	add_annotated(a, list);
	return list;
}

void bh_quarantines_count(const struct bh_agent *a, size_t *ret_operator, size_t *ret_annotated)
{
	const struct bh_policy *const *policies;
	size_t n = bh_world_policies(a->world, &policies);

	*ret_operator = a->quarantines.n;
	*ret_annotated = 0;
	for (size_t i = 0; i < n; i++)
		if (policies[i]->is_by_annotation)
			*ret_annotated += n_pods(a, policies[i]);
}

static void record(const struct bh_quarantines *q, const char *action,
		   const struct bh_quarantine *i, const char *cause, unsigned int who)
{
	bh_auto_free char *target = bh_asprintf("%s/%s", i->namespace, i->name);
	json_t *allow = json_array(), *fields;
	char text[BH_CIDR_STRLEN];

	for (size_t k = 0; k < i->n_allow; k++)
		json_array_append_new(allow, json_string(bh_cidr_format(&i->allow[k], text)));
	fields = json_pack("{s:s, s:s, s:I, s:s, s:o}", "quarantine.target", target,
			   "quarantine.by", cause, "quarantine.user", (json_int_t)who,
			   "quarantine.reason", i->reason, "quarantine.allow", allow);
	set_time(fields, "quarantine.until", i->until_ns);
	bh_flowlog_event(q->agent->flowlog, action, fields, bh_real_ns());
	bh_log_info("%s %s (%s, user %u)%s%s", action, target, cause, who, *i->reason ? ": " : "",
		    i->reason);
}

/* --- the file --------------------------------------------------------------------------- */

static void write_items(const void *from, struct bh_cachefile_writer *w)
{
	const struct bh_quarantines *q = from;

	for (size_t i = 0; i < q->n; i++) {
		json_t *o = item_json(&q->items[i]);
		char *text = json_dumps(o, JSON_COMPACT);

		bh_buf_puts(bh_cachefile_line(w), text ? text : "");
		bh_cachefile_end_line(w);
		free(text);
		json_decref(o);
	}
}

/* What could not be read stays for whoever wants to look at it. */
static void move_damaged(struct bh_quarantines *q)
{
	bh_auto_free char *aside = bh_asprintf("%s.damaged", q->path);

	if (q->damage[0] && !q->is_moved && rename(q->path, aside) == 0)
		bh_log_warning("'%s' was damaged and is '%s' now", q->path, aside);
	q->is_moved = true;
}

static void note_problem(struct bh_quarantines *q, const char *text)
{
	if (text)
		bh_problems_set(&q->agent->problems, BH_SOURCE_NODE, q->path, text);
	else
		bh_problems_clear(&q->agent->problems, BH_SOURCE_NODE, q->path);
}

static int save(struct bh_quarantines *q, struct bh_err *err)
{
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_QUARANTINE,
					  .of = FILE_OF,
					  .real_ns = bh_real_ns() };
	int r;

	move_damaged(q);
	r = bh_cachefile_write_lines(q->path, write_items, q, &info, err);
	if (r < 0)
		bh_log_error("%s: a restart would not know the quarantines", bh_err_text(err));
	note_problem(q, r < 0 ? bh_err_text(err) : q->damage[0] ? q->damage : NULL);
	return r;
}

/* --- one target -------------------------------------------------------------------------- */

static struct bh_quarantine *find(const struct bh_quarantines *q, const struct bh_quarantine *like)
{
	for (size_t i = 0; i < q->n; i++)
		if (strcmp(q->items[i].namespace, like->namespace) == 0 &&
		    strcmp(q->items[i].name, like->name) == 0)
			return &q->items[i];
	return NULL;
}

static bool is_plain(const char *s)
{
	return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				 "-._/")] == '\0';
}

static int check_labels(const char *text, struct bh_err *err)
{
	bh_auto_free char *copy = bh_strdup(text);
	char *rest = copy, *part;
	size_t n = 0;

	while ((part = strsep(&rest, ","))) {
		char *value = strchr(part, '=');

		if (!value)
			return bh_err(err, -EINVAL, "'%.64s' is not of the form KEY=VALUE", part);
		*value++ = '\0';
		if (!is_plain(part) || (*value && !is_plain(value)))
			return bh_err(err, -EINVAL, "'%.64s=%.64s' is not a label", part, value);
		if (++n > MAX_LABELS)
			return bh_err(err, -E2BIG, "more than %d labels", MAX_LABELS);
	}
	return 0;
}

static int parse_target(const char *text, struct bh_quarantine *ret, struct bh_err *err)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	int r = 0;

	if (!slash || slash == text || !slash[1])
		return bh_err(err, -EINVAL,
			      "'%.64s' is neither NAMESPACE/POD nor NAMESPACE/KEY=VALUE[,...]",
			      text ? text : "");
	if (strlen(text) > MAX_TARGET)
		return bh_err(err, -E2BIG, "the target has more than %d bytes", MAX_TARGET);
	ret->namespace = bh_strndup(text, (size_t)(slash - text));
	ret->name = bh_strdup(slash + 1);
	if (strchr(ret->name, '='))
		r = check_labels(ret->name, err);
	else if (!is_plain(ret->name) || strchr(ret->name, '/'))
		r = bh_err(err, -EINVAL, "'%.64s' is not the name of a pod", ret->name);
	if (r == 0 && (!is_plain(ret->namespace) || strchr(ret->namespace, '.')))
		r = bh_err(err, -EINVAL, "'%.64s' is not a namespace", ret->namespace);
	return r;
}

static int read_allow(const json_t *list, struct bh_quarantine *ret, struct bh_err *err)
{
	const json_t *item;
	size_t i;

	if (list && !json_is_array(list))
		return bh_err(err, -EINVAL, "'allow' is no list");
	if (json_array_size(list) > MAX_ALLOW)
		return bh_err(err, -E2BIG, "more than %d networks are allowed", MAX_ALLOW);
	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		struct bh_addr addr;
		int r = text ? bh_cidr_parse(text, &ret->allow[i], err) : -EINVAL;

		if (r < 0 && text && bh_addr_parse(text, &addr, NULL) == 0) {
			ret->allow[i] =
				(struct bh_cidr){ .addr = addr,
						  .prefix_len = addr.family == BH_IPV4 ? 32 : 128 };
			r = 0;
		}
		if (r < 0)
			return bh_err_wrap(err, r, "allow");
		ret->n_allow++;
	}
	return 0;
}

static int read_reason(const json_t *params, struct bh_quarantine *ret, struct bh_err *err)
{
	const char *reason = json_string_value(json_object_get(params, "reason"));

	if (reason && strlen(reason) > MAX_REASON)
		return bh_err(err, -E2BIG, "the reason has more than %d bytes", MAX_REASON);
	ret->reason = bh_strdup(reason ? reason : "");
	return 0;
}

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

/* --- the list ----------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer);

static void arm(struct bh_quarantines *q)
{
	uint64_t now = bh_real_ns(), pause_ms = MAX_PAUSE_MS;
	bool is_wanted = false;

	for (size_t i = 0; i < q->n; i++) {
		uint64_t until = q->items[i].until_ns;
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
	record(q, "quarantine-released", i, cause, who);
	free_item(i);
	*i = q->items[--q->n];
}

static size_t drop_ended(struct bh_quarantines *q)
{
	uint64_t now = bh_real_ns();
	size_t n = 0;

	for (size_t i = q->n; i-- > 0;) {
		if (!q->items[i].until_ns || q->items[i].until_ns > now)
			continue;
		drop(q, &q->items[i], "time", q->items[i].who);
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

static void put(struct bh_quarantines *q, struct bh_quarantine *item)
{
	struct bh_quarantine *i = find(q, item);

	if (!i) {
		bh_grow(&q->items, &q->cap, q->n, sizeof(*q->items));
		i = &q->items[q->n++];
	} else {
		free_item(i);
	}
	*i = *item;
	*item = (struct bh_quarantine){ 0 };
}

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
	bh_auto(free_item) struct bh_quarantine item = { .who = who, .set_ns = bh_real_ns() };
	struct bh_err write_err = { 0 };
	const struct bh_policy *policy;
	int r = parse_target(json_string_value(json_object_get(params, "target")), &item, err);

	if (r == 0)
		r = read_allow(json_object_get(params, "allow"), &item, err);
	if (r == 0)
		r = read_reason(params, &item, err);
	if (r == 0)
		r = read_for(params, &item, err);
	if (r == 0 && q->n >= BH_MAX_QUARANTINES && !find(q, &item))
		r = bh_err(err, -E2BIG, "there are %d quarantines already", BH_MAX_QUARANTINES);
	if (r == 0)
		r = tell(q, &item, err);
	if (r < 0)
		return r;
	policy = policy_of(q->agent, &item);
	record(q, "quarantine-set", &item, "operator", who);
	put(q, &item);
	*ret = answer_of(q, save(q, &write_err), &write_err);
	json_object_set_new(*ret, "pods", json_integer((json_int_t)n_pods(q->agent, policy)));
	arm(q);
	return 0;
}

int bh_quarantines_release(struct bh_quarantines *q, const json_t *params, unsigned int who,
			   json_t **ret, struct bh_err *err)
{
	bool is_all = json_is_true(json_object_get(params, "all"));
	const char *target = json_string_value(json_object_get(params, "target"));
	bh_auto(free_item) struct bh_quarantine like = { 0 };
	struct bh_err write_err = { 0 };
	struct bh_quarantine *i;
	size_t n = 0;
	int r;

	if (!is_all) {
		r = parse_target(target, &like, err);
		if (r < 0)
			return r;
		i = find(q, &like);
		if (!i)
			return bh_err(err, -ENOENT,
				      "no operator set a quarantine of '%.128s' (one by annotation "
				      "ends with the annotation)",
				      target);
		drop(q, i, "operator", who);
		n = 1;
	}
	for (; is_all && q->n > 0; n++)
		drop(q, &q->items[q->n - 1], "operator", who);
	if (is_all) {
		move_damaged(q);
		q->damage[0] = '\0';
		q->is_moved = false;
	}
	*ret = answer_of(q, save(q, &write_err), &write_err);
	json_object_set_new(*ret, "released", json_integer((json_int_t)n));
	arm(q);
	bh_agent_update_ready(q->agent);
	return 0;
}

/* --- life --------------------------------------------------------------------------------- */

static int read_time(const json_t *o, const char *key, uint64_t *ret)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? bh_time_parse(text, ret) : 0;
}

static int on_line(void *ctx, const char *line, size_t len, struct bh_err *err)
{
	struct bh_quarantines *q = ctx;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *ns = json_string_value(json_object_get(o, "namespace"));
	const char *name = json_string_value(json_object_get(o, "name"));
	bh_auto_free char *target = bh_asprintf("%s/%s", ns ? ns : "", name ? name : "");
	bh_auto(free_item) struct bh_quarantine item = {
		.who = (unsigned int)json_integer_value(json_object_get(o, "user")),
	};
	int r = parse_target(target, &item, err);

	if (r == 0)
		r = read_allow(json_object_get(o, "allow"), &item, err);
	if (r == 0)
		r = read_reason(o, &item, err);
	if (r == 0 &&
	    (read_time(o, "since", &item.set_ns) < 0 || read_time(o, "until", &item.until_ns) < 0))
		r = bh_err(err, -EINVAL, "has no time");
	if (r == 0)
		r = tell(q, &item, err);
	if (r == 0)
		put(q, &item);
	json_decref(o);
	return r;
}

static int read_file(struct bh_quarantines *q, int fd, struct bh_err *err)
{
	bh_auto(bh_cachefile_close) struct bh_cachefile *f = NULL;
	struct bh_cachefile_info info = { .kind = BH_CACHEFILE_QUARANTINE };
	int r = bh_cachefile_check_owner(fd, err);

	if (r == 0)
		r = bh_cachefile_open(&f, fd, FILE_OF, &info, err);
	while (r >= 0) {
		r = bh_cachefile_read_lines(f, PORTION, on_line, q, err);
		if (r == 0)
			return 0;
	}
	return r;
}

static void recall(struct bh_quarantines *q)
{
	struct bh_err err = { 0 };
	bh_auto_close int fd = open(q->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int r;

	if (fd < 0 && errno == ENOENT)
		return;
	r = fd < 0 ? bh_err_wrap(&err, -errno, "cannot be opened") : read_file(q, fd, &err);
	if (r >= 0)
		return;
	snprintf(q->damage, sizeof(q->damage),
		 "%.160s: not all quarantines are known (set them again)", bh_err_text(&err));
	bh_log_error("'%s': %s", q->path, q->damage);
	note_problem(q, q->damage);
}

int bh_quarantines_start(struct bh_quarantines *q, struct bh_agent *agent, struct bh_err *err)
{
	const struct bh_config *config = agent->config;
	struct bh_err write_err = { 0 };
	int r;

	if (config->state) {
		r = bh_state_make_folder(config->state, err);
		if (r < 0)
			return r;
	}
	*q = (struct bh_quarantines){
		.agent = agent,
		.path = config->state ? bh_asprintf("%s/" FILE_NAME, config->state)
				      : bh_asprintf("%s." FILE_NAME, config->control),
	};
	uv_timer_init(agent->loop, &q->timer);
	recall(q);
	if (drop_ended(q) > 0)
		(void)save(q, &write_err);
	arm(q);
	return 0;
}

void bh_quarantines_stop(struct bh_quarantines *q)
{
	if (!q->agent)
		return;
	bh_close_handle((uv_handle_t *)&q->timer);
	for (size_t i = 0; i < q->n; i++)
		free_item(&q->items[i]);
	free(q->items);
	free(q->path);
	q->items = NULL;
	q->path = NULL;
	q->n = q->cap = 0;
}
