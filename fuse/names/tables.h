/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tables: which FAT partitions images that rest have, for a listing of all of them (N3).
 *
 * An image is opened, watched and listened to for those who read from it. A listing of ten
 * thousand wants one look at the partition table of each, and next time most of them are as
 * they were. So the table of a closed image that rests is read through a descriptor of its own,
 * and what the last listing found is remembered by what stat(2) says of the file.
 *
 * Why nothing old is told (C1)
 *   What is read now is read after the listing began, through the page cache, which has every
 *   write that was answered before. Two looks around it show that it is of one moment, and
 *   ctime that there was no write for WAIT_CTIME_LAG_NS; what is being written is left to the
 *   image itself, which waits for it.
 *   What is remembered rests on this: whoever writes changes ctime, not later than the bytes, but
 *   for what was under way then: a request that its storage has not answered yet, or a page
 *   that somebody has mapped and that is dirty already. Neither lasts for WAIT_TABLE_REST_NS, so
 *   that a file that had rested for so long when it was read shows each later write by its
 *   ctime. stat(2) is asked in each listing, and of a file that was replaced, too.
 *   Only on the filesystems of disk.h, and not when nothing is to be believed (changes=none).
 *   One writer is known that leaves ctime as it is for a time: knfsd from Linux 6.17 on, for a client
 *   that has a write delegation with timestamps of its own. It ends when the image is next opened by anybody
 *   else; until then a partition that such a client made may be missing in the list. It can be asked for.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* FAT partitions of one image that are listed; all can be asked for. */
#define TABLES_LISTED_MAX 64

/* A file, at one time. */
struct tables_file {
	dev_t device;
	ino_t inode;
	off_t size_bytes;
	int64_t ctime_ns;
};

/* Of one image. Zero is of none. */
struct tables_of {
	bool rests; /* it may be remembered, of */
	struct tables_file file;
	unsigned *numbers; /* of its FAT partitions, ascending; NULL: there is no more than one */
	size_t count;
};

/* What one listing found, counted; constant. Bounded by the names in SOURCE. */
struct tables_found;

struct kernel_events;

/* What the last one found. Thread-safe; never blocks for an image. */
struct tables;

/*
 * `believed`: may a file be believed to be what it was? `kernel`, which listens to the files, is borrowed, or NULL.
 * NULL: no memory.
 */
struct tables *tables_new(bool believed, struct kernel_events *kernel);

/* A use of what the last listing found, or NULL; for tables_put. */
struct tables_found *tables_last(struct tables *tables);
void tables_put(struct tables_found *found); /* NULL is fine */

/* Is the file that `st` describes now as it was? Then *of is a copy of what was found, whose numbers are the caller's. */
bool tables_find(const struct tables_found *found, const struct stat *st, struct tables_of *of);

/*
 * Read the table of the file of that name in SOURCE, links followed, that `st` describes. *of as above. Blocks, as
 * long as its storage does. False: it does not rest, or something is wrong with it, for the image itself to say.
 */
bool tables_read(const struct tables *tables, const char *file, const struct stat *st, struct tables_of *of);

/* A listing found these: from now on they are the last. Copies what rests; without memory nothing is remembered. */
void tables_keep(struct tables *tables, const struct tables_of *const *all, size_t count);
