/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fuzz cache/notify: what a server, or anybody else who may write to a control
 * file, writes there.
 *
 *   u8   how the stream is cut, for the second parser
 *   the stream
 *
 * Three parsers are fed the same: as a whole, in pieces, byte by byte. They must
 * tell the same and end as the same form.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache/changes/formats/notify.h"

#define REQUIRE(condition)                                                                \
	do {                                                                              \
		if (!(condition)) {                                                       \
			fprintf(stderr, "line %d: not true: %s\n", __LINE__, #condition); \
			abort();                                                          \
		}                                                                         \
	} while (0)

/* No line or record that tells of something is shorter ("done", "flush" and their newlines). */
#define EVENT_BYTES_MIN 5

struct hearer {
	struct notify_parser parser;
	size_t count, capacity;
	struct notify_event *events;
};

static void hear(void *context, const struct notify_event *event)
{
	struct hearer *hearer = context;
	enum notify_form form = hearer->parser.form;

	REQUIRE(notify_form_is_exact(form));
	REQUIRE(event->kind == NOTIFY_BEGIN || event->kind == NOTIFY_END || event->kind == NOTIFY_FLUSH);
	REQUIRE((event->kind == NOTIFY_BEGIN) == (event->length_bytes > 0));
	REQUIRE(event->length_bytes <= UINT64_MAX - event->offset_bytes);
	REQUIRE(event->kind == NOTIFY_BEGIN || event->offset_bytes == 0);
	REQUIRE(event->kind != NOTIFY_FLUSH || (form == NOTIFY_FORM_TEXT && event->id == 0));
	REQUIRE(hearer->count < hearer->capacity);
	hearer->events[hearer->count++] = *event;
}

static void feed(struct hearer *hearer, const uint8_t *bytes, size_t length_bytes)
{
	enum notify_form before = hearer->parser.form;
	size_t count = hearer->count;

	notify_feed(&hearer->parser, bytes, length_bytes, hear, hearer);
	REQUIRE(hearer->parser.form == before || before == NOTIFY_FORM_UNKNOWN ||
		hearer->parser.form == NOTIFY_FORM_BROKEN);
	REQUIRE(before != NOTIFY_FORM_BROKEN || hearer->count == count);
	REQUIRE(hearer->parser.held_bytes <= sizeof(hearer->parser.held));
	REQUIRE(notify_form_name(hearer->parser.form)[0] != '\0');
}

/* In pieces of 1 to `most` bytes, not all of the same length; each a block of its own, for the sanitizer. */
static void feed_pieces(struct hearer *hearer, const uint8_t *stream, size_t length_bytes, size_t most)
{
	size_t length = 1;

	for (size_t at = 0; at < length_bytes;) {
		size_t piece = length < length_bytes - at ? length : length_bytes - at;
		uint8_t *copy = malloc(piece);

		REQUIRE(copy);
		memcpy(copy, stream + at, piece);
		feed(hearer, copy, piece);
		free(copy);
		at += piece;
		length = (length * 7 + at) % most + 1;
	}
}

static void hearer_start(struct hearer *hearer, size_t length_bytes)
{
	memset(hearer, 0, sizeof(*hearer));
	hearer->capacity = length_bytes / EVENT_BYTES_MIN;
	hearer->events = calloc(hearer->capacity + 1, sizeof(*hearer->events));
	REQUIRE(hearer->events);
}

static void require_same(const struct hearer *one, const struct hearer *other)
{
	REQUIRE(one->parser.form == other->parser.form);
	REQUIRE(one->count == other->count);
	for (size_t i = 0; i < one->count; i++) {
		REQUIRE(one->events[i].kind == other->events[i].kind);
		REQUIRE(one->events[i].id == other->events[i].id);
		REQUIRE(one->events[i].offset_bytes == other->events[i].offset_bytes);
		REQUIRE(one->events[i].length_bytes == other->events[i].length_bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hearer whole, pieces, bytes;

	if (size < 1)
		return 0;
	hearer_start(&whole, size - 1);
	hearer_start(&pieces, size - 1);
	hearer_start(&bytes, size - 1);
	feed(&whole, data + 1, size - 1);
	feed_pieces(&pieces, data + 1, size - 1, 2 + data[0]);
	feed_pieces(&bytes, data + 1, size - 1, 1);
	require_same(&whole, &pieces);
	require_same(&whole, &bytes);
	free(whole.events);
	free(pieces.events);
	free(bytes.events);
	return 0;
}
