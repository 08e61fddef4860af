/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/changes/formats/events.h"

#include "base/checked.h"

void notify_begin(const struct notify_sink *sink, uint64_t id, uint64_t offset_bytes, uint64_t length_bytes)
{
	struct notify_event event = {
		.kind = NOTIFY_BEGIN,
		.id = id,
		.offset_bytes = offset_bytes,
		.length_bytes = min_u64(length_bytes, UINT64_MAX - offset_bytes),
	};

	if (event.length_bytes > 0)
		sink->event(sink->context, &event);
}

void notify_end(const struct notify_sink *sink, uint64_t id)
{
	sink->event(sink->context, &(struct notify_event){ .kind = NOTIFY_END, .id = id });
}
