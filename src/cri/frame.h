/*
 * gRPC's framing (gRPC over HTTP/2, "Length-Prefixed-Message"): one byte that
 * says whether the message is compressed, four bytes of length, the message.
 * Bytes arrive in pieces of any size.
 */
#ifndef BH_CRI_FRAME_H
#define BH_CRI_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "bh/buf.h"
#include "bh/err.h"

#define BH_FRAME_HEAD 5
/* Four times what gRPC's own libraries accept unless told otherwise. */
#define BH_FRAME_MAX (16u << 20)

/* Zero is the valid empty value. */
struct bh_frames {
	struct bh_buf buf;
	size_t taken; /* bytes at the start of buf that were handed out */
};

/* Adds bytes as they came. */
void bh_frames_add(struct bh_frames *f, const void *data, size_t len);
/*
 * The next whole message: 1 and *ret, which is valid until the next add; 0 if
 * more bytes are needed.  -EPROTO for a compressed message (none was asked
 * for), -EMSGSIZE for one over @max bytes; the stream is of no use after it.
 */
int bh_frames_next(struct bh_frames *f, size_t max, const uint8_t **ret, size_t *ret_len,
		   struct bh_err *err);
/* Bytes that wait for the rest of their message. */
size_t bh_frames_pending(const struct bh_frames *f);
void bh_frames_done(struct bh_frames *f);

/* Adds the head of a message of @len bytes. */
void bh_frame_head(struct bh_buf *out, uint32_t len);

#endif
