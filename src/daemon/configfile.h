/*
 * Reads a flat YAML mapping: keys with one value or a list of values.
 */
#ifndef BH_CONFIGFILE_H
#define BH_CONFIGFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"

/* One value; @is_item if it stands in a list.  0 to go on, or an error. */
typedef int bh_configfile_fn(void *ctx, const char *key, const char *value, int line, bool is_item,
			     struct bh_err *err);

int bh_configfile_read(const char *path, bh_configfile_fn *on_value, void *ctx, struct bh_err *err);
/* The same from text, named @name in errors. */
int bh_configfile_parse(const char *name, const char *text, size_t len, bh_configfile_fn *on_value,
			void *ctx, struct bh_err *err);

#endif
