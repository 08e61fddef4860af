/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: what servers write into a control file, taken apart into events.
 *
 * A stream is what one open control file is written. Its first bytes say which
 * form it has; all of them say the same two things: a write to the image is
 * about to be executed, and it has been. Pure functions over bytes: no files, no
 * threads, no clock; memory is what the parser has in itself. Bytes are hostile.
 *
 * Forms, as nbd 3.24, nbdkit 1.32 and QEMU 7.2 write them
 *
 *   nbd-server  transactionlog=FILE. One process and one stream for each client.
 *               The 28 bytes of a request as they came from the client, before it
 *               is executed; the 16 bytes of its reply after that and before they
 *               are sent (structured ones of later servers, 20 bytes without their
 *               payload, just after). With datalog=true the stream begins with a
 *               record that says so, and a WRITE's data follow its request. So a
 *               stream that does not say so and holds data is broken at once, and
 *               data are never searched for records.
 *
 *   nbdkit      --filter=log logfile=FILE. One stream for the whole server: `id`
 *               counts the requests of a connection, so both make the id here.
 *               A name that the client chose stands in a line, in double quotes
 *               but otherwise as it is: what looks like a line within quotes is
 *               none. Lines of extents and of exports have any length. The first
 *               line, "Ready", comes from the process that started the server, not
 *               from the one that serves: it alone does not make a stream.
 *
 *   qemu-nbd    -T enable=nbd_receive_request -T enable=nbd_co_*,file=FILE, in this
 *               order (each -T forgets the file of the one before). A request is
 *               two lines in a row, its range and its handle; a WRITE's payload a
 *               third; its reply a fourth, before it is sent. A write begins here
 *               when it has its payload: the client of an unfinished one may be
 *               gone, and nothing would tell. The handle is the client's own, and
 *               no line names the client: so the server must have one at a time
 *               (--shared=1, its default). Lines that do not fit together, as those
 *               of two clients sooner or later do not, break the stream. blk_co_*
 *               are of no use: nothing tells their end, nor any of it a discard.
 *               --offset and formats other than raw are not seen in the trace, and
 *               make the ranges wrong.
 *
 *   text        for scripts and for our own nbdkit filter:
 *                   write OFFSET LENGTH [ID]   these bytes are about to change
 *                   done [ID]                  the writes begun with that ID have ended
 *                   flush                      look at everything again
 *                   ledger FD                  more of these are posted in memory: ledger.h
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
	NOTIFY_FORM_NBDKIT,
	NOTIFY_FORM_QEMU_NBD,
	NOTIFY_FORM_TEXT,
	NOTIFY_FORM_BROKEN, /* none of them, or no longer: nothing more is understood, all is swallowed */
};

enum notify_kind {
	NOTIFY_BEGIN, /* bytes [offset, offset + length) may change from now on, until the end of `id` */
	NOTIFY_END,   /* every write begun with `id` and not ended yet has ended, well or not */
	NOTIFY_FLUSH, /* text: something may have changed that was not reported as a write */
	NOTIFY_LEDGER, /* text: the reporter's descriptor `id` is its ledger */
};

struct notify_event {
	enum notify_kind kind;
	uint64_t id; /* of the stream: unique among its writes in flight, unless the client lies */
	uint64_t offset_bytes;
	uint64_t length_bytes; /* of a NOTIFY_BEGIN: never 0; offset + length never overflows, it is cut
				  before that */
};

/* What a line must say it says in so many bytes; what follows is dropped, and breaks the text form. */
#define NOTIFY_LINE_MAX 1024

/* Longer names than this are no client's (NBD allows 4096 bytes, and quoting doubles them): a quote was lost.
 */
#define NOTIFY_QUOTE_MAX 16384

/* Twice as many as qemu-nbd takes from one client before it has answered (MAX_NBD_REQUESTS). */
#define NOTIFY_QEMU_REQUESTS 32

enum notify_qemu_state {
	NOTIFY_QEMU_FREE,
	NOTIFY_QEMU_RECEIVING, /* a write whose payload is still to come */
	NOTIFY_QEMU_LEFT,    /* the same, but others came before its payload: its client is gone, or there are
				two */
	NOTIFY_QEMU_RUNNING, /* no write */
	NOTIFY_QEMU_WRITING, /* begun */
	NOTIFY_QEMU_ANSWERED, /* no write, and a part of the answer was sent, perhaps the last */
};

struct notify_qemu_request {
	enum notify_qemu_state state;
	uint32_t touched; /* the count of requests when it was last heard of */
	uint64_t handle, offset_bytes, length_bytes;
};

struct notify_qemu {
	bool heard; /* a range, and its handle must be the next line */
	uint64_t type, offset_bytes, length_bytes;
	uint32_t count;
	struct notify_qemu_request requests[NOTIFY_QEMU_REQUESTS];
};

struct notify_parser {
	enum notify_form form;
	enum notify_form reading; /* what it is read as, which may be known before it is certain who speaks */
	bool has_data;		  /* nbd-server: data follow a write's request */
	bool is_quoted, is_escaped;
	size_t quoted_bytes;
	uint64_t skip_bytes; /* nbd-server: data still to come */
	size_t held_bytes;   /* of a record or line that is not whole yet */
	unsigned char held[NOTIFY_LINE_MAX];
	struct notify_qemu qemu;
};

/* Zero-initialised is a parser at the beginning of a stream. */

/*
 * Take in `length_bytes` as they were written, in pieces of any size. Calls
 * `event` for each event, in order. Never fails: what cannot be understood makes
 * the form NOTIFY_FORM_BROKEN, once and for all.
 */
void notify_feed(struct notify_parser *parser, const void *bytes, size_t length_bytes,
		 void (*event)(void *context, const struct notify_event *event), void *context);

/* A word for status: "nbd-server", "nbdkit log", ... */
const char *notify_form_name(enum notify_form form);

/* Does a stream of this form tell of every write of its process, before and after? All do, until they are
 * broken. */
bool notify_form_is_exact(enum notify_form form);
