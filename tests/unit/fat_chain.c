/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/chain.c: chains become extents, or -EIO. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "fat_image.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CHAIN(image, ...) \
	fat_image_chain(image, (const uint32_t[]){ __VA_ARGS__ }, COUNT(((const uint32_t[]){ __VA_ARGS__ })))

static const int types[] = { 12, 16, 32 };

static struct fat_image *image_of(int type)
{
	return fat_image_new((struct fat_image_shape){ .type = type, .clusters = type == 16 ? 4085 : 100 });
}

/* The result for a file of so many 512-byte clusters, its extents thrown away. */
static int follow(struct fat_image *image, uint32_t first, uint32_t clusters)
{
	struct fat_extents extents;
	int error = fat_extents_of_file(&image->volume, &image->source, first, clusters * 512, &extents);

	cr_assert(error == 0 ? extents.cluster_count == clusters
			     : extents.list == NULL && extents.count == 0);
	fat_extents_free(&extents);
	return error;
}

Test(fat_chain, runs_are_extents_in_file_order)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);
		struct fat_extents extents;

		CHAIN(image, 10, 11, 12, 40, 41, 9, 8, 50);
		cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 10, 8 * 512, &extents), 0);
		cr_assert_eq(extents.count, 5);
		cr_assert_eq(extents.cluster_count, 8);

		const struct fat_extent expected[] = { { 10, 3 }, { 40, 2 }, { 9, 1 }, { 8, 1 }, { 50, 1 } };

		for (size_t e = 0; e < 5; e++) {
			cr_assert_eq(extents.list[e].first_cluster, expected[e].first_cluster);
			cr_assert_eq(extents.list[e].cluster_count, expected[e].cluster_count);
		}
		fat_extents_free(&extents);
		fat_image_free(image);
	}
}

Test(fat_chain, exactly_the_clusters_of_the_size_are_taken)
{
	struct fat_image *image = image_of(12);
	static const struct {
		uint32_t size, clusters;
	} cases[] = { { 1, 1 }, { 511, 1 }, { 512, 1 }, { 513, 2 }, { 1024, 2 }, { 1025, 3 } };

	CHAIN(image, 10, 11, 12);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct fat_extents extents;

		cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 10, cases[i].size, &extents),
			     0);
		cr_assert_eq(extents.cluster_count, cases[i].clusters);
		fat_extents_free(&extents);
	}
	cr_assert_eq(follow(image, 10, 4), -EIO, "the chain ends before the size");
	fat_image_free(image);
}

Test(fat_chain, an_empty_file_has_no_extents_wherever_it_starts)
{
	struct fat_image *image = image_of(12);

	cr_assert_eq(follow(image, 0, 0), 0);
	cr_assert_eq(follow(image, 10, 0), 0);
	cr_assert_eq(follow(image, 0xFFFFFFFF, 0), 0);
	cr_assert_eq(image->reads, 0);
	fat_image_free(image);
}

Test(fat_chain, a_start_that_is_no_cluster_is_an_error)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);
		uint32_t beyond = image->volume.cluster_count + 2;

		cr_assert_eq(follow(image, 0, 1), -EIO);
		cr_assert_eq(follow(image, 1, 1), -EIO);
		cr_assert_eq(follow(image, beyond, 1), -EIO);
		cr_assert_eq(follow(image, 0xFFFFFFFF, 1), -EIO);
		fat_image_link(image, beyond - 1, 0xFFFFFFFF);
		cr_assert_eq(follow(image, beyond - 1, 1), 0, "the last cluster is one");
		fat_image_free(image);
	}
}

Test(fat_chain, a_chain_that_leads_into_nothing_is_an_error)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);
		const uint32_t bad = fat_image_end_mark(image) - 8;
		const uint32_t wrong[] = { 0, 1, bad, bad - 1, image->volume.cluster_count + 2 };

		for (size_t w = 0; w < COUNT(wrong); w++) {
			CHAIN(image, 10, 11, 12);
			fat_image_link(image, 11, wrong[w]);
			cr_expect_eq(follow(image, 10, 3), -EIO, "FAT%d 0x%x inside", types[i], wrong[w]);
		}
		fat_image_free(image);
	}
}

Test(fat_chain, a_last_cluster_that_is_free_or_bad_is_an_error)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);

		CHAIN(image, 10, 11);
		fat_image_link(image, 11, 0);
		cr_assert_eq(follow(image, 10, 2), -EIO, "being deleted");
		fat_image_link(image, 11, fat_image_end_mark(image) - 8);
		cr_assert_eq(follow(image, 10, 2), -EIO, "bad");
		fat_image_free(image);
	}
}

Test(fat_chain, every_end_mark_ends)
{
	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = image_of(types[i]);

		for (uint32_t less = 0; less < 8; less++) {
			CHAIN(image, 10, 11);
			fat_image_link(image, 11, fat_image_end_mark(image) - less);
			cr_assert_eq(follow(image, 10, 2), 0);
			cr_assert_eq(follow(image, 10, 3), -EIO);
		}
		fat_image_free(image);
	}
}

Test(fat_chain, a_chain_longer_than_the_size_is_accepted)
{
	struct fat_image *image = image_of(16);

	CHAIN(image, 10, 11, 12, 13);
	cr_assert_eq(follow(image, 10, 2), 0);
	/* What comes behind the size is not looked at, be it a loop. */
	fat_image_link(image, 13, 10);
	cr_assert_eq(follow(image, 10, 4), 0);
	cr_assert_eq(follow(image, 10, 5), -EIO);
	fat_image_free(image);
}

Test(fat_chain, a_loop_of_any_shape_is_an_error_at_the_first_cluster_met_twice)
{
	/* Tails of 0-12 clusters, loops of 1-12, at scattered places: each length up to twice round. */
	for (uint32_t tail = 0; tail <= 12; tail++) {
		for (uint32_t loop = 1; loop <= 12; loop++) {
			struct fat_image *image = image_of(12);
			uint32_t length = tail + loop;

			for (uint32_t i = 0; i < length; i++)
				fat_image_link(image, 2 + i * 37 % 97,
					       2 + (i + 1 < length ? i + 1 : tail) * 37 % 97);
			cr_assert_eq(follow(image, 2, length), 0);
			for (uint32_t more = 1; more <= length; more++)
				cr_assert_eq(follow(image, 2, length + more), -EIO, "tail %u loop %u + %u",
					     tail, loop, more);
			fat_image_free(image);
		}
	}
}

Test(fat_chain, a_loop_within_one_run_is_an_error)
{
	struct fat_image *image = image_of(32);

	CHAIN(image, 10, 11, 12, 13, 14);
	fat_image_link(image, 14, 12);
	cr_assert_eq(follow(image, 10, 5), 0);
	cr_assert_eq(follow(image, 10, 6), -EIO);
	cr_assert_eq(follow(image, 10, 7), -EIO);
	fat_image_link(image, 10, 10);
	cr_assert_eq(follow(image, 10, 2), -EIO);
	fat_image_free(image);
}

Test(fat_chain, a_file_larger_than_the_volume_is_refused_without_a_walk)
{
	struct fat_image *image = image_of(12);

	cr_assert_eq(follow(image, 10, 101), -EIO);
	cr_assert_eq(image->reads, 0);
	fat_image_free(image);
}

Test(fat_chain, the_largest_file_of_4_gib_less_one_byte_is_followed)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){
		.type = 32, .clusters = 65536, .sectors_per_cluster = 128, .present_clusters = 1 });
	struct fat_extents extents;
	uint64_t volume_offset, run;
	struct fat_cursor cursor = { 0 };

	for (uint32_t cluster = 2; cluster < 65537; cluster++)
		fat_image_link(image, cluster, cluster + 1);
	fat_image_link(image, 65537, 0x0FFFFFF8);
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 2, 0xFFFFFFFF, &extents), 0);
	cr_assert_eq(extents.count, 1);
	cr_assert_eq(extents.cluster_count, 65536);
	cr_assert(fat_extents_map(&image->volume, &extents, 0xFFFFFFFE, &cursor, &volume_offset, &run));
	cr_assert_eq(volume_offset, image->volume.data_offset_bytes + 0xFFFFFFFE);
	cr_assert_eq(run, 2);
	cr_assert_not(fat_extents_map(&image->volume, &extents, 0x100000000, &cursor, &volume_offset, &run));
	fat_extents_free(&extents);
	fat_image_free(image);
}

Test(fat_chain, more_runs_than_the_limit_are_refused)
{
	const uint32_t runs = (uint32_t)FAT_EXTENTS_MAX;
	struct fat_image *image = fat_image_new(
		(struct fat_image_shape){ .type = 32, .clusters = 2 * runs + 8, .present_clusters = 1 });
	struct fat_extents extents;

	for (uint32_t i = 0; i <= runs; i++)
		fat_image_link(image, 2 + 2 * i, 4 + 2 * i);
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 2, runs * 512, &extents), 0);
	cr_assert_eq(extents.count, runs);
	fat_extents_free(&extents);
	cr_assert_eq(follow(image, 2, runs + 1), -EIO);
	fat_image_free(image);
}

Test(fat_chain, a_contiguous_file_costs_one_read_per_page_of_the_fat)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){
		.type = 32, .clusters = 16390, .sectors_per_cluster = 8, .present_clusters = 1 });
	struct fat_extents extents;

	for (uint32_t cluster = 3; cluster < 16387; cluster++)
		fat_image_link(image, cluster, cluster + 1);
	/* 64 MiB of 4 KiB clusters: entries 3 to 16386, in 17 pages. */
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 3, 16384 * 4096 - 4096, &extents),
		     0);
	cr_assert_eq(image->reads, 17);
	fat_extents_free(&extents);
	fat_image_free(image);
}

Test(fat_chain, a_directory_is_followed_to_its_end_and_not_beyond_the_limit)
{
	struct fat_image *image = image_of(16);
	struct fat_extents extents;

	CHAIN(image, 10, 11, 30);
	cr_assert_eq(fat_extents_of_directory(&image->volume, &image->source, 10, 3, &extents), 0);
	cr_assert_eq(extents.cluster_count, 3);
	cr_assert_eq(extents.count, 2);
	fat_extents_free(&extents);
	cr_assert_eq(fat_extents_of_directory(&image->volume, &image->source, 10, 2, &extents), -EIO);
	cr_assert_null(extents.list);

	const uint32_t wrong[] = { 0, 1, 0xFFF7, 4087, 10, 11, 30 };

	for (size_t i = 0; i < COUNT(wrong); i++) {
		fat_image_link(image, 30, wrong[i]);
		cr_expect_eq(fat_extents_of_directory(&image->volume, &image->source, 10, 4096, &extents),
			     -EIO, "0x%x", wrong[i]);
	}
	cr_assert_eq(fat_extents_of_directory(&image->volume, &image->source, 0, 4096, &extents), -EIO);
	fat_image_free(image);
}

Test(fat_chain, every_byte_of_a_file_is_mapped_to_its_cluster)
{
	struct fat_image *image =
		fat_image_new((struct fat_image_shape){ .type = 12, .sectors_per_cluster = 2 });
	const uint32_t chain[] = { 20, 21, 5, 60, 61, 62, 7 };
	struct fat_extents extents;
	struct fat_cursor cursor = { 0 };
	uint64_t volume_offset, run;

	fat_image_chain(image, chain, COUNT(chain));
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 20, 7 * 1024, &extents), 0);
	for (uint32_t offset = 0; offset < 7 * 1024; offset++) {
		uint32_t i = offset / 1024, after = i;

		while (after + 1 < COUNT(chain) && chain[after + 1] == chain[after] + 1)
			after++;
		cr_assert(fat_extents_map(&image->volume, &extents, offset, &cursor, &volume_offset, &run));
		cr_assert_eq(volume_offset,
			     fat_cluster_offset_bytes(&image->volume, chain[i]) + offset % 1024);
		cr_assert_eq(run, (after + 1) * 1024 - offset);
	}
	cr_assert(fat_extents_map(&image->volume, &extents, 0, &cursor, &volume_offset, &run),
		  "a cursor may go back");
	cr_assert_eq(volume_offset, fat_cluster_offset_bytes(&image->volume, 20));
	cr_assert_not(fat_extents_map(&image->volume, &extents, 7 * 1024, &cursor, &volume_offset, &run));
	cr_assert_not(fat_extents_map(&image->volume, &extents, UINT64_MAX, &cursor, &volume_offset, &run));
	fat_extents_free(&extents);
	cr_assert_not(fat_extents_map(&image->volume, &extents, 0, &cursor, &volume_offset, &run),
		      "nothing is empty");
	fat_image_free(image);
}

Test(fat_chain, extents_are_equal_when_the_chain_is_the_same)
{
	struct fat_image *image = image_of(12);
	struct fat_extents a, b, empty = { 0 }, other_empty = { 0 };

	CHAIN(image, 10, 11, 20);
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 10, 3 * 512, &a), 0);
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 10, 3 * 512, &b), 0);
	cr_assert(fat_extents_equal(&a, &b));
	cr_assert(fat_extents_equal(&empty, &other_empty));
	cr_assert_not(fat_extents_equal(&a, &empty));
	fat_extents_free(&b);
	CHAIN(image, 10, 11, 21);
	cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, 10, 3 * 512, &b), 0);
	cr_assert_not(fat_extents_equal(&a, &b));
	fat_extents_free(&a);
	fat_extents_free(&b);
	fat_image_free(image);
}

Test(fat_chain, an_error_of_the_source_is_passed_on)
{
	struct fat_image *image = image_of(12);

	CHAIN(image, 10, 11);
	image->fail_with = -EAGAIN;
	cr_assert_eq(follow(image, 10, 2), -EAGAIN);
	fat_image_free(image);
}
