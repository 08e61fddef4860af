/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wanted: the threads of ours that wait for a descriptor which raises no events: each reads a byte of its file,
 * and the kernel's announcement of that read comes with one (kernel.h: kernel_silent_fd).
 *
 * For kernel.c, under its lock of the queue, but for the read: nothing else here locks or blocks.
 */
#pragma once

#include <stdbool.h>
#include <sys/fanotify.h>
#include <sys/types.h>

/* On the stack of the one who waits. */
struct wanted {
	pid_t thread;
	dev_t device;
	ino_t inode;
	int fd; /* what came; -1: nothing yet */
	struct wanted *next;
};

void wanted_add(struct wanted **list, struct wanted *wanted);
void wanted_remove(struct wanted **list, const struct wanted *wanted);

/* Does somebody want one of that file? */
bool wanted_has(const struct wanted *list, dev_t device, ino_t inode);

/* Does a thread of ours wait for this event? Then it has the descriptor, and is still to be let on. */
bool wanted_give(struct wanted *list, const struct fanotify_event_metadata *event);

/* Without the lock, on the thread that was added: read the byte, through a descriptor that raises events. Waits for the answer. -errno. */
int wanted_read(int noisy);
