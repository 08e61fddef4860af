/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_bytes: reading a disk. The page cache is read where it is the file, which is a local one's; what it misses of
 * file data, and all of the other kinds (disk.h), by O_DIRECT, through a second descriptor that is opened with the
 * first such read. Before that comes what was read ahead for this call (ahead.h), or another image has of the same
 * blocks (clone.h).
 *
 * For disk.c: as the functions of cache_device_ops. Any thread; no lock of the disk is taken.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_device;
struct cache_piece;

int disk_bytes_prepare(struct cache_device *device, int64_t since_ns, int64_t until_ns);
int disk_bytes_read_blocks(struct cache_device *device, bool may_block, uint64_t offset_bytes, void *buffer,
			   size_t length_bytes);
int disk_bytes_read_pieces(struct cache_device *device, struct cache_piece *pieces, size_t count);
void disk_bytes_will_need(struct cache_device *device, uint64_t offset_bytes, uint64_t length_bytes);
