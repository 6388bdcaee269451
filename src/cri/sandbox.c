#include "sandbox.h"

#include <errno.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Kubelet copies the pod's identity into the sandbox's labels under this prefix. */
#define KUBELET_LABELS "io.kubernetes.pod."

static bool is_word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

bool bh_cri_is_id(const char *s, size_t max)
{
	size_t n;

	for (n = 0; s[n]; n++) {
		if (n == max || !is_word_char(s[n]))
			return false;
	}
	return n > 0;
}

/* At most @max characters, printable ASCII: everything the API server accepts. */
static bool is_plain(const char *s, size_t max)
{
	size_t n;

	for (n = 0; s[n]; n++) {
		if (n == max || s[n] < 0x20 || s[n] > 0x7e)
			return false;
	}
	return true;
}

static const char *text(const char *s)
{
	return s ? s : "";
}

/* --- ports ---------------------------------------------------------------------- */

/* An IANA service name (RFC 6335 section 5.1), as the API server demands. */
static bool is_port_name(const char *s)
{
	bool has_letter = false;
	size_t n;

	for (n = 0; s[n]; n++) {
		bool is_letter = s[n] >= 'a' && s[n] <= 'z';
		bool is_digit = s[n] >= '0' && s[n] <= '9';

		if (n == 15 || (!is_letter && !is_digit && s[n] != '-'))
			return false;
		if (s[n] == '-' && (n == 0 || s[n - 1] == '-' || s[n + 1] == '\0'))
			return false;
		has_letter |= is_letter;
	}
	return has_letter;
}

static int parse_protocol(const json_t *v, uint8_t *ret)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} t[] = {
		{ "TCP", IPPROTO_TCP },
		{ "UDP", IPPROTO_UDP },
		{ "SCTP", IPPROTO_SCTP },
	};
	size_t i;

	*ret = IPPROTO_TCP;
	if (!v || json_is_null(v))
		return 0;
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (json_is_string(v) && strcmp(json_string_value(v), t[i].name) == 0) {
			*ret = t[i].protocol;
			return 0;
		}
	}
	return -EINVAL;
}

/* 1 for a named port, 0 for one without a name. */
static int parse_port(const json_t *v, struct bh_arena *arena, struct bh_port *ret,
		      struct bh_err *err)
{
	const json_t *name = json_object_get(v, "name");
	const json_t *number = json_object_get(v, "containerPort");
	struct bh_port p;

	if (!json_is_object(v))
		return bh_err(err, -EINVAL, "is not an object");
	if (!json_is_integer(number) || json_integer_value(number) < 1 ||
	    json_integer_value(number) > UINT16_MAX)
		return bh_err(err, -EINVAL, "containerPort is not within 1-65535");
	if (parse_protocol(json_object_get(v, "protocol"), &p.protocol) < 0)
		return bh_err(err, -EINVAL, "protocol is not TCP, UDP or SCTP");
	if (!name || json_is_null(name) || (json_is_string(name) && json_string_length(name) == 0))
		return 0;
	if (!json_is_string(name) || !is_port_name(json_string_value(name)))
		return bh_err(err, -EINVAL,
			      "name is not a port name (at most 15 of a-z, 0-9 and -)");
	p.number = (uint16_t)json_integer_value(number);
	p.name = bh_arena_strdup(arena, json_string_value(name));
	*ret = p;
	return 1;
}

static int parse_port_list(const json_t *root, struct bh_arena *arena, const struct bh_port **ret,
			   size_t *ret_n, struct bh_err *err)
{
	size_t i, n = 0, n_items = json_array_size(root);
	struct bh_port *ports;
	int r;

	if (!json_is_array(root))
		return bh_err(err, -EINVAL, "is not a list");
	if (n_items > BH_CRI_MAX_PORTS)
		return bh_err(err, -E2BIG, "has over %d entries", BH_CRI_MAX_PORTS);
	ports = bh_arena_array(arena, n_items, sizeof(*ports));
	for (i = 0; i < n_items; i++) {
		r = parse_port(json_array_get(root, i), arena, &ports[n], err);
		if (r < 0)
			return bh_err_wrap(err, r, "[%zu]", i);
		n += (size_t)r;
	}
	*ret = ports;
	*ret_n = n;
	return 0;
}

int bh_cri_parse_ports(const char *json, struct bh_arena *arena, const struct bh_port **ret,
		       size_t *ret_n, struct bh_err *err)
{
	json_error_t e;
	json_t *root;
	int r;

	if (strlen(json) > BH_CRI_MAX_JSON)
		return bh_err(err, -E2BIG, "is over %u bytes", BH_CRI_MAX_JSON);
	root = json_loads(json, JSON_REJECT_DUPLICATES, &e);
	if (!root)
		return bh_err(err, -EINVAL, "is not JSON: %.100s", e.text);
	r = parse_port_list(root, arena, ret, ret_n, err);
	json_decref(root);
	return r;
}

static bool has_port(const struct bh_port *ports, size_t n, const struct bh_port *p)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (ports[i].protocol == p->protocol && strcmp(ports[i].name, p->name) == 0)
			return true;
	}
	return false;
}

void bh_cri_unite_ports(const struct bh_port *a, size_t n_a, const struct bh_port *b, size_t n_b,
			struct bh_arena *arena, const struct bh_port **ret, size_t *ret_n)
{
	struct bh_port *all = bh_arena_array(arena, n_a + n_b, sizeof(*all));
	size_t i, n = 0;

	for (i = 0; i < n_a + n_b && n < BH_CRI_MAX_PORTS; i++) {
		const struct bh_port *p = i < n_a ? &a[i] : &b[i - n_a];

		if (has_port(all, n, p))
			continue;
		all[n] = *p;
		all[n++].name = bh_arena_strdup(arena, p->name);
	}
	*ret = all;
	*ret_n = n;
}

/* --- the whole ------------------------------------------------------------------ */

/* Keeps the first problem; one is enough to make somebody look. */
__attribute__((format(printf, 3, 4))) static void
add_problem(struct bh_sandbox *s, struct bh_arena *arena, const char *fmt, ...)
{
	struct bh_err e = { 0 };
	va_list ap;

	if (s->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	s->problem = bh_arena_strdup(arena, e.text);
}

static int cmp_label(const void *a, const void *b)
{
	const struct bh_label *x = a, *y = b;
	int c = strcmp(x->key, y->key);

	/* Equal keys stay as they came: values point into one message. */
	return c ? c : strcmp(x->value, y->value);
}

static bool are_labels_good(const struct bh_sandbox_raw *raw)
{
	size_t i;

	if (raw->n_labels > BH_CRI_MAX_LABELS)
		return false;
	for (i = 0; i < raw->n_labels; i++) {
		if (!raw->labels[i].key[0] || !is_plain(raw->labels[i].key, BH_CRI_MAX_KEY) ||
		    !is_plain(raw->labels[i].value, BH_CRI_MAX_VALUE))
			return false;
	}
	return true;
}

static void make_labels(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
			struct bh_sandbox *s)
{
	struct bh_label *labels;
	size_t i, n = 0;

	if (!are_labels_good(raw)) {
		s->has_bad_labels = true;
		add_problem(
			s, arena,
			"its labels are malformed or too many; it is closed until they are not");
		return;
	}
	labels = bh_arena_array(arena, raw->n_labels, sizeof(*labels));
	for (i = 0; i < raw->n_labels; i++) {
		const struct bh_label *l = &raw->labels[i];

		if (strncmp(l->key, KUBELET_LABELS, strlen(KUBELET_LABELS)) == 0)
			continue;
		labels[n].key = bh_arena_strdup(arena, l->key);
		labels[n++].value = bh_arena_strdup(arena, l->value);
	}
	bh_sort(labels, n, sizeof(*labels), cmp_label);
	for (i = 1; i < n; i++) {
		if (strcmp(labels[i].key, labels[i - 1].key) == 0) {
			s->has_bad_labels = true;
			add_problem(s, arena, "it has label %s twice; it is closed", labels[i].key);
			return;
		}
	}
	s->labels = (struct bh_labels){ .items = labels, .n = n };
}

static void make_addrs(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
		       struct bh_sandbox *s)
{
	struct bh_addr *addrs = bh_arena_array(arena, BH_CRI_MAX_ADDRS, sizeof(*addrs));
	struct bh_err err = { 0 };
	size_t i, n = 0;

	s->has_network = raw->has_network;
	s->is_host_network = raw->is_host_network;
	if (raw->is_host_network)
		return;
	for (i = 0; i < raw->n_addrs; i++) {
		if (!raw->addrs[i] || !raw->addrs[i][0])
			continue;
		if (n == BH_CRI_MAX_ADDRS)
			add_problem(s, arena, "it has over %d addresses", BH_CRI_MAX_ADDRS);
		else if (bh_addr_parse(raw->addrs[i], &addrs[n], &err) < 0)
			add_problem(s, arena, "its address %s", err.text);
		else
			n++;
	}
	s->addrs = addrs;
	s->n_addrs = n;
}

/* Of the runtime's own making; an annotation, which is the pod's, never gets here. */
static void make_netns(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
		       struct bh_sandbox *s)
{
	if (raw->is_host_network || !raw->netns || !raw->netns[0])
		return;
	if (bh_netns_path_is_good(raw->netns))
		s->netns = bh_arena_strdup(arena, raw->netns);
	else
		add_problem(s, arena, "its network namespace has no path that can be used");
}

static void make_ports(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
		       struct bh_sandbox *s)
{
	const struct bh_labels annotations = { .items = raw->annotations, .n = raw->n_annotations };
	const char *json = bh_labels_get(&annotations, BH_CRI_PORTS_ANNOTATION);
	struct bh_err err = { 0 };

	if (json && bh_cri_parse_ports(json, arena, &s->ports, &s->n_ports, &err) < 0)
		add_problem(s, arena,
			    "annotation " BH_CRI_PORTS_ANNOTATION " %s; it has no named ports",
			    err.text);
}

static bool is_quarantined(const struct bh_sandbox_raw *raw)
{
	const struct bh_labels annotations = { .items = raw->annotations, .n = raw->n_annotations };
	const char *value = bh_labels_get(&annotations, BH_CRI_QUARANTINE_ANNOTATION);

	return value && strcmp(value, "false") != 0;
}

int bh_sandbox_make(const struct bh_sandbox_raw *raw, struct bh_arena *arena,
		    struct bh_sandbox *ret, struct bh_err *err)
{
	struct bh_sandbox s = {
		.attempt = raw->attempt,
		.has_state = raw->has_state,
		.is_finished = raw->is_finished,
		.is_quarantined = is_quarantined(raw),
		.created_ns = raw->created_ns,
	};

	if (!bh_cri_is_id(text(raw->id), BH_CRI_MAX_ID))
		return bh_err(err, -EINVAL, "'%.64s' is not a sandbox id", text(raw->id));
	if (!text(raw->name)[0] || !text(raw->namespace)[0])
		return 0;
	if (!bh_cri_is_id(raw->namespace, BH_CRI_MAX_NAME))
		return bh_err(err, -EINVAL, "'%.64s' is not a namespace", raw->namespace);
	if (!bh_cri_is_id(raw->name, BH_CRI_MAX_NAME))
		return bh_err(err, -EINVAL, "'%.64s' is not a pod name", raw->name);
	if (!is_plain(text(raw->uid), BH_CRI_MAX_UID))
		return bh_err(err, -EINVAL, "'%.64s' is not a uid", raw->uid);

	s.id = bh_arena_strdup(arena, raw->id);
	s.namespace = bh_arena_strdup(arena, raw->namespace);
	s.name = bh_arena_strdup(arena, raw->name);
	s.uid = bh_arena_strdup(arena, text(raw->uid));
	make_labels(raw, arena, &s);
	make_addrs(raw, arena, &s);
	make_netns(raw, arena, &s);
	make_ports(raw, arena, &s);
	*ret = s;
	return 1;
}

/* --- copying and comparing ------------------------------------------------------ */

static const char *dup(struct bh_arena *arena, const char *s)
{
	return s ? bh_arena_strdup(arena, s) : NULL;
}

void bh_sandbox_copy(const struct bh_sandbox *s, struct bh_arena *arena, struct bh_sandbox *ret)
{
	struct bh_label *labels = bh_arena_array(arena, s->labels.n, sizeof(*labels));
	struct bh_sandbox c = *s;
	size_t i;

	c.id = dup(arena, s->id);
	c.namespace = dup(arena, s->namespace);
	c.name = dup(arena, s->name);
	c.uid = dup(arena, s->uid);
	c.problem = dup(arena, s->problem);
	c.netns = dup(arena, s->netns);
	for (i = 0; i < s->labels.n; i++) {
		labels[i].key = dup(arena, s->labels.items[i].key);
		labels[i].value = dup(arena, s->labels.items[i].value);
	}
	c.labels.items = labels;
	c.addrs = bh_arena_memdup(arena, s->addrs, s->n_addrs * sizeof(*s->addrs));
	bh_cri_unite_ports(s->ports, s->n_ports, NULL, 0, arena, &c.ports, &c.n_ports);
	*ret = c;
}

static bool str_eq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool labels_eq(const struct bh_labels *a, const struct bh_labels *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++) {
		if (strcmp(a->items[i].key, b->items[i].key) != 0 ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	}
	return true;
}

static bool ports_eq(const struct bh_sandbox *a, const struct bh_sandbox *b)
{
	size_t i;

	if (a->n_ports != b->n_ports)
		return false;
	for (i = 0; i < a->n_ports; i++) {
		if (a->ports[i].number != b->ports[i].number ||
		    a->ports[i].protocol != b->ports[i].protocol ||
		    strcmp(a->ports[i].name, b->ports[i].name) != 0)
			return false;
	}
	return true;
}

static bool addrs_eq(const struct bh_sandbox *a, const struct bh_sandbox *b)
{
	size_t i;

	if (a->n_addrs != b->n_addrs)
		return false;
	for (i = 0; i < a->n_addrs; i++) {
		if (!bh_addr_eq(&a->addrs[i], &b->addrs[i]))
			return false;
	}
	return true;
}

bool bh_sandbox_eq(const struct bh_sandbox *a, const struct bh_sandbox *b)
{
	return str_eq(a->id, b->id) && str_eq(a->namespace, b->namespace) &&
	       str_eq(a->name, b->name) && str_eq(a->uid, b->uid) && a->attempt == b->attempt &&
	       labels_eq(&a->labels, &b->labels) && a->has_bad_labels == b->has_bad_labels &&
	       ports_eq(a, b) && addrs_eq(a, b) && str_eq(a->netns, b->netns) &&
	       a->has_network == b->has_network && a->is_host_network == b->is_host_network &&
	       a->has_state == b->has_state && a->is_finished == b->is_finished &&
	       a->is_quarantined == b->is_quarantined && a->created_ns == b->created_ns &&
	       str_eq(a->problem, b->problem);
}
