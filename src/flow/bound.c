/*
 * How long a record can become.  Most of its text is written by those whose packets it is
 * about: labels, names, reasons.  Each has a bound of its own, so that a record has one, and
 * what is left out is counted in the record.
 *
 * Sizes are those of the written line, which is ASCII: one byte can take six there.
 */
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/object.h"
#include "flow.h"

/* Quotes, colon and comma of a member. */
#define MEMBER_BYTES 6
#define CUT_MARK     "..."

/* Of the character at @s, and how many bytes it has there. */
static size_t written_size(const unsigned char *s, size_t *ret_len)
{
	size_t len = *s < 0x80 ? 1 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;
	size_t i;

	for (i = 1; i < len && s[i]; i++)
		continue;
	*ret_len = i;
	if (*s >= 0x80)
		return len == 4 ? 12 : 6;
	return *s < 0x20 || *s == 0x7f ? 6 : *s == '"' || *s == '\\' ? 2 : 1;
}

size_t flow_text_size(const char *text)
{
	size_t size = 0, len;

	for (const unsigned char *s = (const unsigned char *)text; *s; s += len)
		size += written_size(s, &len);
	return size;
}

static char *cut(const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t size = 0, at = 0, len;
	struct bh_buf b = { 0 };

	while (s[at]) {
		size += written_size(s + at, &len);
		if (size > max - strlen(CUT_MARK))
			break;
		at += len;
	}
	bh_buf_add(&b, text, at);
	bh_buf_puts(&b, CUT_MARK);
	return bh_buf_take(&b);
}

char *flow_text(const char *text, size_t max)
{
	json_t *json = bh_text_json(text);
	const char *s = json_string_value(json);
	char *ret = flow_text_size(s) <= max ? bh_strdup(s) : cut(s, max);

	json_decref(json);
	return ret;
}

/* At most: what is no UTF-8 takes five. */
static size_t max_size(const char *text)
{
	size_t size = 0;

	for (const unsigned char *s = (const unsigned char *)text; *s; s++)
		size += *s < 0x20 || *s >= 0x7f ? 6 : *s == '"' || *s == '\\' ? 5 : 1;
	return size;
}

struct bh_labels flow_bound_labels(const struct bh_labels *labels, struct bh_label *room)
{
	struct bh_labels kept = { .items = room };
	size_t used = 0;

	for (size_t i = 0; i < labels->n; i++) {
		const struct bh_label *l = &labels->items[i];
		size_t size = max_size(l->key) + max_size(l->value) + MEMBER_BYTES;

		if (used + size > BH_RECORD_MAX_PART)
			continue;
		used += size;
		room[kept.n++] = *l;
	}
	return kept;
}
