/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * operations: what libfuse calls, each a request of its kind; and what becomes of
 * those about files.
 *
 * Not implemented on purpose: flush and locks (the kernel's local ones serve
 * tftpd-hpa), extended attributes, access (default_permissions does it), and
 * everything that writes: the mount is read-only.
 */
#pragma once

#include "fuse/process/api.h"

/* For fuse_session_new, with a struct imagefs. */
extern const struct fuse_lowlevel_ops imagefs_operations;
