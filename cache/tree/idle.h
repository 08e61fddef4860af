/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * idle: nodes that lost their users, and when they are freed.
 *
 * A node that stands in a slot is kept for the next lookup: a version that is
 * freed costs an unchanged file its inode number. Kept are so many for each image.
 */
#pragma once

#include "cache/tree/image.h"

/* Look at all nodes whose users went; under the image's lock, or alone. */
void idle_reap(struct cache_image *image);
