#include "sim_input.h"

#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/log.h"
#include "bh/manifest.h"
#include "bh/selector.h"

struct loading {
	struct bh_sim *sim;
	bool keeps_going, takes_invalid;
	size_t n_problems;
};

static void report(struct loading *l, const char *subject, const char *text)
{
	struct bh_buf line = { 0 };

	bh_buf_escape(&line, subject);
	bh_buf_puts(&line, ": ");
	bh_buf_escape(&line, text);
	if (l->keeps_going)
		bh_log_warning("%s", bh_buf_str(&line));
	else
		bh_log_error("%s", bh_buf_str(&line));
	bh_buf_done(&line);
	l->n_problems++;
}

static int on_object(void *ctx, const struct bh_decoded *d, struct bh_err *err)
{
	const struct loading *l = ctx;

	return bh_sim_add(l->sim, d, err);
}

static void on_problem(void *ctx, const char *file, const char *text)
{
	report(ctx, file, text);
}

/* NULL with text where an option is wrong. */
static struct bh_sim *make_sim(const struct bh_cli *cli, struct bh_err *err)
{
	const char *exempt[BH_CLI_MAX_ARGS], *trusted[BH_CLI_MAX_ARGS];
	const char *mode = bh_cli_value(cli, "mode"), *compat = bh_cli_value(cli, "compat");
	struct bh_sim_config config = {
		.world = {
			.default_deny = { bh_cli_denies(cli, BH_INGRESS), bh_cli_denies(cli, BH_EGRESS) },
			.exempt_namespaces = exempt,
			.n_exempt_namespaces = bh_cli_exempt_namespaces(cli, exempt),
			.mode = mode && !strcmp(mode, "audit") ? BH_AUDIT : BH_ENFORCE,
		},
		.is_compat = compat && strcmp(compat, "none") != 0,
	};

	if (bh_cli_trust(cli, trusted, &config.world.trust, err) < 0)
		return NULL;
	return bh_sim_new(&config);
}

static void on_ignored(void *ctx, const struct bh_ignored *i)
{
	(void)ctx;
	bh_log_warning("%s %s%s%s: annotation " BH_ANNOTATION_PREFIX "%s: %s", i->kind,
		       i->namespace, *i->namespace ? "/" : "", i->name,
		       bh_annotation_str(i->annotation), i->why);
}

/* A negative errno where it makes no sense to go on. */
static int read_paths(const struct bh_cli *cli, const char *const *paths, size_t n,
		      struct loading *l)
{
	struct bh_reader reader = {
		.ctx = l,
		.on_object = on_object,
		.on_problem = on_problem,
		.default_namespace = bh_cli_value(cli, "namespace"),
		.takes_invalid = l->takes_invalid,
	};
	struct bh_err err = { 0 };
	size_t i;

	for (i = 0; i < n; i++) {
		int r = bh_manifest_read(paths[i], &reader, &err);

		if (r >= 0)
			continue;
		/* Limits are for good; a path that is not there may be left out. */
		l->keeps_going &= r != -E2BIG;
		report(l, "input", bh_err_text(&err));
		if (!l->keeps_going)
			return r;
	}
	return 0;
}

static int load(const struct bh_cli *cli, const char *const *paths, size_t n, bool takes_invalid,
		struct bh_sim **ret)
{
	struct loading l = { .keeps_going = bh_cli_has(cli, "keep-going"),
			     .takes_invalid = takes_invalid };
	struct bh_err err = { 0 };
	bh_auto(bh_sim_free) struct bh_sim *sim = make_sim(cli, &err);
	int r;

	if (!sim) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	l.sim = sim;
	r = read_paths(cli, paths, n, &l);
	if (r < 0 || (l.n_problems && !l.keeps_going)) {
		bh_log_info(
			"Nothing is answered; --keep-going answers without what cannot be read.");
		return BH_CLI_SIM_BAD_INPUT;
	}
	if (l.n_problems)
		bh_log_warning("%zu problem%s: what cannot be read is left out of the answer; a "
			       "policy that is not valid closes the pods it selects",
			       l.n_problems, l.n_problems == 1 ? "" : "s");
	bh_sim_finish(sim);
	bh_world_ignored(bh_sim_world(sim), on_ignored, NULL);
	*ret = bh_take_ptr(sim);
	return BH_CLI_YES;
}

int bh_cli_sim_load(const struct bh_cli *cli, const char *const *paths, size_t n,
		    struct bh_sim **ret)
{
	return load(cli, paths, n, false, ret);
}

int bh_cli_sim_load_to_check(const struct bh_cli *cli, const char *const *paths, size_t n,
			     struct bh_sim **ret)
{
	return load(cli, paths, n, true, ret);
}

char *bh_cli_sim_end(const struct bh_cli *cli, const char *text)
{
	const char *ns = bh_cli_value(cli, "namespace");
	bool is_service = strncmp(text, "svc:", 4) == 0;
	struct bh_addr a;

	if (strchr(text, '/') || strncmp(text, "node:", 5) == 0 ||
	    bh_addr_parse(text, &a, NULL) == 0)
		return bh_strdup(text);
	return bh_asprintf("%s%s/%s", is_service ? "svc:" : "", ns ? ns : "default",
			   text + (is_service ? 4 : 0));
}

bool bh_cli_sim_family(const struct bh_cli *cli, enum bh_family *ret)
{
	const char *family = bh_cli_value(cli, "family");

	*ret = family && *family == '6' ? BH_IPV6 : BH_IPV4;
	return family != NULL;
}

json_t *bh_cli_sim_answers_json(const struct bh_sim *sim, const struct bh_sim_query *q,
				const struct bh_cli_port *port, const struct bh_sim_answers *a)
{
	json_t *json = json_pack("{s:s, s:s, s:s}", "src", q->src, "dst", q->dst, "protocol",
				 port->protocol);
	struct bh_buf text = { 0 };
	json_t *members;

	if (port->port)
		json_object_set_new(json, "port", json_integer(port->port));
	json_object_set_new(json, "family",
			    json_integer(a->items[0].flow.src.family == BH_IPV4 ? 4 : 6));
	bh_buf_putc(&text, '{');
	bh_sim_answers_write(sim, a, &text);
	bh_buf_putc(&text, '}');
	members = json_loads(bh_buf_str(&text), 0, NULL);
	json_object_update(json, members);
	json_decref(members);
	bh_buf_done(&text);
	return json;
}

int bh_cli_sim_filter_new(const struct bh_cli *cli, struct bh_cli_sim_filter *ret,
			  struct bh_err *err)
{
	struct bh_cli_sim_filter f = { .arena = bh_arena_new() };
	const char *selector = bh_cli_value(cli, "selector");
	int r = 0;

	if (!bh_cli_has(cli, "all-namespaces"))
		f.namespace = bh_cli_value(cli, "namespace");
	if (selector)
		r = bh_cli_parse_selector(selector, f.arena, &f.selector, err);
	if (r < 0)
		bh_cli_sim_filter_done(&f);
	else
		*ret = f;
	return r;
}

void bh_cli_sim_filter_done(struct bh_cli_sim_filter *f)
{
	bh_arena_free(&f->arena);
}

int bh_cli_sim_load_filtered(const struct bh_cli *cli, struct bh_sim **ret,
			     struct bh_cli_sim_filter *ret_filter)
{
	struct bh_err err = { 0 };
	int r;

	if (bh_cli_sim_filter_new(cli, ret_filter, &err) < 0) {
		bh_log_error("%s", bh_err_text(&err));
		return BH_CLI_SIM_FAILED;
	}
	r = bh_cli_sim_load(cli, cli->operands, cli->n_operands, ret);
	if (r != BH_CLI_YES)
		bh_cli_sim_filter_done(ret_filter);
	return r;
}

bool bh_cli_sim_wants(const struct bh_cli_sim_filter *f, const struct bh_sim_workload *w)
{
	size_t i;

	if (f->namespace && strcmp(f->namespace, w->namespace) != 0)
		return false;
	for (i = 0; i < w->n_pods; i++)
		if (bh_selector_matches(&f->selector, &w->pods[i]->labels))
			return true;
	return false;
}
