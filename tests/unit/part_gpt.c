/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT N4: GPT images, their backups, hybrids, and both sector sizes. */
#include <criterion/criterion.h>

#include "part_image.h"

#define MAKE_GPT "sgdisk -n 1:2048:+32M -n 3:67584:+16M $I"
#define EXPECTED "GPT 512: 1 1+32 fat, 3 33+16"

static struct image *plain_gpt(void)
{
	struct image *image = image_make(128 * MIB, MAKE_GPT);

	image_put_fat(image, 1 * MIB, 32 * MIB);
	return image;
}

Test(part_gpt, n4_by_its_primary)
{
	IMAGE image = plain_gpt();

	expect_table(image, EXPECTED);
	expect_table_hint(image, 4096, EXPECTED);
}

Test(part_gpt, cost_four_reads_when_the_primary_is_whole)
{
	IMAGE image = plain_gpt();

	expect_table(image, EXPECTED);
	cr_expect_eq(image->read_count, 4);
}

Test(part_gpt, n4_by_its_backup_when_the_primary_is_zeroed)
{
	IMAGE image = plain_gpt();

	image_zero(image, 512, 33 * 512);
	expect_table(image, EXPECTED);
}

Test(part_gpt, n4_by_its_backup_when_the_header_is_corrupt)
{
	IMAGE image = plain_gpt();

	image_write(image, 512 + GPT_LAST_USABLE_LBA, "x", 1);
	expect_table(image, EXPECTED);
}

Test(part_gpt, n4_by_its_backup_when_an_entry_is_corrupt)
{
	IMAGE image = plain_gpt();

	image_write(image, 1024 + 32, "x", 1);
	expect_table(image, EXPECTED);
}

Test(part_gpt, n4_by_the_backup_the_primary_names_when_the_image_grew)
{
	IMAGE image = plain_gpt();

	image_write(image, 1024 + 32, "x", 1);
	image_resize(image, 500 * MIB);
	expect_table(image, EXPECTED);
}

Test(part_gpt, n4_both_copies_corrupt_is_an_error)
{
	IMAGE image = plain_gpt();

	image_write(image, 1024 + 32, "x", 1);
	image_write(image, 128 * MIB - 512 + 40, "x", 1);
	expect_table(image, "EIO");
}

Test(part_gpt, n4_truncated_images_are_cut)
{
	IMAGE image = plain_gpt();

	image_resize(image, 40 * MIB);
	expect_table(image, "GPT 512: 1 1+32 fat, 3 33+7");
}

Test(part_gpt, n4_hybrid_counts_as_gpt)
{
	IMAGE image = image_make(128 * MIB, MAKE_GPT "; sgdisk --hybrid 3 $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, EXPECTED);
}

/* As Linux does: a GPT counts where an entry protects it at sector 1, in whatever slot; else there is none. */
Test(part_gpt, n4_protective_entry_not_at_sector_1)
{
	IMAGE image = plain_gpt();

	image_zero(image, MBR_ENTRIES, 64);
	image_put_entry(image, 0, 0, MBR_TYPE_PROTECTIVE, 2, UINT32_MAX);
	expect_table(image, "EIO");
	/* Nor what else is in that MBR. */
	image_put_entry(image, 0, 1, 0x0c, 2048, 2048);
	expect_table(image, "EIO");
	image_put_entry(image, 0, 3, MBR_TYPE_PROTECTIVE, 1, 33);
	expect_table(image, EXPECTED);
}

/* As Linux does: a GPT without a 0xEE entry is left over. */
Test(part_gpt, n4_left_over_gpt_does_not_hide_an_mbr)
{
	IMAGE image = plain_gpt();

	image_zero(image, MBR_ENTRIES, 64);
	image_put_entry(image, 0, 1, 0x0c, 2048, 2048);
	expect_table(image, "MBR 512: 2 1+1 fat");
}

Test(part_gpt, n4_left_over_gpt_does_not_hide_a_fat)
{
	IMAGE image = image_make(128 * MIB, MAKE_GPT);

	image_put_fat(image, 0, 128 * MIB);
	expect_table(image, "NONE 512: 0 0+128 fat");
}

Test(part_gpt, n4_a_fats_left_over_boot_code_does_not_hide_a_gpt)
{
	IMAGE image = image_make(128 * MIB, MAKE_GPT "; truncate -s 128M $I.fat; mkfs.fat $I.fat;"
						     "dd if=$I.fat of=$I bs=440 count=1 conv=notrunc");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, EXPECTED);
}

static struct image *gpt_4096(struct gpt_plan *plan)
{
	struct image *image = image_make(128 * MIB, NULL);

	*plan = gpt_plan_of(image, 4096);
	plan->ranges[0] = (struct gpt_range){ 256, 8447 };
	plan->ranges[3] = (struct gpt_range){ 8448, 9471 };
	image_put_protective_mbr(image);
	image_put_fat(image, 1 * MIB, 32 * MIB);
	return image;
}

Test(part_gpt, n4_sectors_of_4096)
{
	struct gpt_plan plan;
	IMAGE image = gpt_4096(&plan);

	image_put_gpt(image, &plan);
	expect_table(image, "GPT 4096: 1 1+32 fat, 4 33+4");
	expect_table_hint(image, 512, "GPT 4096: 1 1+32 fat, 4 33+4");
}

Test(part_gpt, n4_sectors_of_4096_by_its_backup)
{
	struct gpt_plan plan;
	IMAGE image = gpt_4096(&plan);

	plan.header_lba = plan.alternate_lba;
	plan.alternate_lba = 1;
	plan.entries_lba = plan.header_lba - 4;
	image_put_gpt(image, &plan);
	expect_table(image, "GPT 4096: 1 1+32 fat, 4 33+4");
}

Test(part_gpt, n4_eight_tebibytes)
{
	IMAGE image = image_make(8192 * 1024 * MIB, "sgdisk -n 1:2048:+32M -n 2:0:0 $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	image_zero(image, 512, 512);
	expect_table(image, "GPT 512: 1 1+32 fat, 2 33+8796058402304B");
}

Test(part_gpt, e_failures_of_the_source_are_passed_on)
{
	static const uint64_t offsets[] = { 0, 512, 1024, 128 * MIB - 1, 128 * MIB - 33 * 512, 1 * MIB };
	IMAGE image = plain_gpt();

	image_write(image, 1024 + 32, "x", 1);
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		image->fail_offset_bytes = offsets[i];
		image->fail_with = -EAGAIN;
		expect_table(image, "EAGAIN");
		image->fail_with = -EIO;
		expect_table(image, "EIO");
	}
}
