/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * transfer: one file asked for over TFTP, without ever waiting: whoever owns it polls its descriptor, hands
 * in what comes (transfer_receive) and the time (transfer_tick), and looks at its `end` after each.
 *
 * As a Raspberry Pi's firmware does it: octet mode, "tsize 0" and "blksize", the request again every 2 s from
 * the same port. A probe is a request that ends when the first answer is there, by ERROR 0 "Early terminate";
 * the owner sends it (transfer_end_early), because the firmware asks for the next file before. The bytes are
 * hashed and not kept.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <xxhash.h>

#include "tools/storm/packet.h"

#define TRANSFER_TEXT_BYTES 160

enum transfer_end {
	TRANSFER_GOES_ON,
	TRANSFER_WHOLE,	  /* every byte; of a probe: it is there */
	TRANSFER_ABSENT,  /* ERROR 1, not found */
	TRANSFER_REFUSED, /* any other ERROR instead of an answer */
	TRANSFER_CUT,	  /* it had begun, and ended before its end: an ERROR, silence, a closed port */
	TRANSFER_SILENT,  /* never an answer */
	TRANSFER_INVALID, /* an answer that is no TFTP, or another length than tsize said */
};

struct transfer_server {
	struct sockaddr_storage address;
	socklen_t address_bytes;
};

struct transfer {
	void *owner;	   /* for whoever polls */
	char *path;	   /* as asked for; owned */
	int fd;		   /* -1: none; non-blocking */
	bool probe, known; /* known: the server's port is, and the socket connected to it */
	enum transfer_end end;
	char why[TRANSFER_TEXT_BYTES]; /* what the server said, or what was wrong; "" if nothing */

	struct transfer_server server;
	struct packet_options options;
	unsigned blksize_bytes;
	char last[PACKET_REQUEST_BYTES]; /* what is sent again when nothing comes */
	size_t last_bytes;
	uint16_t expected; /* number of the next block */

	XXH3_state_t *hash; /* NULL of a probe; owned */
	uint64_t bytes;
	unsigned resent, duplicates; /* packets of ours, and of the server's that came again */
	/* CLOCK_MONOTONIC; 0: not yet. */
	int64_t asked_ns, answered_ns, first_byte_ns, ended_ns;
	int64_t resend_ns, deadline_ns, patience_ns;
};

/* What is asked for. `options`: tsize, and blksize if it is not 0. */
struct transfer_request {
	const char *path;
	bool probe, options;
	unsigned blksize_bytes;
	int64_t patience_ns; /* without a new packet: then it is over */
};

/*
 * Sends the request. `transfer` is zero, or was released. -errno: no socket, no memory, a path that is too
 * long; then there is nothing to release.
 */
int transfer_start(struct transfer *transfer, const struct transfer_server *server,
		   const struct transfer_request *request, int64_t now_ns);

/* Its descriptor is readable: one packet. `buffer` is PACKET_BYTES_MAX, and nobody's afterwards. */
void transfer_receive(struct transfer *transfer, char *buffer, int64_t now_ns);

/* To be called every few milliseconds: what was lost is sent again, what takes too long is over. */
void transfer_tick(struct transfer *transfer, int64_t now_ns);

/* Of a probe that is WHOLE. */
void transfer_end_early(struct transfer *transfer);

/* Of one that is WHOLE and no probe. */
XXH128_hash_t transfer_hash(const struct transfer *transfer);

void transfer_release(struct transfer *transfer);
