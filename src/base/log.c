#include "bh/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "bh/alloc.h"
#include "bh/buf.h"
#include "bh/file.h"

static enum bh_log_level max_level = BH_LOG_INFO;
static int has_journal;

void bh_log_set_level(enum bh_log_level level)
{
	max_level = level;
}

void bh_log_set_journal(int prefix)
{
	has_journal = prefix;
}

void bh_log(enum bh_log_level level, const char *fmt, ...)
{
	struct bh_buf text = { 0 }, line = { 0 };
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	bh_buf_vprintf(&text, fmt, ap);
	va_end(ap);

	if (has_journal)
		bh_buf_printf(&line, "<%d>", (int)level);
	else if (level == BH_LOG_ERROR)
		bh_buf_puts(&line, "error: ");
	else if (level == BH_LOG_WARNING)
		bh_buf_puts(&line, "warning: ");
	bh_buf_escape(&line, bh_buf_str(&text));
	bh_buf_putc(&line, '\n');
	/* One write, so that lines of several processes do not mix. */
	(void)bh_write_all(STDERR_FILENO, line.data, line.len);
	bh_buf_done(&text);
	bh_buf_done(&line);
}
