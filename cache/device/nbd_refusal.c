/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/nbd_refusal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *const problems[] = {
	[NBD_REFUSAL_FILES - NBD_REFUSAL_FILES] = "its files for TLS cannot be used",
	[NBD_REFUSAL_NO_TLS - NBD_REFUSAL_FILES] = "its block server does not offer TLS",
	[NBD_REFUSAL_NOT_TRUSTED - NBD_REFUSAL_FILES] = "its block server's certificate is not trusted",
	[NBD_REFUSAL_FAILED - NBD_REFUSAL_FILES] = "TLS with its block server fails",
	[NBD_REFUSAL_NOT_STARTED - NBD_REFUSAL_FILES] = "its connection by TLS could not be begun",
};

void nbd_refusal_send(int client_fd, enum nbd_refusal why, const char *details)
{
	char text[1 + NBD_DETAILS_BYTES];

	snprintf(text, sizeof(text), "%c%s", (char)why, details);
	/* It has room for that. Nobody there: nobody to tell. */
	send(client_fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* How many; 0: the end, or an error. */
static ssize_t wait_and_receive(int fd, void *buffer, size_t bytes, int flags)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	ssize_t got;

	/* Ends with the first byte, or the socket. */
	do {
		poll(&ready, 1, -1);
		got = recv(fd, buffer, bytes, flags);
	} while (got < 0 && (errno == EAGAIN || errno == EINTR));
	return got > 0 ? got : 0;
}

bool nbd_refusal_await(int client_fd, const char **problem, char details[NBD_DETAILS_BYTES])
{
	char why = 0;
	size_t length = 0;
	ssize_t got = wait_and_receive(client_fd, &why, 1, MSG_PEEK);

	if (got == 1 && why == 'N')
		return true;
	if (got == 1)
		recv(client_fd, &why, 1, 0);
	/* Each turn fills some of it. */
	while (got > 0 && length < NBD_DETAILS_BYTES - 1 &&
	       (got = wait_and_receive(client_fd, details + length, NBD_DETAILS_BYTES - 1 - length, 0)) > 0)
		length += (size_t)got;
	details[length] = '\0';
	*problem = why >= NBD_REFUSAL_FILES && why < NBD_REFUSALS ? problems[why - NBD_REFUSAL_FILES] :
								    "its connection by TLS ended before it was made";
	return false;
}
