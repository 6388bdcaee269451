/*
 * The kernel's messages about our table, one by one, into a state.
 *
 * What no plan can express is noted only as far as it takes to remove it: an
 * odd set or chain is replaced, and where even that cannot be said in a delta
 * (flowtables, quotas, ...) the whole table is.
 *
 * libnftnl is not used here: it ends the process over an attribute that has not
 * the length it expects.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* Of sets, chains, rules, counters and elements together; more is not worth patching. */
#define MAX_RECORDS (8u * 1024u * 1024u)

/* --- attributes --------------------------------------------------------------*/

static int on_attr(const struct nlattr *a, void *ctx)
{
	struct nft_attrs *attrs = ctx;

	if (mnl_attr_get_type(a) < NFT_ATTRS_MAX)
		attrs->attrs[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

struct nft_attrs nft_read_attrs(const struct nlmsghdr *msg)
{
	struct nft_attrs attrs = { 0 };

	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_attr, &attrs);
	return attrs;
}

struct nft_attrs nft_read_nested(const struct nlattr *nest)
{
	struct nft_attrs attrs = { 0 };

	if (nest)
		(void)mnl_attr_parse_nested(nest, on_attr, &attrs);
	return attrs;
}

uint32_t nft_get_u32(const struct nft_attrs *attrs, uint16_t type)
{
	const struct nlattr *a = attrs->attrs[type];

	return a && mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? ntohl(mnl_attr_get_u32(a)) : 0;
}

uint64_t nft_get_u64(const struct nft_attrs *attrs, uint16_t type)
{
	const struct nlattr *a = attrs->attrs[type];

	return a && mnl_attr_validate(a, MNL_TYPE_U64) == 0 ? be64toh(mnl_attr_get_u64(a)) : 0;
}

const char *nft_get_str(const struct nft_attrs *attrs, uint16_t type)
{
	const struct nlattr *a = attrs->attrs[type];

	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(a) : NULL;
}

/* --- objects -----------------------------------------------------------------*/

/* The whole table is beyond patching; reading it on is of no use. */
static int beyond(struct nft_reader *r, const char *why)
{
	r->state->rebuild = why;
	return -E2BIG;
}

static int count(struct nft_reader *r)
{
	return ++r->n_records > MAX_RECORDS ? beyond(r, "it holds too many objects") : 0;
}

static bool is_our_table(const char *name)
{
	return name && strcmp(name, BH_TABLE) == 0;
}

/*
 * nft's user data are records of type, length and value.  The text of the
 * comment as a copy in the arena; "" for none.
 */
static const char *read_comment(struct nft_reader *r, uint8_t type, const struct nlattr *attr)
{
	const uint8_t *udata = attr ? mnl_attr_get_payload(attr) : NULL;
	size_t len = attr ? mnl_attr_get_payload_len(attr) : 0, i = 0;

	while (i + 2 <= len && i + 2 + udata[i + 1] <= len) {
		const char *text = (const char *)udata + i + 2;

		if (udata[i] == type)
			return bh_arena_strndup(r->state->arena, text, strnlen(text, udata[i + 1]));
		i += 2u + udata[i + 1];
	}
	return "";
}

static void on_table(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nft_attrs t = nft_read_attrs(msg);

	if (!is_our_table(nft_get_str(&t, NFTA_TABLE_NAME)))
		return;
	r->state->is_absent = false;
	r->state->is_dormant = nft_get_u32(&t, NFTA_TABLE_FLAGS) != 0;
}

static int on_object(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct bh_nft_state *s = r->state;
	struct nft_attrs o = nft_read_attrs(msg);
	const char *name = nft_get_str(&o, NFTA_OBJ_NAME);

	if (!name || !is_our_table(nft_get_str(&o, NFTA_OBJ_TABLE)))
		return 0;
	if (nft_get_u32(&o, NFTA_OBJ_TYPE) != NFT_OBJECT_COUNTER)
		return beyond(r, "it holds objects that are no counters");
	bh_grow(&s->counters, &s->counters_cap, s->n_counters, sizeof(*s->counters));
	s->counters[s->n_counters++] = bh_arena_strdup(s->arena, name);
	return count(r);
}

static const struct {
	uint32_t number;
	enum bh_hook hook;
} hooks[] = {
	{ NF_INET_PRE_ROUTING, BH_HOOK_PREROUTING },
	{ NF_INET_LOCAL_IN, BH_HOOK_INPUT },
	{ NF_INET_FORWARD, BH_HOOK_FORWARD },
	{ NF_INET_LOCAL_OUT, BH_HOOK_OUTPUT },
};

/* False for hooks that no plan has. */
static bool find_hook(enum bh_table table, uint32_t number, enum bh_hook *ret)
{
	if (table == BH_TABLE_NETDEV) {
		*ret = BH_HOOK_INGRESS;
		return number == NF_NETDEV_INGRESS;
	}
	for (size_t i = 0; i < BH_ARRAY_LEN(hooks); i++) {
		if (hooks[i].number == number) {
			*ret = hooks[i].hook;
			return true;
		}
	}
	return false;
}

/*
 * The one device of a netdev chain.  The kernel names it besides the list if it is
 * the only one; a chain that has lost its device, or has more, names none.
 */
static const char *read_device(struct nft_reader *r, const struct nft_attrs *hook)
{
	const char *device = nft_get_str(hook, NFTA_HOOK_DEV);

	return device ? bh_arena_strdup(r->state->arena, device) : NULL;
}

static void read_hook(struct nft_reader *r, const struct nft_attrs *c, struct nft_state_chain *ret)
{
	const char *type = nft_get_str(c, NFTA_CHAIN_TYPE);
	struct nft_attrs h = nft_read_nested(c->attrs[NFTA_CHAIN_HOOK]);
	bool has_devices = h.attrs[NFTA_HOOK_DEV] || h.attrs[NFTA_HOOK_DEVS];

	ret->is_odd = true;
	/* Of some hook, in any case. */
	ret->hook = BH_HOOK_INPUT;
	ret->priority = (int32_t)nft_get_u32(&h, NFTA_HOOK_PRIORITY);
	if (!find_hook(r->state->table, nft_get_u32(&h, NFTA_HOOK_HOOKNUM), &ret->hook))
		return;
	ret->device = read_device(r, &h);
	ret->is_odd = nft_get_u32(c, NFTA_CHAIN_POLICY) != NF_ACCEPT || !type ||
		      strcmp(type, "filter") != 0 ||
		      (ret->hook == BH_HOOK_INGRESS ? !ret->device : has_devices);
}

static int on_chain(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct bh_nft_state *s = r->state;
	struct nft_attrs c = nft_read_attrs(msg);
	const char *name = nft_get_str(&c, NFTA_CHAIN_NAME);
	uint32_t flags = nft_get_u32(&c, NFTA_CHAIN_FLAGS);
	struct nft_state_chain chain = { 0 };

	if (!name || !is_our_table(nft_get_str(&c, NFTA_CHAIN_TABLE)))
		return 0;
	/* A chain within a rule lives and dies with that. */
	if (flags & NFT_CHAIN_BINDING)
		return 0;
	chain.name = bh_arena_strdup(s->arena, name);
	chain.comment = read_comment(r, NFTNL_UDATA_CHAIN_COMMENT, c.attrs[NFTA_CHAIN_USERDATA]);
	if (c.attrs[NFTA_CHAIN_HOOK])
		read_hook(r, &c, &chain);
	chain.is_odd = chain.is_odd || (flags & ~(uint32_t)NFT_CHAIN_BASE);
	bh_grow(&s->chains, &s->chains_cap, s->n_chains, sizeof(*s->chains));
	s->chains[s->n_chains++] = chain;
	return count(r);
}

/*
 * Of any kind in any form.  How many elements a dynamic set takes and how long they
 * live is the plan's to say.
 */
static bool is_known_shape(const struct nft_set_shape *shape)
{
	for (enum bh_set_kind kind = 0; kind < BH_SET_KIND_COUNT_; kind++) {
		for (enum bh_family family = 0; family < BH_FAMILY_COUNT_; family++) {
			for (int is_interval = 0; is_interval < 2; is_interval++) {
				struct bh_set_spec spec = { .kind = kind,
							    .family = family,
							    .is_interval = is_interval };
				struct nft_set_shape s = nft_set_shape(&spec);

				if (s.flags & NFT_SET_EVAL) {
					s.size = shape->size;
					s.timeout_ms = shape->timeout_ms;
				}
				if (nft_set_shape_equal(&s, shape))
					return true;
			}
		}
	}
	return false;
}

static int on_field(const struct nlattr *a, void *ctx)
{
	struct nft_set_shape *s = ctx;
	struct nft_attrs field = nft_read_nested(a);
	uint32_t len = nft_get_u32(&field, NFTA_SET_FIELD_LEN);

	/* More than ours have, or longer: of no known shape, however it goes on. */
	if (s->n_fields >= BH_ARRAY_LEN(s->fields) || len > UINT8_MAX) {
		s->n_fields = SIZE_MAX;
		return MNL_CB_STOP;
	}
	s->fields[s->n_fields++] = (uint8_t)len;
	return MNL_CB_OK;
}

static struct nft_set_shape read_shape(const struct nft_attrs *n)
{
	struct nft_attrs desc = nft_read_nested(n->attrs[NFTA_SET_DESC]);
	struct nft_set_shape s = {
		.flags = nft_get_u32(n, NFTA_SET_FLAGS),
		.key_type = nft_get_u32(n, NFTA_SET_KEY_TYPE),
		.key_len = nft_get_u32(n, NFTA_SET_KEY_LEN),
		.data_type = nft_get_u32(n, NFTA_SET_DATA_TYPE),
		.size = nft_get_u32(&desc, NFTA_SET_DESC_SIZE),
		.timeout_ms = nft_get_u64(n, NFTA_SET_TIMEOUT),
	};

	s.is_map = s.data_type == NFT_DATA_VERDICT;
	if (desc.attrs[NFTA_SET_DESC_CONCAT])
		(void)mnl_attr_parse_nested(desc.attrs[NFTA_SET_DESC_CONCAT], on_field, &s);
	return s;
}

static int on_set(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct bh_nft_state *s = r->state;
	struct nft_attrs n = nft_read_attrs(msg);
	const char *name = nft_get_str(&n, NFTA_SET_NAME);
	struct nft_state_set set = { .shape = read_shape(&n) };

	if (!name || !is_our_table(nft_get_str(&n, NFTA_SET_TABLE)))
		return 0;
	/* A set within a rule lives and dies with that. */
	if (set.shape.flags & NFT_SET_ANONYMOUS)
		return 0;
	set.name = bh_arena_strdup(s->arena, name);
	set.comment = read_comment(r, NFTNL_UDATA_SET_COMMENT, n.attrs[NFTA_SET_USERDATA]);
	set.is_ours = is_known_shape(&set.shape) && !n.attrs[NFTA_SET_EXPR] &&
		      !n.attrs[NFTA_SET_EXPRESSIONS] && !n.attrs[NFTA_SET_OBJ_TYPE];
	if (set.is_ours) {
		set.id_len = set.shape.key_len;
		if (set.shape.flags & NFT_SET_INTERVAL)
			set.id_len *= 2;
		set.stride = set.id_len;
		if (set.shape.data_type)
			set.stride += set.shape.is_map ? sizeof(char *) : sizeof(uint32_t);
	}
	bh_grow(&s->sets, &s->sets_cap, s->n_sets, sizeof(*s->sets));
	s->sets[s->n_sets++] = set;
	return count(r);
}

/* A flowtable's packets bypass the rules. */
static int on_flowtable(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nft_attrs f = nft_read_attrs(msg);

	return is_our_table(nft_get_str(&f, NFTA_FLOWTABLE_TABLE))
		       ? beyond(r, "it holds flowtables")
		       : 0;
}

/* --- rules -------------------------------------------------------------------*/

static int cmp_counter(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int cmp_chain(const void *a, const void *b)
{
	return strcmp(((const struct nft_state_chain *)a)->name,
		      ((const struct nft_state_chain *)b)->name);
}

static int cmp_set(const void *a, const void *b)
{
	return strcmp(((const struct nft_state_set *)a)->name,
		      ((const struct nft_state_set *)b)->name);
}

void nft_reader_sort(struct nft_reader *r)
{
	struct bh_nft_state *s = r->state;

	if (s->n_counters)
		bh_sort(s->counters, s->n_counters, sizeof(*s->counters), cmp_counter);
	if (s->n_chains)
		bh_sort(s->chains, s->n_chains, sizeof(*s->chains), cmp_chain);
	if (s->n_sets)
		bh_sort(s->sets, s->n_sets, sizeof(*s->sets), cmp_set);
	r->chain = NULL;
	r->set = NULL;
}

static struct nft_state_chain *find_chain(struct nft_reader *r, const char *name)
{
	const struct nft_state_chain key = { .name = name };

	if (r->state->n_chains == 0)
		return NULL;
	return bh_search(&key, r->state->chains, r->state->n_chains, sizeof(key), cmp_chain);
}

static int on_rule(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nft_attrs a = nft_read_attrs(msg);
	const char *name = nft_get_str(&a, NFTA_RULE_CHAIN);

	if (!name || !is_our_table(nft_get_str(&a, NFTA_RULE_TABLE)))
		return 0;
	if (!r->chain || strcmp(r->chain->name, name) != 0)
		r->chain = find_chain(r, name);
	if (!r->chain)
		return 0;
	bh_grow(&r->chain->rules, &r->chain->cap, r->chain->n_rules, sizeof(*r->chain->rules));
	r->chain->rules[r->chain->n_rules++] = nft_rule_hash(msg, &r->text);
	return count(r);
}

/* --- elements ----------------------------------------------------------------*/

struct elem_attrs {
	size_t key_len;
	const uint8_t *key, *end, *value;
	const char *chain;
	uint32_t verdict, flags;
	bool is_open; /* nft's mark of an interval up to the end of all keys */
	bool is_odd;
};

struct value {
	const uint8_t *data;
	size_t len; /* that it must have */
};

static int on_value(const struct nlattr *a, void *ctx)
{
	struct value *v = ctx;

	if (mnl_attr_get_type(a) == NFTA_DATA_VALUE && mnl_attr_get_payload_len(a) == v->len)
		v->data = mnl_attr_get_payload(a);
	return MNL_CB_OK;
}

static const uint8_t *get_value(const struct nlattr *nest, size_t len)
{
	struct value v = { .len = len };

	(void)mnl_attr_parse_nested(nest, on_value, &v);
	return v.data;
}

static int on_verdict(const struct nlattr *a, void *ctx)
{
	struct elem_attrs *e = ctx;

	if (mnl_attr_get_type(a) == NFTA_VERDICT_CODE && mnl_attr_validate(a, MNL_TYPE_U32) == 0)
		e->verdict = ntohl(mnl_attr_get_u32(a));
	if (mnl_attr_get_type(a) == NFTA_VERDICT_CHAIN &&
	    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		e->chain = mnl_attr_get_str(a);
	return MNL_CB_OK;
}

static int on_data(const struct nlattr *a, void *ctx)
{
	if (mnl_attr_get_type(a) == NFTA_DATA_VERDICT)
		(void)mnl_attr_parse_nested(a, on_verdict, ctx);
	return MNL_CB_OK;
}

static int on_elem_attr(const struct nlattr *a, void *ctx)
{
	struct elem_attrs *e = ctx;

	switch (mnl_attr_get_type(a)) {
	case NFTA_SET_ELEM_KEY: e->key = get_value(a, e->key_len); break;
	case NFTA_SET_ELEM_KEY_END: e->end = get_value(a, e->key_len); break;
	case NFTA_SET_ELEM_DATA:
		(void)mnl_attr_parse_nested(a, on_data, e);
		e->value = get_value(a, sizeof(uint32_t));
		break;
	case NFTA_SET_ELEM_PAD: break;
	case NFTA_SET_ELEM_FLAGS:
		if (mnl_attr_validate(a, MNL_TYPE_U32) == 0)
			e->flags = ntohl(mnl_attr_get_u32(a));
		break;
	case NFTA_SET_ELEM_USERDATA:
		e->is_open =
			nft_is_open_interval(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		e->is_odd = e->is_odd || !e->is_open;
		break;
	default: e->is_odd = true; break; /* expressions, timeouts, objects */
	}
	return MNL_CB_OK;
}

/* Intervals of one field come as two elements: a record of key and begin (1) or end (0). */
static bool has_halves(const struct nft_state_set *set)
{
	return (set->shape.flags & (NFT_SET_INTERVAL | NFT_SET_CONCAT)) == NFT_SET_INTERVAL;
}

static size_t record_len(const struct nft_state_set *set)
{
	return has_halves(set) ? set->shape.key_len + 1 : set->stride;
}

static uint8_t *add_record(struct nft_state_set *set)
{
	bh_grow(&set->elems, &set->cap, set->n, record_len(set));
	return set->elems + set->n++ * record_len(set);
}

static void add_elem(struct nft_reader *r, struct nft_state_set *set, const struct nlattr *attr)
{
	size_t key_len = set->shape.key_len;
	struct elem_attrs e = { .key_len = key_len };
	uint32_t known_flags = has_halves(set) ? NFT_SET_ELEM_INTERVAL_END : 0;
	const struct nft_state_chain *chain;
	const char *name = NULL;
	uint8_t *record;

	(void)mnl_attr_parse_nested(attr, on_elem_attr, &e);
	if (!e.key || e.is_odd || (e.flags & ~known_flags) || (e.is_open && !has_halves(set)) ||
	    (set->shape.data_type && !set->shape.is_map && !e.value)) {
		set->is_odd = true;
		return;
	}
	record = add_record(set);
	memcpy(record, e.key, key_len);
	if (has_halves(set))
		record[key_len] = !(e.flags & NFT_SET_ELEM_INTERVAL_END);
	else if (set->shape.flags & NFT_SET_INTERVAL)
		memcpy(record + key_len, e.end ? e.end : e.key, key_len);
	if (set->shape.is_map) {
		chain = e.verdict == (uint32_t)NFT_JUMP && e.chain ? find_chain(r, e.chain) : NULL;
		name = chain ? chain->name : NULL;
		memcpy(record + set->id_len, &name, sizeof(name));
	} else if (set->shape.data_type) {
		memcpy(record + set->id_len, e.value, sizeof(uint32_t));
	}
}

static int on_elem(const struct nlattr *a, void *ctx)
{
	struct nft_reader *r = ctx;

	if (count(r) < 0)
		return MNL_CB_ERROR;
	add_elem(r, r->set, a);
	return MNL_CB_OK;
}

static int on_elems_attr(const struct nlattr *a, void *ctx)
{
	if (mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_ELEMENTS)
		return mnl_attr_parse_nested(a, on_elem, ctx);
	return MNL_CB_OK;
}

static int on_elems(struct nft_reader *r, const struct nlmsghdr *msg)
{
	if (!r->set || !r->set->is_ours)
		return 0;
	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_elems_attr, r);
	return r->state->rebuild ? -E2BIG : 0;
}

static int cmp_record(const void *a, const void *b, void *ctx)
{
	const size_t *len = ctx;

	return memcmp(a, b, *len);
}

static void sort_records(struct nft_state_set *set, size_t len)
{
	if (set->n)
		qsort_r(set->elems, set->n, record_len(set), cmp_record, &len);
}

/* The key before @key, which is not the first. */
static void previous_key(const uint8_t *key, size_t len, uint8_t *ret)
{
	memcpy(ret, key, len);
	while (len-- > 0) {
		if (ret[len]--)
			return;
	}
}

static bool is_zero(const uint8_t *key, size_t len)
{
	return len == 0 || (key[0] == 0 && memcmp(key, key + 1, len - 1) == 0);
}

/*
 * Pairs begins and ends.  An end sorts before a begin of the same key, as
 * neighbours have them.  nft puts an end at the first key of all, to say that
 * nothing is before the first interval.
 */
static void pair_halves(struct nft_state_set *set)
{
	size_t len = set->shape.key_len, size = len + 1, n = 0, i;
	const uint8_t *halves = set->elems;
	uint8_t *whole = bh_calloc(set->n, set->stride);

	for (i = 0; i < set->n; i++) {
		const uint8_t *half = halves + i * size, *next = half + size;
		bool has_next = i + 1 < set->n;

		if (!half[len]) {
			set->is_odd = set->is_odd || i > 0 || !is_zero(half, len);
			continue;
		}
		if (has_next && next[len]) {
			set->is_odd = true;
			continue;
		}
		memcpy(whole + n * set->stride, half, len);
		if (has_next) {
			previous_key(next, len, whole + n * set->stride + len);
			i++;
		} else {
			memset(whole + n * set->stride + len, 0xff, len);
		}
		n++;
	}
	free(set->elems);
	set->elems = whole;
	set->n = set->cap = n;
}

void nft_reader_finish_set(struct nft_state_set *set)
{
	if (!set->is_ours)
		return;
	if (!has_halves(set)) {
		sort_records(set, set->id_len);
		return;
	}
	sort_records(set, set->shape.key_len + 1);
	pair_halves(set);
}

int nft_reader_message(const struct nlmsghdr *msg, void *ctx)
{
	struct nft_reader *r = ctx;

	if (NFNL_SUBSYS_ID(msg->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
	    mnl_nlmsg_get_payload_len(msg) < sizeof(struct nfgenmsg))
		return 0;
	switch (NFNL_MSG_TYPE(msg->nlmsg_type)) {
	case NFT_MSG_NEWTABLE: on_table(r, msg); return 0;
	case NFT_MSG_NEWOBJ: return on_object(r, msg);
	case NFT_MSG_NEWCHAIN: return on_chain(r, msg);
	case NFT_MSG_NEWSET: return on_set(r, msg);
	case NFT_MSG_NEWRULE: return on_rule(r, msg);
	case NFT_MSG_NEWSETELEM: return on_elems(r, msg);
	case NFT_MSG_NEWFLOWTABLE: return on_flowtable(r, msg);
	default: return 0;
	}
}

void nft_reader_done(struct nft_reader *r)
{
	bh_nft_state_free(&r->state);
	bh_buf_done(&r->text);
}
