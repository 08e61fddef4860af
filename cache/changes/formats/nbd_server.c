/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * notify: nbd-server's transaction log, as its nbd-trdump(1) reads it.
 *
 * Records are those of the protocol (doc/proto.md of NBD), big-endian:
 *
 *   request           0x25609513  flags:16 type:16 cookie:64 offset:64 length:32
 *   reply             0x67446698  error:32 cookie:64
 *   structured reply  0x668e33ef  flags:16 type:16 cookie:64 length:32
 *   option of the log 0x25609514  as a request: type 1 is the data log, on when the
 *                                 length is not 0; the offset is a constant
 *
 * The client of one stream chooses its cookies. One that uses a cookie twice at a
 * time lies about its own image only.
 */
#include <string.h>

#include "base/checked.h"
#include "cache/changes/formats/nbd_server.h"

#define REQUEST_MAGIC 0x25609513
#define REPLY_MAGIC 0x67446698
#define STRUCTURED_REPLY_MAGIC 0x668e33ef
#define OPTION_MAGIC 0x25609514

#define MAGIC_BYTES 4
#define REQUEST_BYTES 28
#define REPLY_BYTES 16
#define STRUCTURED_REPLY_BYTES 20

/* Where the fields are; the cookie is at the same place in all. */
#define FLAGS 4
#define TYPE 4 /* with the flags in its upper half */
#define COOKIE 8
#define OFFSET 16
#define LENGTH 24

#define TYPE_MASK 0xffff
#define FLAG_DONE 1 /* of a structured reply: the last of its request */
#define OPTION_DATA 1
#define OPTION_OFFSET UINT64_C(0x4a93ba39a54f31b6)

enum {
	COMMAND_READ = 0,
	COMMAND_WRITE = 1,
	COMMAND_DISCONNECT = 2,
	COMMAND_FLUSH = 3,
	COMMAND_CACHE = 5,
	COMMAND_BLOCK_STATUS = 7,
};

static uint16_t get_be16(const unsigned char *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_be32(const unsigned char *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static uint64_t get_be64(const unsigned char *p)
{
	return (uint64_t)get_be32(p) << 32 | get_be32(p + 4);
}

static void take_request(const struct notify_sink *sink, const unsigned char *record)
{
	uint32_t command = get_be32(record + TYPE) & TYPE_MASK;
	uint32_t length_bytes = get_be32(record + LENGTH);

	switch (command) {
	case COMMAND_READ:
	case COMMAND_DISCONNECT:
	case COMMAND_FLUSH:
	case COMMAND_CACHE:
	case COMMAND_BLOCK_STATUS:
		return;
	case COMMAND_WRITE:
		sink->parser->skip_bytes = sink->parser->has_data ? length_bytes : 0;
		break;
	default: /* TRIM, WRITE_ZEROES, and what is not known yet */
		break;
	}
	notify_begin(sink, get_be64(record + COOKIE), get_be64(record + OFFSET), length_bytes);
}

static bool take_option(struct notify_parser *parser, const unsigned char *record)
{
	if (get_be32(record + TYPE) != OPTION_DATA || get_be64(record + OFFSET) != OPTION_OFFSET)
		return false;
	parser->has_data = get_be32(record + LENGTH) != 0;
	return true;
}

static bool take_record(const struct notify_sink *sink, const unsigned char *record)
{
	switch (get_be32(record)) {
	case REQUEST_MAGIC:
		take_request(sink, record);
		return true;
	case REPLY_MAGIC:
		notify_end(sink, get_be64(record + COOKIE));
		return true;
	case STRUCTURED_REPLY_MAGIC:
		if (get_be16(record + FLAGS) & FLAG_DONE)
			notify_end(sink, get_be64(record + COOKIE));
		return true;
	default:
		return take_option(sink->parser, record);
	}
}

/* How long the record is that begins with what is held; 0: it is none. */
static size_t record_bytes(const struct notify_parser *parser)
{
	if (parser->held_bytes < MAGIC_BYTES)
		return MAGIC_BYTES;
	switch (get_be32(parser->held)) {
	case REQUEST_MAGIC:
	case OPTION_MAGIC:
		return REQUEST_BYTES;
	case REPLY_MAGIC:
		return REPLY_BYTES;
	case STRUCTURED_REPLY_MAGIC:
		return STRUCTURED_REPLY_BYTES;
	default:
		return 0;
	}
}

size_t notify_nbd_server_take(const struct notify_sink *sink, const unsigned char *bytes, size_t length_bytes)
{
	struct notify_parser *parser = sink->parser;
	size_t taken, whole;

	if (parser->skip_bytes > 0) {
		taken = (size_t)min_u64(parser->skip_bytes, length_bytes);
		parser->skip_bytes -= taken;
		return taken;
	}
	taken = (size_t)min_u64(record_bytes(parser) - parser->held_bytes, length_bytes);
	memcpy(parser->held + parser->held_bytes, bytes, taken);
	parser->held_bytes += taken;
	whole = record_bytes(parser);
	if (whole == 0)
		return 0;
	if (parser->held_bytes < whole)
		return taken;
	parser->form = NOTIFY_FORM_NBD_SERVER;
	parser->held_bytes = 0;
	return take_record(sink, parser->held) ? taken : 0;
}
