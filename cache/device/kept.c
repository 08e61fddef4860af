/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/kept.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/share.h"
#include "base/thread.h"
#include "cache/device/opener.h"

struct kept_budget {
	_Atomic unsigned references;
	struct kept_budget *whole; /* a reference; NULL: it is one */
	struct share memory, file, files;
	const char *directory;
};

struct kept {
	struct kept_budget *budget;
	_Atomic unsigned references;
	uint64_t size_bytes;
	unsigned char *memory; /* or NULL, and then */
	int fd;		       /* an unlinked temporary file, */
	uint64_t file_bytes;   /* of which so much was taken from the budget, */
	uint64_t room_bytes;   /* and so much may be */
	struct kept *next;     /* of a list that its owner makes */
};

struct kept_budget *kept_budget_new(const struct kept_amount *limit, const char *directory)
{
	struct kept_budget *budget = calloc(1, sizeof(*budget));

	if (budget) {
		atomic_store(&budget->references, 1);
		budget->memory.limit_bytes = limit->memory_bytes;
		budget->file.limit_bytes = limit->file_bytes;
		budget->files.limit_bytes = limit->files;
		budget->directory = directory;
	}
	return budget;
}

struct kept_budget *kept_budget_share(struct kept_budget *whole, const struct kept_amount *limit)
{
	struct kept_budget *budget = kept_budget_new(limit, whole->directory);

	if (budget) {
		budget->whole = kept_budget_ref(whole);
		budget->memory.whole = &whole->memory;
		budget->file.whole = &whole->file;
		budget->files.whole = &whole->files;
	}
	return budget;
}

struct kept_budget *kept_budget_ref(struct kept_budget *budget)
{
	atomic_fetch_add(&budget->references, 1);
	return budget;
}

void kept_budget_unref(struct kept_budget *budget)
{
	/* A share, and then the whole. */
	while (budget && atomic_fetch_sub(&budget->references, 1) == 1) {
		struct kept_budget *whole = budget->whole;

		free(budget);
		budget = whole;
	}
}

void kept_budget_add(const struct kept_budget *budget, struct kept_amount *used, struct kept_amount *limit)
{
	used->memory_bytes += share_used(&budget->memory);
	used->file_bytes += share_used(&budget->file);
	used->files += share_used(&budget->files);
	limit->memory_bytes += budget->memory.limit_bytes;
	limit->file_bytes += budget->file.limit_bytes;
	limit->files += budget->files.limit_bytes;
}

/* Half of what the file system has left: others want to write there too. */
static uint64_t room_in(int fd)
{
	struct statvfs fs;
	uint64_t bytes;

	return fstatvfs(fd, &fs) == 0 && mul_u64(fs.f_bavail, fs.f_frsize, &bytes) ? bytes / 2 : UINT64_MAX;
}

/* A descriptor, or a negative error. */
static int new_file(struct kept_budget *budget)
{
	int fd;

	if (!share_take(&budget->files, 1))
		return -EMFILE;
	fd = opener_temporary(budget->directory);
	if (fd < 0)
		share_give(&budget->files, 1);
	return fd;
}

int kept_new(struct kept_budget *budget, uint64_t size_bytes, enum kept_place place, struct kept **out)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	atomic_store(&kept->references, 1);
	kept->size_bytes = size_bytes;
	kept->fd = -1;
	if (place != KEPT_IN_FILE && share_take(&budget->memory, size_bytes)) {
		kept->memory = malloc(size_bytes ? (size_t)size_bytes : 1);
		if (!kept->memory)
			share_give(&budget->memory, size_bytes);
	}
	if (!kept->memory && place != KEPT_IN_MEMORY)
		kept->fd = new_file(budget);
	if (kept->fd >= 0)
		kept->room_bytes = room_in(kept->fd);
	if (!kept->memory && kept->fd < 0) {
		free(kept);
		return place == KEPT_IN_MEMORY ? -EAGAIN : -EIO;
	}
	kept->budget = kept_budget_ref(budget);
	*out = kept;
	return 0;
}

struct kept *kept_ref(struct kept *kept)
{
	atomic_fetch_add(&kept->references, 1);
	return kept;
}

static void free_kept(struct kept *kept)
{
	if (kept->memory) {
		free(kept->memory);
		share_give(&kept->budget->memory, kept->size_bytes);
	} else {
		close(kept->fd);
		share_give(&kept->budget->files, 1);
		share_give(&kept->budget->file, kept->file_bytes);
	}
	kept_budget_unref(kept->budget);
	free(kept);
}

/* To give back what is larger takes the kernel milliseconds: nobody's request waits for that. */
#define LARGE_BYTES ((uint64_t)1 << 20)
#define STACK_BYTES ((size_t)64 << 10)

static pthread_mutex_t freeing_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *to_free; /* freeing_lock: a list */
static bool freeing;	     /* freeing_lock: a thread is at it */

static struct kept *next_to_free(void)
{
	LOCK_SCOPE(&freeing_lock);
	struct kept *kept = to_free;

	if (kept)
		to_free = kept->next;
	else
		freeing = false;
	return kept;
}

/* Ends when there is nothing left. */
static void *free_all(void *argument)
{
	struct kept *kept;

	while ((kept = next_to_free()))
		free_kept(kept);
	return argument;
}

/* False: there is no thread to be had. */
static bool free_elsewhere(struct kept *kept)
{
	LOCK_SCOPE(&freeing_lock);
	if (!freeing && thread_start(free_all, NULL, STACK_BYTES) != 0)
		return false;
	freeing = true;
	to_free = kept_put_first(kept, to_free);
	return true;
}

void kept_unref(struct kept *kept)
{
	if (!kept || atomic_fetch_sub(&kept->references, 1) != 1)
		return;
	if (kept->size_bytes <= LARGE_BYTES || !free_elsewhere(kept))
		free_kept(kept);
}

struct kept *kept_put_first(struct kept *kept, struct kept *list)
{
	kept->next = list;
	return kept;
}

struct kept *kept_unref_first(struct kept *list)
{
	struct kept *next = list->next;

	kept_unref(list);
	return next;
}

const unsigned char *kept_memory(const struct kept *kept, uint64_t offset_bytes)
{
	return kept->memory ? kept->memory + offset_bytes : NULL;
}

/* Between `data` and the temporary file. */
static int move_through_file(const struct kept *kept, uint64_t offset_bytes, char *data, size_t length_bytes, bool write)
{
	/* Each turn moves at least one byte, or ends. */
	while (length_bytes > 0) {
		ssize_t done = write ? pwrite(kept->fd, data, length_bytes, (off_t)offset_bytes) :
				       pread(kept->fd, data, length_bytes, (off_t)offset_bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -EIO;
		data += done;
		offset_bytes += (uint64_t)done;
		length_bytes -= (size_t)done;
	}
	return 0;
}

int kept_write(struct kept *kept, uint64_t offset_bytes, const void *data, size_t length_bytes)
{
	if (!range_within(offset_bytes, length_bytes, kept->size_bytes))
		return -EIO;
	if (!kept->memory) {
		if (!range_within(kept->file_bytes, length_bytes, kept->room_bytes) ||
		    !share_take(&kept->budget->file, length_bytes))
			return -EIO;
		kept->file_bytes += length_bytes;
		return move_through_file(kept, offset_bytes, (char *)data, length_bytes, true);
	}
	memcpy(kept->memory + offset_bytes, data, length_bytes);
	return 0;
}

int kept_read(const struct kept *kept, uint64_t offset_bytes, void *buffer, size_t length_bytes)
{
	if (!range_within(offset_bytes, length_bytes, kept->size_bytes))
		return -EIO;
	if (!kept->memory)
		return move_through_file(kept, offset_bytes, buffer, length_bytes, false);
	memcpy(buffer, kept->memory + offset_bytes, length_bytes);
	return 0;
}
