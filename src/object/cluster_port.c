#include "cluster.h"

#include <netinet/in.h>
#include <string.h>

#include "syntax.h"

/* --- lists and choices ------------------------------------------------------------------- */

void require_field(struct decoder *d, const struct field *f)
{
	if (!f->json)
		field_error(d, f, "Required value");
}

size_t decode_list(struct decoder *d, const struct field *f, size_t max)
{
	size_t n = field_list(d, f);

	if (json_is_array(f->json) && n == 0)
		field_error(d, f, "Invalid value: 0: should have at least 1 items");
	if (n <= max)
		return n;
	field_error(d, f, "Too many: %zu: must have at most %zu items", n, max);
	return 0;
}

const char *decode_choice(struct decoder *d, const struct field *f, const char *const *names)
{
	const char *found = NULL;
	size_t i, n = 0;

	require_field(d, f);
	if (!field_is_object(d, f))
		return NULL;
	field_known(d, f, names);
	for (i = 0; names[i]; i++) {
		struct field at = field_get(f, names[i]);

		if (!at.json)
			continue;
		found = names[i];
		n++;
	}
	if (json_object_size(f->json) == 0)
		field_error(d, f, "Invalid value: 0: should have at least 1 properties");
	if (n <= 1)
		return found;
	field_error(d, f, "Too many: %zu: must have at most 1 items", n);
	return NULL;
}

/* --- ports ------------------------------------------------------------------------------- */

static uint16_t decode_number(struct decoder *d, const struct field *f)
{
	int32_t v = 0;

	require_field(d, f);
	if (!field_int(d, f, &v))
		return 0;
	if (v < 1)
		field_error(d, f, "Invalid value: %d: should be greater than or equal to 1", v);
	if (v > UINT16_MAX)
		field_error(d, f, "Invalid value: %d: should be less than or equal to 65535", v);
	return (uint16_t)v;
}

static void decode_range(struct decoder *d, const struct field *f, struct bh_policy_port *ret)
{
	struct field start = field_get(f, "start"), end = field_get(f, "end");

	field_is_object(d, f);
	ret->first = decode_number(d, &start);
	ret->last = decode_number(d, &end);
}

static void decode_port_name(struct decoder *d, const struct field *f, struct bh_policy_port *ret)
{
	const char *s = field_string(d, f), *why;

	if (!s)
		return;
	why = wrong_port_name(s);
	if (!*s)
		field_error(d, f, "Required value");
	else if (why)
		field_warn(d, f, "no container has a port of this name, it matches nothing: %s",
			   why);
	ret->name = bh_arena_strdup(d->arena, s);
	ret->last = UINT16_MAX;
}

void decode_admin_port(struct decoder *d, const struct field *f, struct bh_policy_port *ret)
{
	static const char *const names[] = { "portNumber", "portRange", "namedPort", NULL };
	static const char *const number_names[] = { "protocol", "port", NULL };
	static const char *const range_names[] = { "protocol", "start", "end", NULL };
	const char *choice = decode_choice(d, f, names);
	struct field of, protocol, port;

	if (!choice)
		return;
	of = field_get(f, choice);
	if (strcmp(choice, "namedPort") == 0) {
		decode_port_name(d, &of, ret);
		return;
	}
	protocol = field_get(&of, "protocol");
	port = field_get(&of, "port");
	field_is_object(d, &of);
	ret->protocol = decode_protocol(d, &protocol);
	if (strcmp(choice, "portNumber") == 0) {
		field_known(d, &of, number_names);
		ret->first = ret->last = decode_number(d, &port);
		return;
	}
	field_known(d, &of, range_names);
	decode_range(d, &of, ret);
	if (ret->first > ret->last)
		field_error(d, &of, "Invalid value: Start port must be less than End port");
}

/* v1alpha2: {"number": 80} or {"range": {"start": 80, "end": 90}} */
static void decode_destination_port(struct decoder *d, const struct field *f,
				    struct bh_policy_port *ret)
{
	static const char *const names[] = { "number", "range", NULL };
	static const char *const range_names[] = { "start", "end", NULL };
	const char *choice = decode_choice(d, f, names);
	struct field of;

	if (!choice)
		return;
	of = field_get(f, choice);
	if (strcmp(choice, "number") == 0) {
		ret->first = ret->last = decode_number(d, &of);
		return;
	}
	field_known(d, &of, range_names);
	decode_range(d, &of, ret);
	if (ret->first >= ret->last)
		field_error(d, &of, "Invalid value: Start port must be less than End port");
}

void decode_protocol_match(struct decoder *d, const struct field *f, struct bh_policy_port *ret)
{
	static const char *const names[] = { "tcp", "udp", "sctp", "destinationNamedPort", NULL };
	static const char *const kept[] = { "destinationPort", NULL };
	static const uint8_t numbers[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	const char *choice = decode_choice(d, f, names);
	struct field of, port;
	size_t i;

	if (!choice)
		return;
	of = field_get(f, choice);
	for (i = 0; i < BH_ARRAY_LEN(numbers) && strcmp(choice, names[i]) != 0; i++)
		continue;
	if (i == BH_ARRAY_LEN(numbers)) {
		decode_port_name(d, &of, ret);
		return;
	}
	ret->protocol = numbers[i];
	if (!decode_choice(d, &of, kept))
		return;
	port = field_get(&of, "destinationPort");
	decode_destination_port(d, &port, ret);
}
