/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * session: what both mounts of the daemon ask of libfuse.
 */
#pragma once

#include <stdbool.h>

#include "fuse/process/api.h"

/* Add an option such as "fsname=" with its value, escaped as fuse_opt wants it. */
void session_add_option(struct fuse_args *arguments, const char *option, const char *value);

/* What libfuse complains of goes to our log from now on. */
void session_take_log(void);

/* Not while it is hushed: what is tried again may fail. As long as there is one thread. */
void session_hush(bool hush);

/* As libfuse asks before it unmounts: false when it was unmounted by hand, or taken over. Then what is there now is not ours. */
bool session_is_connected(struct fuse_session *session);

/* Serve until the mount or the session ends. As fuse_session_loop_mt; -ENOMEM. */
int session_loop(struct fuse_session *session);
