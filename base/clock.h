/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times as numbers of nanoseconds. */
#pragma once

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Of CLOCK_MONOTONIC, CLOCK_REALTIME, ... */
static inline int64_t clock_now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline struct timespec clock_timespec(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* Its pthread_cond_timedwait is by CLOCK_MONOTONIC. */
static inline void clock_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &monotonic);
	pthread_condattr_destroy(&monotonic);
}
