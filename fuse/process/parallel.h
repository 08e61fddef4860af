/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parallel: lookups in one directory, side by side.
 *
 * Without FUSE_PARALLEL_DIROPS the kernel makes the lookups and listings of a
 * directory one after the other, so that each reader of an image in flux would
 * wait for all before him, for as long as each of them waits (C6). The library
 * has an option for it, which until 3.17 it does not pass on (libfuse pull
 * request 861): where it does not, the flag is put into its answer to INIT.
 */
#pragma once

#include "fuse/process/api.h"

/* In the init operation. */
void parallel_want(struct fuse_conn_info *connection);

/*
 * When the session is mounted, before its loop. `on_unmount`, or NULL, of one session at most: called on the thread that
 * reads of its end, some thread switches before libfuse has ended its loop; perhaps more than once, and perhaps (with a
 * libfuse that need not be helped) never.
 */
void parallel_arrange(struct fuse_session *session, void (*on_unmount)(void));
