#include "frame.h"

#include <errno.h>
#include <string.h>

/* Moves what is left to the front, so that the buffer holds one message at most. */
static void compact(struct bh_frames *f)
{
	if (f->taken == 0)
		return;
	memmove(f->buf.data, f->buf.data + f->taken, f->buf.len - f->taken);
	f->buf.len -= f->taken;
	f->taken = 0;
}

void bh_frames_add(struct bh_frames *f, const void *data, size_t len)
{
	compact(f);
	bh_buf_add(&f->buf, data, len);
}

size_t bh_frames_pending(const struct bh_frames *f)
{
	return f->buf.len - f->taken;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

int bh_frames_next(struct bh_frames *f, size_t max, const uint8_t **ret, size_t *ret_len,
		   struct bh_err *err)
{
	const uint8_t *head;
	uint32_t len;

	if (bh_frames_pending(f) < BH_FRAME_HEAD)
		return 0;
	head = (const uint8_t *)f->buf.data + f->taken;
	if (head[0] != 0)
		return bh_err(err, -EPROTO, "a message is compressed, which was not asked for");
	len = be32(head + 1);
	if (len > max)
		return bh_err(err, -EMSGSIZE, "a message of %u bytes is over %zu", len, max);
	if (bh_frames_pending(f) - BH_FRAME_HEAD < len)
		return 0;

	*ret = head + BH_FRAME_HEAD;
	*ret_len = len;
	f->taken += BH_FRAME_HEAD + len;
	return 1;
}

void bh_frames_done(struct bh_frames *f)
{
	bh_buf_done(&f->buf);
	f->taken = 0;
}

void bh_frame_head(struct bh_buf *out, uint32_t len)
{
	const uint8_t head[BH_FRAME_HEAD] = {
		0, (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
	};

	bh_buf_add(out, head, sizeof(head));
}
