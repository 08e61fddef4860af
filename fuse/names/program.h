/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program: which program asks, by its name in /proc, and whether a person sits before it.
 *
 * A board is served by a TFTP, HTTP or NFS server, whichever; what is typed at a shell, and
 * what a backup copies, is of no board. A server cannot be told by what it is (FUSE gives a
 * thread's number and user, and the daemon may not look at processes), so it is the other
 * way round: programs of the command line are known by name, all others count as servers.
 * That errs on the side of the board, whose requests are never left out because of what
 * its server is called, as long as it is not called `cat`.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROGRAM_NAME_BYTES 32
#define PROGRAM_SLOTS 256

/* Who asked lately, so that a server is not looked up for each of its requests. */
struct programs {
	pthread_mutex_t lock;
	struct {
		pid_t thread;
		int64_t when_ns;
		char name[PROGRAM_NAME_BYTES];
	} slots[PROGRAM_SLOTS]; /* the lock */
};

void programs_init(struct programs *programs);

/*
 * Its name as it was at most PROGRAM_KNOWN_NS (program.c) ago; "" where it cannot be known. Asks the process
 * that opens images, if it was not asked of late: some tens of microseconds, for no device, and
 * WAIT_PROGRAM_NS at most if that one is stopped.
 */
void program_of(struct programs *programs, pid_t thread, int64_t now_ns, char name[PROGRAM_NAME_BYTES]);

/* Is it one that people and their scripts look at files with, and no server? */
bool program_is_of_people(const char *name);
