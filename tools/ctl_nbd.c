/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NBD's handshake as far as the question (NBD_OPT_INFO of its doc/proto.md), and no further. libnbd would do it,
 * but it has no limit of time, and a server that hangs is what somebody who asks may have before him.
 */
#include "tools/ctl_nbd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ANSWER_S 1
#define MAGIC "NBDMAGICIHAVEOPT"
#define FLAG_FIXED_NEWSTYLE 1U
#define OPT_ABORT 2U
#define OPT_INFO 6U
#define REPLY_MAGIC_HIGH 0x0003e889U
#define REPLY_MAGIC_LOW 0x045565a9U
#define REPLY_ACK 1U
#define REPLY_INFO 3U
#define REPLY_UNKNOWN 0x80000006U
#define NAME_BYTES_MAX 256
#define REPLIES_MAX 32
#define REPLY_BYTES_MAX 4096U

static void put_be32(unsigned char *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

static uint32_t get_be32(const unsigned char *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return ntohl(value);
}

/* All of it, or false. */
static bool get(int fd, void *buffer, size_t length)
{
	return recv(fd, buffer, length, MSG_WAITALL) == (ssize_t)length;
}

static bool put(int fd, const void *buffer, size_t length)
{
	return send(fd, buffer, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static int connect_address(const struct addrinfo *address)
{
	const struct timeval limit = { .tv_sec = ANSWER_S };
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* The limit for sending is that of connect as well (socket(7)). */
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
			connect(fd, address->ai_addr, address->ai_addrlen) != 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int connect_to(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &list) != 0)
		return -1;
	for (const struct addrinfo *address = list; address && fd < 0; address = address->ai_next)
		fd = connect_address(address);
	freeaddrinfo(list);
	return fd;
}

static bool send_option(int fd, uint32_t option, const void *data, size_t length)
{
	unsigned char header[16] = "IHAVEOPT";

	put_be32(header + 8, option);
	put_be32(header + 12, (uint32_t)length);
	return put(fd, header, sizeof(header)) && (length == 0 || put(fd, data, length));
}

/* Details come first, as many as the server likes; then the answer. */
static enum nbd_answer read_answer(int fd)
{
	unsigned char header[20], details[REPLY_BYTES_MAX];

	for (int i = 0; i < REPLIES_MAX; i++) {
		uint32_t type, length;

		if (!get(fd, header, sizeof(header)))
			return NBD_SILENT;
		type = get_be32(header + 12);
		length = get_be32(header + 16);
		if (get_be32(header) != REPLY_MAGIC_HIGH || get_be32(header + 4) != REPLY_MAGIC_LOW || length > sizeof(details))
			return NBD_NOT_SAID;
		if (length > 0 && !get(fd, details, length))
			return NBD_SILENT;
		if (type != REPLY_INFO)
			return type == REPLY_ACK ? NBD_THERE : type == REPLY_UNKNOWN ? NBD_MISSING : NBD_NOT_SAID;
	}
	return NBD_NOT_SAID;
}

enum nbd_answer nbd_ask(const char *host, const char *port, const char *export)
{
	size_t length = strlen(export);
	unsigned char hello[18], flags[4] = { 0 }, question[4 + NAME_BYTES_MAX + 2] = { 0 };
	CLEANUP_FD int fd = connect_to(host, port);
	enum nbd_answer answer;

	if (fd < 0 || !get(fd, hello, sizeof(hello)))
		return NBD_SILENT;
	if (memcmp(hello, MAGIC, strlen(MAGIC)) != 0 || !(hello[17] & FLAG_FIXED_NEWSTYLE) || length > NAME_BYTES_MAX)
		return NBD_NOT_SAID;
	put_be32(flags, FLAG_FIXED_NEWSTYLE);
	put_be32(question, (uint32_t)length);
	memcpy(question + 4, export, length); /* and no kind of detail is asked for */
	if (!put(fd, flags, sizeof(flags)) || !send_option(fd, OPT_INFO, question, 4 + length + 2))
		return NBD_SILENT;
	answer = read_answer(fd);
	if (answer != NBD_SILENT)
		send_option(fd, OPT_ABORT, NULL, 0);
	return answer;
}
