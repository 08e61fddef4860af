/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * readahead: what a sequential reader will read next, where the kernel's own readahead is small.
 *
 * A mount by an unprivileged user keeps 128 KiB of readahead: two READs in flight, where a disk wants a megabyte. (Root's
 * mount has 8 MiB of it: mount_set_readahead.) So where a file is read from one end to the other by small READs, the image's
 * filesystem is asked to read the next megabyte into its page cache.
 *
 * Nothing is believed by it, and no byte kept here: what is in that page cache is what a read of the image
 * gives at that moment, whoever writes, and is judged as any other that was read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A piece of a file: of whole chunks, or up to its end. */
struct span {
	uint64_t offset_bytes;
	size_t length_bytes;
};

/* Which READ a version saw last, and how far it asked ahead. Zero-initialised is none. */
struct readahead {
	uint64_t end_bytes, in_row_bytes, asked_bytes;
};

/* A READ of that span (widened to whole chunks): what is to be asked for with it. Of no length: nothing. Under the image's lock. */
struct span readahead_next(struct readahead *readahead, const struct span *read, uint64_t size_bytes);
