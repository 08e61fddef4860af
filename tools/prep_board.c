/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>

#include "base/cleanup.h"
#include "tools/prep/link.h"

#define XFS_MAGIC 0x58465342 /* not in linux/magic.h */

/* ---- where ---------------------------------------------------------------- */

/* Of links and images: that of the image, unless it is a device. For the caller to free. */
static char *directory_of_links(const struct prep *prep)
{
	struct stat st;

	if (prep->options->images)
		return strdup(prep->options->images);
	if (stat(prep->path, &st) == 0 && S_ISBLK(st.st_mode))
		return strdup(PREP_IMAGES);
	return strndup(prep->path, prep_last_part(prep->path) == prep->path + 1
					   ? 1
					   : (size_t)(prep_last_part(prep->path) - prep->path - 1));
}

/* Is the image's own file in that directory? */
static bool is_there(const struct prep *prep, const char *directory)
{
	CLEANUP_FREE char *real = realpath(directory, NULL);
	size_t length = real ? strlen(real) : 0;

	return real && strncmp(real, prep->path, length) == 0 && prep->path[length] == '/' &&
	       !strchr(prep->path + length + 1, '/');
}

/* What the image is called there: its file, or the link that will lead to it. */
static char *file_of_links(const struct prep *prep, const char *directory)
{
	CLEANUP_FREE char *name = prep_image_name(prep);
	char *file = NULL;

	if (is_there(prep, directory))
		return strdup(prep_last_part(prep->path));
	if (!name || asprintf(&file, "%s.img", name) < 0)
		return NULL;
	return file;
}

/* ---- links ---------------------------------------------------------------- */

static int make_link(struct prep *prep, int directory, const char *name, const char *target)
{
	char present[PATH_MAX] = "";
	bool made = false;
	int error;

	prep_say(prep->options, "link %s -> %s", name, target);
	if (prep->options->dry_run)
		return PREP_OK;
	error = link_make(directory, name, target, prep->options->move, present, &made);
	if (error == -EEXIST)
		return prep_fail(name, "leads to another image: --move moves it");
	if (error == -ENOTUNIQ)
		return prep_fail(name, "is there, and is no link");
	if (error != 0)
		return prep_fail(name, strerror(-error));
	if (made && *present)
		prep_note(prep->options, "%s led to %s", name, present);
	return PREP_OK;
}

/* The mount would show one of the two only. */
static bool is_an_image(int directory, const char *name, const char *file)
{
	static const char *const suffixes[] = { ".img", ".raw" };

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		CLEANUP_FREE char *image = NULL;

		if (asprintf(&image, "%s%s", name, suffixes[i]) < 0)
			image = NULL;
		if (image &&
		    (strcmp(image, file) == 0 || faccessat(directory, image, F_OK, AT_SYMLINK_NOFOLLOW) == 0))
			return true;
	}
	return false;
}

/* What would fail later, when the image is there already. */
static int check_link(struct prep *prep, int directory, const char *board, const char *file)
{
	char name[LINK_NAME_BYTES], target[LINK_NAME_BYTES], present[PATH_MAX];
	enum link_kind kind;
	struct stat st;
	ssize_t length;

	if (link_board(board, name, &kind) != 0)
		return prep_fail(
			board,
			"is no name for a board: a serial, a MAC address, or a file's name without .img");
	if (link_target(file, prep->options->boot_partition, target) != 0)
		return prep_fail(file, strerror(ENAMETOOLONG));
	if (is_an_image(directory, name, file))
		return prep_fail(name, "is the name of an image");
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return PREP_OK;
	if (!S_ISLNK(st.st_mode))
		return prep_fail(name, "is there, and is no link");
	length = readlinkat(directory, name, present, sizeof(present) - 1);
	present[length > 0 ? length : 0] = '\0';
	if (prep->options->move || strcmp(present, target) == 0)
		return PREP_OK;
	return prep_fail(name, "leads to another image: --move moves it");
}

/* For each board: check_link, or make it. */
static int for_boards(struct prep *prep, bool make)
{
	CLEANUP_FREE char *path = directory_of_links(prep);
	CLEANUP_FREE char *file = path ? file_of_links(prep, path) : NULL;
	CLEANUP_FD int directory = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int result = PREP_OK;

	if (!prep_options_have(prep->options, PREP_BOARD))
		return PREP_OK;
	if (!path || !file || directory < 0)
		return prep_fail(path, file ? strerror(errno) : strerror(ENOMEM));
	if (make && !is_there(prep, path))
		result = make_link(prep, directory, file, prep->path);
	for (size_t i = 0; i < prep->options->word_count && result == PREP_OK; i++) {
		const char *board = prep->options->words[i].text;
		char name[LINK_NAME_BYTES], target[LINK_NAME_BYTES];
		enum link_kind kind;

		if (prep->options->words[i].kind != PREP_BOARD)
			continue;
		result = check_link(prep, directory, board, file);
		if (!make || result != PREP_OK)
			continue;
		link_board(board, name, &kind);
		link_target(file, prep->options->boot_partition, target);
		result = make_link(prep, directory, name, target);
	}
	return result;
}

/* ---- servers -------------------------------------------------------------- */

static bool is_device(const struct prep *prep)
{
	struct stat st;

	return stat(prep->path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* Does the kernel tell imagefs of writes, so that no server has to (imagefs(8))? */
static bool kernel_tells(const struct prep *prep)
{
	CLEANUP_FREE char *directory = strndup(prep->path, (size_t)(prep_last_part(prep->path) - prep->path));
	unsigned major = 0, minor = 0;
	struct utsname system;
	struct statfs fs;
	uint32_t kind; /* f_type is an int on 32-bit machines */

	if (!directory || uname(&system) != 0 || sscanf(system.release, "%u.%u", &major, &minor) != 2 ||
	    statfs(directory, &fs) != 0)
		return false;
	if (is_device(prep))
		return false;
	kind = (uint32_t)fs.f_type;
	return (major > 6 || (major == 6 && minor >= 14)) &&
	       (kind == EXT4_SUPER_MAGIC || kind == XFS_MAGIC || kind == BTRFS_SUPER_MAGIC);
}

/* The first board, as a link; "" if there is none. */
static void first_board(const struct prep *prep, char name[LINK_NAME_BYTES], enum link_kind *kind)
{
	name[0] = '\0';
	*kind = LINK_NAME;
	for (size_t i = 0; i < prep->options->word_count && !*name; i++)
		if (prep->options->words[i].kind == PREP_BOARD &&
		    link_board(prep->options->words[i].text, name, kind) != 0)
			name[0] = '\0';
}

/* Whose names the image has when nobody says --export. */
static enum export_server server_of(const struct prep_options *options)
{
	if (options->has_export)
		return options->export;
	return options->has_root && options->root == CMDLINE_ROOT_ISCSI ? EXPORT_TGT : EXPORT_NBD_SERVER;
}

char *prep_board_export(const struct prep *prep)
{
	struct export export = { .server = server_of(prep->options),
				 .path = prep->path,
				 .iqn = prep->options->iqn };

	return export_name(&export);
}

char *prep_board_initiator(const struct prep *prep)
{
	char board[LINK_NAME_BYTES];
	enum link_kind kind;
	struct export export = { .server = server_of(prep->options),
				 .path = prep->path,
				 .iqn = prep->options->iqn,
				 .board = board };

	if (prep->options->initiator)
		return strdup(prep->options->initiator);
	first_board(prep, board, &kind);
	return *board ? export_initiator(&export) : NULL;
}

static void say_line(void *context, const char *line)
{
	prep_say(context, "%s", line);
}

/* What is to be done then, as comments. */
static void print_steps(const struct export_plan *plan)
{
	for (size_t i = 0; i < plan->step_count; i++) {
		putchar('#');
		for (size_t word = 0; word < EXPORT_WORDS_MAX && plan->steps[i].words[word]; word++)
			printf(" %s", plan->steps[i].words[word]);
		putchar('\n');
	}
}

/* Print it, or do it. */
static int carry_out(struct prep *prep, const char *server, const struct export_plan *plan)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *problem = NULL;
	int error = 0;

	if (options->install) {
		error = export_install(plan, options->dry_run, say_line, (void *)options, &problem);
	} else {
		prep_say(options,
			 plan->file ? "print what %s has to be told, for %s" : "print what %s has to be told",
			 server, plan->file);
		if (!options->dry_run) {
			fputs(plan->text, stdout);
			print_steps(plan);
		}
	}
	if (plan->note)
		prep_note(options, "%s", plan->note);
	return error == 0 ? PREP_OK : prep_fail(server, problem ? problem : strerror(-error));
}

static int plan_failed(const char *server, int error)
{
	return prep_fail(server, error == -EINVAL ? "its configuration cannot hold that path or name"
						  : strerror(-error));
}

/* For the caller to free after PREP_OK. */
static int plan_export(struct prep *prep, struct export_plan *plan)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *name = prep_image_name(prep);
	CLEANUP_FREE char *control = NULL;
	char board[LINK_NAME_BYTES];
	struct export export = { .server = options->export, .path = prep->path, .iqn = options->iqn };
	bool one = options->export == EXPORT_NBD_SERVER; /* it reports to one file, nbdkit to that of each */
	enum link_kind kind;
	int error;

	if (!name || (!kernel_tells(prep) &&
		      asprintf(&control, "/run/imagefs/%s%s%s", prep_last_part(options->mountpoint),
			       one ? "/" : "", one ? name : "") < 0))
		control = NULL;
	first_board(prep, board, &kind);
	export.is_device = is_device(prep);
	export.control = control;
	export.board = *board ? board : NULL;
	error = export_plan_make(&export, plan);
	return error == 0 ? PREP_OK : plan_failed(export_word(options->export), error);
}

static int export_image(struct prep *prep)
{
	struct export_plan plan;
	int result = plan_export(prep, &plan);

	if (result == PREP_OK) {
		result = carry_out(prep, export_word(prep->options->export), &plan);
		export_plan_free(&plan);
	}
	return result;
}

static int tell_dnsmasq(struct prep *prep)
{
	struct export_dnsmasq dnsmasq = { .mountpoint = prep->options->mountpoint,
					  .network = prep->options->network,
					  .dns = prep->options->dns };
	struct export_plan plan;
	char board[LINK_NAME_BYTES];
	enum link_kind kind;
	int result, error;

	first_board(prep, board, &kind);
	dnsmasq.by_mac = kind == LINK_MAC;
	error = export_plan_dnsmasq(&dnsmasq, &plan);
	if (error != 0)
		return plan_failed("dnsmasq", error);
	result = carry_out(prep, "dnsmasq", &plan);
	export_plan_free(&plan);
	return result;
}

/* ---- the two of them ------------------------------------------------------ */

int prep_board_check(struct prep *prep)
{
	struct export_plan plan;
	int result = for_boards(prep, false);

	if (result == PREP_OK && prep->options->has_export && (result = plan_export(prep, &plan)) == PREP_OK)
		export_plan_free(&plan);
	return result;
}

int prep_board_link(struct prep *prep)
{
	int result = for_boards(prep, true);

	if (result == PREP_OK && prep->options->has_export)
		result = export_image(prep);
	if (result == PREP_OK && prep->options->dnsmasq)
		result = tell_dnsmasq(prep);
	return result;
}
