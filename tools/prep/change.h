/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change: files of one FAT partition of an image are replaced, made, moved or removed,
 * and the image has either all of it or nothing of it, also when this process is killed.
 *
 *	struct change *change;
 *	int error = change_begin(&change, "jammy.img", 0, 0);
 *
 *	if (error == 0)
 *		error = change_put_text(change, "config.txt", text, length);
 *	if (error == 0)
 *		error = change_commit(change);
 *	if (error != 0)
 *		fprintf(stderr, "%s\n", change_problem(change));
 *	change_end(change);
 *
 * How. change_begin copies the partition to a temporary file without a name. Everything up to
 * change_commit is done to that copy, by mtools. change_commit lets fsck.fat and our own
 * reader judge the copy, and compares it with the image. What differs is brought over in
 * two stages:
 *
 *  1. Bytes of clusters that are free by the image's own FAT are written to their place and made
 *     durable. No name leads to them, so the image means what it meant before.
 *  2. The rest (FATs, directories, and clusters that were in use) is written to a
 *     journal beside the image (journal.h), which is made durable, then to its place; then the
 *     journal is removed. Killed before the journal has its name, the old version is
 *     there; after that, the next change_begin (or journal_finish) completes the new one.
 *
 * SIGINT, SIGTERM, SIGHUP and SIGQUIT wait while stage 2 runs.
 *
 * Paths on the volume are UTF-8 with '/', with or without a leading one. They are found as Linux
 * vfat finds them: ASCII case does not matter, trailing dots are dropped, short names count. What
 * is replaced keeps the spelling of its name. Times of what is written are UTC.
 *
 * One thread. Not for an image that somebody writes to: see CHANGE_FORCE.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct change;

enum change_flags {
	/* Also while somebody else has it open for writing: two writers who do not know of each other. */
	CHANGE_FORCE = 1,
	/* The image has a temporary name that nobody else knows: no journal, no look at who has it open.
	   After an error, or killed, its caller throws it away. What change_commit wrote is not durable. */
	CHANGE_NEW = 2,
};

/*
 * Begin a change of partition `partition_number` of the image (regular file or block device); 0 is the
 * boot partition, by content, as imagefs chooses it (or the image itself, if it is one FAT). A journal that
 * is left of an interrupted change is finished first (change_notice). *change is NULL after -ENOMEM only, so
 * that change_problem says what was wrong after any other error; the caller ends it with change_end always.
 * Errors, of this and of the others:
 *   -EBUSY    somebody has the image open for writing, or is changing it just now
 *   -EACCES   it cannot be known whether somebody has: it is another user's
 *   -ENODATA  neither a partition table nor a FAT
 *   -ENOENT   no such partition, file, or program (mtools, fsck.fat)
 *   -EUCLEAN  the FAT has errors already
 *   -ENOSPC   on the volume, or where the copy or the journal is
 *   -EIO, -ENOMEM, and what the system calls say
 */
int change_begin(struct change **change, const char *image_path, unsigned partition_number, unsigned flags);

/* What an interrupted change, which change_begin finished, has left to say; NULL: there was none. Lives as
 * long as the change. */
const char *change_notice(const struct change *change);

/* A sentence for people on the last error of this change; never NULL. Lives until the next call. */
const char *change_problem(const struct change *change);

/* ---- looking -------------------------------------------------------------- */

enum change_kind { CHANGE_NOTHING, CHANGE_FILE, CHANGE_DIRECTORY };

/* What is at `path` now, what was done by this change included; *kind is CHANGE_NOTHING if there is none. */
int change_look(struct change *change, const char *path, enum change_kind *kind);

/*
 * All of a file as text, with a NUL behind it that is not counted; *text is for the caller to free. -ENOENT,
 * -EISDIR, -EFBIG (over 64 MiB).
 */
int change_get(struct change *change, const char *path, char **text, size_t *length_bytes);

/* ---- changing the copy ---------------------------------------------------- */

/*
 * Make or replace a file: by what can be read from `fd`, from where it stands to the end; by what the local
 * file has; by text. -ENOENT: its directory is not there. -EISDIR: a directory has that name. -EINVAL: FAT
 * cannot have such a name.
 */
int change_put_fd(struct change *change, int fd, const char *path);
int change_put(struct change *change, const char *local_path, const char *path);
int change_put_text(struct change *change, const char *path, const void *text, size_t length_bytes);

/* -ENOENT; -EISDIR: a directory, and not `recursive`. */
int change_remove(struct change *change, const char *path, bool recursive);

/* -EEXIST, or with `parents` 0 if there is a directory; missing ones above are made as well then. */
int change_mkdir(struct change *change, const char *path, bool parents);

/*
 * Give a file or directory the name `to`, in whatever directory. A file of that name is replaced by
 * a file. -EEXIST: a directory has that name, or would replace a file; -EINVAL: a directory into itself.
 */
int change_move(struct change *change, const char *from, const char *to);

/* ---- the end -------------------------------------------------------------- */

/* Bring it into the image: all of it, and durable, or nothing. Once. 0 as well when nothing differs. */
int change_commit(struct change *change);

/* Without change_commit nothing has happened. NULL is fine. */
void change_end(struct change *change);
