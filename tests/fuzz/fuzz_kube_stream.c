/*
 * The API server's stream.  The first byte is the frame and the size of the
 * pieces; the objects must not depend on it.  What is kept of valid JSON is valid
 * JSON, and of every item of a list something is.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/kube/kinds.h"
#include "../../src/kube/stream.h"
#include "bh/alloc.h"
#include "bh/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
	struct bh_buf text;
	size_t n;
	bool is_valid; /* the whole input is JSON */
};

static int on_item(void *ctx, struct bh_kube_stream *s, const struct bh_kube_item *item)
{
	struct seen *seen = ctx;
	enum bh_slot i;

	seen->n++;
	for (i = 0; i < BH_SLOT_COUNT_; i++)
		bh_buf_printf(&seen->text, "%s|", bh_kube_stream_slot(s, i));
	bh_buf_puts(&seen->text, item->refused ? item->refused : item->text);
	if (seen->is_valid && !item->refused) {
		json_t *json = json_loadb(item->text, item->len, 0, NULL);

		if (!json)
			abort();
		json_decref(json);
	}
	return 0;
}

static void collect(enum bh_frame frame, const char *data, size_t len, size_t step,
		    struct seen *seen)
{
	bh_auto(bh_kube_stream_free) struct bh_kube_stream *s =
		bh_kube_stream_new(frame, bh_kube_kinds[BH_KUBE_PODS].keep, on_item, seen);
	size_t i;
	int r = 0;

	for (i = 0; i < len && r >= 0; i += step)
		r = bh_kube_stream_feed(s, data + i, len - i < step ? len - i : step, NULL);
	bh_buf_printf(&seen->text, "%d %d", r, r < 0 ? 0 : bh_kube_stream_is_whole(s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct seen whole = { 0 }, pieces = { 0 };
	const char *text = (const char *)data + 1;
	enum bh_frame frame;
	json_t *json;

	if (len < 2)
		return 0;
	frame = data[0] & 1 ? BH_FRAME_WATCH : BH_FRAME_LIST;
	json = json_loadb(text, len - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	whole.is_valid = pieces.is_valid = json != NULL;
	collect(frame, text, len - 1, len, &whole);
	collect(frame, text, len - 1, (data[0] >> 1) + 1u, &pieces);
	if (whole.n != pieces.n || whole.text.len != pieces.text.len ||
	    memcmp(whole.text.data, pieces.text.data, whole.text.len) != 0)
		abort();
	bh_buf_done(&whole.text);
	bh_buf_done(&pieces.text);
	json_decref(json);
	return 0;
}
