/*
 * Questions as JSON lines.
 *
 * The answer is put behind what was asked, so that whoever asks keeps what else
 * stands there: the line itself, without its closing brace.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "query.h"

/* Members of the answer; where the line has one already, it is replaced. */
static const char *const own_members[] = { "verdict", "why",  "audit_verdict", "egress",
					   "ingress", "pods", "service",       "error" };

static const struct {
	const char *name;
	uint8_t number;
	bool has_ports;
} protocols[] = {
	{ "TCP", IPPROTO_TCP, true },        { "UDP", IPPROTO_UDP, true },
	{ "SCTP", IPPROTO_SCTP, true },      { "ICMP", IPPROTO_ICMP, false },
	{ "ICMPv6", IPPROTO_ICMPV6, false },
};

static int read_string(const json_t *o, const char *key, const char **ret, struct bh_err *err)
{
	const json_t *v = json_object_get(o, key);

	*ret = json_string_value(v);
	if (!v)
		return bh_err(err, -EINVAL, "%s: is missing", key);
	if (!*ret || !**ret)
		return bh_err(err, -EINVAL, "%s: is not a text", key);
	return 0;
}

static int read_protocol(const json_t *o, struct bh_sim_query *q, bool *ret_has_ports,
			 struct bh_err *err)
{
	const json_t *v = json_object_get(o, "protocol");
	const char *s = v ? json_string_value(v) : "TCP";
	size_t i;

	for (i = 0; s && i < BH_ARRAY_LEN(protocols); i++) {
		if (strcasecmp(s, protocols[i].name) != 0)
			continue;
		q->protocol = protocols[i].number;
		*ret_has_ports = protocols[i].has_ports;
		return 0;
	}
	return bh_err(err, -EINVAL, "protocol: is not one of TCP, UDP, SCTP, ICMP, ICMPv6");
}

static int read_port(const json_t *o, struct bh_sim_query *q, bool has_ports, struct bh_err *err)
{
	const json_t *v = json_object_get(o, "port");
	json_int_t port = json_integer_value(v);

	if (!has_ports && (!v || json_is_null(v) || (json_is_integer(v) && port == 0)))
		return 0;
	if (!has_ports)
		return bh_err(err, -EINVAL, "port: this protocol has none");
	if (!json_is_integer(v) || port < 1 || port > UINT16_MAX)
		return bh_err(err, -EINVAL, "port: is not a number within 1-65535");
	q->port = (uint16_t)port;
	return 0;
}

static int read_family(const json_t *o, struct bh_sim_query *q, struct bh_err *err)
{
	const json_t *v = json_object_get(o, "family");
	json_int_t family = json_integer_value(v);

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_integer(v) || (family != 4 && family != 6))
		return bh_err(err, -EINVAL, "family: is neither 4 nor 6");
	q->has_family = true;
	q->family = family == 4 ? BH_IPV4 : BH_IPV6;
	return 0;
}

static int read_query(const json_t *o, struct bh_sim_query *q, struct bh_err *err)
{
	bool has_ports = true;
	int r = read_string(o, "src", &q->src, err);

	if (r == 0)
		r = read_string(o, "dst", &q->dst, err);
	if (r == 0)
		r = read_protocol(o, q, &has_ports, err);
	if (r == 0)
		r = read_port(o, q, has_ports, err);
	return r < 0 ? r : read_family(o, q, err);
}

/* --- writing ------------------------------------------------------------------------------- */

static bool has_own_members(const json_t *o)
{
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(own_members); i++)
		if (json_object_get(o, own_members[i]))
			return true;
	return false;
}

static void add_without_own_members(json_t *o, struct bh_buf *out)
{
	bh_auto_free char *text = NULL;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(own_members); i++)
		json_object_del(o, own_members[i]);
	text = json_dumps(o, JSON_ENSURE_ASCII);
	bh_buf_puts(out, text ? text : "{}");
}

/* What was asked, open for more members. */
static void add_question(json_t *o, const char *line, size_t len, struct bh_buf *out)
{
	if (has_own_members(o)) {
		add_without_own_members(o, out);
	} else {
		while (line[len - 1] != '}')
			len--;
		bh_buf_add(out, line, len);
	}
	out->data[--out->len] = '\0';
	if (json_object_size(o) > 0)
		bh_buf_puts(out, ", ");
}

static void add_error(const struct bh_err *err, struct bh_buf *out)
{
	json_t *text = json_string(bh_err_text(err));
	bh_auto_free char *s = text ? json_dumps(text, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;

	bh_buf_printf(out, "\"error\": %s", s ? s : "\"this is not UTF-8\"");
	json_decref(text);
}

static int answer(const struct bh_sim *sim, json_t *o, const char *line, size_t len,
		  struct bh_buf *out, struct bh_err *err)
{
	struct bh_sim_answers answers;
	struct bh_sim_query q = { 0 };
	int r = read_query(o, &q, err);

	if (r == 0)
		r = bh_sim_ask(sim, &q, &answers, err);
	add_question(o, line, len, out);
	if (r < 0) {
		add_error(err, out);
		return r;
	}
	bh_sim_answers_write(sim, &answers, out);
	bh_sim_answers_done(&answers);
	return 0;
}

static json_t *parse(const char *line, size_t len, struct bh_err *err)
{
	json_error_t why;
	json_t *o;

	if (len > BH_SIM_MAX_LINE) {
		bh_err(err, -E2BIG, "the line is over %d bytes", BH_SIM_MAX_LINE);
		return NULL;
	}
	o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
	if (!o)
		bh_err(err, -EINVAL, "%s", why.text);
	else if (!json_is_object(o))
		bh_err(err, -EINVAL, "the line is not an object");
	else
		return o;
	json_decref(o);
	return NULL;
}

int bh_sim_batch_line(const struct bh_sim *sim, const char *line, size_t len, struct bh_buf *out)
{
	struct bh_err err = { 0 };
	json_t *o = parse(line, len, &err);
	int r = -EINVAL;

	if (o) {
		r = answer(sim, o, line, len, out, &err);
	} else {
		bh_buf_putc(out, '{');
		add_error(&err, out);
	}
	bh_buf_puts(out, "}\n");
	json_decref(o);
	return r;
}
