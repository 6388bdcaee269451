/*
 * Which ranges are closed, and why.
 *
 * `auto` looks into the CNI configuration, and takes the podCIDRs of this node's
 * object where that leaves it to them or where there is none.  Both may come after
 * the agent: the CNI plugin is often installed by a pod, and the API may be away.
 * What was found is kept on disk, so that a restart does not open what it closed;
 * and what cannot be read any more stays as it was.
 */
#include "closed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/log.h"
#include "bh/node.h"
#include "sealed.h"

#define FILE_NAME "closed.ranges"
#define FORMAT    "bulkhead-closed-ranges"
#define VERSION   1
#define MAX_BYTES ((size_t)1 << 20)

static void ranges_free(struct bh_ranges *r)
{
	free(r->items);
	*r = (struct bh_ranges){ 0 };
}

static void ranges_add(struct bh_ranges *r, const struct bh_range *range)
{
	r->items = bh_reallocarray(r->items, r->n + 1, sizeof(*r->items));
	r->items[r->n++] = *range;
}

static void ranges_copy(const struct bh_range *items, size_t n, struct bh_ranges *ret)
{
	for (size_t i = 0; i < n; i++)
		ranges_add(ret, &items[i]);
}

static void ranges_of_cidrs(const struct bh_cidr *cidrs, size_t n, struct bh_ranges *ret)
{
	for (size_t i = 0; i < n; i++) {
		struct bh_range r = bh_cidr_range(&cidrs[i]);

		ranges_add(ret, &r);
	}
}

static bool ranges_same(const struct bh_ranges *a, const struct bh_ranges *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!bh_addr_eq(&a->items[i].first, &b->items[i].first) ||
		    !bh_addr_eq(&a->items[i].last, &b->items[i].last))
			return false;
	}
	return true;
}

/* ["10.244.1.0-10.244.1.254"] */
static json_t *ranges_json(const struct bh_ranges *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++) {
		char first[BH_ADDR_STRLEN], last[BH_ADDR_STRLEN];

		json_array_append_new(list, json_sprintf("%s-%s",
							 bh_addr_format(&r->items[i].first, first),
							 bh_addr_format(&r->items[i].last, last)));
	}
	return list;
}

static bool parse_range(const char *text, struct bh_range *ret)
{
	bh_auto_free char *copy = bh_strdup(text ? text : "");
	char *dash = strchr(copy, '-');

	if (!dash)
		return false;
	*dash = '\0';
	return bh_addr_parse(copy, &ret->first, NULL) == 0 &&
	       bh_addr_parse(dash + 1, &ret->last, NULL) == 0 &&
	       ret->first.family == ret->last.family && bh_addr_cmp(&ret->first, &ret->last) <= 0;
}

/* --- what was found before ---------------------------------------------------------------- */

static char *path_of(const struct bh_config *c)
{
	return c->state ? bh_asprintf("%s/" FILE_NAME, c->state) : NULL;
}

static void keep(const struct bh_closed *c)
{
	bh_auto(bh_buf_done) struct bh_buf nothing = { 0 };
	struct bh_err err = { 0 };
	json_t *head;

	if (!c->path)
		return;
	head = json_pack("{s:s, s:i, s:s, s:o}", "format", FORMAT, "version", VERSION, "node",
			 c->agent->config->node_name, "ranges", ranges_json(&c->ranges));
	if (bh_sealed_write(c->path, head, &nothing, &err) < 0)
		bh_log_error("%s: closed-until-known would look for its ranges anew",
			     bh_err_text(&err));
	json_decref(head);
}

static void remember(const char *path, const char *node, struct bh_ranges *ret)
{
	bh_auto(bh_buf_done) struct bh_buf body = { 0 };
	const char *format = "", *of = "";
	struct bh_err err = { 0 };
	json_t *head = NULL, *list = NULL, *item;
	int r = path ? bh_sealed_read(path, MAX_BYTES, &head, &body, &err) : -ENOENT;
	size_t i;

	if (r < 0 && r != -ENOENT)
		bh_log_error("%s", bh_err_text(&err));
	(void)(r == 0 && json_unpack(head, "{s:s, s:s, s:o}", "format", &format, "node", &of,
				     "ranges", &list) == 0);
	json_array_foreach(list, i, item)
	{
		struct bh_range range;

		if (strcmp(format, FORMAT) == 0 && strcmp(of, node) == 0 &&
		    parse_range(json_string_value(item), &range))
			ranges_add(ret, &range);
	}
	json_decref(head);
}

/* --- what is there now ----------------------------------------------------------------- */

static enum bh_closed_mode mode_of(const struct bh_config *c)
{
	if (c->closed_mode != BH_CLOSED_BY_DENY)
		return c->closed_mode;
	return c->default_deny[BH_INGRESS] || c->default_deny[BH_EGRESS] ? BH_CLOSED_AUTO
									 : BH_CLOSED_OFF;
}

bool bh_closed_is_wanted(const struct bh_config *c)
{
	return mode_of(c) != BH_CLOSED_OFF;
}

struct finding {
	struct bh_ranges ranges;
	bool is_by_node; /* it is the node's object that has to say */
	bool is_stuck;   /* nothing can be said: what was found before stays */
	char from[512];
};

static void find_cni(const struct bh_config *c, struct finding *ret)
{
	bh_auto(bh_cni_done) struct bh_cni cni = { 0 };
	struct bh_err err = { 0 };
	int r = bh_cni_read(c->cni_config, &cni, &err);

	ret->is_by_node = r == -ENOENT || (r == 0 && cni.is_by_node);
	ret->is_stuck = r < 0 && r != -ENOENT;
	if (r < 0)
		snprintf(ret->from, sizeof(ret->from), "%s", bh_err_text(&err));
	else if (cni.why[0])
		snprintf(ret->from, sizeof(ret->from), "%s: %s (fix: name ranges or 'off')",
			 cni.file, cni.why);
	else
		snprintf(ret->from, sizeof(ret->from), "%s", cni.file);
	ranges_copy(cni.ranges, cni.n, &ret->ranges);
}

static void find(const struct bh_config *c, struct finding *ret)
{
	switch (mode_of(c)) {
	case BH_CLOSED_OFF:
		snprintf(ret->from, sizeof(ret->from), "%s",
			 c->closed_mode == BH_CLOSED_OFF ? "it is off" : "no --default-deny");
		return;
	case BH_CLOSED_GIVEN:
		ranges_of_cidrs(c->closed_ranges, c->n_closed_ranges, &ret->ranges);
		snprintf(ret->from, sizeof(ret->from), "the configuration");
		return;
	case BH_CLOSED_AUTO: find_cni(c, ret); return;
	case BH_CLOSED_BY_DENY: break;
	}
	abort();
}

static void find_with_node(struct bh_closed *c, struct finding *f)
{
	char before[sizeof(f->from)];

	find(c->agent->config, f);
	if (f->is_by_node && c->told.n > 0) {
		ranges_copy(c->told.items, c->told.n, &f->ranges);
		snprintf(f->from, sizeof(f->from), "podCIDRs of node %.253s",
			 c->agent->config->node_name);
	} else if (f->is_by_node || f->is_stuck) {
		memcpy(before, f->from, sizeof(before));
		ranges_copy(c->ranges.items, c->ranges.n, &f->ranges);
		snprintf(f->from, sizeof(f->from), "%.400s%s%s", before,
			 f->is_by_node ? ", and no podCIDRs of this node are known" : "",
			 f->ranges.n > 0 ? ": as before" : "");
	}
}

static void say(const struct bh_closed *c)
{
	json_t *list = ranges_json(&c->ranges);
	char *text = json_dumps(list, JSON_COMPACT);

	if (c->ranges.n > 0)
		bh_log_info("closed until known: %s (%s)", text ? text : "", c->from);
	else
		bh_log_warning("closed-until-known closes nothing: %s", c->from);
	free(text);
	json_decref(list);
}

void bh_closed_check(struct bh_closed *c)
{
	struct finding f = { .is_stuck = false };
	bool is_news;

	if (!c->agent || !bh_closed_is_wanted(c->agent->config))
		return;
	find_with_node(c, &f);
	is_news = strcmp(c->from, f.from) != 0;
	memcpy(c->from, f.from, sizeof(c->from));
	if (!ranges_same(&c->ranges, &f.ranges)) {
		ranges_free(&c->ranges);
		c->ranges = f.ranges;
		f.ranges = (struct bh_ranges){ 0 };
		bh_compiler_close_unknown(c->agent->compiler, c->ranges.items, c->ranges.n);
		bh_reconcile_defer(&c->agent->reconcile, true);
		keep(c);
		is_news = true;
	}
	if (is_news)
		say(c);
	ranges_free(&f.ranges);
}

void bh_closed_tell(struct bh_closed *c, const struct bh_cidr *cidrs, size_t n)
{
	if (n == 0)
		return;
	ranges_free(&c->told);
	ranges_of_cidrs(cidrs, n, &c->told);
	bh_closed_check(c);
}

void bh_closed_start(struct bh_closed *c, struct bh_agent *agent)
{
	const struct bh_config *config = agent->config;
	struct finding f = { .is_stuck = false };

	*c = (struct bh_closed){ .agent = agent };
	if (!bh_closed_is_wanted(config)) {
		find(config, &f);
		memcpy(c->from, f.from, sizeof(c->from));
		return;
	}
	if (mode_of(config) == BH_CLOSED_AUTO) {
		c->path = path_of(config);
		remember(c->path, config->node_name, &c->ranges);
		bh_compiler_close_unknown(agent->compiler, c->ranges.items, c->ranges.n);
	}
	bh_closed_check(c);
}

void bh_closed_stop(struct bh_closed *c)
{
	ranges_free(&c->ranges);
	ranges_free(&c->told);
	free(c->path);
	c->path = NULL;
}

json_t *bh_closed_json(const struct bh_closed *c)
{
	const struct bh_config *config = c->agent->config;
	json_t *links = json_array();
	const char *mode = "off";

	switch (mode_of(config)) {
	case BH_CLOSED_AUTO: mode = "auto"; break;
	case BH_CLOSED_GIVEN: mode = "given"; break;
	case BH_CLOSED_OFF:
	case BH_CLOSED_BY_DENY: break;
	}
	for (size_t i = 0; i < config->n_closed_links; i++)
		json_array_append_new(links, json_string(config->closed_links[i]));
	return json_pack("{s:s, s:o, s:o, s:s}", "mode", mode, "ranges", ranges_json(&c->ranges),
			 "interfaces", links, "from", c->from);
}

void bh_closed_at_boot(const struct bh_config *config, struct bh_ranges *ret)
{
	bh_auto_free char *path = path_of(config);
	struct finding f = { .is_stuck = false };

	find(config, &f);
	if (f.is_by_node || f.is_stuck)
		remember(path, config->node_name, &f.ranges);
	*ret = f.ranges;
}
