/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * holds: in how many images a user has files open. Such an image cannot be closed for
 * another, and is two descriptors and more: a user other than root has a share of them
 * (CONTRACT S5), and all these users together have twice that. Who has more than are left
 * gets none more: so some are left for who comes, and each has HOLDS_LEAST in any case.
 *
 * Thread-safe; blocks for nothing.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#define HOLDS_LEAST 2

struct holds;
struct hold;

/* `images_max` is for each user. NULL: no memory. */
struct holds *holds_new(size_t images_max);

/* One file more that the user has open in the image. -EMFILE: that would be an image too many, for the user or for all; -ENOMEM. */
int hold_take(struct holds *holds, uid_t uid, const void *image, struct hold **hold);
void hold_put(struct holds *holds, struct hold *hold);
