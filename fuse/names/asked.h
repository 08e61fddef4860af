/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * asked: what was asked for, and was it there? The first question when a Pi does
 * not boot.
 *
 * What is known
 *   Of each image, the files that were opened and the names that were not found.
 *   Of the mount's root, the names that were not found: a board whose serial
 *   number has no link, or one that asks without its prefix. A board itself
 *   cannot be seen: the kernel resolves its link and asks for the image. But one
 *   thread walks one path at a time, so whoever looked up the link `89025d75 -> jammy`
 *   and goes on into `jammy` does that for 89025d75. That is a guess: threads
 *   outside of our PID namespace have no number, and a server that keeps a
 *   directory open asks through no link. Who is at home on a shell's command line
 *   (program.h) asks for no board: `cat 89025d75/config.txt` is the administrator's.
 *
 * What it costs
 *   A lookup that finds its file touches nothing here, except in the root, where
 *   two words of the caller's own slot are looked at without a lock. An open
 *   takes the lock of one board's (or image's) log for a moment. Memory: some
 *   hundred bytes for each image and board of which one file was asked for, up to
 *   4 KiB for one that was asked for many; boards beyond ASKED_BOARDS_MAX are not
 *   told apart.
 *
 * Knows no FUSE. All functions may be called from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fuse/names/program.h"
#include "fuse/names/recent.h"

#define ASKED_RECENT 16
#define ASKED_MISSING 16
#define ASKED_BOARDS_MAX 1024
#define ASKED_CALLERS 512
#define ASKED_BUCKETS 256

struct asked_request {
	char name[ASKED_NAME_BYTES]; /* its path in the partition; the end of it when it is longer */
	enum asked_outcome outcome;
	uint64_t version; /* inode number, of what was opened */
	int64_t when_ns;  /* the last time */
	unsigned times;	  /* the same in a row */
};

struct asked_missing {
	char name[ASKED_NAME_BYTES];
	uint64_t count;
	int64_t when_ns; /* the last time */
};

/* One image's, one board's or the root's. Zero is ready for use, but for the lock. */
struct asked_log {
	pthread_mutex_t lock;
	/* The lock: */
	struct asked_request *recent; /* a ring, once it has its full size */
	size_t recent_room;
	size_t recent_count; /* ever */
	struct asked_missing *missing;
	size_t missing_count;
	uint64_t opened, absent, failed;
	int64_t failed_ns; /* the last time */
	int64_t last_ns;   /* of anything */
	int64_t window_ns;
	unsigned window_lines;
};

struct asked_board {
	char name[ASKED_NAME_BYTES]; /* constant, as next */
	struct asked_log log;
	struct asked_board *next;
};

/* Who is on its way through which link. A wrong value is a wrong guess, nothing else. */
struct asked_caller {
	_Atomic pid_t thread;
	_Atomic uint32_t target;	     /* hash of the name that the link leads to */
	_Atomic(struct asked_board *) board; /* NULL: it is none yet, */
	char name[ASKED_NAME_BYTES];	     /* asked->lock: its link, then; "": longer than a board's */
	_Atomic(const void *) image;	     /* that was reached through it; NULL: not yet */
};

struct asked {
	struct asked_log root;	 /* names that are not there */
	struct asked_log people; /* likewise, asked for by programs of people: for the limit of the log's lines only */
	struct asked_caller callers[ASKED_CALLERS];
	_Atomic(struct asked_board *) boards[ASKED_BUCKETS]; /* lists only grow */
	pthread_mutex_t lock;				     /* of growing them */
	unsigned board_count;
	struct recent recent;	  /* of all; thread-safe */
	struct programs programs; /* likewise */
};

void asked_init(struct asked *asked);

/* NULL: no memory. */
struct asked_log *asked_log_new(void);
void asked_log_free(struct asked_log *log); /* NULL is fine */

/* ---- who ------------------------------------------------------------------ */

/* The thread was told that the link `name` of the root leads to `text`. */
void asked_link(struct asked *asked, pid_t thread, const char *name, const char *text);

/* It looked up `name` in the root, which is that image. */
void asked_enter(struct asked *asked, pid_t thread, const char *name, const void *image);

/* For which board is it in that image? NULL: for none that is known. */
struct asked_board *asked_who(struct asked *asked, pid_t thread, const void *image);

/*
 * It looked up `name` in the root, and there is none: which board's link had led it there? NULL: none's, it
 * asked for the name itself.
 */
struct asked_board *asked_astray(struct asked *asked, pid_t thread, const char *name);

/* The board of that name, if anybody ever went through its link. */
struct asked_board *asked_board(struct asked *asked, const char *name);

/* ---- what ----------------------------------------------------------------- */

/* Note it. True: a line may be logged of it (there is a limit). */
bool asked_note(struct asked_log *log, int64_t now_ns, const char *name, enum asked_outcome outcome, uint64_t version);

/* A copy of it at one moment: `recent` newest first, `missing` most asked for first. */
struct asked_copy {
	struct asked_request recent[ASKED_RECENT];
	struct asked_missing missing[ASKED_MISSING];
	size_t recent_count, missing_count;
	uint64_t opened, absent, failed;
	int64_t failed_ns, last_ns; /* the last time; 0: never */
};

void asked_copy(struct asked_log *log, struct asked_copy *copy); /* of NULL: empty */
