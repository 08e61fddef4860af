/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_image: the image that is meant, and its bytes.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/source.h"
#include "cache/device/device.h"

struct image_place {
	char *path;	 /* of the file or device; or the URI */
	char *directory; /* where other images are that might be meant */
	char *name;	 /* of the file it leads to, or of the link to a URI, without .img or .raw */
	unsigned partition; /* CACHE_PARTITION_BOOT, or the number after the colon */
	struct stat st;	 /* followed */
};

/* IMAGE, IMAGE:N or BOARD: a path, else a name of a running imagefs. Else it was said why not. */
int image_find(const char *control, const char *argument, struct image_place *place);
/* A file or device by its path: all but *place's partition and st, which the caller has set. OK, or it was said why not. */
int image_place_at(struct image_place *place, const char *path);
void image_place_free(struct image_place *place);

/*
 * The file or device that the image or board `name` of a directory of images is, as the mount has it: `89025d75 ->
 * jammy:3` is partition 3, whatever it goes through; without a number *partition stays as it was. *st is followed. False: there is none.
 */
bool image_find_in(const char *directory, const char *name, char path[PATH_MAX], unsigned *partition, struct stat *st);

/* Before it is looked into: finish a change of it that was interrupted, if nobody writes to it. What there was to say, was said. */
/*
 * "is an xz archive: imagefs-prep /srv/images/pi.img.xz /srv/images/pi.img", if that is what the first bytes
 * at `path` say; the image goes to `directory`, and is not written over one that is there. For the caller to
 * free; NULL: it is no archive, or cannot be read.
 */
char *image_archive(const char *path, const char *directory);

void image_finish_change(const struct image_place *place);

/* What the image or board `name` of a directory of images is; false: there is none. */
bool image_named(const char *directory, const char *name, struct stat *st);
/*
 * What stands there: a regular file, a block device; or an image behind a block server, if `path` is a URI (cache/device/nbd_uri.h) or
 * a link to one: then *st is what equal URIs have in common. False: neither.
 */
bool image_stat(const char *path, struct stat *st);

/* The name in the directory that a link of it leads to; or the link as it is, if that leads elsewhere. */
const char *image_name_in(const char *directory, const char *link);

/* Without .img or .raw, unless nothing is left; in place. */
void image_cut_suffix(char *name);
bool image_same(const struct stat *a, const struct stat *b);

/* Open what stands there, for the cache; NULL: it was said why not. */
struct watch;
struct cache_device *image_open(const struct image_place *place, struct watch *watch, int64_t settle_ns,
				uint32_t *sector_bytes);

/* The bytes of a device as a source. */
struct device_source {
	struct source source; /* first */
	struct cache_device *device; /* borrowed */
	unsigned char *blocks;	     /* owned: as much as the last reading took */
	size_t room;
};

struct device_source device_source_of(struct cache_device *device, uint64_t size_bytes);
void device_source_free(struct device_source *source);
