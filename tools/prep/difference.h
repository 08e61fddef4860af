/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * difference: what of a changed copy is to be brought into the image, as records of a journal. Clusters that
 * are free in the copy are left as they are in the image. Those that were free in the image are `placed`:
 * they may be written at any time (change.h, stage 1).
 */
#pragma once

#include "tools/prep/clusters.h"
#include "tools/prep/journal.h"

/*
 * `image` and `copy` are the partition; `base_bytes` is where it begins in the image, as offsets of the
 * records count. *records is for the caller to free, ascending. 0, -ENOMEM, or what the sources' reads
 * returned.
 */
int difference_find(struct source *image, struct source *copy, const struct clusters *before,
		    const struct clusters *after, uint64_t base_bytes, struct journal_record **records,
		    size_t *count);
