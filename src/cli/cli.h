/*
 * The `bulkhead` program: a table of commands, each a file of its own.
 *
 * main.c finds the command, args.c reads its options by the command's own
 * table, help.c prints the same table.  A command returns the exit status.
 */
#ifndef BH_CLI_H
#define BH_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bh/buf.h"
#include "bh/err.h"
#include "bh/model.h"
#include "bh/trust.h"

/* Exit status of every command; stable, and part of bulkhead(1). */
enum bh_cli_exit {
	BH_CLI_YES = 0, /* done; ready; allowed */
	BH_CLI_NO = 1,  /* the answer is no: not ready, denied */
	BH_CLI_USAGE = 2,
	BH_CLI_NO_AGENT = 3, /* nobody answers on the control socket */
	BH_CLI_FAILED = 4,
};

struct bh_cli_option {
	char letter;      /* 0: none */
	const char *name; /* without dashes */
	/*
	 * NULL: a flag.  "PATH": takes a value.  "text|json": takes one of these
	 * values, checked before the command runs.
	 */
	const char *arg;
	const char *text;
};

struct bh_cli;

struct bh_cli_command {
	/* One word, or several ("sim list"). */
	const char *name;
	const char *summary; /* half a line */
	const char *operands;
	size_t min_operands, max_operands;
	const struct bh_cli_option *options; /* ends with a NULL name */
	/* What --help says before and after the options. */
	const char *about, *examples;
	int (*run)(const struct bh_cli *cli);
	int usage_status; /* exit status of wrong usage; 0: BH_CLI_USAGE */
};

/* Ends with NULL. */
extern const struct bh_cli_command *const bh_cli_commands[];

/* The first word of several commands, which --help lists in one line. */
struct bh_cli_group {
	const char *name;
	const char *summary, *about;
};
/* Ends with a NULL name. */
extern const struct bh_cli_group bh_cli_groups[];
/* The group of that name, NULL if there is none; @len bytes of it count. */
const struct bh_cli_group *bh_cli_group_find(const char *name, size_t len);
/* Whether @command is of @group. */
bool bh_cli_is_of_group(const struct bh_cli_command *command, const struct bh_cli_group *group);
/* Options of every command, as of struct bh_cli_command. */
extern const struct bh_cli_option bh_cli_common[];

#define BH_CLI_MAX_ARGS 256

struct bh_cli {
	const struct bh_cli_command *command;
	const char *control; /* path of the socket */
	bool has_color;      /* standard output takes terminal colours */
	const char *operands[BH_CLI_MAX_ARGS];
	size_t n_operands;
	struct bh_cli_value {
		const struct bh_cli_option *option;
		const char *text; /* "" for a flag */
	} values[BH_CLI_MAX_ARGS];
	size_t n_values;
};

/* --- args.c ------------------------------------------------------------------ */

/* Finds the command in @argv and skips its words; NULL with text if there is none. */
const struct bh_cli_command *bh_cli_find(int *argc, char *const **argv, struct bh_err *err);
/*
 * Reads options of @cli's command (only the common ones where it is NULL) and
 * operands.  Without a command it ends before the first operand.  Returns the
 * number of arguments read, or -EINVAL with text.
 */
int bh_cli_parse(struct bh_cli *cli, int argc, char *const *argv, struct bh_err *err);
/* The value given last, NULL if none was; "" for a flag. */
const char *bh_cli_value(const struct bh_cli *cli, const char *name);
/* The @i'th value given for @name, NULL beyond the last. */
const char *bh_cli_nth_value(const struct bh_cli *cli, const char *name, size_t i);
bool bh_cli_has(const struct bh_cli *cli, const char *name);
/* `-o json` was given. */
bool bh_cli_is_json(const struct bh_cli *cli);

/* --default-deny names @dir. */
bool bh_cli_denies(const struct bh_cli *cli, enum bh_dir dir);
/*
 * --exempt-namespace as the agent reads it: any given name replaces the default,
 * "" is none.  @ret has room for BH_CLI_MAX_ARGS names.
 */
size_t bh_cli_exempt_namespaces(const struct bh_cli *cli, const char **ret);

/*
 * --annotations and --trusted-namespace as the agent reads them.  @ret borrows @names,
 * which has room for BH_CLI_MAX_ARGS.  -EINVAL with text.
 */
int bh_cli_trust(const struct bh_cli *cli, const char **names, struct bh_trust_config *ret,
		 struct bh_err *err);

/* "10s", "15m", "2h", "7d" or a number of seconds -> nanoseconds. */
int bh_cli_parse_duration(const char *s, uint64_t *ret_ns, struct bh_err *err);

/* --- port.c ------------------------------------------------------------------ */

struct bh_cli_port {
	const char *protocol; /* "TCP", "UDP", "SCTP", "ICMP", "ICMPv6" */
	uint8_t number;       /* IPPROTO_* */
	uint16_t port;        /* 0: the protocol has none */
};
/* "8080", "8080/tcp", "53/UDP", "icmp"; -EINVAL or -ERANGE with text. */
int bh_cli_parse_port(const char *s, struct bh_cli_port *ret, struct bh_err *err);

/* --- help.c ------------------------------------------------------------------ */

void bh_cli_help(struct bh_buf *out);
void bh_cli_group_help(const struct bh_cli_group *group, struct bh_buf *out);
void bh_cli_command_help(const struct bh_cli_command *command, struct bh_buf *out);

/* --- output.c ---------------------------------------------------------------- */

enum bh_cli_color { BH_CLI_GREEN, BH_CLI_RED, BH_CLI_YELLOW, BH_CLI_BOLD, BH_CLI_DIM };

/* Whether standard output is a terminal that wants colours (NO_COLOR, TERM). */
bool bh_cli_wants_color(void);
/* Adds @text, escaped, in @color where the output takes colours. */
void bh_cli_paint(const struct bh_cli *cli, struct bh_buf *out, enum bh_cli_color color,
		  const char *text);
/* Writes to standard output at once. */
void bh_cli_print(const struct bh_buf *out);
/* One JSON value with a newline, indented for people. */
void bh_cli_print_json(const json_t *value);

/* "3 pods", "1 pod" */
void bh_cli_count(struct bh_buf *out, json_int_t n, const char *noun);
/* "4d 3h", "3h 12m", "5s" */
void bh_cli_duration(struct bh_buf *out, uint64_t seconds);

/* Members of an answer; "", 0 and false where they are missing or of another type. */
const char *bh_cli_str(const json_t *o, const char *key);
json_int_t bh_cli_int(const json_t *o, const char *key);
bool bh_cli_true(const json_t *o, const char *key);

/* --- ask.c --------------------------------------------------------------------- */

/*
 * Asks the agent; steals @request.  Logs what goes wrong, with a hint, and
 * returns the exit status: BH_CLI_YES after a whole answer.
 */
int bh_cli_ask(const struct bh_cli *cli, json_t *request, int timeout_ms,
	       int (*on_data)(void *ctx, const json_t *data), void *ctx);
/* Asks for the one object that the answer is; *ret is a new reference. */
int bh_cli_ask_one(const struct bh_cli *cli, json_t *request, json_t **ret);
/* The exit status and hint for a failed bh_control_call(); logs. */
int bh_cli_report(const struct bh_cli *cli, int code, const struct bh_err *err);

#define BH_CLI_TIMEOUT_MS 30000

#endif
