/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CONTRACT N1, N4: images without a table, what only looks like one, and what is no image. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "part_image.h"

Test(part_bare, n4_fat12)
{
	IMAGE image = image_make(4 * MIB, "mkfs.fat -F 12 $I");

	expect_table(image, "NONE 512: 0 0+4 fat");
	cr_expect_eq(image->read_count, 1);
}

Test(part_bare, n4_fat16)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat -F 16 $I");

	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n4_fat32)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat -F 32 -s 1 $I");

	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n4_fat_in_sectors_of_4096)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat -S 4096 $I");

	expect_table(image, "NONE 4096: 0 0+64 fat");
}

/* Both at once: the table's one entry is the FAT itself. */
Test(part_bare, n4_fat_with_a_table_that_covers_it)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat --mbr=y $I");

	expect_table(image, "NONE 512: 0 0+64 fat");
}

/* Both at once: what sfdisk leaves of an older FAT. Linux sees the table, libblkid the FAT. */
Test(part_bare, n4_table_around_a_left_over_fat)
{
	IMAGE image =
		image_make(64 * MIB, "mkfs.fat --mbr=n $I; printf 'label: dos\n2048,65536,c\n' | sfdisk $I");

	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat");
}

Test(part_bare, n4_fat_with_boot_code_where_a_table_would_be)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat --mbr=n $I");

	image_write(image, MBR_ENTRIES, "Invalid system disk. Replace the disk, and then press any key.  ",
		    64);
	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n4_fat_with_a_table_wholly_outside)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat --mbr=n $I");

	image_put_entry(image, 0, 0, 0x0c, 64 * 2048, 2048);
	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n4_fat_without_a_signature)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat $I");

	image_zero(image, MBR_SIGNATURE, 2);
	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n4_fat_with_a_protective_entry_but_no_gpt)
{
	IMAGE image = image_make(64 * MIB, "mkfs.fat --mbr=n $I");

	image_put_protective_mbr(image);
	expect_table(image, "NONE 512: 0 0+64 fat");
}

Test(part_bare, n1_nothing_is_no_image)
{
	IMAGE image = image_make(0, NULL);

	expect_table(image, "ENODATA");
	image_resize(image, 511);
	expect_table(image, "ENODATA");
	image_resize(image, 512);
	expect_table(image, "ENODATA");
	image_resize(image, 64 * MIB);
	expect_table(image, "ENODATA");
}

Test(part_bare, n1_text_and_archives_are_no_images)
{
	IMAGE text = image_make(8192, "yes 'A note about the images in this directory.' | head -c 8192 >$I");
	IMAGE archive = image_make(8192, "yes | head -c 1000000 | gzip >$I");
	IMAGE ext4 = image_make(64 * MIB, "mkfs.ext4 -q $I");

	expect_table(text, "ENODATA");
	expect_table(archive, "ENODATA");
	expect_table(ext4, "ENODATA");
}

/* Their boot sectors have an MBR's signature, and text or nothing where its entries would be. */
Test(part_bare, n1_unpartitioned_volumes_of_others_are_no_images)
{
	static const char *const beginnings[] = { "\xeb\x52\x90NTFS    ", "\xeb\x76\x90\x45XFAT   ",
						  "\xeb\x58\x90-FVE-FS-", "\xe9\x10\x01OTHER   " };
	IMAGE image = image_make(64 * MIB, NULL);

	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		image_write(image, 0, beginnings[i], 11);
		image_write(image, MBR_SIGNATURE, "\x55\xaa", 2);
		expect_table(image, "ENODATA");
	}
	/* Partitioned later, with the old boot code left around the table. */
	image_put_entry(image, 0, 0, 0x0c, 2048, 65536);
	image_put_fat(image, 1 * MIB, 32 * MIB);
	expect_table(image, "MBR 512: 1 1+32 fat");
}

Test(part_bare, n1_random_bytes_are_no_image)
{
	IMAGE image = image_make(64 * 1024, NULL);
	uint32_t state = 1;

	for (int round = 0; round < 300; round++) {
		unsigned char bytes[4096];

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (unsigned char)((state = state * 1664525 + 1013904223) >> 24);
		image_write(image, 0, bytes, sizeof(bytes));
		expect_table(image, "ENODATA");
	}
}
