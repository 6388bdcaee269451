#include "parts.h"

#include <string.h>

#include "syntax.h"

#define WRONG_CIDR "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

static void check_port_number(struct decoder *d, const struct field *f, int32_t v)
{
	if (v < 1 || v > UINT16_MAX)
		field_error(d, f, "Invalid value: %d: must be between 1 and 65535, inclusive", v);
}

static void decode_port(struct decoder *d, const struct field *f, struct bh_policy_port *ret)
{
	static const char *const names[] = { "protocol", "port", "endPort", NULL };
	struct field protocol = field_get(f, "protocol"), port = field_get(f, "port");
	struct field end_port = field_get(f, "endPort");
	int32_t first = 0, last = 0;
	bool has_end;

	field_is_object(d, f);
	field_known(d, f, names);
	field_warn_null(d, f, "port", "all ports of the protocol");
	ret->line = field_line(d, f);
	ret->protocol = decode_protocol(d, &protocol);
	ret->last = UINT16_MAX;
	has_end = field_int(d, &end_port, &last);

	if (!port.json) {
		if (has_end)
			field_error(d, &end_port,
				    "Invalid value: %d: may not be specified when `port` is not "
				    "specified",
				    last);
		return;
	}
	if (json_is_string(port.json)) {
		const char *name = json_string_value(port.json), *why = wrong_port_name(name);

		if (has_end)
			field_error(d, &end_port,
				    "Invalid value: %d: may not be specified when `port` is "
				    "non-numeric",
				    last);
		if (why)
			field_invalid(d, &port, name, why);
		ret->name = bh_arena_strdup(d->arena, name);
		return;
	}
	if (!field_int(d, &port, &first))
		return;
	check_port_number(d, &port, first);
	if (has_end && last < first)
		field_error(d, &end_port,
			    "Invalid value: %d: must be greater than or equal to `port`", last);
	if (has_end)
		check_port_number(d, &end_port, last);
	ret->first = (uint16_t)first;
	ret->last = has_end ? (uint16_t)last : (uint16_t)first;
}

bool decode_cidr(struct decoder *d, const struct field *f, const char *why, struct bh_cidr *ret)
{
	const char *s = field_string(d, f);
	char text[BH_CIDR_STRLEN];
	struct bh_cidr strict;

	if (!s && f->json)
		return false;
	if (bh_cidr_parse_lax(s ? s : "", ret, NULL) < 0) {
		field_invalid(d, f, s ? s : "", why);
		return false;
	}
	if (bh_cidr_parse(s, &strict, NULL) < 0)
		field_warn(d, f, "CIDR value %s is ambiguous in this context (should be \"%s\"?)",
			   quoted(d, s), bh_cidr_format(ret, text));
	return true;
}

static void decode_ip_block(struct decoder *d, const struct field *f, struct bh_peer *ret)
{
	static const char *const names[] = { "cidr", "except", NULL };
	struct field cidr = field_get(f, "cidr"), except = field_get(f, "except");
	size_t i, n = field_list(d, &except);
	struct bh_cidr *parts = bh_arena_array(d->arena, n, sizeof(*parts));
	const char *text;

	ret->kind = BH_PEER_CIDR;
	field_known(d, f, names);
	field_warn_null(d, f, "except", "the whole block");
	text = json_string_value(cidr.json);
	if (!cidr.json || (text && !*text)) {
		field_error(d, &cidr, "Required value");
		return;
	}
	if (!decode_cidr(d, &cidr, WRONG_CIDR, &ret->cidr))
		return;
	for (i = 0; i < n; i++) {
		struct field at = field_at(&except, i);

		if (!decode_cidr(d, &at, WRONG_CIDR, &parts[i]))
			continue;
		if (!bh_cidr_covers(&ret->cidr, &parts[i]) ||
		    ret->cidr.prefix_len == parts[i].prefix_len)
			field_invalid(d, &at, json_string_value(at.json),
				      "must be a strict subset of `cidr`");
	}
	ret->except = parts;
	ret->n_except = n;
}

static void decode_peer(struct decoder *d, const struct field *f, struct bh_peer *ret)
{
	static const char *const names[] = { "podSelector", "namespaceSelector", "ipBlock", NULL };
	struct field pods = field_get(f, "podSelector"), block = field_get(f, "ipBlock");
	struct field namespaces = field_get(f, "namespaceSelector");

	field_is_object(d, f);
	field_known(d, f, names);
	ret->line = field_line(d, f);
	ret->kind = BH_PEER_NOTHING;
	if (pods.json || namespaces.json) {
		ret->kind = BH_PEER_PODS;
		ret->has_namespaces = namespaces.json;
		ret->pods = decode_selector(d, &pods);
		ret->namespaces = decode_selector(d, &namespaces);
	}
	if (!pods.json && !namespaces.json && !block.json)
		field_error(d, f, "Required value: must specify a peer");
	else if (block.json && ret->kind == BH_PEER_PODS)
		field_error(d, f, "Forbidden: may not specify both ipBlock and another peer");
	if (field_is_object(d, &block))
		decode_ip_block(d, &block, ret);
}

static void decode_rule(struct decoder *d, const struct field *f, const char *peers_name,
			struct bh_rule *ret)
{
	const char *const names[] = { "ports", peers_name, NULL };
	struct field ports = field_get(f, "ports"), peers = field_get(f, peers_name);
	struct bh_policy_port *port_items;
	struct bh_peer *peer_items;
	size_t i;

	if (!f->json)
		field_warn(d, f, "null is an empty rule: it allows everything");
	field_is_object(d, f);
	field_known(d, f, names);
	field_warn_null(d, f, "ports", "the rule allows all ports");
	field_warn_null(d, f, peers_name, "the rule allows all peers");
	ret->action = BH_ALLOW;
	ret->line = field_line(d, f);

	ret->n_ports = field_list(d, &ports);
	ret->has_ports = ret->n_ports > 0;
	ret->ports = port_items = bh_arena_array(d->arena, ret->n_ports, sizeof(*port_items));
	for (i = 0; i < ret->n_ports; i++) {
		struct field at = field_at(&ports, i);

		decode_port(d, &at, &port_items[i]);
	}
	ret->n_peers = field_list(d, &peers);
	ret->has_peers = ret->n_peers > 0;
	ret->peers = peer_items = bh_arena_array(d->arena, ret->n_peers, sizeof(*peer_items));
	for (i = 0; i < ret->n_peers; i++) {
		struct field at = field_at(&peers, i);

		decode_peer(d, &at, &peer_items[i]);
	}
}

static void decode_rules(struct decoder *d, const struct field *f, const char *peers_name,
			 struct bh_rules *ret)
{
	size_t i, n = field_list(d, f);
	struct bh_rule *items = bh_arena_array(d->arena, n, sizeof(*items));

	for (i = 0; i < n; i++) {
		struct field at = field_at(f, i);

		decode_rule(d, &at, peers_name, &items[i]);
	}
	*ret = (struct bh_rules){ .items = items, .n = n };
}

/* Without policyTypes: Ingress, and Egress if there are egress rules. */
static void decode_types(struct decoder *d, const struct field *spec, struct bh_policy *p)
{
	static const char *const names[] = { "Ingress", "Egress", NULL };
	struct field types = field_get(spec, "policyTypes");
	size_t i, n = field_list(d, &types);

	if (n > 2)
		field_error(d, &types, "Invalid value: may not specify more than two policyTypes");
	p->has_policy_types = n > 0;
	if (n == 0) {
		p->isolates[BH_INGRESS] = true;
		p->isolates[BH_EGRESS] = p->rules[BH_EGRESS].n > 0;
	}
	for (i = 0; i < n; i++) {
		struct field at = field_at(&types, i);
		const char *s = field_string(d, &at);

		if (s && strcmp(s, names[0]) == 0)
			p->isolates[BH_INGRESS] = true;
		else if (s && strcmp(s, names[1]) == 0)
			p->isolates[BH_EGRESS] = true;
		else if (s || !at.json)
			field_unsupported(d, &at, s ? s : "", names);
	}
}

/* Rules of a direction that is not isolated decide nothing. */
static void drop_unused(struct decoder *d, const struct field *f, enum bh_dir dir,
			struct bh_policy *p)
{
	if (p->isolates[dir] || p->rules[dir].n == 0)
		return;
	field_warn(d, f, "has no effect, because policyTypes does not list %s",
		   dir == BH_INGRESS ? "Ingress" : "Egress");
	p->rules[dir] = (struct bh_rules){ 0 };
}

static void decode_spec(struct decoder *d, const struct field *spec, struct bh_policy *p)
{
	static const char *const names[] = { "podSelector", "policyTypes", "ingress", "egress",
					     NULL };
	struct field pods = field_get(spec, "podSelector");
	struct field ingress = field_get(spec, "ingress"), egress = field_get(spec, "egress");
	size_t n_errors;

	if (!spec->json)
		field_warn(d, spec,
			   "is missing: the policy selects every pod of the namespace and "
			   "denies all ingress");
	field_is_object(d, spec);
	field_known(d, spec, names);
	n_errors = d->n_errors;
	p->pods = decode_selector(d, &pods);
	if (d->n_errors > n_errors) /* unreadable: all pods of the namespace */
		p->pods = (struct bh_selector){ 0 };
	decode_rules(d, &ingress, "from", &p->rules[BH_INGRESS]);
	decode_rules(d, &egress, "to", &p->rules[BH_EGRESS]);
	decode_types(d, spec, p);
	drop_unused(d, &ingress, BH_INGRESS, p);
	drop_unused(d, &egress, BH_EGRESS, p);
}

void decode_policy_head(struct decoder *d, const struct field *root, const struct meta *meta,
			enum bh_policy_kind kind, const char *version, struct bh_fact *ret)
{
	static const char *const annotations[] = { ANNOTATION_MODE, NULL };
	static const char *const names[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", NULL };
	struct field at = field_get(root, "apiVersion");
	const char *v = json_string_value(at.json);

	ret->kind = BH_KIND_POLICY;
	ret->policy = (struct bh_policy){
		.kind = kind,
		.namespace = meta->namespace,
		.name = meta->name,
		.uid = meta->uid,
		.generation = meta->generation,
		.mode = decode_mode(d, &meta->annotations),
		.file = origin_file(d),
		.line = field_line(d, root),
	};
	if (strcmp(v ? v : "", version) != 0)
		field_error(d, &at, "Unsupported value: %s: %s is served as %s only; change %s",
			    quoted(d, v ? v : ""), bh_policy_kind_str(kind), version,
			    kind == BH_NETWORK_POLICY
				    ? "apiVersion, the rest of the object is the same"
				    : "the object to that version");
	check_annotations(d, &meta->annotations, annotations);
	field_known(d, root, names);
}

void close_invalid_policy(const struct decoder *d, struct bh_policy *p)
{
	if (!d->error)
		return;
	p->invalid = d->error;
	p->isolates[BH_INGRESS] = p->isolates[BH_EGRESS] = true;
	p->rules[BH_INGRESS] = p->rules[BH_EGRESS] = (struct bh_rules){ 0 };
}

void decode_network_policy(struct decoder *d, const struct field *root, const struct meta *meta,
			   struct bh_fact *ret)
{
	struct field spec = field_get(root, "spec");

	decode_policy_head(d, root, meta, BH_NETWORK_POLICY, "networking.k8s.io/v1", ret);
	ret->policy.tier = BH_TIER_NETWORK_POLICY;
	decode_spec(d, &spec, &ret->policy);
	close_invalid_policy(d, &ret->policy);
}
