/*
 * One state for the place between two bytes, and a stack of the objects and
 * arrays that are open.  Every state survives the end of a chunk.
 *
 * What is kept is checked by the JSON parser later; here only as much of the
 * grammar is checked as it takes to find keys and ends.
 */
#include "stream.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/kube.h"
#include "bh/object.h"

/* An object may lie two levels deep: in the list's items, in an event. */
#define MAX_LEVELS (BH_OBJECT_MAX_DEPTH + 2)
/* Longer than any key that a tree names: a label's key has at most 317 bytes. */
#define MAX_KEY 320
/* A continue token holds a key of at most 512 bytes in base64. */
#define MAX_SLOT 4096
/*
 * An object has at most 1.5 MiB in etcd, and a list no more objects than a cluster has:
 * whatever comes beyond that is no answer and has no end.
 */
#define MAX_BETWEEN ((uint64_t)64 << 20)
#define MAX_LISTED  2000000u
/* Memory that is kept from one object to the next. */
#define MAX_SPARE (64 << 10)

enum state {
	AT_VALUE,
	AT_FIRST_VALUE, /* or the array's end */
	AT_KEY,
	AT_FIRST_KEY, /* or the object's end */
	AT_COLON,
	AFTER_VALUE,
	IN_STRING,
	IN_STRING_ESCAPE,
	IN_KEY,
	IN_KEY_ESCAPE,
	IN_SCALAR,
	AT_END, /* of the list */
};

/* What becomes of a value. */
enum fate { DROPPED, KEPT, PRUNED };

struct value {
	enum fate fate;
	const struct bh_keep *members; /* PRUNED */
	enum bh_slot slot;
	bool is_object;
};

struct level {
	struct value value;
	bool is_array, has_member;
};

/* A member that is kept up to a limit, while it is under way. */
struct limited {
	size_t max; /* 0: there is none now */
	enum bh_slot slot;
	size_t level; /* n_levels outside of it */
	/* As it was before it. */
	size_t at, n_values;
	bool has_member;
	bool is_left_out;
};

struct bh_kube_stream {
	enum bh_frame frame;
	const struct bh_keep *keep;
	bh_on_item *on_item;
	void *ctx;
	enum state state;
	struct value next; /* the one that begins, or goes on */
	struct level levels[MAX_LEVELS];
	size_t n_levels, n_deeper; /* open ones; those beyond the limit are only counted */
	char key[MAX_KEY];
	size_t key_len; /* MAX_KEY + 1: too long for any name */
	bool is_in_object, has_object;
	size_t object_level; /* n_levels outside of it */
	uint64_t offset, object_offset;
	uint64_t end_offset; /* of the object before */
	size_t n_items;
	size_t n_values;
	const char *refused;
	struct limited limited;
	bool has_overlong; /* a slot that must be whole is not */
	struct bh_buf out;
	struct bh_buf slots[BH_SLOT_COUNT_];
};

static const struct bh_keep list_metadata[] = {
	{ .name = "resourceVersion", .slot = BH_SLOT_LIST_VERSION, .is_dropped = true },
	{ .name = "continue", .slot = BH_SLOT_CONTINUE, .is_dropped = true },
	{ 0 },
};
static const struct bh_keep frames[][3] = {
	[BH_FRAME_LIST] = {
		{ .name = "metadata", .below = list_metadata },
		{ .name = "items", .is_object = true },
	},
	[BH_FRAME_WATCH] = {
		{ .name = "type", .slot = BH_SLOT_TYPE, .is_dropped = true },
		{ .name = "object", .is_object = true },
	},
};

#define TEXT_OF_(x) #x
#define TEXT_OF(x)  TEXT_OF_(x)

/* --- output ---------------------------------------------------------------------- */

static void refuse(struct bh_kube_stream *s, const char *why)
{
	if (s->refused)
		return;
	s->refused = why;
	bh_buf_done(&s->out);
}

/* As if it had not been there; what is to come of it is not kept either. */
static void leave_out(struct bh_kube_stream *s)
{
	struct limited *l = &s->limited;

	l->is_left_out = true;
	s->out.len = l->at;
	s->out.data[l->at] = '\0';
	s->n_values = l->n_values;
	s->levels[l->level - 1].has_member = l->has_member;
	bh_buf_reset(&s->slots[l->slot]);
	bh_buf_puts(&s->slots[l->slot], "yes");
}

static void add(struct bh_kube_stream *s, const char *data, size_t len)
{
	const struct limited *l = &s->limited;

	if (!s->is_in_object || s->refused || l->is_left_out)
		return;
	bh_buf_add(&s->out, data, len);
	if (l->max > 0 && s->out.len - l->at > l->max)
		leave_out(s);
}

/* Before a member or an element that is kept. */
static void add_comma(struct bh_kube_stream *s)
{
	struct level *top = &s->levels[s->n_levels - 1];

	/* The object itself is a member of the frame, which is not kept. */
	if (s->is_in_object && s->n_levels > s->object_level && !s->limited.is_left_out) {
		if (top->has_member)
			add(s, ",", 1);
		top->has_member = true;
		if (++s->n_values > BH_OBJECT_MAX_ITEMS)
			refuse(s, "has more than " TEXT_OF(BH_OBJECT_MAX_ITEMS) " values");
	}
}

/* Bytes of a string or another single value. */
static void add_text(struct bh_kube_stream *s, const char *data, size_t len)
{
	struct bh_buf *slot = &s->slots[s->next.slot];

	if (s->next.fate != DROPPED)
		add(s, data, len);
	if (s->next.slot == BH_SLOT_NONE)
		return;
	if (slot->len + len <= MAX_SLOT) {
		bh_buf_add(slot, data, len);
		return;
	}
	/* Anybody may annotate an object, which must not end what others are told by. */
	if (s->next.slot > BH_SLOT_OF_OBJECT_ || s->next.slot == BH_SLOT_VERSION)
		s->has_overlong = true;
	else if (s->next.slot <= BH_SLOT_MIRROR)
		refuse(s, "has a name or uid of over " TEXT_OF(MAX_SLOT) " bytes");
	/* The rest of another one is let go. */
	s->next.slot = BH_SLOT_NONE;
}

static void add_quote(struct bh_kube_stream *s)
{
	if (s->next.fate != DROPPED)
		add(s, "\"", 1);
}

/* --- objects --------------------------------------------------------------------- */

static void begin_object(struct bh_kube_stream *s)
{
	size_t i;

	s->is_in_object = true;
	s->object_level = s->n_levels;
	s->object_offset = s->offset;
	s->n_values = 0;
	s->refused = NULL;
	s->limited = (struct limited){ 0 };
	bh_buf_reset(&s->out);
	for (i = 0; i < BH_SLOT_OF_OBJECT_; i++)
		bh_buf_reset(&s->slots[i]);
	s->next = (struct value){ .fate = PRUNED, .members = s->keep };
}

static int emit(struct bh_kube_stream *s)
{
	struct bh_kube_item item = {
		.text = bh_buf_str(&s->out),
		.len = s->out.len,
		.refused = s->refused,
		.is_large = s->offset - s->object_offset > BH_KUBE_MAX_OBJECT,
	};
	int r;

	s->has_object = false;
	s->end_offset = s->offset;
	s->n_items++;
	r = s->on_item(s->ctx, s, &item);
	if (s->out.cap > MAX_SPARE)
		bh_buf_done(&s->out);
	return r;
}

static void check_size(struct bh_kube_stream *s)
{
	if (s->is_in_object && s->out.len > BH_KUBE_MAX_OBJECT)
		refuse(s, "has over 4 MiB of what policy is about");
}

/* --- values ---------------------------------------------------------------------- */

static int wrong(const struct bh_kube_stream *s, const char *what, struct bh_err *err)
{
	return bh_err(err, -EPROTO, "the answer is not what was asked for: %s at byte %llu", what,
		      (unsigned long long)s->offset);
}

/* A value has ended. */
static int end_value(struct bh_kube_stream *s)
{
	s->state = AFTER_VALUE;
	if (s->limited.max > 0 && s->n_levels == s->limited.level)
		s->limited = (struct limited){ 0 };
	if (s->is_in_object && s->n_levels == s->object_level) {
		check_size(s);
		s->is_in_object = false;
		s->has_object = true;
		if (s->frame == BH_FRAME_LIST)
			return emit(s);
	}
	if (s->n_levels > 0)
		return 0;
	if (s->frame == BH_FRAME_LIST) {
		s->state = AT_END;
		return 0;
	}
	s->state = AT_VALUE;
	return s->has_object ? emit(s) : 0;
}

static int open_level(struct bh_kube_stream *s, bool is_array, struct bh_err *err)
{
	struct value *v = &s->next;

	s->state = is_array ? AT_FIRST_VALUE : AT_FIRST_KEY;
	if (s->n_levels == MAX_LEVELS) {
		if (!s->is_in_object)
			return wrong(s, "nested too deep", err);
		s->n_deeper++;
		refuse(s, "is nested deeper than " TEXT_OF(BH_OBJECT_MAX_DEPTH) " levels");
		return 0;
	}
	if (v->is_object && !is_array) {
		begin_object(s);
	} else if (s->n_levels == 0) {
		if (is_array)
			return wrong(s, "an array", err);
		*v = (struct value){ .fate = PRUNED, .members = frames[s->frame] };
	}
	/* Notes are of single values. */
	v->slot = BH_SLOT_NONE;
	if (v->fate != DROPPED)
		add(s, is_array ? "[" : "{", 1);
	s->levels[s->n_levels++] = (struct level){ .value = *v, .is_array = is_array };
	return 0;
}

static int close_level(struct bh_kube_stream *s, bool is_array, struct bh_err *err)
{
	const struct level *top;

	if (s->n_deeper > 0) {
		s->n_deeper--;
		s->state = AFTER_VALUE;
		return 0;
	}
	if (s->n_levels == 0 || s->levels[s->n_levels - 1].is_array != is_array)
		return wrong(s, "a bracket too many", err);
	top = &s->levels[--s->n_levels];
	if (top->value.fate != DROPPED)
		add(s, is_array ? "]" : "}", 1);
	return end_value(s);
}

/* What an array says of its elements; members were looked up at their key. */
static void begin_value(struct bh_kube_stream *s)
{
	const struct level *top;

	if (s->n_levels == 0 || s->n_deeper > 0) {
		s->next = (struct value){ .fate = DROPPED };
		return;
	}
	top = &s->levels[s->n_levels - 1];
	if (!top->is_array)
		return;
	s->next = top->value;
	if (s->next.fate != DROPPED)
		add_comma(s);
}

static int on_value(struct bh_kube_stream *s, char c, struct bh_err *err)
{
	if (c == ']' && s->state == AT_FIRST_VALUE)
		return close_level(s, true, err);
	begin_value(s);
	if (c == '{' || c == '[')
		return open_level(s, c == '[', err);
	if (s->n_levels == 0)
		return wrong(s, "no object", err);
	if (strchr(",:]}", c))
		return wrong(s, "a value is missing", err);
	bh_buf_reset(&s->slots[s->next.slot]);
	if (c == '"') {
		s->state = IN_STRING;
		add_quote(s);
	} else {
		s->state = IN_SCALAR;
		add_text(s, &c, 1);
	}
	return 0;
}

/* --- keys ------------------------------------------------------------------------ */

static const struct bh_keep *find_member(const struct bh_kube_stream *s, const struct bh_keep *m)
{
	for (; m && m->name; m++) {
		size_t len = strlen(m->name);

		if (m->name[len - 1] == '*') {
			if (s->key_len >= len - 1 && memcmp(s->key, m->name, len - 1) == 0)
				return m;
		} else if (s->key_len == len && memcmp(s->key, m->name, len) == 0) {
			return m;
		}
	}
	return NULL;
}

/* Of an object that is kept as a whole, keys are copied and not looked at. */
static bool is_kept_whole(const struct bh_kube_stream *s)
{
	return s->n_deeper == 0 && s->levels[s->n_levels - 1].value.fate == KEPT;
}

static void begin_key(struct bh_kube_stream *s)
{
	s->state = IN_KEY;
	s->key_len = 0;
	if (is_kept_whole(s)) {
		add_comma(s);
		add(s, "\"", 1);
	}
}

static void add_key(struct bh_kube_stream *s, const char *data, size_t len)
{
	if (is_kept_whole(s)) {
		add(s, data, len);
	} else if (s->key_len + len <= MAX_KEY) {
		memcpy(s->key + s->key_len, data, len);
		s->key_len += len;
	} else {
		s->key_len = MAX_KEY + 1;
	}
}

static void begin_limited(struct bh_kube_stream *s, const struct bh_keep *m)
{
	s->limited = (struct limited){
		.max = m->max,
		.slot = m->slot,
		.level = s->n_levels,
		.at = s->out.len,
		.n_values = s->n_values,
		.has_member = s->levels[s->n_levels - 1].has_member,
	};
}

static void end_key(struct bh_kube_stream *s)
{
	const struct bh_keep *m = NULL;

	s->state = AT_COLON;
	if (is_kept_whole(s)) {
		add(s, "\":", 2);
		s->next = (struct value){ .fate = KEPT };
		return;
	}
	s->next = (struct value){ .fate = DROPPED };
	if (s->n_deeper == 0 && s->key_len <= MAX_KEY)
		m = find_member(s, s->levels[s->n_levels - 1].value.members);
	if (!m)
		return;
	s->next.slot = m->max > 0 ? BH_SLOT_NONE : m->slot;
	s->next.is_object = m->is_object;
	if (m->is_dropped || m->is_object)
		return;
	if (m->max > 0)
		begin_limited(s, m);
	s->next.fate = m->below ? PRUNED : KEPT;
	s->next.members = m->below;
	add_comma(s);
	add(s, "\"", 1);
	add(s, s->key, s->key_len);
	add(s, "\":", 2);
}

/* --- bytes ----------------------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t plain_run(const char *p, size_t len)
{
	size_t n = 0;

	while (n < len && p[n] != '"' && p[n] != '\\')
		n++;
	return n;
}

static int after_value(struct bh_kube_stream *s, char c, struct bh_err *err)
{
	if (c == '}' || c == ']')
		return close_level(s, c == ']', err);
	/* Beyond the limit nothing is known of the level: a key is a string like others. */
	if (c != ',' && (c != ':' || s->n_deeper == 0))
		return wrong(s, "no comma", err);
	if (s->n_deeper > 0 || s->levels[s->n_levels - 1].is_array)
		s->state = AT_VALUE;
	else
		s->state = AT_KEY;
	return 0;
}

/* A string's or key's bytes.  Returns how many were taken. */
static size_t take_text(struct bh_kube_stream *s, const char *p, size_t len)
{
	bool is_key = s->state == IN_KEY;
	size_t n = plain_run(p, len);

	if (n < len && p[n] == '\\') {
		s->state = is_key ? IN_KEY_ESCAPE : IN_STRING_ESCAPE;
		n++;
	}
	if (n > 0 && is_key)
		add_key(s, p, n);
	else if (n > 0)
		add_text(s, p, n);
	return n;
}

static int on_byte(struct bh_kube_stream *s, char c, struct bh_err *err)
{
	switch (s->state) {
	case AT_VALUE:
	case AT_FIRST_VALUE: return on_value(s, c, err);
	case AT_KEY:
	case AT_FIRST_KEY:
		if (c == '}' && s->state == AT_FIRST_KEY)
			return close_level(s, false, err);
		if (c != '"')
			return wrong(s, "a key is missing", err);
		begin_key(s);
		return 0;
	case AT_COLON:
		if (c != ':')
			return wrong(s, "no colon", err);
		s->state = AT_VALUE;
		return 0;
	case AFTER_VALUE: return after_value(s, c, err);
	case IN_STRING_ESCAPE:
		s->state = IN_STRING;
		add_text(s, &c, 1);
		return 0;
	case IN_KEY_ESCAPE:
		s->state = IN_KEY;
		add_key(s, &c, 1);
		return 0;
	case IN_STRING: /* the closing quote: the rest was taken before */
		add_quote(s);
		return end_value(s);
	case IN_KEY: end_key(s); return 0;
	case IN_SCALAR: add_text(s, &c, 1); return 0;
	case AT_END: return wrong(s, "more than one list", err);
	}
	abort();
}

static bool skips_space(enum state state)
{
	return state != IN_STRING && state != IN_STRING_ESCAPE && state != IN_KEY &&
	       state != IN_KEY_ESCAPE;
}

static int feed(struct bh_kube_stream *s, const char *data, size_t len, struct bh_err *err)
{
	size_t i = 0;
	int r;

	while (i < len) {
		uint64_t before = s->offset;

		if (s->state == IN_STRING || s->state == IN_KEY) {
			size_t n = take_text(s, data + i, len - i);

			i += n;
			s->offset = before + n;
			if (s->has_overlong)
				return wrong(s, "a name is too long", err);
			if (n > 0)
				continue;
		}
		/* A number or a name like true has no end of its own. */
		if (s->state == IN_SCALAR && (is_space(data[i]) || strchr(",]}", data[i]))) {
			r = end_value(s);
			if (r < 0)
				return r;
		}
		if (!skips_space(s->state) || !is_space(data[i])) {
			r = on_byte(s, data[i], err);
			if (r < 0)
				return r;
		}
		i++;
		s->offset = before + 1;
	}
	check_size(s);
	return 0;
}

int bh_kube_stream_feed(struct bh_kube_stream *s, const char *data, size_t len, struct bh_err *err)
{
	/* So that what is held stays near the limit, however large the chunk. */
	const size_t max = 64 << 10;

	while (len > 0) {
		size_t n = len < max ? len : max;
		int r = feed(s, data, n, err);

		if (r < 0)
			return r;
		if (s->offset - s->end_offset > MAX_BETWEEN)
			return bh_err(err, -EPROTO, "the answer has 64 MiB without an object");
		if (s->frame == BH_FRAME_LIST && s->n_items > MAX_LISTED)
			return bh_err(err, -EPROTO, "the list has over %u objects", MAX_LISTED);
		data += n;
		len -= n;
	}
	return 0;
}

bool bh_kube_stream_is_whole(const struct bh_kube_stream *s)
{
	return s->frame == BH_FRAME_LIST ? s->state == AT_END : s->n_levels == 0;
}

const char *bh_kube_stream_slot(const struct bh_kube_stream *s, enum bh_slot slot)
{
	return bh_buf_str(&s->slots[slot]);
}

struct bh_kube_stream *bh_kube_stream_new(enum bh_frame frame, const struct bh_keep *keep,
					  bh_on_item *on_item, void *ctx)
{
	struct bh_kube_stream *s = bh_calloc(1, sizeof(*s));

	s->frame = frame;
	s->keep = keep;
	s->on_item = on_item;
	s->ctx = ctx;
	return s;
}

void bh_kube_stream_free(struct bh_kube_stream **sp)
{
	struct bh_kube_stream *s = *sp;
	size_t i;

	if (!s)
		return;
	*sp = NULL;
	for (i = 0; i < BH_SLOT_COUNT_; i++)
		bh_buf_done(&s->slots[i]);
	bh_buf_done(&s->out);
	free(s);
}
