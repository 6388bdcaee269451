/*
 * Records as JSON and back.
 */
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/object.h"
#include "bh/packet.h"
#include "fields.h"

/* --- writing ------------------------------------------------------------------------------ */

static json_t *number_json(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static json_t *optional_json(const struct field *f, uint64_t value)
{
	return f->is_optional && value == 0 ? NULL : number_json(value);
}

static json_t *time_json(uint64_t ns)
{
	char text[BH_TIME_STRLEN];

	return ns ? json_string(bh_time_format(ns, text)) : NULL;
}

static json_t *addr_json(const struct bh_addr *a)
{
	char text[BH_ADDR_STRLEN];

	return json_string(bh_addr_format(a, text));
}

/* "ipv4", "ipv6", "arp", or the EtherType as in "0x88cc". */
static const struct {
	uint16_t type;
	const char *word;
} ether_types[] = { { ETH_P_IP, "ipv4" }, { ETH_P_IPV6, "ipv6" }, { ETH_P_ARP, "arp" } };

static json_t *ether_type_json(uint16_t type)
{
	char number[8];

	for (size_t i = 0; i < BH_ARRAY_LEN(ether_types); i++)
		if (ether_types[i].type == type)
			return json_string(ether_types[i].word);
	snprintf(number, sizeof(number), "0x%04x", type);
	return json_string(number);
}

/* The names of IANA's registry, as OpenTelemetry has them, or the number. */
static json_t *protocol_json(uint8_t protocol)
{
	static const struct {
		uint8_t protocol;
		const char *word;
	} t[] = {
		{ IPPROTO_TCP, "tcp" },   { IPPROTO_UDP, "udp" },          { IPPROTO_SCTP, "sctp" },
		{ IPPROTO_ICMP, "icmp" }, { IPPROTO_ICMPV6, "ipv6-icmp" },
	};
	char number[4];

	for (size_t i = 0; i < BH_ARRAY_LEN(t); i++)
		if (t[i].protocol == protocol)
			return json_string(t[i].word);
	return json_string(bh_protocol_str(protocol, number));
}

static json_t *labels_json(const struct bh_identity *id)
{
	json_t *json = json_object();

	for (size_t i = 0; i < id->labels.n; i++) {
		const struct bh_label *l = &id->labels.items[i];

		/* A key that is no UTF-8 can be none of JSON. */
		if (json_object_set_new(json, l->key, bh_text_json(l->value)) < 0) {
			bh_auto(bh_buf_done) struct bh_buf name = { 0 };

			bh_buf_escape(&name, l->key);
			json_object_set_new(json, bh_buf_str(&name), bh_text_json(l->value));
		}
	}
	return json;
}

static json_t *workload_json(const struct bh_identity *id)
{
	bh_auto_free char *text = NULL;

	if (!flow_has_pod(id) || !id->workload_kind || !id->workload_name)
		return NULL;
	text = bh_asprintf("%s/%s", id->workload_kind, id->workload_name);
	return bh_text_json(text);
}

/* "ns/name", or the name alone where it has no namespace. */
static json_t *name_json(const struct bh_record_name *n)
{
	bh_auto_free char *text = n->namespace && *n->namespace
					  ? bh_asprintf("%s/%s", n->namespace, n->name)
					  : bh_strdup(n->name);

	return bh_text_json(text);
}

static json_t *rule_json(const struct bh_record_rule *rule, bool keeps_empty)
{
	const char *ns = rule->policy.namespace;
	json_t *json;

	if (!rule->kind)
		return NULL;
	json = json_object();
	json_object_set_new(json, "kind", bh_text_json(rule->kind));
	if (ns && (*ns || keeps_empty))
		json_object_set_new(json, "namespace", bh_text_json(ns));
	json_object_set_new(json, "name", bh_text_json(rule->policy.name));
	if (rule->has_index)
		json_object_set_new(json, "rule_index", number_json(rule->index));
	if (rule->rule_name)
		json_object_set_new(json, "rule_name", bh_text_json(rule->rule_name));
	return json;
}

static json_t *names_json(const struct bh_record_names *names)
{
	json_t *list = json_array();

	for (size_t i = 0; i < names->n; i++)
		json_array_append_new(list, name_json(&names->items[i]));
	return list;
}

static json_t *near_json(const struct bh_record_near *n)
{
	json_t *item = json_object();

	json_object_set_new(item, "name", name_json(&n->policy));
	json_object_set_new(item, "rule_index", number_json(n->index));
	if (n->why < BH_MISS_COUNT_)
		json_object_set_new(item, "why", json_string(bh_miss_str(n->why)));
	return item;
}

static json_t *nears_json(const struct bh_record_nears *nears)
{
	json_t *list = json_array();

	for (size_t i = 0; i < nears->n; i++)
		json_array_append_new(list, near_json(&nears->items[i]));
	return list;
}

static json_t *texts_json(const struct bh_record_texts *texts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < texts->n; i++)
		json_array_append_new(list, bh_text_json(texts->items[i]));
	return list;
}

static json_t *addrs_json(const struct bh_record_addrs *addrs)
{
	json_t *list = json_array();

	for (size_t i = 0; i < addrs->n; i++)
		json_array_append_new(list, addr_json(&addrs->items[i]));
	return list;
}

static json_t *text_json(const struct field *f, const char *text)
{
	return text && (*text || f->keeps_empty) ? bh_text_json(text) : NULL;
}

static json_t *word_json(const struct field *f, int value)
{
	const char *word = f->word(value);

	return word ? json_string(word) : NULL;
}

/* NULL where it is not there; *ret_omitted: how many of its items are left out. */
static json_t *encode_field(const struct field *f, const struct bh_record *r, size_t *ret_omitted)
{
	const void *p = flow_member(r, f->at);
	const struct bh_record_pod *pod = p;
	const struct bh_identity *id = p;

	*ret_omitted = 0;
	if (f->has && !*(const bool *)flow_member(r, f->has))
		return NULL;
	switch (f->type) {
	case T_TEXT: return text_json(f, *(const char *const *)p);
	case T_U8: return optional_json(f, *(const uint8_t *)p);
	case T_U16: return optional_json(f, *(const uint16_t *)p);
	case T_U32: return optional_json(f, *(const uint32_t *)p);
	case T_U64: return optional_json(f, *(const uint64_t *)p);
	case T_TIME: return time_json(*(const uint64_t *)p);
	case T_WORD: return word_json(f, *(const int *)p);
	case T_ADDR: return addr_json(p);
	case T_ETHER_TYPE: return ether_type_json(*(const uint16_t *)p);
	case T_PROTOCOL: return protocol_json(*(const uint8_t *)p);
	case T_WORKLOAD: return workload_json(id);
	case T_RULE: return rule_json(p, f->keeps_empty);
	case T_LABELS:
		*ret_omitted = id->n_labels_omitted;
		return flow_has_pod(id) ? labels_json(id) : NULL;
	case T_ADDRS:
		*ret_omitted = pod->addrs.n_omitted;
		return flow_has_pod(&pod->id) ? addrs_json(&pod->addrs) : NULL;
	case T_NAMES:
		*ret_omitted = ((const struct bh_record_names *)p)->n_omitted;
		return names_json(p);
	case T_NEARS:
		*ret_omitted = ((const struct bh_record_nears *)p)->n_omitted;
		return nears_json(p);
	case T_TEXTS:
		*ret_omitted = ((const struct bh_record_texts *)p)->n_omitted;
		return texts_json(p);
	}
	abort();
}

#define OMITTED "_omitted"

static void encode(const struct fields *fields, const struct bh_record *r, json_t *to)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct field *f = &fields->items[i];
		size_t n_omitted;
		json_t *value = encode_field(f, r, &n_omitted);

		if (!value)
			continue;
		json_object_set_new(to, f->name, value);
		if (n_omitted > 0) {
			bh_auto_free char *name = bh_asprintf("%s" OMITTED, f->name);

			json_object_set_new(to, name, number_json(n_omitted));
		}
	}
}

json_t *bh_record_encode(const struct bh_record *r)
{
	const struct fields fields = flow_fields_of(r->kind);
	struct bh_record named = *r;
	json_t *to = json_object();

	named.action = bh_record_action(r);
	encode(&flow_common_fields, &named, to);
	encode(&fields, r, to);
	return to;
}

/*
 * ASCII only: a C1 control character is valid JSON and would still reach the
 * terminal of whoever reads the log with cat.
 */
char *bh_record_line(const struct bh_record *r)
{
	json_t *json = bh_record_encode(r);
	char *line = json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII);

	json_decref(json);
	/* Fails without memory only: keys and texts are checked when they are set. */
	if (!line)
		abort();
	return line;
}

/* --- reading ------------------------------------------------------------------------------ */

static void set_kind(struct bh_record *r, const char *action)
{
	for (enum bh_record_kind k = BH_RECORD_OTHER + 1; k < BH_RECORD_KIND_COUNT_; k++)
		for (enum bh_verdict_class c = 0; c < BH_CLASS_COUNT_; c++) {
			*r = (struct bh_record){ .kind = k };
			if (k == BH_RECORD_FLOW)
				r->flow.class = c;
			if (strcmp(bh_record_action(r), action) == 0)
				return;
		}
	*r = (struct bh_record){ .kind = BH_RECORD_OTHER };
}

/* -1 for a word that is none. */
static int find_word(const char *(*word)(int value), int n, const char *text)
{
	for (int i = 0; i < n; i++) {
		const char *w = word(i);

		if (w && strcmp(w, text) == 0)
			return i;
	}
	return -1;
}

/* Texts stay the object's, lists are the arena's. */
struct reader {
	const json_t *object;
	struct bh_arena *arena;
	struct bh_record *r;
};

static bool read_number(const json_t *v, uint64_t max, uint64_t *ret)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static uint32_t index_of(const json_t *object)
{
	uint64_t n = 0;

	read_number(json_object_get(object, "rule_index"), UINT32_MAX, &n);
	return (uint32_t)n;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool read_ether_type(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long n;

	for (size_t i = 0; i < BH_ARRAY_LEN(ether_types); i++)
		if (strcmp(ether_types[i].word, text) == 0) {
			*ret = ether_types[i].type;
			return true;
		}
	n = strncmp(text, "0x", 2) == 0 ? strtoul(text + 2, &end, 16) : 0;
	if (n == 0 || *end || n > UINT16_MAX)
		return false;
	*ret = (uint16_t)n;
	return true;
}

/* "kind/name"; false without a slash, and then *ret_first is NULL. */
static bool split(struct bh_arena *arena, const char *text, const char **ret_first,
		  const char **ret_second)
{
	const char *slash = strchr(text, '/');

	*ret_first = slash ? bh_arena_strndup(arena, text, (size_t)(slash - text)) : NULL;
	*ret_second = slash ? slash + 1 : text;
	return slash != NULL;
}

static struct bh_record_name read_name(struct bh_arena *arena, const char *text)
{
	struct bh_record_name n = { 0 };

	split(arena, text ? text : "", &n.namespace, &n.name);
	return n;
}

static void read_labels(const struct reader *rd, json_t *v, struct bh_identity *id)
{
	struct bh_label *items = bh_arena_array(rd->arena, json_object_size(v), sizeof(*items));
	size_t n = 0;
	const char *key;
	json_t *value;

	json_object_foreach(v, key, value)
	{
		if (json_is_string(value))
			items[n++] = (struct bh_label){ key, json_string_value(value) };
	}
	id->labels = (struct bh_labels){ .items = items, .n = n };
}

static void read_rule(const json_t *v, struct bh_record_rule *ret)
{
	const json_t *index = json_object_get(v, "rule_index");

	if (!json_is_object(v))
		return;
	*ret = (struct bh_record_rule){
		.kind = text_of(v, "kind") ? text_of(v, "kind") : "",
		.policy = { .namespace = text_of(v, "namespace"),
			    .name = text_of(v, "name") ? text_of(v, "name") : "" },
		.has_index = json_is_integer(index),
		.index = index_of(v),
		.rule_name = text_of(v, "rule_name"),
	};
}

static struct bh_record_names read_names(const struct reader *rd, const json_t *v)
{
	struct bh_record_name *items =
		bh_arena_array(rd->arena, json_array_size(v), sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(v); i++)
		if (json_is_string(json_array_get(v, i)))
			items[n++] = read_name(rd->arena, json_string_value(json_array_get(v, i)));
	return (struct bh_record_names){ .items = items, .n = n };
}

static const char *miss_word(int value)
{
	return bh_miss_str((enum bh_miss)value);
}

static struct bh_record_nears read_nears(const struct reader *rd, const json_t *v)
{
	struct bh_record_near *items =
		bh_arena_array(rd->arena, json_array_size(v), sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *item = json_array_get(v, i);
		const char *why = text_of(item, "why");
		int miss = find_word(miss_word, BH_MISS_COUNT_, why ? why : "");

		if (json_is_object(item))
			items[n++] = (struct bh_record_near){
				.policy = read_name(rd->arena, text_of(item, "name")),
				.index = index_of(item),
				.why = miss < 0 ? BH_MISS_COUNT_ : (enum bh_miss)miss,
			};
	}
	return (struct bh_record_nears){ .items = items, .n = n };
}

static struct bh_record_texts read_texts(const struct reader *rd, const json_t *v)
{
	const char **items = bh_arena_array(rd->arena, json_array_size(v), sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(v); i++)
		if (json_is_string(json_array_get(v, i)))
			items[n++] = json_string_value(json_array_get(v, i));
	return (struct bh_record_texts){ .items = items, .n = n };
}

static struct bh_record_addrs read_addrs(const struct reader *rd, const json_t *v)
{
	struct bh_addr *items = bh_arena_array(rd->arena, json_array_size(v), sizeof(*items));
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(v); i++) {
		const char *text = json_string_value(json_array_get(v, i));

		if (text && bh_addr_parse(text, &items[n], NULL) == 0)
			n++;
	}
	return (struct bh_record_addrs){ .items = items, .n = n };
}

static bool store(void *to, const void *value, size_t size)
{
	memcpy(to, value, size);
	return true;
}

/* False if it is not there, or of another type. */
static bool read_text(const struct reader *rd, const struct field *f, const char *text, void *p)
{
	struct bh_identity *id = p;
	uint64_t ns;
	int word;

	switch (f->type) {
	case T_TEXT: *(const char **)p = text; return true;
	case T_TIME: return bh_time_parse(text, &ns) == 0 && store(p, &ns, sizeof(ns));
	case T_ADDR: return bh_addr_parse(text, p, NULL) == 0;
	case T_ETHER_TYPE: return read_ether_type(text, p);
	case T_PROTOCOL: return bh_protocol_parse(text, p) == 0;
	case T_WORKLOAD: return split(rd->arena, text, &id->workload_kind, &id->workload_name);
	case T_WORD:
		word = find_word(f->word, f->n_words, text);
		return word >= 0 && store(p, &word, sizeof(word));
	default: return false;
	}
}

static bool read_integer(const struct field *f, const json_t *v, void *p)
{
	uint64_t n;
	uint32_t n32;
	uint16_t n16;
	uint8_t n8;

	if (!read_number(v, UINT64_MAX, &n))
		return false;
	n32 = (uint32_t)n;
	n16 = (uint16_t)n;
	n8 = (uint8_t)n;
	switch (f->type) {
	case T_U8: return n8 == n && store(p, &n8, sizeof(n8));
	case T_U16: return n16 == n && store(p, &n16, sizeof(n16));
	case T_U32: return n32 == n && store(p, &n32, sizeof(n32));
	case T_U64: return store(p, &n, sizeof(n));
	default: return false;
	}
}

static size_t read_omitted(const struct reader *rd, const struct field *f)
{
	bh_auto_free char *name = bh_asprintf("%s" OMITTED, f->name);
	uint64_t n = 0;

	read_number(json_object_get(rd->object, name), SIZE_MAX, &n);
	return (size_t)n;
}

/* Labels, lists and rules. */
static bool read_part(const struct reader *rd, const struct field *f, json_t *v, void *p)
{
	const size_t n_omitted = read_omitted(rd, f);
	struct bh_record_pod *pod = p;
	struct bh_identity *id = p;

	switch (f->type) {
	case T_RULE: read_rule(v, p); return true;
	case T_LABELS:
		read_labels(rd, v, id);
		id->n_labels_omitted = n_omitted;
		return true;
	case T_ADDRS:
		pod->addrs = read_addrs(rd, v);
		pod->addrs.n_omitted = n_omitted;
		return true;
	case T_NAMES:
		*(struct bh_record_names *)p = read_names(rd, v);
		((struct bh_record_names *)p)->n_omitted = n_omitted;
		return true;
	case T_NEARS:
		*(struct bh_record_nears *)p = read_nears(rd, v);
		((struct bh_record_nears *)p)->n_omitted = n_omitted;
		return true;
	case T_TEXTS:
		*(struct bh_record_texts *)p = read_texts(rd, v);
		((struct bh_record_texts *)p)->n_omitted = n_omitted;
		return true;
	default: return false;
	}
}

static void decode(const struct reader *rd, const struct fields *fields)
{
	for (size_t i = 0; i < fields->n; i++) {
		const struct field *f = &fields->items[i];
		json_t *v = json_object_get(rd->object, f->name);
		void *p = flow_member_of(rd->r, f->at);
		bool is_read = false;

		if (json_is_string(v))
			is_read = read_text(rd, f, json_string_value(v), p);
		else if (json_is_integer(v))
			is_read = read_integer(f, v, p);
		else if (json_is_array(v) || json_is_object(v))
			is_read = read_part(rd, f, v, p);
		if (f->has && is_read)
			*(bool *)flow_member_of(rd->r, f->has) = true;
	}
}

struct bh_record *bh_record_decode(const json_t *object)
{
	bh_auto(bh_arena_free) struct bh_arena *arena = bh_arena_new();
	struct bh_record r;
	const struct reader rd = { .object = object, .arena = arena, .r = &r };
	const char *action = text_of(object, "event.action");
	struct fields fields;

	set_kind(&r, action ? action : "");
	decode(&rd, &flow_common_fields);
	fields = flow_fields_of(r.kind);
	decode(&rd, &fields);
	if (r.kind != BH_RECORD_OTHER)
		r.action = NULL;
	return bh_record_copy(&r, NULL);
}
