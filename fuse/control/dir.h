/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dir: the control mount as a directory. A listing is of one moment: that of opendir.
 */
#pragma once

#include "fuse/process/api.h"

void control_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
void control_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file);
void control_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file);
