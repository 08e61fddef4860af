/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* fat/boot.c: what is a FAT, and where is what on it. */
#include <criterion/criterion.h>

#include "base/bytes.h"
#include "fat_image.h"

static int read_again(struct fat_image *image)
{
	return fat_volume_read(&image->source, &image->volume);
}

static struct fat_volume volume_of(struct fat_image_shape shape)
{
	struct fat_image *image = fat_image_new(shape);
	struct fat_volume volume = image->volume;

	fat_image_free(image);
	return volume;
}

Test(fat_boot, accepts_what_linux_accepts_without_signature_jump_or_type_string)
{
	struct fat_volume volume = volume_of((struct fat_image_shape){ .type = 16, .clusters = 5000 });

	cr_assert_eq(volume.type, FAT_TYPE_16);
	cr_assert_eq(volume.cluster_count, 5000);
	cr_assert_eq(volume.cluster_bytes, 512);
	cr_assert_eq(volume.fat_offset_bytes, 512);
	cr_assert_eq(volume.root_offset_bytes, volume.fat_offset_bytes + 2 * volume.fat_length_bytes);
	cr_assert_eq(volume.root_entry_count, 128);
	cr_assert_eq(volume.data_offset_bytes, volume.root_offset_bytes + 128 * 32);
	cr_assert_eq(volume.root_cluster, 0);
}

struct bad_field {
	const char *what;
	int offset, bytes;
	uint32_t value;
};

Test(fat_boot, refuses_what_linux_refuses)
{
	static const struct bad_field bad[] = {
		{ "sector size 0", 11, 2, 0 },
		{ "sector size 256", 11, 2, 256 },
		{ "sector size 513", 11, 2, 513 },
		{ "sector size 8192", 11, 2, 8192 },
		{ "no sectors per cluster", 13, 1, 0 },
		{ "3 sectors per cluster", 13, 1, 3 },
		{ "no reserved sectors", 14, 2, 0 },
		{ "no FAT", 16, 1, 0 },
		{ "root not whole sectors", 17, 2, 15 },
		{ "media 0", 21, 1, 0 },
		{ "media 0xF7", 21, 1, 0xF7 },
		{ "media 0xF1", 21, 1, 0xF1 },
		{ "FAT size 0", 22, 2, 0 },
		{ "data area beyond the end", 19, 2, 5 },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 12 });

		for (int b = 0; b < bad[i].bytes; b++)
			image->bytes[bad[i].offset + b] = (unsigned char)(bad[i].value >> 8 * b);
		cr_expect_eq(read_again(image), -EINVAL, "%s", bad[i].what);
		fat_image_free(image);
	}
}

Test(fat_boot, accepts_every_media_byte_that_linux_accepts)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 12 });

	for (unsigned media = 0; media < 256; media++) {
		image->bytes[21] = (unsigned char)media;
		cr_expect_eq(read_again(image), media == 0xF0 || media >= 0xF8 ? 0 : -EINVAL, "0x%02x",
			     media);
	}
	fat_image_free(image);
}

Test(fat_boot, type_changes_above_4084_clusters_and_fat16_ends_at_65524)
{
	cr_assert_eq(volume_of((struct fat_image_shape){ .type = 12, .clusters = 4084 }).type, FAT_TYPE_12);
	cr_assert_eq(volume_of((struct fat_image_shape){ .type = 16, .clusters = 4085 }).type, FAT_TYPE_16);

	struct fat_volume largest =
		volume_of((struct fat_image_shape){ .type = 16, .clusters = 65524, .present_clusters = 1 });
	struct fat_image *beyond = fat_image_new((struct fat_image_shape){
		.type = 16, .clusters = 65525, .present_clusters = 1, .fat_sectors = 257 });

	cr_assert_eq(largest.type, FAT_TYPE_16);
	cr_assert_eq(largest.cluster_count, 65524);
	cr_assert_eq(read_again(beyond), -EINVAL);
	fat_image_free(beyond);
}

Test(fat_boot, type_counts_the_room_and_not_what_the_fat_has_entries_for)
{
	/* Room for 5000 makes it FAT16, though one sector of FAT has 256 entries. */
	struct fat_volume volume =
		volume_of((struct fat_image_shape){ .type = 16, .clusters = 5000, .fat_sectors = 1 });

	cr_assert_eq(volume.type, FAT_TYPE_16);
	cr_assert_eq(volume.cluster_count, 254);
}

Test(fat_boot, clusters_are_cut_to_the_entries_of_the_fat)
{
	/* 512 bytes hold 341 whole entries of 12 bits. */
	cr_assert_eq(volume_of((struct fat_image_shape){ .type = 12, .clusters = 1000, .fat_sectors = 1 })
			     .cluster_count,
		     339);
	cr_assert_eq(volume_of((struct fat_image_shape){ .type = 32, .clusters = 1000, .fat_sectors = 1 })
			     .cluster_count,
		     126);
}

Test(fat_boot, fat32_is_decided_by_the_fat_size_field_alone)
{
	struct fat_volume volume = volume_of((struct fat_image_shape){ .type = 32, .clusters = 20 });

	cr_assert_eq(volume.type, FAT_TYPE_32);
	cr_assert_eq(volume.cluster_count, 20);
	cr_assert_eq(volume.root_cluster, 2);
	cr_assert_eq(volume.root_entry_count, 0);
	cr_assert_eq(volume.root_offset_bytes, 0);
}

Test(fat_boot, every_sector_and_cluster_size_is_laid_out)
{
	for (uint32_t sector = 512; sector <= 4096; sector *= 2) {
		for (uint32_t per_cluster = 1; per_cluster <= 128; per_cluster *= 2) {
			struct fat_volume volume =
				volume_of((struct fat_image_shape){ .type = 32,
								    .clusters = 10,
								    .sector_bytes = sector,
								    .sectors_per_cluster = per_cluster });

			cr_assert_eq(volume.sector_bytes, sector);
			cr_assert_eq(volume.cluster_bytes, sector * per_cluster);
			cr_assert_eq(volume.fat_offset_bytes, 32 * sector);
			cr_assert_eq(volume.cluster_count, 10);
			cr_assert_eq(fat_cluster_offset_bytes(&volume, 3),
				     volume.data_offset_bytes + sector * per_cluster);
		}
	}
}

Test(fat_boot, a_fat_or_root_that_is_cut_off_is_an_io_error)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 16, .clusters = 5000 });

	image->source.size_bytes = 511;
	cr_assert_eq(read_again(image), -EIO);
	image->source.size_bytes = image->fat_offset + image->volume.fat_length_bytes - 1;
	cr_assert_eq(read_again(image), -EIO);
	image->source.size_bytes = image->data_offset - 1;
	cr_assert_eq(read_again(image), -EIO);
	image->source.size_bytes = image->data_offset;
	cr_assert_eq(read_again(image), 0, "a truncated data area serves what it has");
	fat_image_free(image);

	image = fat_image_new((struct fat_image_shape){ .type = 32 });
	image->source.size_bytes = image->fat_offset + image->volume.fat_length_bytes;
	cr_assert_eq(read_again(image), 0);
	image->source.size_bytes--;
	cr_assert_eq(read_again(image), -EIO);
	fat_image_free(image);
}

Test(fat_boot, a_fat32_root_that_is_no_cluster_is_an_io_error)
{
	static const uint32_t roots[] = { 0, 1, 102, 0x0FFFFFFF, 0xFFFFFFFF };
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 32 });

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		put_le32(image->bytes + 44, roots[i]);
		cr_expect_eq(read_again(image), -EIO, "root cluster %u", roots[i]);
	}
	put_le32(image->bytes + 44, 101);
	cr_assert_eq(read_again(image), 0);
	fat_image_free(image);
}

Test(fat_boot, a_volume_without_a_data_cluster_is_one)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 12 });

	put_le16(image->bytes + 19, (uint16_t)(image->data_offset / 512));
	cr_assert_eq(read_again(image), 0);
	cr_assert_eq(image->volume.cluster_count, 0);
	put_le16(image->bytes + 19, (uint16_t)(image->data_offset / 512 - 1));
	cr_assert_eq(read_again(image), -EINVAL);
	fat_image_free(image);
}

Test(fat_boot, the_largest_numbers_do_not_wrap_around)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 32 });
	unsigned char *boot = image->bytes;

	put_le16(boot + 11, 4096);
	boot[13] = 128;
	put_le16(boot + 14, 0xFFFF);
	boot[16] = 255;
	put_le32(boot + 32, 0xFFFFFFFF);
	put_le32(boot + 36, 0xFFFFFFFF);
	cr_assert_eq(read_again(image), -EINVAL);
	boot[16] = 1;
	put_le32(boot + 36, 0xFFFFFFFF - 0xFFFF);
	cr_assert_eq(read_again(image), -EIO, "no room for data, and the FAT is not there");
	fat_image_free(image);
}

Test(fat_boot, identity_is_id_and_label_where_the_signature_says_so)
{
	for (int type = 16; type <= 32; type += 16) {
		struct fat_image *image =
			fat_image_new((struct fat_image_shape){ .type = type, .clusters = 5000 });
		unsigned char *extended = image->bytes + (type == 32 ? 66 : 38);

		put_le32(extended + 1, 0xCAFEF00D);
		memcpy(extended + 5, "boot\x01\xFF     ", 11);
		cr_assert_eq(read_again(image), 0);
		cr_assert_eq(image->volume.volume_id, type == 32 ? 0xCAFEF00D : 0); /* as blkid */
		cr_assert_str_eq(image->volume.label, "");
		extended[0] = 0x28;
		cr_assert_eq(read_again(image), 0);
		cr_assert_eq(image->volume.volume_id, 0xCAFEF00D);
		cr_assert_str_eq(image->volume.label, "");
		extended[0] = 0x29;
		cr_assert_eq(read_again(image), 0);
		cr_assert_str_eq(image->volume.label, "boot?\u00A0");
		memcpy(extended + 5, "NO NAME    ", 11);
		cr_assert_eq(read_again(image), 0);
		cr_assert_str_eq(image->volume.label, "");
		memcpy(extended + 5, "ELEVENCHARS", 11);
		cr_assert_eq(read_again(image), 0);
		cr_assert_str_eq(image->volume.label, "ELEVENCHARS");
		fat_image_free(image);
	}
}

Test(fat_boot, mounting_is_no_mkfs_but_mkfs_is)
{
	for (int type = 16; type <= 32; type += 16) {
		struct fat_image *image =
			fat_image_new((struct fat_image_shape){ .type = type, .clusters = 5000 });
		struct fat_volume before = image->volume;

		cr_assert_not(before.dirty);
		image->bytes[type == 32 ? 0x41 : 0x25] = 1;
		cr_assert_eq(read_again(image), 0);
		cr_assert(image->volume.dirty);
		cr_assert(fat_volume_equal(&before, &image->volume));
		image->bytes[type == 32 ? 66 : 38] = 0x29;
		put_le32(image->bytes + (type == 32 ? 67 : 39), 7);
		cr_assert_eq(read_again(image), 0);
		cr_assert_not(fat_volume_equal(&before, &image->volume));
		fat_image_free(image);
	}
}

Test(fat_boot, reads_the_boot_sector_alone_and_passes_the_sources_errors_on)
{
	struct fat_image *image = fat_image_new((struct fat_image_shape){ .type = 32, .sector_bytes = 4096 });

	cr_assert_eq(read_again(image), 0);
	cr_assert_eq(image->reads, 1);
	cr_assert_eq(image->highest_end, 512);
	image->fail_with = -EAGAIN;
	cr_assert_eq(read_again(image), -EAGAIN);
	fat_image_free(image);
}
