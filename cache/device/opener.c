/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/opener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cache/device/opener_perform.h"
#include "cache/device/path_watch.h"

/* Constant once there are threads. */
static void (*ask)(const struct opener_request *request, struct opener_answer *answer) = opener_perform;

void opener_ask_with(void (*other)(const struct opener_request *request, struct opener_answer *answer))
{
	ask = other;
}

static struct opener_request of_name(unsigned what, const char *name)
{
	struct opener_request request = { .what = what, .fds = { -1, -1 } };

	snprintf(request.name, sizeof(request.name), "%s", name);
	return request;
}

static int result_of(const struct opener_request *request)
{
	struct opener_answer answer;

	ask(request, &answer);
	return answer.result < 0 || answer.fds[0] < 0 ? answer.result : answer.fds[0];
}

int opener_open(const char *name)
{
	struct opener_request request = of_name(OPENER_ASK_OPEN, name);

	return strlen(name) > NAME_MAX ? -ENAMETOOLONG : result_of(&request);
}

int opener_connect(const char *name, const char *uri)
{
	struct opener_request request = of_name(OPENER_ASK_CONNECT, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	ask(&request, &answer);
	if (answer.result < 0 || strcmp(answer.text, uri) == 0)
		return answer.result < 0 ? answer.result : answer.fds[0];
	close(answer.fds[0]);
	return -ESTALE;
}

int opener_own(const char *directory, const char *file)
{
	struct opener_request request = of_name(OPENER_ASK_OWN, directory);

	if (strlen(directory) > NAME_MAX || strlen(file) > NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(request.file, file);
	return result_of(&request);
}

int opener_directory(void)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_DIRECTORY, .fds = { -1, -1 } });
}

int opener_watch_path(struct path_watch *watch)
{
	struct opener_answer answer;

	ask(&(struct opener_request){ .what = OPENER_ASK_WATCH_PATH, .fds = { -1, -1 } }, &answer);
	*watch = (struct path_watch){ .fd = answer.fds[0], .directory = answer.result };
	if (answer.result < 0)
		return answer.result;
	watch->names_bytes = answer.text_bytes;
	memcpy(watch->names, answer.text, answer.text_bytes);
	return 0;
}

int opener_stat(const char *name, enum opener_stat what, struct stat *st)
{
	struct opener_request request = of_name(OPENER_ASK_STAT, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	request.flags[0] = what;
	ask(&request, &answer);
	if (answer.result == 0)
		*st = answer.st;
	return answer.result;
}

int opener_readlink(const char *name, char *text)
{
	struct opener_request request = of_name(OPENER_ASK_READLINK, name);
	struct opener_answer answer;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	ask(&request, &answer);
	if (answer.result == 0)
		memcpy(text, answer.text, answer.text_bytes);
	return answer.result;
}

int opener_reopen(int fd, int flags)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_REOPEN, .flags = { (unsigned)flags }, .fds = { fd, -1 } });
}

int opener_counters(int fd, int fds[2])
{
	struct opener_answer answer;

	ask(&(struct opener_request){ .what = OPENER_ASK_COUNTERS, .fds = { fd, -1 } }, &answer);
	memcpy(fds, answer.fds, sizeof(answer.fds));
	return answer.result;
}

int opener_watch(int inotify_fd, int fd, bool once)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_WATCH, .flags = { once }, .fds = { inotify_fd, fd } });
}

int opener_mark(int fanotify_fd, unsigned flags, uint64_t mask, int fd)
{
	return result_of(&(struct opener_request){
		.what = OPENER_ASK_MARK, .flags = { flags }, .mask = mask, .fds = { fanotify_fd, fd } });
}

int opener_mark_and_reopen(int fanotify_fd, unsigned first_flags, unsigned second_flags, uint64_t mask, int fd)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_MARK_AND_REOPEN,
						   .flags = { first_flags, second_flags },
						   .mask = mask,
						   .fds = { fanotify_fd, fd } });
}

int opener_temporary(const char *directory)
{
	struct opener_request request = of_name(OPENER_ASK_TEMPORARY, directory);

	return result_of(&request);
}

int opener_syslog(void)
{
	return result_of(&(struct opener_request){ .what = OPENER_ASK_SYSLOG, .fds = { -1, -1 } });
}

void opener_process_name(pid_t process, char *name)
{
	struct opener_answer answer;

	ask(&(struct opener_request){
		    .what = OPENER_ASK_PROCESS, .flags = { (unsigned)process }, .fds = { -1, -1 } }, &answer);
	snprintf(name, 32, "%.31s", answer.result == 0 ? answer.text : "");
}
