/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text: files of the control mount that are open for reading.
 *
 * A text is made when its first byte is read and dealt out of memory from then
 * on, so that whoever reads it in pieces reads one; reading from the beginning
 * again makes a new one.
 */
#pragma once

#include "fuse/control/node.h"

struct snapshot;

/* Of the node with that number. NULL: no memory. */
struct snapshot *snapshot_new(struct control_base *control, uint64_t id);
void snapshot_close(struct snapshot *snapshot); /* NULL is fine */

/* Answer `fuse` with a piece of it. It is made anew for each read from its beginning. */
void snapshot_read(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, off_t offset);
