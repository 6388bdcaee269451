/*
 * Facts as lines of JSON and back, for a process that tells its successor what
 * it knew.  Not the API's form: every fact comes back as it was, with what the
 * decoder found wrong with it.  Fields that are empty are left out.
 */
#ifndef BH_FACT_H
#define BH_FACT_H

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/err.h"
#include "bh/source.h"

/* Adds one line without its end.  Source and is_local are not in it. */
void bh_fact_encode(const struct bh_fact *fact, struct bh_buf *out);

/*
 * Reads one such line, from anybody: *ret lives in @arena, as a fact of
 * @source.  -EINVAL with text that names the field.
 */
int bh_fact_decode(const char *line, size_t len, enum bh_source source, struct bh_arena *arena,
		   struct bh_fact *ret, struct bh_err *err);

#endif
