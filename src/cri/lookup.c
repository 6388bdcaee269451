#include "lookup.h"

#include <string.h>
#include <utlist.h>

#include "bh/hash.h"
#include "messages.h"

/* A burst of pods must not become as many connections. */
#define MAX_RUNNING 8

struct lookup {
	struct bh_lookups *all;
	struct lookup *prev, *next; /* in all->waiting */
	enum bh_lookup_kind kind;
	char id[BH_CRI_MAX_ID + 1];
	struct bh_grpc_call *call; /* NULL while it waits */
	struct bh_buf answer;
	bool has_answer, in_round, again;
	UT_hash_handle hh;
};

struct bh_lookups {
	struct bh_grpc *grpc;
	struct bh_lookups_owner owner;
	struct lookup *by_id, *waiting;
	size_t n_running, n_round;
};

struct bh_lookups *bh_lookups_new(struct bh_grpc *g, const struct bh_lookups_owner *owner)
{
	struct bh_lookups *l = bh_calloc(1, sizeof(*l));

	l->grpc = g;
	l->owner = *owner;
	return l;
}

static void drop(struct lookup *q)
{
	struct bh_lookups *l = q->all;

	if (q->call) {
		bh_grpc_cancel(&q->call);
		l->n_running--;
	} else {
		DL_DELETE(l->waiting, q);
	}
	if (q->in_round)
		l->n_round--;
	HASH_DEL(l->by_id, q);
	bh_buf_done(&q->answer);
	free(q);
}

static void on_message(void *ctx, const uint8_t *data, size_t len)
{
	struct lookup *q = ctx;

	bh_buf_reset(&q->answer);
	bh_buf_add(&q->answer, data, len);
	q->has_answer = true;
}

static void run_waiting(struct bh_lookups *l);

/* Takes the question out first: the owner may ask the same again at once. */
static void on_done(void *ctx, int status, const char *text)
{
	struct lookup *q = ctx;
	struct bh_lookups *l = q->all;
	struct bh_buf answer = q->answer;
	enum bh_lookup_kind kind = q->kind;
	bool was_in_round = q->in_round, again = q->again;
	bool has_answer = q->has_answer;
	char id[sizeof(q->id)];

	memcpy(id, q->id, sizeof(id));
	q->answer = (struct bh_buf){ 0 };
	/* Freed by its own layer once this returns. */
	q->call = NULL;
	l->n_running--;
	DL_APPEND(l->waiting, q);
	drop(q);
	if (again)
		bh_lookups_ask(l, kind, id, was_in_round);

	if (status == BH_GRPC_OK && !has_answer)
		l->owner.on_answer(l->owner.ctx, kind, id, BH_GRPC_NO_ANSWER, NULL, 0,
				   "the answer is empty");
	else
		l->owner.on_answer(l->owner.ctx, kind, id, status,
				   status == BH_GRPC_OK ? (const uint8_t *)bh_buf_str(&answer)
							: NULL,
				   answer.len, text);
	bh_buf_done(&answer);
	run_waiting(l);
	if (was_in_round && l->n_round == 0)
		l->owner.on_round_done(l->owner.ctx);
}

static void start(struct lookup *q)
{
	static const char *const paths[] = {
		[BH_LOOKUP_GET] = "/containerd.services.containers.v1.Containers/Get",
		[BH_LOOKUP_STATUS] = "/runtime.v1.RuntimeService/PodSandboxStatus",
	};
	struct bh_buf body = { 0 };

	if (q->kind == BH_LOOKUP_GET)
		bh_containerd_encode_get(q->id, &body);
	else
		bh_cri_encode_status(q->id, &body);
	q->call = bh_grpc_start(q->all->grpc, &(struct bh_grpc_request){
						      .path = paths[q->kind],
						      .namespace = BH_CONTAINERD_NAMESPACE,
						      .body = body.data,
						      .len = body.len,
						      .timeout_ms = BH_CRI_TIMEOUT_MS,
						      .on_message = on_message,
						      .on_done = on_done,
						      .ctx = q,
					      });
	q->all->n_running++;
	bh_buf_done(&body);
}

static void run_waiting(struct bh_lookups *l)
{
	while (l->waiting && l->n_running < MAX_RUNNING) {
		struct lookup *q = l->waiting;

		DL_DELETE(l->waiting, q);
		start(q);
	}
}

void bh_lookups_ask(struct bh_lookups *l, enum bh_lookup_kind kind, const char *id, bool in_round)
{
	struct lookup *q;

	HASH_FIND_STR(l->by_id, id, q);
	if (q) {
		if (q->call)
			q->again = true;
		if (in_round && !q->in_round) {
			q->in_round = true;
			l->n_round++;
		}
		return;
	}
	q = bh_calloc(1, sizeof(*q));
	q->all = l;
	q->kind = kind;
	q->in_round = in_round;
	l->n_round += in_round;
	memcpy(q->id, id, strlen(id) + 1);
	HASH_ADD_STR(l->by_id, id, q);
	DL_APPEND(l->waiting, q);
	run_waiting(l);
}

void bh_lookups_forget(struct bh_lookups *l, const char *id)
{
	struct lookup *q;
	bool was_in_round;

	HASH_FIND_STR(l->by_id, id, q);
	if (!q)
		return;
	was_in_round = q->in_round;
	drop(q);
	run_waiting(l);
	if (was_in_round && l->n_round == 0)
		l->owner.on_round_done(l->owner.ctx);
}

void bh_lookups_clear(struct bh_lookups *l)
{
	while (l->by_id)
		drop(l->by_id);
}

bool bh_lookups_round_is_done(const struct bh_lookups *l)
{
	return l->n_round == 0;
}

void bh_lookups_free(struct bh_lookups **lp)
{
	if (!*lp)
		return;
	bh_lookups_clear(*lp);
	free(*lp);
	*lp = NULL;
}
