#include "bh/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/eval.h"
#include "bh/source.h"

/* Defines bh_<what>_str() over a table that has a text for each value. */
#define NAMES(what, count, ...)                                                                    \
	const char *bh_##what##_str(enum bh_##what value)                                          \
	{                                                                                          \
		static const char *const names[] = { __VA_ARGS__ };                                \
		static_assert(BH_ARRAY_LEN(names) == (count), "every " #what " has a name");       \
		return (size_t)value < (count) ? names[value] : "?";                               \
	}

NAMES(source, BH_SOURCE_COUNT_, [BH_SOURCE_NODE] = "node", [BH_SOURCE_CRI] = "cri",
      [BH_SOURCE_MANIFEST] = "manifest", [BH_SOURCE_KUBE] = "kube")
NAMES(dir, BH_DIR_COUNT_, [BH_INGRESS] = "ingress", [BH_EGRESS] = "egress")
NAMES(mode, BH_MODE_COUNT_, [BH_ENFORCE] = "enforce", [BH_AUDIT] = "audit")
NAMES(tier, BH_TIER_COUNT_, [BH_TIER_QUARANTINE] = "Quarantine", [BH_TIER_ADMIN] = "Admin",
      [BH_TIER_NETWORK_POLICY] = "NetworkPolicy", [BH_TIER_BASELINE] = "Baseline",
      [BH_TIER_DEFAULT_DENY] = "DefaultDeny")
NAMES(action, BH_ACTION_COUNT_, [BH_ALLOW] = "Allow", [BH_DENY] = "Deny", [BH_PASS] = "Pass")
NAMES(sel_op, BH_SEL_OP_COUNT_, [BH_SEL_IN] = "In", [BH_SEL_NOT_IN] = "NotIn",
      [BH_SEL_EXISTS] = "Exists", [BH_SEL_DOES_NOT_EXIST] = "DoesNotExist")
NAMES(policy_kind, BH_POLICY_KIND_COUNT_, [BH_NETWORK_POLICY] = "NetworkPolicy",
      [BH_CLUSTER_NETWORK_POLICY] = "ClusterNetworkPolicy",
      [BH_ADMIN_NETWORK_POLICY] = "AdminNetworkPolicy",
      [BH_BASELINE_ADMIN_NETWORK_POLICY] = "BaselineAdminNetworkPolicy",
      [BH_DEFAULT_DENY] = "DefaultDeny", [BH_QUARANTINE] = "Quarantine")
NAMES(kind, BH_KIND_COUNT_, [BH_KIND_POD] = "Pod", [BH_KIND_NAMESPACE] = "Namespace",
      [BH_KIND_NODE] = "Node", [BH_KIND_POLICY] = "Policy")
NAMES(verdict, BH_VERDICT_COUNT_, [BH_VERDICT_ALLOWED] = "allowed", [BH_VERDICT_DENIED] = "denied")
NAMES(reason, BH_REASON_COUNT_, [BH_REASON_NOT_SUBJECT] = "not-subject",
      [BH_REASON_NOT_ISOLATED] = "not-isolated", [BH_REASON_SELF] = "self",
      [BH_REASON_OWN_NODE] = "own-node", [BH_REASON_RULE] = "rule",
      [BH_REASON_DEFAULT_DENY] = "default-deny", [BH_REASON_NO_LABELS] = "no-labels",
      [BH_REASON_QUARANTINE] = "quarantine", [BH_REASON_CONTESTED] = "contested",
      [BH_REASON_SPOOFED] = "spoofed", [BH_REASON_UNLISTED] = "unlisted",
      [BH_REASON_NO_POD] = "no-pod-yet")
NAMES(miss, BH_MISS_COUNT_, [BH_MISS_PROTOCOL] = "protocol", [BH_MISS_PORT] = "port",
      [BH_MISS_POD_SELECTOR] = "podSelector", [BH_MISS_IP_BLOCK] = "ipBlock",
      [BH_MISS_NAMESPACE_SELECTOR] = "namespaceSelector")
NAMES(entity, BH_ENTITY_COUNT_, [BH_ENTITY_POD] = "pod", [BH_ENTITY_NODE] = "node",
      [BH_ENTITY_EXTERNAL] = "external")

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

struct bh_key bh_fact_key(const struct bh_fact *fact)
{
	struct bh_key key = { .kind = fact->kind, .source = fact->source, .namespace = "" };

	switch (fact->kind) {
	case BH_KIND_POD:
		key.namespace = or_empty(fact->pod.namespace);
		key.name = fact->pod.name;
		key.uid = fact->pod.uid;
		break;
	case BH_KIND_NAMESPACE: key.name = fact->ns.name; break;
	case BH_KIND_NODE: key.name = fact->node.name; break;
	case BH_KIND_POLICY:
		key.policy_kind = fact->policy.kind;
		key.namespace = or_empty(fact->policy.namespace);
		key.name = fact->policy.name;
		break;
	case BH_KIND_COUNT_: abort();
	}
	key.name = or_empty(key.name);
	key.uid = or_empty(key.uid);
	return key;
}

bool bh_netns_path_is_good(const char *path)
{
	size_t n;

	if (*path != '/')
		return false;
	for (n = 0; path[n]; n++) {
		if (n == BH_NETNS_PATH_MAX || path[n] <= ' ' || path[n] > '~')
			return false;
		if (strncmp(&path[n], "/..", 3) == 0 && (path[n + 3] == '/' || !path[n + 3]))
			return false;
	}
	return n > 1;
}

bool bh_pod_owns(const struct bh_pod *pod, const struct bh_addr *a)
{
	for (size_t i = 0; i < pod->n_addrs; i++)
		if (bh_addr_eq(&pod->addrs[i], a))
			return true;
	return false;
}

bool bh_pod_is_closed(const struct bh_pod *pod)
{
	return pod->has_no_labels_yet || pod->is_contested;
}

const char *bh_labels_get(const struct bh_labels *labels, const char *key)
{
	size_t i;

	for (i = 0; i < labels->n; i++)
		if (strcmp(labels->items[i].key, key) == 0)
			return labels->items[i].value;
	return NULL;
}

bool bh_policy_kind_is_namespaced(enum bh_policy_kind kind)
{
	return kind == BH_NETWORK_POLICY || kind == BH_DEFAULT_DENY || kind == BH_QUARANTINE;
}

enum bh_tier bh_policy_tier(const struct bh_policy *p)
{
	return p->invalid ? BH_TIER_NETWORK_POLICY : p->tier;
}

bool bh_policy_isolates(const struct bh_policy *p, enum bh_dir dir)
{
	return p->invalid || (p->tier == BH_TIER_NETWORK_POLICY && p->isolates[dir]);
}

bool bh_policy_speaks(const struct bh_policy *p, enum bh_dir dir)
{
	return bh_policy_tier(p) == BH_TIER_NETWORK_POLICY ? bh_policy_isolates(p, dir)
							   : p->rules[dir].n > 0;
}

static const struct bh_cidr *except_of(const struct bh_peer *peer, const struct bh_addr *a)
{
	size_t i;

	for (i = 0; i < peer->n_except; i++)
		if (bh_cidr_contains(&peer->except[i], a))
			return &peer->except[i];
	return NULL;
}

bool bh_peer_has_addr(const struct bh_peer *peer, const struct bh_addr *a)
{
	return bh_cidr_contains(&peer->cidr, a) && !except_of(peer, a);
}

bool bh_peer_first_addr(const struct bh_peer *peer, struct bh_addr *ret)
{
	struct bh_range all = bh_cidr_range(&peer->cidr);
	struct bh_addr at = all.first;
	const struct bh_cidr *part;

	/* Each step leaves a part behind for good. */
	while ((part = except_of(peer, &at))) {
		struct bh_range range = bh_cidr_range(part);

		if (bh_addr_cmp(&range.last, &all.last) >= 0)
			return false;
		at = range.last;
		bh_addr_next(&at);
	}
	*ret = at;
	return true;
}
