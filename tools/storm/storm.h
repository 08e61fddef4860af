/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * storm: many boards that boot at once, in one process and one thread: each goes through its sequence, one
 * request after the other, and all of their sockets hang on one epoll.
 */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/storm/figures.h"
#include "tools/storm/sequence.h"
#include "tools/storm/transfer.h"
#include "tools/storm/truth.h"

/* What to do. All of it is the caller's. */
struct storm_plan {
	struct transfer_server server;
	const struct sequence *sequence;
	char *const *boards; /* their names, "" of one that asks without prefix */
	size_t board_count, rounds;
	unsigned blksize_bytes; /* 0: as the sequence says */
	int64_t window_ns;	/* the boards begin spread over that */
	int64_t patience_ns;	/* without a new packet: a file is over */
	const volatile sig_atomic_t *interrupted;
};

/*
 * Runs until each board has booted as often as it should, or has given up: one that gets no answer to a
 * request gives up, as does one whose server is not there, so this ends. What came is in `figures` and
 * `truth`. -errno: no epoll, no memory.
 */
int storm_run(const struct storm_plan *plan, struct figures *figures, struct truth *truth);
