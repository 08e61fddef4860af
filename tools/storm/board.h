/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * board: one board that boots: which step of its sequence it is at, and the request that is out. It has one
 * request at a time, and for a moment two: as the firmware does, it asks for a file it has probed before it
 * ends the probe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/storm/figures.h"
#include "tools/storm/sequence.h"
#include "tools/storm/transfer.h"
#include "tools/storm/truth.h"

/* What all boards share. */
struct board_world {
	const struct transfer_server *server;
	const struct sequence *sequence;
	struct figures *figures;
	struct truth *truth;
	int epoll_fd;		/* its events have a struct transfer, and that the board as its owner */
	unsigned blksize_bytes; /* 0: as the sequence says */
	int64_t patience_ns;
	size_t booting; /* boards that are not done */
};

struct board {
	struct board_world *world;
	const char *name; /* "": without prefix */
	int64_t start_ns; /* when it is switched on */
	size_t rounds;	  /* still to do, with this one */

	/* Its own. */
	bool on, done, prefixed, fetching; /* fetching: of a step FILE, the second request */
	size_t step;
	unsigned blksize_bytes, slashes;
	int64_t boot_ns;
	struct transfer transfers[2];
	int out; /* the one of them that is asked for */
};

/* Switches it on. It counts among `booting` until it is done. */
void board_start(struct board *board, int64_t now_ns);

/* Its transfer may have ended, by a packet or by the time: goes on if so. */
void board_go_on(struct board *board, int64_t now_ns);

/* Whatever it is at. */
void board_stop(struct board *board);

static inline struct transfer *board_transfer(struct board *board)
{
	return &board->transfers[board->out];
}
