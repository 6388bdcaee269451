/*
 * The kernel's table as a state that can be compared with a plan.
 *
 * The dumps are several requests; another writer may come between them.  A read
 * counts only if the watch, brought up to date before and after, saw nobody
 * touch our table meanwhile.
 *
 * What no plan can express is noted only as far as it takes to remove it: an
 * odd set or chain is replaced, and where even that cannot be said in a delta
 * (flowtables, quotas, ...) the whole table is.
 */
#include "nft_impl.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/object.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

/* Of sets, chains, rules, counters and elements together; more is not worth patching. */
#define MAX_RECORDS (8u * 1024u * 1024u)
#define MAX_TRIES   5
#define MAX_DUMPS   20

struct bh_nft_state *nft_state_new(void)
{
	struct bh_nft_state *s = bh_calloc(1, sizeof(*s));

	s->arena = bh_arena_new();
	return s;
}

void bh_nft_state_free(struct bh_nft_state **state)
{
	struct bh_nft_state *s = *state;

	if (!s)
		return;
	for (size_t i = 0; i < s->n_sets; i++)
		free(s->sets[i].elems);
	for (size_t i = 0; i < s->n_chains; i++)
		free(s->chains[i].rules);
	free(s->sets);
	free(s->chains);
	free(s->counters);
	bh_arena_free(&s->arena);
	free(s);
	*state = NULL;
}

bool bh_nft_state_is_absent(const struct bh_nft_state *state)
{
	return state->is_absent;
}

/* --- messages ----------------------------------------------------------------*/

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

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
static const char *read_comment(struct nft_reader *r, uint8_t type, const uint8_t *udata,
				size_t len)
{
	size_t i = 0;

	while (udata && i + 2 <= len && i + 2 + udata[i + 1] <= len) {
		const char *text = (const char *)udata + i + 2;

		if (udata[i] == type)
			return bh_arena_strndup(r->state->arena, text, strnlen(text, udata[i + 1]));
		i += 2u + udata[i + 1];
	}
	return "";
}

static void on_table(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nftnl_table *t = must(nftnl_table_alloc());

	if (nftnl_table_nlmsg_parse(msg, t) == 0 &&
	    is_our_table(nftnl_table_get_str(t, NFTNL_TABLE_NAME))) {
		r->state->is_absent = false;
		r->state->is_dormant = nftnl_table_get_u32(t, NFTNL_TABLE_FLAGS) != 0;
	}
	nftnl_table_free(t);
}

static int add_counter(struct nft_reader *r, struct nftnl_obj *o)
{
	struct bh_nft_state *s = r->state;
	const char *name = nftnl_obj_get_str(o, NFTNL_OBJ_NAME);

	if (!name || !is_our_table(nftnl_obj_get_str(o, NFTNL_OBJ_TABLE)))
		return 0;
	if (nftnl_obj_get_u32(o, NFTNL_OBJ_TYPE) != NFT_OBJECT_COUNTER)
		return beyond(r, "it holds objects that are no counters");
	bh_grow(&s->counters, &s->counters_cap, s->n_counters, sizeof(*s->counters));
	s->counters[s->n_counters++] = bh_arena_strdup(s->arena, name);
	return count(r);
}

static int on_object(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nftnl_obj *o = must(nftnl_obj_alloc());
	int e = nftnl_obj_nlmsg_parse(msg, o) < 0 ? beyond(r, "it holds unknown objects")
						  : add_counter(r, o);

	nftnl_obj_free(o);
	return e;
}

static const struct {
	uint32_t number;
	enum bh_hook hook;
} hooks[] = {
	{ NF_INET_LOCAL_IN, BH_HOOK_INPUT },
	{ NF_INET_FORWARD, BH_HOOK_FORWARD },
	{ NF_INET_LOCAL_OUT, BH_HOOK_OUTPUT },
};

static void read_hook(const struct nftnl_chain *c, struct nft_state_chain *ret)
{
	const char *type = nftnl_chain_get_str(c, NFTNL_CHAIN_TYPE);

	ret->is_odd = true;
	ret->priority = nftnl_chain_get_s32(c, NFTNL_CHAIN_PRIO);
	for (size_t i = 0; i < BH_ARRAY_LEN(hooks); i++) {
		if (hooks[i].number != nftnl_chain_get_u32(c, NFTNL_CHAIN_HOOKNUM))
			continue;
		ret->hook = hooks[i].hook;
		ret->is_odd = nftnl_chain_get_u32(c, NFTNL_CHAIN_POLICY) != NF_ACCEPT || !type ||
			      strcmp(type, "filter") != 0 ||
			      nftnl_chain_is_set(c, NFTNL_CHAIN_DEV) ||
			      nftnl_chain_is_set(c, NFTNL_CHAIN_DEVICES);
	}
}

static int add_chain(struct nft_reader *r, const struct nftnl_chain *c)
{
	struct bh_nft_state *s = r->state;
	const char *name = nftnl_chain_get_str(c, NFTNL_CHAIN_NAME);
	uint32_t flags = nftnl_chain_get_u32(c, NFTNL_CHAIN_FLAGS), len = 0;
	const void *udata = nftnl_chain_get_data(c, NFTNL_CHAIN_USERDATA, &len);
	struct nft_state_chain chain = { 0 };

	if (!name || !is_our_table(nftnl_chain_get_str(c, NFTNL_CHAIN_TABLE)))
		return 0;
	/* A chain within a rule lives and dies with that. */
	if (flags & NFT_CHAIN_BINDING)
		return 0;
	chain.name = bh_arena_strdup(s->arena, name);
	chain.comment = read_comment(r, NFTNL_UDATA_CHAIN_COMMENT, udata, len);
	if (nftnl_chain_is_set(c, NFTNL_CHAIN_HOOKNUM))
		read_hook(c, &chain);
	chain.is_odd = chain.is_odd || (flags & ~(uint32_t)NFT_CHAIN_BASE);
	bh_grow(&s->chains, &s->chains_cap, s->n_chains, sizeof(*s->chains));
	s->chains[s->n_chains++] = chain;
	return count(r);
}

static int on_chain(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nftnl_chain *c = must(nftnl_chain_alloc());
	int e = nftnl_chain_nlmsg_parse(msg, c) < 0 ? beyond(r, "it holds unknown chains")
						    : add_chain(r, c);

	nftnl_chain_free(c);
	return e;
}

static bool is_known_shape(const struct nft_set_shape *shape)
{
	for (enum bh_set_kind kind = 0; kind < BH_SET_KIND_COUNT_; kind++) {
		for (enum bh_family family = 0; family < BH_FAMILY_COUNT_; family++) {
			for (int is_interval = 0; is_interval < 2; is_interval++) {
				struct nft_set_shape s = nft_set_shape(kind, family, is_interval);

				if (nft_set_shape_equal(&s, shape))
					return true;
			}
		}
	}
	return false;
}

static struct nft_set_shape read_shape(const struct nftnl_set *n)
{
	struct nft_set_shape s = {
		.flags = nftnl_set_get_u32(n, NFTNL_SET_FLAGS),
		.key_type = nftnl_set_get_u32(n, NFTNL_SET_KEY_TYPE),
		.key_len = nftnl_set_get_u32(n, NFTNL_SET_KEY_LEN),
		.size = nftnl_set_get_u32(n, NFTNL_SET_DESC_SIZE),
		.timeout_ms = nftnl_set_get_u64(n, NFTNL_SET_TIMEOUT),
	};
	uint32_t len = 0;
	const void *fields = nftnl_set_get_data(n, NFTNL_SET_DESC_CONCAT, &len);

	s.is_map = nftnl_set_is_set(n, NFTNL_SET_DATA_TYPE) &&
		   nftnl_set_get_u32(n, NFTNL_SET_DATA_TYPE) == NFT_DATA_VERDICT;
	/* More fields than ours is as good as none. */
	if (fields && len <= sizeof(s.fields)) {
		memcpy(s.fields, fields, len);
		s.n_fields = len;
	}
	return s;
}

static int add_set(struct nft_reader *r, const struct nftnl_set *n)
{
	struct bh_nft_state *s = r->state;
	const char *name = nftnl_set_get_str(n, NFTNL_SET_NAME);
	uint32_t len = 0;
	const void *udata = nftnl_set_get_data(n, NFTNL_SET_USERDATA, &len);
	struct nft_state_set set = { .shape = read_shape(n) };

	if (!name || !is_our_table(nftnl_set_get_str(n, NFTNL_SET_TABLE)))
		return 0;
	/* A set within a rule lives and dies with that. */
	if (set.shape.flags & NFT_SET_ANONYMOUS)
		return 0;
	set.name = bh_arena_strdup(s->arena, name);
	set.comment = read_comment(r, NFTNL_UDATA_SET_COMMENT, udata, len);
	set.is_ours = is_known_shape(&set.shape) && !nftnl_set_is_set(n, NFTNL_SET_EXPR) &&
		      !nftnl_set_is_set(n, NFTNL_SET_EXPRESSIONS) &&
		      !nftnl_set_is_set(n, NFTNL_SET_OBJ_TYPE);
	if (set.is_ours) {
		set.id_len = set.shape.key_len;
		if (set.shape.flags & NFT_SET_INTERVAL)
			set.id_len *= 2;
		set.stride = set.id_len + (set.shape.is_map ? sizeof(char *) : 0);
	}
	bh_grow(&s->sets, &s->sets_cap, s->n_sets, sizeof(*s->sets));
	s->sets[s->n_sets++] = set;
	return count(r);
}

static int on_set(struct nft_reader *r, const struct nlmsghdr *msg)
{
	struct nftnl_set *n = must(nftnl_set_alloc());
	int e = nftnl_set_nlmsg_parse(msg, n) < 0 ? beyond(r, "it holds unknown sets")
						  : add_set(r, n);

	nftnl_set_free(n);
	return e;
}

static int on_name(const struct nlattr *a, void *ctx)
{
	const char **names = ctx;
	uint16_t type = mnl_attr_get_type(a);

	if ((type == NFTA_RULE_TABLE || type == NFTA_RULE_CHAIN) &&
	    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0)
		names[type] = mnl_attr_get_str(a);
	return MNL_CB_OK;
}

/* A flowtable's packets bypass the rules. */
static int on_flowtable(struct nft_reader *r, const struct nlmsghdr *msg)
{
	const char *names[NFTA_RULE_CHAIN + 1] = { 0 };

	static_assert((int)NFTA_FLOWTABLE_TABLE == (int)NFTA_RULE_TABLE, "the table comes first");
	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_name, names);
	return is_our_table(names[NFTA_RULE_TABLE]) ? beyond(r, "it holds flowtables") : 0;
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
		qsort(s->counters, s->n_counters, sizeof(*s->counters), cmp_counter);
	if (s->n_chains)
		qsort(s->chains, s->n_chains, sizeof(*s->chains), cmp_chain);
	if (s->n_sets)
		qsort(s->sets, s->n_sets, sizeof(*s->sets), cmp_set);
	r->chain = NULL;
	r->set = NULL;
}

static struct nft_state_chain *find_chain(struct nft_reader *r, const char *name)
{
	const struct nft_state_chain key = { .name = name };

	if (r->state->n_chains == 0)
		return NULL;
	return bsearch(&key, r->state->chains, r->state->n_chains, sizeof(key), cmp_chain);
}

static int on_rule(struct nft_reader *r, const struct nlmsghdr *msg)
{
	const char *names[NFTA_RULE_CHAIN + 1] = { 0 };

	(void)mnl_attr_parse(msg, sizeof(struct nfgenmsg), on_name, names);
	if (!is_our_table(names[NFTA_RULE_TABLE]) || !names[NFTA_RULE_CHAIN])
		return 0;
	if (!r->chain || strcmp(r->chain->name, names[NFTA_RULE_CHAIN]) != 0)
		r->chain = find_chain(r, names[NFTA_RULE_CHAIN]);
	if (!r->chain)
		return 0;
	bh_grow(&r->chain->rules, &r->chain->cap, r->chain->n_rules, sizeof(*r->chain->rules));
	r->chain->rules[r->chain->n_rules++] = nft_rule_hash(msg, &r->text);
	return count(r);
}

/* --- elements ----------------------------------------------------------------*/

struct elem_attrs {
	size_t key_len;
	const uint8_t *key, *end;
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
	case NFTA_SET_ELEM_DATA: (void)mnl_attr_parse_nested(a, on_data, e); break;
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
	if (!e.key || e.is_odd || (e.flags & ~known_flags) || (e.is_open && !has_halves(set))) {
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

/* --- requests ----------------------------------------------------------------*/

/* Forgets what an interrupted dump has brought. */
static void on_restart(void *ctx)
{
	struct nft_reader *r = ctx;
	struct bh_nft_state *s = r->state;

	switch (r->dump) {
	case NFT_MSG_GETOBJ: s->n_counters = 0; return;
	case NFT_MSG_GETCHAIN: s->n_chains = 0; return;
	case NFT_MSG_GETSET: s->n_sets = 0; return;
	case NFT_MSG_GETRULE:
		for (size_t i = 0; i < s->n_chains; i++)
			s->chains[i].n_rules = 0;
		return;
	case NFT_MSG_GETSETELEM:
		r->n_records -= r->set->n;
		r->set->n = 0;
		r->set->is_odd = false;
		return;
	default: return;
	}
}

/* One request about our table; @set for elements. */
static int ask(struct bh_nft *nft, struct nft_reader *r, uint16_t type, uint16_t flags,
	       const char *set, struct bh_err *err)
{
	_Alignas(struct nlmsghdr) char buf[NFT_REQUEST_MAX];
	struct nlmsghdr *h = nft_put_request(buf, type, flags);

	r->dump = type;
	/* Every kind of request has the table as attribute 1. */
	mnl_attr_put_strz(h, NFTA_TABLE_NAME, BH_TABLE);
	if (set)
		mnl_attr_put_strz(h, NFTA_SET_ELEM_LIST_SET, set);
	return bh_nl_request(nft->nl, h, nft_reader_message, on_restart, r, err);
}

/*
 * The kernel dumps a hash set by position.  While it makes the table larger, as
 * it does in the background after many additions, positions move and elements
 * come twice or not at all; as many of the one as of the other.
 */
static bool has_duplicates(const struct nft_state_set *set)
{
	for (size_t i = 1; i < set->n; i++) {
		const uint8_t *e = set->elems + i * set->stride;

		if (memcmp(e - set->stride, e, set->id_len) == 0)
			return true;
	}
	return false;
}

static int read_set(struct bh_nft *nft, struct nft_reader *r, struct bh_err *err)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	struct nft_state_set *set = r->set;

	for (unsigned int i = 0; i < MAX_DUMPS; i++) {
		int e;

		if (i)
			(void)nanosleep(&pause, NULL);
		r->n_records -= set->n;
		free(set->elems);
		set->elems = NULL;
		set->n = set->cap = 0;
		set->is_odd = false;
		e = ask(nft, r, NFT_MSG_GETSETELEM, NLM_F_DUMP, set->name, err);
		if (e < 0)
			return bh_err_wrap(err, e, "set %s", set->name);
		nft_reader_finish_set(set);
		if (!has_duplicates(set))
			return 0;
	}
	return bh_err(err, -EAGAIN, "set %s: the kernel is still moving its elements", set->name);
}

static int read_elems(struct bh_nft *nft, struct nft_reader *r, struct bh_err *err)
{
	for (size_t i = 0; i < r->state->n_sets; i++) {
		struct nft_state_set *set = &r->state->sets[i];
		int e;

		/* What the packet path adds is not compared. */
		if (!set->is_ours || set->shape.flags & NFT_SET_EVAL)
			continue;
		r->set = set;
		e = read_set(nft, r, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int read_table(struct bh_nft *nft, struct nft_reader *r, struct bh_err *err)
{
	static const uint16_t dumps[] = { NFT_MSG_GETFLOWTABLE, NFT_MSG_GETOBJ, NFT_MSG_GETCHAIN,
					  NFT_MSG_GETSET };
	int e;

	r->state->is_absent = true;
	e = ask(nft, r, NFT_MSG_GETTABLE, 0, NULL, err);
	if (e == -ENOENT)
		bh_err_clear(err);
	if (e < 0 || r->state->is_absent)
		return e == -ENOENT ? 0 : e;
	for (size_t i = 0; i < BH_ARRAY_LEN(dumps); i++) {
		e = ask(nft, r, dumps[i], NLM_F_DUMP, NULL, err);
		if (e < 0)
			return e;
	}
	nft_reader_sort(r);
	e = ask(nft, r, NFT_MSG_GETRULE, NLM_F_DUMP, NULL, err);
	if (e < 0)
		return e;
	return read_elems(nft, r, err);
}

/* 0, an error, or -EAGAIN if somebody else was writing meanwhile. */
static int try_read(struct bh_nft *nft, struct nft_reader *r, struct bh_err *err)
{
	uint32_t generation;
	int e = nft_sync(nft, &generation, err), again;

	if (e < 0)
		return e;
	nft->watch.is_disturbed = false;
	e = read_table(nft, r, err);
	if (r->state->rebuild)
		e = 0;
	again = nft_sync(nft, &generation, err);
	if (again < 0)
		return again;
	/* -ENOENT: the table went away between two requests. */
	if (nft->watch.is_disturbed || e == -EINTR || e == -ENOENT)
		return bh_err(err, -EAGAIN, "other programs change it all the time");
	if (e == 0)
		nft->generation = generation;
	return e;
}

int bh_nft_read(struct bh_nft *nft, struct bh_nft_state **ret, struct bh_err *err)
{
	int e = -EAGAIN;

	for (unsigned int i = 0; e == -EAGAIN && i < MAX_TRIES; i++) {
		bh_auto(nft_reader_done) struct nft_reader r = { .state = nft_state_new() };

		bh_err_clear(err);
		e = try_read(nft, &r, err);
		if (e == 0)
			*ret = bh_take_ptr(r.state);
	}
	return e < 0 ? bh_err_wrap(err, e, "table inet " BH_TABLE) : 0;
}
