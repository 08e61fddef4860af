/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/device/page_cache.h"

#include <sys/syscall.h>
#include <unistd.h>

struct state {
	uint64_t cached, dirty, writeback, evicted, recently_evicted; /* pages */
};

/* A length of 0: to the end of the file. */
static bool look(int fd, uint64_t offset_bytes, uint64_t length_bytes, struct state *state)
{
	struct {
		uint64_t offset, length;
	} range = { offset_bytes, length_bytes };
	const long cachestat_number = 451; /* one for all architectures, and not in Debian 12's headers */

	return syscall(cachestat_number, fd, &range, state, 0) == 0;
}

bool page_cache_holds(int fd, uint64_t offset_bytes, size_t length_bytes)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	struct state state;

	return length_bytes > 0 && look(fd, offset_bytes, length_bytes, &state) &&
	       state.cached > (offset_bytes + length_bytes - 1) / page_bytes - offset_bytes / page_bytes;
}

bool page_cache_unwritten(int fd, uint64_t *bytes)
{
	struct state state;

	if (!look(fd, 0, 0, &state))
		return false;
	*bytes = (state.dirty + state.writeback) * (uint64_t)sysconf(_SC_PAGESIZE);
	return true;
}
