/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trial_readers: the readers of torture: each opens and reads, or lists, some name again and again, and notes what it got.
 *
 * Of the first six one lists and two read slowly; the others hold a file open until all of it was written over.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "timeline.h"

#define READERS_MAX 12

void trial_start_readers(unsigned count, uint64_t seed);

/* When trial.over: wait for them, and add what they noted. */
void trial_join_readers(unsigned count, struct records *all);

/*
 * A rest is one if those whom the update made wait could look meanwhile: on a busy
 * machine they need longer. Who is not answered at all is not waited for.
 */
void trial_wait_for_readers(int64_t end_ns);

/* Is the file, or what is in the directory, ever another than in the state before? */
bool trial_ever_changes(unsigned name);
