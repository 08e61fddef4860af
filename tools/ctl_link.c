/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* link and unlink: a board's link is made, moved, and taken away. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "cache/device/nbd_uri.h"
#include "cache/tree/cache.h"
#include "tools/ctl.h"
#include "tools/ctl_boards.h"
#include "tools/ctl_check.h"
#include "tools/ctl_image.h"
#include "tools/prep/link.h"

static const char *const suffixes[] = { "", ".img", ".raw" };

/* ---- the image ------------------------------------------------------------------ */

static mode_t mode_of(int images_fd, const char *name, bool follow)
{
	struct stat st;

	return fstatat(images_fd, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode : 0;
}

/* Cut `:N` off. False: there is none. */
static bool cut_number(char *name, unsigned *number)
{
	char *colon = strrchr(name, ':');

	if (!colon || colon == name || !colon[1] || strlen(colon) > 6 || colon[1 + strspn(colon + 1, "0123456789")])
		return false;
	*number = (unsigned)strtoul(colon + 1, NULL, 10);
	*colon = '\0';
	return true;
}

/* A link to an image behind a block server. */
static bool is_remote(int images_fd, const char *file)
{
	char text[PATH_MAX];
	ssize_t length = readlinkat(images_fd, file, text, sizeof(text) - 1);

	text[length > 0 ? length : 0] = '\0';
	return nbd_uri_is_one(text);
}

/* The file of that name, with a suffix or without. False: there is none. */
static bool find_file(int images_fd, const char *name, char file[LINK_NAME_BYTES])
{
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		mode_t mode;

		if (snprintf(file, LINK_NAME_BYTES, "%s%s", name, suffixes[i]) >= LINK_NAME_BYTES)
			continue;
		mode = mode_of(images_fd, file, true);
		if (S_ISREG(mode) || S_ISBLK(mode) || is_remote(images_fd, file))
			return true;
	}
	return false;
}

/* What is behind the last slash, if what is before it is this directory. NULL: it is not. */
static const char *entry_of(int images_fd, const char *image)
{
	const char *slash = strrchr(image, '/');
	CLEANUP_FREE char *directory = NULL;
	struct stat here, there;

	if (!slash)
		return image;
	directory = strndup(image, (size_t)(slash - image) + 1);
	if (!directory || stat(directory, &there) != 0 || fstat(images_fd, &here) != 0 || here.st_dev != there.st_dev ||
	    here.st_ino != there.st_ino)
		return NULL;
	return slash + 1;
}

static int say_elsewhere(const char *directory, const char *image)
{
	const char *slash = strrchr(image, '/');
	size_t length = strlen(slash + 1);
	bool named = length > 4 && (strcmp(slash + 1 + length - 4, ".img") == 0 || strcmp(slash + 1 + length - 4, ".raw") == 0);
	CLEANUP_FREE char *why = NULL;

	if (access(image, F_OK) != 0)
		return ctl_fail(image, strerror(errno));
	if (asprintf(&why, "is not in %s; link to it there first: ln -s %s %s/%s%s", directory, image, directory, slash + 1,
		     named ? "" : ".img") < 0)
		return ctl_fail(image, strerror(ENOMEM));
	text_make_plain(why);
	return ctl_fail(image, why);
}

/* Is it an image, and has it that partition? */
static int check_partition(const char *directory, const char *file, unsigned partition)
{
	struct check check = { .brief = true, .place = { .partition = partition } };
	CLEANUP_FREE char *path = NULL;
	int result = FAILED;

	if (asprintf(&path, "%s/%s", directory, file) < 0)
		return ctl_fail(file, strerror(ENOMEM));
	if (!image_stat(path, &check.place.st))
		return ctl_fail(path, strerror(errno));
	if (image_place_at(&check.place, path) == OK) {
		image_finish_change(&check.place);
		result = check_run(&check) != USAGE ? OK : FAILED;
	}
	/* Then the table has a problem, or the boot sector; whatever else is wrong `check` says. */
	for (size_t i = 0; i < check.finding_count && result == OK && !check.has_volume; i++)
		if (check.findings[i].level == FINDING_PROBLEM)
			result = ctl_fail(file, check.findings[i].text);
	check_end(&check);
	return result;
}

/* The text of the link. OK, or it was said why not. */
static int target_of(const char *directory, int images_fd, const char *image, char target[LINK_NAME_BYTES])
{
	const char *entry = entry_of(images_fd, image);
	char name[LINK_NAME_BYTES], file[LINK_NAME_BYTES];
	unsigned partition = CACHE_PARTITION_BOOT;

	if (!entry)
		return say_elsewhere(directory, image);
	if (strlen(entry) >= sizeof(name))
		return ctl_fail(entry, strerror(ENAMETOOLONG));
	strcpy(name, entry);
	if (!*name || *name == '.' ||
	    (!find_file(images_fd, name, file) && !(cut_number(name, &partition) && find_file(images_fd, name, file))))
		return ctl_fail(image, "no such image");
	if (check_partition(directory, file, partition) != OK)
		return FAILED;
	if (link_target(file, partition == CACHE_PARTITION_BOOT ? 0 : partition, target) != 0)
		return ctl_fail(file, strerror(ENAMETOOLONG));
	return OK;
}

/* ---- the board -------------------------------------------------------------------- */

static int name_of(const char *board, char name[LINK_NAME_BYTES])
{
	enum link_kind kind;
	int error = link_board(board, name, &kind);

	if (error == -ENAMETOOLONG)
		return ctl_fail(board, strerror(ENAMETOOLONG));
	return error == 0 ? OK : ctl_fail(board, "no board can be called so: its serial number, its MAC, or a name without / and .img");
}

/* In the mount it would be the same name. */
static bool is_an_image(int images_fd, const char *name)
{
	char file[LINK_NAME_BYTES];

	for (size_t i = 1; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (snprintf(file, sizeof(file), "%s%s", name, suffixes[i]) < (int)sizeof(file) && mode_of(images_fd, file, false))
			return true;
	return false;
}

static void print_link(const char *name, const char *target, const char *rest, const char *before)
{
	text_write_plain(stdout, name);
	fputs(target ? " -> " : "", stdout);
	text_write_plain(stdout, target ? target : "");
	fputs(rest, stdout);
	text_write_plain(stdout, before);
	fputs(*before ? ")\n" : "\n", stdout);
}

static int say_present(const char *name, const char *present, const char *end)
{
	CLEANUP_FREE char *why = NULL;

	if (asprintf(&why, "leads to %s%s", present, end) < 0)
		return ctl_fail(name, strerror(ENOMEM));
	text_make_plain(why);
	return ctl_fail(name, why);
}

static int make(const char *directory, int images_fd, const char *board, const char *image, bool move)
{
	char name[LINK_NAME_BYTES], target[LINK_NAME_BYTES], present[PATH_MAX];
	bool made;
	int error;

	if (name_of(board, name) != OK || target_of(directory, images_fd, image, target) != OK)
		return FAILED;
	if (is_an_image(images_fd, name))
		return ctl_fail(name, "is the name of an image");
	error = link_make(images_fd, name, target, move, present, &made);
	if (error == -EEXIST)
		return say_present(name, present, " already; --move moves it");
	if (error == -ENOTUNIQ)
		return ctl_fail(name, "is there, and is no link");
	if (error != 0)
		return ctl_fail(name, strerror(-error));
	if (!made)
		print_link(name, present, " already", "");
	else
		print_link(name, target, *present ? " (was " : "", present);
	return OK;
}

/* By its spelling for boards; what is there as it is written, and no board asks for, goes as well. */
static int take_away(int images_fd, const char *board)
{
	char name[LINK_NAME_BYTES] = "", present[PATH_MAX];
	int error;

	if (strchr(board, '/') || !*board || strlen(board) >= sizeof(name))
		return name_of(board, name);
	if (mode_of(images_fd, board, false) != 0)
		strcpy(name, board);
	else if (name_of(board, name) != OK)
		return FAILED;
	error = link_remove(images_fd, name, present);
	if (error == -ENOENT)
		return ctl_fail(name, "no such board");
	if (error == -ENOTUNIQ)
		return ctl_fail(name, "is no link, and stays");
	if (error != 0)
		return ctl_fail(name, strerror(-error));
	print_link(name, NULL, ": no link any more (was ", present);
	return OK;
}

/* ---- the commands ----------------------------------------------------------------- */

struct words {
	const char *names[2];
	int count;
	const char *images;
	bool move;
};

/* OK, or it was said why not. */
static int read_words(struct words *words, int most, bool can_move, int count, char **arguments)
{
	*words = (struct words){ .count = 0 };
	for (int i = 0; i < count; i++) {
		if (strcmp(arguments[i], "--images") == 0 && i + 1 < count)
			words->images = arguments[++i];
		else if (can_move && strcmp(arguments[i], "--move") == 0)
			words->move = true;
		else if (arguments[i][0] == '-')
			return ctl_misused(arguments[i], "unknown option, or its value is missing");
		else if (words->count == most)
			return ctl_misused(arguments[i], "one argument too many");
		else
			words->names[words->count++] = arguments[i];
	}
	return words->count == most ? OK : ctl_misused("", most == 2 ? "which board, and which image?" : "which board?");
}

static int open_images(const char *control, const char *given, char **directory)
{
	CLEANUP_FREE char *status = NULL;
	int fd;

	*directory = boards_directory(control, given, &status);
	if (!*directory)
		return -1;
	fd = open(*directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		ctl_fail(*directory, strerror(errno));
	return fd;
}

int command_link(const char *control, int count, char **arguments)
{
	CLEANUP_FREE char *directory = NULL;
	CLEANUP_FD int images_fd = -1;
	struct words words;
	int result = read_words(&words, 2, true, count, arguments);

	if (result != OK)
		return result;
	images_fd = open_images(control, words.images, &directory);
	return images_fd < 0 ? FAILED : make(directory, images_fd, words.names[0], words.names[1], words.move);
}

int command_unlink(const char *control, int count, char **arguments)
{
	CLEANUP_FREE char *directory = NULL;
	CLEANUP_FD int images_fd = -1;
	struct words words;
	int result = read_words(&words, 1, false, count, arguments);

	if (result != OK)
		return result;
	images_fd = open_images(control, words.images, &directory);
	return images_fd < 0 ? FAILED : take_away(images_fd, words.names[0]);
}
