/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache_dir_volume.h"

#include <criterion/criterion.h>

const struct file config = { "CONFIG  TXT", NULL, 0, { 2 }, 1000, 1, 100 };
const struct file kernel = { "KERNEL  IMG", "kernel8-long-name.img", 1, { 3, 4 }, 5000, 2, 200 };
const struct file other = { "OTHER   TXT", NULL, 5, { 5 }, 10, 3, 300 };

struct small_volume volume;
struct memory_device memory;
struct reader reader;

void start_volume(enum device_kind kind)
{
	volume = small_volume_new(4096);
	small_volume_put(&volume, &config);
	small_volume_put(&volume, &kernel);
	small_volume_put_directory(&volume, 4, "OVERLAYS   ", 9);
	small_volume_put_in(&volume, 9, &(struct file){ "A       DTB", NULL, 2, { 10 }, 300, 7, 0 });
	memory_device_init(&memory, kind, volume.bytes, volume.size_bytes);
	reader_init(&reader, &memory);
}

void end_volume(void)
{
	reader_end(&reader);
	cr_expect_eq(memory.closes, 1);
	small_volume_free(&volume);
}

uint64_t id_of(const char *path)
{
	struct cache_node node;

	cr_assert_eq(reader_walk(&reader, path, &node), 0, "%s is not found", path);
	node_put_any(&node);
	return node.attributes.id;
}

int error_of(const char *path)
{
	struct cache_node node;
	int error = reader_walk(&reader, path, &node);

	if (error == 0)
		node_put_any(&node);
	return error;
}

void changed(void)
{
	memory_device_write(&memory, 0, volume.bytes, 1);
}

void settle(void)
{
	memory.now_ns += 10 * SECOND;
}
