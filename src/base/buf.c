#include "bh/buf.h"

#include <stdbool.h>
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

/*
 * Characters that change how others look or where they stand, or that nobody sees: C1
 * controls, general categories Cf, Zl and Zp, what Unicode calls default ignorable, fillers
 * and variation selectors (Unicode 15.0, UnicodeData.txt and DerivedCoreProperties.txt), and
 * noncharacters.
 */
static bool is_hidden(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} t[] = {
		{ 0x7f, 0x9f },       { 0xad, 0xad },       { 0x34f, 0x34f },
		{ 0x600, 0x605 },     { 0x61c, 0x61c },     { 0x6dd, 0x6dd },
		{ 0x70f, 0x70f },     { 0x890, 0x891 },     { 0x8e2, 0x8e2 },
		{ 0x115f, 0x1160 },   { 0x17b4, 0x17b5 },   { 0x180b, 0x180f },
		{ 0x200b, 0x200f },   { 0x2028, 0x202e },   { 0x2060, 0x206f },
		{ 0x2800, 0x2800 },   { 0x3164, 0x3164 },   { 0xfdd0, 0xfdef },
		{ 0xfe00, 0xfe0f },   { 0xfeff, 0xfeff },   { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfffb },   { 0x110bd, 0x110bd }, { 0x110cd, 0x110cd },
		{ 0x13430, 0x13455 }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
		{ 0xe0000, 0xe0fff },
	};
	size_t i;

	if ((c & 0xfffe) == 0xfffe)
		return true;
	for (i = 0; i < BH_ARRAY_LEN(t) && c >= t[i].first; i++)
		if (c <= t[i].last)
			return true;
	return false;
}

/*
 * The length of the UTF-8 sequence at @s (RFC 3629), 0 if it is none, or of a character
 * that is not to be seen as it is.
 */
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
		/* Overlong forms and surrogates are refused. */
		if (c < t[i].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || is_hidden(c))
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
