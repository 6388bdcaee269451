/*
 * The messages of the CRI and of containerd's services: requests to bytes, bytes
 * to sandboxes.  Everything decoded lives in the arena that is passed in.
 *
 * Decoders return 0 or a negative errno with text; -EBADMSG for bytes that are
 * not such a message, -ENOMEM where it would unfold to more than is sensible.
 */
#ifndef BH_CRI_MESSAGES_H
#define BH_CRI_MESSAGES_H

#include "bh/buf.h"
#include "sandbox.h"

/* --- CRI ------------------------------------------------------------------------ */

void bh_cri_encode_version(struct bh_buf *out);
void bh_cri_encode_list(struct bh_buf *out);
void bh_cri_encode_status(const char *id, struct bh_buf *out);

/* "containerd 1.6.20", safe to print. */
int bh_cri_decode_version(const uint8_t *data, size_t len, char ret[64], struct bh_err *err);

struct bh_cri_list {
	struct bh_sandbox *items; /* without network: a list does not tell it */
	size_t n;
	size_t n_malformed; /* left out */
	struct bh_err why;  /* of the first malformed one */
};
int bh_cri_decode_list(const uint8_t *data, size_t len, struct bh_arena *arena,
		       struct bh_cri_list *ret, struct bh_err *err);

/* Returns what bh_sandbox_make() returns. */
int bh_cri_decode_status(const uint8_t *data, size_t len, struct bh_arena *arena,
			 struct bh_sandbox *ret, struct bh_err *err);

/* Named ports that kubelet wrote on a container of a sandbox. */
struct bh_cri_container {
	const char *sandbox_id;
	const struct bh_port *ports;
	size_t n_ports;
};
/* Containers without named ports are left out, as are malformed ones. */
int bh_cri_decode_containers(const uint8_t *data, size_t len, struct bh_arena *arena,
			     struct bh_cri_container **ret, size_t *ret_n, struct bh_err *err);

/* --- containerd ----------------------------------------------------------------- */

#define BH_CONTAINERD_NAMESPACE  "k8s.io"
#define BH_CONTAINERD_SYNC_TOPIC "/bulkhead/sync"

void bh_containerd_encode_subscribe(struct bh_buf *out);
/* An event of ours that carries @nonce. */
void bh_containerd_encode_sync(uint64_t nonce, struct bh_buf *out);
void bh_containerd_encode_get(const char *id, struct bh_buf *out);
/* Asks for the objects of sandboxes only. */
void bh_containerd_encode_list(struct bh_buf *out);

enum bh_event_kind {
	BH_EVENT_OTHER,
	BH_EVENT_SYNC,    /* nonce */
	BH_EVENT_CHANGED, /* id: created or updated */
	BH_EVENT_DELETED, /* id */
	BH_EVENT_EXITED,  /* id: its first process ended */
};
struct bh_event {
	enum bh_event_kind kind;
	char id[BH_CRI_MAX_ID + 1];
	uint64_t nonce;
};
int bh_containerd_decode_event(const uint8_t *data, size_t len, struct bh_event *ret,
			       struct bh_err *err);

enum bh_object_kind {
	BH_OBJECT_OTHER,     /* of no concern */
	BH_OBJECT_SANDBOX,   /* sandbox */
	BH_OBJECT_CONTAINER, /* container */
};
struct bh_containerd_object {
	enum bh_object_kind kind;
	struct bh_sandbox sandbox;
	struct bh_cri_container container;
};
/*
 * The answer to a get, and each one of a list.  The CRI plugin keeps a sandbox's configuration and
 * addresses beside its pause container, as JSON.
 */
int bh_containerd_decode_object(const uint8_t *data, size_t len, struct bh_arena *arena,
				struct bh_containerd_object *ret, struct bh_err *err);

/*
 * The path of the network namespace from the JSON that a verbose status has, in @arena;
 * NULL where there is none.  containerd and CRI-O have it at the same place.
 */
const char *bh_cri_parse_info(const char *json, struct bh_arena *arena);

/* The JSON of the extensions; 1, 0 or an error as bh_sandbox_make(). */
int bh_containerd_parse_sandbox(const char *json, size_t len, uint64_t created_ns,
				struct bh_arena *arena, struct bh_sandbox *ret, struct bh_err *err);
int bh_containerd_parse_container(const char *json, size_t len, struct bh_arena *arena,
				  struct bh_cri_container *ret, struct bh_err *err);

#endif
