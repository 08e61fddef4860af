/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/dir.c, long_name.c and index.c: under which names its entries are shown and found. */
#include <criterion/criterion.h>

#include "fat_dir_shown.h"

Test(fat_dir, a_long_name_hides_its_short_one_and_both_are_found)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	at = fat_image_long(at, "bcm2711-rpi-4-b.dtb", "BCM271~1DTB");
	at = fat_image_entry(at, "BCM271~1DTB", 0x20, 9, 50000);
	fat_image_entry(at, "CMDLINE TXT", 0x20, 10, 100);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "bcm2711-rpi-4-b.dtb|CMDLINE.TXT|");
	cr_assert_str_eq(fat_dir_entry(dir, 0)->short_name, "BCM271~1.DTB");
	cr_assert_str_eq(fat_dir_entry(dir, 1)->short_name, "CMDLINE.TXT");

	static const char *const first[] = {
		"bcm2711-rpi-4-b.dtb", "BCM2711-RPI-4-B.DTB",  "BCM271~1.DTB",
		"bcm271~1.dtb",	       "bcm2711-rpi-4-b.dtb.", "bcm271~1.dtb..."
	};
	static const char *const none[] = {
		"bcm2711", "bcm2711-rpi-4-b.dt", "bcm2711-rpi-4-b.dtb ", ".", "..", "...",
		"",	   "BCM271~1DTB",	 "bcm2711-rpi-4-b.dtb/x"
	};

	for (size_t i = 0; i < COUNT(first); i++)
		cr_expect_eq(fat_dir_find(dir, first[i]), 0, "%s", first[i]);
	for (size_t i = 0; i < COUNT(none); i++)
		cr_expect_eq(fat_dir_find(dir, none[i]), -ENOENT, "%s", none[i]);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, ascii_case_is_folded_and_no_other)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;
	const uint16_t upper[] = { 0xC4, 'A' }, lower[] = { 0xE4, 'a' };

	at = fat_image_long_units(at, upper, 2, "UPPER~1    ");
	at = fat_image_entry(at, "UPPER~1    ", 0x20, 0, 0);
	at = fat_image_long_units(at, lower, 2, "LOWER~1    ");
	fat_image_entry(at, "LOWER~1    ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_eq(fat_dir_count(dir), 2);
	cr_assert_eq(fat_dir_find(dir, "\u00C4a"), 0);
	cr_assert_eq(fat_dir_find(dir, "\u00E4A"), 1);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, a_query_longer_than_any_name_is_not_found_but_its_dots_are_free)
{
	struct fat_image *image = small_image();
	struct fat_dir *dir;
	char query[3000];

	fat_image_entry(fat_image_root(image), "A          ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	memset(query, '.', sizeof(query) - 1);
	query[sizeof(query) - 1] = '\0';
	query[0] = 'a';
	cr_assert_eq(fat_dir_find(dir, query), 0);
	memset(query, 'a', sizeof(query) - 1);
	cr_assert_eq(fat_dir_find(dir, query), -ENOENT);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, the_longest_name_is_found)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;
	uint16_t units[255];

	for (size_t i = 0; i < 255; i++)
		units[i] = 0x20AC;
	at = fat_image_long_units(at, units, 255, "LONGES~1   ");
	fat_image_entry(at, "LONGES~1   ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_eq(fat_dir_count(dir), 1);
	cr_assert_eq(strlen(fat_dir_entry(dir, 0)->name), FAT_NAME_BYTES_MAX);
	cr_assert_eq(fat_dir_find(dir, fat_dir_entry(dir, 0)->name), 0);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, a_name_that_ends_in_dots_is_shown_and_found)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	at = fat_image_long(at, "trailing..", "TRAILI~1   ");
	fat_image_entry(at, "TRAILI~1   ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "trailing..|");
	cr_assert_eq(fat_dir_find(dir, "trailing"), 0);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, orphans_leave_the_short_name_and_hide_nobody)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);

	at = fat_image_long(at, "of another file.txt", "ANOTHE~1TXT");
	at = fat_image_entry(at, "PLAIN   TXT", 0x20, 0, 0);
	at = fat_image_long(at, "deleted between", "REAL       ");
	at = fat_image_entry(at,
			     "\xE5"
			     "ONE       ",
			     0x20, 0, 0);
	at = fat_image_entry(at, "REAL       ", 0x20, 0, 0);
	at = fat_image_long(at, "label between", "TRUE       ");
	at = fat_image_entry(at, "LABEL      ", 0x08, 0, 0);
	at = fat_image_entry(at, "TRUE       ", 0x20, 0, 0);
	at = fat_image_long(at, "slots that were never finished", "SOUND      ");
	at = fat_image_long(at, "a sound one", "SOUND      ");
	at = fat_image_entry(at, "SOUND      ", 0x20, 0, 0);
	at = fat_image_long(at, "used up", "TWICE      ");
	at = fat_image_entry(at, "TWICE      ", 0x20, 0, 0);
	at = fat_image_entry(at, "TWICE2     ", 0x20, 0, 0);
	fat_image_long(at, "at the very end", "NOBODY     ");
	expect_names(image, "PLAIN.TXT|REAL|TRUE|a sound one|used up|TWICE2|");
}

Test(fat_dir, a_slot_with_more_attributes_than_0x0f_is_a_label_to_linux)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);

	at = fat_image_long(at, "lower", "LOWER      ");
	at[-32 + 11] = 0x4F;
	fat_image_entry(at, "LOWER      ", 0x20, 0, 0);
	expect_names(image, "LOWER|");
}

Test(fat_dir, a_name_that_cannot_be_one_falls_back_or_is_hidden_and_hides_nobody)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	at = fat_image_long(at, "../../etc/passwd", "EVIL~1     ");
	at = fat_image_entry(at, "EVIL~1     ", 0x20, 0, 0);
	at = fat_image_long(at, "..", "DOTS~1     ");
	at = fat_image_entry(at, "DOTS~1     ", 0x10, 0, 0);
	at = fat_image_entry(at, "A/B        ", 0x20, 0, 0);
	at = fat_image_entry(at, "        .  ", 0x20, 0, 0);
	at = fat_image_entry(at, "           ", 0x20, 0, 0);
	at = fat_image_long(at, "good long name", "BAD/BAD    ");
	at = fat_image_entry(at, "BAD/BAD    ", 0x20, 0, 0);
	fat_image_entry(at, "LAST       ", 0x20, 0, 0);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "EVIL~1|DOTS~1|good long name|LAST|");
	cr_assert_str_eq(fat_dir_entry(dir, 2)->short_name, "");
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, of_equal_names_the_first_in_disk_order_is_shown)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	at = fat_image_entry(at, "SAME       ", 0x20, 11, 0);
	at = fat_image_long(at, "same", "OTHER~1    ");
	at = fat_image_entry(at, "OTHER~1    ", 0x20, 12, 0);
	at = fat_image_long(at, "long one", "LONGON~1   ");
	at = fat_image_entry(at, "LONGON~1   ", 0x20, 13, 0);
	at = fat_image_long(at, "longon~1", "THIRD~1    ");
	at = fat_image_entry(at, "THIRD~1    ", 0x20, 14, 0);
	at = fat_image_long(at, "same..", "FOURTH~1   ");
	fat_image_entry(at, "FOURTH~1   ", 0x20, 15, 0);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "SAME|long one|");
	cr_assert_eq(fat_dir_entry(dir, fat_dir_find(dir, "Same"))->first_cluster, 11);
	cr_assert_eq(fat_dir_entry(dir, fat_dir_find(dir, "longon~1"))->first_cluster, 13);
	fat_dir_free(dir);
	fat_image_free(image);
}

Test(fat_dir, an_equal_short_name_leads_to_the_first_but_hides_no_long_name)
{
	struct fat_image *image = small_image();
	unsigned char *at = fat_image_root(image);
	struct fat_dir *dir;

	at = fat_image_long(at, "first", "ALIAS~1    ");
	at = fat_image_entry(at, "ALIAS~1    ", 0x20, 11, 0);
	at = fat_image_long(at, "second", "ALIAS~1    ");
	fat_image_entry(at, "ALIAS~1    ", 0x20, 12, 0);
	dir = read_dir(image, 0);
	cr_assert_str_eq(names_of(dir), "first|second|");
	cr_assert_eq(fat_dir_find(dir, "alias~1"), 0);
	fat_dir_free(dir);
	fat_image_free(image);
}
