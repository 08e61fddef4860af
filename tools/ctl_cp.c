/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cp: files into an image, all or none; or out of it (ctl_cp_out.c).
 */
#include "tools/ctl_cp.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/temporary.h"
#include "tools/ctl.h"
#include "tools/ctl_look.h"
#include "tools/prep/copy.h"

/* What is copied into. */
struct into {
	const char *control;
	struct change *change;
	const char *path;  /* on the volume, as it was given */
	bool is_directory; /* there already */
	bool recursive;
};

static int say_change(const struct into *into, int error)
{
	return error == 0 ? OK : ctl_fail("", change_problem(into->change));
}

/* ---- one file ------------------------------------------------------------- */

static int put_stream(const struct into *into)
{
	if (into->is_directory)
		return ctl_misused("-", "which name shall it have in that directory?");
	return say_change(into, change_put_fd(into->change, STDIN_FILENO, into->path));
}

/* From another image, or this one: through our reader, by way of a temporary file. */
static int put_from_image(const struct into *into, const struct place *source, const char *to)
{
	CLEANUP_FD int fd = temporary_file(temporary_directory());
	int result = fd < 0 ? ctl_fail(temporary_directory(), strerror(-fd)) : OK;
	FILE *file = fd < 0 ? NULL : fdopen(dup(fd), "w");
	struct look look;

	if (result != OK || !file)
		return result != OK ? result : ctl_fail(source->path, strerror(errno));
	result = look_open(&look, into->control, source->image);
	if (result == OK)
		result = look_copy(&look, source->path, file);
	look_close(&look);
	if (fclose(file) != 0 && result == OK)
		result = ctl_fail(temporary_directory(), strerror(errno));
	if (result == OK && lseek(fd, 0, SEEK_SET) != 0)
		result = ctl_fail(source->path, strerror(errno));
	return result == OK ? say_change(into, change_put_fd(into->change, fd, to)) : result;
}

/* ---- trees ---------------------------------------------------------------- */

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* FAT has no links: what they lead to is copied. */
static int put_entry(const struct into *into, const FTSENT *entry, const char *to)
{
	switch (entry->fts_info) {
	case FTS_D:
		return say_change(into, change_mkdir(into->change, to, true));
	case FTS_DP:
		return OK;
	case FTS_F:
		return say_change(into, change_put(into->change, entry->fts_accpath, to));
	case FTS_DC:
		return ctl_fail(entry->fts_path, "is a link to a directory that it is in");
	case FTS_SLNONE:
		return ctl_fail(entry->fts_path, "is a link that leads nowhere");
	case FTS_DEFAULT:
		return ctl_fail(entry->fts_path, "is neither a file nor a directory");
	default:
		return ctl_fail(entry->fts_path, strerror(entry->fts_errno));
	}
}

static int put_tree(const struct into *into, char *from, const char *to)
{
	char *roots[] = { from, NULL };
	FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	size_t length = strlen(from);
	int result = tree ? OK : ctl_fail(from, strerror(errno));

	/* Ends with the tree, in which fts finds circles. */
	for (const FTSENT *entry; result == OK && (errno = 0, entry = fts_read(tree));) {
		const char *rest = entry->fts_path + length;
		CLEANUP_FREE char *target = path_join(to, rest + strspn(rest, "/"));

		result = target ? put_entry(into, entry, target) : ctl_fail(from, strerror(ENOMEM));
	}
	if (result == OK && errno != 0)
		result = ctl_fail(from, strerror(errno));
	if (tree)
		fts_close(tree);
	return result;
}

/* ---- into an image -------------------------------------------------------- */

static int put_local(const struct into *into, char *from, const char *to)
{
	struct stat st;

	if (stat(from, &st) != 0)
		return ctl_fail(from, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return say_change(into, change_put(into->change, from, to));
	if (!into->recursive)
		return ctl_fail(from, "is a directory: it is copied with -r");
	return put_tree(into, from, to);
}

/* "cp -r . IMAGE:" means what is in the directory: it has no name of its own. */
static int put(const struct into *into, const struct place *source)
{
	CLEANUP_FREE char *name = NULL, *to = NULL;

	if (source->is_stream)
		return put_stream(into);
	name = place_last_name(source->path);
	if (!name)
		return ctl_fail(source->path, strerror(ENOMEM));
	if (into->is_directory && *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		to = path_join(into->path, name);
	else
		to = strdup(into->path);
	if (!to)
		return ctl_fail(source->path, strerror(ENOMEM));
	return source->is_image ? put_from_image(into, source, to) : put_local(into, source->path, to);
}

static int see_target(struct into *into, const struct places *places)
{
	const struct place *target = &places->list[places->count - 1];
	enum change_kind kind;
	int error = change_look(into->change, target->path, &kind);

	if (error != 0)
		return say_change(into, error);
	into->is_directory = kind == CHANGE_DIRECTORY;
	if (!into->is_directory && places->count > 2)
		return ctl_fail(target->path, "is no directory, and there are several files");
	/* As cp(1): "cp -r tree new/" makes it, "cp file new/" does not. */
	if (kind == CHANGE_FILE && place_is_directory(target))
		return ctl_fail(target->path, strerror(ENOTDIR));
	if (kind == CHANGE_NOTHING && place_is_directory(target) && !into->recursive)
		return ctl_fail(target->path, strerror(ENOENT));
	return OK;
}

static int cp_into(const char *control, const struct places *places, const struct change_options *options)
{
	const struct place *target = &places->list[places->count - 1];
	struct into into = { .control = control, .path = target->path, .recursive = options->recursive };
	int result = change_open(control, target, options, &into.change);

	if (result == OK)
		result = see_target(&into, places);
	for (size_t i = 0; i + 1 < places->count && result == OK; i++)
		result = put(&into, &places->list[i]);
	if (result == OK)
		return change_finish(into.change, 0);
	change_end(into.change);
	return result;
}

/* ---- the command line ----------------------------------------------------- */

static int cp(const char *control, const struct places *places, const struct change_options *options)
{
	size_t images = 0, streams = 0;

	if (places->count < 2)
		return ctl_misused("cp", places->count == 0 ? "from where, to where?" : "to where?");
	for (size_t i = 0; i + 1 < places->count; i++) {
		images += places->list[i].is_image;
		streams += places->list[i].is_stream;
	}
	if (streams > 1 || (streams == 1 && places->count > 2))
		return ctl_misused("-", "standard input is the only source then");
	if (places->list[places->count - 1].is_image)
		return cp_into(control, places, options);
	if (images + 1 == places->count)
		return cp_out(control, places, options->recursive);
	return ctl_misused(
		places->list[places->count - 1].path,
		"neither source nor destination is in an image (that is IMAGE:PATH, without ./ before it)");
}

int command_cp(const char *control, int count, char **arguments)
{
	struct change_options options;
	struct places places;
	int result = change_arguments_read("cp", "r", count, arguments, &options, &places);

	if (result == OK)
		result = cp(control, &places, &options);
	places_free(&places);
	return result;
}
