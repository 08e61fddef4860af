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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum notify_form {
	NOTIFY_FORM_UNKNOWN, /* too little was written to tell; no event yet */
	NOTIFY_FORM_NBD_SERVER,
	NOTIFY_FORM_TEXT,
	NOTIFY_FORM_BROKEN, /* none of them, or no longer: nothing more is understood, all is swallowed */
};

enum notify_kind {
	NOTIFY_BEGIN,  /* bytes [offset, offset + length) may change from now on, until the end of `id` */
	NOTIFY_END,    /* every write begun with `id` and not ended yet has ended, well or not */
	NOTIFY_FLUSH,  /* text: something may have changed that was not reported as a write */
};

struct notify_event {
	enum notify_kind kind;
	uint64_t id; /* of the stream: unique among its writes in flight, unless the client lies */
	uint64_t offset_bytes;
	uint64_t length_bytes; /* of a NOTIFY_BEGIN: never 0; offset + length never overflows, it is cut
				  before that */
};

/* A line of the text form is shorter. */
#define NOTIFY_LINE_MAX 1024

/* Zero-initialised is a parser at the beginning of a stream. */
struct notify_parser {
	enum notify_form form;
	enum notify_form reading; /* what it is read as, which may be known before it is certain who speaks */
	bool has_data;		  /* nbd-server: data follow a write's request */
	uint64_t skip_bytes;	  /* nbd-server: data still to come */
	size_t held_bytes;	  /* of a record or line that is not whole yet */
	unsigned char held[NOTIFY_LINE_MAX];
};

/*
 * Take in `length_bytes` as they were written, in pieces of any size. Calls
 * `event` for each event, in order. Never fails: what cannot be understood makes
 * the form NOTIFY_FORM_BROKEN, once and for all.
 */
void notify_feed(struct notify_parser *parser, const void *bytes, size_t length_bytes,
		 void (*event)(void *context, const struct notify_event *event), void *context);

/* A word for status: "nbd-server", "text", ... */
const char *notify_form_name(enum notify_form form);

/* Does a stream of this form tell of every write of its process, before and after? All do, until they are broken. */
bool notify_form_is_exact(enum notify_form form);
