/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scope-bound ownership: memory, descriptors and locks that are given back
 * when their variable goes out of scope, whichever way that happens.
 */
#pragma once

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

static inline void cleanup_free_pointer(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}

static inline void cleanup_close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_unlock_mutex(pthread_mutex_t *const *mutex)
{
	if (*mutex)
		pthread_mutex_unlock(*mutex);
}

#define CLEANUP_FREE CLEANUP(cleanup_free_pointer)
#define CLEANUP_FD CLEANUP(cleanup_close_fd)

/* Hold `mutex` until the end of the enclosing block. */
#define LOCK_SCOPE_NAME_2(line) lock_scope_##line
#define LOCK_SCOPE_NAME(line) LOCK_SCOPE_NAME_2(line)
#define LOCK_SCOPE(mutex)                                                      \
	__attribute__((cleanup(cleanup_unlock_mutex), unused))                 \
	pthread_mutex_t *const LOCK_SCOPE_NAME(__LINE__) =                     \
		(pthread_mutex_lock(mutex), (mutex))

/* Take the value out of a cleanup variable: ownership moves to the caller. */
#define STEAL_POINTER(variable)                                                \
	({                                                                     \
		__typeof__(variable) stolen = (variable);                      \
		(variable) = NULL;                                             \
		stolen;                                                        \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
