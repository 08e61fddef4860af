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
 * Memory: 16 bytes for each object that was looked at, by blocks of 8 KiB.
 */
#pragma once

#include <stdint.h>

struct counters;

struct counters *counters_new(uint64_t count); /* NULL: no memory */
void counters_free(struct counters *counters); /* NULL is fine */

/*
 * The object `index`, below `count`, was seen with that version after this was decided on, and what was read
 * of it has been given to nobody yet. Returns its number now. Any thread. Without memory the number is
 * another one each time.
 */
uint64_t counters_note(struct counters *counters, uint64_t index, uint64_t version);

/* A number higher than all that were drawn before, and never drawn again. */
uint64_t counters_draw(void);
