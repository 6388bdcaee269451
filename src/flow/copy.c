/*
 * Copies of records, in one block of memory and within their bounds: two passes, of which the
 * first only counts.
 */
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

#include "bh/alloc.h"
#include "fields.h"

/* Without memory it counts what is needed. */
struct packer {
	char *memory;
	size_t used;
};

static void *take(struct packer *p, size_t size)
{
	const size_t align = alignof(max_align_t);
	char *at = p->memory ? p->memory + p->used : NULL;

	p->used += (size + align - 1) & ~(align - 1);
	return at;
}

static const void *pack(struct packer *p, const void *data, size_t size)
{
	void *to = take(p, size);

	if (to && size > 0)
		memcpy(to, data, size);
	return to;
}

static const char *pack_text(struct packer *p, const char *text, size_t max)
{
	bh_auto_free char *cut = text ? flow_text(text, max) : NULL;

	return cut ? pack(p, cut, strlen(cut) + 1) : NULL;
}

/* The two together are one text of the line. */
static void pack_pair(struct packer *p, const char **first, const char **second)
{
	size_t used = *first ? flow_text_size(*first) + 1 : 0;
	size_t left =
		used < BH_RECORD_MAX_TEXT / 2 ? BH_RECORD_MAX_TEXT - used : BH_RECORD_MAX_TEXT / 2;

	*first = pack_text(p, *first, BH_RECORD_MAX_TEXT / 2);
	*second = pack_text(p, *second, left);
}

static void pack_labels(struct packer *p, struct bh_identity *id)
{
	struct bh_label room[FLOW_MAX_LABELS];
	const struct bh_labels kept = flow_bound_labels(&id->labels, room);
	struct bh_label *to = take(p, kept.n * sizeof(*to));

	for (size_t i = 0; i < kept.n; i++) {
		const char *key = pack(p, kept.items[i].key, strlen(kept.items[i].key) + 1);
		const char *value = pack(p, kept.items[i].value, strlen(kept.items[i].value) + 1);

		if (to)
			to[i] = (struct bh_label){ key, value };
	}
	id->n_labels_omitted += id->labels.n - kept.n;
	id->labels = (struct bh_labels){ .items = to, .n = kept.n };
}

static void pack_rule(struct packer *p, struct bh_record_rule *rule)
{
	rule->kind = pack_text(p, rule->kind, BH_RECORD_MAX_TEXT);
	rule->policy.namespace = pack_text(p, rule->policy.namespace, BH_RECORD_MAX_TEXT);
	rule->policy.name = pack_text(p, rule->policy.name, BH_RECORD_MAX_TEXT);
	rule->rule_name = pack_text(p, rule->rule_name, BH_RECORD_MAX_TEXT);
}

/* What a list has room for, in bytes of the line. */
struct room {
	size_t left;
};

/* Whole items only, in their order; a shorter one may fit where a longer did not. */
static bool has_room(struct room *room, size_t bytes)
{
	if (bytes > room->left)
		return false;
	room->left -= bytes;
	return true;
}

/* Quotes and a comma; @text may be NULL. */
static size_t text_bytes(const char *text)
{
	size_t n = text ? flow_text_size(text) : 0;

	return (n < BH_RECORD_MAX_TEXT ? n : BH_RECORD_MAX_TEXT) + 3;
}

static size_t name_bytes(const struct bh_record_name *n)
{
	size_t bytes = text_bytes(n->namespace) + text_bytes(n->name);

	return bytes < BH_RECORD_MAX_TEXT ? bytes : BH_RECORD_MAX_TEXT + 3;
}

static void pack_names(struct packer *p, struct bh_record_names *l)
{
	struct bh_record_name *to = take(p, l->n * sizeof(*to));
	struct room room = { BH_RECORD_MAX_PART };
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct bh_record_name item = l->items[i];

		if (!has_room(&room, name_bytes(&item)))
			continue;
		pack_pair(p, &item.namespace, &item.name);
		if (to)
			to[n] = item;
		n++;
	}
	*l = (struct bh_record_names){ to, n, l->n_omitted + l->n - n };
}

/* Of {"name":,"rule_index":4294967295,"why":"namespaceSelector"}. */
#define NEAR_BYTES 60

static void pack_nears(struct packer *p, struct bh_record_nears *l)
{
	struct bh_record_near *to = take(p, l->n * sizeof(*to));
	struct room room = { BH_RECORD_MAX_PART };
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct bh_record_near item = l->items[i];

		if (!has_room(&room, name_bytes(&item.policy) + NEAR_BYTES))
			continue;
		pack_pair(p, &item.policy.namespace, &item.policy.name);
		if (to)
			to[n] = item;
		n++;
	}
	*l = (struct bh_record_nears){ to, n, l->n_omitted + l->n - n };
}

static void pack_texts(struct packer *p, struct bh_record_texts *l)
{
	const char **to = take(p, l->n * sizeof(*to));
	struct room room = { BH_RECORD_MAX_PART };
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		const char *item;

		if (!has_room(&room, text_bytes(l->items[i])))
			continue;
		item = pack_text(p, l->items[i], BH_RECORD_MAX_TEXT);
		if (to)
			to[n] = item;
		n++;
	}
	*l = (struct bh_record_texts){ to, n, l->n_omitted + l->n - n };
}

static void pack_addrs(struct packer *p, struct bh_record_addrs *l)
{
	const size_t max = BH_RECORD_MAX_PART / BH_ADDR_STRLEN, n = l->n < max ? l->n : max;

	*l = (struct bh_record_addrs){ pack(p, l->items, n * sizeof(*l->items)), n,
				       l->n_omitted + l->n - n };
}

static void pack_field(struct packer *p, const struct field *f, struct bh_record *r)
{
	void *at = flow_member_of(r, f->at);
	struct bh_record_pod *pod = at;
	struct bh_identity *id = at;

	switch (f->type) {
	case T_TEXT:
		*(const char **)at = pack_text(p, *(const char **)at, BH_RECORD_MAX_TEXT);
		return;
	case T_LABELS: pack_labels(p, id); return;
	case T_WORKLOAD: pack_pair(p, &id->workload_kind, &id->workload_name); return;
	case T_ADDRS: pack_addrs(p, &pod->addrs); return;
	case T_RULE: pack_rule(p, at); return;
	case T_NAMES: pack_names(p, at); return;
	case T_NEARS: pack_nears(p, at); return;
	case T_TEXTS: pack_texts(p, at); return;
	case T_U8:
	case T_U16:
	case T_U32:
	case T_U64:
	case T_TIME:
	case T_WORD:
	case T_ADDR:
	case T_ETHER_TYPE:
	case T_PROTOCOL: return;
	}
	abort();
}

static void pack_fields(struct packer *p, const struct fields *fields, struct bh_record *r)
{
	for (size_t i = 0; i < fields->n; i++)
		pack_field(p, &fields->items[i], r);
}

static struct bh_record *pack_record(struct packer *p, const struct bh_record *r)
{
	const struct fields fields = flow_fields_of(r->kind);
	struct bh_record *to = take(p, sizeof(*to)), copy = *r;

	pack_fields(p, &flow_common_fields, &copy);
	pack_fields(p, &fields, &copy);
	if (to)
		*to = copy;
	return to;
}

struct bh_record *bh_record_copy(const struct bh_record *r, size_t *ret_size)
{
	struct packer p = { 0 };

	pack_record(&p, r);
	if (ret_size)
		*ret_size = p.used;
	p.memory = bh_malloc(p.used);
	p.used = 0;
	return pack_record(&p, r);
}
