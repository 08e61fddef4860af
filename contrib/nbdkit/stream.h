/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stream: what is said to the control file of one image, while it is there.
 *
 * imagefs serves a control file for each image. What is written there is a report, in
 * the text form of imagefs-control(7), and write(2) returns when it has been taken in:
 *
 *     write OFFSET LENGTH ID    before the write; the client waits for it
 *     done ID                   at any time after it
 *
 * All depends on the first line coming in time. The other one only ends a time in
 * which imagefs is careful, so it travels with the report of the next write or, where
 * none follows within a millisecond, is sent by stream_tick. Reports of requests that
 * are served in parallel share one write(2) too: while one is on its way, the next ones
 * gather.
 *
 * Where imagefs may look into this process both are posted in memory that they share
 * (cache/changes/ledger.h), and the client waits only for a write that somebody's open files may need.
 *
 * imagefs trusts a process that reports to report all that it writes to that image.
 * So every change is made known here, reported or not. What is said first on a newly
 * opened control file names all that are in flight then, in one write(2); what is not
 * among them has ended before. Nobody has to wait for anything to become reportable.
 *
 * When a report fails the change goes on without, as do all others until the control
 * file has been opened again. Any function from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct stream;

/* One request that changes the image. It lives where the request is served. */
struct change {
	struct change *next, **link; /* the stream's */
	uint64_t offset_bytes, length_bytes, id;
	bool reported;	/* its line was written, or is about to be, */
	uint64_t batch; /* with this many others before it */
};

enum stream_need {
	STREAM_NEEDS_NOTHING,
	STREAM_NEEDS_FILE, /* there is none: stream_connect may help */
	STREAM_NEEDS_TICK, /* something waits to be said, or was said just now */
};

/*
 * `name` is for the log, and copied. `need` is called, with locks held, when there may
 * be something to do. NULL: no memory.
 */
struct stream *stream_new(const char *name, void (*need)(void));

/* Nothing is in flight any more. The ends that were not sent yet are. */
void stream_free(struct stream *stream);

/*
 * Unless it has a control file: take this one. Waits as long as opening a file there
 * takes. Only a file that FUSE serves is ever taken, so that no plain file that is in
 * its place fills with reports.
 */
void stream_connect(struct stream *stream, const char *path);

/* Before the plugin is called. Returns when imagefs knows of the change, or there is no control file. */
void stream_begin(struct stream *stream, struct change *change);

/* The plugin has returned: however it went, the bytes change no more. */
void stream_end(struct stream *stream, struct change *change);

/* Once a millisecond, while it needs that: sends what was not sent since the last one. */
enum stream_need stream_tick(struct stream *stream);
