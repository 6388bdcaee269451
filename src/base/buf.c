#include "bh/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bh/alloc.h"

static void reserve(struct bh_buf *b, size_t more)
{
	size_t need = b->len + more + 1;

	if (need <= b->cap)
		return;
	b->cap = b->cap ? b->cap : 64;
	while (b->cap < need)
		b->cap *= 2;
	b->data = bh_reallocarray(b->data, b->cap, 1);
}

void bh_buf_add(struct bh_buf *b, const void *data, size_t len)
{
	reserve(b, len);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void bh_buf_puts(struct bh_buf *b, const char *s)
{
	bh_buf_add(b, s, strlen(s));
}

void bh_buf_putc(struct bh_buf *b, char c)
{
	bh_buf_add(b, &c, 1);
}

void bh_buf_vprintf(struct bh_buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	if (n > 0) {
		reserve(b, (size_t)n);
		vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

void bh_buf_printf(struct bh_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bh_buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void bh_buf_reset(struct bh_buf *b)
{
	b->len = 0;
	if (b->data)
		b->data[0] = '\0';
}

void bh_buf_done(struct bh_buf *b)
{
	free(b->data);
	*b = (struct bh_buf){ 0 };
}

const char *bh_buf_str(const struct bh_buf *b)
{
	return b->data ? b->data : "";
}

char *bh_buf_take(struct bh_buf *b)
{
	char *s;

	reserve(b, 0);
	b->data[b->len] = '\0';
	s = b->data;
	*b = (struct bh_buf){ 0 };
	return s;
}

/* The length of the UTF-8 sequence at @s (RFC 3629), 0 if it is none. */
static size_t utf8_len(const unsigned char *s)
{
	static const struct {
		unsigned char mask, lead, len;
		uint32_t min;
	} t[] = {
		{ 0xe0, 0xc0, 2, 0x80 },
		{ 0xf0, 0xe0, 3, 0x800 },
		{ 0xf8, 0xf0, 4, 0x10000 },
	};
	size_t i, k;

	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		uint32_t c;

		if ((s[0] & t[i].mask) != t[i].lead)
			continue;
		c = s[0] & (unsigned char)~t[i].mask;
		for (k = 1; k < t[i].len; k++) {
			if ((s[k] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[k] & 0x3f);
		}
		/* Overlong forms, surrogates and C1 controls are refused. */
		if (c < t[i].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0xa0)
			return 0;
		return t[i].len;
	}
	return 0;
}

void bh_buf_escape(struct bh_buf *b, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		size_t n = *p >= 0x20 && *p < 0x7f && *p != '\\' ? 1 : utf8_len(p);

		if (n) {
			bh_buf_add(b, p, n);
			p += n;
		} else {
			bh_buf_printf(b, "\\x%02x", *p++);
		}
	}
}
