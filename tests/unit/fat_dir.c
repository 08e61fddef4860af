/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/dir.c and fat/index.c: what a directory shows and what is found in it. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "base/bytes.h"
#include "fat_image.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct fat_dir *read_dir(struct fat_image *image, uint32_t first_cluster)
{
	struct fat_dir *dir = NULL;

	cr_assert_eq(fat_dir_read(&image->volume, &image->source, first_cluster, &dir), 0);
	return dir;
}

static int read_error(struct fat_image *image, uint32_t first_cluster)
{
	struct fat_dir *dir;
	int error = fat_dir_read(&image->volume, &image->source, first_cluster, &dir);

	cr_assert(error == 0 || dir == NULL);
	fat_dir_free(dir);
	return error;
}

/* The names shown, in order, each followed by '|'. */
static const char *names_of(const struct fat_dir *dir)
{
	static char names[4096];
	size_t length = 0;

	names[0] = '\0';
	for (size_t i = 0; i < fat_dir_count(dir); i++) {
		const char *name = fat_dir_entry(dir, i)->name;

		length += (size_t)snprintf(names + length, sizeof(names) - length, "%s|", name);
		cr_assert_eq(fat_dir_find(dir, name), (long)i, "%s is not found", name);
	}
	return names;
}

static void expect_names(struct fat_image *image, const char *expected)
{
	struct fat_dir *dir = read_dir(image, 0);

	cr_expect_str_eq(names_of(dir), expected);
	fat_dir_free(dir);
	fat_image_free(image);
}

static struct fat_image *small_image(void)
{
	return fat_image_new((struct fat_image_shape){ .type = 12 });
}

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
