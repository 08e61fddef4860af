/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/kept.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "cache/device/opener.h"

struct kept_budget {
	_Atomic unsigned references;
	uint64_t limit_bytes;
	const char *directory;
	_Atomic uint64_t memory_bytes;
	_Atomic uint64_t file_bytes;
};

struct kept {
	struct kept_budget *budget;
	_Atomic unsigned references;
	uint64_t size_bytes;
	unsigned char *memory; /* or NULL, and then */
	int fd;		       /* an unlinked temporary file */
	struct kept *next;     /* of a list that its owner makes */
};

struct kept_budget *kept_budget_new(uint64_t memory_bytes, const char *directory)
{
	struct kept_budget *budget = calloc(1, sizeof(*budget));

	if (budget) {
		atomic_store(&budget->references, 1);
		budget->limit_bytes = memory_bytes;
		budget->directory = directory;
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
	if (budget && atomic_fetch_sub(&budget->references, 1) == 1)
		free(budget);
}

void kept_budget_used(struct kept_budget *budget, uint64_t *memory_bytes, uint64_t *file_bytes)
{
	*memory_bytes = atomic_load(&budget->memory_bytes);
	*file_bytes = atomic_load(&budget->file_bytes);
}

/* Take from the budget; false when it would not last. */
static bool reserve(struct kept_budget *budget, uint64_t size_bytes)
{
	uint64_t used = atomic_load(&budget->memory_bytes);

	/* Repeats only while other threads reserve at the same time. */
	do {
		if (!range_within(used, size_bytes, budget->limit_bytes))
			return false;
	} while (!atomic_compare_exchange_weak(&budget->memory_bytes, &used, used + size_bytes));
	return true;
}

int kept_new(struct kept_budget *budget, uint64_t size_bytes, enum kept_place place, struct kept **out)
{
	struct kept *kept = calloc(1, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	atomic_store(&kept->references, 1);
	kept->size_bytes = size_bytes;
	kept->fd = -1;
	if (place != KEPT_IN_FILE && reserve(budget, size_bytes)) {
		kept->memory = malloc(size_bytes ? (size_t)size_bytes : 1);
		if (!kept->memory)
			atomic_fetch_sub(&budget->memory_bytes, size_bytes);
	}
	if (!kept->memory && place != KEPT_IN_MEMORY)
		kept->fd = opener_temporary(budget->directory);
	if (kept->fd >= 0)
		atomic_fetch_add(&budget->file_bytes, size_bytes);
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

void kept_unref(struct kept *kept)
{
	if (!kept || atomic_fetch_sub(&kept->references, 1) != 1)
		return;
	if (kept->memory) {
		free(kept->memory);
		atomic_fetch_sub(&kept->budget->memory_bytes, kept->size_bytes);
	} else {
		close(kept->fd);
		atomic_fetch_sub(&kept->budget->file_bytes, kept->size_bytes);
	}
	kept_budget_unref(kept->budget);
	free(kept);
}

uint64_t kept_size_bytes(const struct kept *kept)
{
	return kept->size_bytes;
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
	if (!kept->memory)
		return move_through_file(kept, offset_bytes, (char *)data, length_bytes, true);
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
