/*
 * The annotations and the words for who may set them.
 */
#include "bh/trust.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"

/*
 * mode and default-deny: the writer of a NetworkPolicy may delete it, so audit gives nothing
 * more; but the configuration's default deny is not the writer's to loosen.  ports: the writer
 * of a pod names its ports in its spec anyway.  quarantine: an operator's act.
 */
static const struct {
	const char *name;
	enum bh_trust by_default;
	bool can_override;
} annotations[] = {
	[BH_ANNOTATION_MODE] = { "mode", BH_TRUST_NO_OVERRIDE, true },
	[BH_ANNOTATION_DEFAULT_DENY] = { "default-deny", BH_TRUST_NO_OVERRIDE, true },
	[BH_ANNOTATION_PORTS] = { "ports", BH_TRUST_ALL, false },
	[BH_ANNOTATION_QUARANTINE] = { "quarantine", BH_TRUST_NAMESPACES, false },
};
static_assert(BH_ARRAY_LEN(annotations) == BH_ANNOTATION_COUNT_, "every annotation has a row");

static const char *const trust_names[] = {
	[BH_TRUST_DEFAULT] = "default",
	[BH_TRUST_ALL] = "all",
	[BH_TRUST_NO_OVERRIDE] = "no-override",
	[BH_TRUST_NAMESPACES] = "trusted-namespaces",
	[BH_TRUST_NONE] = "none",
};
static_assert(BH_ARRAY_LEN(trust_names) == BH_TRUST_COUNT_, "every trust has a name");

const char *bh_annotation_str(enum bh_annotation a)
{
	return annotations[a].name;
}

const char *bh_trust_str(enum bh_trust t)
{
	return trust_names[t];
}

enum bh_trust bh_trust_default(enum bh_annotation a)
{
	return annotations[a].by_default;
}

static int parse_trust(const char *text, enum bh_trust *ret, struct bh_err *err)
{
	enum bh_trust t;

	for (t = BH_TRUST_ALL; t < BH_TRUST_COUNT_; t++) {
		if (strcmp(text, trust_names[t]) == 0) {
			*ret = t;
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%.64s' is none of all, no-override, trusted-namespaces, none",
		      text);
}

static int parse_annotation(const char *text, size_t len, enum bh_annotation *ret,
			    struct bh_err *err)
{
	enum bh_annotation a;

	for (a = 0; a < BH_ANNOTATION_COUNT_; a++) {
		if (strlen(annotations[a].name) == len &&
		    strncmp(text, annotations[a].name, len) == 0) {
			*ret = a;
			return 0;
		}
	}
	return bh_err(err, -EINVAL, "'%.*s' is no annotation that can be restricted",
		      (int)(len < 64 ? len : 64), text);
}

/* For all keys: where there is nothing to override, no-override is the same as all. */
static void set_all(enum bh_trust t, enum bh_trust of[BH_ANNOTATION_COUNT_])
{
	enum bh_annotation a;

	for (a = 0; a < BH_ANNOTATION_COUNT_; a++)
		of[a] = t == BH_TRUST_NO_OVERRIDE && !annotations[a].can_override ? BH_TRUST_DEFAULT
										  : t;
}

int bh_trust_parse(const char *text, enum bh_trust of[BH_ANNOTATION_COUNT_], struct bh_err *err)
{
	const char *eq = strchr(text, '=');
	enum bh_annotation a = 0;
	enum bh_trust t = 0;
	int r = parse_trust(eq ? eq + 1 : text, &t, err);

	if (r == 0 && eq)
		r = parse_annotation(text, (size_t)(eq - text), &a, err);
	if (r < 0)
		return r;
	if (!eq) {
		set_all(t, of);
		return 0;
	}
	if (t == BH_TRUST_NO_OVERRIDE && !annotations[a].can_override)
		return bh_err(err, -EINVAL,
			      "%s overrides nothing: say all, trusted-namespaces or none",
			      annotations[a].name);
	of[a] = t;
	return 0;
}
