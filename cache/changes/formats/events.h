/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* events: what a stream comes to, and where the forms (notify.h) put it. */
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

struct notify_parser {
	enum notify_form form;
	enum notify_form reading; /* what it is read as, which may be known before it is certain who speaks */
	bool has_data;		  /* nbd-server: data follow a write's request */
	uint64_t skip_bytes;	  /* nbd-server: data still to come */
	size_t held_bytes;	  /* of a record or line that is not whole yet */
	unsigned char held[NOTIFY_LINE_MAX];
};

struct notify_sink {
	struct notify_parser *parser;
	void (*event)(void *context, const struct notify_event *event);
	void *context;
};

/* An empty range tells nothing; one beyond 2^64 is cut. */
void notify_begin(const struct notify_sink *sink, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes);
void notify_end(const struct notify_sink *sink, uint64_t id);
