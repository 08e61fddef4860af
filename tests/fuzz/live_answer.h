/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live_answer: may the reader of the fuzz target `live` be told that? What must hold stands at the top of live.c; where it
 * does not the program ends.
 *
 * An answer is of one state that there was since its call began (`since`, a number of live_history.h).
 */
#pragma once

#include "live_run.h"

/* `allowed`: the error that the call may have besides -EIO; 0: none. */
void answer_error(const struct run *run, int error, const char *call, int allowed);

/* Of a lookup of that path. */
void answer_lookup(struct run *run, unsigned since, unsigned number, enum path path, int error, const struct cache_node *node);

/* What is known of the inode number; of one that is new, nothing. It has had this path and size ever since. */
struct known *answer_known(struct run *run, uint64_t id, unsigned number, enum path path, uint64_t size_bytes);

/* Is all that is known of it the file of one state, not before `since`? */
bool answer_is_whole(struct run *run, unsigned since, struct known *known);

/*
 * A read has returned these bytes: they are what was known of that piece, and all that is known is the file of one state
 * since it was opened.
 */
void answer_learn(struct run *run, const struct handle *handle, uint64_t offset_bytes, const unsigned char *bytes,
		  size_t length_bytes);
