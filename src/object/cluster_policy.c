/*
 * Cluster-scoped policies: ClusterNetworkPolicy, and the two older kinds that it
 * replaces.  They say the same in other words, see struct dialect.
 *
 * Fields of a rule that this version does not know close the rule, as the API
 * asks for peers it does not know: an Accept rule matches nothing then, and any
 * other denies everything.  In a manifest they make the whole policy invalid.
 *
 * Sources: sigs.k8s.io/network-policy-api, apis/v1alpha1 and apis/v1alpha2, with
 * the wording of the API server for a CustomResourceDefinition.
 */
#include "cluster.h"

#include <string.h>

#include "syntax.h"

#define MAX_PRIORITY  1000
#define MAX_RULE_NAME 100
#define MAX_ADDRESSES 25 /* networks or domainNames of one peer */
#define ONLY_ONE_BASELINE                                                                          \
	"Only one baseline admin network policy with metadata.name=\"default\" can be created "    \
	"in the cluster"
#define NO_NAMED_PORTS                                                                             \
	"networks/nodes/domainNames peer cannot be set with namedPorts since there are no "        \
	"namedPorts for networks/nodes/domainNames"

struct dialect {
	enum bh_policy_kind kind;
	const char *version;
	const char *actions[BH_ACTION_COUNT_ + 1]; /* in the order of enum bh_action */
	const char *ports;                         /* the list of ports in a rule */
	void (*decode_port)(struct decoder *d, const struct field *f, struct bh_policy_port *ret);
	size_t max_rules, max_items; /* of a rule's lists */
	bool has_tier, has_priority, has_domains;
	bool is_namespace_optional; /* pods.namespaceSelector */
};

/* --- ports and peers --------------------------------------------------------------------- */

static void decode_ports(struct decoder *d, const struct field *f, const struct dialect *dialect,
			 struct bh_rule *ret)
{
	struct bh_policy_port *ports;
	size_t i;

	ret->n_ports = decode_list(d, f, dialect->max_items);
	ret->has_ports = ret->n_ports > 0;
	ret->ports = ports = bh_arena_array(d->arena, ret->n_ports, sizeof(*ports));
	for (i = 0; i < ret->n_ports; i++) {
		struct field at = field_at(f, i);

		ports[i].line = field_line(d, &at);
		dialect->decode_port(d, &at, &ports[i]);
	}
}

static void decode_pods(struct decoder *d, const struct field *f, const struct dialect *dialect,
			struct bh_selector *ret_namespaces, struct bh_selector *ret_pods)
{
	static const char *const names[] = { "namespaceSelector", "podSelector", NULL };
	struct field namespaces = field_get(f, names[0]), pods = field_get(f, names[1]);

	if (!field_is_object(d, f))
		return;
	field_known(d, f, names);
	if (!dialect->is_namespace_optional)
		require_field(d, &namespaces);
	require_field(d, &pods);
	*ret_namespaces = decode_selector(d, &namespaces);
	*ret_pods = decode_selector(d, &pods);
}

/* Where the peers of a rule are gathered; networks make one each. */
struct peers {
	struct bh_peer *items; /* malloc'ed */
	size_t n, cap;
	bool must_close; /* a peer that this rule cannot have */
};

static struct bh_peer *add_peer(struct decoder *d, struct peers *peers, enum bh_peer_kind kind,
				const struct field *f)
{
	bh_grow(&peers->items, &peers->cap, peers->n, sizeof(*peers->items));
	peers->items[peers->n] = (struct bh_peer){ .kind = kind, .line = field_line(d, f) };
	return &peers->items[peers->n++];
}

/* The same text twice in a set. */
static void check_duplicate(struct decoder *d, const struct field *list, size_t i)
{
	struct field f = field_at(list, i);
	size_t k;

	for (k = 0; k < i; k++) {
		if (!json_is_string(f.json) || !json_equal(json_array_get(list->json, k), f.json))
			continue;
		field_error(d, &f, "Duplicate value: %s", quoted(d, json_string_value(f.json)));
		return;
	}
}

static void decode_networks(struct decoder *d, const struct field *f, struct peers *peers)
{
	size_t i, n = decode_list(d, f, MAX_ADDRESSES);

	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i);
		struct bh_peer *peer = add_peer(d, peers, BH_PEER_CIDR, &at);

		check_duplicate(d, f, i);
		if (!decode_cidr(d, &at, "Invalid CIDR format provided", &peer->cidr))
			peer->kind = BH_PEER_NOTHING;
	}
}

static void decode_domains(struct decoder *d, const struct field *f, enum bh_action action,
			   struct peers *peers)
{
	size_t i, n = decode_list(d, f, MAX_ADDRESSES);

	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i);
		const char *s = field_string(d, &at), *why = s ? wrong_domain_name(s) : NULL;

		if (why || (!s && !at.json))
			field_invalid(d, &at, s ? s : "", why ? why : "must be a domain name");
		check_duplicate(d, f, i);
	}
	add_peer(d, peers, BH_PEER_NOTHING, f);
	if (action == BH_ALLOW) {
		field_warn(d, f, "this version does not resolve names: the peer matches nothing");
		return;
	}
	field_warn(d, f, "DomainNames is only supported for Accept rules");
	peers->must_close = true;
}

static void decode_peer(struct decoder *d, const struct field *f, const struct dialect *dialect,
			enum bh_dir dir, enum bh_action action, struct peers *peers)
{
	static const char *const ingress_names[] = { "namespaces", "pods", NULL };
	static const char *const egress_names[] = { "namespaces", "pods",        "nodes",
						    "networks",   "domainNames", NULL };
	static const char *const baseline_names[] = { "namespaces", "pods", "nodes", "networks",
						      NULL };
	const char *const *names = dir == BH_INGRESS      ? ingress_names
				   : dialect->has_domains ? egress_names
							  : baseline_names;
	const char *choice = decode_choice(d, f, names);
	struct bh_peer *peer;
	struct field of;

	if (!choice)
		return;
	of = field_get(f, choice);
	if (strcmp(choice, "networks") == 0) {
		decode_networks(d, &of, peers);
	} else if (strcmp(choice, "domainNames") == 0) {
		decode_domains(d, &of, action, peers);
	} else if (strcmp(choice, "nodes") == 0) {
		peer = add_peer(d, peers, BH_PEER_NODES, f);
		peer->pods = decode_selector(d, &of);
	} else {
		peer = add_peer(d, peers, BH_PEER_PODS, f);
		peer->has_namespaces = true;
		if (strcmp(choice, "namespaces") == 0)
			peer->namespaces = decode_selector(d, &of);
		else
			decode_pods(d, &of, dialect, &peer->namespaces, &peer->pods);
	}
}

static bool has_named_port(const struct bh_rule *rule)
{
	size_t i;

	for (i = 0; i < rule->n_ports; i++) {
		if (rule->ports[i].name)
			return true;
	}
	return false;
}

/* False where the rule must be closed. */
static bool decode_peers(struct decoder *d, const struct field *rule, const struct field *f,
			 const struct dialect *dialect, enum bh_dir dir, struct bh_rule *ret)
{
	size_t i, n = decode_list(d, f, dialect->max_items);
	struct peers peers = { 0 };
	bool has_no_ports = false;

	require_field(d, f);
	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i);

		decode_peer(d, &at, dialect, dir, ret->action, &peers);
	}
	for (i = 0; i < peers.n; i++)
		has_no_ports |= peers.items[i].kind != BH_PEER_PODS;
	if (has_no_ports && has_named_port(ret))
		field_error(d, rule, "Invalid value: \"object\": " NO_NAMED_PORTS);
	ret->has_peers = true;
	ret->peers = bh_arena_memdup(d->arena, peers.items, peers.n * sizeof(*peers.items));
	ret->n_peers = peers.n;
	free(peers.items);
	return !peers.must_close;
}

/* --- rules ------------------------------------------------------------------------------- */

static enum bh_action decode_action(struct decoder *d, const struct field *f,
				    const struct dialect *dialect)
{
	const char *s = field_string(d, f);
	size_t i;

	require_field(d, f);
	for (i = 0; s && dialect->actions[i]; i++) {
		if (strcmp(s, dialect->actions[i]) == 0)
			return (enum bh_action)i;
	}
	if (s)
		field_unsupported(d, f, s, dialect->actions);
	return BH_DENY;
}

static const char *decode_rule_name(struct decoder *d, const struct field *f)
{
	const char *s = field_string(d, f);

	if (!s || !*s)
		return NULL;
	if (strlen(s) > MAX_RULE_NAME)
		field_error(d, f, "Too long: may not be more than %d bytes", MAX_RULE_NAME);
	return bh_arena_strdup(d->arena, s);
}

static void close_rule(struct decoder *d, const struct field *f, const struct dialect *dialect,
		       struct bh_rule *rule)
{
	static const struct bh_peer nobody = { .kind = BH_PEER_NOTHING };
	bool is_accept = rule->action == BH_ALLOW;

	field_warn(d, f, "is not understood whole: as %s rule it %s",
		   dialect->actions[rule->action],
		   is_accept ? "matches nothing" : "denies everything");
	*rule = (struct bh_rule){
		.name = rule->name,
		.action = is_accept ? BH_ALLOW : BH_DENY,
		.has_peers = is_accept,
		.peers = is_accept ? &nobody : NULL,
		.n_peers = is_accept,
		.line = rule->line,
	};
}

static void decode_rule(struct decoder *d, const struct field *f, const struct dialect *dialect,
			enum bh_dir dir, struct bh_rule *ret)
{
	const char *peers_name = dir == BH_INGRESS ? "from" : "to";
	const char *const names[] = { "name", "action", peers_name, dialect->ports, NULL };
	struct field name = field_get(f, "name"), action = field_get(f, "action");
	struct field peers = field_get(f, peers_name), ports = field_get(f, dialect->ports);
	size_t n_unknown = d->n_unknown;
	bool is_closed;

	field_is_object(d, f);
	field_known(d, f, names);
	ret->line = field_line(d, f);
	ret->name = decode_rule_name(d, &name);
	ret->action = decode_action(d, &action, dialect);
	decode_ports(d, &ports, dialect, ret);
	is_closed = !decode_peers(d, f, &peers, dialect, dir, ret);
	/* A strict decoder closes the whole policy. */
	if (is_closed || (!d->is_strict && d->n_unknown > n_unknown))
		close_rule(d, f, dialect, ret);
}

static void decode_rules(struct decoder *d, const struct field *f, const struct dialect *dialect,
			 enum bh_dir dir, struct bh_rules *ret)
{
	size_t i, n = field_list(d, f);
	struct bh_rule *items;

	if (n > dialect->max_rules) {
		field_error(d, f, "Too many: %zu: must have at most %zu items", n,
			    dialect->max_rules);
		return;
	}
	items = bh_arena_array(d->arena, n, sizeof(*items));
	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i);

		decode_rule(d, &at, dialect, dir, &items[i]);
	}
	*ret = (struct bh_rules){ .items = items, .n = n };
}

/* --- the policy -------------------------------------------------------------------------- */

static enum bh_tier decode_tier(struct decoder *d, const struct field *f)
{
	static const char *const names[] = { "Admin", "Baseline", NULL };
	const char *s = field_string(d, f);

	require_field(d, f);
	if (s && strcmp(s, names[1]) == 0)
		return BH_TIER_BASELINE;
	if (s && strcmp(s, names[0]) != 0)
		field_unsupported(d, f, s, names);
	return BH_TIER_ADMIN;
}

static int decode_priority(struct decoder *d, const struct field *f)
{
	int32_t v = 0;

	require_field(d, f);
	field_int(d, f, &v);
	if (v < 0)
		field_error(d, f, "Invalid value: %d: should be greater than or equal to 0", v);
	if (v > MAX_PRIORITY)
		field_error(d, f, "Invalid value: %d: should be less than or equal to %d", v,
			    MAX_PRIORITY);
	return v;
}

/* Every pod there is, where the subject is not readable: it may have been meant. */
static void decode_subject(struct decoder *d, const struct field *f, const struct dialect *dialect,
			   struct bh_policy *p)
{
	static const char *const names[] = { "namespaces", "pods", NULL };
	size_t n_errors = d->n_errors;
	const char *choice = decode_choice(d, f, names);
	struct field of;

	p->has_namespaces = true;
	if (!choice) {
		if (d->n_errors == n_errors)
			field_error(d, f, "Required value: namespaces or pods");
		return;
	}
	of = field_get(f, choice);
	if (strcmp(choice, "namespaces") == 0)
		p->namespaces = decode_selector(d, &of);
	else
		decode_pods(d, &of, dialect, &p->namespaces, &p->pods);
	if (d->n_errors > n_errors)
		p->namespaces = p->pods = (struct bh_selector){ 0 };
}

static void decode_spec(struct decoder *d, const struct field *spec, const struct dialect *dialect,
			struct bh_policy *p)
{
	const char *names[] = { "subject", "ingress", "egress", NULL, NULL, NULL };
	struct field tier = field_get(spec, "tier"), priority = field_get(spec, "priority");
	struct field subject = field_get(spec, "subject");
	struct field ingress = field_get(spec, "ingress"), egress = field_get(spec, "egress");
	size_t n = 3;

	if (dialect->has_priority)
		names[n++] = "priority";
	if (dialect->has_tier)
		names[n++] = "tier";
	require_field(d, spec);
	field_is_object(d, spec);
	field_known(d, spec, names);
	decode_subject(d, &subject, dialect, p);
	if (dialect->has_tier)
		p->tier = decode_tier(d, &tier);
	if (dialect->has_priority)
		p->priority = decode_priority(d, &priority);
	decode_rules(d, &ingress, dialect, BH_INGRESS, &p->rules[BH_INGRESS]);
	decode_rules(d, &egress, dialect, BH_EGRESS, &p->rules[BH_EGRESS]);
}

static void decode(struct decoder *d, const struct field *root, const struct meta *meta,
		   const struct dialect *dialect, enum bh_tier tier, struct bh_fact *ret)
{
	struct field spec = field_get(root, "spec");
	struct bh_policy *p = &ret->policy;

	decode_policy_head(d, root, meta, dialect->kind, dialect->version, ret);
	p->tier = tier;
	if (dialect->kind == BH_BASELINE_ADMIN_NETWORK_POLICY && *meta->name &&
	    strcmp(meta->name, "default") != 0) {
		struct field metadata = field_get(root, "metadata");
		struct field name = field_get(&metadata, "name");

		field_invalid(d, &name, meta->name, ONLY_ONE_BASELINE);
	}
	decode_spec(d, &spec, dialect, p);
	close_invalid_policy(d, p);
}

void decode_cluster_network_policy(struct decoder *d, const struct field *root,
				   const struct meta *meta, struct bh_fact *ret)
{
	static const struct dialect dialect = {
		.kind = BH_CLUSTER_NETWORK_POLICY,
		.version = "policy.networking.k8s.io/v1alpha2",
		.actions = { "Accept", "Deny", "Pass" },
		.ports = "protocols",
		.decode_port = decode_protocol_match,
		.max_rules = 25,
		.max_items = 25,
		.has_tier = true,
		.has_priority = true,
		.has_domains = true,
		.is_namespace_optional = true,
	};

	decode(d, root, meta, &dialect, BH_TIER_ADMIN, ret);
}

void decode_admin_network_policy(struct decoder *d, const struct field *root,
				 const struct meta *meta, struct bh_fact *ret)
{
	static const struct dialect dialect = {
		.kind = BH_ADMIN_NETWORK_POLICY,
		.version = "policy.networking.k8s.io/v1alpha1",
		.actions = { "Allow", "Deny", "Pass" },
		.ports = "ports",
		.decode_port = decode_admin_port,
		.max_rules = 100,
		.max_items = 100,
		.has_priority = true,
		.has_domains = true,
	};

	decode(d, root, meta, &dialect, BH_TIER_ADMIN, ret);
}

void decode_baseline_admin_network_policy(struct decoder *d, const struct field *root,
					  const struct meta *meta, struct bh_fact *ret)
{
	static const struct dialect dialect = {
		.kind = BH_BASELINE_ADMIN_NETWORK_POLICY,
		.version = "policy.networking.k8s.io/v1alpha1",
		.actions = { "Allow", "Deny" },
		.ports = "ports",
		.decode_port = decode_admin_port,
		.max_rules = 100,
		.max_items = 100,
	};

	decode(d, root, meta, &dialect, BH_TIER_BASELINE, ret);
}
