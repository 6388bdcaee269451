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

#define JSON_FLAGS (JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY)
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

static size_t text_size(const char *text)
{
	size_t size = 0, len;

	for (const unsigned char *s = (const unsigned char *)text; *s; s += len)
		size += written_size(s, &len);
	return size;
}

/* @text is UTF-8. */
static json_t *cut(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t size = 0, at = 0, len;
	struct bh_buf b = { 0 };
	json_t *json;

	while (s[at]) {
		size += written_size(s + at, &len);
		if (size > BH_RECORD_MAX_TEXT - strlen(CUT_MARK))
			break;
		at += len;
	}
	bh_buf_add(&b, text, at);
	bh_buf_puts(&b, CUT_MARK);
	json = json_string(bh_buf_str(&b));
	bh_buf_done(&b);
	return json;
}

json_t *flow_text_json(const char *text)
{
	json_t *json = bh_text_json(text), *shorter;
	const char *s = json_string_value(json);

	if (!s || text_size(s) <= BH_RECORD_MAX_TEXT)
		return json;
	shorter = cut(s);
	json_decref(json);
	return shorter;
}

static size_t value_size(const json_t *value)
{
	return json_dumpb(value, NULL, 0, JSON_FLAGS);
}

/* Every text in it; nothing that is handed over here is deep. */
static void cut_texts(json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	void *tmp;

	if (json_is_array(value)) {
		json_array_foreach(value, i, item)
		{
			if (json_is_string(item))
				json_array_set_new(value, i,
						   flow_text_json(json_string_value(item)));
			else
				cut_texts(item);
		}
		return;
	}
	json_object_foreach_safe(value, tmp, key, item)
	{
		if (json_is_string(item))
			json_object_set_new(value, key, flow_text_json(json_string_value(item)));
		else
			cut_texts(item);
	}
}

/* Whole members only, in their order; a shorter one may fit where a longer did not. */
static size_t bound_object(json_t *object, size_t max)
{
	size_t used = 0, n = 0;
	const char *key;
	json_t *item;
	void *tmp;

	json_object_foreach_safe(object, tmp, key, item)
	{
		size_t size = text_size(key) + value_size(item) + MEMBER_BYTES;

		if (used + size <= max) {
			used += size;
			continue;
		}
		json_object_del(object, key);
		n++;
	}
	return n;
}

static size_t bound_array(json_t *array, size_t max)
{
	size_t used = 0, n = 0;

	for (size_t i = 0; i < json_array_size(array);) {
		size_t size = value_size(json_array_get(array, i)) + 1;

		if (used + size <= max) {
			used += size;
			i++;
			continue;
		}
		json_array_remove(array, i);
		n++;
	}
	return n;
}

static void set_omitted(json_t *record, const char *key, size_t n)
{
	bh_auto_free char *name = n ? bh_asprintf("%s_omitted", key) : NULL;

	if (name)
		flow_set_number(record, name, n);
}

void flow_set_bounded(json_t *record, const char *key, json_t *value, size_t n_omitted)
{
	cut_texts(value);
	n_omitted += json_is_array(value) ? bound_array(value, BH_RECORD_MAX_PART)
					  : bound_object(value, BH_RECORD_MAX_PART);
	json_object_set_new(record, key, value);
	set_omitted(record, key, n_omitted);
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

void bh_record_set_labels(json_t *record, const char *key, const struct bh_labels *labels,
			  size_t n_omitted)
{
	struct bh_label room[FLOW_MAX_LABELS];
	const struct bh_labels kept = flow_bound_labels(labels, room);
	json_t *json = json_object();

	for (size_t i = 0; i < kept.n; i++) {
		const struct bh_label *l = &kept.items[i];

		if (json_object_set_new(json, l->key, bh_text_json(l->value)) < 0) {
			struct bh_buf name = { 0 };

			bh_buf_escape(&name, l->key);
			json_object_set_new(json, bh_buf_str(&name), bh_text_json(l->value));
			bh_buf_done(&name);
		}
	}
	json_object_set_new(record, key, json);
	set_omitted(record, key, n_omitted + labels->n - kept.n);
}

void flow_bound_fields(json_t *fields)
{
	const char *key;
	json_t *item;
	void *tmp;

	json_object_foreach_safe(fields, tmp, key, item)
	{
		if (json_is_string(item))
			json_object_set_new(fields, key, flow_text_json(json_string_value(item)));
		else if (json_is_array(item) || json_is_object(item))
			flow_set_bounded(fields, key, json_incref(item), 0);
	}
}
