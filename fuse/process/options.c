/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * options: imagefs's own, vfat's, and all those that mount(8) adds to what a
 * line in fstab says. What mount(8) and systemd mean for themselves is accepted
 * and dropped, since libfuse refuses it; what is left over is
 * a mistake of the user's and is named.
 */
#include "fuse/process/options.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/text.h"
#include "base/waits.h"
#include "cache/device/nbd_loop.h"
#include "cache/device/nbd_uri.h"
#include "fuse/process/log.h"
#include "fuse/process/option_ignored.h"
#include "fuse/process/option_value.h"
#include "fuse/process/options_help.h"

#ifndef IMAGEFS_VERSION
#define IMAGEFS_VERSION "unknown"
#endif

/* A request waits no longer for it (WAIT_REQUEST_NS). */
#define SETTLE_MAX_MS (WAIT_REQUEST_NS / WAIT_MS)
#define KEEP_MAX_MIB (1 << 20)
#define PARTITION_MAX 1024

struct parse {
	struct options *options;
	int help, version, verbose, rw, remount; /* int: fuse_opt sets them */
	bool is_mount_helper;		/* run as mount.imagefs */
	bool pretend;			/* mount -f: do all but the mount */
	bool failed;			/* a line was printed */
	char *kernels;			/* owned: the first that only a remount may name */
};

static const char *const change_words[] = {
	[CHANGES_AUTO] = "auto", [CHANGES_KERNEL] = "kernel", [CHANGES_EVENTS] = "events", [CHANGES_NONE] = "none"
};

const char *options_changes_word(const struct options *options)
{
	return change_words[options->changes];
}

/* Of an option whose value is a number, as messages say them, and imagefs(8). */
struct limits {
	const char *name;
	int base;
	long long low, high;
	const char *unit;
	void *out; /* an int or unsigned */
	bool *given;
};

enum { KEY_FOREGROUND, KEY_DEBUG, KEY_PASS, KEY_ALLOW, KEY_EXEC, KEY_NOEXEC };

#define FLAG(name, field) { name, offsetof(struct parse, field), true }

/* Those with a value are in parse_value. */
static const struct fuse_opt specification[] = {
	FLAG("-h", help),
	FLAG("--help", help),
	FLAG("-V", version),
	FLAG("--version", version),
	FLAG("-v", verbose),
	FLAG("--verbose", verbose),
	FLAG("rw", rw),
	FLAG("remount", remount),
	FUSE_OPT_KEY("-f", KEY_FOREGROUND),
	FUSE_OPT_KEY("-d", KEY_DEBUG),
	FUSE_OPT_KEY("--debug", KEY_DEBUG),
	FUSE_OPT_KEY("debug", KEY_DEBUG),
	FUSE_OPT_KEY("allow_other", KEY_ALLOW),
	FUSE_OPT_KEY("allow_root", KEY_ALLOW),
	FUSE_OPT_KEY("default_permissions", KEY_PASS),
	FUSE_OPT_KEY("context=", KEY_PASS),
	FUSE_OPT_KEY("exec", KEY_EXEC),
	FUSE_OPT_KEY("noexec", KEY_NOEXEC),
	FUSE_OPT_END,
};

static int refuse(struct parse *parse, const char *what, const char *argument)
{
	if (!parse->failed)
		log_line(LOG_LEVEL_ERROR, "%s: %s (see imagefs --help)", argument, what);
	parse->failed = true;
	return -1;
}

static int refuse_if(struct parse *parse, const char *what, const char *argument)
{
	return what ? refuse(parse, what, argument) : 0;
}

/* The first of the kernel's is kept, and refused unless this is a remount. */
static bool take_kernels(struct parse *parse, const char *argument)
{
	if (!option_is_kernels(argument))
		return false;
	if (!parse->kernels)
		parse->kernels = strdup(argument);
	return parse->kernels != NULL;
}

/* The name of `argument`, behind those that were given before it. */
static int note_given(struct options *options, const char *argument)
{
	const char *before = options->given ? options->given : "\n";
	char *given;

	if (asprintf(&given, "%s%.*s\n", before, (int)strcspn(argument, "="), argument) < 0)
		return -1;
	free(options->given);
	options->given = given;
	return 0;
}

/* ---- values: `argument` is NAME=text ---------------------------------------- */

static int parse_tz(struct parse *parse, const char *argument, const char *text)
{
	return strcasecmp(text, "UTC") == 0 ? 0 : refuse(parse, "only tz=UTC is known; use time_offset", argument);
}

static int parse_changes(struct parse *parse, const char *argument, const char *text)
{
	for (unsigned i = 0; i < sizeof(change_words) / sizeof(change_words[0]); i++) {
		if (strcmp(text, change_words[i]) == 0) {
			parse->options->changes = i;
			return 0;
		}
	}
	return refuse(parse, "is auto, kernel, events or none", argument);
}

/* A directory, or none. */
static int parse_control(struct parse *parse, const char *argument, const char *text)
{
	struct options *options = parse->options;

	if (*text == '\0')
		return refuse(parse, "is a directory, or none", argument);
	free(options->control);
	options->control = NULL;
	options->control_off = strcmp(text, "none") == 0;
	if (!options->control_off)
		options->control = strdup(text);
	return options->control || options->control_off ? 0 : -1;
}

static int parse_control_group(struct parse *parse, const char *argument, const char *text)
{
	parse->options->control_group_given = true;
	return refuse_if(parse, option_group(text, &parse->options->control_group), argument);
}

static int parse_gid(struct parse *parse, const char *argument, const char *text)
{
	return refuse_if(parse, option_group(text, &parse->options->gid), argument);
}

static int parse_uid(struct parse *parse, const char *argument, const char *text)
{
	return refuse_if(parse, option_user(text, &parse->options->uid), argument);
}

static int parse_run_as(struct parse *parse, const char *argument, const char *text)
{
	parse->options->run_as_given = true;
	if (option_find_user(text, &parse->options->run_as_user, &parse->options->run_as_group))
		return 0;
	return refuse(parse, "is not the name of a user", argument);
}

static int parse_debug(struct parse *parse, const char *argument, const char *text)
{
	parse->options->foreground = true;
	return refuse_if(parse, option_debug(text, &parse->options->debug), argument);
}

static int parse_nbd(struct parse *parse, const char *argument, const char *text)
{
	if (!nbd_uri_check_allowed(text))
		return refuse(parse, "is any, none, or names of hosts with colons between them, unix among them", argument);
	free(parse->options->nbd);
	parse->options->nbd = strdup(text);
	return parse->options->nbd ? 0 : -1;
}

static int refuse_number(struct parse *parse, const char *argument, const struct limits *limits)
{
	char why[128];

	if (limits->base == 8)
		snprintf(why, sizeof(why), "is not an octal mask from 0 to %o", (unsigned)limits->high);
	else
		snprintf(why, sizeof(why), "is not a number%s from %lld to %lld", limits->unit, limits->low, limits->high);
	return refuse(parse, why, argument);
}

static int parse_number(struct parse *parse, const char *argument, const char *text)
{
	struct options *options = parse->options;
	const struct limits numbers[] = {
		{ "umask=", 8, 0, 0777, "", &options->umask, &options->umask_given },
		{ "fmask=", 8, 0, 0777, "", &options->fmask, &options->fmask_given },
		{ "dmask=", 8, 0, 0777, "", &options->dmask, &options->dmask_given },
		{ "time_offset=", 10, -1440, 1440, " of minutes", &options->time_offset_minutes, NULL },
		{ "partition=", 10, 0, PARTITION_MAX, "", &options->partition, NULL },
		{ "settle=", 10, 0, SETTLE_MAX_MS, " of milliseconds", &options->settle_ms, NULL },
		{ "keep=", 10, 0, KEEP_MAX_MIB, " of MiB", &options->keep_mib, NULL },
	};
	long long value;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct limits *limits = &numbers[i];

		if (!text_starts(argument, limits->name))
			continue;
		if (!option_number(text, limits->base, limits->low, limits->high, &value))
			return refuse_number(parse, argument, limits);
		*(unsigned *)limits->out = (unsigned)value;
		if (limits->given)
			*limits->given = true;
		return 0;
	}
	return option_is_dropped(argument) || take_kernels(parse, argument) ? 0 : refuse(parse, "unknown option", argument);
}

static int parse_value(struct parse *parse, const char *argument)
{
	static const struct {
		const char *name;
		int (*parse)(struct parse *parse, const char *argument, const char *text);
	} values[] = {
		{ "uid=", parse_uid },
		{ "gid=", parse_gid },
		{ "tz=", parse_tz },
		{ "changes=", parse_changes },
		{ "control=", parse_control },
		{ "control_group=", parse_control_group },
		{ "run_as=", parse_run_as },
		{ "nbd=", parse_nbd },
		{ "debug=", parse_debug },
		{ "--debug=", parse_debug },
		{ "", parse_number },
	};
	const char *text = strchr(argument, '=');
	size_t i = 0;

	while (!text_starts(argument, values[i].name))
		i++;
	if (note_given(parse->options, argument) != 0)
		return -1;
	return values[i].parse(parse, argument, text ? text + 1 : argument);
}

static int parse_word(struct parse *parse, const char *argument)
{
	struct options *options = parse->options;

	if (!options->source) {
		options->source = strdup(argument);
		return options->source ? 0 : -1;
	}
	if (!options->mountpoint) {
		options->mountpoint = strdup(argument);
		return options->mountpoint ? 0 : -1;
	}
	return refuse(parse, "one argument too many", argument);
}

/* fuse_opt's callback: 0 drops the argument, 1 keeps it for libfuse, -1 is an error. */
static int parse_one(void *data, const char *argument, int key, struct fuse_args *arguments)
{
	struct parse *parse = data;

	(void)arguments;
	switch (key) {
	case KEY_FOREGROUND:
		/* mount(8), "External helpers": to a helper it is mount's own -f. */
		if (parse->is_mount_helper)
			parse->pretend = true;
		else
			parse->options->foreground = true;
		return 0;
	case KEY_DEBUG:
		parse->options->debug = LOG_DEBUG_ALL;
		parse->options->foreground = true;
		return 0;
	case KEY_ALLOW:
		parse->options->allow_other_given = true;
		return 1;
	case KEY_EXEC:
	case KEY_NOEXEC:
		parse->options->noexec = key == KEY_NOEXEC;
		return 0;
	case KEY_PASS:
		return 1;
	case FUSE_OPT_KEY_NONOPT:
		return parse_word(parse, argument);
	default:
		return parse_value(parse, argument);
	}
}

/* ---- all of them ------------------------------------------------------------ */

/* As libfuse has it (fuse_session_mount). -1: it is the place of a mount. What is no number is no descriptor. */
static int fuse_fd_of(const char *mountpoint)
{
	long long fd;

	if (!text_starts(mountpoint, "/dev/fd/"))
		return -1;
	return option_number(mountpoint + strlen("/dev/fd/"), 10, 0, INT_MAX, &fd) ? (int)fd : INT_MAX;
}

static void set_defaults(struct options *options)
{
	*options = (struct options){
		.uid = getuid(),
		.gid = getgid(),
		.settle_ms = WAIT_SETTLE_NS / WAIT_MS,
		.keep_mib = 64,
	};
}

/* libfuse leaves "--" where options for itself follow, takes those for no options then, and refuses them. */
static void drop_end_of_options(struct fuse_args *arguments)
{
	int kept = 0;

	for (int i = 0; i < arguments->argc; i++) {
		if (strcmp(arguments->argv[i], "--") == 0)
			free(arguments->argv[i]);
		else
			arguments->argv[kept++] = arguments->argv[i];
	}
	arguments->argc = kept;
	arguments->argv[kept] = NULL;
}

enum options_result options_parse(int argc, char **argv, struct options *options)
{
	const char *name = argc > 0 && strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argc > 0 ? argv[0] : "";
	struct parse parse = { .options = options, .is_mount_helper = strcmp(name, "mount.imagefs") == 0 };

	set_defaults(options);
	options->fuse = (struct fuse_args)FUSE_ARGS_INIT(argc, argv);
	if (fuse_opt_parse(&options->fuse, &parse, specification, parse_one) != 0) {
		if (!parse.failed)
			log_line(LOG_LEVEL_ERROR, "the options cannot be parsed (see imagefs --help)");
		free(parse.kernels);
		return OPTIONS_USAGE;
	}
	drop_end_of_options(&options->fuse);
	if (parse.help) {
		options_print_help();
		return OPTIONS_DONE;
	}
	if (parse.version) {
		printf("imagefs %s%s\n", IMAGEFS_VERSION, nbd_available() ? "" : " (without libnbd: no images behind block servers)");
		return OPTIONS_DONE;
	}
	if (!options->source || !options->mountpoint) {
		log_line(LOG_LEVEL_ERROR, "%s is missing: imagefs [options] SOURCE MOUNTPOINT (see imagefs --help)",
			options->source ? "MOUNTPOINT" : "SOURCE");
		return OPTIONS_USAGE;
	}
	options->fuse_fd = fuse_fd_of(options->mountpoint);
	/* The packages make one. Who is not root stays who he is, and so does whom mount.fuse3 started as who he shall be. */
	if (geteuid() != 0 || (options->fuse_fd >= 0 && !options->run_as_given))
		options->run_as_user = 0;
	else if (!options->run_as_given)
		option_find_user("imagefs", &options->run_as_user, &options->run_as_group);
	if (parse.kernels && !parse.remount) {
		refuse(&parse, "unknown option", parse.kernels);
		free(parse.kernels);
		return OPTIONS_USAGE;
	}
	free(parse.kernels);
	options->remount = parse.remount;
	options->rw_asked = parse.rw;
	options->verbose = parse.verbose;
	return parse.pretend ? OPTIONS_DONE : OPTIONS_RUN;
}
