/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache/tree/bytes.h"

#include <errno.h>

#include "cache/device/buffer.h"
#include "cache/device/device.h"
#include "cache/device/kept.h"

void cache_bytes_release(struct cache_bytes *bytes)
{
	cache_buffer_put(bytes->owner, bytes->owner_bytes);
	kept_unref(bytes->kept);
	*bytes = (struct cache_bytes){ 0 };
}

int cache_bytes_allocate(struct cache_bytes *bytes, size_t length_bytes)
{
	bytes->owner_bytes = cache_device_buffer_bytes(length_bytes);
	bytes->owner = cache_buffer_get(bytes->owner_bytes);
	return bytes->owner ? 0 : -ENOMEM;
}
