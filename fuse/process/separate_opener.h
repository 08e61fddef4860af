/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * separate_opener: the process that keeps the privileges, from the inside (separate.h is how the daemon sees it).
 *
 * On its first socket the daemon says where its mounts are (struct separate_told, answered with a byte), and hands over
 * connections (a byte, and one descriptor). Each connection has a thread, which says who it is (a pid_t), and then answers
 * one request after the other (opener_perform, or OPENER_ASK_OTHER: separate_mounts_detach), until its other end is
 * closed.
 *
 * It parses nothing. Whoever has taken over the daemon can ask for no more than opener.h allows, and for
 * twice as many threads as the daemon itself has use for.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct separate_opener {
	pid_t daemon;		      /* whose mounts are broken when it is killed (separate_mounts.h) */
	const char *directory, *file; /* as in separate_start, and so are these: */
	char *title;
	size_t title_bytes;
	size_t connections_max; /* that the daemon has; twice as many are served */
};

/* Be it, on that socket: in a child of the daemon that has no threads yet. Ends with the daemon. */
_Noreturn void separate_opener_run(int fd, const struct separate_opener *opener);
