/*
 * gRPC frames.  The first byte is the size of the pieces; the messages must not
 * depend on it.
 */
#include <stdlib.h>
#include <string.h>

#include "../../src/cri/frame.h"
#include "bh/alloc.h"

#define MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Adds every message, then the error that ended it all. */
static void collect(const uint8_t *data, size_t len, size_t step, struct bh_buf *out)
{
	struct bh_frames f = { 0 };
	const uint8_t *message;
	size_t i, n;
	int r = 0;

	for (i = 0; i < len && r >= 0; i += step) {
		bh_frames_add(&f, data + i, len - i < step ? len - i : step);
		while ((r = bh_frames_next(&f, MAX, &message, &n, NULL)) > 0) {
			bh_buf_add(out, &n, sizeof(n));
			bh_buf_add(out, message, n);
		}
	}
	bh_buf_add(out, &r, sizeof(r));
	bh_frames_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bh_buf whole = { 0 }, pieces = { 0 };

	if (len < 2)
		return 0;
	collect(data + 1, len - 1, len, &whole);
	collect(data + 1, len - 1, data[0] + 1u, &pieces);
	if (whole.len != pieces.len || memcmp(whole.data, pieces.data, whole.len) != 0)
		abort();
	bh_buf_done(&whole);
	bh_buf_done(&pieces);
	return 0;
}
