/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cp out of an image: by our reader, so it may be in use. A file gets its name when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/ctl.h"
#include "tools/ctl_cp.h"
#include "tools/ctl_look.h"

/* An image may have a directory in itself: what is copied ends. */
#define DEPTH_MAX 64
#define ENTRIES_MAX 1000000

struct out {
	struct look *look;
	size_t entries;
};

/* ---- one file ------------------------------------------------------------- */

static int fill(const struct out *out, const char *path, int fd, const char *to)
{
	FILE *file = fdopen(fd, "w");
	int result;

	if (!file) {
		close(fd);
		return ctl_fail(to, strerror(errno));
	}
	result = look_copy(out->look, path, file);
	if (fclose(file) != 0 && result == OK)
		result = ctl_fail(to, strerror(errno));
	return result;
}

/* As a file that was opened to be written would have them. */
static mode_t mode_of_new(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return 0666 & ~mask;
}

static int replace(const struct out *out, const char *path, const char *to, const struct stat *old)
{
	const char *slash = strrchr(to, '/');
	char temporary[PATH_MAX];
	int fd, result;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%.*s.imagefs-XXXXXX",
			     slash ? (int)(slash + 1 - to) : 0, to) >= sizeof(temporary))
		return ctl_fail(to, strerror(ENAMETOOLONG));
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return ctl_fail(to, strerror(errno));
	if (fchmod(fd, old ? old->st_mode & 0777 : mode_of_new()) != 0)
		ctl_fail(to, strerror(errno));
	result = fill(out, path, fd, to);
	if (result == OK && rename(temporary, to) != 0)
		result = ctl_fail(to, strerror(errno));
	if (result != OK)
		unlink(temporary);
	return result;
}

static int save_file(const struct out *out, const char *path, const char *to)
{
	CLEANUP_FREE char *real = realpath(to, NULL); /* a link stays one */
	struct stat st;
	int fd;

	if (!real)
		return replace(out, path, to, NULL);
	if (stat(real, &st) != 0)
		return ctl_fail(to, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return ctl_fail(to, strerror(EISDIR));
	if (S_ISREG(st.st_mode))
		return replace(out, path, real, &st);
	fd = open(real, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? ctl_fail(to, strerror(errno)) : fill(out, path, fd, to);
}

/* ---- trees ---------------------------------------------------------------- */

static int save(struct out *out, const char *path, const char *to, bool recursive, int depth);

static int save_entries(struct out *out, const char *path, const char *to,
			const struct cache_listing *listing, int depth)
{
	int result = OK;

	for (size_t i = 0; i < listing->count && result == OK; i++) {
		CLEANUP_FREE char *below = path_join(path, listing->entries[i].name);
		CLEANUP_FREE char *target = path_join(to, listing->entries[i].name);

		if (++out->entries > ENTRIES_MAX)
			return ctl_fail(path, "too many files");
		result = below && target ? save(out, below, target, true, depth + 1)
					 : ctl_fail(path, strerror(ENOMEM));
	}
	return result;
}

static int save_directory(struct out *out, const char *path, const char *to, struct cache_dir *dir, int depth)
{
	struct cache_listing listing;
	struct stat st;
	int error, result;

	if (depth > DEPTH_MAX)
		return ctl_fail(path, "too deep");
	if (mkdir(to, 0777) != 0 && (errno != EEXIST || stat(to, &st) != 0 || !S_ISDIR(st.st_mode)))
		return ctl_fail(to, strerror(errno));
	PATIENTLY(error, cache_dir_list(dir ? dir : out->look->root, &op, &listing));
	if (error != 0)
		return ctl_fail(path, look_reason(out->look, error));
	result = save_entries(out, path, to, &listing, depth);
	cache_listing_free(&listing);
	return result;
}

static int save(struct out *out, const char *path, const char *to, bool recursive, int depth)
{
	struct cache_node node;
	int result, error = look_find(out->look, path, &node);

	if (error != 0)
		return ctl_fail(path, look_reason(out->look, error));
	if (node.kind == CACHE_NODE_FILE)
		result = save_file(out, path, to);
	else if (recursive)
		result = save_directory(out, path, to, node.dir, depth);
	else
		result = ctl_fail(path, "is a directory: it is copied with -r");
	look_put(&node);
	return result;
}

/* ---- out of images -------------------------------------------------------- */

static int save_place(struct out *out, const struct place *source, const struct place *target, bool into,
		      bool recursive)
{
	CLEANUP_FREE char *name = place_last_name(source->path);
	CLEANUP_FREE char *to = !name		? NULL
				: into && *name ? path_join(target->path, name)
						: strdup(target->path);

	if (!to)
		return ctl_fail(source->path, strerror(ENOMEM));
	if (target->is_stream)
		return look_copy(out->look, source->path, stdout);
	return save(out, source->path, to, recursive, 0);
}

int cp_out(const char *control, const struct places *places, bool recursive)
{
	const struct place *target = &places->list[places->count - 1];
	struct stat st;
	bool into = !target->is_stream && stat(target->path, &st) == 0 && S_ISDIR(st.st_mode);
	int result = OK;

	if (!into && places->count > 2)
		return ctl_fail(target->path, "is no directory, and there are several files");
	if (!into && !target->is_stream && place_is_directory(target) && !recursive)
		return ctl_fail(target->path, strerror(ENOTDIR));
	for (size_t i = 0; i + 1 < places->count && result == OK; i++) {
		struct look look;
		struct out out = { .look = &look };

		result = look_open(&look, control, places->list[i].image);
		if (result == OK)
			result = save_place(&out, &places->list[i], target, into, recursive);
		look_close(&look);
	}
	return result;
}
