/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/clone_map.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "base/checked.h"

/* All that an extent of a clone may be said to be. */
#define PLAIN (FIEMAP_EXTENT_SHARED | FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED)

bool clone_extent_counts(const struct fiemap_extent *extent)
{
	return (extent->fe_flags & FIEMAP_EXTENT_SHARED) && !(extent->fe_flags & ~(unsigned)PLAIN);
}

static bool follows(const struct clone_run *last, const struct clone_run *run)
{
	return last->physical_bytes == CLONE_HOLE || run->physical_bytes == CLONE_HOLE
		       ? last->physical_bytes == run->physical_bytes
		       : last->physical_bytes + last->length_bytes == run->physical_bytes;
}

/*
 * The next piece, from `at` to `end`; one that goes on where the last one ends, on the disk too, is part of it.
 * False: there is no room.
 */
static bool add_run(struct clone_map *map, const struct cache_range *range, uint64_t at, uint64_t end,
		    uint64_t physical_bytes)
{
	struct clone_run run = { at - range->offset_bytes, physical_bytes, end - at };
	struct clone_run *last = map->count > 0 ? &map->runs[map->count - 1] : NULL;

	if (at == end)
		return true;
	if (last && follows(last, &run)) {
		last->length_bytes += run.length_bytes;
		return true;
	}
	if (map->count == CLONE_RUNS_MAX)
		return false;
	map->runs[map->count++] = run;
	return true;
}

uint64_t clone_map_make(struct clone_map *map, const struct fiemap_extent *extents, size_t count,
			bool complete, const struct cache_range *range, bool *shared)
{
	uint64_t at = range->offset_bytes, range_end = at + range->length_bytes;

	map->count = 0;
	*shared = false;
	for (size_t i = 0; i < count && at < range_end; i++) {
		const struct fiemap_extent *extent = &extents[i];
		uint64_t start = max_u64(at, min_u64(extent->fe_logical, range_end)), end;
		bool counts = clone_extent_counts(extent);

		if (!add_u64(extent->fe_logical, extent->fe_length, &end) || end <= at)
			return 0;
		if (!add_run(map, range, at, start, CLONE_HOLE))
			return at - range->offset_bytes;
		at = start;
		if (at == range_end)
			break;
		if (i > 0 && counts != *shared)
			return at - range->offset_bytes;
		*shared = counts;
		end = min_u64(end, range_end);
		if (!add_run(map, range, at, end, extent->fe_physical + (at - extent->fe_logical)))
			return at - range->offset_bytes;
		at = end;
	}
	if (complete && add_run(map, range, at, range_end, CLONE_HOLE))
		at = range_end;
	return at - range->offset_bytes;
}

const struct clone_run *clone_map_first(const struct clone_map *map)
{
	for (size_t i = 0; i < map->count; i++)
		if (map->runs[i].physical_bytes != CLONE_HOLE)
			return &map->runs[i];
	return NULL;
}

bool clone_map_equal(const struct clone_map *a, const struct clone_map *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->runs[i].offset_bytes != b->runs[i].offset_bytes ||
		    a->runs[i].physical_bytes != b->runs[i].physical_bytes ||
		    a->runs[i].length_bytes != b->runs[i].length_bytes)
			return false;
	return true;
}

/* ---- what the kernel says ------------------------------------------------------ */

#define EXTENTS_MAX 128

union question {
	struct fiemap map;
	unsigned char room[sizeof(struct fiemap) + EXTENTS_MAX * sizeof(struct fiemap_extent)];
};

static bool ask(union question *question, int fd, uint64_t offset_bytes, uint64_t length_bytes)
{
	question->map = (struct fiemap){
		.fm_start = offset_bytes,
		.fm_length = length_bytes,
		.fm_flags = FIEMAP_FLAG_SYNC,
		.fm_extent_count = EXTENTS_MAX,
	};
	return ioctl(fd, FS_IOC_FIEMAP, &question->map) == 0;
}

uint64_t clone_map_read(struct clone_map *map, int fd, const struct cache_range *range, bool *shared)
{
	union question question;
	size_t count;

	if (!ask(&question, fd, range->offset_bytes, range->length_bytes))
		return 0;
	/* Behind the last one that there is room for may be more, and not a hole. */
	count = question.map.fm_mapped_extents;
	return clone_map_make(map, question.map.fm_extents, count, count < EXTENTS_MAX, range, shared);
}

bool clone_map_shares_any(int fd)
{
	union question question;

	if (!ask(&question, fd, 0, FIEMAP_MAX_OFFSET))
		return false;
	for (size_t i = 0; i < question.map.fm_mapped_extents; i++)
		if (clone_extent_counts(&question.map.fm_extents[i]))
			return true;
	return false;
}
