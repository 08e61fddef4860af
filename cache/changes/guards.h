/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guards: the open files of one image that writers wait for. A guard (guard.h) is set up here, for
 * who has read a version whole; and each write that is announced from then on saves what it is
 * about to replace, until the guard is taken away, or writes were not told for a while.
 *
 * A part of the write log: the functions lock it, but for those that say so. Nothing blocks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cache_range;
struct guard;
struct saving;
struct write_log;

/*
 * Guard an open file whose bytes were true at `generation`. While the log settles
 * (`seen` is neither exact nor steady) what was begun before anybody told may
 * still land, and so may an uncertain write to the file (write_log_changes tells):
 * then what was handed out is compared as well.
 * 0: from now on every announced write waits until what it replaces is preserved.
 * -EAGAIN: a write to it is in flight; -ESTALE: not as it was; -ENOTSUP: not exact
 * now, or not for it.
 */
int write_log_guard(struct write_log *log, struct guard *guard, uint64_t generation);
void write_log_unguard(struct write_log *log, struct guard *guard);

/* Was every write since then announced? 0, and what the guard did not save was not overwritten; -ENOTSUP: no. */
int write_log_guard_stands(struct write_log *log, struct guard *guard);

/* Does anything have to be told to writers just now? */
bool write_log_is_guarded(struct write_log *log);

/* Under the log's lock: such a write is about to be executed. *saving is made, if it replaces what a guard needs. */
void guards_save_before(struct write_log *log, const struct cache_range *range, struct saving **saving);

/* Likewise: how many stand. *saved_bytes is what was preserved so far, also by those that were taken away. */
unsigned guards_count(const struct write_log *log, uint64_t *saved_bytes);
