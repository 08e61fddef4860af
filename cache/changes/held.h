/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * held: writers whom the kernel holds until we answer, because the bytes they
 * replace must first be read from the device.
 *
 * Each has a thread, so that a device that hangs holds up nobody else's; there are
 * so many at most, for each image and in all, and who comes then is not waited for.
 * Whoever is not done after WAIT_PRESERVE_NS is answered by the clock.
 */
#pragma once

#include <stdint.h>

struct held;
struct saving;
struct write_log;

/* `fd` is fanotify's, for the answers; borrowed. -ENOMEM. */
int held_new(int fd, struct held **held);

/*
 * Preserve, then let go on who is announced by the event's descriptor. Takes over
 * both; what is lost is counted in `log`, which is borrowed until held_forget.
 */
void held_add(struct held *held, int event_fd, struct saving *saving, struct write_log *log);

/* Answer for those whose time is over. Returns when the next one's is, at the latest; never blocks. */
int64_t held_give_up_late(struct held *held, int64_t now_ns);

/* The log goes: nothing is counted in it any more. */
void held_forget(struct held *held, struct write_log *log);
