/*
 * One table says which members a fact has; the writer and the reader both walk
 * it, so that neither can know a member that the other does not.
 */
#include "bh/fact.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <string.h>

enum type {
	TYPE_STRING,          /* "" where absent */
	TYPE_OPTIONAL_STRING, /* NULL where absent */
	TYPE_NEEDED_STRING,   /* an error where absent */
	TYPE_BOOL,
	TYPE_U8,
	TYPE_U16,
	TYPE_INT,
	TYPE_64,
	TYPE_ENUM,
	TYPE_ADDR,
	TYPE_CIDR,
	TYPE_STRUCT,
	TYPE_LIST,    /* pointer at `at`, size_t at `n_at` */
	TYPE_STRINGS, /* the same, of const char * */
};

struct member {
	const char *key; /* NULL: the last */
	enum type type;
	unsigned int count; /* TYPE_ENUM: values are below it */
	size_t at, n_at;
	const struct shape *of; /* TYPE_STRUCT, TYPE_LIST */
	unsigned int first;     /* TYPE_ENUM: the value that is written as 0 */
};

struct shape {
	size_t size;
	const struct member *members;
	/* What is wrong with one that was read, beyond its members; NULL if nothing. */
	const char *(*check)(const void *item);
};

#define AT(t, s, m)               .type = TYPE_##t, .at = offsetof(struct s, m)
#define ENUM(s, m, max)           AT(ENUM, s, m), .count = (max)
#define ENUM_FROM(s, m, min, max) ENUM(s, m, max), .first = (min)
#define LIST(s, m, n, shape_)     AT(LIST, s, m), .n_at = offsetof(struct s, n), .of = &(shape_)
#define STRUCT(s, m, shape_)      AT(STRUCT, s, m), .of = &(shape_)

/* --- shapes ---------------------------------------------------------------------------- */

static const struct member addr_members[] = {
	{ "ip", TYPE_ADDR, 0, 0, 0, NULL, 0 },
	{ 0 },
};
static const struct shape addr_shape = { sizeof(struct bh_addr), addr_members, NULL };

static const struct member cidr_members[] = {
	{ "net", TYPE_CIDR, 0, 0, 0, NULL, 0 },
	{ 0 },
};
static const struct shape cidr_shape = { sizeof(struct bh_cidr), cidr_members, NULL };

static const struct member label_members[] = {
	{ "k", AT(NEEDED_STRING, bh_label, key) },
	{ "v", AT(STRING, bh_label, value) },
	{ 0 },
};
static const struct shape label_shape = { sizeof(struct bh_label), label_members, NULL };

static const char *check_port(const void *item)
{
	const struct bh_port *p = item;

	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP && p->protocol != IPPROTO_SCTP)
		return "has no such protocol";
	return p->number ? NULL : "has no number";
}

static const struct member port_members[] = {
	{ "name", AT(OPTIONAL_STRING, bh_port, name) },
	{ "number", AT(U16, bh_port, number) },
	{ "protocol", AT(U8, bh_port, protocol) },
	{ 0 },
};
static const struct shape port_shape = { sizeof(struct bh_port), port_members, check_port };

static const struct member pod_members[] = {
	{ "namespace", AT(NEEDED_STRING, bh_pod, namespace) },
	{ "name", AT(NEEDED_STRING, bh_pod, name) },
	{ "uid", AT(STRING, bh_pod, uid) },
	{ "node", AT(STRING, bh_pod, node) },
	{ "labels", LIST(bh_pod, labels.items, labels.n, label_shape) },
	{ "ports", LIST(bh_pod, ports, n_ports, port_shape) },
	{ "addrs", LIST(bh_pod, addrs, n_addrs, addr_shape) },
	{ "host_network", AT(BOOL, bh_pod, is_host_network) },
	{ "finished", AT(BOOL, bh_pod, is_finished) },
	{ "no_labels_yet", AT(BOOL, bh_pod, has_no_labels_yet) },
	{ "quarantined", AT(BOOL, bh_pod, is_quarantined) },
	{ "line", AT(INT, bh_pod, line) },
	{ "created", AT(64, bh_pod, created_ns) },
	{ "workload_kind", AT(OPTIONAL_STRING, bh_pod, workload_kind) },
	{ "workload_name", AT(OPTIONAL_STRING, bh_pod, workload_name) },
	{ "sandbox", AT(OPTIONAL_STRING, bh_pod, sandbox_id) },
	{ "file", AT(OPTIONAL_STRING, bh_pod, file) },
	{ 0 },
};
static const struct shape pod_shape = { sizeof(struct bh_pod), pod_members, NULL };

static const struct member namespace_members[] = {
	{ "name", AT(NEEDED_STRING, bh_namespace, name) },
	{ "labels", LIST(bh_namespace, labels.items, labels.n, label_shape) },
	{ "has_deny", AT(BOOL, bh_namespace, has_default_deny) },
	{ "deny_ingress", AT(BOOL, bh_namespace, default_deny[BH_INGRESS]) },
	{ "deny_egress", AT(BOOL, bh_namespace, default_deny[BH_EGRESS]) },
	{ "mode", ENUM(bh_namespace, mode, BH_MODE_COUNT_) },
	{ 0 },
};
static const struct shape namespace_shape = { sizeof(struct bh_namespace), namespace_members,
					      NULL };

static const struct member node_members[] = {
	{ "name", AT(NEEDED_STRING, bh_node, name) },
	{ "labels", LIST(bh_node, labels.items, labels.n, label_shape) },
	{ "addrs", LIST(bh_node, addrs, n_addrs, addr_shape) },
	{ 0 },
};
static const struct shape node_shape = { sizeof(struct bh_node), node_members, NULL };

static const char *check_requirement(const void *item)
{
	const struct bh_requirement *r = item;
	bool needs_values = r->op == BH_SEL_IN || r->op == BH_SEL_NOT_IN;

	return needs_values == (r->n_values > 0) ? NULL : "has values that do not fit its operator";
}

static const struct member requirement_members[] = {
	{ "key", AT(NEEDED_STRING, bh_requirement, key) },
	{ "op", ENUM(bh_requirement, op, BH_SEL_OP_COUNT_) },
	{ "values", AT(STRINGS, bh_requirement, values),
	  .n_at = offsetof(struct bh_requirement, n_values) },
	{ 0 },
};
static const struct shape requirement_shape = { sizeof(struct bh_requirement), requirement_members,
						check_requirement };

static const struct member selector_members[] = {
	{ "all", LIST(bh_selector, reqs, n_reqs, requirement_shape) },
	{ 0 },
};
static const struct shape selector_shape = { sizeof(struct bh_selector), selector_members, NULL };

static const char *check_peer(const void *item)
{
	const struct bh_peer *p = item;
	size_t i;

	for (i = 0; i < p->n_except; i++)
		if (p->kind != BH_PEER_CIDR || !bh_cidr_covers(&p->cidr, &p->except[i]))
			return "has an exception outside of its cidr";
	return NULL;
}

static const struct member peer_members[] = {
	{ "kind", ENUM(bh_peer, kind, BH_PEER_KIND_COUNT_) },
	{ "has_namespaces", AT(BOOL, bh_peer, has_namespaces) },
	{ "namespaces", STRUCT(bh_peer, namespaces, selector_shape) },
	{ "pods", STRUCT(bh_peer, pods, selector_shape) },
	{ "cidr", AT(CIDR, bh_peer, cidr) },
	{ "except", LIST(bh_peer, except, n_except, cidr_shape) },
	{ "line", AT(INT, bh_peer, line) },
	{ 0 },
};
static const struct shape peer_shape = { sizeof(struct bh_peer), peer_members, check_peer };

static const char *check_policy_port(const void *item)
{
	const struct bh_policy_port *p = item;

	return p->first <= p->last ? NULL : "ends before it begins";
}

static const struct member policy_port_members[] = {
	{ "protocol", AT(U8, bh_policy_port, protocol) },
	{ "name", AT(OPTIONAL_STRING, bh_policy_port, name) },
	{ "first", AT(U16, bh_policy_port, first) },
	{ "last", AT(U16, bh_policy_port, last) },
	{ "line", AT(INT, bh_policy_port, line) },
	{ 0 },
};
static const struct shape policy_port_shape = { sizeof(struct bh_policy_port), policy_port_members,
						check_policy_port };

static const struct member rule_members[] = {
	{ "name", AT(OPTIONAL_STRING, bh_rule, name) },
	{ "action", ENUM(bh_rule, action, BH_ACTION_COUNT_) },
	{ "has_peers", AT(BOOL, bh_rule, has_peers) },
	{ "peers", LIST(bh_rule, peers, n_peers, peer_shape) },
	{ "has_ports", AT(BOOL, bh_rule, has_ports) },
	{ "ports", LIST(bh_rule, ports, n_ports, policy_port_shape) },
	{ "line", AT(INT, bh_rule, line) },
	{ 0 },
};
static const struct shape rule_shape = { sizeof(struct bh_rule), rule_members, NULL };

static const char *check_policy(const void *item)
{
	const struct bh_policy *p = item;
	enum bh_dir dir;
	size_t i;

	/* Elsewhere a rule can do more than allow. */
	for (dir = 0; dir < BH_DIR_COUNT_; dir++)
		for (i = 0; p->tier == BH_TIER_NETWORK_POLICY && i < p->rules[dir].n; i++)
			if (p->rules[dir].items[i].action != BH_ALLOW)
				return "has a rule that does not allow";
	return NULL;
}

static const struct member policy_members[] = {
	{ "kind", ENUM(bh_policy, kind, BH_POLICY_KIND_COUNT_) },
	/* No source that is written has a quarantine. */
	{ "tier", ENUM_FROM(bh_policy, tier, BH_TIER_ADMIN, BH_TIER_COUNT_) },
	{ "priority", AT(INT, bh_policy, priority) },
	{ "namespace", AT(STRING, bh_policy, namespace) },
	{ "name", AT(NEEDED_STRING, bh_policy, name) },
	{ "uid", AT(STRING, bh_policy, uid) },
	{ "generation", AT(64, bh_policy, generation) },
	{ "has_namespaces", AT(BOOL, bh_policy, has_namespaces) },
	{ "namespaces", STRUCT(bh_policy, namespaces, selector_shape) },
	{ "pods", STRUCT(bh_policy, pods, selector_shape) },
	{ "has_types", AT(BOOL, bh_policy, has_policy_types) },
	{ "isolates_ingress", AT(BOOL, bh_policy, isolates[BH_INGRESS]) },
	{ "isolates_egress", AT(BOOL, bh_policy, isolates[BH_EGRESS]) },
	{ "ingress", LIST(bh_policy, rules[BH_INGRESS].items, rules[BH_INGRESS].n, rule_shape) },
	{ "egress", LIST(bh_policy, rules[BH_EGRESS].items, rules[BH_EGRESS].n, rule_shape) },
	{ "mode", ENUM(bh_policy, mode, BH_MODE_COUNT_) },
	{ "invalid", AT(OPTIONAL_STRING, bh_policy, invalid) },
	{ "file", AT(OPTIONAL_STRING, bh_policy, file) },
	{ "line", AT(INT, bh_policy, line) },
	{ 0 },
};
static const struct shape policy_shape = { sizeof(struct bh_policy), policy_members, check_policy };

/* A line is an object with one of these keys. */
static const struct {
	const char *key;
	const struct shape *shape;
	size_t at; /* within struct bh_fact */
} kinds[] = {
	[BH_KIND_POD] = { "pod", &pod_shape, offsetof(struct bh_fact, pod) },
	[BH_KIND_NAMESPACE] = { "namespace", &namespace_shape, offsetof(struct bh_fact, ns) },
	[BH_KIND_NODE] = { "node", &node_shape, offsetof(struct bh_fact, node) },
	[BH_KIND_POLICY] = { "policy", &policy_shape, offsetof(struct bh_fact, policy) },
};
static_assert(BH_ARRAY_LEN(kinds) == BH_KIND_COUNT_, "every kind of fact has a shape");

/* --- writing ---------------------------------------------------------------------------- */

static void put_string(struct bh_buf *out, const char *s)
{
	bh_buf_putc(out, '"');
	while (*s) {
		size_t plain = 0;

		while (s[plain] && s[plain] != '"' && s[plain] != '\\' &&
		       (unsigned char)s[plain] >= ' ')
			plain++;
		bh_buf_add(out, s, plain);
		s += plain;
		if (!*s)
			break;
		bh_buf_printf(out, "\\u%04x", (unsigned char)*s++);
	}
	bh_buf_putc(out, '"');
}

static void put_struct(struct bh_buf *out, const struct shape *shape, const char *item);

static const void *pointer_at(const char *item, size_t at)
{
	const void *p;

	memcpy(&p, item + at, sizeof(p));
	return p;
}

static size_t size_at(const char *item, size_t at)
{
	size_t n;

	memcpy(&n, item + at, sizeof(n));
	return n;
}

/* Enums and int share a size, and are read as what they are. */
static long long number_at(const char *item, const struct member *m)
{
	uint8_t u8;
	uint16_t u16;
	int64_t i64;
	int i;

	switch (m->type) {
	case TYPE_BOOL:
	case TYPE_U8: memcpy(&u8, item + m->at, sizeof(u8)); return u8;
	case TYPE_U16: memcpy(&u16, item + m->at, sizeof(u16)); return u16;
	case TYPE_64: memcpy(&i64, item + m->at, sizeof(i64)); return i64;
	default: memcpy(&i, item + m->at, sizeof(i)); return i - (int)m->first;
	}
}

static_assert(sizeof(enum bh_action) == sizeof(int), "enums are read as int");
static_assert(sizeof(bool) == sizeof(uint8_t), "bool is read as a byte");

static bool is_empty(const char *item, const struct member *m)
{
	const char *s;

	switch (m->type) {
	case TYPE_STRING:
	case TYPE_NEEDED_STRING: s = pointer_at(item, m->at); return !s || !*s;
	case TYPE_OPTIONAL_STRING: return !pointer_at(item, m->at);
	case TYPE_LIST:
	case TYPE_STRINGS: return size_at(item, m->n_at) == 0;
	case TYPE_ADDR: return false;
	case TYPE_CIDR: {
		static const struct bh_cidr none;

		return memcmp(item + m->at, &none, sizeof(none)) == 0;
	}
	case TYPE_STRUCT:
		item += m->at;
		for (m = m->of->members; m->key; m++)
			if (!is_empty(item, m))
				return false;
		return true;
	default: return number_at(item, m) == 0;
	}
}

static void put_list(struct bh_buf *out, const char *item, const struct member *m)
{
	const char *items = pointer_at(item, m->at);
	size_t n = size_at(item, m->n_at), i;

	bh_buf_putc(out, '[');
	for (i = 0; i < n; i++) {
		if (i > 0)
			bh_buf_putc(out, ',');
		if (m->type == TYPE_STRINGS)
			put_string(out, pointer_at(items, i * sizeof(char *)));
		else
			put_struct(out, m->of, items + i * m->of->size);
	}
	bh_buf_putc(out, ']');
}

static void put_member(struct bh_buf *out, const char *item, const struct member *m)
{
	char text[BH_CIDR_STRLEN];
	struct bh_addr addr;
	struct bh_cidr cidr;

	switch (m->type) {
	case TYPE_STRING:
	case TYPE_OPTIONAL_STRING:
	case TYPE_NEEDED_STRING: put_string(out, pointer_at(item, m->at)); return;
	case TYPE_ADDR:
		memcpy(&addr, item + m->at, sizeof(addr));
		put_string(out, bh_addr_format(&addr, text));
		return;
	case TYPE_CIDR:
		memcpy(&cidr, item + m->at, sizeof(cidr));
		put_string(out, bh_cidr_format(&cidr, text));
		return;
	case TYPE_STRUCT: put_struct(out, m->of, item + m->at); return;
	case TYPE_LIST:
	case TYPE_STRINGS: put_list(out, item, m); return;
	default: bh_buf_printf(out, "%lld", number_at(item, m)); return;
	}
}

static void put_struct(struct bh_buf *out, const struct shape *shape, const char *item)
{
	const struct member *m;
	char sep = '{';

	for (m = shape->members; m->key; m++) {
		if (is_empty(item, m))
			continue;
		bh_buf_putc(out, sep);
		bh_buf_putc(out, '"');
		bh_buf_puts(out, m->key);
		bh_buf_puts(out, "\":");
		put_member(out, item, m);
		sep = ',';
	}
	bh_buf_puts(out, sep == '{' ? "{}" : "}");
}

void bh_fact_encode(const struct bh_fact *fact, struct bh_buf *out)
{
	bh_buf_puts(out, "{\"");
	bh_buf_puts(out, kinds[fact->kind].key);
	bh_buf_puts(out, "\":");
	put_struct(out, kinds[fact->kind].shape, (const char *)fact + kinds[fact->kind].at);
	bh_buf_putc(out, '}');
}

/* --- reading ----------------------------------------------------------------------------- */

static int get_struct(const json_t *json, const struct shape *shape, struct bh_arena *arena,
		      char *item, struct bh_err *err);

static int wrong(const struct member *m, const char *what, struct bh_err *err)
{
	return bh_err(err, -EINVAL, "%s: %s", m->key, what);
}

static void set_pointer(char *item, size_t at, const void *p)
{
	memcpy(item + at, &p, sizeof(p));
}

static int get_string(const json_t *json, const struct member *m, struct bh_arena *arena,
		      char *item, struct bh_err *err)
{
	const char *s = json_string_value(json);

	if (json && !s)
		return wrong(m, "is no string", err);
	if (m->type == TYPE_NEEDED_STRING && (!s || !*s))
		return wrong(m, "is missing", err);
	if (s || m->type != TYPE_OPTIONAL_STRING)
		set_pointer(item, m->at, bh_arena_strdup(arena, s ? s : ""));
	return 0;
}

static int get_number(const json_t *json, const struct member *m, char *item, struct bh_err *err)
{
	static const long long limits[][2] = {
		[TYPE_BOOL] = { 0, 1 },
		[TYPE_U8] = { 0, UINT8_MAX },
		[TYPE_U16] = { 0, UINT16_MAX },
		[TYPE_INT] = { INT32_MIN, INT32_MAX },
		[TYPE_64] = { INT64_MIN, INT64_MAX },
		[TYPE_ENUM] = { 0, 0 },
	};
	long long v = json_integer_value(json);
	long long max =
		m->type == TYPE_ENUM ? (long long)m->count - 1 - m->first : limits[m->type][1];
	uint8_t u8 = (uint8_t)v;
	uint16_t u16 = (uint16_t)v;
	int64_t i64 = v;
	int i = (int)(v + m->first);

	if (json && !json_is_integer(json))
		return wrong(m, "is no number", err);
	if (v < limits[m->type][0] || v > max)
		return wrong(m, "is out of range", err);
	switch (m->type) {
	case TYPE_BOOL:
	case TYPE_U8: memcpy(item + m->at, &u8, sizeof(u8)); return 0;
	case TYPE_U16: memcpy(item + m->at, &u16, sizeof(u16)); return 0;
	case TYPE_64: memcpy(item + m->at, &i64, sizeof(i64)); return 0;
	default: memcpy(item + m->at, &i, sizeof(i)); return 0;
	}
}

static int get_address(const json_t *json, const struct member *m, char *item, struct bh_err *err)
{
	const char *s = json_string_value(json);
	struct bh_addr addr;
	struct bh_cidr cidr;
	int r;

	if (!s && (json || m->type == TYPE_ADDR))
		return wrong(m, "is no string", err);
	if (!s)
		return 0;
	if (m->type == TYPE_ADDR) {
		r = bh_addr_parse(s, &addr, err);
		if (r == 0)
			memcpy(item + m->at, &addr, sizeof(addr));
	} else {
		r = bh_cidr_parse(s, &cidr, err);
		if (r == 0)
			memcpy(item + m->at, &cidr, sizeof(cidr));
	}
	return r < 0 ? bh_err_wrap(err, r, "%s", m->key) : 0;
}

static int get_strings(const json_t *json, const struct member *m, const char **items,
		       struct bh_arena *arena, struct bh_err *err)
{
	const json_t *at;
	size_t i;

	json_array_foreach(json, i, at)
	{
		if (!json_is_string(at))
			return wrong(m, "holds what is no string", err);
		items[i] = bh_arena_strdup(arena, json_string_value(at));
	}
	return 0;
}

static int get_list(const json_t *json, const struct member *m, struct bh_arena *arena, char *item,
		    struct bh_err *err)
{
	size_t size = m->type == TYPE_STRINGS ? sizeof(char *) : m->of->size;
	size_t n = json_array_size(json), i;
	char *items;
	int r = 0;

	if (json && !json_is_array(json))
		return wrong(m, "is no list", err);
	if (n == 0)
		return 0;
	items = bh_arena_array(arena, n, size);
	if (m->type == TYPE_STRINGS)
		r = get_strings(json, m, (const char **)(void *)items, arena, err);
	for (i = 0; m->type == TYPE_LIST && i < n && r == 0; i++) {
		r = get_struct(json_array_get(json, i), m->of, arena, items + i * size, err);
		if (r < 0)
			bh_err_wrap(err, r, "%s[%zu]", m->key, i);
	}
	set_pointer(item, m->at, items);
	memcpy(item + m->n_at, &n, sizeof(n));
	return r;
}

static int get_member(const json_t *json, const struct member *m, struct bh_arena *arena,
		      char *item, struct bh_err *err)
{
	int r;

	switch (m->type) {
	case TYPE_STRING:
	case TYPE_OPTIONAL_STRING:
	case TYPE_NEEDED_STRING: return get_string(json, m, arena, item, err);
	case TYPE_ADDR:
	case TYPE_CIDR: return get_address(json, m, item, err);
	case TYPE_LIST:
	case TYPE_STRINGS: return get_list(json, m, arena, item, err);
	case TYPE_STRUCT:
		r = json ? get_struct(json, m->of, arena, item + m->at, err) : 0;
		return r < 0 ? bh_err_wrap(err, r, "%s", m->key) : 0;
	default: return get_number(json, m, item, err);
	}
}

static int get_struct(const json_t *json, const struct shape *shape, struct bh_arena *arena,
		      char *item, struct bh_err *err)
{
	const struct member *m;
	const char *why;

	if (!json_is_object(json))
		return bh_err(err, -EINVAL, "is no object");
	for (m = shape->members; m->key; m++) {
		int r = get_member(json_object_get(json, m->key), m, arena, item, err);

		if (r < 0)
			return r;
	}
	why = shape->check ? shape->check(item) : NULL;
	return why ? bh_err(err, -EINVAL, "%s", why) : 0;
}

static int get_fact(const json_t *root, struct bh_arena *arena, struct bh_fact *fact,
		    struct bh_err *err)
{
	enum bh_kind kind;

	for (kind = 0; kind < BH_KIND_COUNT_; kind++) {
		const json_t *json = json_object_get(root, kinds[kind].key);
		int r;

		if (!json)
			continue;
		fact->kind = kind;
		r = get_struct(json, kinds[kind].shape, arena, (char *)fact + kinds[kind].at, err);
		return r < 0 ? bh_err_wrap(err, r, "%s", kinds[kind].key) : 0;
	}
	return bh_err(err, -EINVAL, "is no fact of a known kind");
}

int bh_fact_decode(const char *line, size_t len, enum bh_source source, struct bh_arena *arena,
		   struct bh_fact *ret, struct bh_err *err)
{
	struct bh_fact fact = { .source = source };
	json_error_t why;
	json_t *root = json_loadb(line, len, 0, &why);
	int r;

	if (!root)
		return bh_err(err, -EINVAL, "is no JSON: %s", why.text);
	r = get_fact(root, arena, &fact, err);
	json_decref(root);
	if (r == 0)
		*ret = fact;
	return r;
}
