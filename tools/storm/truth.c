/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/truth.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BUFFER_BYTES (1 << 20)

struct truth_entry {
	struct truth_entry *next;
	char *path, *board, *name;
	bool guess, has_size, has_hash;
	uint64_t bytes, absent;
	XXH128_hash_t hash;
};

static int by_path(const void *a, const void *b)
{
	const struct truth_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void entry_free(struct truth_entry *entry)
{
	if (!entry)
		return;
	free(entry->path);
	free(entry->board);
	free(entry->name);
	free(entry);
}

/* The entry of that path, a new one if there is none; NULL: no memory. */
static struct truth_entry *entry_of(struct truth *truth, const struct truth_asked *asked)
{
	struct truth_entry key = { .path = (char *)(uintptr_t)asked->path };
	struct truth_entry **found = tfind(&key, &truth->root, by_path);
	struct truth_entry *entry;

	if (found)
		return *found;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->path = strdup(asked->path);
	entry->board = strdup(asked->board);
	entry->name = strdup(asked->name);
	entry->guess = asked->guess;
	if (!entry->path || !entry->board || !entry->name || !tsearch(entry, &truth->root, by_path)) {
		entry_free(entry);
		return NULL;
	}
	entry->next = truth->first;
	truth->first = entry;
	return entry;
}

/* Of which it is told if its length is another one than before. */
static struct truth_entry *entry_of_length(struct truth *truth, const struct truth_asked *asked, uint64_t bytes,
					   struct figures *figures)
{
	struct truth_entry *entry = entry_of(truth, asked);

	if (entry && entry->has_size && entry->bytes != bytes)
		figures_blame(figures, &figures->differing, asked->path, "another length than before");
	return entry;
}

int truth_take_size(struct truth *truth, const struct truth_asked *asked, uint64_t bytes,
		    struct figures *figures)
{
	struct truth_entry *entry = entry_of_length(truth, asked, bytes, figures);

	if (!entry)
		return -ENOMEM;
	if (!entry->has_size)
		entry->bytes = bytes;
	entry->has_size = true;
	return 0;
}

int truth_take_file(struct truth *truth, const struct truth_asked *asked, XXH128_hash_t hash, uint64_t bytes,
		    struct figures *figures)
{
	struct truth_entry *entry = entry_of_length(truth, asked, bytes, figures);

	if (!entry)
		return -ENOMEM;
	if ((!entry->has_size || entry->bytes == bytes) && entry->has_hash && !XXH128_isEqual(entry->hash, hash))
		figures_blame(figures, &figures->differing, asked->path, "other bytes than before");
	if (!entry->has_hash) {
		entry->hash = hash;
		entry->bytes = bytes;
	}
	entry->has_size = entry->has_hash = true;
	return 0;
}

int truth_take_absent(struct truth *truth, const struct truth_asked *asked)
{
	struct truth_entry *entry = entry_of(truth, asked);

	if (!entry)
		return -ENOMEM;
	entry->absent++;
	return 0;
}

/* ---- the directory -------------------------------------------------------- */

static int hash_fd(int fd, XXH128_hash_t *hash, uint64_t *bytes)
{
	CLEANUP_FREE char *buffer = malloc(BUFFER_BYTES);
	XXH3_state_t *state = XXH3_createState();
	ssize_t got = -1;

	*bytes = 0;
	errno = ENOMEM;
	if (buffer && state) {
		XXH3_128bits_reset(state);
		while ((got = read(fd, buffer, BUFFER_BYTES)) > 0) {
			XXH3_128bits_update(state, buffer, (size_t)got);
			*bytes += (uint64_t)got;
		}
		*hash = XXH3_128bits_digest(state);
	}
	XXH3_freeState(state);
	return got < 0 ? -errno : 0;
}

static bool is_directory(const char *directory, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	struct stat status;

	if (!*name || asprintf(&path, "%s/%s", directory, name) < 0)
		return false;
	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Blames an entry that is not as the file at `path`. 0: there is one; -ENOENT; or -errno, why it cannot be
 * read. */
static int judge_file(const struct truth_entry *entry, const char *path, struct figures *figures)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	XXH128_hash_t hash;
	uint64_t bytes;
	int result;

	if (fd < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (fstat(fd, &status) != 0)
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -ENOENT;
	if (!entry->has_hash) {
		if (entry->has_size && entry->bytes != (uint64_t)status.st_size)
			figures_blame(figures, &figures->differing, entry->path,
				      "another length than it has");
		return 0;
	}
	result = hash_fd(fd, &hash, &bytes);
	if (result != 0)
		return result;
	if (bytes != entry->bytes)
		figures_blame(figures, &figures->differing, entry->path, "another length than it has");
	else if (!XXH128_isEqual(hash, entry->hash))
		figures_blame(figures, &figures->differing, entry->path, "other bytes than it has");
	return 0;
}

static int judge_against(const struct truth_entry *entry, const char *directory, struct figures *figures)
{
	CLEANUP_FREE char *path = NULL;
	bool laid_out = is_directory(directory, entry->board);
	int result;

	if (asprintf(&path, "%s/%s", directory, laid_out ? entry->path : entry->name) < 0)
		return -ENOMEM;
	result = judge_file(entry, path, figures);
	if (result == 0 || result == -ENOENT) {
		bool there = result == 0;

		result = 0;
		if (entry->guess && !laid_out)
			return 0;
		if (there && entry->absent && !entry->has_size)
			figures_blame(figures, &figures->missing, entry->path, "not found, and it is there");
		if (!there && entry->has_size)
			figures_blame(figures, &figures->unexpected, entry->path,
				      "served, and it is not there");
	}
	return result;
}

int truth_judge(struct truth *truth, const char *directory, struct figures *figures)
{
	for (const struct truth_entry *entry = truth->first; entry; entry = entry->next) {
		int result;

		if (entry->absent && entry->has_size)
			figures_blame(figures, &figures->missing, entry->path, "not found, and it was there");
		if (!directory)
			continue;
		result = judge_against(entry, directory, figures);
		if (result != 0)
			return result;
	}
	return 0;
}

static void forget(void *entry)
{
	(void)entry; /* truth_free goes through the list */
}

void truth_free(struct truth *truth)
{
	tdestroy(truth->root, forget);
	while (truth->first) {
		struct truth_entry *entry = truth->first;

		truth->first = entry->next;
		entry_free(entry);
	}
	truth->root = NULL;
}
