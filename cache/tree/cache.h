/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cache: images, directories and file versions, and whether they are still true.
 *
 * This is what the daemon (fuse/) and the tools see. The tree is
 *
 *     image -> table -> volume (one FAT partition) -> directory -> version
 *
 * A version is one file's directory entry, cluster chain and bytes as they were
 * together at one time (CONTRACT C). It has an id of its own, which is its inode
 * number: an unchanged file keeps it, other content never gets it. Directories
 * have ids too, but follow their image: they are looked at again, not versioned.
 *
 * How anything is believed
 *   Each call observes the device first (cache/device/device.h). What was read under
 *   the same generation is true. Under another one, the blocks an answer rests
 *   on (its validation set) are read again: equal, and the answer stands; not, and
 *   it is made anew. File data is compared by the hashes of the chunks that
 *   were ever handed out. Content that is new is only believed when the device
 *   has been quiet for the settle time, or when it has lasted for ten times as
 *   long on a device that never is; until then the call says so and is repeated
 *   (see struct cache_op).
 *
 * Calls that can wait
 *   They take a cache_op and return 0, an errno that the reader shall see
 *   (-ENOENT -EIO -ESTALE ...), or one of
 *     -EAGAIN       op->may_block was false and a device must be waited for, or
 *                   another thread holds the image: repeat with may_block;
 *     -EINPROGRESS  the image is being written: repeat after op->retry_ns. Whoever
 *                   runs out of patience answers -EIO, never -ENOENT.
 *   Repeating is always safe: no call keeps state between its tries.
 *
 * Locking: all functions may be called from any thread. Each image has one lock.
 * It is held while metadata is read, so that there is one truth per image at a
 * time; only requests for the same image ever wait for it. File data is read
 * without it.
 *
 * Ownership: functions that hand out an image, directory or version add a user
 * to it; give it back with the matching _put. A user keeps the object, not its
 * truth: a directory that is gone answers -ESTALE.
 */
#pragma once

#include "cache/tree/copy.h"
#include "cache/tree/lookup.h"
#include "cache/tree/open.h"
#include "cache/tree/read.h"
#include "cache/tree/root.h"
#include "cache/tree/tree.h"
#include "cache/tree/types.h"
