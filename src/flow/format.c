/*
 * Records as lines for people, and which of them somebody asked for.  Records
 * come from files as well, so nothing is taken for granted and every text is
 * escaped.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/clock.h"
#include "bh/packet.h"
#include "bh/record.h"

#define RESET  "\033[0m"
#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"

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
static void add_time(uint64_t ns, struct bh_buf *out)
{
	const time_t t = (time_t)(ns / BH_NS_PER_S);
	size_t start = out->len;
	char date[32];
	struct tm tm;

	if (ns > 0 && localtime_r(&t, &tm) &&
	    strftime(date, sizeof(date), "%b %e %H:%M:%S", &tm) > 0)
		bh_buf_printf(out, "%s.%03" PRIu64, date, ns % BH_NS_PER_S / BH_NS_PER_MS);
	else
		bh_buf_putc(out, '-');
	pad(out, start, TIME_WIDTH);
}

struct verdict {
	const char *word, *color;
};

static struct verdict verdict_of(const struct bh_record *r)
{
	static const struct verdict classes[] = {
		[BH_CLASS_DENIED] = { "DENIED", RED },
		[BH_CLASS_AUDIT] = { "AUDIT", YELLOW },
	};
	static const struct verdict kinds[BH_RECORD_KIND_COUNT_] = {
		[BH_RECORD_GAP] = { "GAP", YELLOW },
		[BH_RECORD_TAMPER] = { "TAMPER", RED },
		[BH_RECORD_POLICY_CHANGED] = { "POLICY", NULL },
		[BH_RECORD_POD_BOUND] = { "POD", NULL },
		[BH_RECORD_POD_UNBOUND] = { "POD", NULL },
	};
	static_assert(BH_ARRAY_LEN(classes) == BH_CLASS_COUNT_, "every class has a word");

	if (r->kind == BH_RECORD_FLOW)
		return classes[r->flow.class];
	return kinds[r->kind].word ? kinds[r->kind] : (struct verdict){ "EVENT", NULL };
}

static void add_verdict(const struct bh_record *r, bool color, struct bh_buf *out)
{
	const struct verdict v = verdict_of(r);

	if (color && v.color)
		bh_buf_printf(out, "%s%s%s", v.color, v.word, RESET);
	else
		bh_buf_puts(out, v.word);
	bh_buf_printf(out, "%*s", (int)(VERDICT_WIDTH + 1 - strlen(v.word)), "");
}

/* Separates parts of the reason. */
static void add_part(struct bh_buf *out, bool *has_part)
{
	bh_buf_puts(out, *has_part ? "; " : "");
	*has_part = true;
}

/* A text that others chose; one that is empty or missing is shown as such. */
static void add_text(struct bh_buf *out, const char *s)
{
	bh_buf_escape(out, s && *s ? s : "-");
}

static void add_name(struct bh_buf *out, const char *ns, const char *name)
{
	if (ns && *ns) {
		bh_buf_escape(out, ns);
		bh_buf_putc(out, '/');
	}
	add_text(out, name);
}

static void add_policy_name(struct bh_buf *out, const struct bh_record_name *n)
{
	add_name(out, n->namespace, n->name);
}

static bool is_there(const char *s)
{
	return s && *s;
}

/* --- flows ------------------------------------------------------------------------------ */

static void add_entity(const struct bh_record_end *e, struct bh_buf *out)
{
	if (is_there(e->pod.name)) {
		add_name(out, e->pod.namespace, e->pod.name);
		bh_buf_putc(out, ' ');
		return;
	}
	if (e->entity == BH_RECORD_NO_ENTITY)
		return;
	bh_buf_printf(out, "%s ", bh_record_entity_str(e->entity));
	if (e->entity == BH_RECORD_NODE && is_there(e->pod.node)) {
		bh_buf_escape(out, e->pod.node);
		bh_buf_putc(out, ' ');
	}
}

static void add_end(const struct bh_record_end *e, bool has_ports, struct bh_buf *out)
{
	const uint16_t port = has_ports ? e->port : 0;
	const bool has_brackets = port && e->has_address && e->address.family == BH_IPV6;
	char text[BH_ADDR_STRLEN];

	add_entity(e, out);
	bh_buf_puts(out, has_brackets ? "[" : "");
	bh_buf_puts(out, e->has_address ? bh_addr_format(&e->address, text) : "-");
	bh_buf_puts(out, has_brackets ? "]" : "");
	if (port)
		bh_buf_printf(out, ":%u", port);
}

static void add_protocol(const struct bh_record_flow *f, struct bh_buf *out)
{
	char number[4];
	const char *word = bh_protocol_str(f->protocol, number);

	bh_buf_puts(out, "  ");
	if (f->has_protocol)
		bh_buf_printf(out, "%s%s", word == number ? "protocol " : "", word);
	if (f->has_icmp)
		bh_buf_printf(out, " type %u code %u", f->icmp_type, f->icmp_code);
	if (f->count > 1)
		bh_buf_printf(out, " x%" PRIu64, f->count);
}

#define MAX_SHOWN 3

static void add_default_deny(const struct bh_record_names *by, struct bh_buf *out, bool *has_part)
{
	size_t n = by->n + by->n_omitted, i;

	if (n == 0)
		return;
	add_part(out, has_part);
	bh_buf_puts(out, "default deny by ");
	for (i = 0; i < by->n && i < MAX_SHOWN; i++) {
		bh_buf_puts(out, i > 0 ? ", " : "");
		add_policy_name(out, &by->items[i]);
	}
	if (n > i)
		bh_buf_printf(out, " and %zu more", n - i);
}

static void add_rule(const struct bh_record_rule *rule, struct bh_buf *out, bool *has_part)
{
	if (!rule->kind)
		return;
	add_part(out, has_part);
	if (strcmp(rule->kind, "DefaultDeny") == 0) {
		bh_buf_puts(out, "default deny of namespace ");
		add_text(out, rule->policy.namespace);
		return;
	}
	bh_buf_puts(out, "by ");
	add_policy_name(out, &rule->policy);
	if (rule->has_index)
		bh_buf_printf(out, " rule %u", rule->index);
}

static void add_nearest(const struct bh_record_nears *nearest, struct bh_buf *out, bool *has_part)
{
	const struct bh_record_near *near = nearest->n > 0 ? &nearest->items[0] : NULL;

	if (!near)
		return;
	add_part(out, has_part);
	bh_buf_puts(out, "nearest ");
	add_policy_name(out, &near->policy);
	bh_buf_printf(out, " rule %u: ", near->index);
	add_text(out, near->why < BH_MISS_COUNT_ ? bh_miss_str(near->why) : NULL);
}

static void add_why(const struct bh_record_flow *f, enum bh_reason reason, const char *text,
		    struct bh_buf *out, bool *has_part)
{
	if (!f->reason || strcmp(f->reason, bh_reason_str(reason)) != 0)
		return;
	add_part(out, has_part);
	bh_buf_puts(out, text);
}

static void add_reason(const struct bh_record_flow *f, struct bh_buf *out)
{
	bool has_part = false;

	bh_buf_puts(out, "  ");
	add_rule(&f->rule, out, &has_part);
	add_default_deny(&f->denied_by, out, &has_part);
	add_nearest(&f->nearest, out, &has_part);
	add_why(f, BH_REASON_NO_LABELS, "the pod's labels are not known yet", out, &has_part);
	add_why(f, BH_REASON_CONTESTED, "the pod's address may be another pod's", out, &has_part);
	if (is_there(f->closed)) {
		add_part(out, &has_part);
		bh_buf_puts(out, "closed: ");
		bh_buf_escape(out, f->closed);
	}
}

static void add_flow(const struct bh_record *r, struct bh_buf *out)
{
	const struct bh_record_flow *f = &r->flow;
	size_t start = out->len;

	bh_buf_puts(out, bh_dir_str(f->dir));
	pad(out, start, DIR_WIDTH);
	add_end(&f->src, f->has_ports, out);
	bh_buf_puts(out, " -> ");
	add_end(&f->dst, f->has_ports, out);
	add_protocol(f, out);
	add_reason(f, out);
}

/* --- other records ------------------------------------------------------------------------ */

static void add_gap(const struct bh_record *r, struct bh_buf *out)
{
	const struct bh_record_gap *g = &r->gap;
	char text[BH_ADDR_STRLEN];

	bh_buf_printf(out, "%" PRIu64 " packets are in no record", g->lost);
	if (is_there(g->pod.name)) {
		bh_buf_puts(out, " of ");
		add_name(out, g->pod.namespace, g->pod.name);
	} else if (g->has_address) {
		bh_buf_printf(out, " of %s", bh_addr_format(&g->address, text));
	}
	bh_buf_puts(out, ": ");
	add_text(out, g->reason);
}

static void add_tamper(const struct bh_record *r, struct bh_buf *out)
{
	const struct bh_record_tamper *t = &r->tamper;

	bh_buf_puts(out, "our rules were changed by ");
	bh_buf_escape(out, is_there(t->program) ? t->program : "an unknown program");
	if (t->pid)
		bh_buf_printf(out, " (pid %u)", t->pid);
	for (size_t i = 0; i < t->differences.n; i++) {
		bh_buf_puts(out, i > 0 ? "; " : ": ");
		add_text(out, t->differences.items[i]);
	}
}

static void add_policy(const struct bh_record *r, struct bh_buf *out)
{
	const struct bh_record_policy *p = &r->policy;

	add_text(out, p->rule.kind);
	bh_buf_putc(out, ' ');
	add_policy_name(out, &p->rule.policy);
	bh_buf_putc(out, ' ');
	add_text(out, is_there(p->change) ? p->change : "changed");
	if (is_there(p->closed)) {
		bh_buf_puts(out, ": ");
		add_text(out, p->closed);
	}
}

static void add_pod(const struct bh_record *r, struct bh_buf *out)
{
	const struct bh_record_pod *p = &r->pod;
	char text[BH_ADDR_STRLEN];

	add_name(out, p->id.namespace, p->id.name);
	bh_buf_puts(out, r->kind == BH_RECORD_POD_UNBOUND ? " has left " : " has ");
	for (size_t i = 0; i < p->addrs.n; i++)
		bh_buf_printf(out, "%s%s", i > 0 ? ", " : "",
			      bh_addr_format(&p->addrs.items[i], text));
}

static void add_action(const struct bh_record *r, struct bh_buf *out)
{
	add_text(out, bh_record_action(r));
}

void bh_record_format(const struct bh_record *r, bool color, struct bh_buf *out)
{
	static void (*const adders[])(const struct bh_record *r, struct bh_buf *out) = {
		[BH_RECORD_OTHER] = add_action,
		[BH_RECORD_FLOW] = add_flow,
		[BH_RECORD_GAP] = add_gap,
		[BH_RECORD_TAMPER] = add_tamper,
		[BH_RECORD_POLICY_CHANGED] = add_policy,
		[BH_RECORD_POD_BOUND] = add_pod,
		[BH_RECORD_POD_UNBOUND] = add_pod,
		[BH_RECORD_QUARANTINE_SET] = add_action,
		[BH_RECORD_QUARANTINE_RELEASED] = add_action,
		[BH_RECORD_REVOCATION_FAILED] = add_action,
	};
	static_assert(BH_ARRAY_LEN(adders) == BH_RECORD_KIND_COUNT_, "every kind is shown");

	add_time(r->at_ns, out);
	add_verdict(r, color, out);
	adders[r->kind](r, out);
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		out->len--;
	bh_buf_putc(out, '\n');
}

/* --- filter -------------------------------------------------------------------------------- */

/* The pods that the record is about; NULL for those that it has not. */
struct pods {
	const struct bh_identity *of[2];
};

static struct pods pods_of(const struct bh_record *r)
{
	switch (r->kind) {
	case BH_RECORD_FLOW: return (struct pods){ { &r->flow.src.pod, &r->flow.dst.pod } };
	case BH_RECORD_GAP: return (struct pods){ { &r->gap.pod } };
	case BH_RECORD_POD_BOUND:
	case BH_RECORD_POD_UNBOUND: return (struct pods){ { &r->pod.id } };
	case BH_RECORD_QUARANTINE_SET:
	case BH_RECORD_QUARANTINE_RELEASED: return (struct pods){ { &r->quarantine.pod.id } };
	case BH_RECORD_OTHER:
	case BH_RECORD_TAMPER:
	case BH_RECORD_POLICY_CHANGED:
	case BH_RECORD_REVOCATION_FAILED: return (struct pods){ 0 };
	case BH_RECORD_KIND_COUNT_: break;
	}
	abort();
}

static const char *policy_namespace(const struct bh_record *r)
{
	const char *ns =
		r->kind == BH_RECORD_POLICY_CHANGED ? r->policy.rule.policy.namespace : NULL;

	return ns ? ns : "";
}

const char *bh_record_tenant(const struct bh_record *r)
{
	const struct pods pods = pods_of(r);

	for (size_t i = 0; i < BH_ARRAY_LEN(pods.of); i++)
		if (pods.of[i] && is_there(pods.of[i]->namespace))
			return pods.of[i]->namespace;
	return policy_namespace(r);
}

static bool is_about(const struct bh_record *r, const char *ns, const char *pod)
{
	const struct pods pods = pods_of(r);

	for (size_t i = 0; i < BH_ARRAY_LEN(pods.of); i++) {
		const struct bh_identity *id = pods.of[i];

		if (!id || !id->namespace || strcmp(id->namespace, ns) != 0)
			continue;
		if (!pod || (id->name && strcmp(id->name, pod) == 0))
			return true;
	}
	/* A policy is about all pods of its namespace. */
	return strcmp(policy_namespace(r), ns) == 0;
}

/* "audit" asks for "audit-denied" too. */
static bool is_class(enum bh_verdict_class class, const char *verdict)
{
	const char *have = bh_class_words(class)->verdict;
	const size_t len = strlen(verdict);

	return strncmp(have, verdict, len) == 0 && (have[len] == '\0' || have[len] == '-');
}

/*
 * A gap that names no verdict, or no pod, may hide what is asked for: whoever asks must see
 * that the answer is not whole.
 */
static bool has_verdict(const struct bh_record *r, const char *verdict)
{
	if (r->kind == BH_RECORD_FLOW)
		return is_class(r->flow.class, verdict);
	if (r->kind != BH_RECORD_GAP)
		return false;
	return r->gap.has_class ? is_class(r->gap.class, verdict) : strcmp(verdict, "allowed") != 0;
}

static bool is_gap_of_all(const struct bh_record *r)
{
	return r->kind == BH_RECORD_GAP && !is_there(r->gap.pod.namespace);
}

bool bh_record_matches(const struct bh_record *r, const struct bh_record_filter *filter)
{
	if (filter->since_ns > 0 && r->at_ns < filter->since_ns)
		return false;
	if (filter->verdict && !has_verdict(r, filter->verdict))
		return false;
	return !filter->namespace || is_about(r, filter->namespace, filter->pod) ||
	       is_gap_of_all(r);
}
