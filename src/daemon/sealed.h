/*
 * A file of the state folder that is there whole or not at all: a head line of
 * JSON, any bytes, and a digest of both.
 */
#ifndef BH_SEALED_H
#define BH_SEALED_H

#include <jansson.h>
#include <stddef.h>

#include "bh/buf.h"
#include "bh/err.h"

/* Makes the folder where its parent is there; -EACCES and the like if it is not ours to write. */
int bh_state_make(const char *folder, struct bh_err *err);

/* Replaces @path, by way of a file beside it, with mode 0600.  @head is borrowed. */
int bh_sealed_write(const char *path, const json_t *head, const struct bh_buf *body,
		    struct bh_err *err);

/*
 * -ENOENT: there is none.  -EBADMSG: it is damaged.  -EPERM: others than its owner
 * may write to it, or it is not this user's.  The caller releases *ret_head and
 * *ret_body.
 */
int bh_sealed_read(const char *path, size_t max, json_t **ret_head, struct bh_buf *ret_body,
		   struct bh_err *err);

#endif
