/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A logger that hangs must not hang the daemon, whose threads answer the kernel (CONTRACT S5). So
 * no line waits for its reader: where it would have to, it is dropped and counted, and the next
 * one that gets through says how many were. syslog(3) waits, so its datagram is made here.
 *
 * What --debug asks for is not dropped: who follows it waits for all of it.
 */
#include "fuse/process/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"
#include "base/waits.h"
#include "cache/device/opener.h"

/* pipe(7), PIPE_BUF: when poll(2) says that a pipe can be written, so much does not wait. */
#define LINE_BYTES 4096

static enum log_level max_level = LOG_LEVEL_NOTICE;
static unsigned debugged; /* of enum log_debug */
static atomic_bool use_syslog; /* set by the thread that reports, while others may log */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* held while a line is written */
static int syslog_fd = -1; /* under the lock */
static atomic_ulong dropped;

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

/* ---- stderr ---------------------------------------------------------------- */

/* sd-daemon(3): JOURNAL_STREAM is inherited; it says DEVICE:INODE of the journal's socket. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == device && st.st_ino == inode;
}

/* False: it would have to wait. Who cannot be written to at all has nothing to wait for. */
static bool write_to_stderr(const char *text, size_t length)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (send(STDERR_FILENO, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno != ENOTSOCK)
		return errno != EAGAIN;
	if (debugged == 0 && (poll(&out, 1, 0) != 1 || !(out.revents & (POLLOUT | POLLERR))))
		return false;
	return write(STDERR_FILENO, text, length) >= 0 || errno != EAGAIN;
}

/* ---- syslog ---------------------------------------------------------------- */

static void connect_to_syslog(void)
{
	cleanup_close_fd(&syslog_fd);
	syslog_fd = opener_syslog();
}

void log_to_syslog(void)
{
	LOCK_SCOPE(&lock);
	connect_to_syslog();
	use_syslog = true;
}

static bool send_to_syslog(const char *text, size_t length)
{
	return syslog_fd >= 0 && send(syslog_fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* RFC 3164, as syslog(3) has it. False: it would have to wait, or nobody is there. */
static bool write_to_syslog(enum log_level level, const char *line)
{
	char text[LINE_BYTES + 128], when[32] = "";
	time_t now = time(NULL);
	struct tm parts;
	int length;

	if (localtime_r(&now, &parts))
		strftime(when, sizeof(when), "%b %e %H:%M:%S", &parts);
	length = snprintf(text, sizeof(text), "<%d>%s imagefs[%d]: %s", LOG_DAEMON | (int)level, when, (int)getpid(), line);
	if (send_to_syslog(text, (size_t)length))
		return true;
	if (syslog_fd >= 0 && errno == EAGAIN)
		return false;
	connect_to_syslog(); /* it may have been started again */
	return send_to_syslog(text, (size_t)length);
}

/* ---- lines ----------------------------------------------------------------- */

/* `line` is plain text. False: it would have to wait. */
static bool put(enum log_level level, const char *line)
{
	char text[LINE_BYTES];
	int length;

	if (use_syslog)
		return write_to_syslog(level, line);
	if (stderr_is_journal())
		length = snprintf(text, sizeof(text), "<%d>%s", (int)level, line);
	else
		length = snprintf(text, sizeof(text), "imagefs: %s", line);
	length = length < LINE_BYTES - 1 ? length : LINE_BYTES - 1;
	text[length] = '\n'; /* no end of a string is needed */
	return write_to_stderr(text, (size_t)length + 1);
}

/* Said before the next line: what was dropped. False: it would have to wait. */
static bool put_dropped(void)
{
	unsigned long count = atomic_load(&dropped);
	char line[64];

	if (count == 0)
		return true;
	snprintf(line, sizeof(line), "%lu lines could not be logged", count);
	if (!put(LOG_LEVEL_WARNING, line))
		return false;
	atomic_fetch_sub(&dropped, count);
	return true;
}

/* Where even a file hangs, only one thread hangs with it. */
static bool take_lock(void)
{
#ifdef __SANITIZE_THREAD__
	/* libtsan (GCC 12's at least) does not see clocklock, and takes the unlock for one of a mutex that nobody has. */
	struct timespec until = clock_timespec(clock_now_ns(CLOCK_REALTIME) + WAIT_LOG_NS);

	return pthread_mutex_timedlock(&lock, &until) == 0;
#else
	struct timespec until = clock_timespec(clock_now_ns(CLOCK_MONOTONIC) + WAIT_LOG_NS);

	return pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &until) == 0;
#endif
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list arguments;
	bool said = false;

	if (level > max_level)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	/* Names come from images and directories: they must not forge lines, or reach a terminal as they are. */
	text_make_plain(line);
	if (take_lock()) {
		said = put_dropped() && put(level, line);
		pthread_mutex_unlock(&lock);
	}
	if (!said)
		atomic_fetch_add(&dropped, 1);
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
