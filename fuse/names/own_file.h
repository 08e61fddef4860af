/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * own_file: versions of the files in NAME.d (own.h), and their bytes while they are open.
 *
 * A version (C3) is a file of SOURCE by device and inode number, size, mtime and ctime: when one of
 * them is another, so is the version, with another number, never used before. Which file a name
 * is, is asked of SOURCE at each lookup and each open (C1).
 *
 * Whole (C2): an open reads all of it into memory, where it stays until the last close; readers
 * get those bytes whatever becomes of the file. What was changed within the settle time is waited for:
 * a write(2) sets the times before the bytes, and on Linux before 6.13 two writes in one tick
 * have the same. So as long as the times are not older than WAIT_CTIME_LAG_NS the bytes are
 * compared with what they were, at each lookup. What the times do not tell at all is not seen:
 * stores through mmap(2) after the first.
 *
 * Memory (S5): OWN_FILE_BYTES_MAX of one file, OWN_DIRECTORY_BYTES_MAX of one directory, OWN_ALL_BYTES_MAX of
 * all, counted in the daemon's memory too. Past that the open fails, nobody else's.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/share.h"
#include "cache/tree/types.h"

#define OWN_FILE_BYTES_MAX ((uint64_t)4 << 20)
#define OWN_DIRECTORY_BYTES_MAX ((uint64_t)16 << 20)
#define OWN_ALL_BYTES_MAX ((uint64_t)64 << 20)

struct own_files;
struct own_file; /* a version; counted by its users */

/* `memory` is borrowed. NULL: no memory. */
struct own_files *own_files_new(struct share *memory, int64_t settle_ns);

/*
 * The version that `name` of `directory` (both as opener_own has them) is now: a user of it. -ENOENT: it is not there;
 * -EAGAIN: op may not block; -EINPROGRESS: too few descriptors; -ENOMEM; or for own_why_not.
 */
int own_files_find(struct own_files *files, struct cache_op *op, const char *directory, const char *name,
		   struct own_file **file);

struct own_file *own_file_ref(struct own_file *file);
void own_file_put(struct own_file *file); /* NULL is fine; never blocks */

uint64_t own_file_id(const struct own_file *file); /* its inode number */
const struct stat *own_file_stat(const struct own_file *file); /* in SOURCE, and constant */

/*
 * Have its bytes until own_file_close. -ESTALE: the name is another version by now; -EINPROGRESS: it was
 * changed just now (op->retry_ns), -EAGAIN: op may not block; -ENOMEM; or for own_why_not.
 */
int own_file_open(struct own_file *file, struct cache_op *op);
void own_file_close(struct own_file *file);

/*
 * Of one that is open: its bytes from there on, and how many of `length_bytes` there are (none: *data is not set). They
 * stay until own_file_close, which belongs to this too: the reader closes the file as soon as he has them.
 * -ESTALE: it is not open.
 */
ssize_t own_file_read(struct own_file *file, uint64_t offset_bytes, size_t length_bytes, const unsigned char **data);
