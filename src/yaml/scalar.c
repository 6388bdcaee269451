/*
 * Plain YAML scalars.  Kubernetes reads YAML with sigs.k8s.io/yaml, that is
 * go-yaml v2: YAML 1.1 booleans (y, yes, on, ...), octal numbers with a leading
 * zero, underscores within digits, no base 60, timestamps stay strings.
 */
#include "docs.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "bh/alloc.h"

enum type { T_NULL, T_BOOL, T_INT, T_FLOAT, T_STRING };

struct value {
	enum type type;
	bool b;
	json_int_t i;
	double f;
};

#define TAG "tag:yaml.org,2002:"

static bool is_among(const char *s, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(s, *names) == 0)
			return true;
	}
	return false;
}

static bool find_word(const char *s, struct value *ret)
{
	static const char *const yes[] = { "y",    "Y",    "yes", "Yes", "YES", "true",
					   "True", "TRUE", "on",  "On",  "ON",  NULL };
	static const char *const no[] = { "n",     "N",     "no",  "No",  "NO",  "false",
					  "False", "FALSE", "off", "Off", "OFF", NULL };
	static const char *const null[] = { "", "~", "null", "Null", "NULL", NULL };

	if (is_among(s, yes))
		*ret = (struct value){ .type = T_BOOL, .b = true };
	else if (is_among(s, no))
		*ret = (struct value){ .type = T_BOOL };
	else if (is_among(s, null))
		*ret = (struct value){ .type = T_NULL };
	else
		return false;
	return true;
}

/* NaN and infinity, which JSON lacks. */
static bool is_no_number(const char *s)
{
	static const char *const names[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",
					     ".INF",  "+.inf", "+.Inf", "+.INF", "-.inf",
					     "-.Inf", "-.INF", NULL };

	return is_among(s, names);
}

/* "0x1f", "0o17", "0b11", "017", "12"; any sign, no blanks. */
static bool parse_int(const char *s, json_int_t *ret, bool *is_huge)
{
	static const struct {
		const char *prefix;
		int base;
	} t[] = { { "0x", 16 }, { "0X", 16 }, { "0o", 8 }, { "0O", 8 },
		  { "0b", 2 },  { "0B", 2 },  { "0", 8 } };
	const char *digits = s + (*s == '+' || *s == '-');
	unsigned long long v;
	int base = 10;
	char *end;
	size_t i;

	for (i = 0; i < BH_ARRAY_LEN(t) && base == 10; i++) {
		size_t len = strlen(t[i].prefix);

		if (strncmp(digits, t[i].prefix, len) == 0 && digits[len]) {
			digits += len;
			base = t[i].base;
		}
	}
	/* strtoull() would take a sign, blanks or a second prefix. */
	if (!isalnum((unsigned char)*digits) || (base == 16 && (digits[1] | 32) == 'x') ||
	    (base == 2 && (digits[1] | 32) == 'b'))
		return false;
	errno = 0;
	v = strtoull(digits, &end, base);
	if (*end)
		return false;
	*is_huge = errno == ERANGE || v > (unsigned long long)LLONG_MAX;
	*ret = *s == '-' ? -(json_int_t)v : (json_int_t)v;
	return true;
}

/* [-+]? (digits [. digits] | . digits) [e [-+] digits] */
static bool is_float(const char *s)
{
	size_t whole, part = 0;

	s += *s == '+' || *s == '-';
	whole = strspn(s, "0123456789");
	s += whole;
	if (*s == '.') {
		part = strspn(++s, "0123456789");
		s += part;
	}
	if (whole + part == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '+' || *s == '-';
		whole = strspn(s, "0123456789");
		s += whole;
		return whole > 0 && !*s;
	}
	return !*s;
}

static bool find_number(const char *text, struct value *ret)
{
	bh_auto_free char *s = bh_strdup(text);
	bool is_huge = false;
	char *to = s;
	json_int_t i;
	double f;

	if (*text != '.') {
		const char *from;

		for (from = text; *from; from++) {
			if (*from != '_')
				*to++ = *from;
		}
		*to = '\0';
		if (parse_int(s, &i, &is_huge) && !is_huge) {
			*ret = (struct value){ .type = T_INT, .i = i };
			return true;
		}
	}
	if (!is_float(s))
		return false;
	f = strtod(s, NULL);
	if (!isfinite(f))
		return false;
	/* JSON does not tell 80.0 from 80. */
	if (f == trunc(f) && fabs(f) < 1e15)
		*ret = (struct value){ .type = T_INT, .i = (json_int_t)f };
	else
		*ret = (struct value){ .type = T_FLOAT, .f = f };
	return true;
}

/* The value that the text of a plain scalar stands for. */
static int find_value(const char *s, struct value *ret, struct bh_err *err)
{
	if (is_no_number(s))
		return bh_err(err, -EINVAL, "%s has no value in JSON", s);
	if (find_word(s, ret))
		return 0;
	if ((isdigit((unsigned char)*s) || (*s && strchr("+-.", *s))) && find_number(s, ret))
		return 0;
	*ret = (struct value){ .type = T_STRING };
	return 0;
}

/* A tag that is written must agree with the text. */
static int find_tagged(const struct scalar *s, struct value *ret, struct bh_err *err)
{
	static const struct {
		const char *tag;
		enum type type;
	} t[] = {
		{ TAG "null", T_NULL },
		{ TAG "bool", T_BOOL },
		{ TAG "int", T_INT },
		{ TAG "float", T_FLOAT },
	};
	size_t i;
	int r;

	if (strcmp(s->tag, "!") == 0 || strcmp(s->tag, TAG "str") == 0) {
		*ret = (struct value){ .type = T_STRING };
		return 0;
	}
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (strcmp(s->tag, t[i].tag) != 0)
			continue;
		r = find_value(s->text, ret, err);
		if (r < 0)
			return r;
		if (ret->type == t[i].type || (ret->type == T_INT && t[i].type == T_FLOAT))
			return 0;
		return bh_err(err, -EINVAL, "'%.64s' is not of type %s", s->text,
			      s->tag + strlen(TAG));
	}
	return bh_err(err, -EINVAL, "tag '%.64s' is not accepted", s->tag);
}

static int resolve(const struct scalar *s, struct value *ret, struct bh_err *err)
{
	if (s->tag)
		return find_tagged(s, ret, err);
	if (s->is_plain)
		return find_value(s->text, ret, err);
	*ret = (struct value){ .type = T_STRING };
	return 0;
}

int scalar_resolve(const struct scalar *s, json_t **ret, struct bh_err *err)
{
	struct value v = { 0 };
	json_t *json = NULL;
	int r;

	r = resolve(s, &v, err);
	if (r < 0)
		return r;
	switch (v.type) {
	case T_NULL: json = json_null(); break;
	case T_BOOL: json = json_boolean(v.b); break;
	case T_INT: json = json_integer(v.i); break;
	case T_FLOAT: json = json_real(v.f); break;
	case T_STRING: json = json_string(s->text); break;
	}
	if (!json)
		return bh_err(err, -EINVAL, "'%.64s' is not valid UTF-8", s->text);
	*ret = json;
	return 0;
}

int scalar_key(const struct scalar *s, char **ret, struct bh_err *err)
{
	struct value v = { 0 };
	int r;

	r = resolve(s, &v, err);
	if (r < 0)
		return r;
	switch (v.type) {
	case T_NULL: return bh_err(err, -EINVAL, "null is no key");
	case T_BOOL: *ret = bh_strdup(v.b ? "true" : "false"); return 0;
	case T_INT: *ret = bh_asprintf("%" JSON_INTEGER_FORMAT, v.i); return 0;
	case T_FLOAT: *ret = bh_asprintf("%.9g", v.f); return 0;
	case T_STRING: *ret = bh_strdup(s->text); return 0;
	}
	abort();
}
