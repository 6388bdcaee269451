#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bh/alloc.h"

bool bh_cli_wants_color(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

void bh_cli_paint(const struct bh_cli *cli, struct bh_buf *out, enum bh_cli_color color,
		  const char *text)
{
	static const char *const codes[] = {
		[BH_CLI_GREEN] = "\033[32m",  [BH_CLI_RED] = "\033[31m",
		[BH_CLI_YELLOW] = "\033[33m", [BH_CLI_BOLD] = "\033[1m",
		[BH_CLI_DIM] = "\033[2m",
	};

	if (cli->has_color)
		bh_buf_puts(out, codes[color]);
	bh_buf_escape(out, text);
	if (cli->has_color)
		bh_buf_puts(out, "\033[0m");
}

void bh_cli_print(const struct bh_buf *out)
{
	fwrite(bh_buf_str(out), 1, out->len, stdout);
	fflush(stdout);
}

void bh_cli_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	putchar('\n');
	fflush(stdout);
}

void bh_cli_count(struct bh_buf *out, json_int_t n, const char *noun)
{
	size_t len = strlen(noun);

	if (n == 1)
		bh_buf_printf(out, "1 %s", noun);
	else if (noun[len - 1] == 'y')
		bh_buf_printf(out, "%lld %.*sies", (long long)n, (int)len - 1, noun);
	else
		bh_buf_printf(out, "%lld %ss", (long long)n, noun);
}

void bh_cli_duration(struct bh_buf *out, uint64_t seconds)
{
	static const struct {
		uint64_t seconds;
		char unit;
	} t[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	size_t i;

	/* The two largest units. */
	for (i = 0; i + 1 < BH_ARRAY_LEN(t); i++) {
		if (seconds < t[i].seconds)
			continue;
		bh_buf_printf(out, "%llu%c %llu%c", (unsigned long long)(seconds / t[i].seconds),
			      t[i].unit,
			      (unsigned long long)(seconds % t[i].seconds / t[i + 1].seconds),
			      t[i + 1].unit);
		return;
	}
	bh_buf_printf(out, "%llus", (unsigned long long)seconds);
}

const char *bh_cli_str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

json_int_t bh_cli_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool bh_cli_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}
