/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy: may writers keep to themselves what they have acknowledged?
 *
 * librbd has a cache, in the writer. Unless it is told otherwise it acknowledges a write that
 * is in that cache only; who reads the cluster then reads what was before. A client cannot see
 * how another one's cache is set; but what is set for the pool, or for an image, holds for
 * all that open it, whatever is in their ceph.conf. So only that counts here.
 *
 * The kernel's client (krbd) has no such cache, and heeds no such setting.
 */
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

/* What is wrong with it, a constant; NULL: nothing. -errno in *error when it could not be read. */
const char *policy_of_pool(rados_ioctx_t io, int *error);
const char *policy_of_image(rbd_image_t image, int *error);
