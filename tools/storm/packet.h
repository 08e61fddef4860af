/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * packet: TFTP's packets as a client writes and reads them (RFC 1350, 2347, 2348, 2349). Pure functions over
 * bytes, which are a server's and may be anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_BYTES_MAX 65536
#define PACKET_HEADER_BYTES 4  /* of DATA, ACK and ERROR: opcode and number */
#define PACKET_BLOCK_BYTES 512 /* where no other was agreed on (RFC 1350) */
#define PACKET_REQUEST_BYTES 512

enum packet_opcode {
	PACKET_RRQ = 1,
	PACKET_DATA = 3,
	PACKET_ACK = 4,
	PACKET_ERROR = 5,
	PACKET_OACK = 6,
};

#define PACKET_ERROR_NOT_FOUND 1

/* What an OACK says; what it does not say stays as it was. */
struct packet_options {
	uint64_t tsize_bytes, blksize_bytes;
	bool has_tsize, has_blksize;
};

/*
 * A read request in octet mode, with "tsize 0" if `tsize`, and "blksize" if `blksize_bytes` is not 0. Returns
 * its length, 0 if it does not fit into PACKET_REQUEST_BYTES.
 */
size_t packet_write_request(char *packet, const char *path, bool tsize, unsigned blksize_bytes);

size_t packet_write_ack(char *packet, uint16_t block);

/* `packet` is PACKET_REQUEST_BYTES; `text` is cut to fit. */
size_t packet_write_error(char *packet, uint16_t code, const char *text);

/* False: too short for any packet of a server. *number: DATA's block or ERROR's code; 0 of an OACK. */
bool packet_read(const char *packet, size_t length, enum packet_opcode *opcode, uint16_t *number);

/* Of an OACK. False: it is none that a server may send. */
bool packet_read_options(const char *packet, size_t length, struct packet_options *options);
