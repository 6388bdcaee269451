/*
 * Whole files, with a cap.
 */
#ifndef BH_FILE_H
#define BH_FILE_H

#include <stddef.h>

#include "bh/err.h"

/*
 * Reads all of @path, which must be a regular file of at most @max bytes
 * (-EFBIG).  *ret is NUL-terminated behind *ret_len bytes and belongs to the
 * caller.
 */
int bh_read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct bh_err *err);
/* The same from an open descriptor of any kind, named @name in errors. */
int bh_read_fd(int fd, const char *name, size_t max, char **ret, size_t *ret_len,
	       struct bh_err *err);
/* Writes all of @data or fails with a negative errno. */
int bh_write_all(int fd, const void *data, size_t len);

#endif
