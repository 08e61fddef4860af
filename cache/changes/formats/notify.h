/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: what servers write into a control file, taken apart into events.
 *
 * A stream is what one open control file is written. Its first bytes say which
 * form it has; all of them say the same two things: a write to the image is
 * about to be executed, and it has been. Pure functions over bytes: no files, no
 * threads, no clock; memory is what the parser has in itself. Bytes are hostile.
 *
 * Forms
 *
 *   nbd-server  (3.24) transactionlog=FILE. One process and one stream for each client.
 *               The 28 bytes of a request as they came from the client, before it
 *               is executed; the 16 bytes of its reply after that and before they
 *               are sent (structured ones of later servers, 20 bytes without their
 *               payload, just after). With datalog=true the stream begins with a
 *               record that says so, and a WRITE's data follow its request. So a
 *               stream that does not say so and holds data is broken at once, and
 *               data are never searched for records.
 *
 *   text        for scripts and for our own nbdkit filter:
 *                   write OFFSET LENGTH [ID]   these bytes are about to change
 *                   done [ID]                  the writes begun with that ID have ended
 *                   flush                      look at everything again
 *               numbers in decimal or 0x...; ID is up to 64 bits, 0 if left out.
 *               Words are parted by blanks; empty lines mean nothing; a line counts
 *               when its newline has come. Any other line breaks the stream.
 *
 * A request that may write by a command not known here is taken for a write.
 * Whether the server refuses it is not judged: its reply ends it either way.
 *
 * One parser is used by one thread at a time. Contract P.
 */
#pragma once

#include "cache/changes/formats/events.h"

/* Zero-initialised is a parser at the beginning of a stream. */

/*
 * Take in `length_bytes` as they were written, in pieces of any size. Calls
 * `event` for each event, in order. Never fails: what cannot be understood makes
 * the form NOTIFY_FORM_BROKEN, once and for all.
 */
void notify_feed(struct notify_parser *parser, const void *bytes, size_t length_bytes,
		 void (*event)(void *context, const struct notify_event *event), void *context);

/* A word for status: "nbd-server", "text", ... */
const char *notify_form_name(enum notify_form form);

/* Does a stream of this form tell of every write of its process, before and after? All do, until they are
 * broken. */
bool notify_form_is_exact(enum notify_form form);
