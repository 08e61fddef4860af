/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * read_on: what follows in a file that is read from its begin to its end, while all that was handed out of it
 * has to be compared before more is.
 *
 * Each read would compare all of the file before it: of n chunks n * n / 2, and from some size on
 * longer than a request may take. So where much is known already, as much again is read with the one
 * that has to wait for the comparison anyway, and is known with it: the file is read some times in all,
 * however large it is.
 */
#pragma once

#include "cache/tree/chunk.h"

/*
 * What follows `behind`, the span that is read now, takes part in the comparison that begins next: as much as
 * is known (of content that has to last so much as did, and the rest begins to), and no more than the device
 * gives in WAIT_READ_ON_NS. Nothing where little is known, or what is before it is not: its reader jumps.
 * `guard`: of the version, whose writers wait for it since before the reading began, so that what is read on
 * is known at once; or NULL.
 *
 * Under the image's lock, and let go while it reads; version->comparing is the caller's. What cannot be read
 * is not read ahead: no error. -EINPROGRESS and others of image_observe; -ESTALE: superseded.
 */
int read_on(struct cache_version *version, struct cache_op *op, const struct span *behind,
	    struct guard *guard);
