/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch: inotify for all images that are local files.
 *
 * The kernel queues IN_MODIFY before the write that caused it returns to the
 * writer, so draining the queue shows every write that any server has replied
 * to. Drain, count and read of the count are one critical section: without it a
 * second thread finds the queue empty while the first has not counted yet, and
 * believes the old state. Some writers raise no event at all (libaio, loop
 * devices, in-kernel targets); for them cache/device/disk_signs.c looks at ctime as well.
 *
 * Such an event costs each write a third of a microsecond, under a lock that all
 * writers of the queue share. A target that nobody looks at rests: it is watched
 * in a second queue, where the first event ends the watch (IN_ONESHOT), so that
 * all further writes cost nothing. Why nothing is missed: the watch in the second
 * queue is there before that in the first one is removed; and once it has told, the
 * next look is an event whatever was written since, because it has the target
 * watched again (watch_wake), and counts that, before anything is looked at.
 * A queue of its own, because a watch that has told may still be there for a moment:
 * to watch the file again in the same queue would change that watch, and end with it.
 *
 * Is there anything to drain? The kernel has put a queue on the list of what is ready (epoll)
 * when it queued the event, before the write returned, too. To find that list empty is a
 * third of the price of a read. It must not be looked at by two threads at a time: while the
 * one goes through the list, the other can find it empty though it is not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch;	     /* the queues; thread-safe */
struct watch_target; /* one watched file */

/* Other descriptors that are looked at with the queues, at no cost of their own. */
struct watch_bell {
	uint64_t rung; /* the watch's lock: how often something came that was not there at the look before */
};

/* -errno when there is no inotify (then nothing can be watched). */
int watch_new(struct watch **watch);
void watch_free(struct watch *watch); /* after all its targets are removed; NULL is fine */

/* Watch the file behind `fd`. Blocks, as the opener does. -errno when the kernel's limit on watches is reached. */
int watch_add(struct watch *watch, int fd, struct watch_target **target);
void watch_remove(struct watch *watch, struct watch_target *target); /* NULL is fine */

/*
 * Before each look at the file, `fd` as above; `alone` and `since_ns` as below. 0: from now on each write is an event.
 * -EAGAIN: it has to be watched again, and that may block. Else as watch_add; then the
 * count says nothing.
 */
int watch_wake(struct watch *watch, struct watch_target *target, int fd, bool may_block, bool alone, int64_t since_ns);

/*
 * Nobody looks at the file: only the first write from now on is an event. Blocks. Not
 * while watch_remove may be called for the target. In vain where that cannot be had.
 */
void watch_rest(struct watch *watch, struct watch_target *target, int fd);

/*
 * Drain the target's queue and return the target's event count: it grew if anything was written to the file. `alone`:
 * nothing else tells of writes, as a file's ctime does; then the queue is read also when it does not seem ready, for
 * an event like the last one in it wakes nobody, and may be there a moment before that one has. `since_ns`,
 * CLOCK_MONOTONIC: a look at what is ready that began since then, for whatever was asked, is not taken once more;
 * INT64_MAX: it is, in any case.
 */
uint64_t watch_events(struct watch *watch, struct watch_target *target, bool alone, int64_t since_ns);

/*
 * Ring the bell from now on when `fd` becomes ready (`events` as of epoll_ctl); it is the caller's to read. The
 * bell lives as long as the watch. -errno. A descriptor that is closed everywhere is forgotten by itself.
 */
int watch_bell_add(struct watch *watch, int fd, uint32_t events, struct watch_bell *bell);

/* Look, and tell how often each of the bells has rung. False: that cannot be known. */
bool watch_bells(struct watch *watch, const struct watch_bell *bells, size_t count, uint64_t *rung);
