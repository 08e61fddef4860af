/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imagefsctl: ask a running imagefs how things are, tell it to look again, and
 * look into an image without it.
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tools/ctl.h"

/* ---- messages ------------------------------------------------------------- */

/* `what`, and a reason that names something, may be what somebody else gave. Lines of a reason stay lines. */
static void say(const char *what, const char *why, const char *more)
{
	CLEANUP_FREE char *copy = strdup(why);
	char *rest = copy;

	fputs("imagefsctl: ", stderr);
	text_write_plain(stderr, what);
	fputs(*what ? ": " : "", stderr);
	for (const char *line; copy && (line = strsep(&rest, "\n"));) {
		text_write_plain(stderr, line);
		fputs(rest ? "\n" : "", stderr);
	}
	fprintf(stderr, "%s\n", more);
}

int ctl_fail(const char *what, const char *why)
{
	say(what, why, "");
	return FAILED;
}

int ctl_misused(const char *what, const char *why)
{
	say(what, why, " (see imagefsctl --help)");
	return USAGE;
}

static void print_help(void)
{
	printf("usage: imagefsctl [--control DIR] COMMAND\n"
	       "\n"
	       "  status [--json] [IMAGE|BOARD]  how things are, of one image or of all\n"
	       "  status --problems              what is wrong; exit status 1 if anything is\n"
	       "  status --follow [IMAGE|BOARD]  what boards ask for, as it happens\n"
	       "  flush IMAGE|BOARD...           look at everything again: its content may have\n"
	       "                                 changed without a sign\n"
	       "  flush --all                    the same for all images\n"
	       "  metrics                        figures for Prometheus\n"
	       "\n"
	       "without a mount, of an image by its path, or by a name of a running imagefs:\n"
	       "\n"
	       "  check [--json] [--pi 3|4|5] [--nbd HOSTS] IMAGE|BOARD   will a Pi boot from it? If not, why\n"
	       "  ls [-l] IMAGE[:N] [PATH]       what is in its boot partition, or in partition N\n"
	       "  cat IMAGE[:N] PATH             a file of it\n"
	       "  diff IMAGE[:N] IMAGE[:N]       what two boot partitions have that is not the same\n"
	       "\n"
	       "changes of an image that nobody has open for writing (--force: also else), whole or not at all;\n"
	       "a FILE of it is IMAGE:PATH or IMAGE:N:PATH:\n"
	       "\n"
	       "  cp [-r] SOURCE... DEST         into an image, or out of it; - is standard input or output\n"
	       "  rm [-r] FILE...                remove files, with -r directories\n"
	       "  mkdir [-p] FILE...             make directories, with -p those above\n"
	       "  mv FILE... FILE                give another name, or move into a directory\n"
	       "  edit FILE                      in $VISUAL or $EDITOR\n"
	       "\n"
	       "boards, of the directory of images of a running imagefs (--images DIR: of that one):\n"
	       "\n"
	       "  boards [--json]                all of them, what is wrong, and who asked and has no link\n"
	       "  link [--move] BOARD IMAGE[:N]  a board by its serial number, MAC or name\n"
	       "  unlink BOARD                   its link goes\n"
	       "\n"
	       "  -c, --control DIR  the control directory; without it the only one there is\n"
	       "  -h, --help         this text\n"
	       "  -V, --version      the version\n"
	       "\n"
	       "See imagefsctl(8) and imagefs-control(7).\n");
}

/* ---- the command line ----------------------------------------------------- */

static const struct command {
	const char *name;
	int (*run)(const char *control, int count, char **arguments);
	const char *options[3]; /* those it knows, one at a time, as its first argument */
	bool looks_itself;	/* at its options, whatever they are */
	bool needs_control;
	int least, most; /* names beside that option */
	const char *misused;
} commands[] = {
	{ "status", command_status, { "--json", "--problems", "--follow" }, false, true, 0, 1, "one image at a time" },
	{ "flush", command_flush, { "--all" }, false, true, 1, INT_MAX, "which image? or --all" },
	{ "metrics", command_metrics, { NULL }, false, true, 0, 0, "it takes no argument" },
	{ "check", command_check, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "ls", command_ls, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "cat", command_cat, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "cp", command_cp, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "rm", command_rm, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "mkdir", command_mkdir, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "mv", command_mv, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "edit", command_edit, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "diff", command_diff, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "boards", command_boards, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "link", command_link, { NULL }, true, false, 0, INT_MAX, NULL },
	{ "unlink", command_unlink, { NULL }, true, false, 0, INT_MAX, NULL },
};

void ctl_option_first(const char *option, int count, char **arguments)
{
	for (int i = 1; i < count; i++) {
		char *found = arguments[i];

		if (strcmp(found, option) != 0)
			continue;
		memmove(arguments + 1, arguments, (size_t)i * sizeof(*arguments));
		arguments[0] = found;
		return;
	}
}

int ctl_end_of_options(int *count, char **arguments)
{
	for (int i = 0; i < *count; i++) {
		if (strcmp(arguments[i], "--") != 0)
			continue;
		(*count)--;
		memmove(arguments + i, arguments + i + 1, (size_t)(*count - i) * sizeof(*arguments));
		return i;
	}
	return *count;
}

static bool asks_for_help(int count, char **arguments)
{
	for (int i = 0; i < count; i++)
		if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0)
			return true;
	return false;
}

static const struct command *command_of(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static bool has_option(const struct command *command, const char *argument)
{
	for (size_t i = 0; i < sizeof(command->options) / sizeof(command->options[0]); i++)
		if (command->options[i] && strcmp(command->options[i], argument) == 0)
			return true;
	return false;
}

/* The first `before` of them may be options. */
static int check_arguments(const struct command *command, int count, int before, char **arguments)
{
	bool option = before > 0 && has_option(command, arguments[0]);
	int names = count - option;

	for (int i = option; i < before && !command->looks_itself; i++)
		if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option");
	if (names > command->most)
		return ctl_misused(arguments[option + command->most], command->misused);
	if (names < command->least && !option)
		return ctl_misused(command->name, command->misused);
	return OK;
}

/* Not known is another answer than that there are problems. */
static int failure_of(const struct command *command, int count, char **arguments)
{
	bool says_problems = command->run == command_check || command->run == command_diff || command->run == command_boards ||
			     (count > 0 && strcmp(arguments[0], "--problems") == 0);

	return says_problems ? USAGE : FAILED;
}

static int run_with_control(const struct command *command, const char *given, int count, char **arguments)
{
	CLEANUP_FREE char *control = given ? strdup(given) : control_find();
	int failed = failure_of(command, count, arguments), result;

	if (!control)
		return failed;
	result = control_check(control);
	return result == OK ? command->run(control, count, arguments) : failed;
}

/* What was printed must have reached somebody; `failed` is returned if not. Other failures have been said. */
static int finish(int result, int failed)
{
	bool lost = fflush(stdout) != 0 || ferror(stdout);

	if (!lost || (result != OK && failed == FAILED) || result == USAGE)
		return result;
	ctl_fail("standard output", strerror(errno));
	return failed;
}

static int run(const char *given, int count, char **arguments)
{
	const struct command *command = count > 0 ? command_of(arguments[0]) : NULL;
	int result, before;

	if (!command)
		return count > 0 ? ctl_misused(arguments[0], "unknown command") :
				   ctl_misused("", "status, flush, metrics, check, ls, cat, cp, rm, mkdir, mv, edit, diff, boards, link or unlink?");
	count--;
	arguments++;
	before = command->looks_itself ? count : ctl_end_of_options(&count, arguments);
	if (asks_for_help(before, arguments)) {
		print_help();
		return finish(OK, FAILED);
	}
	for (size_t i = 0; i < sizeof(command->options) / sizeof(command->options[0]); i++)
		if (command->options[i])
			ctl_option_first(command->options[i], before, arguments);
	result = check_arguments(command, count, before, arguments);
	if (result != OK)
		return result;
	if (command->needs_control)
		result = run_with_control(command, given, count, arguments);
	else
		result = command->run(given, count, arguments);
	return finish(result, failure_of(command, count, arguments));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "control", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const char *control = NULL;
	int option;

	/* '+': options of a command are the command's. */
	opterr = 0;
	while ((option = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			control = optarg;
			break;
		case 'h':
			print_help();
			return finish(OK, FAILED);
		case 'V':
			printf("imagefsctl %s\n", IMAGEFS_VERSION);
			return finish(OK, FAILED);
		default:
			return ctl_misused(argv[optind - 1], "unknown option, or its value is missing");
		}
	}
	return run(control, argc - optind, argv + optind);
}
