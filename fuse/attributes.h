/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attributes: what stat shows, with vfat's options applied.
 */
#pragma once

#include <sys/stat.h>

#include "cache/tree/cache.h"
#include "fuse/names/view.h"
#include "fuse/process/options.h"

void stat_of_attributes(const struct options *options, const struct cache_attributes *attributes, struct stat *st);

/* `id` is the inode number, in both. */
void stat_of_directory(const struct options *options, uint64_t id, int64_t modified_seconds, struct stat *st);
/* `source`: of the file in SOURCE. Its times are ours, no board's. */
void stat_of_own(const struct options *options, uint64_t id, const struct stat *source, struct stat *st);
void stat_of_link(const struct options *options, uint64_t id, const struct view_target *target, struct stat *st);

/* Files never change under their number: their attributes are good for ever. */
#define ATTRIBUTES_FOR_EVER 86400.0

/*
 * Those of directories come fresh with every lookup, and need to last just long
 * enough for the permission check that follows it (which would otherwise ask
 * again, and double the price of a path). Only the time stamp of a directory
 * that is held open can be seen to be this old.
 */
#define ATTRIBUTES_FOR_A_WALK 0.01
