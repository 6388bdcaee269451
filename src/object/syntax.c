#include "syntax.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* First and last of @len characters are in @ends, all are in @ends or @inner. */
static bool is_word(const char *s, size_t len, const char *ends, const char *inner)
{
	size_t i;

	if (len == 0 || !strchr(ends, s[0]) || !strchr(ends, s[len - 1]))
		return false;
	for (i = 0; i < len; i++) {
		if (!strchr(ends, s[i]) && !strchr(inner, s[i]))
			return false;
	}
	return true;
}

static bool is_dns_label(const char *s, size_t len)
{
	return is_word(s, len, LOWER DIGIT, "-");
}

/* Labels with dots between them; the length of each is not limited, as in the API. */
static bool is_dns_subdomain(const char *s, size_t len)
{
	const char *end = s + len, *dot;

	for (; (dot = memchr(s, '.', (size_t)(end - s))); s = dot + 1) {
		if (!is_dns_label(s, (size_t)(dot - s)))
			return false;
	}
	return is_dns_label(s, (size_t)(end - s));
}

const char *wrong_dns_label(const char *s)
{
	size_t len = strlen(s);

	if (len > 63)
		return "must be no more than 63 bytes";
	if (is_dns_label(s, len))
		return NULL;
	if (is_dns_subdomain(s, len))
		return "must not contain dots";
	return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
	       "'-', and must start and end with an alphanumeric character";
}

const char *wrong_dns_subdomain(const char *s)
{
	size_t len = strlen(s);

	if (len > 253)
		return "must be no more than 253 bytes";
	if (is_dns_subdomain(s, len))
		return NULL;
	return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
	       "'-' or '.', and must start and end with an alphanumeric character";
}

static bool is_name(const char *s)
{
	return is_word(s, strlen(s), LOWER UPPER DIGIT, "-_.");
}

const char *wrong_label_key(const char *s)
{
	const char *slash = strchr(s, '/'), *name = slash ? slash + 1 : s;
	size_t prefix_len = slash ? (size_t)(slash - s) : 0;

	if (strchr(name, '/'))
		return "a qualified name must consist of alphanumeric characters, '-', '_' or '.', "
		       "with an optional DNS subdomain prefix and '/'";
	if (slash && prefix_len == 0)
		return "prefix part must be non-empty";
	if (slash && prefix_len > 253)
		return "prefix part must be no more than 253 bytes";
	if (slash && !is_dns_subdomain(s, prefix_len))
		return "prefix part a lowercase RFC 1123 subdomain must consist of lower case "
		       "alphanumeric characters, '-' or '.', and must start and end with an "
		       "alphanumeric character";
	if (!*name)
		return "name part must be non-empty";
	if (strlen(name) > 63)
		return "name part must be no more than 63 bytes";
	if (!is_name(name))
		return "name part must consist of alphanumeric characters, '-', '_' or '.', and "
		       "must "
		       "start and end with an alphanumeric character";
	return NULL;
}

const char *wrong_label_value(const char *s)
{
	if (strlen(s) > 63)
		return "must be no more than 63 bytes";
	if (*s && !is_name(s))
		return "a valid label must be an empty string or consist of alphanumeric "
		       "characters, "
		       "'-', '_' or '.', and must start and end with an alphanumeric character";
	return NULL;
}

const char *wrong_port_name(const char *s)
{
	size_t len = strlen(s);

	if (len > 15)
		return "must be no more than 15 bytes";
	if (len == 0 || strspn(s, LOWER DIGIT "-") != len)
		return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
	if (!strpbrk(s, LOWER))
		return "must contain at least one letter (a-z)";
	if (strstr(s, "--"))
		return "must not contain consecutive hyphens";
	if (s[0] == '-' || s[len - 1] == '-')
		return "must not begin or end with a hyphen";
	return NULL;
}

const char *wrong_domain_name(const char *s)
{
	size_t n_labels = 0, len;

	if (strncmp(s, "*.", 2) == 0)
		s += 2;
	for (;; s += len + 1) {
		len = strcspn(s, ".");
		if (len == 0 && !*s && n_labels > 0) /* behind the last dot */
			break;
		if (!is_word(s, len, LOWER UPPER DIGIT, "-_"))
			return "must be a domain name, \"www.example.com\" or \"*.example.com\"";
		n_labels++;
		if (!s[len])
			break;
	}
	return n_labels >= 2 ? NULL : "must be a domain name of two labels at least";
}
