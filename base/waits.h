/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * waits: how long anything waits for anything, in one place.
 *
 * CONTRACT C6 is a sum: what a request waits for (an image that is being
 * written), and the moment until a device that does not answer is given up, have
 * to end in the bound; what a writer waits for has to end in its own. The
 * assertions at the end say that they do. All in nanoseconds.
 */
#pragma once

#include <stdint.h>

#define WAIT_MS (INT64_C(1000000))
#define WAIT_S (INT64_C(1000000000))

/* CONTRACT C6: every request is answered within this, on storage that answers. */
#define WAIT_BOUND_NS (450 * WAIT_MS)

/* A request waits this long at most for its image to be in one state. */
#define WAIT_REQUEST_NS (400 * WAIT_MS)

/* What does not answer at all is found out by the clock, this much after the request's wait ended. */
#define WAIT_HUNG_NS (35 * WAIT_MS)

/* In any such span one image makes requests wait for half of it at most. */
#define WAIT_IMAGE_SPAN_NS (1 * WAIT_S)
#define WAIT_IMAGE_SHARE_NS (500 * WAIT_MS)

/* New content must have been there this long, with nothing written around it (-o settle=). */
#define WAIT_SETTLE_NS (200 * WAIT_MS)

/* On an image that is never quiet, and whose writes nobody tells: content that lasted for so many settle times. */
#define WAIT_LASTING_SETTLES 10

/* Where its own partition is known to be never quiet: only what lasted this long. */
#define WAIT_LASTING_BURST_NS (60 * WAIT_S)

/* A change of a file's ctime may be this much ahead of the bytes that it is about (FACTS 2). */
#define WAIT_CTIME_LAG_NS (2 * WAIT_S)

/* After a write that nobody announced, an image's writers are believed again when there was none for this long. */
#define WAIT_STRANGER_NS (2 * WAIT_S)

/* A writer waits this long at most until the bytes it replaces are preserved; then they are given up. */
#define WAIT_PRESERVE_NS (45 * WAIT_MS)

/* The kernel's events are listened to for this long after the last look at an image, or the last close of a file. */
#define WAIT_LISTEN_NS (5 * WAIT_S)

/* To compare a known file with an image that was written somewhere, before its next open gets another inode. */
#define WAIT_COMPARE_NS (20 * WAIT_MS)

/* Try again after this: the writer is faster than three looks in a row; a write to these clusters; our own reading. */
#define WAIT_RETRY_NS (5 * WAIT_MS)
#define WAIT_RETRY_IN_FLIGHT_NS (1 * WAIT_MS)
#define WAIT_RETRY_BUSY_NS (2 * WAIT_MS)

_Static_assert(WAIT_REQUEST_NS + WAIT_HUNG_NS < WAIT_BOUND_NS, "a request is answered within C6's bound");
_Static_assert(WAIT_SETTLE_NS + WAIT_PRESERVE_NS + WAIT_COMPARE_NS < WAIT_REQUEST_NS,
	       "an update of one write, and the time to settle behind it, fit into one request's wait");
_Static_assert(WAIT_REQUEST_NS < WAIT_IMAGE_SHARE_NS && 2 * WAIT_IMAGE_SHARE_NS <= WAIT_IMAGE_SPAN_NS,
	       "one request may use its whole wait, and an image no more than half of any second");
