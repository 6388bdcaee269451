/*
 * What the API server sends, cut into single objects while it arrives: the
 * items of a list, or the events of a watch.
 *
 * Of each object only the members that a tree names are kept, without white
 * space.  That text is small, holds nothing that changes all the time
 * (managedFields, conditions, heartbeats), and so its digest tells whether
 * anything changed that matters here.  Nothing but what is kept of the object at
 * hand is held, however long the rest of it is.
 */
#ifndef BH_KUBE_STREAM_H
#define BH_KUBE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"

/* Single values whose text is noted besides; strings without their quotes. */
enum bh_slot {
	BH_SLOT_NONE,
	BH_SLOT_NAME,
	BH_SLOT_NAMESPACE,
	BH_SLOT_UID,
	BH_SLOT_MIRROR,      /* annotation kubernetes.io/config.mirror of a pod */
	BH_SLOT_VERSION,     /* the object's resourceVersion */
	BH_SLOT_NO_LABELS,   /* not empty: they were left out, being too many */
	BH_SLOT_NOT_ALL,     /* not empty: so were ports or owners of a pod */
	BH_SLOT_INITIAL_END, /* annotation k8s.io/initial-events-end of a bookmark */
	BH_SLOT_MESSAGE,     /* of a Status */
	BH_SLOT_REASON,
	BH_SLOT_CODE,
	BH_SLOT_OF_OBJECT_, /* those before are emptied at each object */
	BH_SLOT_TYPE,       /* of a watch's event */
	BH_SLOT_LIST_VERSION,
	BH_SLOT_CONTINUE,
	BH_SLOT_COUNT_
};

/*
 * The members of a JSON object that are kept; the last entry is zero.  A name
 * that ends in '*' means all names that begin so.  For an array the members are
 * those of its elements.
 */
struct bh_keep {
	const char *name;
	const struct bh_keep *below; /* NULL: everything below it */
	enum bh_slot slot;           /* where a single value is noted */
	size_t max;      /* if what is kept of it is longer, it is left out, and noted in slot */
	bool is_dropped; /* noted and not kept */
	bool is_object;  /* of the frame: the object, or a list of objects */
};

enum bh_frame { BH_FRAME_LIST, BH_FRAME_WATCH };

struct bh_kube_stream;

struct bh_kube_item {
	const char *text; /* what was kept; valid during the call */
	size_t len;
	/* NULL, or why the object is not to be had: "is nested deeper than 64 levels". */
	const char *refused;
	bool is_large; /* over 4 MiB as it came */
};

/*
 * Ends the feeding when it returns a negative value, which bh_kube_stream_feed()
 * returns.  Must not free the stream.
 */
typedef int bh_on_item(void *ctx, struct bh_kube_stream *s, const struct bh_kube_item *item);

struct bh_kube_stream *bh_kube_stream_new(enum bh_frame frame, const struct bh_keep *keep,
					  bh_on_item *on_item, void *ctx);
void bh_kube_stream_free(struct bh_kube_stream **s);
/*
 * Calls back for every object that ends within @data.  -EPROTO with text if it
 * is not JSON of the expected shape; the stream is of no use then.
 */
int bh_kube_stream_feed(struct bh_kube_stream *s, const char *data, size_t len, struct bh_err *err);
/* Nothing is half done: a list has ended, or a watch is between two events. */
bool bh_kube_stream_is_whole(const struct bh_kube_stream *s);
/* "" where there was none.  Escapes of JSON are left as they came. */
const char *bh_kube_stream_slot(const struct bh_kube_stream *s, enum bh_slot slot);

#endif
