/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session: what both mounts of the daemon ask of libfuse.
 */
#pragma once

#include "fuse/process/api.h"

/* Add an option such as "fsname=" with its value, escaped as fuse_opt wants it. */
void session_add_option(struct fuse_args *arguments, const char *option, const char *value);

/* Serve until the mount or the session ends. As fuse_session_loop_mt; -ENOMEM. */
int session_loop(struct fuse_session *session);
