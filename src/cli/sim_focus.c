#include "sim_focus.h"

#include <errno.h>
#include <string.h>

/* @text is "namespace/name", "name" or either with "[Kind]". */
static bool is_named(const char *text, const struct bh_sim_workload *w)
{
	const char *name = strchr(text, '/');
	size_t len;

	if (name) {
		len = (size_t)(name - text);
		if (strlen(w->namespace) != len || strncmp(text, w->namespace, len) != 0)
			return false;
		text = name + 1;
	}
	len = strcspn(text, "[");
	if (strlen(w->name) != len || strncmp(text, w->name, len) != 0)
		return false;
	text += len;
	len = strlen(w->kind);
	return !*text || (strncmp(text + 1, w->kind, len) == 0 && strcmp(text + 1 + len, "]") == 0);
}

static bool is_there(const struct bh_sim *sim, const char *text)
{
	const struct bh_sim_workload *workloads;
	size_t n = bh_sim_workloads(sim, &workloads), i;

	for (i = 0; i < n; i++)
		if (is_named(text, &workloads[i]))
			return true;
	return false;
}

static bool has_choice(const struct bh_sim_focus *f)
{
	return bh_cli_has(f->cli, "focus") || f->filter.namespace || f->filter.selector.n_reqs;
}

int bh_sim_focus_new(const struct bh_cli *cli, const struct bh_sim *sim, struct bh_sim_focus *ret,
		     struct bh_err *err)
{
	struct bh_sim_focus f = { .cli = cli };
	const char *dir = bh_cli_value(cli, "direction"), *name;
	size_t i;
	int r;

	for (i = 0; (name = bh_cli_nth_value(cli, "focus", i)); i++)
		if (!is_there(sim, name))
			return bh_err(err, -EINVAL, "--focus: there is no workload '%.120s'", name);
	r = bh_cli_sim_filter_new(cli, &f.filter, err);
	if (r < 0)
		return r;
	f.has_dir = dir != NULL;
	f.dir = dir && strcmp(dir, "egress") == 0 ? BH_EGRESS : BH_INGRESS;
	if (f.has_dir && !has_choice(&f)) {
		bh_cli_sim_filter_done(&f.filter);
		return bh_err(err, -EINVAL, "--direction is of workloads: give --focus, -n or -l");
	}
	*ret = f;
	return 0;
}

void bh_sim_focus_done(struct bh_sim_focus *f)
{
	bh_cli_sim_filter_done(&f->filter);
}

static bool is_chosen(const struct bh_sim_focus *f, const struct bh_graph_peer *p)
{
	const char *name;
	size_t i;

	if (p->kind != BH_GRAPH_WORKLOAD || !bh_cli_sim_wants(&f->filter, p->workload))
		return false;
	for (i = 0; (name = bh_cli_nth_value(f->cli, "focus", i)); i++)
		if (is_named(name, p->workload))
			return true;
	return i == 0;
}

bool bh_sim_focus_wants(const struct bh_sim_focus *f, const struct bh_graph_peer *src,
			const struct bh_graph_peer *dst)
{
	if (!has_choice(f))
		return true;
	return ((!f->has_dir || f->dir == BH_INGRESS) && is_chosen(f, dst)) ||
	       ((!f->has_dir || f->dir == BH_EGRESS) && is_chosen(f, src));
}
