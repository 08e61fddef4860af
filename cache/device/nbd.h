/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd: a cache_device (cache/device/device.h) on an export of a block server.
 *
 * NBD has no sign of change. So nothing is believed: each observation is a new generation, and blind. It is taken over
 * a connection that is a moment old at most (nbd_export.h says why that matters, and what it is worth), which says how
 * large the export is.
 *
 * Reading and believing are apart: an observation that knows more (a page beside the export that says what was
 * written) needs another observe, and nothing else of this.
 */
#pragma once

#include "cache/device/device.h"

struct nbd_target;

/* Nothing is connected here. `target` gets a reference. -ENOMEM, -EAGAIN. */
int nbd_device_new(struct nbd_target *target, struct cache_device **device);
