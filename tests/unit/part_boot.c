/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT N4: the boot partition, by its files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "part_image.h"

#define THREE_PARTITIONS "printf 'label: dos\n2048,32768,83\n34816,32768,c\n67584,32768,c\n' | sfdisk $I; "

static void expect_boot(struct image *image, unsigned number, enum part_boot_reason reason)
{
	struct part_table *table = NULL;
	const struct part_entry *chosen = NULL;
	enum part_boot_reason why = PART_BOOT_FIRST_FAT;

	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	cr_assert_eq(part_choose_boot(&image->source, table, &chosen, &why), 0);
	cr_expect_eq(chosen->number, number, "partition %u", chosen->number);
	cr_expect_eq(chosen, part_table_find(table, number));
	cr_expect_eq(why, reason);
	free(table);
}

static int choose_result(struct image *image, uint64_t fail_offset_bytes, int fail_with)
{
	struct part_table *table = NULL;
	const struct part_entry *chosen = NULL;
	enum part_boot_reason why;

	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	image->fail_offset_bytes = fail_offset_bytes;
	image->fail_with = fail_with;
	int result = part_choose_boot(&image->source, table, &chosen, &why);
	image->fail_with = 0;
	cr_expect((result == 0) == (chosen != NULL));
	free(table);
	return result;
}

/* Partition 1 is no FAT, 2 and 3 are empty ones. */
static struct image *two_fats(void)
{
	struct image *image = image_make(64 * MIB, THREE_PARTITIONS);

	image_put_fat(image, 17 * MIB, 16 * MIB);
	image_put_fat(image, 33 * MIB, 16 * MIB);
	return image;
}

static void mtools(struct image *image, const char *command)
{
	char script[512];

	snprintf(script, sizeof(script), "I=%s/image; %s", image->dir, command);
	cr_assert_eq(system(script), 0, "%s", script);
}

Test(part_boot, n4_the_fat_with_boot_files_not_the_first)
{
	IMAGE image = two_fats();

	mtools(image, "mmd -i $I@@17M ::config.txt; echo | mcopy -i $I@@17M - ::notes.txt;"
		      "echo | mcopy -i $I@@33M - ::Config.TXT");
	expect_boot(image, 3, PART_BOOT_FILES);
}

Test(part_boot, n4_the_first_of_two_with_boot_files)
{
	IMAGE image = two_fats();

	mtools(image, "echo | mcopy -i $I@@17M - ::start4.elf; echo | mcopy -i $I@@33M - ::config.txt");
	expect_boot(image, 2, PART_BOOT_FILES);
}

Test(part_boot, n4_the_first_fat_when_none_has_boot_files)
{
	IMAGE image = two_fats();

	expect_boot(image, 2, PART_BOOT_FIRST_FAT);
}

Test(part_boot, n4_autoboot_alone_is_not_a_boot_partition)
{
	IMAGE image = two_fats();

	mtools(image, "echo | mcopy -i $I@@17M - ::autoboot.txt; echo | mcopy -i $I@@33M - ::config.txt");
	expect_boot(image, 3, PART_BOOT_FILES);
}

Test(part_boot, n4_an_unpartitioned_fat)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat -F 32 $I; echo | mcopy -i $I - ::bootcode.bin");

	expect_boot(image, 0, PART_BOOT_FILES);
}

Test(part_boot, n4_no_fat_at_all)
{
	IMAGE image = image_make(64 * MIB, THREE_PARTITIONS);

	cr_expect_eq(choose_result(image, 0, 0), -ENODATA);
}

Test(part_boot, n4_an_unreadable_root_is_not_passed_over_for_the_next)
{
	IMAGE image = two_fats();
	struct part_table *table = NULL;
	const struct part_entry *chosen = NULL;
	enum part_boot_reason why = PART_BOOT_FIRST_FAT;

	mtools(image, "echo | mcopy -i $I@@33M - ::config.txt");
	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	image->fail_offset_bytes = 17 * MIB;
	image->fail_with = -EIO;
	cr_expect_eq(part_choose_boot(&image->source, table, &chosen, &why), -EIO);
	free(table);
}

Test(part_boot, e_failures_of_the_source_are_passed_on)
{
	IMAGE image = two_fats();

	cr_expect_eq(choose_result(image, 17 * MIB, -EAGAIN), -EAGAIN);
	cr_expect_eq(choose_result(image, 33 * MIB, -EAGAIN), -EAGAIN);
	cr_expect_eq(choose_result(image, 33 * MIB, -ESTALE), -ESTALE);
	cr_expect_eq(choose_result(image, 33 * MIB, -EIO), 0);
}

Test(part_boot, n4_names_that_mark_a_boot_partition)
{
	static const char *const yes[] = { "config.txt",	 "CONFIG.TXT",	"cmdline.txt",
					   "bootcode.bin",	 "boot.img",	"start.elf",
					   "start4.elf",	 "START_X.ELF", "fixup4cd.dat",
					   "kernel.img",	 "kernel8.img", "kernel_2712.img",
					   "bcm2711-rpi-4-b.dtb" };
	static const char *const no[] = {
		"",	    "config",	   "config.txt.bak", "xconfig.txt", "start",
		"start.el", "elf",	   "autoboot.txt",   "star.elf",    "kernel.image",
		"vmlinuz",  "bcm2835.dts", "boot.img.sig",   "restart.elf"
	};

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		cr_expect(part_is_boot_file_name(yes[i]), "%s", yes[i]);
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		cr_expect(!part_is_boot_file_name(no[i]), "%s", no[i]);
}

Test(part_boot, c8_tables_are_equal_or_not)
{
	IMAGE image = two_fats();
	struct part_table *before = NULL, *same = NULL, *after = NULL;

	cr_assert_eq(part_table_read(&image->source, 0, &before), 0);
	cr_assert_eq(part_table_read(&image->source, 0, &same), 0);
	image_zero(image, 33 * MIB, 512);
	cr_assert_eq(part_table_read(&image->source, 0, &after), 0);
	cr_expect(part_table_equal(before, same));
	cr_expect(!part_table_equal(before, after));
	cr_expect_eq(part_table_fat_count(before), 2);
	cr_expect_eq(part_table_fat_count(after), 1);
	cr_expect_null(part_table_find(before, 4));
	free(before);
	free(same);
	free(after);
}
