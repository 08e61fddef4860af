/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/pace.h"

#include <stdatomic.h>

#include "cache/device/buffer.h"

/* Beyond the first of each, of all that read at the same time. */
#define MORE_BUFFERS_MAX 20

static atomic_uint more_buffers;

bool pace_has_buffer(struct pace_buffers *buffers, size_t i)
{
	if (buffers->list[i])
		return true;
	if (i > 0 && atomic_fetch_add(&more_buffers, 1) >= MORE_BUFFERS_MAX) {
		atomic_fetch_sub(&more_buffers, 1);
		return false;
	}
	buffers->list[i] = cache_buffer_get(buffers->each_bytes);
	if (!buffers->list[i] && i > 0)
		atomic_fetch_sub(&more_buffers, 1);
	return buffers->list[i];
}

void pace_put_buffers(struct pace_buffers *buffers)
{
	for (size_t i = 0; i < PACE_MAX; i++) {
		if (buffers->list[i] && i > 0)
			atomic_fetch_sub(&more_buffers, 1);
		cache_buffer_put(buffers->list[i], buffers->each_bytes);
	}
}
