/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_version_files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

const struct file small = { "SMALL   BIN", NULL, 0, { 2, 4, 3 }, 150000, 1, 1 };
const struct file other = { "OTHER   BIN", NULL, 1, { 6 }, 5000, 2, 1 };
const struct file empty = { "EMPTY   BIN", NULL, 2, { 0 }, 0, 0, 1 };

struct small_volume volume;
struct memory_device memory;
struct reader reader;
struct cache_node meanwhile;

void start_files_with(enum device_kind kind, uint64_t keep_limit_bytes, uint64_t budget_bytes)
{
	struct cache_settings settings = cache_settings_default;

	settings.keep_limit_bytes = keep_limit_bytes;
	settings.keep_bytes = budget_bytes;
	settings.temporary_directory = "/tmp";
	volume = small_volume_new(CLUSTER);
	small_volume_put(&volume, &small);
	small_volume_put(&volume, &other);
	small_volume_put(&volume, &empty);
	memory_device_init(&memory, kind, volume.bytes, volume.size_bytes);
	reader_init_device(&reader, &settings, &memory.device);
	reader.memory = &memory;
}

void start_files(enum device_kind kind)
{
	start_files_with(kind, 1 << 20, 1 << 20);
}

void end_files(void)
{
	struct cache_use use;

	/* What is large is given back by a thread. */
	cache_use(reader.cache, &use);
	for (int i = 0; i < 5000 && use.kept.memory_bytes + use.kept.file_bytes > 0; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		cache_use(reader.cache, &use);
	}
	cr_expect_eq(use.kept.memory_bytes + use.kept.file_bytes, 0, "bytes are kept for nobody");
	reader_end(&reader);
	cr_expect_eq(memory.closes, 1);
	small_volume_free(&volume);
}

struct cache_node look_up(const char *name)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, name, &node), 0, "%s is not found", name);
	return node;
}

struct cache_node open_file(const char *name)
{
	struct cache_node node = look_up(name);

	cr_assert_eq(reader_open(&reader, node.version), 0);
	return node;
}

void close_file(struct cache_node *node)
{
	cache_version_close(node->version);
	cache_version_put(node->version);
}

int read_at(struct cache_node *node, unsigned seed, uint64_t offset_bytes, size_t length_bytes)
{
	static unsigned char bytes[1 << 20];
	long got = reader_read(&reader, node->version, offset_bytes, length_bytes, bytes);

	if (got < 0)
		return (int)got;
	return (size_t)got == length_bytes && content_is(bytes, seed, offset_bytes, length_bytes) ? 0
												  : -EBADMSG;
}

void expect_fetch(const char *name, unsigned seed, uint64_t size_bytes)
{
	struct cache_attributes attributes;
	unsigned char *content;

	cr_assert_eq(reader_fetch(&reader, name, PIECE, &content, &attributes), 0);
	cr_expect_eq(attributes.size_bytes, size_bytes);
	cr_expect(content_is(content, seed, 0, size_bytes));
	free(content);
}

void overwrite_cluster(unsigned index, unsigned seed)
{
	uint64_t at = (uint64_t)index * CLUSTER;

	memory_device_write(&memory, small_volume_offset(&volume, small.clusters[index]),
			    content_of(seed) + at, min_u64(CLUSTER, small.size_bytes - at));
}

void overwrite(unsigned seed)
{
	for (unsigned i = 0; i < 3; i++)
		overwrite_cluster(i, seed);
}

void write_elsewhere(void)
{
	memory_device_write(&memory, small_volume_offset(&volume, 20), volume.bytes, 512);
}

void settle(void)
{
	memory.now_ns += 10 * SECOND;
}

void expect_kept(uint64_t memory_expected, uint64_t file_expected)
{
	struct cache_use all, own;

	cache_use(reader.cache, &all);
	cache_image_use(reader.image, &own);
	cr_expect_eq(all.kept.memory_bytes, memory_expected);
	cr_expect_eq(all.kept.file_bytes, file_expected);
	cr_expect_eq(own.kept.memory_bytes, memory_expected);
	cr_expect_eq(own.kept.file_bytes, file_expected);
}

void be_written(struct cache_node *node)
{
	int64_t start_ns = memory.now_ns;

	while (memory.now_ns - start_ns < 5 * SECOND / 2) {
		struct cache_op op = { .may_block = true }, keep = { .may_block = true };
		struct cache_bytes bytes;

		write_elsewhere();
		if (cache_version_read(node->version, &op, PIECE, node->attributes.size_bytes, &bytes) == 0)
			cache_bytes_release(&bytes);
		if (op.keep_wanted)
			cache_version_keep(node->version, &keep);
		memory.now_ns += 20 * MS;
	}
}
