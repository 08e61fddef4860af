/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/device/clone_map.c: what FIEMAP's answers mean. The kernel's own are tried by e2e/r_clones_writes. */
#include <criterion/criterion.h>
#include <linux/fiemap.h>

#include "cache/device/clone_map.h"

#define KIB ((uint64_t)1 << 10)
#define SHARED FIEMAP_EXTENT_SHARED

static struct fiemap_extent extent(uint64_t logical_bytes, uint64_t physical_bytes, uint64_t length_bytes,
				   unsigned flags)
{
	return (struct fiemap_extent){ .fe_logical = logical_bytes,
				       .fe_physical = physical_bytes,
				       .fe_length = length_bytes,
				       .fe_flags = flags };
}

static struct clone_map map;
static bool shared;

/* Of 64 KiB from 1 MiB on. */
static const struct cache_range range = { 1024 * KIB, 64 * KIB };

static uint64_t make(const struct fiemap_extent *extents, size_t count)
{
	return clone_map_make(&map, extents, count, true, &range, &shared);
}

static void expect_run(size_t i, uint64_t offset_bytes, uint64_t physical_bytes, uint64_t length_bytes)
{
	cr_assert_lt(i, map.count);
	cr_expect_eq(map.runs[i].offset_bytes, offset_bytes);
	cr_expect_eq(map.runs[i].physical_bytes, physical_bytes);
	cr_expect_eq(map.runs[i].length_bytes, length_bytes);
}

Test(cache_clone_map, an_extent_is_cut_to_the_range)
{
	struct fiemap_extent one = extent(1000 * KIB, 5000 * KIB, 4096 * KIB, SHARED | FIEMAP_EXTENT_LAST);

	cr_assert_eq(make(&one, 1), range.length_bytes);
	cr_assert(shared);
	cr_assert_eq(map.count, 1);
	expect_run(0, 0, 5024 * KIB, 64 * KIB);
}

Test(cache_clone_map, however_extents_are_cut_the_map_is_the_same)
{
	struct fiemap_extent cut[] = { extent(1020 * KIB, 5020 * KIB, 20 * KIB, SHARED),
				       extent(1040 * KIB, 5040 * KIB, 100 * KIB,
					      SHARED | FIEMAP_EXTENT_MERGED) };
	struct fiemap_extent whole = extent(1024 * KIB, 5024 * KIB, 64 * KIB, SHARED);
	struct clone_map first;

	cr_assert_eq(make(cut, 2), range.length_bytes);
	first = map;
	cr_assert_eq(make(&whole, 1), range.length_bytes);
	cr_assert(clone_map_equal(&first, &map));
}

Test(cache_clone_map, other_blocks_are_another_map)
{
	struct fiemap_extent extents[] = { extent(1024 * KIB, 5000 * KIB, 32 * KIB, SHARED),
					   extent(1056 * KIB, 7000 * KIB, 32 * KIB, SHARED) };
	struct clone_map first;

	cr_assert_eq(make(extents, 2), range.length_bytes);
	first = map;
	cr_assert_eq(map.count, 2);
	/* One block of it is elsewhere; two have changed places; another length. */
	extents[1].fe_physical += 4 * KIB;
	cr_assert_eq(make(extents, 2), range.length_bytes);
	cr_expect(!clone_map_equal(&first, &map));
	extents[0].fe_physical = 7000 * KIB;
	extents[1].fe_physical = 5000 * KIB;
	cr_assert_eq(make(extents, 2), range.length_bytes);
	cr_expect(!clone_map_equal(&first, &map));
	extents[0] = extent(1024 * KIB, 5000 * KIB, 28 * KIB, SHARED);
	extents[1] = extent(1052 * KIB, 7000 * KIB, 36 * KIB, SHARED);
	cr_assert_eq(make(extents, 2), range.length_bytes);
	cr_expect(!clone_map_equal(&first, &map));
	extents[0] = extent(1024 * KIB, 5000 * KIB, 64 * KIB, SHARED);
	cr_assert_eq(make(extents, 1), range.length_bytes);
	cr_expect(!clone_map_equal(&first, &map));
}

Test(cache_clone_map, what_is_not_shared_ends_it)
{
	struct fiemap_extent extents[] = { extent(1024 * KIB, 5000 * KIB, 12 * KIB, SHARED),
					   extent(1036 * KIB, 9000 * KIB, 4 * KIB, 0),
					   extent(1040 * KIB, 5016 * KIB, 48 * KIB, SHARED) };

	cr_assert_eq(make(extents, 3), 12 * KIB);
	cr_expect(shared);
	expect_run(0, 0, 5000 * KIB, 12 * KIB);
	cr_assert_eq(make(extents + 1, 1), range.length_bytes);
	cr_expect(!shared);
	/* And what is shared ends what is not. */
	extents[1].fe_logical = 1024 * KIB;
	extents[1].fe_length = 16 * KIB;
	cr_assert_eq(make(extents + 1, 2), 16 * KIB);
	cr_expect(!shared);
}

Test(cache_clone_map, what_cannot_be_read_as_it_stands_is_not_shared)
{
	static const unsigned bad[] = {
		0,
		FIEMAP_EXTENT_UNKNOWN,
		FIEMAP_EXTENT_DELALLOC,
		FIEMAP_EXTENT_ENCODED,
		FIEMAP_EXTENT_DATA_ENCRYPTED,
		FIEMAP_EXTENT_NOT_ALIGNED,
		FIEMAP_EXTENT_DATA_INLINE,
		FIEMAP_EXTENT_DATA_TAIL,
		FIEMAP_EXTENT_UNWRITTEN,
		0x00008000, /* one that is not known yet */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fiemap_extent one =
			extent(1024 * KIB, 5000 * KIB, 64 * KIB, bad[i] | (i > 0 ? SHARED : 0));

		cr_expect_eq(make(&one, 1), range.length_bytes);
		cr_expect(!shared, "flags %x", one.fe_flags);
	}
}

Test(cache_clone_map, a_hole_is_a_hole_in_both)
{
	struct fiemap_extent extents[] = { extent(1028 * KIB, 5000 * KIB, 4 * KIB, SHARED),
					   extent(1048 * KIB, 5020 * KIB, 8 * KIB, SHARED) };
	struct clone_map first;

	cr_assert_eq(make(extents, 2), range.length_bytes);
	cr_assert(shared);
	cr_assert_eq(map.count, 5);
	expect_run(0, 0, CLONE_HOLE, 4 * KIB);
	expect_run(1, 4 * KIB, 5000 * KIB, 4 * KIB);
	expect_run(2, 8 * KIB, CLONE_HOLE, 16 * KIB);
	expect_run(3, 24 * KIB, 5020 * KIB, 8 * KIB);
	expect_run(4, 32 * KIB, CLONE_HOLE, 32 * KIB);
	cr_expect_eq(clone_map_first(&map), &map.runs[1]);
	first = map;
	/* Blocks where the other has the hole: the same addresses, as it were. */
	extents[0].fe_length = 28 * KIB;
	cr_assert_eq(make(extents, 1), range.length_bytes);
	cr_expect(!clone_map_equal(&first, &map));
}

Test(cache_clone_map, nothing_but_a_hole_is_not_shared)
{
	cr_assert_eq(make(NULL, 0), range.length_bytes);
	cr_expect(!shared);
	cr_expect_null(clone_map_first(&map));
}

Test(cache_clone_map, behind_the_last_that_was_told_nothing_is_known)
{
	struct fiemap_extent one = extent(1024 * KIB, 5000 * KIB, 12 * KIB, SHARED);

	cr_assert_eq(clone_map_make(&map, &one, 1, false, &range, &shared), 12 * KIB);
	cr_expect(shared);
	cr_assert_eq(clone_map_make(&map, &one, 0, false, &range, &shared), 0);
}

Test(cache_clone_map, answers_that_make_no_sense_end_it)
{
	struct fiemap_extent extents[] = { extent(1024 * KIB, 5000 * KIB, 12 * KIB, SHARED),
					   extent(1024 * KIB, 9000 * KIB, 8 * KIB, SHARED) };

	/* Back again; without an end. */
	cr_expect_eq(make(extents, 2), 0);
	extents[1] = extent(1036 * KIB, 9000 * KIB, UINT64_MAX, SHARED);
	cr_expect_eq(make(extents, 2), 0);
}

Test(cache_clone_map, of_many_pieces_there_are_as_many_as_there_is_room)
{
	struct fiemap_extent extents[CLONE_RUNS_MAX + 1];

	for (size_t i = 0; i <= CLONE_RUNS_MAX; i++)
		extents[i] = extent(1024 * KIB + i * 512, 90000 * KIB - i * 4096, 512, SHARED);
	cr_expect_eq(make(extents, CLONE_RUNS_MAX + 1), CLONE_RUNS_MAX * 512);
	cr_expect_eq(map.count, CLONE_RUNS_MAX);
	cr_expect(shared);
}

Test(cache_clone_map, a_part_of_it_is_not_equal)
{
	struct clone_map one = { .count = 1, .runs[0] = { 0, 5000 * KIB, 4 * KIB } }, two = one;

	cr_expect(clone_map_equal(&one, &two));
	two.runs[two.count++] = (struct clone_run){ 4 * KIB, 9000 * KIB, 4 * KIB };
	cr_expect(!clone_map_equal(&one, &two));
	cr_expect(!clone_map_equal(&two, &one));
}
