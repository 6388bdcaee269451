/*
 * Checks of the pods and namespaces in `from` and `to`.
 */
#include <string.h>

#include "bh/selector.h"
#include "lint_impl.h"

static const char *peers_field(enum bh_dir dir)
{
	return dir == BH_INGRESS ? "from" : "to";
}

/* Pods that the podSelector alone, in the policy's own namespace, is about. */
static size_t own_pods(const struct lint *l, const struct bh_policy *p,
		       const struct bh_selector *pods)
{
	const struct bh_peer own = { .kind = BH_PEER_PODS, .pods = *pods };

	return p->has_namespaces ? 0 : lint_peers(l, p, &own, NULL);
}

static size_t pods_of(const struct lint *l, const struct bh_policy *p,
		      const struct bh_selector *namespaces, const struct bh_selector *pods)
{
	const struct bh_peer peer = { .kind = BH_PEER_PODS,
				      .has_namespaces = true,
				      .namespaces = *namespaces,
				      .pods = *pods };

	return lint_peers(l, p, &peer, NULL);
}

static bool is_namespaces_only(const struct bh_peer *peer)
{
	return peer->kind == BH_PEER_PODS && peer->has_namespaces && peer->pods.n_reqs == 0;
}

static bool is_pods_only(const struct bh_peer *peer)
{
	return peer->kind == BH_PEER_PODS && !peer->has_namespaces && peer->pods.n_reqs > 0;
}

/*
 * `- namespaceSelector: A` followed by `- podSelector: B`.  It is what it says
 * where B is somebody in the own namespace; where B is nobody there, the two
 * were most likely meant as one.
 */
static bool is_or_for_and(const struct lint *l, const struct bh_policy *p, const struct bh_rule *r,
			  size_t i)
{
	const struct bh_peer *pods = &r->peers[i];
	bool is_beside = (i > 0 && is_namespaces_only(&r->peers[i - 1])) ||
			 (i + 1 < r->n_peers && is_namespaces_only(&r->peers[i + 1]));

	return is_pods_only(pods) && is_beside && own_pods(l, p, &pods->pods) == 0;
}

static void check_or_for_and(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			     const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		if (is_or_for_and(l, p, r, i))
			lint_policy(
				l, p, r->peers[i].line,
				"remove the dash before podSelector to mean these pods in those "
				"namespaces",
				"%s, `%s`: namespaceSelector and podSelector are two elements, "
				"which lets every pod of those namespaces in; no pod of %s is %s",
				lint_rule(l, p, dir, r), peers_field(dir), p->namespace,
				lint_selector(l, &r->peers[i].pods));
}

/* One element that matches nobody, while each half of it would. */
static bool is_and_for_or(const struct lint *l, const struct bh_policy *p,
			  const struct bh_peer *peer)
{
	static const struct bh_selector everybody;

	return peer->kind == BH_PEER_PODS && peer->has_namespaces && peer->pods.n_reqs > 0 &&
	       peer->namespaces.n_reqs > 0 && lint_peers(l, p, peer, NULL) == 0 &&
	       own_pods(l, p, &peer->pods) > 0 && pods_of(l, p, &peer->namespaces, &everybody) > 0;
}

static void check_and_for_or(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			     const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++)
		if (is_and_for_or(l, p, &r->peers[i]))
			lint_policy(
				l, p, r->peers[i].line,
				"write podSelector as an element of its own to mean either",
				"%s, `%s`: namespaceSelector and podSelector are one element and "
				"match no pod together; pods with %s live in %s itself",
				lint_rule(l, p, dir, r), peers_field(dir),
				lint_selector(l, &r->peers[i].pods), p->namespace);
}

static void check_unknown_namespaces(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
				     const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++) {
		const struct bh_peer *peer = &r->peers[i];

		if (peer->kind == BH_PEER_PODS && peer->has_namespaces &&
		    lint_namespaces(l, &peer->namespaces) == 0)
			lint_policy(l, p, peer->line,
				    "correct the namespaceSelector, or add the Namespace to the "
				    "input",
				    "%s, `%s`: no namespace of the input is %s",
				    lint_rule(l, p, dir, r), peers_field(dir),
				    lint_selector(l, &peer->namespaces));
	}
}

static const char *where(struct lint *l, const struct bh_policy *p, const struct bh_peer *peer)
{
	if (peer->has_namespaces)
		return lint_printf(l, "namespaces with %s", lint_selector(l, &peer->namespaces));
	return lint_printf(l, "namespace %s", p->namespace);
}

static bool has_empty_namespaces(const struct lint *l, const struct bh_policy *p,
				 const struct bh_peer *peer)
{
	static const struct bh_selector everybody;
	const struct bh_peer all = { .kind = BH_PEER_PODS,
				     .has_namespaces = peer->has_namespaces,
				     .namespaces = peer->namespaces,
				     .pods = everybody };

	return lint_peers(l, p, &all, NULL) == 0;
}

static void check_pods(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
		       const struct bh_rule *r, size_t i)
{
	const struct bh_peer *peer = &r->peers[i];

	if (peer->has_namespaces && lint_namespaces(l, &peer->namespaces) == 0)
		return; /* is said by check_unknown_namespaces() */
	if (!peer->has_namespaces && lint_is_unknown(l, p->namespace))
		return; /* is said of the policy */
	if (is_or_for_and(l, p, r, i) || is_and_for_or(l, p, peer) ||
	    lint_peers(l, p, peer, NULL) > 0)
		return;
	if (has_empty_namespaces(l, p, peer))
		lint_add(l, BH_SEVERITY_INFO, p->file, peer->line ? peer->line : p->line,
			 lint_subject(l, p), "add the workloads to the input, if there are some",
			 "%s, `%s`: there are no pods in %s", lint_rule(l, p, dir, r),
			 peers_field(dir), where(l, p, peer));
	else
		lint_policy(l, p, peer->line, "correct the podSelector, or remove the peer",
			    "%s, `%s`: no pod in %s is %s", lint_rule(l, p, dir, r),
			    peers_field(dir), where(l, p, peer), lint_selector(l, &peer->pods));
}

static void check_nodes(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			const struct bh_rule *r, const struct bh_peer *peer)
{
	const struct bh_node *const *nodes;
	size_t i, n = bh_world_nodes(l->w, &nodes);

	for (i = 0; i < n; i++)
		if (bh_selector_matches(&peer->pods, &nodes[i]->labels))
			return;
	if (n)
		lint_policy(l, p, peer->line, "correct the selector, or remove the peer",
			    "%s, `%s`: no node is %s", lint_rule(l, p, dir, r), peers_field(dir),
			    lint_selector(l, &peer->pods));
}

static void check_matches(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			  const struct bh_rule *r)
{
	size_t i;

	for (i = 0; i < r->n_peers; i++) {
		const struct bh_peer *peer = &r->peers[i];

		if (peer->kind == BH_PEER_PODS)
			check_pods(l, p, dir, r, i);
		else if (peer->kind == BH_PEER_NODES)
			check_nodes(l, p, dir, r, peer);
		else if (peer->kind == BH_PEER_NOTHING)
			lint_policy(l, p, peer->line, "see bulkhead-policy(7) for what is known",
				    "%s, `%s`: a peer of a kind that bulkhead does not know "
				    "matches nobody",
				    lint_rule(l, p, dir, r), peers_field(dir));
	}
}

/* By labels, as it would be if it were an ordinary pod. */
static bool would_be(const struct lint *l, const struct bh_policy *p, const struct bh_peer *peer,
		     const struct bh_pod *pod)
{
	struct bh_pod ordinary = *pod;

	ordinary.is_host_network = false;
	return bh_world_peer_is(l->w, p, peer, &ordinary);
}

static void check_host_network(struct lint *l, const struct bh_policy *p, enum bh_dir dir,
			       const struct bh_rule *r)
{
	size_t i, k;

	for (i = 0; i < r->n_peers; i++) {
		const struct bh_peer *peer = &r->peers[i];

		/* For everybody is for ordinary pods; who names one means it. */
		if (peer->kind != BH_PEER_PODS || peer->pods.n_reqs == 0)
			continue;
		for (k = 0; k < l->n_pods; k++) {
			if (!l->pods[k]->is_host_network || !would_be(l, p, peer, l->pods[k]))
				continue;
			lint_policy(
				l, p, peer->line, "use an ipBlock of the nodes' addresses instead",
				"%s, `%s`: %s is on the host's network, where a selector never "
				"matches it",
				lint_rule(l, p, dir, r), peers_field(dir), lint_pod(l, l->pods[k]));
			break;
		}
	}
}

const struct lint_row lint_peer_rows[] = {
	{ .check = { "peer-matches-nothing", BH_SEVERITY_WARNING,
		     "an element of `from` or `to` matches nobody" },
	  .needs_pods = true,
	  .on_rule = check_matches },
	{ .check = { "peer-namespace-unknown", BH_SEVERITY_INFO,
		     "a namespaceSelector matches no namespace of the input" },
	  .needs_pods = true,
	  .on_rule = check_unknown_namespaces },
	{ .check = { "peer-or-for-and", BH_SEVERITY_WARNING,
		     "namespaceSelector and podSelector are two elements where one was meant" },
	  .needs_pods = true,
	  .on_rule = check_or_for_and },
	{ .check = { "peer-and-for-or", BH_SEVERITY_WARNING,
		     "namespaceSelector and podSelector are one element where two were meant" },
	  .needs_pods = true,
	  .on_rule = check_and_for_or },
	{ .check = { "host-network-peer", BH_SEVERITY_WARNING,
		     "a selector is for pods on the host's network, which it never matches" },
	  .needs_pods = true,
	  .on_rule = check_host_network },
	{ .check = { .name = NULL } },
};
