#include "bh/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int bh_err(struct bh_err *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return code;
}

int bh_err_wrap(struct bh_err *err, int code, const char *fmt, ...)
{
	struct bh_err outer;
	const char *inner;
	size_t len;
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(outer.text, sizeof(outer.text), fmt, ap);
	va_end(ap);

	inner = err->text[0] ? err->text : strerrordesc_np(-code);
	len = strlen(outer.text);
	snprintf(outer.text + len, sizeof(outer.text) - len, ": %s",
		 inner ? inner : "unknown error");
	*err = outer;
	return code;
}

void bh_err_clear(struct bh_err *err)
{
	if (err)
		err->text[0] = '\0';
}

const char *bh_err_text(const struct bh_err *err)
{
	return err ? err->text : "";
}
