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
 */
#pragma once

#include <stdint.h>

struct watch;	     /* the queue; thread-safe */
struct watch_target; /* one watched file */

/* -errno when there is no inotify (then nothing can be watched). */
int watch_new(struct watch **watch);
void watch_free(struct watch *watch); /* after all its targets are removed; NULL is fine */

/* Watch the file behind `fd`. -errno when the kernel's limit on watches is reached. */
int watch_add(struct watch *watch, int fd, struct watch_target **target);
void watch_remove(struct watch *watch, struct watch_target *target); /* NULL is fine */

/* Drain the queue and return the target's event count: it grew if anything was written to the file. */
uint64_t watch_events(struct watch *watch, struct watch_target *target);
