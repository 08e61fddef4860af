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

/* In any such span one image makes one thread wait for half of it at most. */
#define WAIT_IMAGE_SPAN_NS (1 * WAIT_S)
#define WAIT_IMAGE_SHARE_NS (500 * WAIT_MS)

/*
 * An image that was waited for in vain for longer than this shares its half with all others of that kind, where the thread
 * serves more than one. Of the time since then one part in so many is forgiven; it is never more than so much: a minute or so.
 */
#define WAIT_OFFENDER_NS (300 * WAIT_MS)
#define WAIT_OFFENDER_MAX_NS (1 * WAIT_S)
#define WAIT_OFFENDER_FORGIVEN 100

/* A thread that asked of two images within this serves both: while it waits for one, the other waits too. */
#define WAIT_OTHER_IMAGE_NS (10 * WAIT_S)

/*
 * What a READ of such a thread takes no longer than is no wait, of an image at rest: an ordinary disk. So much is
 * also given, once in a span, to a request of it when its share of that is used up.
 */
#define WAIT_BRIEF_NS (50 * WAIT_MS)
#define WAIT_BRIEF_FLUX_NS (20 * WAIT_MS) /* and while the image is being written */

/*
 * Storage that is slow but answers: a READ is given this much more while other jobs of
 * its image come back. It has to be, or a transfer from a slow disk would never end; it
 * costs nobody else, for whom the image waits anyway. What a path walk asks (lookup,
 * getattr, open) is answered by the clock within C6: what was read for it stays, and the
 * next try gets further.
 */
#define WAIT_SLOW_READ_NS (4 * WAIT_S)

/* A copy that is served while it is made, and of which nothing more came for this long, does not come. */
#define WAIT_STREAM_NS (2 * WAIT_S)

/* For such a copy a file is read for so long, and then it is another one's turn. */
#define WAIT_STREAM_TURN_NS (1 * WAIT_S)

/* What a READ was answered without is kept for the next try for so long. */
#define WAIT_KEEP_LATE_NS (30 * WAIT_S)

/* An image whose jobs did not come back for this long makes no progress: when one of them is late, it hangs. */
#define WAIT_PROGRESS_NS (400 * WAIT_MS)

/*
 * Ten thousand images are opened and looked at for a listing; each of them has a wait of its own. A hundred thousand take
 * longer, on slow storage much: as long as names come back nobody is told less than all, nor an error.
 */
#define WAIT_LISTING_NS (10 * WAIT_S)
#define WAIT_SLOW_LISTING_NS (600 * WAIT_S)

/* While SOURCE is listed, each readdir is answered after this, with the names that are known by then. */
#define WAIT_LISTING_PIECE_NS (150 * WAIT_MS)

/*
 * A walk over SOURCE (a listing, status) waits this long for one name; when none of those that
 * it waits for came back for so long, it asks for more of them beside; and it ends in any case, after so long and
 * so much more for each name.
 */
#define WAIT_NAME_NS (300 * WAIT_MS)
#define WAIT_NAMES_STALLED_NS (50 * WAIT_MS)
#define WAIT_NAMES_NS (5 * WAIT_S)
#define WAIT_EACH_NAME_NS (5 * WAIT_MS)

/* After ESTALE the kernel walks the path once more: what it asks within this may be its last try. */
#define WAIT_FINAL_RETRY_NS (20 * WAIT_MS)

/*
 * A control file is a server's log: it opens in time, whatever is the matter with its image.
 * The lookup of its name, and then its open, are answered after this.
 */
#define WAIT_CONTROL_LOOKUP_NS (200 * WAIT_MS)
#define WAIT_CONTROL_OPEN_NS (250 * WAIT_MS)

/* So long after an image did not answer, the next report of its server may ask again. */
#define WAIT_CONTROL_AGAIN_NS (1 * WAIT_S)

/*
 * Storage of which nothing is believed. Who was answered by a look asks on within so long, and is in time for the next one
 * (cache/device/ahead.c). Where two looks in a row took longer than the second time, it is slow: a request has no time for
 * more than one.
 */
#define WAIT_GATHER_NS (20 * WAIT_MS)
#define WAIT_SLOW_NS (150 * WAIT_MS)

/* New content must have been there this long, with nothing written around it (-o settle=). */
#define WAIT_SETTLE_NS (200 * WAIT_MS)

/* On an image that is never quiet, and whose writes nobody tells: content that lasted for so many settle times. */
#define WAIT_LASTING_SETTLES 10

/* Where its own partition is known to be never quiet: only what lasted this long. */
#define WAIT_LASTING_BURST_NS (60 * WAIT_S)

/* A change of a file's ctime may be this much ahead of the bytes that it is about (FACTS 2). */
#define WAIT_CTIME_LAG_NS (2 * WAIT_S)

/*
 * What was written into a file that has not changed for this long is in it: storage has answered every request or
 * given it up (30 s and some), and the kernel has written back each page that somebody changes by mmap, so
 * that the next change of it is one of ctime, too (dirty_expire_centisecs, dirty_writeback_centisecs: 35 s).
 */
#define WAIT_TABLE_REST_NS (60 * WAIT_S)

/* After a write that nobody announced, an image's writers are believed again when there was none for this long. */
#define WAIT_STRANGER_NS (2 * WAIT_S)

/* A writer waits this long at most until the bytes it replaces are preserved; then they are given up. */
#define WAIT_PRESERVE_NS (45 * WAIT_MS)

/* The kernel's events are listened to for this long after the last look at an image, or the last close of a file. */
#define WAIT_LISTEN_NS (5 * WAIT_S)

/* To compare a known file with an image that was written somewhere, before its next open gets another inode. */
#define WAIT_COMPARE_NS (20 * WAIT_MS)

/* The same for a read, which has to see all that is known again before it may hand out more of the file. */
#define WAIT_COMPARE_READ_NS (100 * WAIT_MS)

/*
 * The same where nothing else tells, and all that is known is compared for each read of more; and to read ahead what is
 * compared with it. Whoever comes when it takes longer would begin anew.
 */
#define WAIT_COMPARE_ALL_NS (250 * WAIT_MS)
#define WAIT_READ_ON_NS (75 * WAIT_MS)

/* What lasts where nothing tells of changes is looked at again this often. */
#define WAIT_LOOK_AGAIN_NS (50 * WAIT_MS)

/* A directory that is opened to be read is read at once: then it is listed once. */
#define WAIT_FRESH_LISTING_NS (100 * WAIT_MS)

/* Users other than root read a status that is this old at most. */
#define WAIT_STATUS_MOMENT_NS (250 * WAIT_MS)

/* An image whose name was looked up this long ago may be closed for another: who looked has opened its files by then. */
#define WAIT_IMAGE_IN_USE_NS (100 * WAIT_MS)

/* A line for the log waits this long for other lines, and not at all for who reads them. */
#define WAIT_LOG_NS (10 * WAIT_MS)

/* What is mounted where imagefs is started, and does not answer for this long, is taken for dead. */
#define WAIT_TAKE_OVER_NS (5 * WAIT_S)

/* What the program is called that asks is waited for so long, and not at all for a second after that was in vain. */
#define WAIT_PROGRAM_NS (50 * WAIT_MS)

/* At the end the process that opens images is waited for so long; then it is continued, and then killed. */
#define WAIT_OPENER_NS (1 * WAIT_S)

/* Whether one image can be served at all is waited for so long, before it is served. */
#define WAIT_CHECK_NS (5 * WAIT_S)

/* Where SOURCE leads elsewhere it is watched anew, at most this often; where it cannot be watched, that is tried again after this. */
#define WAIT_WATCH_AGAIN_NS (10 * WAIT_MS)
#define WAIT_WATCH_IN_VAIN_NS (1 * WAIT_S)

/*
 * An image behind a block server. A look waits so long for a connection, as a request does; one is given so long to
 * be made, or a server that was asked to say anything; and a server that says something, to end any read. Who failed
 * is not asked again for a while, at first and at most.
 */
#define WAIT_NBD_LOOK_NS (350 * WAIT_MS)
#define WAIT_NBD_WRITES_NS (150 * WAIT_MS) /* likewise for what the server says of writes, if it never did: then it goes on without; */
#define WAIT_NBD_WRITES_AGAIN_NS (10 * WAIT_S) /* and who said it before, and fails, is asked again after this */
#define WAIT_NBD_CONNECT_NS (3 * WAIT_S)
#define WAIT_NBD_NEXT_ADDRESS_NS (50 * WAIT_MS) /* of a host that has some: the next is tried beside those before it */
#define WAIT_NBD_SILENT_NS (3 * WAIT_S)
#define WAIT_NBD_READ_NS (10 * WAIT_S)
#define WAIT_NBD_AGAIN_NS (100 * WAIT_MS)
#define WAIT_NBD_AGAIN_MAX_NS (2 * WAIT_S)

/* What an older connection shows may be an export that the server does not serve any more: no look is taken over it. */
#define WAIT_NBD_AGE_NS (2 * WAIT_S)

/* A new one is begun before that, by so much and twice what it took to make the last one; by so much at most.
 */
#define WAIT_NBD_RENEW_NS (250 * WAIT_MS)
#define WAIT_NBD_RENEW_MAX_NS (1500 * WAIT_MS)

/* A connection that nobody uses is closed after this; and waits so long for the server to end it. */
#define WAIT_NBD_IDLE_NS (2 * WAIT_S)
#define WAIT_NBD_CLOSE_NS (1 * WAIT_S)

/* Images that were deleted are looked for this often; a thread without work ends after this. */
#define WAIT_SWEEP_NS (2 * WAIT_S)
#define WAIT_IDLE_THREAD_NS (5 * WAIT_S)

/*
 * Try again after this: the writer is faster than three looks in a row; a write to these clusters; our own
 * reading, and that of slow storage; a name of SOURCE.
 */
#define WAIT_RETRY_NS (5 * WAIT_MS)
#define WAIT_RETRY_NAME_NS (20 * WAIT_MS)
#define WAIT_RETRY_IN_FLIGHT_NS (1 * WAIT_MS)
#define WAIT_RETRY_BUSY_NS (2 * WAIT_MS)
#define WAIT_RETRY_SLOW_NS (10 * WAIT_MS)

_Static_assert(WAIT_REQUEST_NS + WAIT_HUNG_NS < WAIT_BOUND_NS, "a request is answered within C6's bound");
_Static_assert(WAIT_SETTLE_NS + WAIT_PRESERVE_NS + WAIT_COMPARE_NS < WAIT_REQUEST_NS,
	       "an update of one write, and the time to settle behind it, fit into one request's wait");
_Static_assert(WAIT_SETTLE_NS + WAIT_COMPARE_READ_NS + WAIT_LOOK_AGAIN_NS < WAIT_REQUEST_NS,
	       "content that nothing tells of, and the comparison behind it, fit into one request's wait");
_Static_assert(WAIT_REQUEST_NS < WAIT_IMAGE_SHARE_NS && 2 * WAIT_IMAGE_SHARE_NS <= WAIT_IMAGE_SPAN_NS,
	       "one request may use its whole wait, and an image no more than half of a thread's second");
_Static_assert(WAIT_READ_ON_NS + WAIT_COMPARE_ALL_NS < WAIT_REQUEST_NS, "what is compared for a read is not in vain");
_Static_assert(WAIT_GATHER_NS + 2 * WAIT_SLOW_NS < WAIT_REQUEST_NS, "storage that is not slow is looked at twice in a request");
_Static_assert(WAIT_CONTROL_LOOKUP_NS + WAIT_CONTROL_OPEN_NS <= WAIT_BOUND_NS, "a control file opens within the bound");
_Static_assert(WAIT_NBD_LOOK_NS < WAIT_REQUEST_NS, "a server that does not answer is found out within one request's wait");
_Static_assert(WAIT_NAMES_NS + 100000 * WAIT_EACH_NAME_NS < WAIT_SLOW_LISTING_NS,
	       "a listing of a hundred thousand is answered with what is known by then");
_Static_assert(WAIT_PROGRESS_NS < WAIT_REQUEST_NS + WAIT_HUNG_NS,
	       "an image that answered before a request came, and never since, is seen to hang when that is late");
