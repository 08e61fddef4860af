/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parents: snapshots that images are clones of, read through librbd by chunks that are kept
 * in memory for all clones of the snapshot.
 *
 * What a clone has no object for is its parent snapshot's. A snapshot never changes, and
 * stays for as long as it has clones: a chunk that was read once is right for ever. When many boards that are
 * clones of one image boot at once, each chunk is read once: who needs one that another
 * reads just now waits for that read (single flight).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rados/librados.h>
#include <rbd/librbd.h>

#define PARENT_CHUNK_BYTES (256u << 10)

struct parent;

/* How much is kept. Before the first parent is opened. */
void parents_set_limit(uint64_t bytes);

/*
 * The parent of an open image, shared by all images that have it; *parent is NULL when the image has none. 0
 * or -errno. Give back with parent_put.
 */
int parent_get(rados_t cluster, rbd_image_t child, struct parent **parent);
void parent_put(struct parent *parent); /* NULL is fine */

/* At the end, when nobody has a parent any more: what is kept of them. */
void parents_free(void);

/* All of these bytes; beyond the snapshot's end they are 0. 0 or -errno, within the connection's time limits.
 */
int parent_read(struct parent *parent, void *buffer, size_t length_bytes, uint64_t offset_bytes);
