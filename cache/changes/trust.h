/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trust: is every write to one image announced, and what follows from that for what its device saw?
 *
 * A look at the image goes through here: write_log_listen before its device is observed, write_log_observe
 * right behind it. As long as all is announced (exact), an observation's generation is the log's, which only
 * writes to what is looked at move; else the device's own signs count. A look finds out that somebody wrote
 * who does not tell: a change of the device that no announced write explains. Then the device's signs count
 * until there was no such stranger for WAIT_STRANGER_NS; and what was begun before somebody told is waited for.
 *
 * A part of the write log, which it locks; the feed is called without the lock, and may block where it says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cache_observation;
struct write_log;

/* Before the device is observed: have everybody tell. 0, or -EAGAIN if that has to be waited for, and may_block is false. */
int write_log_listen(struct write_log *log, bool may_block);

/* Behind that: has everybody told since before `since_ns`? Also where there is nobody to tell. */
bool write_log_listened(struct write_log *log, int64_t since_ns);

/* What the device saw, corrected by what is known here. Right after the device's own observe. */
void write_log_observe(struct write_log *log, struct cache_observation *seen);

/*
 * Under the log's lock: would a look at `now_ns` find all announced? Else *why_not: constant text, or NULL when nobody
 * tells. `will_listen`: the feed tells as soon as somebody looks, whether or not it does now.
 */
bool trust_now(const struct write_log *log, int64_t now_ns, bool will_listen, const char **why_not);
