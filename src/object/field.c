#include "field.h"

#include <string.h>
#include <strings.h>

#include "bh/nearest.h"

/* Enough for a person; a file of nonsense must not become a book. */
#define MAX_WARNINGS 50
#define MAX_QUOTED   64

struct field field_get(const struct field *up, const char *name)
{
	const json_t *json = json_object_get(up->json, name);

	return (struct field){
		.json = json_is_null(json) ? NULL : json,
		.up = up,
		.name = name,
	};
}

struct field field_at(const struct field *up, size_t index)
{
	const json_t *json = json_array_get(up->json, index);

	return (struct field){
		.json = json_is_null(json) ? NULL : json,
		.up = up,
		.index = index,
	};
}

int field_line(const struct decoder *d, const struct field *f)
{
	const struct bh_origin *origin = d->origin;
	int line = 0;

	if (!origin || !origin->line_of)
		return 0;
	for (; f && line == 0; f = f->up)
		line = f->json ? origin->line_of(origin->ctx, f->json) : 0;
	return line;
}

const char *origin_file(struct decoder *d)
{
	return d->origin && d->origin->file ? bh_arena_strdup(d->arena, d->origin->file) : NULL;
}

static void add_cut(struct bh_buf *b, const char *s)
{
	char text[MAX_QUOTED + 1];
	size_t len = strnlen(s, MAX_QUOTED + 1);

	if (len <= MAX_QUOTED) {
		bh_buf_escape(b, s);
		return;
	}
	/* Not in the middle of a character. */
	for (len = MAX_QUOTED; len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80;)
		len--;
	memcpy(text, s, len);
	text[len] = '\0';
	bh_buf_escape(b, text);
	bh_buf_puts(b, "...");
}

static bool is_plain_name(const char *s)
{
	return *s &&
	       s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] ==
		       '\0';
}

static void add_path(struct bh_buf *b, const struct field *f)
{
	if (!f->up)
		return;
	add_path(b, f->up);
	if (!f->name) {
		bh_buf_printf(b, "[%zu]", f->index);
	} else if (is_plain_name(f->name)) {
		if (b->len)
			bh_buf_putc(b, '.');
		add_cut(b, f->name);
	} else {
		bh_buf_putc(b, '[');
		add_cut(b, f->name);
		bh_buf_putc(b, ']');
	}
}

static void add_warning(struct decoder *d, const char *text, int line)
{
	if (d->n_warnings == MAX_WARNINGS)
		text = bh_arena_strdup(d->arena, "more warnings are left out");
	if (d->n_warnings > MAX_WARNINGS)
		return;
	bh_grow(&d->warnings, &d->cap_warnings, d->n_warnings, sizeof(*d->warnings));
	d->warnings[d->n_warnings++] = (struct bh_decode_warning){ .text = text, .line = line };
}

static const char *message(struct decoder *d, const struct field *f, const char *fmt, va_list ap)
{
	struct bh_buf b = { 0 };
	const char *text;

	add_path(&b, f);
	if (b.len)
		bh_buf_puts(&b, ": ");
	bh_buf_vprintf(&b, fmt, ap);
	text = bh_arena_strdup(d->arena, bh_buf_str(&b));
	bh_buf_done(&b);
	return text;
}

/* The first is what is wrong with the object, the others are warnings. */
static void add_error(struct decoder *d, const char *text, int line)
{
	if (d->error) {
		add_warning(d, text, line);
		return;
	}
	d->error = text;
	d->error_line = line;
}

void field_error(struct decoder *d, const struct field *f, const char *fmt, ...)
{
	const char *text;
	va_list ap;

	/* The message takes work and memory, of which a hostile object gets only so much. */
	if (d->n_errors++ > MAX_WARNINGS)
		return;
	va_start(ap, fmt);
	text = message(d, f, fmt, ap);
	va_end(ap);
	add_error(d, text, field_line(d, f));
}

void field_warn(struct decoder *d, const struct field *f, const char *fmt, ...)
{
	va_list ap;

	if (d->n_warnings > MAX_WARNINGS)
		return;
	va_start(ap, fmt);
	add_warning(d, message(d, f, fmt, ap), field_line(d, f));
	va_end(ap);
}

const char *quoted(struct decoder *d, const char *s)
{
	struct bh_buf b = { 0 };
	const char *text;

	bh_buf_putc(&b, '"');
	add_cut(&b, s);
	bh_buf_putc(&b, '"');
	text = bh_arena_strdup(d->arena, bh_buf_str(&b));
	bh_buf_done(&b);
	return text;
}

void field_invalid(struct decoder *d, const struct field *f, const char *text, const char *why)
{
	field_error(d, f, "Invalid value: %s: %s", quoted(d, text), why);
}

void field_unsupported(struct decoder *d, const struct field *f, const char *text,
		       const char *const *names)
{
	struct bh_buf list = { 0 };

	for (; *names; names++)
		bh_buf_printf(&list, "%s\"%s\"", list.len ? ", " : "", *names);
	field_error(d, f, "Unsupported value: %s: supported values: %s", quoted(d, text),
		    bh_buf_str(&list));
	bh_buf_done(&list);
}

static const char *type_name(const json_t *json)
{
	switch (json_typeof(json)) {
	case JSON_OBJECT: return "an object";
	case JSON_ARRAY: return "a list";
	case JSON_STRING: return "a string";
	case JSON_INTEGER:
	case JSON_REAL: return "a number";
	case JSON_TRUE:
	case JSON_FALSE: return "a boolean";
	case JSON_NULL: return "null";
	}
	abort();
}

/* The value is there and of another type than @want. */
static bool is_wrong(struct decoder *d, const struct field *f, bool is_right, const char *want)
{
	if (f->json && !is_right)
		field_error(d, f, "Invalid value: must be %s, not %s", want, type_name(f->json));
	return f->json && !is_right;
}

bool field_is_object(struct decoder *d, const struct field *f)
{
	return !is_wrong(d, f, json_is_object(f->json), "an object") && f->json;
}

bool field_is_true(struct decoder *d, const struct field *f)
{
	return !is_wrong(d, f, json_is_boolean(f->json), "a boolean") && json_is_true(f->json);
}

void field_warn_null(struct decoder *d, const struct field *up, const char *name, const char *then)
{
	struct field f = field_get(up, name);

	if (json_is_null(json_object_get(up->json, name)))
		field_warn(d, &f, "null is read as if it were absent: %s", then);
}

size_t field_list(struct decoder *d, const struct field *f)
{
	if (is_wrong(d, f, json_is_array(f->json), "a list"))
		return 0;
	return json_array_size(f->json);
}

const char *field_string(struct decoder *d, const struct field *f)
{
	if (f->json && !json_is_string(f->json) &&
	    (json_is_number(f->json) || json_is_boolean(f->json))) {
		/* Mostly a YAML scalar that wanted quotes. */
		field_error(d, f, "Invalid value: must be a string, not %s: write it in quotes",
			    type_name(f->json));
		return NULL;
	}
	if (is_wrong(d, f, json_is_string(f->json), "a string"))
		return NULL;
	/* No string of ours holds a NUL: jansson refuses it, and so do we for YAML. */
	return json_string_value(f->json);
}

bool field_int(struct decoder *d, const struct field *f, int32_t *ret)
{
	json_int_t v = json_integer_value(f->json);

	if (!f->json || is_wrong(d, f, json_is_integer(f->json), "a whole number"))
		return false;
	if (v < INT32_MIN || v > INT32_MAX) {
		field_error(d, f, "Invalid value: %lld: does not fit into 32 bits", (long long)v);
		return false;
	}
	*ret = (int32_t)v;
	return true;
}

static bool is_among(const char *name, const char *const *names)
{
	for (; *names; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

/* The path of @at, and the field that may have been meant or all that there are. */
static const char *unknown_text(struct decoder *d, const struct field *at, const char *const *names)
{
	struct bh_nearest nearest = { 0 };
	struct bh_buf path = { 0 }, b = { 0 };
	const char *text;

	add_path(&path, at);
	bh_buf_printf(&b, "unknown field \"%s\"", bh_buf_str(&path));
	bh_buf_done(&path);
	for (size_t i = 0; d->is_strict && names[i]; i++)
		bh_nearest_consider(&nearest, at->name, names[i]);
	if (nearest.word)
		bh_buf_printf(&b, ": did you mean \"%s\"?", nearest.word);
	else if (d->is_strict)
		bh_buf_puts(&b, ": known here are");
	for (size_t i = 0; d->is_strict && !nearest.word && names[i]; i++)
		bh_buf_printf(&b, "%s \"%s\"", i ? "," : "", names[i]);
	text = bh_arena_strdup(d->arena, bh_buf_str(&b));
	bh_buf_done(&b);
	return text;
}

static void tell_unknown(struct decoder *d, const struct field *at, const char *const *names)
{
	d->n_unknown++;
	if (d->is_strict ? d->n_errors++ > MAX_WARNINGS : d->n_warnings > MAX_WARNINGS)
		return;
	if (d->is_strict)
		add_error(d, unknown_text(d, at, names), field_line(d, at));
	else
		add_warning(d, unknown_text(d, at, names), field_line(d, at));
}

void field_known(struct decoder *d, const struct field *f, const char *const *names)
{
	const char *key;
	json_t *value;

	if (!json_is_object(f->json))
		return;
	/* jansson's iterators want a pointer that may change the object; we do not. */
	json_object_foreach((json_t *)(uintptr_t)f->json, key, value)
	{
		struct field at = { .json = json_is_null(value) ? NULL : value,
				    .up = f,
				    .name = key };

		if (!is_among(key, names))
			tell_unknown(d, &at, names);
	}
}

/* Two wrong letters of a long name; of a short one they make another word. */
static bool is_misspelt(const char *key, const char *const *names)
{
	struct bh_nearest n = { 0 };
	size_t len = strlen(key);

	for (size_t i = 0; names[i]; i++) {
		size_t want = strlen(names[i]);

		if (strcasecmp(key, names[i]) == 0)
			return true;
		/* Of the many keys that an object can have, few are worth a comparison. */
		if (len + 2 >= want && want + 2 >= len)
			bh_nearest_consider(&n, key, names[i]);
	}
	return n.word && n.distance <= (strlen(n.word) < 8 ? 1 : 2);
}

void field_not_misspelt(struct decoder *d, const struct field *f, const char *const *names)
{
	const char *key;
	json_t *value;

	if (!d->is_strict || !json_is_object(f->json))
		return;
	json_object_foreach((json_t *)(uintptr_t)f->json, key, value)
	{
		struct field at = { .json = json_is_null(value) ? NULL : value,
				    .up = f,
				    .name = key };

		if (!is_among(key, names) && is_misspelt(key, names))
			tell_unknown(d, &at, names);
	}
}

bool field_resembles(const struct field *f, const char *name)
{
	const char *const names[] = { name, NULL };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)f->json, key, value)
	{
		if (is_misspelt(key, names))
			return true;
	}
	return false;
}
