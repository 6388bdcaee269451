/*
 * Which annotations count, and what is said of those that do not.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "world_impl.h"

static bool is_listed(char *const *list, size_t n, const char *name)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(list[i], name) == 0)
			return true;
	return false;
}

bool bh_world_trusts(const struct bh_world *w, const char *ns)
{
	return !*ns || is_listed(w->trusted, w->n_trusted, ns);
}

static enum bh_trust trust_in(const struct bh_world *w, enum bh_annotation a)
{
	return w->trust[a] == BH_TRUST_DEFAULT ? bh_trust_default(a) : w->trust[a];
}

bool bh_world_honours(const struct bh_world *w, enum bh_annotation a, const char *ns,
		      struct bh_err *why)
{
	switch (trust_in(w, a)) {
	case BH_TRUST_ALL:
	case BH_TRUST_NO_OVERRIDE: return true;
	case BH_TRUST_NAMESPACES:
		if (bh_world_trusts(w, ns))
			return true;
		bh_err(why, -EPERM,
		       "ignored: it counts in trusted namespaces only, and %.63s is none "
		       "(see trusted-namespace and annotations)",
		       ns);
		return false;
	case BH_TRUST_NONE:
		bh_err(why, -EPERM, "ignored: the configuration says annotations: %s=none",
		       bh_annotation_str(a));
		return false;
	case BH_TRUST_DEFAULT:
	case BH_TRUST_COUNT_: break;
	}
	abort();
}

bool bh_world_lets_override(const struct bh_world *w, enum bh_annotation a, const char *ns,
			    struct bh_err *why)
{
	if (!bh_world_honours(w, a, ns, why))
		return false;
	if (trust_in(w, a) != BH_TRUST_NO_OVERRIDE || bh_world_trusts(w, ns))
		return true;
	bh_err(why, -EPERM,
	       "ignored for the default deny of the configuration: %.63s is no trusted namespace "
	       "(see trusted-namespace and annotations)",
	       ns);
	return false;
}

/* --- default deny ---------------------------------------------------------------------- */

const bool *bh_world_demanded_deny(const struct bh_world *w, const char *ns)
{
	static const bool none[BH_DIR_COUNT_];

	return is_listed(w->exempt, w->n_exempt, ns) ? none : w->default_deny;
}

static bool demands_any(const struct bh_world *w, const char *ns)
{
	const bool *demanded = bh_world_demanded_deny(w, ns);

	return demanded[BH_INGRESS] || demanded[BH_EGRESS];
}

/* Whether @ns would take away a direction that the configuration demands. */
static bool would_loosen(const struct bh_world *w, const struct bh_namespace *ns)
{
	const bool *demanded = bh_world_demanded_deny(w, ns->name);
	size_t d;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		if (demanded[d] && !ns->default_deny[d])
			return true;
	return false;
}

void bh_world_wanted_deny(const struct bh_world *w, const struct bh_namespace *ns,
			  bool ret[BH_DIR_COUNT_])
{
	const bool *demanded = bh_world_demanded_deny(w, ns->name);
	bool is_honoured = ns->has_default_deny &&
			   bh_world_honours(w, BH_ANNOTATION_DEFAULT_DENY, ns->name, NULL);
	bool overrides = is_honoured &&
			 bh_world_lets_override(w, BH_ANNOTATION_DEFAULT_DENY, ns->name, NULL);
	size_t d;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		ret[d] = (is_honoured && ns->default_deny[d]) || (!overrides && demanded[d]);
}

/* --- mode ------------------------------------------------------------------------------- */

/* Whether the annotation of the namespace puts @p into audit. */
static bool is_space_audited(const struct bh_world *w, const struct bh_policy *p)
{
	const struct bh_namespace *ns = bh_world_namespace(w, p->namespace);

	if (!ns || ns->mode != BH_AUDIT)
		return false;
	if (p->kind == BH_DEFAULT_DENY && demands_any(w, ns->name))
		return bh_world_lets_override(w, BH_ANNOTATION_MODE, ns->name, NULL);
	return bh_world_honours(w, BH_ANNOTATION_MODE, ns->name, NULL);
}

enum bh_mode bh_world_policy_mode(const struct bh_world *w, const struct bh_policy *p)
{
	if (w->mode == BH_AUDIT)
		return BH_AUDIT;
	if (p->kind == BH_QUARANTINE)
		return BH_ENFORCE;
	if (p->mode == BH_AUDIT && bh_world_honours(w, BH_ANNOTATION_MODE, p->namespace, NULL))
		return BH_AUDIT;
	return *p->namespace && is_space_audited(w, p) ? BH_AUDIT : BH_ENFORCE;
}

/* --- what does not count -------------------------------------------------------------------- */

struct teller {
	const struct bh_world *w;
	void (*on_ignored)(void *ctx, const struct bh_ignored *i);
	void *ctx;
	size_t n;
};

static void tell(struct teller *t, struct bh_ignored i, const struct bh_err *why)
{
	i.why = bh_err_text(why);
	t->n++;
	if (t->on_ignored)
		t->on_ignored(t->ctx, &i);
}

static void tell_namespace(struct teller *t, const struct bh_namespace *ns)
{
	struct bh_ignored i = { .kind = "Namespace", .namespace = "", .name = ns->name };
	struct bh_err why = { 0 };

	i.annotation = BH_ANNOTATION_MODE;
	if (ns->mode == BH_AUDIT && t->w->mode != BH_AUDIT &&
	    (!bh_world_honours(t->w, i.annotation, ns->name, &why) ||
	     (demands_any(t->w, ns->name) &&
	      !bh_world_lets_override(t->w, i.annotation, ns->name, &why))))
		tell(t, i, &why);
	i.annotation = BH_ANNOTATION_DEFAULT_DENY;
	if (ns->has_default_deny && (!bh_world_honours(t->w, i.annotation, ns->name, &why) ||
				     (would_loosen(t->w, ns) &&
				      !bh_world_lets_override(t->w, i.annotation, ns->name, &why))))
		tell(t, i, &why);
}

static void tell_policy(struct teller *t, const struct bh_policy *p)
{
	const struct bh_ignored i = {
		.annotation = BH_ANNOTATION_MODE,
		.kind = bh_policy_kind_str(p->kind),
		.namespace = p->namespace,
		.name = p->name,
	};
	struct bh_err why = { 0 };

	if (p->mode == BH_AUDIT && t->w->mode != BH_AUDIT &&
	    !bh_world_honours(t->w, BH_ANNOTATION_MODE, p->namespace, &why))
		tell(t, i, &why);
}

static void tell_pod(struct teller *t, const struct bh_pod *p)
{
	struct bh_ignored i = {
		.annotation = BH_ANNOTATION_PORTS,
		.kind = bh_kind_str(BH_KIND_POD),
		.namespace = p->namespace,
		.name = p->name,
	};
	struct bh_err why = { 0 };

	if (p->has_ignored_ports &&
	    !bh_world_honours(t->w, BH_ANNOTATION_PORTS, p->namespace, &why))
		tell(t, i, &why);
	i.annotation = BH_ANNOTATION_QUARANTINE;
	if (p->is_quarantined && !bh_world_honours(t->w, i.annotation, p->namespace, &why))
		tell(t, i, &why);
}

size_t bh_world_ignored(const struct bh_world *w,
			void (*on_ignored)(void *ctx, const struct bh_ignored *i), void *ctx)
{
	struct teller t = { .w = w, .on_ignored = on_ignored, .ctx = ctx };
	const struct bh_namespace *const *spaces;
	const struct bh_policy *const *policies;
	const struct bh_pod *const *pods;
	size_t i, n;

	n = bh_world_namespaces(w, &spaces);
	for (i = 0; i < n; i++)
		tell_namespace(&t, spaces[i]);
	n = bh_world_policies(w, &policies);
	for (i = 0; i < n; i++)
		tell_policy(&t, policies[i]);
	/* Only then can a pod have one that is. */
	if (trust_in(w, BH_ANNOTATION_PORTS) != BH_TRUST_ALL ||
	    trust_in(w, BH_ANNOTATION_QUARANTINE) != BH_TRUST_ALL) {
		n = bh_world_pods(w, &pods);
		for (i = 0; i < n; i++)
			tell_pod(&t, pods[i]);
	}
	return t.n;
}
