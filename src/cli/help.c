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

/* Names of a group's commands are shorter. */
#define NAME_COLUMN 14

void bh_cli_group_help(const struct bh_cli_group *group, struct bh_buf *out)
{
	const struct bh_cli_command *const *c;

	bh_buf_printf(out, "Usage: bulkhead %s COMMAND [options]\n\n%s\nCommands:\n", group->name,
		      group->about);
	for (c = bh_cli_commands; *c; c++)
		if (bh_cli_is_of_group(*c, group))
			bh_buf_printf(out, "  %-*s %s\n", NAME_COLUMN, (*c)->name, (*c)->summary);
	bh_buf_printf(out,
		      "\n'bulkhead %s COMMAND --help' shows options and examples of a command;\n"
		      "the whole manual is bulkhead-%s(1).\n",
		      group->name, group->name);
}

/* A group has one line, where the first of its commands is. */
static void add_commands(struct bh_buf *out)
{
	const struct bh_cli_group *group, *last = NULL;
	const struct bh_cli_command *const *c;

	for (c = bh_cli_commands; *c; c++) {
		group = bh_cli_group_find((*c)->name, strcspn((*c)->name, " "));
		if (!group)
			bh_buf_printf(out, "  %-10s %s\n", (*c)->name, (*c)->summary);
		else if (group != last)
			bh_buf_printf(out, "  %-10s %s\n", group->name, group->summary);
		last = group;
	}
}

void bh_cli_help(struct bh_buf *out)
{

	bh_buf_puts(out, "Usage: bulkhead COMMAND [options]\n\n"
			 "Asks and steers the Bulkhead agent of this node, which enforces\n"
			 "NetworkPolicy with nftables and logs what it denies.\n\nCommands:\n");
	add_commands(out);
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
