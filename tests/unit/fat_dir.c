/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/dir.c: which entries a directory has. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "fat_dir_shown.h"

Test(fat_dir, the_root_is_fixed_on_fat12_and_fat16_and_a_chain_on_fat32)
{
	for (int type = 12; type <= 32; type += type == 12 ? 4 : 16) {
		struct fat_image *image = fat_image_new(
			(struct fat_image_shape){ .type = type, .clusters = type == 16 ? 5000 : 100 });
		struct fat_dir *dir;

		fat_image_entry(fat_image_root(image), "CONFIG  TXT", 0x20, 5, 1234);
		dir = read_dir(image, 0);
		cr_assert_str_eq(names_of(dir), "CONFIG.TXT|");
		cr_assert_eq(fat_dir_entry(dir, 0)->first_cluster, 5);
		cr_assert_eq(fat_dir_entry(dir, 0)->size_bytes, 1234);
		cr_assert_eq(fat_dir_entry(dir, 0)->attributes, FAT_ATTR_ARCHIVE);
		cr_assert_arr_eq(fat_dir_entry(dir, 0)->raw, fat_image_root(image), 32);
		cr_assert_eq(fat_dir_size_bytes(dir), type == 32 ? 512 : 128 * 32);
		fat_dir_free(dir);
		fat_image_free(image);
	}
}

Test(fat_dir, an_empty_directory_has_no_entries_and_finds_nothing)
{
	struct fat_image *image = small_image();
	struct fat_dir *dir = read_dir(image, 0);

	cr_assert_eq(fat_dir_count(dir), 0);
	cr_assert_eq(fat_dir_find(dir, "CONFIG.TXT"), -ENOENT);
	cr_assert_eq(fat_dir_find(dir, ""), -ENOENT);
	fat_dir_free(dir);
	fat_dir_free(NULL);
	fat_image_free(image);
}

Test(fat_dir, a_first_byte_of_0_ends_it)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_entry(fat_image_root(image), "A          ", 0x20, 0, 0);

	fat_image_entry(at + 32, "B          ", 0x20, 0, 0);
	expect_names(image, "A|");
}

Test(fat_dir, a_root_that_is_full_ends_without_a_mark)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;
	char name[12];

	for (int i = 0; i < 128; i++) {
		snprintf(name, sizeof(name), "FILE%04d   ", i);
		at = fat_image_entry(at, name, 0x20, 0, 0);
	}
	fat_image_entry(at, "BEHIND     ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_eq(fat_dir_count(dir), 128);
	cr_assert_eq(fat_dir_find(dir, "BEHIND"), -ENOENT);
	cr_assert_eq(fat_dir_find(dir, "file0127"), 127);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, deleted_entries_labels_and_dots_are_not_shown)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);

	at = fat_image_entry(at, "BOOTLABEL  ", 0x08, 0, 0);
	at = fat_image_entry(at, ".          ", 0x10, 0, 0);
	at = fat_image_entry(at, "..         ", 0x10, 0, 0);
	at = fat_image_long(at, "no dot at all", "..         ");
	at = fat_image_entry(at, "..         ", 0x10, 0, 0);
	at = fat_image_entry(at,
			     "\xE5"
			     "ELETED    ",
			     0x20, 0, 0);
	at = fat_image_entry(at, "DIRLABEL   ", 0x18, 0, 0);
	at = fat_image_entry(at, "\x05KANJI     ", 0x20, 0, 0);
	at = fat_image_entry(at, "HIDDEN     ", 0x02 | 0x04, 0, 0);
	expect_names(image, "\u03C3KANJI|HIDDEN|");
}

static void expect_label(struct fat_image *image, uint32_t cluster, const char *label)
{
	struct fat_dir *dir = read_dir(image, cluster);

	cr_expect_str_eq(fat_dir_label(dir), label);
	fat_dir_free(dir);
}

Test(fat_dir, the_roots_first_label_is_the_volumes)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);

	expect_label(image, 0, "");
	at = fat_image_entry(at, "\xE5" "ELETED    ", 0x08, 0, 0);
	at = fat_image_entry(at, "DIRLABEL   ", 0x18, 0, 0);
	at = fat_image_entry(at, "SUB        ", 0x10, 5, 0);
	expect_label(image, 0, "");
	at = fat_image_entry(at, "Boot \x90 X   ", 0x28, 0, 0);
	at = fat_image_entry(at, "SECOND     ", 0x08, 0, 0);
	expect_label(image, 0, "Boot \u00C9 X");
	/* With a cluster it is none (libblkid); 0x05 is 0xE5; a NUL ends it. */
	at = fat_image_entry(fat_image_root(image), "LIKE A FILE", 0x08, 5, 0);
	at = fat_image_entry(at, "\x05\x9A" "\x1B" "BER\0 X  ", 0x08, 0, 0);
	expect_label(image, 0, "\u03C3\u00DC?BER");
	fat_image_chain(image, (const uint32_t[]){ 5 }, 1);
	fat_image_entry(fat_image_dots(image, 5), "NOT OF ROOT", 0x08, 0, 0);
	expect_label(image, 5, "");
	/* A blank one is the first all the same. */
	fat_image_entry(fat_image_root(image), "           ", 0x08, 0, 0);
	expect_label(image, 0, "");
	fat_image_free(image);
}

Test(fat_dir, the_high_cluster_word_counts_on_fat32_only)
{
	for (int type = 16; type <= 32; type += 16) {
		struct fat_image *image =
			fat_image_new((struct fat_image_shape){ .type = type, .clusters = 5000 });
		struct fat_dir *dir;

		fat_image_entry(fat_image_root(image), "A          ", 0x20, 0xF00D0003, 0);
		dir = read_dir(image, 0);
		cr_assert_eq(fat_dir_entry(dir, 0)->first_cluster, type == 32 ? 0xF00D0003 : 3);
		fat_dir_free(dir);
		fat_image_free(image);
	}
}

Test(fat_dir, an_entry_that_cannot_be_read_is_listed_all_the_same)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_extents extents;
	struct fat_dir *dir;

	at = fat_image_entry(at, "FAR        ", 0x20, 50000, 0xFFFFFFFF);
	at = fat_image_entry(at, "TORN       ", 0x20, 0, 10);
	fat_image_entry(at, "SUB        ", 0x10, 0, 999);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "FAR|TORN|SUB|");
	for (size_t i = 0; i < 2; i++) {
		const struct fat_entry *entry = fat_dir_entry(dir, i);

		cr_assert_eq(fat_extents_of_file(&image->volume, &image->source, entry->first_cluster,
						 entry->size_bytes, &extents),
			     -EIO);
	}
	cr_assert_eq(fat_dir_entry(dir, 2)->first_cluster, 0);
	cr_assert_eq(fat_dir_entry(dir, 2)->size_bytes, 0, "a directory has no size of its own");
	cr_assert_eq(fat_dir_subdirectory_count(dir), 1);
	fat_dir_free(dir);
	fat_image_free(image);
}
