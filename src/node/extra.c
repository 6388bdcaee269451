/*
 * Extra addresses: what the operator of the node lists for pods, as options.
 */
#include <errno.h>
#include <string.h>

#include "bh/alloc.h"
#include "ports_impl.h"

static int parse_extra_addrs(const char *text, struct bh_cidr *ret, struct bh_err *err)
{
	struct bh_addr a;
	int r;

	if (!strchr(text, '/')) {
		r = bh_addr_parse(text, &a, err);
		if (r < 0)
			return r;
		ret->addr = a;
		ret->prefix_len = (uint8_t)(bh_family_len((enum bh_family)a.family) * 8);
		return 0;
	}
	r = bh_cidr_parse(text, ret, err);
	if (r < 0)
		return r;
	if (ret->prefix_len < (ret->addr.family == BH_IPV4 ? BH_EXTRA_MIN_LEN4 : BH_EXTRA_MIN_LEN6))
		return bh_err(err, -EINVAL, "%s is too large: /%d and /%d are the largest", text,
			      BH_EXTRA_MIN_LEN4, BH_EXTRA_MIN_LEN6);
	return 0;
}

int bh_extra_addr_parse(const char *text, struct bh_extra_addr *ret, struct bh_err *err)
{
	const char *slash = strchr(text, '/'), *equals = strchr(text, '=');
	struct bh_extra_addr e = { 0 };
	size_t len;
	int r;

	if (!equals || !slash || slash > equals || slash == text || slash + 1 == equals)
		return bh_err(err, -EINVAL,
			      "'%s' is not NAMESPACE/POD=ADDRESS[/LENGTH] (POD may end in *)",
			      text);
	r = parse_extra_addrs(equals + 1, &e.addrs, err);
	if (r < 0)
		return bh_err_wrap(err, r, "'%s'", text);
	len = (size_t)(equals - slash - 1);
	e.is_prefix = slash[len] == '*';
	len -= e.is_prefix;
	if (memchr(slash + 1, '*', len) || memchr(text, '*', (size_t)(slash - text)))
		return bh_err(err, -EINVAL, "'%s': a * stands only at the end of POD", text);
	e.namespace = bh_strndup(text, (size_t)(slash - text));
	e.pod = bh_strndup(slash + 1, len);
	*ret = e;
	return 0;
}

bool bh_extra_addr_is_of(const struct bh_extra_addr *e, const char *ns, const char *pod)
{
	if (strcmp(e->namespace, ns) != 0)
		return false;
	return e->is_prefix ? strncmp(e->pod, pod, strlen(e->pod)) == 0 : strcmp(e->pod, pod) == 0;
}

bool bh_extra_addr_is_single(const struct bh_cidr *c)
{
	return c->prefix_len == 8 * bh_family_len((enum bh_family)c->addr.family);
}
