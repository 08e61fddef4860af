/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * text: files of the control mount that are open for reading, and its directory.
 *
 * A text is made when its first byte is read and dealt out of memory from then
 * on, so that whoever reads it in pieces reads one; reading from the beginning
 * again makes a new one. It is the handle's (handles.h): past the share of its user it is
 * dropped, and reading on is EIO.
 *
 * One is made at a time, whoever asks: all who asked before it was begun get it. Users
 * other than root get the same one for WAIT_STATUS_MOMENT_NS.
 */
#pragma once

#include "fuse/control/node.h"

struct snapshot;

/* Of the node with that number, for that user. -errno of handle_open. */
int snapshot_new(struct control_base *control, uint64_t id, uid_t user, struct snapshot **snapshot);
void snapshot_close(struct snapshot *snapshot); /* NULL is fine */

/* Answer `fuse` with a piece of it, of the directory as readdir does. It is made anew for each read from its beginning. */
void snapshot_read(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, off_t offset);
