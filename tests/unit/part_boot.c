/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT N4: the boot partition, by its files. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "part/autoboot.h"
#include "part_image.h"

#define THREE_PARTITIONS "printf 'label: dos\n2048,32768,83\n34816,32768,c\n67584,32768,c\n' | sfdisk $I; "

static void expect_boot(struct image *image, unsigned number, enum part_boot_reason reason)
{
	struct part_table *table = NULL;
	struct part_choice choice;

	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	cr_assert_eq(part_choose_boot(&image->source, table, &choice), 0);
	cr_expect_eq(choice.entry->number, number, "partition %u", choice.entry->number);
	cr_expect_eq(choice.entry, part_table_find(table, number));
	cr_expect_eq(choice.reason, reason, "%s", part_boot_reason_text(choice.reason));
	free(table);
}

static int choose_result(struct image *image, uint64_t fail_offset_bytes, int fail_with)
{
	struct part_table *table = NULL;
	struct part_choice choice;

	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	image->fail_offset_bytes = fail_offset_bytes;
	image->fail_with = fail_with;
	int result = part_choose_boot(&image->source, table, &choice);
	image->fail_with = 0;
	cr_expect((result == 0) == (choice.entry != NULL));
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

/* Three FATs: 1 with that autoboot.txt and bootcode.bin, 2 and 3 with a whole system each. */
static struct image *a_and_b(const char *autoboot)
{
	struct image *image = image_make(64 * MIB, "printf 'label: dos\n2048,32768,c\n34816,32768,c\n67584,32768,c\n' | sfdisk $I");
	char command[400];

	image_put_fat(image, 1 * MIB, 16 * MIB);
	image_put_fat(image, 17 * MIB, 16 * MIB);
	image_put_fat(image, 33 * MIB, 16 * MIB);
	snprintf(command, sizeof(command),
		 "printf '%s' | mcopy -i $I@@1M - ::AutoBoot.TXT; echo | mcopy -i $I@@1M - ::bootcode.bin;"
		 "for at in 17M 33M; do echo | mcopy -i $I@@$at - ::config.txt; done",
		 autoboot);
	mtools(image, command);
	return image;
}

static struct part_choice choice_of(struct image *image, int expected)
{
	struct part_table *table = NULL;
	struct part_choice choice;

	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	cr_expect_eq(part_choose_boot(&image->source, table, &choice), expected);
	/* Numbers outlive the table. */
	choice.entry = NULL;
	free(table);
	return choice;
}

Test(part_boot, n4_autoboot_names_the_partition_whatever_is_beside_it)
{
	IMAGE image = a_and_b("[all]\\ntryboot_a_b=1\\nboot_partition=2\\n[tryboot]\\nboot_partition=3\\n");
	struct part_choice choice = choice_of(image, 0);

	expect_boot(image, 2, PART_BOOT_AUTOBOOT);
	cr_expect_eq(choice.autoboot, 1);
	cr_expect_eq(choice.named, 2);
	cr_expect_eq(choice.tryboot, 3);
}

Test(part_boot, n4_autoboot_that_names_none_leaves_it_to_the_files)
{
	IMAGE nothing = a_and_b("");
	IMAGE zero = a_and_b("boot_partition=0\\n");
	IMAGE try = a_and_b("[tryboot]\\nboot_partition=3\\n");

	expect_boot(nothing, 1, PART_BOOT_FILES);
	expect_boot(zero, 1, PART_BOOT_FILES);
	expect_boot(try, 1, PART_BOOT_FILES);
	cr_expect_eq(choice_of(try, 0).tryboot, 3);
}

Test(part_boot, n4_autoboot_behind_the_first_is_not_read)
{
	IMAGE image = a_and_b("boot_partition=2\\n");

	/* Nor that of the partition it names. */
	mtools(image, "printf 'boot_partition=3' | mcopy -i $I@@17M - ::autoboot.txt");
	expect_boot(image, 2, PART_BOOT_AUTOBOOT);
	mtools(image, "mdel -i $I@@1M ::autoboot.txt");
	expect_boot(image, 1, PART_BOOT_FILES);
	/* One that names nothing is the first all the same. */
	mtools(image, "mdel -i $I@@1M ::bootcode.bin; echo | mcopy -i $I@@1M - ::autoboot.txt");
	expect_boot(image, 2, PART_BOOT_FILES);
	cr_expect_eq(choice_of(image, 0).autoboot, 1);
}

Test(part_boot, n4_autoboot_that_names_no_fat_is_no_guess)
{
	IMAGE image = a_and_b("boot_partition=2\\n");
	IMAGE absent = a_and_b("boot_partition=7\\n");

	image_zero(image, 17 * MIB, 512);
	cr_expect_eq(choice_of(image, -EIO).named, 2);
	cr_expect_eq(choice_of(absent, -EIO).named, 7);
	/* The only FAT is what it is. */
	image_zero(image, 33 * MIB, 512);
	expect_boot(image, 1, PART_BOOT_FILES);
	cr_expect_eq(choice_of(image, 0).named, 2);
}

Test(part_boot, n4_autoboot_that_is_torn_is_passed_over_for_none)
{
	IMAGE image = a_and_b("boot_partition=3\\n");
	unsigned char entry[32];
	uint64_t at = 1 * MIB;

	/* Its entry in the root: its first cluster, but not its size, is gone. */
	do
		cr_assert_eq(pread(image->fd, entry, sizeof(entry), (off_t)(at += sizeof(entry))), 32);
	while (memcmp(entry, "AUTOBOOTTXT", 11) != 0 && at < 2 * MIB);
	put_le16(entry + 26, 0);
	put_le16(entry + 20, 0);
	image_write(image, at, entry, sizeof(entry));
	choice_of(image, -EIO);
	/* The only FAT is chosen in any case. */
	image_zero(image, 17 * MIB, 512);
	image_zero(image, 33 * MIB, 512);
	expect_boot(image, 1, PART_BOOT_FILES);
}

Test(part_boot, n4_autoboot_words)
{
	static const struct {
		const char *text;
		unsigned partition, tryboot;
	} cases[] = {
		{ "", 0, 0 },
		{ "boot_partition=2", 2, 0 },
		{ "boot_partition=2\r\n[tryboot]\r\nboot_partition=3\r\n", 2, 3 },
		{ "[ALL]\n BOOT_PARTITION = 5 \n", 5, 0 },
		{ "boot_partition=2\nboot_partition=3\n", 3, 0 },
		{ "[tryboot]\nboot_partition=3\n[all]\nboot_partition=2\n", 2, 0 }, /* the last one counts for both */
		{ "[none]\nboot_partition=3\n[tryboot]\nboot_partition=4\n[all]\nboot_partition=2\n", 2, 0 },
		{ "boot_partition=2\n[none]\nboot_partition=3\n", 2, 0 },
		{ "boot_partition=2\n[pi4]\nboot_partition=3\n", 2, 0 },
		{ "boot_partition=2\n[tryboot]\n#boot_partition=3\n", 2, 0 },
		{ "# boot_partition=2\n", 0, 0 },
		{ "boot_partition\n=2\nboot_partition2=2\n[boot_partition=2]\n", 0, 0 },
		{ "boot_partition=99999999999999999999", 999999, 0 },
		{ "boot_partition=-1", 0, 0 },
		{ "[tryboot\nboot_partition=3", 0, 3 },
	};
	char late[600];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct autoboot found = autoboot_read(cases[i].text, strlen(cases[i].text));

		cr_expect_eq(found.partition, cases[i].partition, "%zu: %u", i, found.partition);
		cr_expect_eq(found.tryboot, cases[i].tryboot, "%zu: %u", i, found.tryboot);
	}
	/* 512 bytes are read, and no more. */
	memset(late, '#', sizeof(late));
	memcpy(late + 512 - 17, "\nboot_partition=23", 18);
	cr_expect_eq(autoboot_read(late, sizeof(late)).partition, 2);
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
	struct part_choice choice;

	mtools(image, "echo | mcopy -i $I@@33M - ::config.txt");
	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	image->fail_offset_bytes = 17 * MIB;
	image->fail_with = -EIO;
	cr_expect_eq(part_choose_boot(&image->source, table, &choice), -EIO);
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
