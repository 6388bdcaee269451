/*
 * Lines of a file that may be endless, from people or programs.
 */
#ifndef BH_CLI_LINES_H
#define BH_CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "bh/err.h"

struct bh_cli_lines {
	int fd;
	size_t max; /* of a line that is handed out whole */
	/* Called before anything that may take a while, as for more input. */
	void (*before_read)(void *ctx);
	void *ctx;
	char *buf;
	size_t start, end;
	bool is_over, is_cut;
};

/* Borrows @fd.  @max is the length of a line beyond which the rest of it is dropped. */
void bh_cli_lines_init(struct bh_cli_lines *l, int fd, size_t max);
void bh_cli_lines_done(struct bh_cli_lines *l);
/*
 * 1 and a line without its newline, valid until the next call; of a line over
 * @max the first max + 1 bytes.  0 at the end, a negative errno with text.
 */
int bh_cli_lines_next(struct bh_cli_lines *l, const char **ret, size_t *ret_len,
		      struct bh_err *err);

#endif
