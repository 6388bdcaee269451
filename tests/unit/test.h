/*
 * What every unit test includes: cmocka, and errors that say their text.
 */
#ifndef BH_TEST_H
#define BH_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bh/alloc.h"
#include "bh/err.h"

/* The call returns 0 or more; its error text is shown otherwise. */
#define assert_ok(r, err)                                                                          \
	do {                                                                                       \
		int r_ = (r);                                                                      \
		if (r_ < 0)                                                                        \
			fail_msg("%s: %d: %s", #r, r_, bh_err_text(err));                          \
	} while (0)

/* The call returns @code and its text contains @part. */
#define assert_err(r, err, code, part)                                                             \
	do {                                                                                       \
		assert_int_equal((r), (code));                                                     \
		if (!strstr(bh_err_text(err), (part)))                                             \
			fail_msg("'%s' not in '%s'", (part), bh_err_text(err));                    \
	} while (0)

#define assert_contains(text, part)                                                                \
	do {                                                                                       \
		if (!strstr((text), (part)))                                                       \
			fail_msg("'%s' not in '%s'", (part), (text));                              \
	} while (0)

#endif
