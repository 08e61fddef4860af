/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/process/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libfuse's threads never block: two are as many as help, and one more only adds wakeups. */
#define THREADS 2

void session_add_argument(struct fuse_args *arguments, const char *option, const char *value)
{
	char *text = NULL;
	size_t at;

	if (!value) {
		fuse_opt_add_arg(arguments, option);
		return;
	}
	/* fuse_opt's own escape, for commas and backslashes in paths. */
	text = malloc(strlen(option) + 2 * strlen(value) + 1);
	if (!text)
		return;
	at = (size_t)sprintf(text, "%s", option);
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			text[at++] = '\\';
		text[at++] = *value;
	}
	text[at] = '\0';
	fuse_opt_add_arg(arguments, text);
	free(text);
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
