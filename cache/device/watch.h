/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: one inotify queue for all images that are local files.
 *
 * The kernel queues IN_MODIFY before the write that caused it returns to the
 * writer, so draining the queue shows every write that any server has replied
 * to. Drain, count and read of the count are one critical section: without it a
 * second thread finds the queue empty while the first has not counted yet, and
 * believes the old state. Some writers raise no event at all (libaio, loop
 * devices, in-kernel targets); for them cache/device/disk.c looks at ctime as well.
 *
 * Is there anything to drain? The kernel has put the queue on the list of what is ready (epoll)
 * when it queued the event, before the write returned, too. To find that list empty is a
 * third of the price of a read. It must not be looked at by two threads at a time: while the
 * one goes through the list, the other can find it empty though it is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch;	     /* the queue; thread-safe */
struct watch_target; /* one watched file */

/* Other descriptors that are looked at with the queue, at no cost of their own (epoll). */
struct watch_bell {
	uint64_t rung; /* the watch's lock: how often something came that was not there at the look before */
};

/* -errno when there is no inotify (then nothing can be watched). */
int watch_new(struct watch **watch);
void watch_free(struct watch *watch); /* after all its targets are removed; NULL is fine */

/* Watch the file behind `fd`. -errno when the kernel's limit on watches is reached. */
int watch_add(struct watch *watch, int fd, struct watch_target **target);
void watch_remove(struct watch *watch, struct watch_target *target); /* NULL is fine */

/* Drain the queue and return the target's event count: it grew if anything was written to the file. */
uint64_t watch_events(struct watch *watch, struct watch_target *target);

/*
 * Ring the bell from now on when `fd` becomes ready (`events` as of epoll_ctl); it is the caller's to read. The
 * bell lives as long as the watch. -errno. A descriptor that is closed everywhere is forgotten by itself.
 */
int watch_bell_add(struct watch *watch, int fd, uint32_t events, struct watch_bell *bell);

/* Look, and tell how often each of the bells has rung. False: that cannot be known. */
bool watch_bells(struct watch *watch, const struct watch_bell *bells, size_t count, uint64_t *rung);
