/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log: one lower-case line, `image: what: reason`.
 *
 * To stderr as long as somebody reads it there (with the <N> prefixes of
 * sd-daemon(3) when that is the journal), to syslog from the background.
 * It waits for nobody who reads it: lines that would have to wait are lost, and
 * the next one says how many.
 */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

/* What can be followed in detail (--debug=), each by itself. */
enum log_debug {
	LOG_DEBUG_REQUESTS = 1, /* the kernel's, as libfuse prints them */
	LOG_DEBUG_FILES = 2,	/* what was asked for, found or not */
	LOG_DEBUG_IMAGES = 4,	/* opened, and closed */
	LOG_DEBUG_CHANGES = 8,	/* who reports writes; what requests waited for, and which rule decided */
	LOG_DEBUG_ALL = 15,
};

/* `what` is of enum log_debug; 0 at first. With any, all levels are logged. Before threads are started. */
void log_set_debug(unsigned what);

/* A line at LOG_LEVEL_DEBUG, if that is followed. */
#define log_debug(what, ...)                                       \
	do {                                                       \
		if (log_debugs(what))                              \
			log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);    \
	} while (0)
bool log_debugs(enum log_debug what);

/* Lines above `level` are dropped; the default is LOG_LEVEL_NOTICE. Before threads are started. */
void log_set_level(enum log_level level);

/* From now on to syslog: stderr is about to be closed. */
void log_to_syslog(void);

/* `format` has no newline at its end. Thread-safe; control characters in the line become '?' (base/text.h). */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A limit for lines about one thing: true at most once in `LOG_LIMIT_SECONDS`.
 * `*last` starts as 0 and belongs to that thing; thread-safe.
 */
#define LOG_LIMIT_SECONDS 10
bool log_allowed(_Atomic long long *last);
