/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * copy: a whole copy of an open version, made in the background while its image is
 * being written and nothing tells what is: so that its readers can finish whatever
 * the writer does.
 *
 * It is never in a request's way: cache_version_read says that one is wanted, and
 * whoever has a thread for it calls cache_version_keep. Where there is no room for
 * one (a share for each image, a full disk), or the writer is faster, readers get
 * what can be had straight from the image.
 */
#pragma once

#include "cache/tree/types.h"

/*
 * Copy an open version, so that its readers can finish whatever the writer does;
 * gone with its last close. Takes as long as the device takes. -EINPROGRESS: to be called again after op->retry_ns, since
 * another file of the image is being copied, or what was read has to last. Other errors matter to nobody.
 */
int cache_version_keep(struct cache_version *version, struct cache_op *op);

/* For read.c: is nobody at it, and none there, and room for one? Under the lock. */
bool copy_is_wanted(const struct cache_version *version);

/*
 * Is one being made, on slow storage? Then its readers wait for it: what each of them read by itself would be the same
 * bytes, and they would wait longer for each other. Under the lock.
 */
bool copy_is_on_its_way(const struct cache_version *version);
