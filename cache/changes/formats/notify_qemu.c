/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: lines of QEMU's trace backend `log` about its NBD server (nbd/trace-events).
 *
 *   nbd_receive_request Got request: { magic = 0x25609513, .flags = 0x0, .type = 0x1, from = 0, len = 16 }
 *   nbd_co_receive_request_decode_type Decoding type: handle = 1, type = 1 (write)
 *   nbd_co_receive_request_payload_received Payload received: handle = 1, len = 16
 *   nbd_co_send_simple_reply Send simple reply: handle = 1, error = 0 (success), len = 0
 *
 * QEMU promises nothing about them. So every request is followed from its first
 * line to its reply, and a line that does not fit what was said before breaks the
 * stream: then one was lost, or not enabled, or there are two clients.
 * Later versions say cookie for handle, and chunk for structured.
 */
#include "base/checked.h"
#include "cache/changes/formats/notify_forms.h"

/* A write without its payload is forgotten after so many more requests: its client came back, if it did, long
 * ago. */
#define LEFT_MAX 64

#define REQUEST_MAGIC 0x25609513
#define EXTENDED_REQUEST_MAGIC 0x21e41c71 /* of later versions: lengths of 64 bits */

enum {
	COMMAND_READ = 0,
	COMMAND_WRITE = 1,
	COMMAND_DISCONNECT = 2,
	COMMAND_FLUSH = 3,
	COMMAND_CACHE = 5,
	COMMAND_BLOCK_STATUS = 7,
};

/* ---- the table of requests; every loop over it is bounded by its size --------- */

static struct notify_qemu_request *find(struct notify_qemu *qemu, uint64_t handle)
{
	for (size_t i = 0; i < NOTIFY_QEMU_REQUESTS; i++)
		if (qemu->requests[i].state != NOTIFY_QEMU_FREE && qemu->requests[i].handle == handle)
			return &qemu->requests[i];
	return NULL;
}

/* Neither to be answered any more, as far as can be known. */
static bool is_past(const struct notify_qemu *qemu, const struct notify_qemu_request *request)
{
	return request->state == NOTIFY_QEMU_ANSWERED ||
	       (request->state == NOTIFY_QEMU_LEFT && qemu->count - request->touched > LEFT_MAX);
}

/* Free, else the one longest past. NULL: more requests than one client can have. */
static struct notify_qemu_request *find_room(struct notify_qemu *qemu)
{
	struct notify_qemu_request *room = NULL;

	for (size_t i = 0; i < NOTIFY_QEMU_REQUESTS; i++) {
		struct notify_qemu_request *request = &qemu->requests[i];

		if (request->state == NOTIFY_QEMU_FREE)
			return request;
		if (is_past(qemu, request) &&
		    (!room || qemu->count - request->touched > qemu->count - room->touched))
			room = request;
	}
	return room;
}

/* A server reads one request of a client after the other. */
static void leave_receiving(struct notify_qemu *qemu)
{
	for (size_t i = 0; i < NOTIFY_QEMU_REQUESTS; i++)
		if (qemu->requests[i].state == NOTIFY_QEMU_RECEIVING)
			qemu->requests[i].state = NOTIFY_QEMU_LEFT;
}

static enum notify_qemu_state state_of(uint64_t type)
{
	switch (type) {
	case COMMAND_READ:
	case COMMAND_FLUSH:
	case COMMAND_CACHE:
	case COMMAND_BLOCK_STATUS:
		return NOTIFY_QEMU_RUNNING;
	case COMMAND_WRITE:
		return NOTIFY_QEMU_RECEIVING;
	default: /* TRIM, WRITE_ZEROES, and what is not known yet */
		return NOTIFY_QEMU_WRITING;
	}
}

/* ---- lines --------------------------------------------------------------------- */

static bool take_handle(struct notify_words *line, uint64_t *handle)
{
	return (notify_take_text(line, "handle = ") || notify_take_text(line, "cookie = ")) &&
	       notify_take_number(line, handle);
}

static bool take_range(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_qemu *qemu = &sink->parser->qemu;
	uint64_t magic, flags;

	if (qemu->heard || !notify_take_text(&line, "Got request: { magic = ") ||
	    !notify_take_number(&line, &magic) ||
	    (magic != REQUEST_MAGIC && magic != EXTENDED_REQUEST_MAGIC) ||
	    !notify_take_text(&line, ", .flags = ") || !notify_take_number(&line, &flags) ||
	    !notify_take_text(&line, ", .type = ") || !notify_take_number(&line, &qemu->type) ||
	    !notify_take_text(&line, ", from = ") || !notify_take_number(&line, &qemu->offset_bytes) ||
	    !notify_take_text(&line, ", len = ") || !notify_take_number(&line, &qemu->length_bytes) ||
	    !notify_take_text(&line, " }"))
		return false;
	qemu->heard = true;
	return true;
}

static bool take_type(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_qemu *qemu = &sink->parser->qemu;
	struct notify_qemu_request *request;
	uint64_t handle, type;

	if (!qemu->heard || !notify_take_text(&line, "Decoding type: ") || !take_handle(&line, &handle) ||
	    !notify_take_text(&line, ", type = ") || !notify_take_number(&line, &type) || type != qemu->type)
		return false;
	qemu->heard = false;
	qemu->count++;
	leave_receiving(qemu);
	if (type == COMMAND_DISCONNECT)
		return true;
	request = find(qemu, handle);
	if (!request)
		request = find_room(qemu);
	else if (!is_past(qemu, request))
		return false;
	if (!request)
		return false;
	*request = (struct notify_qemu_request){
		state_of(type), qemu->count, handle, qemu->offset_bytes, qemu->length_bytes,
	};
	if (request->state == NOTIFY_QEMU_WRITING)
		notify_begin(sink, handle, qemu->offset_bytes, qemu->length_bytes);
	return true;
}

static bool take_payload(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_qemu *qemu = &sink->parser->qemu;
	struct notify_qemu_request *request;
	uint64_t handle, length_bytes;

	if (!notify_take_text(&line, "Payload received: ") || !take_handle(&line, &handle) ||
	    !notify_take_text(&line, ", len = ") || !notify_take_number(&line, &length_bytes))
		return false;
	request = find(qemu, handle);
	if (request && request->state == NOTIFY_QEMU_RUNNING)
		return true; /* a block status query may have one too */
	if (!request || request->state != NOTIFY_QEMU_RECEIVING || request->length_bytes != length_bytes)
		return false;
	request->state = NOTIFY_QEMU_WRITING;
	notify_begin(sink, handle, request->offset_bytes, length_bytes);
	return true;
}

/* The whole answer. A write is refused without its payload, but never done. */
static bool take_reply(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_qemu_request *request;
	uint64_t handle, error = 0;

	if (!take_handle(&line, &handle))
		return false;
	if (notify_take_text(&line, ", error = ") && !notify_take_number(&line, &error))
		return false;
	request = find(&sink->parser->qemu, handle);
	if (!request)
		return false;
	if ((request->state == NOTIFY_QEMU_RECEIVING || request->state == NOTIFY_QEMU_LEFT) && error == 0)
		return false;
	if (request->state == NOTIFY_QEMU_WRITING)
		notify_end(sink, handle);
	request->state = NOTIFY_QEMU_FREE;
	return true;
}

/* A part of the answer to a read; which is the last the trace does not say. */
static bool take_part(const struct notify_sink *sink, struct notify_words line)
{
	struct notify_qemu *qemu = &sink->parser->qemu;
	struct notify_qemu_request *request;
	uint64_t handle;

	if (!take_handle(&line, &handle))
		return false;
	request = find(qemu, handle);
	if (!request)
		return true; /* past, and forgotten */
	if (request->state != NOTIFY_QEMU_RUNNING && request->state != NOTIFY_QEMU_ANSWERED)
		return false;
	request->state = NOTIFY_QEMU_ANSWERED;
	request->touched = qemu->count;
	return true;
}

static const struct {
	const char *begins;
	bool (*take)(const struct notify_sink *sink, struct notify_words line);
} events[] = {
	{ "nbd_receive_request ", take_range },
	{ "nbd_co_receive_request_decode_type ", take_type },
	{ "nbd_co_receive_request_payload_received ", take_payload },
	{ "nbd_co_send_simple_reply Send simple reply: ", take_reply },
	{ "nbd_co_send_structured_error Send structured error reply: ", take_reply },
	{ "nbd_co_send_structured_done Send structured reply done: ", take_reply },
	{ "nbd_co_send_structured_read Send structured read data reply: ", take_part },
	{ "nbd_co_send_structured_read_hole Send structured read hole reply: ", take_part },
	{ "nbd_co_send_chunk_error Send structured error reply: ", take_reply },
	{ "nbd_co_send_chunk_done Send structured reply done: ", take_reply },
	{ "nbd_co_send_chunk_read Send structured read data reply: ", take_part },
	{ "nbd_co_send_chunk_read_hole Send structured read hole reply: ", take_part },
	{ "nbd_co_send_extents Send block status reply: ", take_part },
};

/* "PID@SECONDS.MICROSECONDS:", where the time of messages is asked for. */
static void take_time(struct notify_words *line)
{
	struct notify_words rest = *line;
	uint64_t number;

	if (notify_take_number(&rest, &number) && notify_take_text(&rest, "@") &&
	    notify_take_number(&rest, &number) && notify_take_text(&rest, ".") &&
	    notify_take_number(&rest, &number) && notify_take_text(&rest, ":"))
		*line = rest;
}

bool notify_qemu_recognises(struct notify_words line)
{
	static const char *const beginnings[] = { "nbd_", "blk_", "bdrv_",
						  "qemu-nbd: ", "qemu-storage-daemon: " };

	take_time(&line);
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++) {
		struct notify_words rest = line;

		if (notify_take_text(&rest, beginnings[i]))
			return true;
	}
	return false;
}

bool notify_qemu_line(const struct notify_sink *sink, struct notify_words line)
{
	take_time(&line);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct notify_words rest = line;

		if (notify_take_text(&rest, events[i].begins))
			return events[i].take(sink, rest);
	}
	/* Other events, and what else goes to its standard error. */
	return true;
}
