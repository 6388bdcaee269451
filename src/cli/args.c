#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bh/alloc.h"
#include "bh/clock.h"
#include "bh/nearest.h"
#include "bh/world.h"

const struct bh_cli_option bh_cli_common[] = {
	{ .name = "control",
	  .arg = "PATH",
	  .text = "the agent's control socket (also $BULKHEAD_CONTROL)" },
	{ .letter = 'h', .name = "help", .text = "show this help" },
	{ .name = NULL },
};

/* --- commands ------------------------------------------------------------------ */

/* How many of @argv are the words of @name; 0 if they are not. */
static int match_words(const char *name, int argc, char *const *argv)
{
	int i;

	for (i = 0; i < argc; i++) {
		size_t len = strcspn(name, " ");

		if (strlen(argv[i]) != len || strncmp(argv[i], name, len) != 0)
			return 0;
		name += len;
		if (!*name)
			return i + 1;
		name++;
	}
	return 0;
}

const struct bh_cli_group *bh_cli_group_find(const char *name, size_t len)
{
	const struct bh_cli_group *g;

	for (g = bh_cli_groups; g->name; g++)
		if (strlen(g->name) == len && strncmp(g->name, name, len) == 0)
			return g;
	return NULL;
}

bool bh_cli_is_of_group(const struct bh_cli_command *command, const struct bh_cli_group *group)
{
	size_t len = strlen(group->name);

	return strncmp(command->name, group->name, len) == 0 && command->name[len] == ' ';
}

/* What was given, as far as it could be a command's name. */
static char *given_name(int argc, char *const *argv)
{
	if (argc > 1 && bh_cli_group_find(argv[0], strlen(argv[0])))
		return bh_asprintf("%s %s", argv[0], argv[1]);
	return bh_strdup(argv[0]);
}

const struct bh_cli_command *bh_cli_find(int *argc, char *const **argv, struct bh_err *err)
{
	bh_auto_free char *given = given_name(*argc, *argv);
	const struct bh_cli_command *const *c;
	struct bh_nearest near = { 0 };

	for (c = bh_cli_commands; *c; c++) {
		int n = match_words((*c)->name, *argc, *argv);

		if (n > 0) {
			*argc -= n;
			*argv += n;
			return *c;
		}
		bh_nearest_consider(&near, given, (*c)->name);
	}
	if (near.word)
		bh_err(err, -EINVAL, "unknown command '%.64s'; did you mean '%s'?", given,
		       near.word);
	else
		bh_err(err, -EINVAL, "unknown command '%.64s'", given);
	return NULL;
}

/* --- options ------------------------------------------------------------------- */

static const struct bh_cli_option *find_in(const struct bh_cli_option *list, const char *name,
					   size_t len, int letter)
{
	const struct bh_cli_option *o;

	for (o = list; o && o->name; o++) {
		if (letter && o->letter == letter)
			return o;
		if (!letter && strlen(o->name) == len && !strncmp(o->name, name, len))
			return o;
	}
	return NULL;
}

static const struct bh_cli_option *find_option(const struct bh_cli *cli, const char *name,
					       size_t len, int letter)
{
	const struct bh_cli_option *o = find_in(bh_cli_common, name, len, letter);

	if (!o && cli->command)
		o = find_in(cli->command->options, name, len, letter);
	return o;
}

static int unknown_option(const struct bh_cli *cli, const char *given, struct bh_err *err)
{
	bh_auto_free char *name = bh_strndup(given, strcspn(given, "="));
	struct bh_nearest near = { 0 };
	const struct bh_cli_option *o;

	for (o = bh_cli_common; o->name; o++)
		bh_nearest_consider(&near, name + strspn(name, "-"), o->name);
	for (o = cli->command ? cli->command->options : NULL; o && o->name; o++)
		bh_nearest_consider(&near, name + strspn(name, "-"), o->name);
	if (near.word && given[1] == '-')
		return bh_err(err, -EINVAL, "unknown option '%.64s'; did you mean '--%s'?", name,
			      near.word);
	return bh_err(err, -EINVAL, "unknown option '%.64s'", name);
}

/* @arg is "a|b|c". */
static bool is_choice(const char *arg, const char *value)
{
	size_t len = strlen(value);

	while (*arg) {
		size_t n = strcspn(arg, "|");

		if (n == len && !strncmp(arg, value, n))
			return true;
		arg += n;
		arg += *arg == '|';
	}
	return false;
}

static int add_value(struct bh_cli *cli, const struct bh_cli_option *o, const char *text,
		     struct bh_err *err)
{
	if (o->arg && strchr(o->arg, '|') && !is_choice(o->arg, text))
		return bh_err(err, -EINVAL, "--%s is one of %s, not '%.64s'", o->name, o->arg,
			      text);
	assert(cli->n_values < BH_ARRAY_LEN(cli->values));
	cli->values[cli->n_values++] = (struct bh_cli_value){ .option = o, .text = text };
	return 0;
}

/* One option at argv[0]; the number of arguments it takes. */
static int parse_option(struct bh_cli *cli, int argc, char *const *argv, struct bh_err *err)
{
	bool is_long = argv[0][1] == '-';
	const char *name = argv[0] + (is_long ? 2 : 1);
	size_t len = is_long ? strcspn(name, "=") : 1;
	const char *rest = name + len;
	const struct bh_cli_option *o = find_option(cli, name, len, is_long ? 0 : name[0]);
	int r;

	if (!o)
		return unknown_option(cli, argv[0], err);
	if (!o->arg) {
		if (*rest)
			return bh_err(err, -EINVAL, "--%s takes no value", o->name);
		r = add_value(cli, o, "", err);
		return r < 0 ? r : 1;
	}
	if (*rest) {
		r = add_value(cli, o, rest + (*rest == '='), err);
		return r < 0 ? r : 1;
	}
	if (argc < 2)
		return bh_err(err, -EINVAL, "--%s needs a value: %s", o->name, o->arg);
	r = add_value(cli, o, argv[1], err);
	return r < 0 ? r : 2;
}

int bh_cli_parse(struct bh_cli *cli, int argc, char *const *argv, struct bh_err *err)
{
	bool are_options_over = false;
	int i = 0;

	if (argc > BH_CLI_MAX_ARGS - (int)cli->n_values)
		return bh_err(err, -EINVAL, "over %d arguments", BH_CLI_MAX_ARGS);
	while (i < argc) {
		bool is_option = !are_options_over && argv[i][0] == '-' && argv[i][1];
		int r;

		if (is_option && !strcmp(argv[i], "--")) {
			are_options_over = true;
			i++;
		} else if (is_option) {
			r = parse_option(cli, argc - i, argv + i, err);
			if (r < 0)
				return r;
			i += r;
		} else if (cli->command) {
			cli->operands[cli->n_operands++] = argv[i++];
		} else {
			break;
		}
	}
	return i;
}

const char *bh_cli_nth_value(const struct bh_cli *cli, const char *name, size_t i)
{
	size_t k;

	for (k = 0; k < cli->n_values; k++)
		if (!strcmp(cli->values[k].option->name, name) && i-- == 0)
			return cli->values[k].text;
	return NULL;
}

const char *bh_cli_value(const struct bh_cli *cli, const char *name)
{
	size_t k;

	for (k = cli->n_values; k > 0; k--)
		if (!strcmp(cli->values[k - 1].option->name, name))
			return cli->values[k - 1].text;
	return NULL;
}

bool bh_cli_has(const struct bh_cli *cli, const char *name)
{
	return bh_cli_value(cli, name) != NULL;
}

bool bh_cli_is_json(const struct bh_cli *cli)
{
	const char *format = bh_cli_value(cli, "output");

	return format && !strcmp(format, "json");
}

/* --- values -------------------------------------------------------------------- */

bool bh_cli_denies(const struct bh_cli *cli, enum bh_dir dir)
{
	const char *value = bh_cli_value(cli, "default-deny");

	return value && (!strcmp(value, "both") || !strcmp(value, bh_dir_str(dir)));
}

/* Any given name replaces the default, "" is none. */
static size_t names_of(const struct bh_cli *cli, const char *option, const char *by_default,
		       const char **ret)
{
	const char *name;
	size_t i, n = 0;

	for (i = 0; (name = bh_cli_nth_value(cli, option, i)); i++)
		if (*name)
			ret[n++] = name;
	if (i == 0)
		ret[n++] = by_default;
	return n;
}

size_t bh_cli_exempt_namespaces(const struct bh_cli *cli, const char **ret)
{
	return names_of(cli, "exempt-namespace", BH_DEFAULT_EXEMPT_NAMESPACE, ret);
}

int bh_cli_trust(const struct bh_cli *cli, const char **names, struct bh_trust_config *ret,
		 struct bh_err *err)
{
	struct bh_trust_config trust = { .namespaces = names };
	const char *text;
	size_t i;

	for (i = 0; (text = bh_cli_nth_value(cli, "annotations", i)); i++) {
		int r = bh_trust_parse(text, trust.of, err);

		if (r < 0)
			return bh_err_wrap(err, r, "--annotations");
	}
	trust.n_namespaces =
		names_of(cli, "trusted-namespace", BH_DEFAULT_TRUSTED_NAMESPACE, names);
	*ret = trust;
	return 0;
}

int bh_cli_parse_duration(const char *s, uint64_t *ret_ns, struct bh_err *err)
{
	static const struct {
		const char *unit;
		uint64_t seconds;
	} t[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	unsigned long v;
	char *end;
	size_t i;

	errno = 0;
	v = strtoul(s, &end, 10);
	if (*s < '0' || *s > '9')
		return bh_err(err, -EINVAL, "'%.64s' is not a duration such as 30s, 10m, 2h or 1d",
			      s);
	for (i = 0; i < BH_ARRAY_LEN(t); i++) {
		if (strcmp(end, t[i].unit) != 0)
			continue;
		if (errno || v > UINT64_MAX / 2 / BH_NS_PER_S / t[i].seconds)
			return bh_err(err, -ERANGE, "duration '%.64s' is too long", s);
		*ret_ns = v * t[i].seconds * BH_NS_PER_S;
		return 0;
	}
	return bh_err(err, -EINVAL, "'%.64s' is not a duration such as 30s, 10m, 2h or 1d", s);
}
