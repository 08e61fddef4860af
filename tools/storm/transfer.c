/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/transfer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

#define SECOND_NS INT64_C(1000000000)
#define REQUEST_AGAIN_NS (2 * SECOND_NS) /* the firmware's */
#define ACK_AGAIN_NS SECOND_NS

static void end(struct transfer *transfer, enum transfer_end how, const char *why, int64_t now_ns)
{
	transfer->end = how;
	transfer->ended_ns = now_ns;
	snprintf(transfer->why, sizeof(transfer->why), "%s", why);
	text_make_plain(transfer->why);
}

/* What is not sent (a full queue, a server that is gone) is sent again by the timer, or noticed by receive.
 */
static void send_last(struct transfer *transfer)
{
	if (transfer->known)
		send(transfer->fd, transfer->last, transfer->last_bytes, MSG_NOSIGNAL);
	else
		sendto(transfer->fd, transfer->last, transfer->last_bytes, MSG_NOSIGNAL,
		       (const struct sockaddr *)&transfer->server.address, transfer->server.address_bytes);
}

static void send_ack(struct transfer *transfer, uint16_t block, int64_t now_ns)
{
	transfer->last_bytes = packet_write_ack(transfer->last, block);
	transfer->resend_ns = now_ns + ACK_AGAIN_NS;
	send_last(transfer);
}

static void send_error(struct transfer *transfer, uint16_t code, const char *text)
{
	transfer->last_bytes = packet_write_error(transfer->last, code, text);
	send_last(transfer);
}

int transfer_start(struct transfer *transfer, const struct transfer_server *server,
		   const struct transfer_request *request, int64_t now_ns)
{
	void *owner = transfer->owner;
	int error = ENOMEM;

	*transfer = (struct transfer){
		.owner = owner,
		.fd = -1,
		.probe = request->probe,
		.server = *server,
		.blksize_bytes = PACKET_BLOCK_BYTES,
		.expected = 1,
		.asked_ns = now_ns,
		.resend_ns = now_ns + REQUEST_AGAIN_NS,
		.deadline_ns = now_ns + request->patience_ns,
		.patience_ns = request->patience_ns,
	};
	transfer->options.blksize_bytes = request->blksize_bytes;
	transfer->last_bytes = packet_write_request(transfer->last, request->path, request->options,
						    request->options ? request->blksize_bytes : 0);
	if (transfer->last_bytes == 0)
		return -ENAMETOOLONG;
	transfer->path = strdup(request->path);
	if (!request->probe)
		transfer->hash = XXH3_createState();
	if (!transfer->path || (!request->probe && !transfer->hash))
		goto failed;
	if (transfer->hash)
		XXH3_128bits_reset(transfer->hash);
	transfer->fd = socket(server->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	error = errno;
	if (transfer->fd < 0)
		goto failed;
	send_last(transfer);
	return 0;
failed:
	transfer_release(transfer);
	return -error;
}

/* Is it the server's, by its address? Its port is another one for each transfer (RFC 1350, 4). */
static bool is_from_server(const struct transfer *transfer, const struct sockaddr_storage *from)
{
	const struct sockaddr_storage *server = &transfer->server.address;

	if (from->ss_family != server->ss_family)
		return false;
	if (from->ss_family == AF_INET)
		return ((const struct sockaddr_in *)from)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)server)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)from)->sin6_addr,
		      &((const struct sockaddr_in6 *)server)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

/*
 * The first packet settles the server's port. From then on the kernel drops what comes from another, and
 * tells its sender, which is what RFC 1350's ERROR 5 is for.
 */
static bool take_first(struct transfer *transfer, const struct sockaddr_storage *from, socklen_t from_bytes,
		       int64_t now_ns)
{
	if (!is_from_server(transfer, from) ||
	    connect(transfer->fd, (const struct sockaddr *)from, from_bytes) != 0)
		return false;
	transfer->known = true;
	transfer->answered_ns = now_ns;
	return true;
}

static void take_error(struct transfer *transfer, uint16_t code, char *text, size_t bytes, int64_t now_ns)
{
	char why[TRANSFER_TEXT_BYTES];

	snprintf(why, sizeof(why), "error %u: %.*s", (unsigned)code, (int)strnlen(text, bytes), text);
	if (transfer->first_byte_ns != 0 || transfer->options.has_tsize || transfer->options.has_blksize)
		end(transfer, TRANSFER_CUT, why, now_ns);
	else
		end(transfer, code == PACKET_ERROR_NOT_FOUND ? TRANSFER_ABSENT : TRANSFER_REFUSED, why,
		    now_ns);
}

static void take_options(struct transfer *transfer, const char *packet, size_t length, int64_t now_ns)
{
	uint64_t asked = transfer->options.blksize_bytes;

	if (transfer->first_byte_ns != 0)
		return; /* again: the request was sent twice */
	if (!packet_read_options(packet, length, &transfer->options) ||
	    (transfer->options.has_blksize &&
	     (transfer->options.blksize_bytes < 8 || transfer->options.blksize_bytes > asked))) {
		send_error(transfer, 8, "Options refused");
		end(transfer, TRANSFER_INVALID, "options that were not asked for", now_ns);
		return;
	}
	if (transfer->options.has_blksize)
		transfer->blksize_bytes = (unsigned)transfer->options.blksize_bytes;
	if (transfer->probe)
		end(transfer, TRANSFER_WHOLE, "", now_ns);
	else
		send_ack(transfer, 0, now_ns);
}

static void take_last(struct transfer *transfer, int64_t now_ns)
{
	if (transfer->options.has_tsize && transfer->options.tsize_bytes != transfer->bytes)
		end(transfer, TRANSFER_INVALID, "another length than tsize said", now_ns);
	else
		end(transfer, TRANSFER_WHOLE, "", now_ns);
}

static void take_data(struct transfer *transfer, uint16_t block, const char *data, size_t bytes,
		      int64_t now_ns)
{
	if (transfer->first_byte_ns == 0)
		transfer->first_byte_ns = now_ns;
	if (transfer->probe) { /* a server without options */
		end(transfer, TRANSFER_WHOLE, "", now_ns);
		return;
	}
	if (block != transfer->expected) {
		/* Our ACK was lost, or late. That it is sent again makes no server send twice (RFC
		 * 1123, 4.2.3.1). */
		transfer->duplicates++;
		if (block == (uint16_t)(transfer->expected - 1))
			send_last(transfer);
		return;
	}
	if (bytes > transfer->blksize_bytes) {
		send_error(transfer, 4, "Block too long");
		end(transfer, TRANSFER_INVALID, "a block longer than agreed", now_ns);
		return;
	}
	send_ack(transfer, block, now_ns); /* before the hash: the server works meanwhile */
	transfer->deadline_ns = now_ns + transfer->patience_ns;
	transfer->expected++;
	transfer->bytes += bytes;
	XXH3_128bits_update(transfer->hash, data, bytes);
	if (bytes < transfer->blksize_bytes)
		take_last(transfer, now_ns);
}

void transfer_receive(struct transfer *transfer, char *buffer, int64_t now_ns)
{
	struct sockaddr_storage from = { 0 };
	socklen_t from_bytes = sizeof(from);
	enum packet_opcode opcode;
	uint16_t number;
	ssize_t length;

	if (transfer->known)
		length = recv(transfer->fd, buffer, PACKET_BYTES_MAX, 0);
	else
		length = recvfrom(transfer->fd, buffer, PACKET_BYTES_MAX, 0, (struct sockaddr *)&from,
				  &from_bytes);
	if (length < 0) {
		if (errno == ECONNREFUSED)
			end(transfer, TRANSFER_CUT, "the server's port is closed", now_ns);
		return;
	}
	if (!transfer->known && !take_first(transfer, &from, from_bytes, now_ns))
		return;
	if (!packet_read(buffer, (size_t)length, &opcode, &number)) {
		end(transfer, TRANSFER_INVALID, "no packet of TFTP", now_ns);
		return;
	}
	if (opcode == PACKET_ERROR)
		take_error(transfer, number, buffer + PACKET_HEADER_BYTES,
			   (size_t)length - PACKET_HEADER_BYTES, now_ns);
	else if (opcode == PACKET_OACK)
		take_options(transfer, buffer, (size_t)length, now_ns);
	else
		take_data(transfer, number, buffer + PACKET_HEADER_BYTES,
			  (size_t)length - PACKET_HEADER_BYTES, now_ns);
}

void transfer_tick(struct transfer *transfer, int64_t now_ns)
{
	if (transfer->end != TRANSFER_GOES_ON)
		return;
	if (now_ns >= transfer->deadline_ns) {
		if (transfer->known)
			end(transfer, TRANSFER_CUT, "nothing more came", now_ns);
		else
			end(transfer, TRANSFER_SILENT, "no answer", now_ns);
	} else if (now_ns >= transfer->resend_ns) {
		transfer->resent++;
		transfer->resend_ns = now_ns + (transfer->known ? ACK_AGAIN_NS : REQUEST_AGAIN_NS);
		send_last(transfer);
	}
}

void transfer_end_early(struct transfer *transfer)
{
	send_error(transfer, 0, "Early terminate");
}

XXH128_hash_t transfer_hash(const struct transfer *transfer)
{
	return XXH3_128bits_digest(transfer->hash);
}

void transfer_release(struct transfer *transfer)
{
	if (transfer->fd >= 0)
		close(transfer->fd);
	XXH3_freeState(transfer->hash);
	free(transfer->path);
	transfer->fd = -1;
	transfer->hash = NULL;
	transfer->path = NULL;
}
