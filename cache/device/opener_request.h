/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * opener_request: what is asked of the opener, and its answer, as they go from one process to the other: opener.h makes
 * a request, opener_perform.h does what it asks. Both are plain bytes of one program, with descriptors beside them.
 */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* What can be said of a name when nothing may be looked up in SOURCE. */
enum opener_stat {
	OPENER_ENTRY,	/* the name itself */
	OPENER_FOLLOWED, /* what it leads to */
	OPENER_PARENT,	/* the directory that the text of the link names */
	OPENER_SOURCE,	/* SOURCE; the name is not looked at */
};

struct opener_request {
	enum {
		OPENER_ASK_OPEN,
		OPENER_ASK_CONNECT,
		OPENER_ASK_OWN,
		OPENER_ASK_DIRECTORY,
		OPENER_ASK_WATCH_PATH,
		OPENER_ASK_STAT,
		OPENER_ASK_READLINK,
		OPENER_ASK_REOPEN,
		OPENER_ASK_COUNTERS,
		OPENER_ASK_WATCH,
		OPENER_ASK_MARK,
		OPENER_ASK_MARK_AND_REOPEN,
		OPENER_ASK_TEMPORARY,
		OPENER_ASK_SYSLOG,
		OPENER_ASK_PROCESS,
		OPENER_ASK_OTHER, /* nothing of the opener's */
	} what;
	unsigned flags[2];
	uint64_t mask;
	int fds[2]; /* borrowed; -1: none */
	char name[NAME_MAX + 1];
	char file[NAME_MAX + 1]; /* OWN's */
};

#define OPENER_FDS 2

struct opener_answer {
	int result; /* -errno, or what the function returns */
	int fds[OPENER_FDS]; /* owned; -1: none */
	size_t text_bytes; /* of what follows, that is used */
	union {
		struct stat st;
		char text[PATH_MAX];
	};
};
