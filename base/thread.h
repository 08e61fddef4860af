/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread: one that nobody joins, with a stack that is known to be enough for it. */
#pragma once

#include <pthread.h>
#include <stddef.h>

/* 0 or -errno. */
static inline int thread_start(void *(*body)(void *), void *argument, size_t stack_bytes)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, stack_bytes);
	error = pthread_create(&thread, &attributes, body, argument);
	pthread_attr_destroy(&attributes);
	return -error;
}
