/*
 * Sets of protocols and ports.
 */
#include "compile_impl.h"

#include <netinet/in.h>
#include <string.h>

void ports_done(struct port_set *p)
{
	free(p->ranges);
	free(p->names);
	*p = (struct port_set){ 0 };
}

void ports_add(struct port_set *p, uint8_t protocol, uint16_t first, uint16_t last)
{
	bh_grow(&p->ranges, &p->ranges_cap, p->n_ranges, sizeof(*p->ranges));
	p->ranges[p->n_ranges++] = (struct port_range){ protocol, first, last };
}

void ports_add_name(struct port_set *p, const char *name, uint8_t protocol)
{
	bh_grow(&p->names, &p->names_cap, p->n_names, sizeof(*p->names));
	p->names[p->n_names++] = (struct port_name){ name, protocol };
}

void ports_union(struct port_set *p, const struct port_set *other)
{
	size_t i;

	p->is_all |= other->is_all;
	for (i = 0; i < other->n_ranges; i++)
		ports_add(p, other->ranges[i].protocol, other->ranges[i].first,
			  other->ranges[i].last);
	for (i = 0; i < other->n_names; i++)
		ports_add_name(p, other->names[i].name, other->names[i].protocol);
}

static int cmp_range(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;

	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

static int cmp_name(const void *a, const void *b)
{
	const struct port_name *x = a, *y = b;
	int c = strcmp(x->name, y->name);

	return c ? c : (x->protocol > y->protocol) - (x->protocol < y->protocol);
}

static void merge_ranges(struct port_set *p)
{
	size_t n = 0, i;

	for (i = 0; i < p->n_ranges; i++) {
		const struct port_range *r = &p->ranges[i];
		struct port_range *last = n ? &p->ranges[n - 1] : NULL;

		if (last && last->protocol == r->protocol && r->first <= (uint32_t)last->last + 1) {
			if (r->last > last->last)
				last->last = r->last;
		} else {
			p->ranges[n++] = *r;
		}
	}
	p->n_ranges = n;
}

void ports_normalise(struct port_set *p)
{
	size_t n = 0, i;

	if (p->is_all) {
		p->n_ranges = 0;
		p->n_names = 0;
		return;
	}
	if (p->n_ranges) {
		bh_sort(p->ranges, p->n_ranges, sizeof(*p->ranges), cmp_range);
		merge_ranges(p);
	}
	if (p->n_names)
		bh_sort(p->names, p->n_names, sizeof(*p->names), cmp_name);
	for (i = 0; i < p->n_names; i++) {
		if (n == 0 || cmp_name(&p->names[n - 1], &p->names[i]) != 0)
			p->names[n++] = p->names[i];
	}
	p->n_names = n;
}

bool ports_is_empty(const struct port_set *p)
{
	return !p->is_all && p->n_ranges == 0 && p->n_names == 0;
}

bool ports_is_exact(const struct port_set *p)
{
	size_t i;

	for (i = 0; i < p->n_ranges; i++) {
		if (p->ranges[i].last - p->ranges[i].first >= SMALL_RANGE)
			return false;
	}
	return !p->is_all;
}

void ports_canonical(const struct port_set *p, struct bh_buf *out)
{
	size_t i;

	if (p->is_all)
		bh_buf_puts(out, "all");
	for (i = 0; i < p->n_ranges; i++)
		bh_buf_printf(out, "%u/%u-%u;", p->ranges[i].protocol, p->ranges[i].first,
			      p->ranges[i].last);
	for (i = 0; i < p->n_names; i++)
		bh_buf_printf(out, "%u/%zu'%s';", p->names[i].protocol, strlen(p->names[i].name),
			      p->names[i].name);
}

static void describe_protocol(uint8_t protocol, struct bh_buf *out)
{
	switch (protocol) {
	case 0: bh_buf_puts(out, "any"); return;
	case IPPROTO_TCP: bh_buf_puts(out, "tcp"); return;
	case IPPROTO_UDP: bh_buf_puts(out, "udp"); return;
	case IPPROTO_SCTP: bh_buf_puts(out, "sctp"); return;
	default: bh_buf_printf(out, "%u", protocol); return;
	}
}

void ports_describe(const struct port_set *p, struct bh_buf *out)
{
	size_t i;

	for (i = 0; i < p->n_ranges; i++) {
		bh_buf_puts(out, i ? "," : "");
		describe_protocol(p->ranges[i].protocol, out);
		bh_buf_printf(out, "/%u", p->ranges[i].first);
		if (p->ranges[i].last != p->ranges[i].first)
			bh_buf_printf(out, "-%u", p->ranges[i].last);
	}
	for (i = 0; i < p->n_names; i++) {
		bh_buf_puts(out, i || p->n_ranges ? "," : "");
		describe_protocol(p->names[i].protocol, out);
		bh_buf_putc(out, '/');
		bh_buf_escape(out, p->names[i].name);
	}
}

/* Where the names of @ports that are not before @name begin; @ports are sorted by name. */
static size_t first_port(const struct bh_port *ports, size_t n, const char *name)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(ports[mid].name ? ports[mid].name : "", name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void ports_resolve(const struct port_name *name, const struct bh_pod *pod,
		   void (*on_port)(void *ctx, const struct bh_port *port), void *ctx)
{
	size_t i = first_port(pod->ports, pod->n_ports, name->name);

	for (;
	     i < pod->n_ports && pod->ports[i].name && strcmp(pod->ports[i].name, name->name) == 0;
	     i++) {
		if (!name->protocol || name->protocol == pod->ports[i].protocol)
			on_port(ctx, &pod->ports[i]);
	}
}

static size_t first_name(const struct port_set *p, const char *name)
{
	size_t lo = 0, hi = p->n_names;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(p->names[mid].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* One name may be there for any protocol and for this one. */
bool ports_has_name(const struct port_set *p, const struct bh_port *port)
{
	size_t i = first_name(p, port->name);

	for (; i < p->n_names && strcmp(p->names[i].name, port->name) == 0; i++) {
		if (!p->names[i].protocol || p->names[i].protocol == port->protocol)
			return true;
	}
	return false;
}

/* By halves through whichever is longer. */
void ports_resolve_all(const struct port_set *p, const struct bh_pod *pod,
		       void (*on_port)(void *ctx, const struct bh_port *port), void *ctx)
{
	if (p->n_names <= pod->n_ports) {
		for (size_t i = 0; i < p->n_names; i++)
			ports_resolve(&p->names[i], pod, on_port, ctx);
		return;
	}
	for (size_t i = 0; i < pod->n_ports; i++) {
		if (pod->ports[i].name && ports_has_name(p, &pod->ports[i]))
			on_port(ctx, &pod->ports[i]);
	}
}

/* Any protocol with a number means those that have ports. */
static void add_any_protocol(struct port_set *p, uint16_t first, uint16_t last)
{
	ports_add(p, IPPROTO_TCP, first, last);
	ports_add(p, IPPROTO_UDP, first, last);
	ports_add(p, IPPROTO_SCTP, first, last);
}

size_t ports_count_exact(const struct port_set *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_ranges; i++) {
		const struct port_range *r = &p->ranges[i];

		if (r->last - r->first < SMALL_RANGE)
			n += (size_t)(r->last - r->first) + 1;
	}
	return n;
}

void ports_add_numbers(struct port_set *p, const struct bh_rule *rule)
{
	size_t i;

	if (!rule->has_ports)
		p->is_all = true;
	for (i = 0; rule->has_ports && i < rule->n_ports; i++) {
		const struct bh_policy_port *port = &rule->ports[i];

		if (port->name)
			continue;
		if (port->protocol)
			ports_add(p, port->protocol, port->first, port->last);
		else if (port->first == 0 && port->last == UINT16_MAX)
			p->is_all = true;
		else
			add_any_protocol(p, port->first, port->last);
	}
}
