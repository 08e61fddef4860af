/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times as numbers of nanoseconds. */
#pragma once

#include <stdint.h>
#include <time.h>

/* Of CLOCK_MONOTONIC, CLOCK_REALTIME, ... */
static inline int64_t clock_now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
