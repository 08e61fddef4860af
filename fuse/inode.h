/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inode: what the kernel knows by number.
 *
 * A nodeid is an inode number is (for files) a version: FUSE, stat(2) and the
 * page cache all speak of the same thing. The kernel keeps its pages by nodeid,
 * so pages of one version can never be taken for another's, and no decision to
 * keep or drop them is ever needed (two of which would race); dnsmasq, which
 * shares open files by st_dev and st_ino, is right for the same reason.
 *
 *   root      nodeid 1, the list of images, or (N5) an image's boot partition.
 *             FUSE fixes its number; it is a directory, so it has no version.
 *   link      by name; its text is read from SOURCE at every readlink.
 *   image     the boot partition, or partition N, of an image: stands for "the
 *             root directory there now", whatever file system that is.
 *   directory a cache_dir.
 *   file      a cache_version.
 *
 * entry_timeout is 0, so the kernel looks every name up again at every use, and
 * hears a new number when there is a new version; attr_timeout is infinite for
 * files, whose attributes belong to the version, and next to nothing for the
 * rest.
 */
#pragma once

#include <stdint.h>

#include "fuse/names/view.h"

enum inode_kind {
	INODE_ROOT,
	INODE_LINK,
	INODE_IMAGE,
	INODE_DIR,
	INODE_FILE,
};

struct inode {
	/* Constant. */
	uint64_t id;
	enum inode_kind kind;
	char *name;		  /* LINK: in the mount; DIR, FILE: the path it was first asked for by, or NULL */
	struct view_image *image; /* IMAGE, DIR, FILE: a user of it */
	unsigned number;	  /* IMAGE */
	struct cache_dir *dir;	  /* DIR: a user of it */
	struct cache_version *version; /* FILE: a user of it */

	/* The table's lock. */
	uint64_t lookups;    /* how often the kernel was told of it and did not forget it */
	unsigned references; /* requests under way */
	struct inode *next, *next_by_key;
};

struct inodes;

struct inodes *inodes_new(void); /* NULL: no memory */

/*
 * One lookup more of what the argument names, making the inode if need be.
 * inodes_of_node and inodes_of_image take over the users that the node and the
 * image came with, also on failure. NULL: no memory. The caller must answer the
 * kernel, or call inodes_forget(.., 1).
 */
struct inode *inodes_of_link(struct inodes *inodes, const char *name);
struct inode *inodes_of_image(struct inodes *inodes, struct view_image *image, unsigned number);
struct inode *inodes_of_node(struct inodes *inodes, const struct inode *parent, const char *name,
			     struct view_image *image, const struct cache_node *node);

/* Take `count` lookups away. Never blocks. */
void inodes_forget(struct inodes *inodes, uint64_t id, uint64_t count);

/* The inode of a number, referenced for one request; NULL when there is none. */
struct inode *inodes_get(struct inodes *inodes, uint64_t id);
void inodes_put(struct inodes *inodes, struct inode *inode); /* NULL is fine */
