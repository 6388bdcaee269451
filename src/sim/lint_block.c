/*
 * Checks of address blocks.
 */
#include "lint_impl.h"

static void check_except(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			 const struct bh_rule *r)
{
	struct bh_addr first;
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		if (r->peers[i].kind == BH_PEER_CIDR && !bh_peer_first_addr(&r->peers[i], &first))
			lint_policy(l, p, r->peers[i].line, "remove the block, or shorten `except`",
				    "%s: `except` leaves nothing of %s", lint_rule(l, p, dir, r),
				    lint_cidr(l, &r->peers[i].cidr));
}

/* --- pods inside ----------------------------------------------------------------------------- */

/* A pod whose address was not made up by us. */
static bool is_pod_in_block(const struct lint *l, const struct bh_peer *peer,
			    const struct bh_pod *pod)
{
	size_t i;

	for (i = 0; i < pod->n_addrs; i++)
		if (!bh_sim_is_made_up(l->sim, &pod->addrs[i]) &&
		    bh_peer_has_addr(peer, &pod->addrs[i]))
			return true;
	return false;
}

static void check_pods_in_block(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
				const struct bh_rule *r, const struct bh_peer *peer)
{
	size_t i, n = 0, first = 0;

	for (i = 0; i < l->n_pods; i++)
		if (is_pod_in_block(l, peer, l->pods[i]) && n++ == 0)
			first = i;
	if (n == 0)
		return;
	/* That a block for everybody is for pods as well is worth knowing, but no slip. */
	lint_add(l, peer->cidr.prefix_len == 0 ? BH_SEVERITY_INFO : l->check->severity, p->file,
		 peer->line ? peer->line : p->line, lint_subject(l, p),
		 "use selectors for pods, and put their network into `except`",
		 "%s: %s includes the addresses of %zu pod%s, such as %s", lint_rule(l, p, dir, r),
		 lint_cidr(l, &peer->cidr), n, n == 1 ? "" : "s", lint_pod(l, l->pods[first]));
}

static void check_inside(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			 const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		if (r->peers[i].kind == BH_PEER_CIDR)
			check_pods_in_block(l, p, dir, r, &r->peers[i]);
}

/* --- two families ---------------------------------------------------------------- */

static bool is_dual_stack(const struct lint *l)
{
	bool has[BH_FAMILY_COUNT_] = { false, false };
	size_t i, k;

	for (i = 0; i < l->n_pods; i++)
		for (k = 0; k < l->pods[i]->n_addrs; k++)
			if (!bh_sim_is_made_up(l->sim, &l->pods[i]->addrs[k]))
				has[l->pods[i]->addrs[k].family] = true;
	return has[BH_IPV4] && has[BH_IPV6];
}

static bool has_everybody(const struct bh_policy *p, enum bh_dir dir, enum bh_family family)
{
	size_t i, k;

	for (i = 0; i < p->rules[dir].n; i++) {
		const struct bh_rule *r = &p->rules[dir].items[i];

		if (!r->has_peers)
			return true;
		for (k = 0; k < r->n_peers; k++)
			if (r->peers[k].kind == BH_PEER_CIDR && r->peers[k].cidr.prefix_len == 0 &&
			    r->peers[k].cidr.addr.family == family)
				return true;
	}
	return false;
}

static void check_families(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			   const struct bh_rule *r)
{
	size_t i;

	if (!is_dual_stack(l))
		return;
	for (i = 0; i < r->n_peers; i++) {
		const struct bh_peer *peer = &r->peers[i];
		bool is_v4 = peer->cidr.addr.family == BH_IPV4;

		if (peer->kind != BH_PEER_CIDR || peer->cidr.prefix_len != 0 ||
		    has_everybody(p, dir, is_v4 ? BH_IPV6 : BH_IPV4))
			continue;
		lint_policy(
			l, p, peer->line,
			lint_printf(l, "add an ipBlock with cidr %s", is_v4 ? "::/0" : "0.0.0.0/0"),
			"%s: %s is every address of %s only, but pods have both families",
			lint_rule(l, p, dir, r), lint_cidr(l, &peer->cidr),
			bh_family_str(is_v4 ? BH_IPV4 : BH_IPV6));
		return;
	}
}

const struct lint_row lint_block_rows[] = {
	{ .check = { "except-leaves-nothing", BH_SEVERITY_WARNING,
		     "`except` takes away all of its ipBlock" },
	  .on_rule = check_except },
	{ .check = { "ip-block-of-pods", BH_SEVERITY_WARNING,
		     "an ipBlock includes addresses of pods" },
	  .needs_pods = true,
	  .on_rule = check_inside },
	{ .check = { "one-family", BH_SEVERITY_WARNING,
		     "0.0.0.0/0 without ::/0, or the reverse, on dual stack" },
	  .needs_pods = true,
	  .on_rule = check_families },
	{ .check = { .name = NULL } },
};
