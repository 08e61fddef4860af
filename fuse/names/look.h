/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * look: what a name of the mount's root is, by a look at SOURCE (CONTRACT N1-N4), which the caller has opened.
 *
 * A handful of fstatat calls; whose content must be known to tell is opened. Nothing is remembered but the images themselves.
 * view.h, for the mount, remembers what follows from names; walk.h looks at all names at once.
 *
 * All functions return 0 or -ENOENT, -EIO, -ENOMEM, or as cache/tree/cache.h: -EAGAIN, -EINPROGRESS.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "cache/tree/cache.h"
#include "fuse/names/images.h"

enum view_kind {
	VIEW_LINK,  /* a symlink: view_read_link */
	VIEW_IMAGE, /* an image's boot partition, or partition `number` of it; also behind a link that has own files */
};

struct view_target {
	enum view_kind kind;
	struct view_image *image; /* a user of it; NULL for a link */
	unsigned number;	  /* CACHE_PARTITION_BOOT, or the number after the colon */
	struct stat st;		  /* of the image file, or of the link itself */
	size_t link_bytes;	  /* length of the link's text in the mount */
	bool link_gone;		  /* it leads out of SOURCE, to where nothing is */
	bool own;		  /* there are files of the name's own (own.h) in its directory */
	bool through_link;	  /* VIEW_IMAGE: for that reason it stands where a link would be */
};

/* What a lookup came across, for meanings.h. */
struct view_met {
	char file[NAME_MAX + 1]; /* the image or link of SOURCE that it is */
	bool outside;		 /* that follows from what is outside of SOURCE, too */
};

/* A look at SOURCE as the caller opened it. */
struct view_look {
	struct view_images *images;
	struct cache_op *op;
	int dir_fd;
	bool met_only; /* open no image: what is none by its name is one if it was met as one; target->image may be NULL.
			  A link is a link, also one with files of its own */
	char *text;    /* PATH_MAX bytes, for the text of a link in the mount; or NULL */
	struct view_met *found; /* or NULL */
};

/* What `name` is. */
int view_lookup_at(const struct view_look *look, const char *name, struct view_target *target);

/* What the file `file` of SOURCE is, described by *st (followed). `uri` as of view_images_get. -ENOENT: no image. */
int view_look_at_file(const struct view_look *look, const char *file, const char *uri, const struct stat *st,
		      struct view_target *target);

/*
 * The partition must be there, and a FAT. Errors inside it are for those who look inside. After an error the user of
 * target->image is given back.
 */
int view_check_partition(struct cache_op *op, struct view_target *target);

/* The text of the link `name`, in look->text, with look->met_only. -ESTALE when it is none. */
int view_look_link(const struct view_look *look, const char *name);

/* As view_find_image; uses look->text. */
int view_look_for_image(const struct view_look *look, const char *name, struct view_target *target);
