/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* boards: the links of SOURCE, and where each leads, as the mount has it. No image is opened here. */
#include "tools/ctl_boards.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/archive.h"
#include "base/cleanup.h"
#include "cache/tree/cache.h"
#include "tools/ctl.h"
#include "tools/ctl_image.h"
#include "tools/prep/link.h"

#define LINKS_MAX 8 /* links that lead to links: no further than this, as in the mount */

/* ---- the directory ------------------------------------------------------------ */

static bool is_same_directory(const char *a, const char *b)
{
	struct stat left, right;

	return stat(a, &left) == 0 && stat(b, &right) == 0 && left.st_dev == right.st_dev && left.st_ino == right.st_ino;
}

static void free_sources(char *sources[CONTROL_SOURCES_MAX], size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(sources[i]);
}

static char *directory_of(const char *control)
{
	char *sources[CONTROL_SOURCES_MAX], *directory = NULL;
	size_t count = control_sources(control, sources);
	struct stat st;

	if (count == 0)
		ctl_fail("", "it has no status.json that says where the images are: --images DIR");
	else if (stat(sources[0], &st) != 0)
		ctl_fail(sources[0], strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		ctl_fail(sources[0], "is one image, and has no boards");
	else
		directory = strdup(sources[0]);
	free_sources(sources, count);
	return directory;
}

/* The only imagefs that runs, if it is that directory's: silently. */
static char *control_of(const char *directory)
{
	char *sources[CONTROL_SOURCES_MAX];
	size_t count = control_sources(NULL, sources);
	bool same = count == 1 && is_same_directory(sources[0], directory);

	free_sources(sources, count);
	return same ? control_find() : NULL;
}

char *boards_directory(const char *control, const char *given, char **status)
{
	struct stat st;

	if (!given) {
		*status = control ? strdup(control) : control_find();
		return *status && control_check(*status) == OK ? directory_of(*status) : NULL;
	}
	*status = control ? strdup(control) : control_of(given);
	if (stat(given, &st) != 0 || !S_ISDIR(st.st_mode)) {
		ctl_fail(given, errno == ENOENT ? strerror(errno) : "is no directory");
		return NULL;
	}
	return strdup(given);
}

/* ---- words -------------------------------------------------------------------- */

void board_complain(struct boards *boards, struct board *board, const char *format, ...)
{
	char **list = reallocarray(board->problems, board->problem_count + 1, sizeof(*list));
	va_list arguments;
	int length;

	if (list)
		board->problems = list;
	va_start(arguments, format);
	length = list ? vasprintf(&list[board->problem_count], format, arguments) : -1;
	va_end(arguments);
	if (length < 0)
		boards->no_memory = true;
	else
		board->problem_count++;
}

char *boards_span(double seconds)
{
	char *text;
	int length;

	if (seconds < 120)
		length = asprintf(&text, "%d s", seconds < 1 ? 1 : (int)seconds);
	else if (seconds < 2 * 3600)
		length = asprintf(&text, "%d min", (int)(seconds / 60));
	else
		length = asprintf(&text, "%d h", (int)(seconds / 3600));
	return length < 0 ? NULL : text;
}

/* ---- one link ------------------------------------------------------------------- */

static bool is_image_name(const char *name)
{
	size_t length = strlen(name);

	return length > 4 && (strcmp(name + length - 4, ".img") == 0 || strcmp(name + length - 4, ".raw") == 0);
}

/* The image's name in the mount, from the file that was found. For the caller to free. */
static char *shown_name(const char *path)
{
	const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	return strndup(file, strlen(file) - (is_image_name(file) ? 4 : 0));
}

/* The text of the link, without what says that it is this directory. "": it is no link. */
static const char *read_text(const struct boards *boards, const char *name, char text[PATH_MAX])
{
	CLEANUP_FREE char *path = NULL;
	ssize_t length = -1;
	size_t prefix = strlen(boards->directory);

	if (asprintf(&path, "%s/%s", boards->directory, name) >= 0)
		length = readlink(path, text, PATH_MAX - 1);
	text[length > 0 ? length : 0] = '\0';
	if (strncmp(text, boards->directory, prefix) == 0 && text[prefix] == '/' && !strchr(text + prefix + 1, '/'))
		return text + prefix + 1;
	return strncmp(text, "./", 2) == 0 && !strchr(text + 2, '/') ? text + 2 : text;
}

/* What stands there; 0: nothing. */
static mode_t mode_of(const struct boards *boards, const char *name, bool follow)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", boards->directory, name) < 0)
		return 0;
	return (follow ? stat(path, &st) : lstat(path, &st)) == 0 ? st.st_mode : 0;
}

/* `bootcode.bin -> jammy/bootcode.bin`: a file of an image, for a Pi 3; no board. */
static bool is_of_a_file(const struct boards *boards, const char *text)
{
	CLEANUP_FREE char *first = strndup(text, strcspn(text, "/"));
	char path[PATH_MAX];
	unsigned partition;
	struct stat st;

	return first && *first && text[strlen(first)] && image_find_in(boards->directory, first, path, &partition, &st);
}

/* False: it is none. */
static bool complain_of_archive(struct boards *boards, struct board *board, const char *file)
{
	CLEANUP_FREE char *path = NULL, *text = NULL;

	if (asprintf(&path, "%s%s%s", *file == '/' ? "" : boards->directory, *file == '/' ? "" : "/", file) >=
	    0)
		text = image_archive(path, boards->directory);
	if (text)
		board_complain(boards, board, "leads to %s, which %s", file, text);
	else if (archive_is_named(file))
		board_complain(boards, board, "leads to %s, by its name an archive: unpack it", file);
	return text || archive_is_named(file);
}

/* A link that leads to no image: why. Nothing, where it is a directory with a tree of its own. */
static void complain_of_link(struct boards *boards, struct board *board)
{
	char name[PATH_MAX], text[PATH_MAX];

	snprintf(name, sizeof(name), "%s", board->name);
	for (int i = 0; i < LINKS_MAX; i++) {
		const char *next = read_text(boards, name, text);
		mode_t mode;

		/* A tree of this very directory, by its whole path: who follows the link is led there. */
		if (*text == '/' && next != text && S_ISDIR(mode_of(boards, next, true)))
			next = text;
		free(board->text);
		board->text = strdup(next);
		if (complain_of_archive(boards, board, next))
			return;
		if (strchr(next, '/')) { /* the kernel resolves it */
			mode = mode_of(boards, name, true);
			if (mode == 0)
				board_complain(boards, board, "leads to %s, which is not there", next);
			else if (!S_ISDIR(mode))
				board_complain(boards, board, "leads to %s, which is no image", next);
			return;
		}
		mode = mode_of(boards, next, false);
		if (!S_ISLNK(mode)) {
			board_complain(boards, board,
				       S_ISDIR(mode) ? "leads to %s, and directories are not shown: link to it by its whole path" :
				       mode == 0     ? "leads to %s, which is not there" :
						       "leads to %s, which is no image",
				       next);
			return;
		}
		memmove(name, next, strlen(next) + 1);
	}
	board_complain(boards, board, "leads to %s, and on in a circle, or through too many links", board->text);
}

/* The file of the directory that the links to it end at: `stat` followed them without a word. For the caller to free. */
static char *file_of(const struct boards *boards, const char *path)
{
	char name[PATH_MAX], text[PATH_MAX], *file;

	snprintf(name, sizeof(name), "%s", strrchr(path, '/') + 1);
	for (int i = 0; i < LINKS_MAX; i++) {
		const char *next = read_text(boards, name, text);

		if (!*next || strchr(next, '/'))
			break;
		memmove(name, next, strlen(next) + 1);
	}
	return asprintf(&file, "%s/%s", boards->directory, name) < 0 ? NULL : file;
}

/* A Pi asks in one spelling only. */
static void complain_of_name(struct boards *boards, struct board *board)
{
	char name[LINK_NAME_BYTES];
	enum link_kind kind;

	if (link_board(board->name, name, &kind) == 0 && kind != LINK_NAME && strcmp(name, board->name) != 0)
		board_complain(boards, board, "no board asks by that name: the same %s is %s", kind == LINK_MAC ? "MAC" : "serial number",
			       name);
}

static void add_board(struct boards *boards, const char *name, const char *text)
{
	struct board *list = reallocarray(boards->list, boards->count + 1, sizeof(*list)), *board;
	char path[PATH_MAX] = "";
	struct stat st;

	if (!list) {
		boards->no_memory = true;
		return;
	}
	boards->list = list;
	board = &list[boards->count];
	*board = (struct board){ .partition = CACHE_PARTITION_BOOT };
	if (image_find_in(boards->directory, name, path, &board->partition, &st)) {
		board->path = file_of(boards, path);
		board->image = board->path ? shown_name(board->path) : NULL;
		/* `focal -> focal.img` is the image's own name. */
		if (board->image && strcmp(board->image, name) == 0 && mode_of(boards, text, false) != 0) {
			free(board->path);
			free(board->image);
			return;
		}
	}
	board->name = strdup(name);
	board->text = strdup(text);
	boards->count++;
	if (!board->name || !board->text || (*path && !board->image)) {
		boards->no_memory = true;
		return;
	}
	if (!board->path)
		complain_of_link(boards, board);
	complain_of_name(boards, board);
}

/* ---- all of them ------------------------------------------------------------------ */

static void take_name(struct boards *boards, const char *name)
{
	mode_t mode = mode_of(boards, name, false);
	char text[PATH_MAX];

	if (is_image_name(name)) {
		free(boards->only_image);
		boards->only_image = boards->image_count++ == 0 ? shown_name(name) : NULL;
		return;
	}
	if (S_ISLNK(mode)) {
		const char *target = read_text(boards, name, text);

		if (!is_of_a_file(boards, target))
			add_board(boards, name, target);
	}
}

static int compare(const void *a, const void *b)
{
	const struct board *left = a, *right = b;

	return strcmp(left->name, right->name);
}

int boards_find(struct boards *boards, char *directory)
{
	DIR *names = opendir(directory);

	*boards = (struct boards){ .directory = directory };
	if (!names)
		return ctl_fail(directory, strerror(errno));
	for (struct dirent *entry; (entry = readdir(names));)
		if (entry->d_name[0] != '.')
			take_name(boards, entry->d_name);
	closedir(names);
	if (boards->no_memory)
		return ctl_fail(directory, strerror(ENOMEM));
	if (boards->count > 0)
		qsort(boards->list, boards->count, sizeof(*boards->list), compare);
	return OK;
}

void boards_free(struct boards *boards)
{
	for (size_t i = 0; i < boards->count; i++) {
		struct board *board = &boards->list[i];

		for (size_t j = 0; j < board->problem_count; j++)
			free(board->problems[j]);
		free(board->problems);
		free(board->name);
		free(board->text);
		free(board->path);
		free(board->image);
		free(board->root);
		free(board->asked);
	}
	for (size_t i = 0; i < boards->unlinked_count; i++)
		free(boards->unlinked[i].name);
	free(boards->unlinked);
	free(boards->list);
	free(boards->only_image);
	free(boards->directory);
}
