#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/docs.h"
#include "bh/sim.h"

#define API_VERSION "bulkhead.dev/v1alpha1"
#define KIND        "Assertions"

struct bh_assertions {
	struct bh_arena *arena;
	struct bh_assertion *items;
	size_t n, cap;
};

struct parser {
	struct bh_assertions *out;
	const char *file;
	struct bh_docs *docs;
	const char *namespace; /* of ends that name none */
	struct bh_err *err;
};

static int refuse(const struct parser *p, const json_t *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int refuse(const struct parser *p, const json_t *at, const char *fmt, ...)
{
	int line = bh_docs_line(p->docs, at);
	struct bh_buf text = { 0 };
	va_list ap;

	va_start(ap, fmt);
	bh_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	bh_err(p->err, -EINVAL, "%s:%d: %s", p->file, line, bh_buf_str(&text));
	bh_buf_done(&text);
	return -EINVAL;
}

/* Whoever misspells a key would believe in a test that is not there. */
static int check_keys(const struct parser *p, json_t *object, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		size_t i;

		for (i = 0; known[i] && strcmp(known[i], key) != 0; i++)
			;
		if (!known[i])
			return refuse(p, value, "unknown key '%.64s'", key);
	}
	return 0;
}

static int need_string(const struct parser *p, json_t *object, const char *key, const char **ret)
{
	json_t *value = json_object_get(object, key);

	if (!value)
		return refuse(p, object, "%s is missing", key);
	if (!json_is_string(value) || !*json_string_value(value))
		return refuse(p, value, "%s must be a text that is not empty", key);
	*ret = bh_arena_strdup(p->out->arena, json_string_value(value));
	return 0;
}

/* --- ends and ports -------------------------------------------------------------------------- */

static const char *qualify(const struct parser *p, const char *end)
{
	bool is_service = strncmp(end, "svc:", 4) == 0;
	struct bh_addr a;

	if (strchr(end, '/') || strncmp(end, "node:", 5) == 0 || bh_addr_parse(end, &a, NULL) == 0)
		return bh_arena_strdup(p->out->arena, end);
	return bh_arena_printf(p->out->arena, "%s%s/%s", is_service ? "svc:" : "", p->namespace,
			       end + (is_service ? 4 : 0));
}

static const struct protocol {
	const char *name;
	uint8_t number;
	bool has_ports;
} protocols[] = {
	{ "TCP", IPPROTO_TCP, true },
	{ "UDP", IPPROTO_UDP, true },
	{ "SCTP", IPPROTO_SCTP, true },
	{ "ICMP", IPPROTO_ICMP, false },
};

static const struct protocol *find_protocol(const char *name)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(protocols); i++)
		if (strcasecmp(protocols[i].name, name) == 0)
			return &protocols[i];
	return NULL;
}

/* 8080, "8080/UDP", "ICMP" */
static int parse_port(const struct parser *p, const json_t *json, struct bh_assertion *ret)
{
	const struct protocol *protocol = &protocols[0];
	unsigned long port = 0;
	char *end = NULL;
	const char *text;

	if (json_is_integer(json)) {
		json_int_t v = json_integer_value(json);

		port = v < 0 || v > UINT16_MAX ? 0 : (unsigned long)v;
	} else {
		text = json_string_value(json);
		if (!text)
			return refuse(p, json, "a port is a number, NUMBER/PROTOCOL or ICMP");
		protocol = find_protocol(text);
		if (!protocol) {
			port = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
			protocol = end && *end == '/' ? find_protocol(end + 1) : NULL;
		}
	}
	if (!protocol || protocol->has_ports != (port > 0) || port > UINT16_MAX)
		return refuse(p, json,
			      "a port is a number within 1-65535, NUMBER/PROTOCOL or ICMP");
	ret->protocol = protocol->number;
	ret->port = (uint16_t)port;
	ret->port_text = port ? bh_arena_printf(p->out->arena, "%lu/%s", port, protocol->name)
			      : protocol->name;
	return 0;
}

/* --- entries --------------------------------------------------------------------- */

/* One value, or each of a list that is not empty. */
struct values {
	json_t *json;
	size_t n;
};

static int need_values(const struct parser *p, json_t *entry, const char *one, const char *many,
		       struct values *ret)
{
	json_t *a = json_object_get(entry, one), *b = many ? json_object_get(entry, many) : NULL;
	json_t *value = a ? a : b;

	if (a && b)
		return refuse(p, b, "%s and %s exclude each other", one, many);
	if (!value)
		return refuse(p, entry, "%s is missing", one);
	*ret = (struct values){ value, json_is_array(value) ? json_array_size(value) : 1 };
	if (ret->n == 0)
		return refuse(p, value, "the list is empty");
	return 0;
}

static const json_t *value_at(const struct values *v, size_t i)
{
	return json_is_array(v->json) ? json_array_get(v->json, i) : v->json;
}

static int parse_end(const struct parser *p, const json_t *json, const char **ret)
{
	const char *s = json_string_value(json);

	if (!s || !*s)
		return refuse(p, json, "an end is a text: NAMESPACE/NAME, an address, node:NAME");
	*ret = qualify(p, s);
	return 0;
}

static int add_combinations(const struct parser *p, const struct bh_assertion *entry,
			    const struct values *from, const struct values *to,
			    const struct values *ports)
{
	struct bh_assertions *out = p->out;
	struct bh_assertion a = *entry;
	size_t i, k, m;
	int r;

	for (i = 0; i < from->n; i++) {
		for (k = 0; k < to->n; k++) {
			for (m = 0; m < ports->n; m++) {
				if (out->n == BH_ASSERTIONS_MAX)
					return refuse(p, from->json, "more than %d flows",
						      BH_ASSERTIONS_MAX);
				r = parse_end(p, value_at(from, i), &a.src);
				if (r == 0)
					r = parse_end(p, value_at(to, k), &a.dst);
				if (r == 0)
					r = parse_port(p, value_at(ports, m), &a);
				if (r < 0)
					return r;
				bh_grow(&out->items, &out->cap, out->n, sizeof(*out->items));
				out->items[out->n++] = a;
			}
		}
	}
	return 0;
}

static int parse_expectation(const struct parser *p, json_t *entry, struct bh_assertion *ret)
{
	const char *text;
	int r = need_string(p, entry, "expect", &text);

	if (r < 0)
		return r;
	if (strcmp(text, "allowed") != 0 && strcmp(text, "denied") != 0)
		return refuse(p, json_object_get(entry, "expect"),
			      "expect is allowed or denied, not '%.64s'", text);
	ret->expected = strcmp(text, "allowed") == 0 ? BH_SIM_ALLOWED : BH_SIM_DENIED;
	return 0;
}

static int parse_entry(const struct parser *p, json_t *entry)
{
	static const char *const known[] = { "name",  "from",   "to",      "port",
					     "ports", "expect", "because", NULL };
	struct bh_assertion a = { .file = p->file, .line = bh_docs_line(p->docs, entry) };
	struct values from, to, ports;
	int r;

	if (!json_is_object(entry))
		return refuse(p, entry, "a flow is a mapping with name, from, to, port and expect");
	r = check_keys(p, entry, known);
	if (r == 0)
		r = need_string(p, entry, "name", &a.name);
	if (r == 0)
		r = need_values(p, entry, "from", NULL, &from);
	if (r == 0)
		r = need_values(p, entry, "to", NULL, &to);
	if (r == 0)
		r = need_values(p, entry, "port", "ports", &ports);
	if (r == 0)
		r = parse_expectation(p, entry, &a);
	if (r == 0 && json_object_get(entry, "because"))
		r = need_string(p, entry, "because", &a.because);
	return r < 0 ? r : add_combinations(p, &a, &from, &to, &ports);
}

static int parse_document(struct parser *p, json_t *root)
{
	static const char *const known[] = { "apiVersion", "kind",  "metadata",
					     "namespace",  "flows", NULL };
	const char *version, *kind;
	json_t *flows, *entry;
	size_t i;
	int r;

	if (!json_is_object(root))
		return refuse(p, root, "a document is a mapping of kind " KIND);
	r = need_string(p, root, "apiVersion", &version);
	if (r == 0)
		r = need_string(p, root, "kind", &kind);
	if (r < 0)
		return r;
	if (strcmp(version, API_VERSION) != 0 || strcmp(kind, KIND) != 0)
		return refuse(p, root, "is %.64s %.64s, not " API_VERSION " " KIND, version, kind);
	r = check_keys(p, root, known);
	p->namespace = "default";
	if (r == 0 && json_object_get(root, "namespace"))
		r = need_string(p, root, "namespace", &p->namespace);
	if (r < 0)
		return r;
	flows = json_object_get(root, "flows");
	if (!json_is_array(flows) || json_array_size(flows) == 0)
		return refuse(p, flows ? flows : root, "flows must be a list that is not empty");
	json_array_foreach(flows, i, entry)
	{
		r = parse_entry(p, entry);
		if (r < 0)
			return r;
	}
	return 0;
}

int bh_assertions_parse(struct bh_assertions **ret, const char *file, const char *text, size_t len,
			struct bh_err *err)
{
	bh_auto(bh_assertions_free) struct bh_assertions *a = bh_calloc(1, sizeof(*a));
	bh_auto(bh_docs_free) struct bh_docs *docs = NULL;
	struct parser p = { .out = a, .err = err };
	size_t i;
	int r;

	a->arena = bh_arena_new();
	r = bh_docs_parse(file, text, len, &docs, err);
	if (r < 0)
		return r;
	p.docs = docs;
	p.file = bh_arena_strdup(a->arena, file);
	for (i = 0; i < bh_docs_count(docs); i++) {
		r = parse_document(&p, bh_docs_root(docs, i));
		if (r < 0)
			return r;
	}
	if (a->n == 0)
		return bh_err(err, -EINVAL, "%s: there is no document of kind " KIND, file);
	*ret = bh_take_ptr(a);
	return 0;
}

void bh_assertions_free(struct bh_assertions **a)
{
	if (!*a)
		return;
	bh_arena_free(&(*a)->arena);
	free((*a)->items);
	free(*a);
	*a = NULL;
}

size_t bh_assertions_items(const struct bh_assertions *a, const struct bh_assertion **ret)
{
	*ret = a->items;
	return a->n;
}

/* --- judging --------------------------------------------------------------------- */

static bool is_named(const struct bh_policy *p, const char *name)
{
	size_t len;

	if (!p)
		return false;
	len = strlen(p->namespace);
	if (len == 0)
		return strcmp(p->name, name) == 0;
	return strncmp(p->namespace, name, len) == 0 && name[len] == '/' &&
	       strcmp(p->name, name + len + 1) == 0;
}

/* Whether that policy has a part in what came out: its rule decided, or it isolates. */
static bool decides(const struct bh_dir_verdict *v, const char *name)
{
	size_t i;

	if (bh_reason_has_rule(v->reason))
		return is_named(v->rule.policy, name);
	for (i = 0; i < v->n_isolating && i < BH_MAX_ISOLATING; i++)
		if (is_named(v->isolating[i], name))
			return true;
	return false;
}

static bool is_because(const struct bh_result *r, const char *name)
{
	size_t d;

	for (d = 0; d < BH_DIR_COUNT_; d++)
		if (r->dir[d].verdict == r->verdict && decides(&r->dir[d], name))
			return true;
	return false;
}

/* True if every answer is as expected; the first that is not is described. */
static bool are_expected(const struct bh_sim *sim, const struct bh_assertion *a,
			 const struct bh_sim_answers *answers, struct bh_buf *why)
{
	size_t i;

	for (i = 0; i < answers->n; i++) {
		const struct bh_sim_answer *one = &answers->items[i];

		if (one->verdict == a->expected &&
		    (!a->because || is_because(&one->result, a->because)))
			continue;
		if (one->verdict == a->expected)
			bh_buf_printf(why, "%s, but not because of %s:\n",
				      bh_sim_verdict_str(one->verdict), a->because);
		else if (one->verdict == BH_SIM_UNDECIDABLE)
			bh_buf_printf(why, "undecidable: %s\n", answers->why);
		bh_sim_answer_describe(sim, one, why);
		return false;
	}
	return true;
}

bool bh_assertion_holds(const struct bh_sim *sim, const struct bh_assertion *a, struct bh_buf *why)
{
	const struct bh_sim_query q = {
		.src = a->src, .dst = a->dst, .protocol = a->protocol, .port = a->port
	};
	struct bh_sim_answers answers;
	struct bh_err err = { 0 };
	bool holds;

	if (bh_sim_ask(sim, &q, &answers, &err) < 0) {
		bh_buf_printf(why, "%s\n", bh_err_text(&err));
		return false;
	}
	holds = are_expected(sim, a, &answers, why);
	bh_sim_answers_done(&answers);
	return holds;
}
