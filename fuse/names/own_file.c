/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/names/own_file.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/order.h"
#include "base/waits.h"
#include "cache/device/opener.h"
#include "cache/tree/chunk.h"
#include "fuse/names/image_open.h"
#include "fuse/names/own.h"

#define BUCKETS 1024

/* So many that nobody uses are remembered, so that an unchanged file keeps its number (C3). */
#define UNUSED_MAX 1024

struct own_file {
	/* Constant. */
	struct own_files *files;
	uint64_t id;
	struct stat st;
	int64_t met_ns; /* CLOCK_MONOTONIC */

	/* The lock of `files`. */
	char directory[NAME_MAX + 1], name[NAME_MAX + 1]; /* where it was last found */
	unsigned users, opens;
	unsigned char *bytes; /* while it is open; changed by the first open and the last close alone */
	struct chunk_hash hash; /* of its bytes, once they were read */
	bool hashed;
	bool settled; /* they were read when there could be no other change under its times any more */
	bool listed; /* in the table: a lookup finds it */
	struct own_file *next;
	struct order_link by_use; /* of those that are listed and have no users */
	struct order_link by_open; /* of those that have bytes */
};

struct own_files {
	pthread_mutex_t lock; /* for work on the table only: no file is read under it */
	struct own_file *by_inode[BUCKETS];
	struct order unused, open;
	size_t unused_count;
	struct share *memory; /* constant */
	struct share bytes;   /* a part of `memory` */
	int64_t settle_ns;    /* constant */
};

struct own_files *own_files_new(struct share *memory, int64_t settle_ns)
{
	struct own_files *files = calloc(1, sizeof(*files));

	if (!files)
		return NULL;
	pthread_mutex_init(&files->lock, NULL);
	files->memory = memory;
	files->settle_ns = settle_ns;
	files->bytes.limit_bytes = OWN_ALL_BYTES_MAX;
	files->bytes.whole = memory;
	return files;
}

/* ---- which version it is ------------------------------------------------------ */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool same_version(const struct stat *a, const struct stat *b)
{
	return same_file(a, b) && a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
	       same_time(&a->st_ctim, &b->st_ctim);
}

static int64_t since_met(const struct own_file *file)
{
	return clock_now_ns(CLOCK_MONOTONIC) - file->met_ns;
}

/*
 * For how long it is known that the file was not changed: by its ctime, which a clock that was set may have
 * put into the future, or since it was first seen like this.
 */
static int64_t age_ns(const struct own_file *file)
{
	struct timespec now;
	int64_t by_time_ns, since_met_ns = since_met(file);

	clock_gettime(CLOCK_REALTIME, &now);
	/* A ctime of any year, without overflow. */
	if (now.tv_sec - file->st.st_ctim.tv_sec > 3600)
		return INT64_C(3600) * WAIT_S;
	if (now.tv_sec < file->st.st_ctim.tv_sec)
		return since_met_ns;
	by_time_ns = (int64_t)(now.tv_sec - file->st.st_ctim.tv_sec) * WAIT_S + now.tv_nsec - file->st.st_ctim.tv_nsec;
	return by_time_ns > since_met_ns ? by_time_ns : since_met_ns;
}

/* ---- the table; all under the lock -------------------------------------------- */

static struct own_file **bucket_of(struct own_files *files, const struct stat *st)
{
	return &files->by_inode[(st->st_ino ^ st->st_dev) % BUCKETS];
}

static void free_file(struct own_file *file)
{
	share_give(file->files->memory, sizeof(*file));
	free(file);
}

/* No lookup finds it any more. Frees what has no users. */
static void unlist(struct own_file *file)
{
	struct own_files *files = file->files;
	struct own_file **at = bucket_of(files, &file->st);

	if (!file->listed)
		return;
	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
	file->listed = false;
	if (file->users > 0)
		return;
	order_take(&files->unused, &file->by_use);
	files->unused_count--;
	free_file(file);
}

static void use(struct own_file *file)
{
	if (file->users++ > 0)
		return;
	order_take(&file->files->unused, &file->by_use);
	file->files->unused_count--;
}

static struct own_file *make(struct own_files *files, const struct stat *st)
{
	struct own_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	share_count(files->memory, 0, sizeof(*file));
	file->files = files;
	file->id = cache_next_id();
	file->st = *st;
	file->met_ns = clock_now_ns(CLOCK_MONOTONIC);
	file->users = 1;
	file->listed = true;
	file->next = *bucket_of(files, st);
	*bucket_of(files, st) = file;
	return file;
}

/* The version that was found there, a user of it. What was there of that file before is another. */
static struct own_file *meet(struct own_files *files, const char *directory, const char *name, const struct stat *st)
{
	struct own_file *file;

	LOCK_SCOPE(&files->lock);
	for (file = *bucket_of(files, st); file && !same_file(&file->st, st);)
		file = file->next;
	if (file && !same_version(&file->st, st)) {
		unlist(file);
		file = NULL;
	}
	if (file)
		use(file);
	else if (!(file = make(files, st)))
		return NULL;
	snprintf(file->directory, sizeof(file->directory), "%s", directory);
	snprintf(file->name, sizeof(file->name), "%s", name);
	return file;
}

struct own_file *own_file_ref(struct own_file *file)
{
	LOCK_SCOPE(&file->files->lock);
	file->users++;
	return file;
}

void own_file_put(struct own_file *file)
{
	struct own_files *files = file ? file->files : NULL;

	if (!file)
		return;
	LOCK_SCOPE(&files->lock);
	if (--file->users > 0)
		return;
	if (!file->listed) {
		free_file(file);
		return;
	}
	order_add(&files->unused, &file->by_use);
	if (++files->unused_count > UNUSED_MAX)
		unlist(ORDER_OWNER(files->unused.oldest, struct own_file, by_use));
}

/* ---- bytes ------------------------------------------------------------------------ */

/* All of the version, of which `fd` is. -ESTALE: it is another by now; -EIO. */
static int read_all(int fd, const struct own_file *file, unsigned char *bytes)
{
	size_t size_bytes = (size_t)file->st.st_size, done = 0;
	struct stat after;

	while (done < size_bytes) {
		ssize_t got = pread(fd, bytes + done, size_bytes - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return OWN_UNREADABLE;
		if (got == 0)
			return -ESTALE;
		done += (size_t)got;
	}
	if (fstat(fd, &after) != 0)
		return OWN_UNREADABLE;
	return same_version(&file->st, &after) ? 0 : -ESTALE;
}

/*
 * Are the bytes, which were read from `met_ns` after it was met on, what they were when they were last read? Under the
 * lock; -ESTALE: no, and it is not that version. Whatever clock its times are of, it had them when it was met.
 */
static int agree(struct own_file *file, const unsigned char *bytes, int64_t met_ns)
{
	struct chunk_hash hash = chunk_hash_of(bytes, (size_t)file->st.st_size);

	if (file->hashed && memcmp(&hash, &file->hash, sizeof(hash)) != 0) {
		unlist(file);
		return -ESTALE;
	}
	file->hash = hash;
	file->hashed = true;
	file->settled |= met_ns > WAIT_CTIME_LAG_NS;
	return 0;
}

/* Memory for it that is counted. The share is the directory's, so that one board's files do not take all. */
static int take_bytes(struct own_file *file, unsigned char **bytes)
{
	struct own_files *files = file->files;
	uint64_t size_bytes = (uint64_t)file->st.st_size, used_bytes = 0;

	pthread_mutex_lock(&files->lock);
	for (struct order_link *at = files->open.newest; at; at = at->older) {
		const struct own_file *other = ORDER_OWNER(at, struct own_file, by_open);

		if (strcmp(other->directory, file->directory) == 0)
			used_bytes += (uint64_t)other->st.st_size;
	}
	pthread_mutex_unlock(&files->lock);
	if (used_bytes + size_bytes > OWN_DIRECTORY_BYTES_MAX || !share_take(&files->bytes, size_bytes))
		return OWN_TOO_MUCH;
	*bytes = malloc(size_bytes ? size_bytes : 1);
	if (*bytes)
		return 0;
	share_give(&files->bytes, size_bytes);
	return -ENOMEM;
}

static void give_bytes(struct own_file *file, unsigned char *bytes)
{
	if (!bytes)
		return;
	free(bytes);
	share_give(&file->files->bytes, (uint64_t)file->st.st_size);
}

/* A version whose times might hide a change: does it hold what it held? -ESTALE: no. */
static int compare_unsettled(struct own_file *file, int fd)
{
	CLEANUP_FREE unsigned char *bytes = NULL;
	int64_t met_ns = since_met(file);
	bool known;
	int error;

	pthread_mutex_lock(&file->files->lock);
	known = file->settled || !file->hashed;
	pthread_mutex_unlock(&file->files->lock);
	if (known)
		return 0;
	bytes = malloc((size_t)file->st.st_size + 1);
	error = bytes ? read_all(fd, file, bytes) : -ENOMEM;
	if (error != 0)
		return error;
	LOCK_SCOPE(&file->files->lock);
	return agree(file, bytes, met_ns);
}

/* ---- interface ---------------------------------------------------------------------- */

/* The file, to read from, and what it is now. */
static int open_source(struct cache_op *op, const char *directory, const char *name, struct stat *st)
{
	CLEANUP_FD int fd = opener_own(directory, name);

	if (fd == -ENOENT || (fd < 0 && view_shortage(op, fd) == -EINPROGRESS))
		return fd == -ENOENT ? fd : -EINPROGRESS;
	if (fd < 0 || fstat(fd, st) != 0)
		return OWN_UNREADABLE;
	return steal_fd(&fd);
}

int own_files_find(struct own_files *files, struct cache_op *op, const char *directory, const char *name,
		   struct own_file **out)
{
	int error = op->may_block ? -ESTALE : -EAGAIN;

	/* Twice: the second one has not been read yet, so there is nothing to compare. */
	for (int try = 0; try < 2 && error == -ESTALE; try++) {
		struct stat st;
		CLEANUP_FD int fd = open_source(op, directory, name, &st);

		if (fd < 0)
			return fd;
		*out = meet(files, directory, name, &st);
		error = *out ? compare_unsettled(*out, fd) : -ENOMEM;
		if (error != 0)
			own_file_put(*out);
	}
	return error;
}

uint64_t own_file_id(const struct own_file *file)
{
	return file->id;
}

const struct stat *own_file_stat(const struct own_file *file)
{
	return &file->st;
}

/* Under the lock. */
static void opened(struct own_file *file, unsigned char **bytes)
{
	if (file->opens++ > 0)
		return;
	file->bytes = STEAL_POINTER(*bytes);
	order_add(&file->files->open, &file->by_open);
}

static bool join(struct own_file *file)
{
	LOCK_SCOPE(&file->files->lock);
	if (file->opens == 0)
		return false;
	file->opens++;
	return true;
}

static int load(struct own_file *file, int fd)
{
	unsigned char *bytes = NULL;
	int64_t met_ns = since_met(file);
	int error = take_bytes(file, &bytes);

	if (error == 0)
		error = read_all(fd, file, bytes);
	if (error == 0) {
		LOCK_SCOPE(&file->files->lock);
		error = agree(file, bytes, met_ns);
		if (error == 0)
			opened(file, &bytes);
	}
	give_bytes(file, bytes);
	return error;
}

int own_file_open(struct own_file *file, struct cache_op *op)
{
	char directory[NAME_MAX + 1], name[NAME_MAX + 1];
	CLEANUP_FD int fd = -1;
	struct stat st;
	int64_t age;

	if (!op->may_block)
		return -EAGAIN;
	if ((uint64_t)file->st.st_size > OWN_FILE_BYTES_MAX)
		return OWN_TOO_LARGE;
	pthread_mutex_lock(&file->files->lock);
	strcpy(directory, file->directory);
	strcpy(name, file->name);
	pthread_mutex_unlock(&file->files->lock);
	fd = open_source(op, directory, name, &st);
	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	if (!same_version(&file->st, &st))
		return -ESTALE;
	if (join(file))
		return 0;
	age = age_ns(file);
	if (age >= file->files->settle_ns)
		return load(file, fd);
	op->busy = true; /* the image is not being written */
	op->retry_ns = file->files->settle_ns - age;
	op->rule = "own file: changed within the settle time";
	return -EINPROGRESS;
}

void own_file_close(struct own_file *file)
{
	unsigned char *bytes = NULL;

	pthread_mutex_lock(&file->files->lock);
	if (--file->opens == 0) {
		bytes = STEAL_POINTER(file->bytes);
		order_take(&file->files->open, &file->by_open);
	}
	pthread_mutex_unlock(&file->files->lock);
	give_bytes(file, bytes);
}

ssize_t own_file_read(struct own_file *file, uint64_t offset_bytes, size_t length_bytes, const unsigned char **data)
{
	uint64_t size_bytes = (uint64_t)file->st.st_size;

	if (!join(file))
		return -ESTALE;
	if (offset_bytes >= size_bytes)
		return 0;
	*data = file->bytes + offset_bytes;
	return (ssize_t)min_u64(length_bytes, size_bytes - offset_bytes);
}
