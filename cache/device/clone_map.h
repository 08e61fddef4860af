/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clone_map: in which blocks of its filesystem a range of a file is, if all of them are shared.
 *
 * Made of what FIEMAP says, with FIEMAP_FLAG_SYNC: without it the kernel goes on saying "shared" of bytes that were
 * written and are on their way to a block of their own. Two maps are equal if the two ranges are the very same blocks,
 * however their extents are cut.
 *
 * An extent counts only if it is there, on the disk, as it would be read (nothing delayed, unwritten, inline, compressed or
 * encrypted), and the filesystem says that more than one file has it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/device/device.h"

struct fiemap_extent;

/* Of a hole, which holds zeros in every file, and costs the disk nothing. */
#define CLONE_HOLE UINT64_MAX

/* More pieces than that are not worth it. */
#define CLONE_RUNS_MAX 32

struct clone_run {
	uint64_t offset_bytes;	 /* from the begin of the range */
	uint64_t physical_bytes; /* on the filesystem; of btrfs in its own space of addresses; or CLONE_HOLE */
	uint64_t length_bytes;
};

/* Runs that follow each other in the range without a gap, and not on the disk. One at least is no hole. */
struct clone_map {
	struct clone_run runs[CLONE_RUNS_MAX];
	size_t count;
};

/*
 * Of the extents, as the kernel gives them: ascending, the first and the last may reach beyond the range (of a file, not
 * empty), and all that is between them is holes; what is behind the last as well, if they are all (`complete`).
 * Returns how much from the begin of the range on is of one kind: all of it is shared, and in the map, or (*shared is
 * false) none of it. Holes are of the kind of what is before or behind them. 0: the extents do not tell.
 */
uint64_t clone_map_make(struct clone_map *map, const struct fiemap_extent *extents, size_t count, bool complete,
			const struct cache_range *range, bool *shared);

/* The first run that is no hole. */
const struct clone_run *clone_map_first(const struct clone_map *map);

bool clone_map_equal(const struct clone_map *a, const struct clone_map *b);

/* Is that extent shared, and one that can be read by anybody who has it? */
bool clone_extent_counts(const struct fiemap_extent *extent);

/*
 * Ask the kernel, of a range of the file behind `fd`. Blocks; what was written to the file is written out first. As
 * above; 0: it does not tell.
 */
uint64_t clone_map_read(struct clone_map *map, int fd, const struct cache_range *range, bool *shared);

/* Does the file share any of its first extents? Of more than it looks at nothing is known. Blocks likewise. */
bool clone_map_shares_any(int fd);
