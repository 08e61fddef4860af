/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * live_writer: who changes the image of the fuzz target `live`, as its input says.
 *
 * A write has up to three phases: it shows (its sign, or it is announced), it lands,
 * and its end is told; after how many turns of the device is the input's choice.
 * Several are under way at once. What is told of them is the kind of device's matter
 * (tests/unit/cache_device.h). None takes longer than real ones may: the rules of
 * the cache stand on that.
 */
#pragma once

#include "cache_feed.h"
#include "live_base.h"

struct reporter;
struct writer;

#define RECORD_BYTES 8

/* Writes to the device's bytes, which have IMAGE_BYTES_MAX. All borrowed. */
struct writer *writer_new(struct memory_device *memory, struct live_history *history, const struct live_base *base);
void writer_free(struct writer *writer);

/* To whom it is told. */
void writer_set_reporter(struct writer *writer, struct reporter *reporter);
void writer_set_feed(struct writer *writer, struct memory_feed *feed);

/* One more, to begin some turns after the last; `record` has RECORD_BYTES. */
void writer_add(struct writer *writer, const unsigned char *record);

/* A turn: those that are due take their next steps. False: it is the writer's own. */
bool writer_turn(struct writer *writer);

/* All are done now, and the storage has no faults any more. */
void writer_finish(struct writer *writer);

/* The first state that may still be seen: before the first write that has landed, and not been replied to. */
unsigned writer_fresh(const struct writer *writer);

/* Did the end of the image move, or the storage fail, ever? No guard is against that. */
bool writer_is_beyond(const struct writer *writer);
