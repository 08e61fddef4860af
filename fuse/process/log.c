/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cache/device/opener.h"

static enum log_level max_level = LOG_LEVEL_NOTICE;
static unsigned debugged; /* of enum log_debug */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held while a line goes to syslog */
static int syslog_fd = -1; /* under the lock */
static atomic_bool use_syslog; /* set by the thread that reports, while others may log */

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_set_debug(unsigned what)
{
	debugged = what;
	if (what != 0)
		max_level = LOG_LEVEL_DEBUG;
}

bool log_debugs(enum log_debug what)
{
	return (debugged & what) != 0;
}

void log_to_syslog(void)
{
	use_syslog = true;
}

static bool send_to_syslog(const char *text, size_t length)
{
	return syslog_fd >= 0 && send(syslog_fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* RFC 3164, as syslog(3) has it; that connects by itself, which this process may not. */
static void write_to_syslog(enum log_level level, const char *line)
{
	char text[1024 + 128], when[32] = "";
	time_t now = time(NULL);
	struct tm parts;
	int length;

	if (localtime_r(&now, &parts))
		strftime(when, sizeof(when), "%b %e %H:%M:%S", &parts);
	length = snprintf(text, sizeof(text), "<%d>%s imagefs[%d]: %s", LOG_DAEMON | (int)level, when, (int)getpid(), line);
	LOCK_SCOPE(&lock);
	if (send_to_syslog(text, (size_t)length) || (syslog_fd >= 0 && errno == EAGAIN))
		return;
	/* It is the first line, or the logger was started again. */
	cleanup_close_fd(&syslog_fd);
	syslog_fd = opener_syslog();
	send_to_syslog(text, (size_t)length);
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[1024];
	va_list arguments;

	if (level > max_level)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	/* Names come from images and directories: they must not forge lines. */
	for (char *at = line; *at; at++)
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			*at = '?';
	if (use_syslog)
		write_to_syslog(level, line);
	else if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", (int)level, line);
	else
		fprintf(stderr, "imagefs: %s\n", line);
}

bool log_allowed(_Atomic long long *last)
{
	struct timespec now;
	long long before = atomic_load(last);

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (before != 0 && now.tv_sec + 1 - before < LOG_LIMIT_SECONDS)
		return false;
	return atomic_compare_exchange_strong(last, &before, (long long)now.tv_sec + 1);
}
