/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * change_files: files of the private copy of a change, written by mtools.
 *
 * mtools ends with status 0 on a full volume, and leaves a broken file. So after each step the
 * copy is looked at: is there what should be? If not, the change is broken, and never
 * brought into the image.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/temporary.h"
#include "tools/prep/change.h"
#include "tools/prep/change_state.h"
#include "tools/prep/place.h"
#include "tools/prep/run.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20)
#define PIECE_BYTES ((size_t)1 << 20)
#define TEMPORARY_NAME "IMAGEFS_.$$$"

#define CLEANUP_SPOT CLEANUP(spot_free)

/* ---- looking -------------------------------------------------------------- */

/* As spot_find, and says what is wrong. */
static int find(struct change *change, const char *path, struct spot *spot)
{
	struct file_source file = change->copy.file;
	int error = spot_find(&change->volume, &file.source, path, spot);

	if (error == -EINVAL)
		return change_say(change, error, "%s: %s", path, spot->problem);
	return error == 0 ? 0 : change_say(change, error, "%s: %s", path, strerror(-error));
}

static int find_there(struct change *change, const char *path, struct spot *spot)
{
	int error = find(change, path, spot);

	if (error == 0 && !spot->exists)
		error = change_say(change, -ENOENT, "%s: %s", path, strerror(ENOENT));
	return error;
}

int change_look(struct change *change, const char *path, enum change_kind *kind)
{
	CLEANUP_SPOT struct spot spot = { 0 };
	int error = find(change, path, &spot);

	*kind = CHANGE_NOTHING;
	if (error == -ENOENT || error == -ENOTDIR)
		return 0;
	if (error == 0 && spot.exists)
		*kind = spot.is_directory ? CHANGE_DIRECTORY : CHANGE_FILE;
	return error;
}

int change_get(struct change *change, const char *path, char **text, size_t *length_bytes)
{
	CLEANUP_SPOT struct spot spot = { 0 };
	struct file_source file = change->copy.file;
	struct fat_entry entry;
	int error = find_there(change, path, &spot);

	*text = NULL;
	if (error != 0)
		return error;
	if (spot.is_directory)
		return change_say(change, -EISDIR, "%s: %s", path, strerror(EISDIR));
	if (spot.size_bytes > TEXT_BYTES_MAX)
		return change_say(change, -EFBIG, "%s: %s", path, strerror(EFBIG));
	*text = calloc(1, (size_t)spot.size_bytes + 1);
	if (!*text)
		return change_say(change, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	entry = (struct fat_entry){ .first_cluster = spot.first_cluster, .size_bytes = spot.size_bytes };
	error = fat_file_read(&change->volume, &file.source, &entry, *text, spot.size_bytes);
	if (error != 0) {
		free(*text);
		*text = NULL;
		return change_say(change, error, "%s: %s", path, strerror(-error));
	}
	*length_bytes = spot.size_bytes;
	return 0;
}

/* ---- mtools --------------------------------------------------------------- */

static bool says_full(const char *said)
{
	return said && (strstr(said, "No space") || strstr(said, "No free cluster") ||
			strstr(said, "No directory slots") || strstr(said, "full"));
}

static int fail_step(struct change *change, int error, const char *path, const char *said)
{
	change->broken = error == -EIO && says_full(said) ? -ENOSPC : error;
	return change_say(change, change->broken, "%s: %s%s%s", path, strerror(-change->broken),
			  said ? ": " : "", said ? said : "");
}

/*
 * The code page of short names. With that of ASCII mtools gives all other names a long one; with 437, which
 * Linux reads, it would not where the page has all characters, and the case would be lost. What others made
 * with 437 is found by 437.
 */
#define CODEPAGE_ASCII 367
#define CODEPAGE_LINUX 437

static bool is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

/* What is run: PROGRAM -i COPY [OPTION] FIRST [SECOND]. */
struct step {
	const char *program, *option, *first, *second;
	const char *there; /* what of these is on the volume already */
	int input;
};

/* What it says is kept for later: status 0 means little. */
static int mtools(struct change *change, const struct step *step, const char *path, char **said)
{
	const char *arguments[7] = { step->program, "-i", change->copy.path };
	size_t count = 3;
	int error;

	if (step->option)
		arguments[count++] = step->option;
	arguments[count++] = step->first;
	arguments[count++] = step->second;
	error = run_mtools(arguments, is_ascii(step->there) ? CODEPAGE_ASCII : CODEPAGE_LINUX, step->input,
			   said);
	if (error == -ENOENT)
		return change_say(change, change->broken = error, "%s", *said ? *said : strerror(ENOENT));
	return error == 0 ? 0 : fail_step(change, error, path, *said);
}

/* ---- removing ------------------------------------------------------------- */

static int remove_spot(struct change *change, const struct spot *spot, const char *path)
{
	CLEANUP_SPOT struct spot now = { 0 };
	CLEANUP_FREE char *said = NULL;
	const struct step step = {
		.program = spot->is_directory ? "mdeltree" : "mdel",
		.first = spot->called,
		.there = spot->called,
		.input = RUN_NOTHING,
	};
	int error = mtools(change, &step, path, &said);

	if (error == 0)
		error = find(change, path, &now);
	if (error == 0 && now.exists)
		error = fail_step(change, -EIO, path, said ? said : "mtools did not remove it");
	return error;
}

int change_remove(struct change *change, const char *path, bool recursive)
{
	CLEANUP_SPOT struct spot spot = { 0 };
	int error = find_there(change, path, &spot);

	if (error != 0)
		return error;
	if (!*spot.name)
		return change_say(change, -EBUSY, "%s: it is the root of the partition", path);
	if (spot.is_directory && !recursive)
		return change_say(change, -EISDIR, "%s: %s", path, strerror(EISDIR));
	return remove_spot(change, &spot, path);
}

/* ---- making files --------------------------------------------------------- */

/* How many bytes are to come. `*fd` becomes a file of its own (*spool, for the caller to close) where that is
 * not known of what it is. */
static int know_length(int *fd, int *spool, uint64_t *length_bytes)
{
	CLEANUP_FREE char *buffer = NULL;
	struct stat st;
	off_t at;

	if (fstat(*fd, &st) != 0)
		return -errno;
	at = lseek(*fd, 0, SEEK_CUR);
	if (S_ISREG(st.st_mode) && st.st_size > 0 && at >= 0) {
		*length_bytes = st.st_size > at ? (uint64_t)(st.st_size - at) : 0;
		return 0;
	}
	buffer = malloc(PIECE_BYTES);
	*spool = buffer ? temporary_file(temporary_directory()) : -ENOMEM;
	if (*spool < 0)
		return *spool;
	/* FAT has no longer file than 4 GiB: what is behind that is not waited for. */
	for (*length_bytes = 0; *length_bytes <= UINT32_MAX;) {
		ssize_t got = read(*fd, buffer, PIECE_BYTES);
		int error = got < 0 ? -errno : file_write_all(*spool, *length_bytes, buffer, (size_t)got);

		if (error == -EINTR)
			continue;
		if (error != 0)
			return error;
		if (got == 0)
			break;
		*length_bytes += (uint64_t)got;
	}
	*fd = *spool;
	return 0;
}

/* Would it fit, in the place of what is there? A directory may have to grow besides: mtools says so then. */
static int see_room(struct change *change, const struct spot *spot, uint64_t length_bytes, const char *path)
{
	struct file_source file = change->copy.file;
	uint64_t cluster_bytes = change->volume.cluster_bytes, room;
	struct clusters now;
	int error = clusters_read(&change->volume, &file.source, &now);

	if (error != 0)
		return change_say(change, error, "%s: %s", path, strerror(-error));
	room = now.free_count + (spot->size_bytes + cluster_bytes - 1) / cluster_bytes;
	clusters_free(&now);
	if (length_bytes > UINT32_MAX)
		return change_say(change, -EFBIG, "%s: a file on a FAT is smaller than 4 GiB", path);
	if ((length_bytes + cluster_bytes - 1) / cluster_bytes > room)
		return change_say(
			change, -ENOSPC,
			"%s: there is no space for it on the partition: it has %llu bytes, free are %llu",
			path, (unsigned long long)length_bytes, (unsigned long long)(room * cluster_bytes));
	return 0;
}

/* What is there goes first: its name is kept, its clusters may be needed. */
static int put_spot(struct change *change, const struct spot *spot, int fd, uint64_t length_bytes,
		    const char *path)
{
	CLEANUP_SPOT struct spot now = { 0 };
	CLEANUP_FREE char *called = NULL;
	CLEANUP_FREE char *said = NULL;
	int error = spot->exists ? remove_spot(change, spot, path) : 0;

	if (error == 0 && asprintf(&called, "%s/%s", spot->parent, spot->name) < 0)
		error = change_say(change, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	if (error == 0) {
		const struct step step = { "mcopy", "-Q", "-", called, spot->parent, fd };

		error = mtools(change, &step, path, &said);
	}
	if (error == 0)
		error = find(change, path, &now);
	if (error == 0 && !now.exists)
		error = fail_step(change, -EIO, path,
				  said ? said : "mtools cannot write that name (a longer one it can)");
	if (error == 0 && (now.is_directory || now.size_bytes != length_bytes))
		error = fail_step(change, -EIO, path, said ? said : "mtools did not write all of it");
	return error;
}

int change_put_fd(struct change *change, int fd, const char *path)
{
	CLEANUP_SPOT struct spot spot = { 0 };
	CLEANUP_FD int spool = -1;
	uint64_t length_bytes = 0;
	int error = find(change, path, &spot);

	if (error != 0)
		return error;
	if (spot.is_directory)
		return change_say(change, -EISDIR, "%s: %s", path, strerror(EISDIR));
	error = know_length(&fd, &spool, &length_bytes);
	if (error != 0)
		return change_say(change, error, "what %s is to be: %s", path, strerror(-error));
	error = see_room(change, &spot, length_bytes, path);
	return error == 0 ? put_spot(change, &spot, fd, length_bytes, path) : error;
}

int change_put(struct change *change, const char *local_path, const char *path)
{
	CLEANUP_FD int fd = open(local_path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		return change_say(change, -errno, "%s: %s", local_path, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return change_say(change, -EISDIR, "%s: %s", local_path, strerror(EISDIR));
	return change_put_fd(change, fd, path);
}

int change_put_text(struct change *change, const char *path, const void *text, size_t length_bytes)
{
	CLEANUP_FD int fd = temporary_file(temporary_directory());
	int error = fd < 0 ? fd : file_write_all(fd, 0, text, length_bytes);

	return error == 0 ? change_put_fd(change, fd, path)
			  : change_say(change, error, "%s: %s", path, strerror(-error));
}

/* ---- directories ---------------------------------------------------------- */

static int make_directory(struct change *change, const struct spot *spot, const char *path)
{
	CLEANUP_SPOT struct spot now = { 0 };
	CLEANUP_FREE char *said = NULL;
	const struct step step = { "mmd", NULL, spot->called, NULL, spot->parent, RUN_NOTHING };
	int error = mtools(change, &step, path, &said);

	if (error == 0)
		error = find(change, path, &now);
	if (error == 0 && !now.is_directory)
		error = fail_step(change, -EIO, path,
				  said ? said : "mtools cannot write that name (a longer one it can)");
	return error;
}

static int make_one(struct change *change, const char *path, bool may_exist)
{
	CLEANUP_SPOT struct spot spot = { 0 };
	int error = find(change, path, &spot);

	if (error == 0 && spot.exists)
		return may_exist && spot.is_directory
			       ? 0
			       : change_say(change, -EEXIST, "%s: %s", path, strerror(EEXIST));
	return error == 0 ? make_directory(change, &spot, path) : error;
}

int change_mkdir(struct change *change, const char *path, bool parents)
{
	CLEANUP_FREE char *above = strdup(path);
	int error = above ? 0 : -ENOMEM;

	/* Bounded by the path. */
	for (size_t at = 1; parents && error == 0 && at < strlen(path); at++) {
		if (path[at] != '/')
			continue;
		above[at] = '\0';
		error = make_one(change, above, true);
		above[at] = '/';
	}
	return error == 0 ? make_one(change, path, parents) : error;
}

/* ---- moving --------------------------------------------------------------- */

static int rename_to(struct change *change, const struct spot *from, const char *parent, const char *name,
		     const char *path)
{
	CLEANUP_FREE char *called = NULL;
	CLEANUP_FREE char *said = NULL;

	if (asprintf(&called, "%s/%s", parent, name) < 0)
		return change_say(change, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
	return mtools(change,
		      &(struct step){ "mren", NULL, from->called, called,
				      is_ascii(parent) ? from->called : parent, RUN_NOTHING },
		      path, &said);
}

/* Write the file anew, which `spot` is, as `to`: a name or a spelling that mtools cannot give by renaming. */
static int rewrite(struct change *change, const struct spot *spot, const char *path, const struct spot *to,
		   const char *to_path)
{
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FD int fd = -1;
	size_t length_bytes = 0;
	int error = change_get(change, path, &text, &length_bytes);

	if (error != 0)
		return error;
	fd = temporary_file(temporary_directory());
	error = fd < 0 ? fd : file_write_all(fd, 0, text, length_bytes);
	if (error != 0)
		return change_say(change, error, "%s: %s", path, strerror(-error));
	error = remove_spot(change, spot, path);
	return error == 0 ? put_spot(change, to, fd, length_bytes, to_path) : error;
}

/*
 * mtools renames a short name and leaves the bits that say which case it is shown in: "a.dtb" may become
 * A.DTB. A file is written anew then, which sets them. A directory keeps the wrong case, which no lookup
 * minds.
 */
static int spell(struct change *change, const struct spot *spot, const char *name, const char *path)
{
	struct spot wanted = *spot;

	if (spot->is_directory || strcmp(spot->name, name) == 0 || spot->size_bytes > TEXT_BYTES_MAX)
		return 0;
	wanted.exists = false;
	wanted.name = (char *)name;
	return rewrite(change, spot, path, &wanted, path);
}

/* Another spelling of its own name: mtools takes that for a clash. */
static int respell(struct change *change, const struct spot *spot, const char *to)
{
	CLEANUP_FREE char *name = place_last_name(to);
	CLEANUP_FREE char *between = NULL;
	struct spot temporary = *spot;
	int error;

	if (!name || asprintf(&between, "%s/%s", spot->parent, TEMPORARY_NAME) < 0)
		return change_say(change, -ENOMEM, "%s: %s", to, strerror(ENOMEM));
	spot_cut_dots(name);
	if (strcmp(spot->name, name) == 0)
		return 0;
	if (spot_name_problem(name))
		return change_say(change, -EINVAL, "%s: %s", to, spot_name_problem(name));
	if (!spot->is_directory)
		return spell(change, spot, name, to);
	error = rename_to(change, spot, spot->parent, TEMPORARY_NAME, to);
	temporary.called = between;
	return error == 0 ? rename_to(change, &temporary, spot->parent, name, to) : error;
}

static bool is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static int see_clash(struct change *change, const struct spot *from, const struct spot *to, const char *path)
{
	if (!*from->name)
		return change_say(change, -EBUSY, "%s: it is the root of the partition", path);
	if (from->is_directory && is_below(to->parent, from->called))
		return change_say(change, -EINVAL, "%s: a directory cannot be moved into itself", path);
	if (to->exists && (to->is_directory || from->is_directory))
		return change_say(change, -EEXIST, "%s: %s", path, strerror(EEXIST));
	return 0;
}

int change_move(struct change *change, const char *from_path, const char *to_path)
{
	CLEANUP_SPOT struct spot from = { 0 }, to = { 0 }, now = { 0 };
	int error = find_there(change, from_path, &from);

	if (error == 0)
		error = find(change, to_path, &to);
	if (error != 0)
		return error;
	if (to.exists && strcmp(from.called, to.called) == 0)
		return respell(change, &from, to_path);
	error = see_clash(change, &from, &to, to_path);
	if (error == 0 && to.exists)
		error = remove_spot(change, &to, to_path);
	if (error == 0 && !from.is_directory && !is_ascii(to.name) && from.size_bytes <= TEXT_BYTES_MAX) {
		to.exists = false;
		return rewrite(change, &from, from_path, &to, to_path);
	}
	if (error == 0)
		error = rename_to(change, &from, to.parent, to.name, to_path);
	if (error == 0)
		error = find(change, to_path, &now);
	if (error == 0 &&
	    (!now.exists || now.first_cluster != from.first_cluster || now.size_bytes != from.size_bytes))
		error = fail_step(change, -EIO, to_path, "mtools did not move it");
	return error == 0 ? spell(change, &now, to.name, to_path) : error;
}
