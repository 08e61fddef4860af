/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clone: an image that may share blocks with others (reflinks on xfs and btrfs), and how such blocks are read once for
 * all of them.
 *
 * Boards are cloned from a template: `cp --reflink`. To the kernel each clone is a file with a page cache of its own, so
 * that sixty-four of them, cold, read the same blocks of the disk sixty-four times. Here the first one reads a shared
 * block through its own page cache, and leaves a hint that it has it; who has the same block reads it from there. It is
 * the kernel's memory, which the kernel takes back when it likes, and nothing is held here but the hints: a table of
 * fixed size. Who comes while the first is still reading waits for the same page: one flight.
 *
 * A hint says where to look, and is never believed. The image X wants the range R, and the hint says that Y has it, at
 * the same place:
 *
 *	1  X: in which blocks is R?  FIEMAP with FIEMAP_FLAG_SYNC; all of it in shared extents (clone_map.h)
 *	2  Y: in the same blocks?    Likewise; and Y's ctime is older than it may lag behind a write
 *	3  Y: read R
 *	4  Y: in the same blocks?    And of the same ctime?
 *	5  X: in the same blocks?
 *
 * Why that gives X's bytes, as a read of X that began at 1 would
 *   A block that is shared is never written in place: a write to X or to Y gives its writer another block. X and Y both have
 *   the block from 2 to 4, so it holds the same in that time, and that is what X held at 1. What was written to X before 1
 *   was put in its block by the SYNC of 1, which then shows another block than Y's. What was written to Y before 3 was put
 *   in its block by the SYNC of 4, which then shows another one. (Without SYNC the kernel says "shared" of what was written
 *   and is not written out: then X would get what was written to Y.) What is written to X after 1 may be missing in
 *   what is read, as in any read that has begun: who needs more asks his observation or his guard afterwards, as he does
 *   of any read (cache/tree).
 *   A block that is moved meanwhile (deduplication, defragmentation, balance: no ctime tells of them) is another address in
 *   4 or 5. To be missed it would have to leave both files, be given to other bytes, and come back to its
 *   place in both, within one read; and both filesystems give a block away only when the transaction that freed it is
 *   on the disk. For the same reason no answer is remembered from one read to the next: four questions are asked for each
 *   read that the image's own page cache cannot answer, instead of a read of the disk.
 *
 * FIEMAP_FLAG_SYNC writes out all that was written to the file. Who was written lately, or has much to be written out, is
 * not asked: X is then read as any file, and Y is no source (CONTRACT S2: nobody waits for another image's writer). What is
 * left of that is who begins to hold Y's lock between 2 and 4: a reflink of Y, some milliseconds.
 *
 * An image that shares nothing is asked once for each change of it, and once a minute if it is read from the disk all
 * the time, because deduplication is no change.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clone;

/*
 * Of an image: a regular file behind `fd`, which is closed with the clone from now on, when nobody reads from it.
 * `ctime_lag_ns`: as in disk_options. NULL: its filesystem shares no blocks, or no memory; `fd` is as before.
 */
struct clone *clone_new(int fd, int64_t ctime_lag_ns);

/* No reads of it are under way; others may read from it still. NULL is fine. */
void clone_close(struct clone *clone);

/* May it share blocks, and be read through another, as far as is known? Then nothing that would read it from the disk comes before clone_read. */
bool clone_is_likely(const struct clone *clone);

/* Is it read through another image, as far as is known? Then nothing of it is to be read ahead. */
bool clone_follows(const struct clone *clone);

/*
 * Read the range, which is within the file, if all of it is shared: from whoever has it, or through its own page cache
 * for the others. Blocks. False: it was not; read it in another way.
 */
bool clone_read(struct clone *clone, uint64_t offset_bytes, void *buffer, size_t length_bytes);

/* Bytes that were read from another image's page cache so far, by all; for status. */
uint64_t clone_bytes_shared(void);
