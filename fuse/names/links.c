/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * links: how a name in SOURCE, and the target of a link in SOURCE, read in
 * the mount. Text and stat(2) only: no image is opened here.
 */
#include "fuse/names/links.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "cache/device/nbd_uri.h"
#include "cache/device/opener.h"
#include "fuse/names/source.h"
#include "fuse/process/daemon.h"

const char *const view_suffixes[VIEW_SUFFIX_COUNT] = { ".img", ".raw" };

size_t view_shown_length(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < VIEW_SUFFIX_COUNT; i++) {
		size_t suffix = strlen(view_suffixes[i]);

		if (length > suffix && strcmp(name + length - suffix, view_suffixes[i]) == 0)
			return length - suffix;
	}
	return length;
}

bool view_has_suffix(const char *name)
{
	return name[view_shown_length(name)] != '\0';
}

const char *view_partition_suffix(const char *name)
{
	const char *colon = strrchr(name, ':');

	if (colon && colon[1] != '\0' && colon[1 + strspn(colon + 1, "0123456789")] == '\0')
		return colon;
	return name + strlen(name);
}

uint64_t view_share_of(const char *name)
{
	char base[NAME_MAX + 1];

	snprintf(base, sizeof(base), "%.*s", (int)(view_partition_suffix(name) - name), name);
	base[view_shown_length(base)] = '\0';
	return text_hash(base, 0);
}

/* Turn the name of a file of SOURCE, perhaps with a partition, into its name in the mount. */
static void show_name(char *text, const char *name)
{
	char base[NAME_MAX + 1], partition[NAME_MAX + 1];
	const char *end = view_partition_suffix(name);

	snprintf(partition, sizeof(partition), "%s", end);
	snprintf(base, sizeof(base), "%.*s", (int)(end - name), name);
	sprintf(text, "%.*s%s", (int)view_shown_length(base), base, partition);
}

bool view_can_be_shown(const char *name)
{
	return name[0] != '.' && name[0] != '\0';
}

/* ---- links --------------------------------------------------------------- */

int view_read_target(const struct cache_op *op, int dir_fd, const char *file, char *target)
{
	ssize_t length;

	daemon_walk_begin();
	length = readlinkat(dir_fd, file, target, PATH_MAX);
	if (length < 0)
		length = -errno;
	daemon_walk_end();
	if (length < 0) {
		int asked = view_source_ask(op, (int)length);

		return asked == 0 ? opener_readlink(file, target) : asked;
	}
	if (length >= PATH_MAX)
		return -ENAMETOOLONG;
	target[length] = '\0';
	return 0;
}

/*
 * What the link `file` leads to, or (`what`) the directory in its text; that is `path`. To follow a link
 * may wait for another filesystem, even for this one: not on libfuse's threads (S2).
 */
static int stat_followed(const struct cache_op *op, int dir_fd, const char *path, const char *file, enum opener_stat what,
			 struct stat *st)
{
	int error;

	if (!op->may_block)
		return -EAGAIN;
	error = view_source_stat_at(dir_fd, path, 0, st);
	return error == -EACCES ? opener_stat(file, what, st) : error;
}

/*
 * If `target`, the text of the link `file`, names an entry of SOURCE itself, whether it exists or not, *entry is
 * where its last component begins, else NULL. The directory part is compared as
 * the kernel resolves it, so `../images/jammy.img` and absolute paths count. -EAGAIN.
 */
static int entry_of_source(const struct cache_op *op, int dir_fd, const char *file, const char *target,
			   const char **entry)
{
	const char *slash = strrchr(target, '/');
	const char *last = slash ? slash + 1 : target;
	char directory[PATH_MAX];
	struct stat here, there;
	int error;

	*entry = NULL;
	if (*last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || !view_can_be_shown(last))
		return 0;
	if (!slash) {
		*entry = last;
		return 0;
	}
	if (slash == target)
		strcpy(directory, "/");
	else
		snprintf(directory, sizeof(directory), "%.*s", (int)(slash - target), target);
	error = stat_followed(op, dir_fd, directory, file, OPENER_PARENT, &there);
	if (error == -EAGAIN)
		return error;
	if (error == 0 && fstat(dir_fd, &here) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino)
		*entry = last;
	return 0;
}

int view_classify_link(struct cache_op *op, int dir_fd, const char *file, char *text, bool *maybe_image, bool *gone,
		       bool *outside, struct stat *st)
{
	struct stat here;
	const char *last;
	int error = view_read_target(op, dir_fd, file, text);

	*maybe_image = *gone = *outside = false;
	if (error != 0)
		return error;
	*outside = strchr(text, '/') != NULL;
	if (nbd_uri_is_one(text)) {
		error = view_source_lstat(op, dir_fd, file, &here);
		if (error == 0)
			view_remote_stat(text, &here, st);
		*maybe_image = error == 0;
		return error;
	}
	error = entry_of_source(op, dir_fd, file, text, &last);
	if (error != 0)
		return error;
	if (last) {
		struct stat entry;

		/* A subdirectory of SOURCE is not shown; a link to it is mirrored as it is. */
		error = view_source_lstat(op, dir_fd, last, &entry);
		if (error == -EAGAIN || (error == 0 && S_ISDIR(entry.st_mode)))
			return error;
		if (strlen(last) > NAME_MAX)
			return -ENAMETOOLONG;
		show_name(text, last);
		return 0;
	}
	*outside = true; /* "." and a dot file, too */
	error = stat_followed(op, dir_fd, file, file, OPENER_FOLLOWED, st);
	*gone = error == -ENOENT || error == -ENOTDIR;
	if (error != 0)
		return error == -EAGAIN ? error : 0;
	*maybe_image = S_ISREG(st->st_mode) || S_ISBLK(st->st_mode);
	/* A way from the mount to the images themselves is not mirrored (N1). */
	if (fstat(dir_fd, &here) == 0 && here.st_dev == st->st_dev && here.st_ino == st->st_ino)
		return -ENOENT;
	return 0;
}
