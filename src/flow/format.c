/*
 * Records as lines for people, and which of them somebody asked for.  Records
 * come from files as well, so no field is taken for granted and every text is
 * escaped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/flowlog.h"

#define RESET  "\033[0m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"

/* "" where the field is missing or no string. */
static const char *get(const json_t *record, const char *key)
{
	const char *s = json_string_value(json_object_get(record, key));

	return s ? s : "";
}

static json_int_t get_number(const json_t *record, const char *key)
{
	return json_integer_value(json_object_get(record, key));
}

/* "source.address" of "source" and "address". */
static const char *get_of(const json_t *record, const char *end, const char *key)
{
	char full[64];

	snprintf(full, sizeof(full), "%s.%s", end, key);
	return get(record, full);
}

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* --- columns ------------------------------------------------------------------------ */

#define TIME_WIDTH    19
#define VERDICT_WIDTH 8
#define DIR_WIDTH     7

/* Blanks up to @width of what was added since @start, and one more. */
static void pad(struct bh_buf *out, size_t start, size_t width)
{
	do
		bh_buf_putc(out, ' ');
	while (out->len - start <= width);
}

void bh_record_header(struct bh_buf *out)
{
	bh_buf_printf(out, "%-*s %-*s %-*s %s\n", TIME_WIDTH, "TIME", VERDICT_WIDTH, "VERDICT",
		      DIR_WIDTH, "", "SOURCE -> DESTINATION  PROTOCOL  REASON");
}

/* In local time, as people have it on their watch. */
static void add_time(const json_t *record, struct bh_buf *out)
{
	const char *text = get(record, "@timestamp");
	size_t start = out->len;
	char date[32];
	uint64_t ns;
	struct tm tm;
	time_t t;

	if (bh_time_parse(text, &ns) == 0) {
		t = (time_t)(ns / BH_NS_PER_S);
		if (localtime_r(&t, &tm) && strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm) > 0)
			bh_buf_printf(out, "%s.%03" PRIu64, date, ns % BH_NS_PER_S / BH_NS_PER_MS);
	} else {
		bh_buf_escape(out, *text ? text : "-");
	}
	pad(out, start, TIME_WIDTH);
}

/* By the verdict where there is one, else by the action. */
static void add_verdict(const json_t *record, bool color, struct bh_buf *out)
{
	static const struct {
		const char *key, *prefix, *word, *color;
	} t[] = {
		{ "event.action", "gap", "GAP", YELLOW },
		{ "event.action", "tamper", "TAMPER", RED },
		{ "policy.verdict", "denied", "DENIED", RED },
		{ "policy.verdict", "audit", "AUDIT", YELLOW },
		{ "policy.verdict", "allowed", "ALLOWED", GREEN },
		{ "event.action", "policy-", "POLICY", NULL },
		{ "event.action", "pod-", "POD", NULL },
	};
	const char *word = "EVENT", *paint = NULL;
	size_t len;

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (!starts_with(get(record, t[i].key), t[i].prefix))
			continue;
		word = t[i].word;
		paint = t[i].color;
		break;
	}
	len = strlen(word);
	if (color && paint)
		bh_buf_printf(out, "%s%s%s", paint, word, RESET);
	else
		bh_buf_puts(out, word);
	bh_buf_printf(out, "%*s", (int)(VERDICT_WIDTH + 1 - len), "");
}

/* Separates parts of the reason. */
static void add_part(struct bh_buf *out, bool *has_part)
{
	bh_buf_puts(out, *has_part ? "; " : "");
	*has_part = true;
}

/* A name that others chose; one without text is shown as such. */
static void add_text(struct bh_buf *out, const char *s)
{
	bh_buf_escape(out, *s ? s : "-");
}

static void add_name(struct bh_buf *out, const char *ns, const char *name)
{
	if (*ns) {
		bh_buf_escape(out, ns);
		bh_buf_putc(out, '/');
	}
	add_text(out, name);
}

/* --- flows ------------------------------------------------------------------------------ */

static void add_end(const json_t *record, const char *end, struct bh_buf *out)
{
	const char *pod = get_of(record, end, "k8s.pod.name");
	const char *node = get_of(record, end, "k8s.node.name");
	const char *entity = get_of(record, end, "entity");
	const char *addr = get_of(record, end, "address");
	char key[32];
	json_int_t port;

	if (*pod) {
		add_name(out, get_of(record, end, "k8s.namespace.name"), pod);
		bh_buf_putc(out, ' ');
	} else if (strcmp(entity, "node") == 0 && *node) {
		bh_buf_puts(out, "node ");
		bh_buf_escape(out, node);
		bh_buf_putc(out, ' ');
	} else if (*entity) {
		bh_buf_escape(out, entity);
		bh_buf_putc(out, ' ');
	}
	snprintf(key, sizeof(key), "%s.port", end);
	port = get_number(record, key);
	bh_buf_puts(out, port && strchr(addr, ':') ? "[" : "");
	add_text(out, addr);
	bh_buf_puts(out, port && strchr(addr, ':') ? "]" : "");
	if (port)
		bh_buf_printf(out, ":%" JSON_INTEGER_FORMAT, port);
}

static void add_protocol(const json_t *record, struct bh_buf *out)
{
	static const struct {
		const char *transport, *word;
	} t[] = {
		{ "tcp", "TCP" },   { "udp", "UDP" },          { "sctp", "SCTP" },
		{ "icmp", "ICMP" }, { "ipv6-icmp", "ICMPv6" },
	};
	const char *transport = get(record, "network.transport"), *word = NULL;

	for (size_t i = 0; i < BH_ARRAY_LEN(t) && !word; i++)
		if (strcmp(t[i].transport, transport) == 0)
			word = t[i].word;
	bh_buf_puts(out, "  ");
	if (word)
		bh_buf_puts(out, word);
	else if (*transport) {
		bh_buf_puts(out, "protocol ");
		bh_buf_escape(out, transport);
	}
	if (json_object_get(record, "icmp.type"))
		bh_buf_printf(out, " type %" JSON_INTEGER_FORMAT " code %" JSON_INTEGER_FORMAT,
			      get_number(record, "icmp.type"), get_number(record, "icmp.code"));
	if (get_number(record, "flow.count") > 1)
		bh_buf_printf(out, " x%" JSON_INTEGER_FORMAT, get_number(record, "flow.count"));
}

#define MAX_SHOWN 3

static void add_default_deny(const json_t *record, struct bh_buf *out, bool *has_part)
{
	const json_t *by = json_object_get(record, "policy.default_deny_by");
	size_t n = json_array_size(by), i;

	if (n == 0)
		return;
	add_part(out, has_part);
	bh_buf_puts(out, "default deny by ");
	for (i = 0; i < n && i < MAX_SHOWN; i++) {
		const char *name = json_string_value(json_array_get(by, i));

		bh_buf_puts(out, i > 0 ? ", " : "");
		add_text(out, name ? name : "");
	}
	if (n > i)
		bh_buf_printf(out, " and %zu more", n - i);
}

static void add_rule(const json_t *record, struct bh_buf *out, bool *has_part)
{
	const json_t *rule = json_object_get(record, "policy.rule");

	if (!json_is_object(rule))
		return;
	add_part(out, has_part);
	if (strcmp(get(rule, "kind"), "DefaultDeny") == 0) {
		bh_buf_puts(out, "default deny of namespace ");
		add_text(out, get(rule, "namespace"));
		return;
	}
	bh_buf_puts(out, "by ");
	add_name(out, get(rule, "namespace"), get(rule, "name"));
	if (json_object_get(rule, "rule_index"))
		bh_buf_printf(out, " rule %" JSON_INTEGER_FORMAT, get_number(rule, "rule_index"));
}

static void add_nearest(const json_t *record, struct bh_buf *out, bool *has_part)
{
	const json_t *near = json_array_get(json_object_get(record, "policy.nearest_miss"), 0);

	if (!json_is_object(near))
		return;
	add_part(out, has_part);
	bh_buf_puts(out, "nearest ");
	add_text(out, get(near, "name"));
	bh_buf_printf(out, " rule %" JSON_INTEGER_FORMAT ": ", get_number(near, "rule_index"));
	add_text(out, get(near, "why"));
}

static void add_reason(const json_t *record, struct bh_buf *out)
{
	const char *closed = get(record, "policy.closed");
	bool has_part = false;

	bh_buf_puts(out, "  ");
	add_rule(record, out, &has_part);
	add_default_deny(record, out, &has_part);
	add_nearest(record, out, &has_part);
	if (strcmp(get(record, "policy.reason"), "no-labels") == 0) {
		add_part(out, &has_part);
		bh_buf_puts(out, "the pod's labels are not known yet");
	}
	if (strcmp(get(record, "policy.reason"), "contested") == 0) {
		add_part(out, &has_part);
		bh_buf_puts(out, "the pod's address may be another pod's");
	}
	if (*closed) {
		add_part(out, &has_part);
		bh_buf_puts(out, "closed: ");
		bh_buf_escape(out, closed);
	}
}

static void add_flow(const json_t *record, struct bh_buf *out)
{
	size_t start = out->len;

	add_text(out, get(record, "network.direction"));
	pad(out, start, DIR_WIDTH);
	add_end(record, "source", out);
	bh_buf_puts(out, " -> ");
	add_end(record, "destination", out);
	add_protocol(record, out);
	add_reason(record, out);
}

/* --- other records ------------------------------------------------------------------------ */

static void add_gap(const json_t *record, struct bh_buf *out)
{
	const char *pod = get(record, "k8s.pod.name"), *addr = get(record, "pod.address");

	bh_buf_printf(out, "%" JSON_INTEGER_FORMAT " packets are in no record",
		      get_number(record, "evidence.lost"));
	if (*pod || *addr) {
		bh_buf_puts(out, " of ");
		if (*pod)
			add_name(out, get(record, "k8s.namespace.name"), pod);
		else
			bh_buf_escape(out, addr);
	}
	bh_buf_puts(out, ": ");
	add_text(out, get(record, "gap.reason"));
}

static void add_strings(const json_t *list, const char *between, struct bh_buf *out)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *s = json_string_value(json_array_get(list, i));

		bh_buf_puts(out, i > 0 ? between : "");
		add_text(out, s ? s : "");
	}
}

static void add_tamper(const json_t *record, struct bh_buf *out)
{
	bh_buf_puts(out, "our rules were changed by ");
	if (*get(record, "process.name"))
		bh_buf_escape(out, get(record, "process.name"));
	else
		bh_buf_puts(out, "an unknown program");
	if (get_number(record, "process.pid"))
		bh_buf_printf(out, " (pid %" JSON_INTEGER_FORMAT ")",
			      get_number(record, "process.pid"));
	if (json_array_size(json_object_get(record, "tamper.differences")) > 0)
		bh_buf_puts(out, ": ");
	add_strings(json_object_get(record, "tamper.differences"), "; ", out);
}

static void add_policy(const json_t *record, struct bh_buf *out)
{
	const json_t *rule = json_object_get(record, "policy.rule");

	add_text(out, get(rule, "kind"));
	bh_buf_putc(out, ' ');
	add_name(out, get(rule, "namespace"), get(rule, "name"));
	bh_buf_putc(out, ' ');
	add_text(out, *get(record, "policy.change") ? get(record, "policy.change") : "changed");
	if (*get(record, "policy.closed")) {
		bh_buf_puts(out, ": ");
		add_text(out, get(record, "policy.closed"));
	}
}

static void add_pod(const json_t *record, struct bh_buf *out)
{
	add_name(out, get(record, "k8s.namespace.name"), get(record, "k8s.pod.name"));
	bh_buf_puts(out, strcmp(get(record, "event.action"), "pod-unbound") == 0 ? " has left "
										 : " has ");
	add_strings(json_object_get(record, "k8s.pod.ip"), ", ", out);
}

void bh_record_format(const json_t *record, bool color, struct bh_buf *out)
{
	static const struct {
		const char *action;
		void (*add)(const json_t *record, struct bh_buf *out);
	} t[] = {
		{ "flow-", add_flow },    { "gap", add_gap },
		{ "tamper", add_tamper }, { "policy-changed", add_policy },
		{ "pod-", add_pod },
	};
	const char *action = get(record, "event.action");
	size_t i;

	add_time(record, out);
	add_verdict(record, color, out);
	for (i = 0; i < BH_ARRAY_LEN(t); i++)
		if (starts_with(action, t[i].action))
			break;
	if (i < BH_ARRAY_LEN(t))
		t[i].add(record, out);
	else
		add_text(out, action);
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
	bh_buf_putc(out, '\n');
}

/* --- filter -------------------------------------------------------------------------------- */

/* What names a pod: "" is the record's own (events, gaps). */
static const char *const ends[] = { "source.", "destination.", "" };

static const char *get_at(const json_t *record, const char *prefix, const char *key)
{
	char full[64];

	snprintf(full, sizeof(full), "%s%s", prefix, key);
	return get(record, full);
}

static bool is_about(const json_t *record, const char *ns, const char *pod)
{
	for (size_t i = 0; i < BH_ARRAY_LEN(ends); i++) {
		if (strcmp(get_at(record, ends[i], "k8s.namespace.name"), ns) != 0)
			continue;
		if (!pod || strcmp(get_at(record, ends[i], "k8s.pod.name"), pod) == 0)
			return true;
	}
	/* A policy is about all pods of its namespace. */
	return strcmp(get(record, "event.action"), "policy-changed") == 0 &&
	       strcmp(get(json_object_get(record, "policy.rule"), "namespace"), ns) == 0;
}

static bool has_verdict(const json_t *record, const char *verdict)
{
	const char *have = get(record, "policy.verdict");

	/* "audit" asks for "audit-denied" too. */
	return starts_with(have, verdict) &&
	       (have[strlen(verdict)] == '\0' || have[strlen(verdict)] == '-');
}

/*
 * A gap that names no pod, or no verdict, may hide what is asked for: whoever
 * asks must see that the answer is not whole.
 */
static bool is_gap_without(const json_t *record, const char *key)
{
	return strcmp(get(record, "event.action"), "gap") == 0 && !*get(record, key);
}

bool bh_record_matches(const json_t *record, const struct bh_record_filter *filter)
{
	uint64_t ns;

	if (filter->since_ns > 0 &&
	    (bh_time_parse(get(record, "@timestamp"), &ns) < 0 || ns < filter->since_ns))
		return false;
	if (filter->verdict && !has_verdict(record, filter->verdict) &&
	    !(strcmp(filter->verdict, "allowed") != 0 && is_gap_without(record, "policy.verdict")))
		return false;
	return !filter->namespace || is_about(record, filter->namespace, filter->pod) ||
	       is_gap_without(record, "k8s.namespace.name");
}
