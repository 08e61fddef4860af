/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * confine: what the daemon could still ask of the kernel, and may not.
 *
 * Bytes of images are hostile, and so may be who talks to the mount. Whoever makes the
 * daemon run code of his finds a filter of system calls (seccomp(2), made by libseccomp)
 * that knows what serving takes and nothing else: no file is opened for writing or made
 * (but for temporary ones that never get a name), nothing is executed, mounted, connected
 * to, traced or sent a signal, no process is forked, no memory is made executable. What
 * the filter cannot see is forbidden as a whole: openat2(2), whose flags are behind a
 * pointer, and new io_urings; those that there are can only read (cache/device/ring.h).
 *
 * Landlock (landlock(7)) says once more what it can of that: no writing, making, removing or
 * executing of files, no TCP, no signals to others.
 *
 * Called when all is mounted and opened that is opened once. What cannot be had (no
 * libseccomp, an old kernel, a container that forbids it) is left out, and named.
 */
#pragma once

#include <stdbool.h>

/* The part of it that is for this thread and those that it starts only. With no_new_privs. */
void confine_files(void);

/* For all threads, those that there are and those to come, for good. After privileges_drop. */
void confine(void);

/*
 * For the only thread of a relay (relays.h), with no_new_privs: it may open no file at all, and use the sockets that it has. What
 * cannot be had is left out, as for the daemon, whose line of status says it. False: there was no memory for it.
 */
bool confine_relay(void);

/* "no_new_privs, seccomp"; for status. Constant after confine. */
const char *confine_in_force(void);
/* "seccomp (not built with libseccomp)", or "". */
const char *confine_missing(void);
