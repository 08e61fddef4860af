/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "objects.h"

#include <errno.h>
#include <stdio.h>

#define AT_ONCE 128

int object_look_at(struct object_look *look, rados_ioctx_t io, const char *prefix, const char *name)
{
	int length;

	*look = (struct object_look){ .io = io };
	length = snprintf(look->name, sizeof(look->name), "%s%s", prefix, name);
	return length >= 0 && (size_t)length < sizeof(look->name) ? 0 : -ENAMETOOLONG;
}

/* With a time limit librados keeps a late answer away from `buffer`. */
static int start(struct object_look *look)
{
	int r = rados_aio_create_completion2(NULL, NULL, &look->completion);

	if (r < 0)
		return r;
	r = look->buffer ? rados_aio_read(look->io, look->name, look->completion, look->buffer,
					  look->length_bytes, look->offset_bytes)
			 : rados_aio_stat(look->io, look->name, look->completion, &look->stat_bytes, NULL);
	if (r < 0)
		rados_aio_release(look->completion);
	return r;
}

static void finish(struct object_look *look)
{
	int r;

	rados_aio_wait_for_complete(look->completion);
	r = rados_aio_get_return_value(look->completion);
	look->version = r >= 0 ? rados_aio_get_version(look->completion) : OBJECT_ABSENT;
	look->got_bytes = r > 0 && look->buffer ? (size_t)r : 0;
	look->error = r < 0 && r != -ENOENT ? r : 0;
	if (r >= 0 && look->version == OBJECT_ABSENT)
		look->error = -EPROTO; /* no object has it */
	rados_aio_release(look->completion);
}

static int look_at_some(struct object_look *looks, size_t count)
{
	size_t started = 0;
	int error = 0;

	for (; started < count && error == 0; started++)
		error = start(&looks[started]);
	if (error != 0)
		started--;
	for (size_t i = 0; i < started; i++) {
		finish(&looks[i]);
		if (error == 0)
			error = looks[i].error;
	}
	return error;
}

int objects_look(struct object_look *looks, size_t count)
{
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i += AT_ONCE)
		error = look_at_some(looks + i, count - i < AT_ONCE ? count - i : AT_ONCE);
	return error;
}
