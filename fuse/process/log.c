/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

static enum log_level max_level = LOG_LEVEL_NOTICE;
static unsigned debugged; /* of enum log_debug */
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

void log_open_syslog(void)
{
	openlog("imagefs", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

void log_to_syslog(void)
{
	use_syslog = true;
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
		syslog((int)level, "%s", line);
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
