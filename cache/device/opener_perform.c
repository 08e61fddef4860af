/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/opener_perform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/temporary.h"
#include "cache/device/opener_marks.h"
#include "cache/device/path_watch.h"
#include "cache/device/readable.h"
#include "cache/device/source_dir.h"

/* Where temporary files may be. */
#define TEMPORARY "/var/tmp"

/* ---- what names nothing ------------------------------------------------------ */

static int connect_to_syslog(void)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return -errno;
	return steal_fd(&fd);
}

static int process_name(pid_t process, char *name)
{
	char path[64];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)process);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);

	length = fd >= 0 ? read(fd, name, 31) : 0;
	name[length > 0 ? length : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	return 0;
}

/* ---- requests ------------------------------------------------------------------------ */

static int perform_on_name(const struct opener_request *request, struct opener_answer *answer)
{
	bool named = request->what != OPENER_ASK_STAT || request->flags[0] != OPENER_SOURCE;
	int result;

	if (!memchr(request->name, '\0', sizeof(request->name)) || (named && !source_dir_has(request->name)))
		return -EACCES;
	switch (request->what) {
	case OPENER_ASK_OPEN:
		return answer->fds[0] = source_dir_open_name(request->name);
	case OPENER_ASK_STAT:
		result = source_dir_stat(request->name, request->flags[0], &answer->st);
		answer->text_bytes = result == 0 ? sizeof(answer->st) : 0;
		return result;
	default:
		result = source_dir_readlink(request->name, answer->text);
		answer->text_bytes = result == 0 ? strlen(answer->text) + 1 : 0;
		return result;
	}
}

static int perform_own(const struct opener_request *request)
{
	if (!memchr(request->name, '\0', sizeof(request->name)) || !memchr(request->file, '\0', sizeof(request->file)) ||
	    !source_dir_is_own(request->name))
		return -EACCES;
	return source_dir_open_own(request->name, request->file);
}

static int perform_connect(const struct opener_request *request, struct opener_answer *answer)
{
	if (!memchr(request->name, '\0', sizeof(request->name)))
		return -EACCES;
	answer->fds[0] = source_dir_connect(request->name, answer->text);
	answer->text_bytes = answer->fds[0] >= 0 ? strlen(answer->text) + 1 : 0;
	return answer->fds[0];
}

/* A queue of its own each time: what is watched lasts as long as that. */
static int perform_watch_path(struct opener_answer *answer)
{
	struct path_watch watch;
	int error = source_dir_watch(&watch);

	if (error != 0)
		return error;
	answer->fds[0] = watch.fd;
	memcpy(answer->text, watch.names, watch.names_bytes);
	answer->text_bytes = watch.names_bytes;
	return watch.directory;
}

static int perform(const struct opener_request *request, struct opener_answer *answer)
{
	int result;

	switch (request->what) {
	case OPENER_ASK_CONNECT:
		return perform_connect(request, answer);
	case OPENER_ASK_OPEN:
	case OPENER_ASK_STAT:
	case OPENER_ASK_READLINK:
		return perform_on_name(request, answer);
	case OPENER_ASK_OWN:
		return answer->fds[0] = perform_own(request);
	case OPENER_ASK_DIRECTORY:
		return answer->fds[0] = source_dir_open(source_dir_is_one_image() ? O_PATH : O_RDONLY);
	case OPENER_ASK_WATCH_PATH:
		return perform_watch_path(answer);
	case OPENER_ASK_REOPEN:
		return answer->fds[0] = readable_reopen(request->fds[0], request->flags[0]);
	case OPENER_ASK_COUNTERS:
		return readable_counters(request->fds[0], answer->fds);
	case OPENER_ASK_WATCH:
		return readable_watch(request->fds[0], request->fds[1], request->flags[0] != 0);
	case OPENER_ASK_MARK:
		return opener_marks_set(request);
	case OPENER_ASK_MARK_AND_REOPEN:
		result = opener_marks_set(request);
		return result != 0 && result != -ENOENT ? result : (answer->fds[0] = readable_reopen(request->fds[1], 0));
	case OPENER_ASK_TEMPORARY:
		return answer->fds[0] = temporary_file(source_dir_is_known() ? TEMPORARY : request->name);
	case OPENER_ASK_SYSLOG:
		return answer->fds[0] = connect_to_syslog();
	case OPENER_ASK_PROCESS:
		answer->text_bytes = 32;
		return process_name((pid_t)request->flags[0], answer->text);
	default:
		return -EINVAL;
	}
}

void opener_perform(const struct opener_request *request, struct opener_answer *answer)
{
	answer->fds[0] = answer->fds[1] = -1;
	answer->text_bytes = 0;
	answer->result = perform(request, answer);
	if (answer->result >= 0)
		return;
	for (size_t i = 0; i < OPENER_FDS; i++)
		cleanup_close_fd(&answer->fds[i]);
}
