#include "named.h"

#include <string.h>

#include "bh/alloc.h"

bool named_is_used(const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_ports; i++)
		if (r->ports[i].name)
			return true;
	return false;
}

static bool has_same_ports(const struct bh_pod *a, const struct bh_pod *b)
{
	size_t i;

	if (a->n_ports != b->n_ports)
		return false;
	for (i = 0; i < a->n_ports; i++)
		if (a->ports[i].number != b->ports[i].number ||
		    a->ports[i].protocol != b->ports[i].protocol ||
		    strcmp(a->ports[i].name, b->ports[i].name) != 0)
			return false;
	return true;
}

static bool is_known(const struct bh_pod *const *pods, size_t n, const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (has_same_ports(pods[i], pod))
			return true;
	return false;
}

size_t named_pods(const struct bh_world *w, const struct bh_policy *p, const struct bh_peer *peer,
		  const struct bh_pod ***ret)
{
	const struct bh_pod *const *pods;
	const struct bh_pod **found = NULL;
	size_t n = bh_world_pods(w, &pods), n_found = 0, cap = 0, i;

	for (i = 0; i < n; i++) {
		if (!pods[i]->n_ports || !bh_world_peer_is(w, p, peer, pods[i]) ||
		    is_known(found, n_found, pods[i]))
			continue;
		bh_grow(&found, &cap, n_found, sizeof(const struct bh_pod *));
		found[n_found++] = pods[i];
	}
	*ret = found;
	return n_found;
}
