#include "cli.h"

#include <stdio.h>
#include <string.h>

#include "bh/serve.h"

#define COLUMN 30

static void add_option(struct bh_buf *out, const struct bh_cli_option *o)
{
	size_t start = out->len;

	if (o->letter)
		bh_buf_printf(out, "  -%c, --%s", o->letter, o->name);
	else
		bh_buf_printf(out, "      --%s", o->name);
	if (o->arg)
		bh_buf_printf(out, " %s", o->arg);
	if (out->len - start >= COLUMN) {
		bh_buf_putc(out, '\n');
		start = out->len;
	}
	bh_buf_printf(out, "%*s%s\n", (int)(COLUMN - (out->len - start)), "", o->text);
}

static void add_options(struct bh_buf *out, const struct bh_cli_option *own)
{
	const struct bh_cli_option *o;

	bh_buf_puts(out, "\nOptions:\n");
	for (o = own; o && o->name; o++)
		add_option(out, o);
	for (o = bh_cli_common; o->name; o++)
		add_option(out, o);
}

void bh_cli_command_help(const struct bh_cli_command *c, struct bh_buf *out)
{
	bh_buf_printf(out, "Usage: bulkhead %s [options]%s%s\n\n%s", c->name,
		      *c->operands ? " " : "", c->operands, c->about);
	add_options(out, c->options);
	bh_buf_printf(out, "\nExamples:\n%s", c->examples);
}

void bh_cli_help(struct bh_buf *out)
{
	const struct bh_cli_command *const *c;

	bh_buf_puts(out, "Usage: bulkhead COMMAND [options]\n\n"
			 "Asks and steers the Bulkhead agent of this node, which enforces\n"
			 "NetworkPolicy with nftables and logs what it denies.\n\nCommands:\n");
	for (c = bh_cli_commands; *c; c++)
		bh_buf_printf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
	add_options(out, NULL);
	bh_buf_printf(out,
		      "\nWhere to start when something does not connect:\n"
		      "  bulkhead status                           is the agent up and in sync?\n"
		      "  bulkhead flows --pod shop/web             what was denied, and why\n"
		      "  bulkhead explain shop/web shop/db 5432    what would happen, and why\n"
		      "\n'bulkhead COMMAND --help' shows options and examples of a command;\n"
		      "the whole manual is bulkhead(1).  The agent is asked on\n%s unless told "
		      "otherwise.\n",
		      BH_CONTROL_PATH);
}
