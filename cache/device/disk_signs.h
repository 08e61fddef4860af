/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * disk_signs: what shows a change of a disk, by its kind (disk.h): events, ctime and size of a file; events and counters
 * of a block device; and what follows for an observation: a generation, whether it can be believed, how long it is quiet.
 *
 * For disk.c. Any thread; locks the disk.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cache_device;
struct cache_observation;
struct disk;

/* As `observe` of cache_device_ops. */
int disk_signs_observe(struct cache_device *device, bool may_block, int64_t since_ns, struct cache_observation *out);

/*
 * Before anybody observes it. How long a new disk has been quiet: a file's ctime tells; of a device nothing is known yet, so
 * it counts as changed now.
 */
void disk_signs_first_look(struct disk *disk);
