/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/session.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "fuse/process/log.h"

/* libfuse's threads never block: two are as many as help, and one more only adds wakeups. */
#define THREADS 2

void session_add_option(struct fuse_args *arguments, const char *option, const char *value)
{
	CLEANUP_FREE char *text = NULL;
	char *escaped = NULL;

	if (asprintf(&text, "%s%s", option, value) < 0) {
		text = NULL;
		return;
	}
	/* For commas and backslashes in paths. */
	if (fuse_opt_add_opt_escaped(&escaped, text) == 0) {
		fuse_opt_add_arg(arguments, "-o");
		fuse_opt_add_arg(arguments, escaped);
	}
	free(escaped);
}

static bool hushed; /* by the first thread, before there are others */

/* libfuse's own complaints, in our form. Its trace of requests is as it is. */
__attribute__((format(printf, 2, 0)))
static void log_of_libfuse(enum fuse_log_level level, const char *format, va_list arguments)
{
	char line[512];
	size_t length;
	bool ended;

	if (hushed && level != FUSE_LOG_DEBUG)
		return;
	vsnprintf(line, sizeof(line), format, arguments);
	length = strlen(line);
	ended = length > 0 && line[length - 1] == '\n';
	if (ended)
		line[length - 1] = '\0';
	if (level != FUSE_LOG_DEBUG) {
		log_line(LOG_LEVEL_ERROR, "%s", line);
		return;
	}
	text_make_plain(line); /* names are in it */
	fprintf(stderr, "%s%s", line, ended ? "\n" : "");
}

void session_take_log(void)
{
	fuse_set_log_func(log_of_libfuse);
}

void session_hush(bool hush)
{
	hushed = hush;
}

bool session_is_connected(struct fuse_session *session)
{
	struct pollfd connection = { .fd = fuse_session_fd(session) };

	return poll(&connection, 1, 0) == 0;
}

int session_loop(struct fuse_session *session)
{
	int result;

#if FUSE_USE_VERSION >= 312
	struct fuse_loop_config *config = fuse_loop_cfg_create();

	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(config, THREADS);
	fuse_loop_cfg_set_idle_threads(config, THREADS);
	fuse_loop_cfg_set_clone_fd(config, 0);
	result = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
#else
	struct fuse_loop_config config = { .clone_fd = 0, .max_idle_threads = THREADS };

	result = fuse_session_loop_mt(session, &config);
#endif
	return result;
}
