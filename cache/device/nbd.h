/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * nbd: a cache_device (cache/device/device.h) on an export of a block server.
 *
 * NBD has no sign of change. So nothing is believed: each observation is a new generation, and blind. It is taken over
 * a connection that is a moment old at most (nbd_export.h says why that matters, and what it is worth), which says how
 * large the export is.
 *
 * Reading and believing are apart: where the server says what is written (NAME@writes), the write log is told of it
 * (cache/changes/nbd_writes.h), corrects the observation, and asks here which connection it was about.
 */
#pragma once

#include "cache/device/device.h"

struct nbd_look;
struct nbd_target;

/* Nothing is connected here. `target` gets a reference. -ENOMEM, -EAGAIN. */
int nbd_device_new(struct nbd_target *target, struct cache_device **device);

/* ---- of such a device, for who is told of its writes ---------------------------------------------- */

struct nbd_target *nbd_device_target(struct cache_device *device); /* borrowed */

/* The last observation's. */
void nbd_device_looked(struct cache_device *device, struct nbd_look *look);

/* Observed anew, over a connection that was begun at `since_ns` or later. As nbd_export_look. */
int nbd_device_look_again(struct cache_device *device, int64_t since_ns, struct nbd_look *look);

bool nbd_device_is_connected(struct cache_device *device);

/*
 * It is told of its writes, as of now, or not any more. What was read ahead before is forgotten: it may be older than
 * what was told. Nor is anything read ahead while it is told, for then what is read is what was written.
 */
void nbd_device_set_told(struct cache_device *device, bool told);
