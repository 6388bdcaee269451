/*
 * A table of the kernel as a state that can be compared with a plan.
 *
 * The dumps are several requests; another writer may come between them.  A read
 * counts only if the watch, brought up to date before and after, saw nobody
 * touch our tables meanwhile.
 */
#include "nft_impl.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>

#define MAX_TRIES 5
#define MAX_DUMPS 20

struct bh_nft_state *nft_state_new(enum bh_table table)
{
	struct bh_nft_state *s = bh_calloc(1, sizeof(*s));

	s->arena = bh_arena_new();
	s->table = table;
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

bool bh_nft_state_is_in_force(const struct bh_nft_state *state)
{
	if (state->is_absent || state->is_dormant)
		return false;
	/* Of what is beyond patching, not all was read. */
	if (state->rebuild)
		return true;
	for (size_t i = 0; i < state->n_chains; i++) {
		if (state->chains[i].hook != BH_HOOK_NONE)
			return true;
	}
	return false;
}

bool bh_nft_state_has_pods(const struct bh_nft_state *state)
{
	if (!bh_nft_state_is_in_force(state))
		return false;
	if (state->rebuild)
		return true;
	for (size_t i = 0; i < state->n_sets; i++) {
		if (state->sets[i].shape.is_map && state->sets[i].n > 0)
			return true;
	}
	return false;
}

bool bh_nft_state_has_set(const struct bh_nft_state *state, const char *name)
{
	for (size_t i = 0; i < state->n_sets; i++) {
		if (strcmp(state->sets[i].name, name) == 0)
			return true;
	}
	return false;
}

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
	struct nlmsghdr *h = nft_put_request(buf, type, nft_family(r->state->table), flags);

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

int bh_nft_read(struct bh_nft *nft, enum bh_table table, struct bh_nft_state **ret,
		struct bh_err *err)
{
	int e = -EAGAIN;

	for (unsigned int i = 0; e == -EAGAIN && i < MAX_TRIES; i++) {
		bh_auto(nft_reader_done) struct nft_reader r = { .state = nft_state_new(table) };

		bh_err_clear(err);
		e = try_read(nft, &r, err);
		if (e == 0)
			*ret = bh_take_ptr(r.state);
	}
	return e < 0 ? bh_err_wrap(err, e, "table %s " BH_TABLE, bh_table_str(table)) : 0;
}
