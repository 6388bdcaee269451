/*
 * Objects for tests as JSON with ' for ", so that it can be read in C.
 */
#ifndef BH_OBJECT_TEXT_H
#define BH_OBJECT_TEXT_H

#include "test.h"

#include "bh/object.h"

static inline json_t *json_of(const char *text)
{
	bh_auto_free char *copy = bh_strdup(text);
	json_error_t e;
	json_t *json;
	char *p;

	for (p = copy; *p; p++) {
		if (*p == '\'')
			*p = '"';
	}
	json = json_loads(copy, JSON_DECODE_ANY, &e);
	if (!json)
		fail_msg("%s: %s", e.text, copy);
	return json;
}

/* @origin may be NULL. */
static inline int decode_as(const char *text, const struct bh_origin *origin,
			    struct bh_decoded **ret, struct bh_err *err)
{
	json_t *json = json_of(text);
	int r = bh_object_decode(json, origin, ret, err);

	json_decref(json);
	return r;
}

/* All warnings, one a line. */
static inline const char *warnings(const struct bh_decoded *d)
{
	static char text[16384];
	const struct bh_decode_warning *w;
	size_t i, n = bh_decoded_warnings(d, &w);

	*text = '\0';
	for (i = 0; i < n; i++) {
		strncat(text, w[i].text, sizeof(text) - strlen(text) - 2);
		strcat(text, "\n");
	}
	return text;
}

#endif
