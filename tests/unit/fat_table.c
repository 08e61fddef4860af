/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/table.c: entries of the FAT, and how it is read. */
#include <criterion/criterion.h>

#include "fat/table.h"
#include "fat_image.h"

static struct fat_link link_of(struct fat_image *image, uint32_t cluster)
{
	struct fat_table table;
	struct fat_link link;

	fat_table_init(&table, &image->volume, &image->source);
	cr_assert_eq(fat_table_read(&table, cluster, &link), 0);
	return link;
}

static void every_entry_is_read_back(struct fat_image_shape shape)
{
	struct fat_image *image = fat_image_new(shape);
	uint32_t count = image->volume.cluster_count;
	struct fat_table table;
	struct fat_link link;

	cr_assert_eq((int)image->volume.type, shape.type);
	/* A permutation, so that each entry has bits of its own. 7919 is prime to all counts used. */
	for (uint64_t i = 0; i < count; i++)
		fat_image_link(image, (uint32_t)(2 + i), (uint32_t)(2 + (i * 7919 + 5) % count));
	fat_table_init(&table, &image->volume, &image->source);
	for (uint64_t i = 0; i < count; i++) {
		cr_assert_eq(fat_table_read(&table, (uint32_t)(2 + i), &link), 0);
		cr_assert_eq(link.kind, FAT_LINK_CLUSTER);
		cr_assert_eq(link.cluster, 2 + (i * 7919 + 5) % count, "cluster %u", (unsigned)(2 + i));
	}
	fat_image_free(image);
}

Test(fat_table, fat12_entries_are_read_across_sectors_and_windows)
{
	/* 6129 bytes of FAT: it crosses 512-byte sectors everywhere, and the 4 KiB grid. */
	every_entry_is_read_back((struct fat_image_shape){ .type = 12, .clusters = 4084 });
	/* One sector more before it, and the entry at the grid is an odd one. */
	every_entry_is_read_back(
		(struct fat_image_shape){ .type = 12, .clusters = 4084, .reserved_sectors = 2 });
	every_entry_is_read_back(
		(struct fat_image_shape){ .type = 12, .clusters = 4084, .reserved_sectors = 3 });
}

Test(fat_table, fat12_reads_its_last_entry_within_the_fat)
{
	for (uint32_t sectors = 1; sectors <= 11; sectors++)
		every_entry_is_read_back((struct fat_image_shape){
			.type = 12, .clusters = 4084, .fat_sectors = sectors, .fat_copies = 1 });
}

Test(fat_table, fat16_and_fat32_entries_are_read)
{
	every_entry_is_read_back((struct fat_image_shape){ .type = 16, .clusters = 20000 });
	every_entry_is_read_back((struct fat_image_shape){ .type = 32, .clusters = 20000 });
	every_entry_is_read_back(
		(struct fat_image_shape){ .type = 32, .clusters = 17, .sector_bytes = 4096 });
}

Test(fat_table, kinds_of_links_are_told_apart)
{
	static const struct {
		int type;
		uint32_t clusters, value;
		enum fat_link_kind kind;
	} cases[] = {
		{ 12, 100, 0, FAT_LINK_FREE },		 { 12, 100, 1, FAT_LINK_INVALID },
		{ 12, 100, 2, FAT_LINK_CLUSTER },	 { 12, 100, 101, FAT_LINK_CLUSTER },
		{ 12, 100, 102, FAT_LINK_INVALID },	 { 12, 100, 0xFF6, FAT_LINK_INVALID },
		{ 12, 100, 0xFF7, FAT_LINK_BAD },	 { 12, 100, 0xFF8, FAT_LINK_END },
		{ 12, 100, 0xFFF, FAT_LINK_END },	 { 12, 4084, 0xFF5, FAT_LINK_CLUSTER },
		{ 16, 5000, 0, FAT_LINK_FREE },		 { 16, 5000, 1, FAT_LINK_INVALID },
		{ 16, 5000, 5001, FAT_LINK_CLUSTER },	 { 16, 5000, 5002, FAT_LINK_INVALID },
		{ 16, 5000, 0xFFF7, FAT_LINK_BAD },	 { 16, 5000, 0xFFF8, FAT_LINK_END },
		{ 16, 65524, 0xFFF5, FAT_LINK_CLUSTER }, { 16, 5000, 0xFFFF, FAT_LINK_END },
		{ 32, 100, 0, FAT_LINK_FREE },		 { 32, 100, 0xF0000000, FAT_LINK_FREE },
		{ 32, 100, 1, FAT_LINK_INVALID },	 { 32, 100, 0xA0000003, FAT_LINK_CLUSTER },
		{ 32, 100, 102, FAT_LINK_INVALID },	 { 32, 100, 0x0FFFFFF7, FAT_LINK_BAD },
		{ 32, 100, 0xFFFFFFF7, FAT_LINK_BAD },	 { 32, 100, 0x0FFFFFF8, FAT_LINK_END },
		{ 32, 100, 0x5FFFFFFF, FAT_LINK_END },	 { 32, 100, 0x0FFFFFF6, FAT_LINK_INVALID },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fat_image *image = fat_image_new((struct fat_image_shape){
			.type = cases[i].type, .clusters = cases[i].clusters, .present_clusters = 1 });

		fat_image_link(image, 50, cases[i].value);
		cr_expect_eq(link_of(image, 50).kind, cases[i].kind, "FAT%d 0x%x", cases[i].type,
			     cases[i].value);
		fat_image_free(image);
	}
}

Test(fat_table, a_run_of_entries_takes_one_read_per_page_and_none_beyond_the_fat)
{
	/* The FAT begins at 32 * 512 = 16 KiB, on the grid; 4096 entries are 4 pages and one short one. */
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 32, .clusters = 4200 });
	struct fat_table table;
	struct fat_link link;

	fat_table_init(&table, &image->volume, &image->source);
	for (uint32_t cluster = 2; cluster < 4202; cluster++) {
		cr_assert_eq(fat_table_read(&table, cluster, &link), 0);
		cr_assert(image->last_offset % 4096 == 0);
	}
	cr_assert_eq(image->reads, 5);
	cr_assert_eq(image->lowest_offset, image->volume.fat_offset_bytes);
	cr_assert_leq(image->highest_end, image->volume.fat_offset_bytes + image->volume.fat_length_bytes);
	cr_assert_eq(image->longest, 4096);
	fat_image_free(image);
}

Test(fat_table, the_boot_sector_in_the_same_page_is_not_read)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 12 });

	link_of(image, 2);
	cr_assert_eq(image->reads, 1);
	cr_assert_eq(image->last_offset, 512);
	cr_assert_eq(image->last_length, 512);
	fat_image_free(image);
}

Test(fat_table, an_error_of_the_source_leaves_no_window_behind)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 16, .clusters = 5000 });
	struct fat_table table;
	struct fat_link link;

	fat_image_link(image, 2, 3);
	fat_table_init(&table, &image->volume, &image->source);
	image->fail_with = -EAGAIN;
	cr_assert_eq(fat_table_read(&table, 2, &link), -EAGAIN);
	image->fail_with = 0;
	cr_assert_eq(fat_table_read(&table, 2, &link), 0);
	cr_assert_eq(link.cluster, 3);
	fat_image_free(image);
}
