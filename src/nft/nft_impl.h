/*
 * Inside of nft/: the batch that encode.c writes and commit.c sends, and what
 * the two sides of the comparison, readback.c and diff.c, share.
 */
#ifndef NFT_IMPL_H
#define NFT_IMPL_H

#include "bh/nft.h"
#include "bh/nl.h"

struct nlattr;
struct nlmsghdr;
struct nftnl_rule;

/* Comments longer than nft takes (NFTNL_UDATA_COMMENT_MAXLEN, with its NUL) are cut. */
#define NFT_COMMENT_MAX 127

/* --- encode.c ----------------------------------------------------------------*/

/* NFPROTO_* of the table. */
uint8_t nft_family(enum bh_table table);
/* The other way; false for families in which we have no table. */
bool nft_table_of(uint8_t family, enum bh_table *ret);

struct nft_batch_msg {
	size_t at; /* in data */
	enum bh_table table;
	const struct bh_op *op; /* NULL for the beginning and the end */
};

/*
 * Bytes for one sendmsg().  Message i has sequence number first_seq + i; number
 * 0 is the beginning of the batch.
 */
struct nft_batch {
	uint8_t *data;
	size_t len, cap;
	struct nft_batch_msg *msgs;
	size_t n_msgs, msgs_cap;
	uint32_t first_seq;
	uint32_t set_id;
	/* Whose messages are being added. */
	enum bh_table table;
	const struct bh_op *op;
};

void nft_batch_begin(struct nft_batch *b, uint32_t first_seq);
/* Borrows @op as long as the messages are asked about. */
void nft_batch_add(struct nft_batch *b, enum bh_table table, const struct bh_op *op);
/* Takes back all messages from number @n_msgs on. */
void nft_batch_truncate(struct nft_batch *b, size_t n_msgs);
/* Asks for the acknowledgement and ends the batch. */
void nft_batch_end(struct nft_batch *b);
/* The kernel refuses (ERESTART) unless this is its generation; 0: any. */
void nft_batch_set_generation(struct nft_batch *b, uint32_t generation);
void nft_batch_done(struct nft_batch *b);
/* nft's mark (user data) on an interval that has no end. */
bool nft_is_open_interval(const void *udata, size_t len);
/* The key of the element whose attribute begins at @at, NULL if there is none. */
const uint8_t *nft_batch_key_at(const struct nft_batch *b, size_t at);

/* A request outside of batches; @family NFPROTO_*. */
struct nlmsghdr *nft_put_request(void *buf, uint16_t type, uint8_t family, uint16_t flags);
#define NFT_REQUEST_MAX 512
/* The target of neighbour discovery in the transport header, see BH_FIELD_TARGET. */
#define NFT_TARGET_OFFSET 8u
#define NFT_TARGET_LEN    16u
/* Enough for any message but lists of elements. */
#define NFT_MESSAGE_MAX 16384u

/*
 * What a set's specification means for the kernel; reading compares with it.
 */
struct nft_set_shape {
	uint32_t flags; /* NFT_SET_* */
	uint32_t key_type, key_len;
	uint32_t data_type; /* 0: none */
	bool is_map;        /* of verdicts */
	uint32_t size;
	uint64_t timeout_ms;
	uint8_t fields[BH_SET_MAX_FIELDS]; /* interval concatenations: bytes of each field */
	size_t n_fields;
};
struct nft_set_shape nft_set_shape(const struct bh_set_spec *spec);
bool nft_set_shape_equal(const struct nft_set_shape *a, const struct nft_set_shape *b);
size_t nft_comment_len(const char *comment);

/* --- encode_rule.c -----------------------------------------------------------*/

/* The caller frees it with nftnl_rule_free(). */
struct nftnl_rule *nft_encode_rule(enum bh_table table, const struct bh_plan_chain *chain,
				   const struct bh_plan_rule *rule);

/* --- canon.c -----------------------------------------------------------------*/

/*
 * A keyed hash that is equal for two rules that do the same, whoever wrote them:
 * Bulkhead, nft or the kernel's dump.
 */
uint64_t nft_rule_hash(const struct nlmsghdr *msg, struct bh_buf *scratch);
uint64_t nft_plan_rule_hash(enum bh_table table, const struct bh_plan_chain *chain,
			    const struct bh_plan_rule *rule, struct bh_buf *scratch);

/* --- elem.c ------------------------------------------------------------------*/

/* An element as nft writes it: "10.0.0.1 . tcp . 80". */
void nft_format_elem(struct bh_buf *out, const struct bh_set_spec *spec, const uint8_t *key,
		     const uint8_t *end);

/* --- readback.c --------------------------------------------------------------*/

/*
 * Elements are packed as in the plan: key, for intervals the last key, for maps
 * the chain's name (NULL for verdicts that are no jump) or the value.
 */
struct nft_state_set {
	const char *name;
	const char *comment; /* "" for none */
	struct nft_set_shape shape;
	bool is_ours; /* of a shape that plans have; others have no elements here */
	bool is_odd;  /* holds something that no plan can say */
	size_t id_len, stride;
	uint8_t *elems; /* sorted by id */
	size_t n, cap;
};

struct nft_state_chain {
	const char *name;
	const char *comment;
	enum bh_hook hook;
	int32_t priority;
	const char *device; /* BH_HOOK_INGRESS, else NULL */
	bool is_odd;        /* as for sets */
	uint64_t *rules;    /* nft_rule_hash() */
	size_t n_rules, cap;
};

struct bh_nft_state {
	struct bh_arena *arena; /* of names and comments */
	enum bh_table table;
	bool is_absent;
	bool is_dormant;            /* or another table flag is set */
	const char *rebuild;        /* why nothing but a new table will do, NULL if patching does */
	struct nft_state_set *sets; /* sorted by name, like the following */
	size_t n_sets, sets_cap;
	struct nft_state_chain *chains;
	size_t n_chains, chains_cap;
	const char **counters;
	size_t n_counters, counters_cap;
};

/* --- parse.c -----------------------------------------------------------------*/

/* The attributes of one level by type; no object has more. */
#define NFT_ATTRS_MAX 32

struct nft_attrs {
	const struct nlattr *attrs[NFT_ATTRS_MAX];
};

struct nft_attrs nft_read_attrs(const struct nlmsghdr *msg);
/* None of NULL. */
struct nft_attrs nft_read_nested(const struct nlattr *nest);
/* 0 or NULL where there is none, or one of another type. */
uint32_t nft_get_u32(const struct nft_attrs *attrs, uint16_t type);
uint64_t nft_get_u64(const struct nft_attrs *attrs, uint16_t type);
const char *nft_get_str(const struct nft_attrs *attrs, uint16_t type);

/* Takes the kernel's messages one by one; used by bh_nft_read() and the fuzzer. */
struct nft_reader {
	struct bh_nft_state *state;
	struct nft_state_set *set;     /* whose elements come */
	struct nft_state_chain *chain; /* whose rules came last */
	uint16_t dump;                 /* the request: NFT_MSG_GETSET, ... */
	struct bh_buf text;
	size_t n_records;
};

struct bh_nft_state *nft_state_new(enum bh_table table);
int nft_reader_message(const struct nlmsghdr *msg, void *reader);
/* After all chains and sets: makes them searchable.  After all elements of a set: sorts them. */
void nft_reader_sort(struct nft_reader *reader);
void nft_reader_finish_set(struct nft_state_set *set);
void nft_reader_done(struct nft_reader *reader);

/* --- watch.c -----------------------------------------------------------------*/

#define NFT_PROGRAM_MAX 64

struct nft_watch {
	struct bh_nl *nl;
	uint32_t own_port; /* whose changes are no news */
	bool is_ours;      /* the transaction being read concerns our tables */
	bool is_foreign;   /* somebody else changed one of our tables; not reported yet */
	bool is_lost;      /* notifications were lost; not reported yet */
	bool is_disturbed; /* either of them, since the flag was last cleared */
	char program[NFT_PROGRAM_MAX];
	uint32_t pid;
};

int nft_watch_init(struct nft_watch *w, uint32_t own_port, struct bh_err *err);
void nft_watch_done(struct nft_watch *w);
/* Between them, nothing is noticed. */
int nft_watch_pause(struct nft_watch *w, struct bh_err *err);
int nft_watch_resume(struct nft_watch *w, struct bh_err *err);
/* Reads what is there and notes it in the flags. */
int nft_watch_drain(struct nft_watch *w, struct bh_err *err);
/* One datagram; pure, for the fuzzer. */
void nft_watch_datagram(struct nft_watch *w, const struct nlmsghdr *msg, int len);

/* --- commit.c ----------------------------------------------------------------*/

struct bh_nft {
	struct bh_nl *nl;
	struct nft_watch watch;
	struct nft_batch batch;
	uint32_t generation; /* up to which we know our tables; 0: not known */
	size_t max_batch;
	unsigned int n_listening; /* batches that are still sent with the watch open */
};

/* Calls @on_batch for each transaction that @delta takes, as it would be sent. */
void nft_encode_delta(struct bh_nft *nft, const struct bh_delta *delta,
		      void (*on_batch)(void *ctx, struct nft_batch *b), void *ctx);

/* What the kernel said to a batch. */
struct nft_answer {
	bool is_acked, is_lost, is_restart;
	int code;        /* of the refusal that counts, 0 for none */
	uint32_t number; /* of the refused message */
	uint32_t offset; /* of the wrong attribute within it */
	size_t n_refused;
	struct bh_err text;
};

/* A whole batch with numbers from b->first_seq on; @generation as for nft_batch_set_generation().
 */
int nft_send_batch(struct bh_nft *nft, struct nft_batch *b, uint32_t generation,
		   struct nft_answer *ret, struct bh_err *err);

/*
 * Makes sure that the watch holds the notifications of every transaction up to
 * the generation that is returned, and drains it.
 */
int nft_sync(struct bh_nft *nft, uint32_t *ret_generation, struct bh_err *err);

#endif
