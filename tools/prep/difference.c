/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/difference.h"

#include <stdlib.h>

#include "base/cleanup.h"

#define PIECE_BYTES ((uint64_t)1 << 20)

struct found {
	struct journal_record *list;
	size_t count, room;
};

static int add(struct found *found, uint64_t offset_bytes, bool placed)
{
	struct journal_record *last = found->count > 0 ? &found->list[found->count - 1] : NULL;

	if (last && last->placed == placed && last->offset_bytes + last->length_bytes == offset_bytes &&
	    last->length_bytes < JOURNAL_RECORD_BYTES_MAX) {
		last->length_bytes += JOURNAL_SECTOR_BYTES;
		return 0;
	}
	if (found->count == found->room) {
		size_t room = found->room ? 2 * found->room : 64;
		struct journal_record *list = reallocarray(found->list, room, sizeof(*list));

		if (!list)
			return -ENOMEM;
		found->list = list;
		found->room = room;
	}
	found->list[found->count++] = (struct journal_record){ offset_bytes, JOURNAL_SECTOR_BYTES, placed };
	return 0;
}

static int compare(struct found *found, const char *old, const char *new, uint64_t length, uint64_t at_bytes,
		   bool placed)
{
	int error = 0;

	if (memcmp(old, new, (size_t)length) == 0)
		return 0;
	for (uint64_t at = 0; at < length && error == 0; at += JOURNAL_SECTOR_BYTES)
		if (memcmp(old + at, new + at, JOURNAL_SECTOR_BYTES) != 0)
			error = add(found, at_bytes + at, placed);
	return error;
}

int difference_find(struct source *image, struct source *copy, const struct clusters *before,
		    const struct clusters *after, uint64_t base_bytes, struct journal_record **records,
		    size_t *count)
{
	uint64_t length_bytes =
		round_down_u64(min_u64(image->size_bytes, copy->size_bytes), JOURNAL_SECTOR_BYTES);
	CLEANUP_FREE char *old = malloc(PIECE_BYTES), *new = malloc(PIECE_BYTES);
	struct found found = { 0 };
	int error = old && new ? 0 : -ENOMEM;

	/* Each turn goes on further on: both ends are behind `at`. */
	for (uint64_t at = 0, end; at < length_bytes && error == 0; at = end) {
		uint64_t end_before, end_after;
		bool used_before = clusters_used_at(before, at, &end_before);
		bool used_after = clusters_used_at(after, at, &end_after);

		end = min_u64(min_u64(end_before, end_after), length_bytes);
		if (!used_after)
			continue;
		end = min_u64(end, at + PIECE_BYTES);
		error = source_read(image, at, old, (size_t)(end - at));
		if (error == 0)
			error = source_read(copy, at, new, (size_t)(end - at));
		if (error == 0)
			error = compare(&found, old, new, end - at, base_bytes + at, !used_before);
	}
	if (error != 0) {
		free(found.list);
		found = (struct found){ 0 };
	}
	*records = found.list;
	*count = found.count;
	return error;
}
