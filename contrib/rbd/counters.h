/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counters: of each object of an image the version that it was last seen with, and a number that is another
 * one whenever another version was seen. The numbers are what NAME@writes says (page.h). Knows nothing of
 * Ceph.
 *
 * Why a number, and not the version itself: an object that is absent has no version. Seen by
 * versions alone, one that was absent, written, read, and deleted again was never touched, though the
 * reader has bytes that are no more. Whatever is read of an object is noted here (counters_note)
 * before the reader has it. So when two looks got the same number, all that was read
 * between them was of the version that both saw; and of one version an object has one content, as long
 * as it is there.
 *
 * The numbers are drawn from one row for all images, and never twice: a number that was
 * seen in the counters of one image, or of an image that has since been replaced, is in no
 * other ones. What is noted lasts as long as the process does: so each start draws another instance (page.h).
 *
 * An object of which nothing was read need not be looked at: nobody has anything that could be old. Its number is
 * 0, and stays that with the version that is noted first. So a reader for whom it was 0 before it read, and is 0
 * after, has what is there now: the version that was noted before it had the bytes, or it would be another number.
 *
 * Memory: 16 bytes for each object that was read, by blocks of 8 KiB.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct counters;

struct counters *counters_new(uint64_t count); /* NULL: no memory */
void counters_free(struct counters *counters); /* NULL is fine */

/*
 * The object `index`, below `count`, was seen with that version after this was decided on, and what was read
 * of it has been given to nobody yet. *number is its number now. Any thread. False: no memory, and nobody may get
 * what was read; never of one that was noted before.
 */
bool counters_note(struct counters *counters, uint64_t index, uint64_t version, uint64_t *number);

/* Was that object, below `count`, noted before? Else its number is 0. Any thread. */
bool counters_noted(struct counters *counters, uint64_t index);

/* A number higher than all that were drawn before, and never drawn again. */
uint64_t counters_draw(void);
