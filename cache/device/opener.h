/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opener: what takes privileges while the daemon serves, as requests.
 *
 * Images come, are replaced and are read at any time, and may be readable by nobody but
 * their owners; the daemon that parses them has no privileges any more. So a small process
 * that was forked before there were threads (fuse/process/separate.h) does these things
 * for it. What can be asked for says what somebody who took over the daemon can have:
 *
 *   SOURCE                                 to hear of it when a name in it changes, or of a directory on the way there
 *   a name in SOURCE, a single component   what it is, where it leads, and if that is a file
 *                                          or block device, a descriptor to read from it
 *   a link in SOURCE to a block server     a socket that is connected to it
 *   NAME.d, a directory in SOURCE          a descriptor to list it, or to read from a regular file in it
 *   a descriptor that can be read from     another one of the same file, also to read; and
 *                                          to hear of changes to the file, and of writes
 *   a temporary file that has no name
 *   a socket to the system's log; what a process is called
 *
 * Without such a process (unit tests, imagefsctl) all but the first is done here and now.
 *
 * The functions may be called from any thread; each waits as long as what it asks about
 * does. 0 or a descriptor for the caller to close, or -errno.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "cache/device/opener_request.h"

/* ---- names in SOURCE; -EACCES without an opener ---------------------------- */

/* The file or block device of that name, links followed, to read from. */
int opener_open(const char *name);

/*
 * A regular file (a single component, no dot file) in the directory `directory` of SOURCE, a single component that
 * ends in ".d"; neither may be a link. To read from. With "" the directory, to be listed. -ENOENT: there
 * is no such directory or file.
 */
int opener_own(const char *directory, const char *file);

/* The directory of SOURCE, to be listed. */
int opener_directory(void);

/* Hear of it when SOURCE may be another directory, or a name in it something else: path_watch_new. */
struct path_watch;
int opener_watch_path(struct path_watch *watch);

/*
 * A socket that is connected to the block server which the link of that name leads to (cache/device/nbd_uri.h), or, for
 * "", SOURCE itself. The text of the link must be `uri`, and its host one that source_dir_set_nbd allows. Waits
 * WAIT_NBD_CONNECT_NS, and as long as the resolver does. -ESTALE: it leads elsewhere by now; -EPERM: that host is not
 * allowed; -EINVAL: it is no such URI; else as nbd_connect.
 */
int opener_connect(const char *name, const char *uri);

/* What can be said of a name when nothing may be looked up in SOURCE. */
int opener_stat(const char *name, enum opener_stat what, struct stat *st);

/* The text of a link, of at most PATH_MAX bytes with its NUL. */
int opener_readlink(const char *name, char *text);

/* ---- descriptors that can be read from -------------------------------------- */

/* Another one of the same file or block device, to read from; `flags` is 0 or O_DIRECT. */
int opener_reopen(int fd, int flags);

/* The counters of a block device (sysfs: stat, inflight), to read from. -ENODATA: they are not kept. */
int opener_counters(int fd, int fds[2]);

/* inotify_add_watch: of changes; `once`: of the first one, and -EEXIST if that queue watches the file already. The watch descriptor. */
int opener_watch(int inotify_fd, int fd, bool once);

/* fanotify_mark: of such a file, or of the directory of SOURCE, for which a descriptor that is a name only does. */
int opener_mark(int fanotify_fd, unsigned flags, uint64_t mask, int fd);

/*
 * The same twice, the second if the first went well, and opener_reopen in one go: the descriptor. That there
 * is nothing which the second could remove is no error.
 */
int opener_mark_and_reopen(int fanotify_fd, unsigned first_flags, unsigned second_flags, uint64_t mask, int fd);

/* ---- others ------------------------------------------------------------------ */

/* An unlinked file in that directory, to read and write. */
int opener_temporary(const char *directory);

/* A socket to the system's log: datagrams, which do not wait. -errno: nobody listens there. */
int opener_syslog(void);

/* proc(5): comm; "" when it is gone, or does not come soon: of all these only this is answered without. `name` has 32 bytes. */
void opener_process_name(pid_t process, char *name);

/* ---- who is asked ------------------------------------------------------------ */

/* From now on requests are made of another process; until then opener_perform does what they ask. Before there are threads. */
void opener_ask_with(void (*ask)(const struct opener_request *request, struct opener_answer *answer));
