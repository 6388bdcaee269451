#include "lint_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bh/selector.h"

static const struct lint_row *const tables[] = {
	lint_select_rows, lint_peer_rows,   lint_port_rows, lint_block_rows,
	lint_type_rows,   lint_object_rows, lint_dns_rows,  lint_proof_rows,
};

/* More would be read by nobody, and the input is not ours. */
#define MAX_FINDINGS 100000

const char *bh_severity_str(enum bh_severity s)
{
	static const char *const names[] = {
		[BH_SEVERITY_INFO] = "info",
		[BH_SEVERITY_WARNING] = "warning",
		[BH_SEVERITY_ERROR] = "error",
	};
	static_assert(BH_ARRAY_LEN(names) == BH_SEVERITY_COUNT_, "every severity has a name");

	return names[s];
}

/* --- the list of checks --------------------------------------------------------------- */

static int cmp_checks(const void *a, const void *b)
{
	const struct bh_lint_check *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

size_t bh_lint_checks(const struct bh_lint_check *const **ret)
{
	static const struct bh_lint_check *list[64];
	static size_t n;
	const struct lint_row *row;
	size_t i;

	*ret = list;
	if (n > 0)
		return n;
	for (i = 0; i < BH_ARRAY_LEN(tables); i++)
		for (row = tables[i]; row->check.name; row++) {
			assert(n < BH_ARRAY_LEN(list));
			list[n++] = &row->check;
		}
	bh_sort(list, n, sizeof(*list), cmp_checks);
	return n;
}

static int check_names(const char *const *names, size_t n_names, struct bh_err *err)
{
	const struct bh_lint_check *const *checks;
	size_t n = bh_lint_checks(&checks), i, k;

	for (i = 0; i < n_names; i++) {
		for (k = 0; k < n && strcmp(checks[k]->name, names[i]) != 0; k++)
			;
		if (k == n)
			return bh_err(err, -EINVAL, "there is no check '%.64s'", names[i]);
	}
	return 0;
}

static bool is_among(const char *name, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool lint_wants(const struct lint *l, const char *check)
{
	const struct bh_lint_config *c = l->config;

	return (c->n_only == 0 || is_among(check, c->only, c->n_only)) &&
	       !is_among(check, c->ignored, c->n_ignored);
}

/* --- findings -------------------------------------------------------------------------- */

static void add(struct lint *l, struct bh_finding f, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void add(struct lint *l, struct bh_finding f, const char *fmt, va_list ap)
{
	struct bh_lint *out = l->out;
	struct bh_buf text = { 0 };

	if (out->n == MAX_FINDINGS || !lint_wants(l, l->check->name))
		return;
	bh_buf_vprintf(&text, fmt, ap);
	f.text = bh_arena_strdup(out->arena, bh_buf_str(&text));
	bh_buf_done(&text);
	f.check = l->check;
	bh_grow(&out->findings, &out->cap, out->n, sizeof(*out->findings));
	out->findings[out->n++] = f;
}

void lint_policy(struct lint *l, const struct bh_policy *p, int line, const char *fix,
		 const char *fmt, ...)
{
	struct bh_finding f = {
		.severity = l->check->severity,
		.file = p->file,
		.line = line ? line : p->line,
		.subject = lint_subject(l, p),
		.fix = fix,
	};
	va_list ap;

	va_start(ap, fmt);
	add(l, f, fmt, ap);
	va_end(ap);
}

void lint_add(struct lint *l, enum bh_severity severity, const char *file, int line,
	      const char *subject, const char *fix, const char *fmt, ...)
{
	struct bh_finding f = {
		.severity = severity,
		.file = file,
		.line = line,
		.subject = subject,
		.fix = fix,
	};
	va_list ap;

	va_start(ap, fmt);
	add(l, f, fmt, ap);
	va_end(ap);
}

/* --- words ------------------------------------------------------------------------------- */

static const char *keep(struct lint *l, struct bh_buf *text)
{
	const char *s = bh_arena_strdup(l->out->arena, bh_buf_str(text));

	bh_buf_done(text);
	return s;
}

const char *lint_printf(struct lint *l, const char *fmt, ...)
{
	struct bh_buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	bh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	return keep(l, &text);
}

const char *lint_subject(struct lint *l, const struct bh_policy *p)
{
	return lint_printf(l, "%s %s%s%s", bh_policy_kind_str(p->kind), p->namespace,
			   *p->namespace ? "/" : "", p->name);
}

const char *lint_selector(struct lint *l, const struct bh_selector *sel)
{
	struct bh_buf text = { 0 };

	bh_selector_describe(sel, &text);
	return keep(l, &text);
}

const char *lint_cidr(struct lint *l, const struct bh_cidr *cidr)
{
	char text[BH_CIDR_STRLEN];

	return bh_arena_strdup(l->out->arena, bh_cidr_format(cidr, text));
}

const char *lint_pod(struct lint *l, const struct bh_pod *pod)
{
	return lint_printf(l, "%s/%s", pod->namespace, pod->name);
}

const char *lint_rule(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
		      const struct bh_rule *r)
{
	if (r->name)
		return lint_printf(l, "%s rule \"%s\"", bh_dir_str(dir), r->name);
	return lint_printf(l, "%s rule %zu", bh_dir_str(dir), (size_t)(r - p->rules[dir].items));
}

/* --- questions to the world ---------------------------------------------------------------- */

size_t lint_selected(const struct lint *l, const struct bh_policy *p, const struct bh_pod **ret)
{
	size_t i, n = 0;

	for (i = 0; i < l->n_pods; i++) {
		if (!bh_world_selects(l->w, p, l->pods[i]))
			continue;
		if (n++ == 0 && ret)
			*ret = l->pods[i];
	}
	return n;
}

size_t lint_peers(const struct lint *l, const struct bh_policy *p, const struct bh_peer *peer,
		  const struct bh_pod **ret)
{
	size_t i, n = 0;

	for (i = 0; i < l->n_pods; i++) {
		if (!bh_world_peer_is(l->w, p, peer, l->pods[i]))
			continue;
		if (n++ == 0 && ret)
			*ret = l->pods[i];
	}
	return n;
}

bool lint_is_unknown(const struct lint *l, const char *ns)
{
	size_t i;

	if (bh_sim_has_namespace(l->sim, ns))
		return false;
	for (i = 0; i < l->n_pods; i++)
		if (strcmp(l->pods[i]->namespace, ns) == 0)
			return false;
	return true;
}

size_t lint_namespaces(const struct lint *l, const struct bh_selector *sel)
{
	size_t i, n = 0;

	for (i = 0; i < l->n_namespaces; i++)
		n += bh_selector_matches(sel, &l->namespaces[i]->labels);
	return n;
}

/* --- the run ---------------------------------------------------------------------------------- */

static void run_policy(struct lint *l, const struct lint_row *row, const struct bh_policy *p)
{
	size_t d, i;

	if (row->on_policy)
		row->on_policy(l, p);
	for (d = 0; row->on_rule && d < BH_DIR_COUNT_; d++)
		for (i = 0; i < p->rules[d].n; i++)
			row->on_rule(l, p, (enum bh_dir)d, &p->rules[d].items[i]);
}

static void run_row(struct lint *l, const struct lint_row *row)
{
	size_t i;

	l->check = &row->check;
	if (!lint_wants(l, row->check.name) || (row->needs_pods && !l->has_pods))
		return;
	if (row->on_world)
		row->on_world(l);
	for (i = 0; i < l->n_policies; i++)
		if (!l->policies[i]->invalid)
			run_policy(l, row, l->policies[i]);
}

static const struct bh_policy *const *written_policies(const struct bh_world *w,
						       struct bh_arena *arena, size_t *ret_n)
{
	const struct bh_policy *const *all, **ret;
	size_t i, n = bh_world_policies(w, &all), kept = 0;

	ret = bh_arena_array(arena, n, sizeof(const struct bh_policy *));
	for (i = 0; i < n; i++)
		if (all[i]->kind != BH_DEFAULT_DENY && all[i]->kind != BH_QUARANTINE)
			ret[kept++] = all[i];
	*ret_n = kept;
	return ret;
}

static int cmp_str(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int cmp_findings(const void *a, const void *b)
{
	const struct bh_finding *x = a, *y = b;
	int c = cmp_str(x->file, y->file);

	if (c == 0)
		c = (x->line > y->line) - (x->line < y->line);
	if (c == 0)
		c = strcmp(x->check->name, y->check->name);
	if (c == 0)
		c = cmp_str(x->subject, y->subject);
	return c ? c : strcmp(x->text, y->text);
}

int bh_lint_new(struct bh_lint **ret, const struct bh_sim *sim, const struct bh_lint_config *config,
		struct bh_err *err)
{
	static const struct bh_lint_config everything = { 0 };
	struct lint l = { .sim = sim,
			  .w = bh_sim_world(sim),
			  .config = config ? config : &everything };
	const struct lint_row *row;
	size_t i;
	int r;

	r = check_names(l.config->only, l.config->n_only, err);
	if (r == 0)
		r = check_names(l.config->ignored, l.config->n_ignored, err);
	if (r < 0)
		return r;

	l.out = bh_calloc(1, sizeof(*l.out));
	l.out->arena = bh_arena_new();
	l.n_namespaces = bh_world_namespaces(l.w, &l.namespaces);
	l.n_pods = bh_world_pods(l.w, &l.pods);
	l.has_pods = l.n_pods > 0;
	l.policies = written_policies(l.w, l.out->arena, &l.n_policies);
	for (i = 0; i < BH_ARRAY_LEN(tables); i++)
		for (row = tables[i]; row->check.name; row++)
			run_row(&l, row);
	if (l.out->n)
		bh_sort(l.out->findings, l.out->n, sizeof(*l.out->findings), cmp_findings);
	*ret = l.out;
	return 0;
}

void bh_lint_free(struct bh_lint **l)
{
	if (!*l)
		return;
	bh_arena_free(&(*l)->arena);
	free((*l)->findings);
	free(*l);
	*l = NULL;
}

size_t bh_lint_findings(const struct bh_lint *l, const struct bh_finding **ret)
{
	*ret = l->findings;
	return l->n;
}
