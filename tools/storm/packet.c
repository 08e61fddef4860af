/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/packet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void put_be16(char *at, unsigned value)
{
	at[0] = (char)(value >> 8);
	at[1] = (char)value;
}

static uint16_t get_be16(const char *at)
{
	return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

/* `text` with its NUL behind `length` bytes; the new length, 0 if there is no room or was none before. */
static size_t add(char *packet, size_t length, const char *text)
{
	size_t more = strlen(text) + 1;

	if (length == 0 || more > PACKET_REQUEST_BYTES - length)
		return 0;
	memcpy(packet + length, text, more);
	return length + more;
}

size_t packet_write_request(char *packet, const char *path, bool tsize, unsigned blksize_bytes)
{
	char number[16];
	size_t length;

	put_be16(packet, PACKET_RRQ);
	length = add(packet, add(packet, 2, path), "octet");
	if (tsize)
		length = add(packet, add(packet, length, "tsize"), "0");
	if (blksize_bytes) {
		snprintf(number, sizeof(number), "%u", blksize_bytes);
		length = add(packet, add(packet, length, "blksize"), number);
	}
	return length;
}

size_t packet_write_ack(char *packet, uint16_t block)
{
	put_be16(packet, PACKET_ACK);
	put_be16(packet + 2, block);
	return PACKET_HEADER_BYTES;
}

size_t packet_write_error(char *packet, uint16_t code, const char *text)
{
	put_be16(packet, PACKET_ERROR);
	put_be16(packet + 2, code);
	snprintf(packet + PACKET_HEADER_BYTES, PACKET_REQUEST_BYTES - PACKET_HEADER_BYTES, "%s", text);
	return PACKET_HEADER_BYTES + strlen(packet + PACKET_HEADER_BYTES) + 1;
}

bool packet_read(const char *packet, size_t length, enum packet_opcode *opcode, uint16_t *number)
{
	if (length < 2)
		return false;
	*opcode = get_be16(packet);
	*number = 0;
	if (*opcode == PACKET_OACK)
		return true;
	if (length < PACKET_HEADER_BYTES || (*opcode != PACKET_DATA && *opcode != PACKET_ERROR))
		return false;
	*number = get_be16(packet + 2);
	return true;
}

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	errno = 0;
	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

/* Pairs of strings, each with its NUL; the packet's end bounds the loop. */
bool packet_read_options(const char *packet, size_t length, struct packet_options *options)
{
	const char *at = packet + 2, *end = packet + length;

	while (at < end) {
		const char *value = memchr(at, '\0', (size_t)(end - at));
		const char *behind;

		value = value ? value + 1 : end;
		behind = memchr(value, '\0', (size_t)(end - value));
		if (!behind)
			return false;
		if (strcasecmp(at, "tsize") == 0) {
			options->has_tsize = true;
			if (!read_number(value, &options->tsize_bytes))
				return false;
		} else if (strcasecmp(at, "blksize") == 0) {
			options->has_blksize = true;
			if (!read_number(value, &options->blksize_bytes))
				return false;
		} else {
			return false; /* RFC 2347: no option that was not asked for */
		}
		at = behind + 1;
	}
	return true;
}
