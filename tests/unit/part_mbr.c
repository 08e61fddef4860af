/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT N3, N4: MBR images as tools make them, and the numbers Linux gives. */
#include <criterion/criterion.h>

#include "part_image.h"

Test(part_mbr, n4_one_fat)
{
	IMAGE image = image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n,,83\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat, 2 33+95");
}

Test(part_mbr, n4_logical_partitions_count_from_five)
{
	IMAGE image = image_make(256 * MIB, "printf 'label: dos\n2048,65536,83\n67584,,f\n69632,65536,c\n"
					    "137216,65536,83\n204800,65536,c\n' | sfdisk $I");

	image_put_fat(image, 34 * MIB, 32 * MIB);
	image_put_fat(image, 100 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+32, 5 34+32 fat, 6 67+32, 7 100+32 fat");
}

Test(part_mbr, n3_empty_slots_keep_their_numbers)
{
	IMAGE image = image_make(64 * MIB, "printf 'label: dos\\n/1: start=2048, size=2048, type=83\\n"
					   "/4: start=4096, size=65536, type=c\\n' | sfdisk $I");

	image_put_fat(image, 2 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+1, 4 2+32 fat");
}

Test(part_mbr, n4_content_counts_and_not_the_type)
{
	IMAGE image =
		image_make(64 * MIB, "printf 'label: dos\n2048,32768,83\n34816,32768,c\n67584,2048,c\n' |"
				     "sfdisk $I; mkfs.ext4 -q -E offset=17825792 $I 16384");

	image_put_fat(image, 1 * MIB, 16 * MIB);
	expect_table(image, "MBR 512: 1 1+16 fat, 2 17+16, 3 33+1");
}

Test(part_mbr, n4_sectors_of_4096)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_fat(image, 8 * MIB, 32 * MIB);
	image_put_entry(image, 0, 0, 0x0c, 2048, 8192);
	image_put_entry(image, 0, 1, 0x83, 10240, 2048);
	expect_table(image, "MBR 4096: 1 8+32 fat, 2 40+8");
	expect_table_hint(image, 4096, "MBR 4096: 1 8+32 fat, 2 40+8");
	expect_table_hint(image, 512, "MBR 4096: 1 8+32 fat, 2 40+8");
}

Test(part_mbr, n4_logical_partitions_in_sectors_of_4096)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 1, 0x05, 256, 32512);
	image_put_entry(image, 1 * MIB, 0, 0x83, 256, 1024);
	image_put_entry(image, 1 * MIB, 1, 0x05, 2304, 16384);
	image_put_entry(image, 10 * MIB, 0, 0x0c, 256, 8192);
	image_put_fat(image, 11 * MIB, 32 * MIB);
	expect_table(image, "MBR 4096: 5 2+4, 6 11+32 fat");
}

Test(part_mbr, n4_without_a_fat_the_hint_decides_the_unit)
{
	IMAGE image = image_make(128 * MIB, "printf 'label: dos\n2048,2048,83\n' | sfdisk $I");

	expect_table(image, "MBR 512: 1 1+1");
	expect_table_hint(image, 4096, "MBR 4096: 1 8+8");
	expect_table_hint(image, 520, "MBR 512: 1 1+1");
}

Test(part_mbr, n4_a_fat_at_the_other_unit_beats_the_hint)
{
	IMAGE image = image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table_hint(image, 4096, "MBR 512: 1 1+32 fat");
}

Test(part_mbr, n4_truncated_images_are_cut)
{
	IMAGE image =
		image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n67584,65536,83\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	image_resize(image, 50 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat, 2 33+17");
	image_resize(image, 33 * MIB + 100);
	expect_table(image, "MBR 512: 1 1+32 fat, 2 33+100B");
	image_resize(image, 33 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat");
}

/* libblkid alone gives the whole table up: its nested BSD label would lie outside. */
Test(part_mbr, n4_a_bsd_partition_beyond_the_end_hides_no_other)
{
	IMAGE image =
		image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n67584,65536,a5\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	image_resize(image, 50 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat, 2 33+17");
}

Test(part_mbr, n4_a_table_without_partitions_is_a_table)
{
	IMAGE image = image_make(64 * MIB, "printf 'label: dos\n' | sfdisk $I");

	expect_table(image, "MBR 512");
}

/* 4 TB disks in USB cases have 4096-byte sectors and an MBR: libblkid's 32 bits wrap on them. */
Test(part_mbr, n4_beyond_two_tebibytes_in_sectors_of_4096)
{
	IMAGE image = image_make(8192 * 1024 * MIB, NULL);

	image_put_entry(image, 0, 0, 0x0c, 256, 8192);
	image_put_entry(image, 0, 1, 0x83, 16384, 0x30000000);
	image_put_entry(image, 0, 2, 0x0c, 0x30004000, 8192);
	image_put_fat(image, 1 * MIB, 32 * MIB);
	image_put_fat(image, 3145792 * MIB, 32 * MIB);
	expect_table(image, "MBR 4096: 1 1+32 fat, 2 64+3145728, 3 3145792+32 fat");
}

/* Linux numbers them all; libblkid leaves out what begins where another one does, and moves the others up. */
Test(part_mbr, n3_a_logical_partition_that_begins_where_another_does_keeps_its_number)
{
	IMAGE image = image_make(128 * MIB, NULL);

	image_put_entry(image, 0, 0, 0x0c, 64 * 2048, 32 * 2048);
	image_put_entry(image, 0, 1, 0x05, 2048, 126 * 2048);
	image_put_entry(image, MIB, 0, 0x0c, 63 * 2048, 16 * 2048); /* where the first one does */
	image_put_entry(image, MIB, 1, 0x05, 2048, 2048);
	image_put_entry(image, 2 * MIB, 0, 0x0c, 2048, 8 * 2048);
	image_put_entry(image, 2 * MIB, 1, 0x05, 2 * 2048, 2048);
	image_put_entry(image, 3 * MIB, 0, 0x0c, 0, 4 * 2048); /* at its own EBR, in its container */
	image_put_entry(image, 3 * MIB, 1, 0x05, 20 * 2048, 2048);
	image_put_entry(image, 21 * MIB, 0, 0x83, 2048, 8 * 2048);
	image_put_fat(image, 64 * MIB, 16 * MIB);
	image_put_fat(image, 22 * MIB, 8 * MIB);
	expect_table(image, "MBR 512: 1 64+32 fat, 5 64+16 fat, 6 3+8, 7 3+4, 8 22+8 fat");
}

Test(part_mbr, cost_a_table_takes_one_read_and_one_for_each_partition)
{
	IMAGE image = image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n,,83\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat, 2 33+95");
	cr_expect_eq(image->read_count, 3);
}

static void expect_failure_passed_on(struct image *image, uint64_t offset_bytes, const char *expected)
{
	image->fail_offset_bytes = offset_bytes;
	image->fail_with = -EAGAIN;
	expect_table(image, "EAGAIN");
	image->fail_with = -EIO;
	expect_table(image, "EIO");
	image->fail_with = -ESTALE;
	expect_table(image, "ESTALE");
	image->fail_with = 0;
	expect_table(image, expected);
}

Test(part_mbr, e_failures_of_the_source_are_passed_on)
{
	const char *expected = "MBR 512: 1 1+32 fat, 5 65+1";
	IMAGE image = image_make(128 * MIB, "printf 'label: dos\n2048,65536,c\n131072,,f\n133120,2048,83\n' |"
					    "sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_failure_passed_on(image, 0, expected);
	expect_failure_passed_on(image, 1 * MIB, expected);
	expect_failure_passed_on(image, 64 * MIB, expected);
	expect_failure_passed_on(image, 65 * MIB, expected);
}
