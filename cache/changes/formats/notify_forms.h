/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the forms of notify.h share: how they tell of events, and how they read
 * words. Each form takes whole lines or records, and returns false when one
 * cannot be understood: then the stream is broken.
 */
#pragma once

#include <string.h>

#include "cache/changes/formats/notify.h"

struct notify_sink {
	struct notify_parser *parser;
	void (*event)(void *context, const struct notify_event *event);
	void *context;
};

/* An empty range tells nothing; one beyond 2^64 is cut. */
void notify_begin(const struct notify_sink *sink, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes);
void notify_end(const struct notify_sink *sink, uint64_t id);

/* Takes one record, or a part of it. Returns how many bytes; 0: broken. */
size_t notify_nbd_server_take(const struct notify_sink *sink, const unsigned char *bytes,
			      size_t length_bytes);

/* A line's bytes that are still to be read. */
struct notify_words {
	const unsigned char *at, *end;
};

bool notify_nbdkit_line(const struct notify_sink *sink, struct notify_words line);
bool notify_qemu_line(const struct notify_sink *sink, struct notify_words line);

/* Could this be the first line of that form? */
bool notify_nbdkit_recognises(struct notify_words line);
bool notify_qemu_recognises(struct notify_words line);

static inline size_t notify_words_left(const struct notify_words *words)
{
	return (size_t)(words->end - words->at);
}

/* Step over `text`, if it comes next. */
static inline bool notify_take_text(struct notify_words *words, const char *text)
{
	size_t length = strlen(text);

	if (notify_words_left(words) < length || memcmp(words->at, text, length) != 0)
		return false;
	words->at += length;
	return true;
}

static inline bool notify_is_digit(unsigned char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Decimal, or hexadecimal after 0x. Up to 2^64 - 1. */
bool notify_take_number(struct notify_words *words, uint64_t *number);
