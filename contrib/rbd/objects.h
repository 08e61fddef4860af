/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * objects: looks at RADOS objects, many at a time. Knows nothing of images.
 *
 * An object has a version, which grows with every write to it: of all objects of a placement
 * group the next write gets the next higher number, so that an object that was deleted and made again has
 * a higher one than before. A read gives the version of the very bytes that it returns. An object
 * that is not there has none.
 *
 * Reads go to the object's primary OSD, which answers only with what is written on all
 * replicas.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <rados/librados.h>

#define OBJECT_NAME_BYTES 512
#define OBJECT_ABSENT 0 /* no version of an object */

struct object_look {
	rados_ioctx_t io;
	char name[OBJECT_NAME_BYTES];
	void *buffer; /* the caller's, for `length_bytes` from `offset_bytes` on; NULL: only the version */
	size_t length_bytes;
	uint64_t offset_bytes;

	/* What objects_look found. */
	int error;	  /* -errno; an object that is absent is no error */
	uint64_t version; /* or OBJECT_ABSENT */
	size_t got_bytes; /* in `buffer`, of an object that may be shorter; what follows is not touched */

	uint64_t stat_bytes; /* for objects.c */
	rados_completion_t completion;
};

/* All of them, at once, each for itself. Returns 0, or the first one's error; not before the connection's
 * time limit for the slowest of them. */
int objects_look(struct object_look *looks, size_t count);

/* Makes it a look at nothing but the version of the object whose name is these two. -ENAMETOOLONG. */
int object_look_at(struct object_look *look, rados_ioctx_t io, const char *prefix, const char *name);
