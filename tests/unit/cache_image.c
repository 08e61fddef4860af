/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cache/tree/image.c and cache/tree/volume.c: images whose tables and file systems change under us. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "cache_reader.h"
#include "cache_volume.h"

#define FIRST (64U << 10)
#define SECOND_PART (512U << 10)
#define IMAGE_BYTES (1U << 20)

static const struct file config = { "CONFIG  TXT", NULL, 0, { 2 }, 1000, 1, 1 };
static const struct file notes = { "NOTES   TXT", NULL, 1, { 3, 4 }, 4000, 2, 1 };

static unsigned char *bytes;
static struct memory_device memory;
static struct reader reader;

static void put_partition(unsigned index, uint32_t offset_bytes, uint32_t length_bytes)
{
	unsigned char *entry = bytes + 446 + 16 * index;

	entry[4] = length_bytes ? 0x0C : 0;
	put_le32(entry + 8, offset_bytes / 512);
	put_le32(entry + 12, length_bytes / 512);
	put_le16(bytes + 510, 0xAA55);
}

/* A volume with `file` and with the notes, or without files. */
static void put_volume(uint32_t offset_bytes, uint32_t cluster_bytes, const struct file *file)
{
	struct small_volume volume = small_volume_new(cluster_bytes);

	if (file) {
		small_volume_put(&volume, file);
		small_volume_put(&volume, &notes);
	}
	memcpy(bytes + offset_bytes, volume.bytes, volume.size_bytes);
	small_volume_free(&volume);
}

static void changed(void)
{
	memory_device_write(&memory, 0, bytes, 1);
}

static void settle(void)
{
	memory.now_ns += 10 * SECOND;
}

static void start_empty(void)
{
	bytes = calloc(1, IMAGE_BYTES);
	memory_device_init(&memory, DEVICE_EVENTS, bytes, IMAGE_BYTES);
	reader_init(&reader, &memory);
}

/* Two FATs, the first with a Pi's boot files. */
static void start(void)
{
	start_empty();
	put_partition(0, FIRST, 256 << 10);
	put_partition(1, SECOND_PART, 256 << 10);
	put_volume(FIRST, 4096, &config);
	put_volume(SECOND_PART, 2048, NULL);
}

static void end(void)
{
	reader_end(&reader);
	cr_expect_eq(memory.closes, 1);
	free(bytes);
}

static struct cache_node look_up(const char *path)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, path, &node), 0, "%s is not found", path);
	return node;
}

static int error_of(const char *path)
{
	struct cache_node node;
	int error = reader_walk(&reader, path, &node);

	if (error == 0)
		node_put_any(&node);
	return error;
}

static int root_error(unsigned number)
{
	struct cache_dir *root;
	int error = reader_root(&reader, number, &root);

	if (error == 0)
		cache_dir_put(root);
	return error;
}

static uint64_t id_of(const char *path)
{
	struct cache_node node = look_up(path);

	node_put_any(&node);
	return node.attributes.id;
}

Test(cache_image, n3_all_fat_partitions_are_known_by_number)
{
	unsigned numbers[4];
	size_t total;

	start();
	put_partition(2, 960 << 10, 4096); /* no FAT */
	cr_assert_eq(reader_partitions(&reader, numbers, 4, &total), 0);
	cr_assert_eq(total, 2);
	cr_expect_eq(numbers[0], 1);
	cr_expect_eq(numbers[1], 2);
	cr_assert_eq(reader_partitions(&reader, numbers, 1, &total), 0);
	cr_expect_eq(total, 2);
	cr_expect_eq(root_error(1), 0);
	cr_expect_eq(root_error(2), 0);
	cr_expect_eq(root_error(3), -ENOENT);
	cr_expect_eq(root_error(4), -ENOENT);
	end();
}

Test(cache_image, n1_what_is_no_image_says_so)
{
	unsigned numbers[4];
	size_t total;

	start_empty();
	cr_expect_eq(reader_partitions(&reader, numbers, 4, &total), -ENODATA);
	cr_expect_eq(error_of("config.txt"), -EIO);
	cr_expect_not_null(cache_image_problem(reader.image));
	put_volume(0, 4096, &config);
	changed();
	settle();
	cr_assert_eq(reader_partitions(&reader, numbers, 4, &total), 0);
	cr_expect_eq(total, 1);
	cr_expect_eq(numbers[0], 0);
	cr_expect_eq(error_of("config.txt"), 0);
	cr_expect_null(cache_image_problem(reader.image));
	end();
}

Test(cache_image, c8_growpart_changes_nothing_that_is_seen)
{
	struct cache_node node;
	uint64_t root;

	start();
	root = id_of("");
	node = look_up("notes.txt");
	cr_expect_eq(reader_open(&reader, node.version), 0);
	put_partition(0, FIRST, 448 << 10);
	changed();
	cr_expect_eq(id_of(""), root);
	cr_expect_eq(id_of("notes.txt"), node.attributes.id);
	cr_expect_eq(reader_open(&reader, node.version), 0);
	cache_version_close(node.version);
	cache_version_close(node.version);
	node_put_any(&node);
	end();
}

Test(cache_image, c8_mkfs_in_place_is_another_file_system)
{
	static unsigned char content[4000];
	struct cache_node root, node, child;

	start();
	root = look_up("");
	node = look_up("notes.txt");
	cr_expect_eq(reader_open(&reader, node.version), 0);
	cr_expect_eq(reader_read(&reader, node.version, 0, 100, content), 100);
	put_volume(FIRST, 8192, &config);
	changed();
	settle();
	cr_expect_neq(id_of(""), root.attributes.id);
	cr_expect_neq(id_of("notes.txt"), node.attributes.id);
	cr_expect_eq(reader_lookup(&reader, root.dir, "notes.txt", &child), -ESTALE);
	cr_expect_eq(reader_read(&reader, node.version, 0, 4000, content), -ESTALE);
	cr_expect_eq(reader_open(&reader, node.version), -ESTALE);
	cache_version_close(node.version);
	node_put_any(&node);
	node_put_any(&root);
	end();
}

Test(cache_image, c8_a_partition_that_moves_is_another_file_system)
{
	uint64_t root;

	start();
	root = id_of("");
	put_volume(SECOND_PART, 4096, &config);
	put_partition(0, SECOND_PART, 256 << 10);
	put_partition(1, FIRST, 256 << 10);
	memset(bytes + FIRST, 0, 512);
	changed();
	settle();
	cr_expect_neq(id_of(""), root);
	cr_expect_eq(error_of("config.txt"), 0);
	end();
}

Test(cache_image, c6_a_partition_is_only_absent_when_that_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	uint64_t id;

	start();
	id = id_of("");
	cr_expect_eq(root_error(2), 0);
	settle();
	put_partition(1, 0, 0);
	changed();
	cr_expect_eq(cache_image_root(reader.image, &op, 2, &root), -EINPROGRESS);
	cr_expect_eq(root_error(2), -ENOENT);
	cr_expect_gt(reader.waited_ns, 150 * MS);
	cr_expect_eq(id_of(""), id);
	put_partition(1, SECOND_PART, 256 << 10);
	changed();
	cr_expect_eq(root_error(2), 0);
	end();
}

Test(cache_image, n4_the_boot_partition_is_chosen_anew_when_that_has_lasted)
{
	struct cache_op op = { .may_block = true };
	struct cache_dir *root;
	uint64_t first, second;

	start();
	cr_expect_eq(root_error(2), 0);
	first = id_of("");
	settle();
	bytes[FIRST + VOLUME_ROOT_OFFSET] = 0xE5; /* config.txt goes, */
	changed();
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), 0);
	cache_dir_put(root);
	put_volume(SECOND_PART, 2048, &config); /* and comes in the other */
	changed();
	cr_expect_eq(cache_image_root(reader.image, &op, CACHE_PARTITION_BOOT, &root), -EINPROGRESS);
	second = id_of("");
	cr_expect_neq(second, first);
	cr_expect_eq(error_of("config.txt"), 0);
	put_volume(FIRST, 4096, &config);
	changed();
	cr_expect_eq(id_of(""), first);
	end();
}

Test(cache_image, c8_an_image_cut_short_is_an_error_until_it_is_whole_again)
{
	uint64_t id;

	start();
	id = id_of("notes.txt");
	memory_device_resize(&memory, bytes, 100);
	settle();
	cr_expect_eq(error_of("notes.txt"), -EIO);
	memory_device_resize(&memory, bytes, 0);
	settle();
	cr_expect_eq(error_of("notes.txt"), -EIO);
	memory_device_resize(&memory, bytes, FIRST + 6000);
	settle();
	cr_expect_eq(error_of("notes.txt"), -EIO);
	memory_device_resize(&memory, bytes, IMAGE_BYTES);
	settle();
	cr_expect_eq(error_of("notes.txt"), 0);
	cr_expect_geq(id_of("notes.txt"), id);
	end();
}

Test(cache_image, c4_nothing_is_read_of_an_image_at_rest)
{
	start();
	id_of("notes.txt");
	memory_device_reset_counts(&memory);
	id_of("notes.txt");
	cr_expect_eq(root_error(1), 0);
	cr_expect_eq(memory_device_reads(&memory), 0);
	end();
}

/* The end moves between an observation and the read that trusted it. */
static void cut_now(struct memory_device *self)
{
	if (self->block_reads == 0)
		return;
	self->turn = NULL;
	memory_device_resize(self, bytes, 1000);
}

Test(cache_image, c8_an_end_that_moves_during_a_look_is_looked_at_again)
{
	start();
	memory.turn = cut_now;
	cr_expect_eq(error_of("notes.txt"), -EIO);
	memory_device_resize(&memory, bytes, IMAGE_BYTES);
	settle();
	cr_expect_eq(error_of("notes.txt"), 0);
	end();
}

Test(cache_image, c3_ids_only_grow)
{
	uint64_t last = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t id = cache_next_id();

		cr_assert_gt(id, last);
		last = id;
	}
	cr_expect_gt(last >> 20, 1500000000, "ids do not start from the clock");
}
