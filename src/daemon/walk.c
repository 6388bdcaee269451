/*
 * A walk lists in a thread of its own, because the kernel's part of it is long: some
 * milliseconds for an empty table, 30 for 200,000 entries of which it tells few, 200
 * for all of them.  It comes to the loop in portions.  There each connection is judged
 * by what this node's rules say of its ends and, if it is denied, cut; a millisecond
 * at a time, so that commits and packets never wait for it.
 *
 * What is cut.  Policy judges who opens a connection.  Where client -> server is denied
 * and server -> client is not, deleting the entry is not enough: the server's next
 * packet is picked up as a new connection of the server's (TCP in mid-stream, UDP
 * always), and the client's packets pass as its replies.  So the packet that the server
 * sends is first put into a set, of which chain `cut` drops what begins no connection;
 * each packet that is dropped renews its element, and the element ends by itself
 * some time after the server gave up.  Behind SNAT the server's packets lead nowhere
 * without the entry, and nothing is put.
 *
 * Budgets.  One pod can have as many connections as the table holds.  It gets so many
 * cuts in one walk, and the rest in the next one, so that those of others are not
 * behind its own.  It gets so many elements; beyond them, pairs of addresses are shut,
 * whatever the ports, where an answer was seen at all.
 */
#include "walk.h"

#include <errno.h>
#include <netinet/in.h>
#include <time.h>

#include "agent.h"
#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/eval.h"

/* 0.5 MB. */
#define PORTION 4096
/* In one transaction, and in one turn of the loop. */
#define BATCH    128
#define SLICE_NS (1 * BH_NS_PER_MS)
/* How often the clock is looked at. */
#define JUDGE_STEP 16
/*
 * A listing costs 4 ms for the table, however little it tells, and 1.5 us for each entry
 * that it tells: so many entries cost as much as another listing.
 */
#define LISTING_ENTRIES 3000
/* Addresses that are forgotten one by one: a listing costs as much as five of them. */
#define MAX_FORGOTTEN 4
/*
 * So few entries are looked at in /proc first, which costs a microsecond each and saves
 * the 4 ms of a listing; of addresses that are likely to have some, only a page.
 */
#define MAX_PEEK        2000
#define MAX_PEEK_LIKELY 20
/* Elements that one pod may have in the kernel's sets. */
#define MAX_TUPLES 1024

struct bh_touched *bh_touched_find(struct bh_touched *set, const struct bh_addr *a)
{
	struct bh_touched *t;

	HASH_FIND(hh, set, a, sizeof(*a), t);
	return t;
}

struct bh_touched *bh_touched_get(struct bh_touched **set, const struct bh_addr *a)
{
	struct bh_touched *t = bh_touched_find(*set, a);

	if (t)
		return t;
	t = bh_calloc(1, sizeof(*t));
	t->addr = *a;
	t->why = BH_TOUCH_NEW;
	HASH_ADD(hh, *set, addr, sizeof(t->addr), t);
	return t;
}

void bh_touched_free(struct bh_touched **set)
{
	struct bh_touched *t, *next;

	HASH_ITER (hh, *set, t, next) {
		HASH_DEL(*set, t);
		free(t);
	}
}

/* --- listing, in a thread ----------------------------------------------------------- */

/* The set does not change while the thread reads it. */
static bool wants(void *ctx, const struct bh_conn *conn)
{
	struct bh_walk *w = ctx;

	return bh_touched_find(w->touched, &conn->src) || bh_touched_find(w->touched, &conn->dst);
}

/* Takes forgotten addresses out of the listing where the kernel deletes by address. */
static bool is_all_forgotten(struct bh_walk *w)
{
	bool is_all = true;
	size_t n = 0;

	for (const struct bh_touched *t = w->touched; t; t = t->hh.next)
		n += t->is_forgotten;
	if (n > MAX_FORGOTTEN)
		return false;
	for (struct bh_touched *t = w->touched; t; t = t->hh.next) {
		int r = -EOPNOTSUPP;

		if (t->is_forgotten && !w->is_forgetting_slow)
			r = bh_conntrack_forget(w->ct, &t->addr, NULL);
		/* Of IPv6 no kernel does. */
		if (t->is_forgotten && r < 0 && t->addr.family == BH_IPV4)
			w->is_forgetting_slow = true;
		is_all = is_all && t->is_forgotten && r == 0;
	}
	return is_all;
}

/* No entry of the few that there are can be concerned. */
static bool is_spared(struct bh_walk *w, uint32_t n_entries)
{
	struct bh_addr addrs[BH_CONNTRACK_MAX_PEEK];
	size_t n = 0;

	for (const struct bh_touched *t = w->touched; t; t = t->hh.next) {
		bool is_likely = t->why == BH_TOUCH_CHANGED && !t->is_forgotten;

		if (n == BH_ARRAY_LEN(addrs) ||
		    n_entries > (is_likely ? MAX_PEEK_LIKELY : MAX_PEEK))
			return false;
		addrs[n++] = t->addr;
	}
	return bh_conntrack_peek(addrs, n) == 0;
}

/*
 * Listings by address: two for each of IPv4, by source and by destination, and one of
 * all IPv6 entries, which no kernel tells by address, for all of IPv6.
 */
static size_t count_listings(const struct bh_walk *w)
{
	size_t n = 0;
	bool has_ipv6 = false;

	for (const struct bh_touched *t = w->touched; t; t = t->hh.next) {
		has_ipv6 |= t->addr.family == BH_IPV6;
		n += t->addr.family == BH_IPV4 ? 2 : 0;
	}
	return n + has_ipv6;
}

/* How many entries there are; 0 where none can be concerned. */
static int count_concerned(struct bh_walk *w, uint32_t *ret)
{
	uint32_t before, after;
	int r = bh_conntrack_count(w->ct, &before, &w->err);
	bool is_over;

	if (r < 0 || before == 0) {
		*ret = 0;
		return r;
	}
	is_over = is_all_forgotten(w);
	r = bh_conntrack_count(w->ct, &after, &w->err);
	if (r < 0)
		return r;
	w->n_forgotten += before > after ? before - after : 0;
	if (is_over || after == 0 || is_spared(w, after))
		after = 0;
	*ret = after;
	return 0;
}

/* The entries with the asked address on that side; of IPv6, all there are. */
static int ask(struct bh_walk *w, enum bh_conn_side side)
{
	w->side = side;
	w->has_listed_ipv6 |= w->asked->addr.family == BH_IPV6;
	return bh_conntrack_list(w->ct, side, &w->asked->addr, &w->err);
}

static int begin(struct bh_walk *w)
{
	uint32_t count = 0;
	int r = w->has_cuts ? bh_cuts_list(&w->cuts, &w->n_cuts, &w->err) : 0;

	if (r < 0)
		return r;
	w->has_cuts = w->n_cuts > 0;
	r = bh_conntrack_new(&w->ct, &w->err);
	if (r == 0)
		r = count_concerned(w, &count);
	if (r < 0)
		return r;
	if (count == 0) {
		w->is_end = true;
		return 0;
	}
	w->conns = bh_calloc(PORTION, sizeof(*w->conns));
	if (count_listings(w) > 1 + count / LISTING_ENTRIES)
		return bh_conntrack_list(w->ct, BH_CONN_SIDE_ANY, NULL, &w->err);
	w->asked = w->touched;
	return ask(w, BH_CONN_SIDE_SRC);
}

/* After a listing: the next one, or the end. */
static int go_on(struct bh_walk *w)
{
	if (!w->asked) {
		w->is_end = true;
		return 0;
	}
	if (w->side == BH_CONN_SIDE_SRC && w->asked->addr.family == BH_IPV4)
		return ask(w, BH_CONN_SIDE_DST);
	/* One listing was of all of IPv6. */
	do
		w->asked = w->asked->hh.next;
	while (w->asked && w->asked->addr.family == BH_IPV6 && w->has_listed_ipv6);
	if (w->asked)
		return ask(w, BH_CONN_SIDE_SRC);
	w->is_end = true;
	return 0;
}

static int list_portion(struct bh_walk *w)
{
	int r = 0;

	w->n_conns = 0;
	if (!w->is_begun) {
		w->is_begun = true;
		r = begin(w);
	}
	while (r == 0 && !w->is_end && w->n_conns + BH_CONNTRACK_MIN_ROOM <= PORTION) {
		size_t n = 0;

		r = bh_conntrack_read(w->ct, wants, w, w->conns + w->n_conns, PORTION - w->n_conns,
				      &n, &w->err);
		if (r < 0)
			return r;
		w->n_conns += n;
		if (r == 0)
			r = go_on(w);
		else
			break;
	}
	return r < 0 ? r : 0;
}

static uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * BH_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void on_work(uv_work_t *work)
{
	struct bh_walk *w = bh_container_of(work, struct bh_walk, work);
	uint64_t start_ns = thread_cpu_ns();

	w->result = list_portion(w);
	w->cpu_ns += thread_cpu_ns() - start_ns;
}

static void on_worked(uv_work_t *work, int status)
{
	struct bh_walk *w = bh_container_of(work, struct bh_walk, work);

	w->is_working = false;
	w->next_conn = 0;
	if (status < 0)
		w->result = status;
	w->on_portion(w);
}

void bh_walk_list(struct bh_walk *w)
{
	w->is_working = true;
	if (uv_queue_work(w->agent->loop, &w->work, on_work, on_worked) < 0)
		abort();
}

/* --- judging ---------------------------------------------------------------------- */

enum fate { KEEP, CUT, FORGET };

static bool is_denied(const struct bh_walk *w, const struct bh_addr *src, const struct bh_addr *dst,
		      uint8_t protocol, uint16_t dst_port)
{
	const struct bh_flow flow = {
		.src = *src,
		.dst = *dst,
		.protocol = protocol,
		.dst_port = dst_port,
	};
	struct bh_result result;

	bh_eval(w->agent->world, &flow, &result);
	return result.here == BH_VERDICT_DENIED;
}

/* Linux's range for ports that nobody chose, net.ipv4.ip_local_port_range. */
static bool is_ephemeral(uint16_t port)
{
	return port >= 32768 && port <= 60999;
}

static bool is_declared(const struct bh_walk *w, const struct bh_addr *a, uint16_t port)
{
	const struct bh_pod *pod = bh_world_pod_by_addr(w->agent->world, a);

	for (size_t i = 0; pod && i < pod->n_ports; i++)
		if (pod->ports[i].number == port && pod->ports[i].protocol == IPPROTO_TCP)
			return true;
	return false;
}

enum opener { OPENED_BY_SRC, OPENED_BY_DST, OPENED_BY_EITHER };

/*
 * Conntrack met it in mid-stream, and whose packet came first says nothing.  A port
 * that a pod declares is a server's; one of the range that systems choose from is a
 * client's, if the other is not.
 */
static enum opener opener_of(const struct bh_walk *w, const struct bh_conn *c)
{
	bool is_src_server = is_declared(w, &c->src, c->src_port);
	bool is_dst_server = is_declared(w, &c->dst, c->dst_port);

	if (is_src_server == is_dst_server) {
		is_src_server = !is_ephemeral(c->src_port) && is_ephemeral(c->dst_port);
		is_dst_server = !is_ephemeral(c->dst_port) && is_ephemeral(c->src_port);
	}
	if (is_src_server == is_dst_server)
		return OPENED_BY_EITHER;
	return is_dst_server ? OPENED_BY_SRC : OPENED_BY_DST;
}

static bool is_conn_denied(const struct bh_walk *w, const struct bh_conn *c)
{
	enum opener opener = c->is_picked_up ? opener_of(w, c) : OPENED_BY_SRC;

	if (opener != OPENED_BY_DST && is_denied(w, &c->src, &c->dst, c->protocol, c->dst_port))
		return true;
	return opener != OPENED_BY_SRC && is_denied(w, &c->dst, &c->src, c->protocol, c->src_port);
}

/* The end whose pod's budget it is; NULL where neither is of this node. */
static struct bh_touched *payer_of(struct bh_walk *w, const struct bh_addr *src,
				   const struct bh_addr *dst)
{
	const struct bh_addr *ends[] = { src, dst };

	for (size_t i = 0; i < BH_ARRAY_LEN(ends); i++) {
		const struct bh_pod *pod = bh_world_pod_by_addr(w->agent->world, ends[i]);

		if (pod && pod->is_local)
			return bh_touched_get(&w->payers, ends[i]);
	}
	return NULL;
}

static enum fate judge(struct bh_walk *w, const struct bh_conn *c)
{
	const struct bh_touched *src = bh_touched_find(w->touched, &c->src);
	const struct bh_touched *dst = bh_touched_find(w->touched, &c->dst);
	struct bh_touched *payer;

	if ((src && src->is_forgotten) || (dst && dst->is_forgotten))
		return FORGET;
	/* What is still to be told may allow it. */
	if (!bh_reconcile_may_revoke(&w->agent->reconcile))
		return KEEP;
	payer = payer_of(w, &c->src, &c->dst);
	if (!payer)
		return c->is_block ? FORGET : KEEP;
	if (payer->n_victims >= w->budget) {
		w->n_left++;
		return KEEP;
	}
	if (!is_conn_denied(w, c))
		return c->is_block ? FORGET : KEEP;
	payer->n_victims++;
	return CUT;
}

/* --- cutting ---------------------------------------------------------------------- */

static bool has_ports(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP ||
	       protocol == IPPROTO_UDPLITE || protocol == IPPROTO_DCCP;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static bool is_masqueraded(const struct bh_conn *c)
{
	return !bh_addr_eq(&c->back_dst, &c->src) || c->back_dst_port != c->src_port;
}

/* What answers to @c look like, where nothing but its entry makes them answers. */
static struct bh_cut answer_of(const struct bh_conn *c)
{
	return (struct bh_cut){
		.src = c->dst,
		.dst = c->src,
		.protocol = c->protocol,
		.src_port = c->dst_port,
		.dst_port = c->src_port,
	};
}

static struct bh_cut pair_of(const struct bh_cut *c)
{
	return (struct bh_cut){
		.src = c->src, .dst = c->dst, .protocol = c->protocol, .is_pair = true
	};
}

struct block {
	struct bh_cut cuts[2 * BATCH];
	size_t n;
};

static void block_conn(struct bh_walk *w, const struct bh_conn *c, struct block *b)
{
	struct bh_touched *payer = payer_of(w, &c->src, &c->dst);
	struct bh_cut answer = answer_of(c);

	/* An answer of ICMP is none without its entry. */
	if (is_icmp(c->protocol) || is_masqueraded(c))
		return;
	if (has_ports(c->protocol) && payer && payer->n_tuples < MAX_TUPLES) {
		payer->n_tuples++;
		b->cuts[b->n++] = answer;
		/* Either end's packets may pass as an opening then. */
		if (!c->is_picked_up && !(w->is_picking_up && c->protocol == IPPROTO_TCP))
			return;
		b->cuts[b->n++] = (struct bh_cut){
			.src = c->src,
			.dst = c->dst,
			.protocol = c->protocol,
			.src_port = c->src_port,
			.dst_port = c->dst_port,
		};
		return;
	}
	/* Over the budget, and nobody ever answered: there is no connection to come back. */
	if (!c->is_reply_seen && has_ports(c->protocol))
		return;
	b->cuts[b->n++] = pair_of(&answer);
}

/* The same with pairs, where tuples find no room. */
static void block_pairs(struct block *b)
{
	for (size_t i = 0; i < b->n; i++)
		b->cuts[i] = pair_of(&b->cuts[i]);
}

static int put_blocks(struct bh_walk *w, struct block *b)
{
	const struct bh_plan *plan = bh_compiler_plan(w->agent->compiler);
	int r;

	if (b->n == 0)
		return 0;
	w->has_cuts = true;
	r = bh_cuts_put(w->agent->nft, plan, b->cuts, b->n, &w->err);
	if (r != -ENFILE)
		return r;
	block_pairs(b);
	r = bh_cuts_put(w->agent->nft, plan, b->cuts, b->n, &w->err);
	if (r != -ENFILE)
		return r;
	/* Cut all the same: a server that is silent, or judged as well, stays out. */
	w->n_open += b->n;
	return 0;
}

/* The entries of so many victims from @first on. */
static int delete_victims(struct bh_walk *w, size_t first, size_t n, size_t *count)
{
	size_t n_gone = 0, n_blocks = 0;
	int r = bh_conntrack_delete(w->ct, w->victims + first, n, &n_gone, &w->err);

	for (size_t i = first; i < first + n; i++)
		n_blocks += w->victims[i].is_block;
	*count += n_gone > n_blocks ? n_gone - n_blocks : 0;
	return r;
}

/* Blocks before it deletes, so that no packet comes between. */
static int cut_batch(struct bh_walk *w)
{
	struct block b = { .n = 0 };
	int r;

	for (size_t i = 0; i < w->n_to_block; i++)
		block_conn(w, &w->victims[i], &b);
	r = put_blocks(w, &b);
	if (r == 0)
		r = delete_victims(w, 0, w->n_to_block, &w->n_denied);
	if (r == 0)
		r = delete_victims(w, w->n_to_block, w->n_victims - w->n_to_block, &w->n_forgotten);
	w->n_victims = w->n_to_block = 0;
	return r;
}

static void add_victim(struct bh_walk *w, const struct bh_conn *c, enum fate fate)
{
	size_t at = w->n_victims++;

	if (fate == CUT) {
		w->victims[at] = w->victims[w->n_to_block];
		at = w->n_to_block++;
	}
	w->victims[at] = *c;
}

/*
 * What was cut in an earlier walk, or by an agent before this one: whether it would be
 * allowed again, whichever end opened it.  Where only one is, the rules let that one
 * open it, and drop the other's packets as this does.
 */
static bool is_over(struct bh_walk *w, const struct bh_cut *c)
{
	const struct bh_touched *src = bh_touched_find(w->touched, &c->dst);
	const struct bh_touched *dst = bh_touched_find(w->touched, &c->src);

	if ((src && src->is_forgotten) || (dst && dst->is_forgotten))
		return true;
	return (src || dst) && bh_reconcile_may_revoke(&w->agent->reconcile) &&
	       !is_denied(w, &c->dst, &c->src, c->protocol, c->src_port) &&
	       !is_denied(w, &c->src, &c->dst, c->protocol, c->dst_port);
}

static int lift_some(struct bh_walk *w)
{
	struct block b = { .n = 0 };

	for (; w->next_cut < w->n_cuts && b.n < BATCH; w->next_cut++) {
		const struct bh_cut *c = &w->cuts[w->next_cut];

		if (is_over(w, c)) {
			b.cuts[b.n++] = *c;
		} else if (!c->is_pair) {
			struct bh_touched *payer = payer_of(w, &c->dst, &c->src);

			if (payer)
				payer->n_tuples++;
		}
	}
	if (b.n == 0)
		return 0;
	return bh_cuts_drop(w->agent->nft, bh_compiler_plan(w->agent->compiler), b.cuts, b.n,
			    &w->err);
}

static int judge_some(struct bh_walk *w)
{
	size_t end =
		w->next_conn + JUDGE_STEP < w->n_conns ? w->next_conn + JUDGE_STEP : w->n_conns;

	for (; w->next_conn < end; w->next_conn++) {
		const struct bh_conn *c = &w->conns[w->next_conn];
		enum fate fate = judge(w, c);

		w->n_entries++;
		if (fate != KEEP)
			add_victim(w, c, fate);
	}
	if (w->n_victims + JUDGE_STEP > BATCH || (w->next_conn == w->n_conns && w->n_victims > 0))
		return cut_batch(w);
	return 0;
}

bool bh_walk_slice(struct bh_walk *w)
{
	uint64_t start_ns = bh_mono_ns(), cpu_ns = thread_cpu_ns();

	while (w->result == 0 && bh_mono_ns() - start_ns < SLICE_NS) {
		if (w->next_cut < w->n_cuts)
			w->result = lift_some(w);
		else if (w->next_conn < w->n_conns)
			w->result = judge_some(w);
		else
			break;
	}
	w->cpu_ns += thread_cpu_ns() - cpu_ns;
	return w->result == 0 && (w->next_cut < w->n_cuts || w->next_conn < w->n_conns);
}

bool bh_walk_is_over(const struct bh_walk *w)
{
	return w->result < 0 || w->is_end;
}

struct bh_walk *bh_walk_new(struct bh_agent *agent, struct bh_touched *touched, size_t budget,
			    void (*on_portion)(struct bh_walk *w))
{
	struct bh_walk *w = bh_calloc(1, sizeof(*w));

	w->agent = agent;
	w->touched = touched;
	w->budget = budget;
	w->on_portion = on_portion;
	w->generation = agent->reconcile.generation;
	w->victims = bh_calloc(BATCH, sizeof(*w->victims));
	return w;
}

void bh_walk_free(struct bh_walk **w)
{
	if (!*w)
		return;
	bh_conntrack_free(&(*w)->ct);
	bh_touched_free(&(*w)->touched);
	bh_touched_free(&(*w)->payers);
	free((*w)->cuts);
	free((*w)->conns);
	free((*w)->victims);
	free(*w);
	*w = NULL;
}
