/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT S1: tables made to mislead, to loop or to cost. Each answer is exact, and none takes long. */
#include <criterion/criterion.h>

#include "part/skeleton.h"
#include "part_image.h"

/* An extended container at 1 MiB, number 2, over the rest of the image. */
static struct image *with_container(void)
{
	struct image *image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 1, 0x05, 2048, 127 * 2048);
	return image;
}

Test(part_hostile, s1_an_ebr_that_links_to_itself)
{
	IMAGE image = with_container();

	image_put_entry(image, 1 * MIB, 0, 0x83, 2048, 2048);
	image_put_entry(image, 1 * MIB, 1, 0x05, 0, 2048);
	expect_table(image, "MBR 512: 5 2+1");
}

Test(part_hostile, s1_ebrs_that_link_in_a_circle)
{
	IMAGE image = with_container();

	for (uint32_t i = 0; i < 3; i++) {
		image_put_entry(image, (1 + 4 * i) * MIB, 0, 0x83, 2048, 2048);
		image_put_entry(image, (1 + 4 * i) * MIB, 1, 0x05, (i + 1) % 3 * 8192, 2048);
	}
	/* The third links to the second: offset 0, the first, libblkid would take for none. */
	image_put_entry(image, 9 * MIB, 1, 0x05, 8192, 2048);
	expect_table(image, "MBR 512: 5 2+1, 6 6+1, 7 10+1");
}

/* libblkid 2.38 would end by itself; others need not. */
Test(part_hostile, s1_libblkid_is_not_shown_a_link_that_was_not_followed)
{
	IMAGE image = with_container();
	SKELETON_SCOPE(skeleton);
	unsigned char first[MBR_BYTES], second[MBR_BYTES];

	image_put_entry(image, 1 * MIB, 1, 0x05, 8192, 2048);
	image_put_entry(image, 5 * MIB, 1, 0x05, 8192, 2048);
	image_put_entry(image, 5 * MIB, 2, 0x05, 4096, 2048);
	cr_assert_eq(skeleton_of_mbr(&image->source, 512, true, &skeleton), 0);
	cr_assert_eq(pread(skeleton.fd, first, MBR_BYTES, 1 * MIB), MBR_BYTES);
	cr_assert_eq(pread(skeleton.fd, second, MBR_BYTES, 5 * MIB), MBR_BYTES);
	cr_expect_eq(get_le32(first + MBR_ENTRIES + MBR_ENTRY_BYTES + MBR_ENTRY_LENGTH), 2048);
	for (size_t i = MBR_ENTRIES; i < MBR_SIGNATURE; i += MBR_ENTRY_BYTES)
		cr_expect_eq(get_le32(second + i + MBR_ENTRY_LENGTH), 0);
}

Test(part_hostile, s1_an_ebr_that_is_the_mbr)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 0, 0x83, 2048, 2048);
	image_put_entry(image, 0, 1, 0x05, 0, 2048);
	expect_table(image, "MBR 512: 1 1+1");
}

Test(part_hostile, s1_two_containers_that_share_a_chain)
{
	IMAGE image = with_container();

	image_put_entry(image, 0, 2, 0x0f, 2048, 2048);
	image_put_entry(image, 1 * MIB, 0, 0x83, 2048, 2048);
	expect_table(image, "MBR 512: 5 2+1");
}

/* Numbers 5 to 104, then the walk ends; and it must end for libblkid as well. */
Test(part_hostile, s1_a_chain_of_more_than_a_hundred)
{
	IMAGE image = with_container();
	struct part_table *table = NULL;

	for (uint32_t i = 0; i < 120; i++) {
		image_put_entry(image, 1 * MIB + i * 8192, 0, 0x83, 8, 8);
		image_put_entry(image, 1 * MIB + i * 8192, 1, 0x05, (i + 1) * 16, 16);
	}
	cr_assert_eq(part_table_read(&image->source, 0, &table), 0);
	cr_expect_eq(table->count, 100);
	cr_expect_eq(table->entries[99].number, 104);
	/* Links and partitions, at 512 bytes and again at 4096. */
	cr_expect_leq(image->read_count, 1 + 2 * (100 + 100));
	free(table);
}

/* A chain without partitions: nothing to list, nothing to count but links. */
Test(part_hostile, s1_a_long_chain_of_nothing)
{
	IMAGE image = with_container();

	for (uint32_t i = 0; i < 1000; i++)
		image_put_entry(image, 1 * MIB + i * 8192, 1, 0x05, (i + 1) * 16, 16);
	expect_table(image, "MBR 512");
	cr_expect_leq(image->read_count, 1 + 2 * 100);
}

Test(part_hostile, s1_an_ebr_beyond_the_end)
{
	IMAGE image = with_container();

	image_put_entry(image, 1 * MIB, 0, 0x83, 2048, 2048);
	image_put_entry(image, 1 * MIB, 1, 0x05, 1 << 20, 2048);
	expect_table(image, "MBR 512: 5 2+1");
}

/* Beyond 2 TiB; libblkid's 32 bits wrap to an EBR that is there, at 4 MiB. */
Test(part_hostile, s1_an_ebr_whose_sum_wraps)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 1, 0x05, 64 * 2048, 64 * 2048);
	image_put_entry(image, 64 * MIB, 0, 0x83, 2048, 2048);
	image_put_entry(image, 64 * MIB, 1, 0x05, UINT32_MAX - 60 * 2048 + 1, 2048);
	image_put_entry(image, 4 * MIB, 0, 0x0c, 2048, 2048);
	expect_table(image, "MBR 512: 5 65+1");
}

/* Beyond 2 TiB, not at 4 MiB; the next one keeps number 6. */
Test(part_hostile, s1_a_logical_partition_whose_sum_wraps)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 1, 0x05, 64 * 2048, 64 * 2048);
	image_put_entry(image, 64 * MIB, 0, 0x0c, UINT32_MAX - 60 * 2048 + 1, 2048);
	image_put_entry(image, 64 * MIB, 1, 0x05, 8192, 2048);
	image_put_entry(image, 68 * MIB, 0, 0x83, 2048, 2048);
	expect_table(image, "MBR 512: 6 69+1");
}

Test(part_hostile, s1_start_and_length_that_overflow)
{
	IMAGE image = image_make(64 * MIB, NULL);

	image_put_entry(image, 0, 0, 0x0c, 2048, UINT32_MAX);
	image_put_entry(image, 0, 1, 0x0c, UINT32_MAX, UINT32_MAX);
	image_put_entry(image, 0, 2, 0x0c, 0, UINT32_MAX);
	image_put_entry(image, 0, 3, 0x0c, 4096, 0);
	expect_table(image, "MBR 512: 1 1+63, 3 0+64");
}

Test(part_hostile, s1_every_partition_beyond_the_end)
{
	IMAGE image = image_make(64 * MIB, NULL);

	image_put_entry(image, 0, 0, 0x0c, 64 * 2048, 2048);
	image_put_entry(image, 0, 3, 0x83, UINT32_MAX, 1);
	expect_table(image, "EIO");
}

/* ---- GPT: check sums are good in all of these ------------------------------- */

/* Write `plan` at both ends, so that no backup saves what the primary breaks. */
static struct image *with_gpt(void (*spoil)(struct gpt_plan *plan))
{
	struct image *image = image_make(128 * MIB, NULL);
	struct gpt_plan plan = gpt_plan_of(image, 512);

	plan.ranges[0] = (struct gpt_range){ 2048, 4095 };
	spoil(&plan);
	image_put_protective_mbr(image);
	image_put_gpt(image, &plan);
	plan.header_lba = 128 * 2048 - 1;
	plan.alternate_lba = 1;
	if (plan.entries_lba == 2)
		plan.entries_lba = plan.header_lba - 32;
	image_put_gpt(image, &plan);
	return image;
}

static void nothing(struct gpt_plan *plan)
{
	(void)plan;
}

Test(part_hostile, s1_gpt_by_hand_is_good)
{
	IMAGE image = with_gpt(nothing);

	expect_table(image, "GPT 512: 1 1+1");
}

static void countless(struct gpt_plan *plan)
{
	plan->entry_count = UINT32_MAX;
}

Test(part_hostile, s1_gpt_of_four_billion_entries)
{
	IMAGE image = with_gpt(countless);

	expect_table(image, "EIO");
}

/* In range, and more than anyone needs. */
static void too_many(struct gpt_plan *plan)
{
	plan->entry_count = GPT_ARRAY_BYTES_MAX / GPT_ENTRY_BYTES + 1;
}

Test(part_hostile, s1_gpt_arrays_are_read_up_to_a_limit)
{
	IMAGE image = with_gpt(too_many);

	expect_table(image, "EIO");
	cr_expect_lt(image->longest_read_bytes, GPT_ARRAY_BYTES_MAX);
}

/* 128 * 2^25 is 2^32: zero in 32 bits. */
static void wrapping_count(struct gpt_plan *plan)
{
	plan->entry_count = (uint32_t)1 << 25;
}

Test(part_hostile, s1_gpt_whose_array_wraps)
{
	IMAGE image = with_gpt(wrapping_count);

	expect_table(image, "EIO");
}

static void no_entries(struct gpt_plan *plan)
{
	plan->entry_count = 0;
}

Test(part_hostile, s1_gpt_of_no_entries)
{
	IMAGE image = with_gpt(no_entries);

	expect_table(image, "EIO");
}

static void size_zero(struct gpt_plan *plan)
{
	plan->entry_size = 0;
}

Test(part_hostile, s1_gpt_entries_of_size_zero)
{
	IMAGE image = with_gpt(size_zero);

	expect_table(image, "EIO");
}

static void size_huge(struct gpt_plan *plan)
{
	plan->entry_size = UINT32_MAX;
}

Test(part_hostile, s1_gpt_entries_of_huge_size)
{
	IMAGE image = with_gpt(size_huge);

	expect_table(image, "EIO");
}

static void array_outside(struct gpt_plan *plan)
{
	plan->entries_lba = UINT64_MAX / 512 + 3; /* wraps to sector 2 in 64 bits */
}

Test(part_hostile, s1_gpt_array_out_of_range)
{
	IMAGE image = with_gpt(array_outside);

	expect_table(image, "EIO");
}

static void usable_without_end(struct gpt_plan *plan)
{
	plan->last_usable_lba = UINT64_MAX;
	plan->ranges[0].last_lba = UINT64_MAX;
}

Test(part_hostile, s1_gpt_usable_area_without_end)
{
	IMAGE image = with_gpt(usable_without_end);

	expect_table(image, "EIO");
}

static void odd_ranges(struct gpt_plan *plan)
{
	plan->ranges[0] = (struct gpt_range){ 4096, 4095 };
	plan->ranges[1] = (struct gpt_range){ 4096, 2048 };
	plan->ranges[2] = (struct gpt_range){ UINT64_MAX, 4096 };
	plan->ranges[3] = (struct gpt_range){ 4096, 6143 };
}

Test(part_hostile, s1_gpt_partitions_that_end_before_they_start)
{
	IMAGE image = with_gpt(odd_ranges);

	expect_table(image, "GPT 512: 4 2+1");
}

/* A truncated disk of 2^62 bytes, says its primary; no memory is taken for it. */
Test(part_hostile, s1_gpt_of_an_immense_disk)
{
	IMAGE image = image_make(64 * MIB, NULL);
	struct gpt_plan plan = gpt_plan_of(image, 512);

	plan.last_usable_lba = (uint64_t)1 << 53;
	plan.ranges[0] = (struct gpt_range){ 2048, plan.last_usable_lba };
	image_put_protective_mbr(image);
	image_put_gpt(image, &plan);
	expect_table(image, "GPT 512: 1 1+63");
}

static void named_backup(struct gpt_plan *plan)
{
	plan->alternate_lba = UINT64_MAX;
	plan->entry_size = 64;
}

Test(part_hostile, s1_gpt_backup_named_out_of_range)
{
	IMAGE image = with_gpt(named_backup);

	expect_table(image, "EIO");
}
