/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * files: the operations of the control mount.
 *
 * A name that cannot be looked up within WAIT_CONTROL_LOOKUP_NS is taken for a control
 * file: a server's log must be there to be opened, whatever is the matter with the image.
 *
 * Not implemented on purpose: flush and fsync (the kernel then lets them
 * succeed), extended attributes (which the kernel would ask for with every
 * write), access, locks.
 */
#pragma once

#include "fuse/process/api.h"

/* For fuse_session_new, with a struct control_base. */
extern const struct fuse_lowlevel_ops control_operations;
