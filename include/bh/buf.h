/*
 * A growing text buffer, and printing of text that others wrote.
 */
#ifndef BH_BUF_H
#define BH_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Zero is the valid empty value; data is NUL-terminated once not NULL. */
struct bh_buf {
	char *data;
	size_t len, cap;
};

void bh_buf_add(struct bh_buf *b, const void *data, size_t len);
void bh_buf_puts(struct bh_buf *b, const char *s);
void bh_buf_putc(struct bh_buf *b, char c);
void bh_buf_printf(struct bh_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bh_buf_vprintf(struct bh_buf *b, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
/* Empties the buffer and keeps its memory. */
void bh_buf_reset(struct bh_buf *b);
/* Frees the memory; the buffer is empty again. */
void bh_buf_done(struct bh_buf *b);
/* The text, never NULL; valid until the next change. */
const char *bh_buf_str(const struct bh_buf *b);
/* Hands the text (never NULL) to the caller, who frees it. */
char *bh_buf_take(struct bh_buf *b);

/*
 * Adds @s with control and format characters, others that nobody sees, bytes that
 * are not UTF-8 and backslashes as \xNN, so that a hostile name can forge neither a
 * log line nor a terminal sequence, nor the order in which text is read.
 */
void bh_buf_escape(struct bh_buf *b, const char *s);

#endif
