/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the forms of notify.h share: how they tell of events.
 */
#pragma once

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
