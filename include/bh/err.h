/*
 * Error text for people, beside the negative errno for code.
 *
 * A struct bh_err lives in the caller's storage, starts zeroed, is filled
 * innermost first and wrapped on the way out:
 *
 *	policy shop/allow-web: ingress[0].ports[1]: endPort 79 is below port 80
 *
 * Nothing is allocated and nothing needs freeing.  Every function accepts
 * NULL.  Text that does not fit is cut at the end.
 */
#ifndef BH_ERR_H
#define BH_ERR_H

#include <stdbool.h>

#define BH_ERR_MAX 248

struct bh_err {
	char text[BH_ERR_MAX];
};

/* Sets the text, replacing what was there.  Returns @code. */
int bh_err(struct bh_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Puts "<formatted>: " before the text.  Where there is no text yet, the
 * system's words for @code stand in for it.  Returns @code.
 */
int bh_err_wrap(struct bh_err *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Forgets the text; for a caller that went on after an error. */
void bh_err_clear(struct bh_err *err);

/* The text, or "" for NULL. */
const char *bh_err_text(const struct bh_err *err);

#endif
