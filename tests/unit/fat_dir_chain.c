/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/dir.c: directories in chains, damaged ones, and the largest. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/bytes.h"
#include "fat_dir_shown.h"

Test(fat_dir, a_subdirectory_is_read_through_its_chain)
{
	struct fat_image *image = small_image();
	const uint32_t chain[] = { 20, 21, 9 };
	struct fat_dir *dir;
	char name[12];

	fat_image_chain(image, chain, COUNT(chain));
	for (int i = 0; i < 48; i++) {
		unsigned char *cluster = fat_image_cluster(image, chain[i / 16]);

		snprintf(name, sizeof(name), "FILE%04d   ", i);
		fat_image_entry(cluster + i % 16 * 32, name, i % 2 ? 0x10 : 0x20, 0, 0);
	}
	dir = read_dir(image, 20);
	cr_assert_eq(fat_dir_count(dir), 48);
	for (int i = 0; i < 48; i++) {
		snprintf(name, sizeof(name), "file%04d", i);
		cr_assert_eq(fat_dir_find(dir, name), i);
	}
	cr_assert_eq(fat_dir_size_bytes(dir), 3 * 512);
	cr_assert_eq(fat_dir_subdirectory_count(dir), 24);
	cr_assert_eq(image->reads, 3, "one of the FAT, one for each of two runs");
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, a_long_name_may_cross_clusters)
{
	struct fat_image *image = small_image();
	const uint32_t chain[] = { 20, 40 };
	unsigned char slots[4 * 32], *at;
	struct fat_dir *dir;

	fat_image_chain(image, chain, COUNT(chain));
	at = fat_image_long(slots, "a name that takes three slots here", "ANAMET~1   ");
	fat_image_entry(at, "ANAMET~1   ", 0x20, 0, 0);
	memset(fat_image_cluster(image, 20), 0xE5, 512);
	fat_image_dots(image, 20);
	memcpy(fat_image_cluster(image, 20) + 512 - 64, slots, 64);
	memcpy(fat_image_cluster(image, 40), slots + 64, 64);
	dir = read_dir(image, 20);
	cr_assert_str_eq(names_of(dir), "a name that takes three slots here|");
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, a_chain_that_is_broken_or_loops_is_an_io_error)
{
	struct fat_image *image = small_image();
	const uint32_t chain[] = { 20, 21, 22 };

	fat_image_chain(image, chain, COUNT(chain));
	fat_image_dots(image, 20);
	cr_assert_eq(read_error(image, 20), 0);
	fat_image_link(image, 22, 0);
	cr_assert_eq(read_error(image, 20), -EIO);
	fat_image_link(image, 22, 20);
	cr_assert_eq(read_error(image, 20), -EIO);
	fat_image_link(image, 22, 22);
	cr_assert_eq(read_error(image, 20), -EIO);
	cr_assert_eq(read_error(image, 1), -EIO);
	cr_assert_eq(read_error(image, 102), -EIO);
	fat_image_free(image);
}

Test(fat_dir, a_directory_may_contain_itself)
{
	struct fat_image *image = small_image();
	struct fat_dir *dir;

	fat_image_link(image, 20, 0xFFF);
	fat_image_entry(fat_image_dots(image, 20), "SELF       ", 0x10, 20, 0);
	dir = read_dir(image, 20);
	cr_assert_eq(fat_dir_entry(dir, 0)->first_cluster, 20);
	fat_dir_free(dir);
	fat_image_free(image);
}

/* As Linux's fat_validate_dir: any two directories will do. */
Test(fat_dir, a_subdirectory_without_dot_entries_is_an_io_error)
{
	static const int types[] = { 12, 16, 32 };

	for (size_t i = 0; i < COUNT(types); i++) {
		struct fat_image *image = fat_image_new((struct fat_image_shape){
			.type = types[i], .clusters = types[i] == 16 ? 4085 : 100 });
		unsigned char *inside = fat_image_cluster(image, 20);
		const uint32_t chain[] = { 20, 21 };

		fat_image_chain(image, chain, COUNT(chain));
		cr_expect_eq(read_error(image, 20), -EIO, "as it was allocated");
		fat_image_entry(inside, "FILE       ", 0x20, 0, 0);
		fat_image_entry(inside + 32, "LABEL      ", 0x18, 0, 0);
		cr_expect_eq(read_error(image, 20), -EIO, "as it was when it was a file's");
		inside = fat_image_entry(inside, ".          ", 0x10, 20, 0);
		cr_expect_eq(read_error(image, 20), -EIO, "one of them");
		memset(fat_image_entry(inside, "FILE       ", 0x20, 0, 0), 0xe5, 512 - 64);
		fat_image_entry(fat_image_cluster(image, 21), "A/B        ", 0x10, 0, 0);
		cr_expect_eq(read_error(image, 20), 0, "two directories, whatever they are called");
		cr_expect_eq(read_error(image, 0), 0, "the root has none");
		if (types[i] == 32)
			cr_expect_eq(read_error(image, image->volume.root_cluster), 0, "the root by its number");
		fat_image_free(image);
	}
}

Test(fat_dir, the_errors_of_the_source_are_passed_on)
{
	struct fat_image *image = small_image();

	image->fail_with = -EAGAIN;
	cr_assert_eq(read_error(image, 0), -EAGAIN);
	cr_assert_eq(read_error(image, 20), -EAGAIN);
	fat_image_free(image);
}

Test(fat_dir, a_directory_beyond_the_end_of_the_source_is_an_io_error)
{
	struct fat_image *image = small_image();

	fat_image_link(image, 100, 0xFFF);
	fat_image_dots(image, 100);
	cr_assert_eq(read_error(image, 100), 0);
	image->source.size_bytes = (uint64_t)(fat_image_cluster(image, 100) - image->bytes);
	cr_assert_eq(read_error(image, 100), -EIO);
	fat_image_free(image);
}

/* A directory of `clusters` clusters of 64 KiB in one run from cluster 10. */
static struct fat_image *large_directory(uint32_t clusters)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){
		.type = 32, .clusters = 100, .sectors_per_cluster = 128, .present_clusters = 60 });

	for (uint32_t i = 0; i < clusters; i++)
		fat_image_link(image, 10 + i, i + 1 < clusters ? 11 + i : 0x0FFFFFFF);
	fat_image_dots(image, 10);
	return image;
}

Test(fat_dir, the_largest_directory_of_65536_entries_is_read)
{
	struct fat_image *image = large_directory(32);
	unsigned char *at = fat_image_dots(image, 10);
	struct fat_dir *dir;
	char name[12];

	for (int i = 0; i < 65534; i++) {
		snprintf(name, sizeof(name), "F%07d   ", i);
		at = fat_image_entry(at, name, 0x20, 0, 0);
	}
	dir = read_dir(image, 10);
	cr_assert_eq(fat_dir_count(dir), 65534);
	cr_assert_eq(fat_dir_size_bytes(dir), 2 * 1024 * 1024);
	for (int i = 0; i < 65534; i++) {
		snprintf(name, sizeof(name), "f%07d", i);
		cr_assert_eq(fat_dir_find(dir, name), i);
	}
	cr_assert_eq(fat_dir_find(dir, "f0065534"), -ENOENT);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, s5_a_subset_has_those_entries_alone_and_takes_little)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir, *subset;
	char name[12];

	at = fat_image_long(at, "bcm2711-rpi-4-b.dtb", "BCM271~1DTB");
	at = fat_image_entry(at, "BCM271~1DTB", 0x20, 9, 50000);
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "F%07d   ", i);
		at = fat_image_entry(at, name, 0x20, 0, (uint32_t)i);
	}
	dir = read_dir(image, 0);
	subset = fat_dir_subset(dir, (size_t[]){ 0, 43, 100 }, 3);
	cr_assert_not_null(subset);
	cr_expect_lt(fat_dir_memory_bytes(subset) * 10, fat_dir_memory_bytes(dir));
	cr_expect_geq(fat_dir_memory_bytes(dir), 101 * sizeof(struct fat_entry));
	cr_expect_eq(fat_dir_size_bytes(subset), fat_dir_size_bytes(dir));
	fat_dir_free(dir);
	cr_expect_str_eq(names_of(subset), "bcm2711-rpi-4-b.dtb|F0000042|F0000099|");
	cr_expect_eq(fat_dir_find(subset, "BCM271~1.DTB"), 0);
	cr_expect_eq(fat_dir_entry(subset, 1)->size_bytes, 42);
	cr_expect_eq(fat_dir_find(subset, "F0000041"), -ENOENT);
	fat_dir_free(subset);
	fat_image_free(image);
}

Test(fat_dir, a_directory_of_more_is_an_io_error)
{
	struct fat_image *image = large_directory(33);

	cr_assert_eq(read_error(image, 10), -EIO);
	fat_image_free(image);
}

Test(fat_dir, the_largest_directory_of_one_name_costs_no_more_than_others)
{
	struct fat_image *image = large_directory(32);
	unsigned char *at = fat_image_dots(image, 10);
	struct fat_dir *dir;

	for (int i = 0; i < 65534; i++)
		at = fat_image_entry(at, "SAME       ", 0x20, (uint32_t)i, 0);
	dir = read_dir(image, 10);
	cr_assert_eq(fat_dir_count(dir), 1);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, what_is_behind_the_end_mark_is_not_read)
{
	struct fat_image *image = large_directory(32);
	struct fat_dir *dir;

	fat_image_entry(fat_image_dots(image, 10), "ONE        ", 0x20, 0, 0);
	dir = read_dir(image, 10);
	cr_assert_eq(fat_dir_count(dir), 1);
	cr_assert_eq(fat_dir_size_bytes(dir), 2 * 1024 * 1024);
	cr_assert_eq(image->reads, 2);
	cr_assert_leq(image->longest, 64 * 1024);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, clusters_of_512_kib_and_sectors_of_4096_bytes_are_read)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){
		.type = 32, .clusters = 10, .sector_bytes = 4096, .sectors_per_cluster = 128 });
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	for (int i = 0; i < 16383; i++)
		at = fat_image_entry(at, "\xE5          ", 0x20, 0, 0);
	fat_image_entry(at, "LAST       ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "LAST|");
	cr_assert_eq(image->reads, 1 + 8);
	fat_dir_free(dir);
	fat_image_free(image);
}
