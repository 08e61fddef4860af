/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/fd_message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(OPENER_FDS * sizeof(int))];
};

int fd_message_send(int fd, int flags, const void *data, size_t bytes, const int *fds, size_t fd_count)
{
	union control control = { 0 };
	struct iovec iov = { (void *)data, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t sent;

	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, fd_count * sizeof(int));
	}
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL | flags);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

ssize_t fd_message_receive(int fd, void *data, size_t bytes, int fds[OPENER_FDS])
{
	union control control;
	struct iovec iov = { data, bytes };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header;
	ssize_t got;

	fds[0] = fds[1] = -1;
	do
		got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
	if (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)) {
		for (size_t i = 0; i < OPENER_FDS; i++)
			cleanup_close_fd(&fds[i]);
		fds[0] = fds[1] = -1;
		return -EMFILE;
	}
	return got;
}

size_t fd_message_count(const int fds[OPENER_FDS])
{
	return (size_t)((fds[0] >= 0) + (fds[0] >= 0 && fds[1] >= 0));
}
