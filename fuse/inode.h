/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * inode: what the kernel knows by number.
 *
 * A file's inode is a version: its number is that of one content for ever. The
 * kernel keeps its pages by number, so pages of one version can never be taken for
 * another's, and no decision to keep or drop them is ever needed (two of which would
 * race); dnsmasq, which shares open files by st_dev and st_ino, is right for the
 * same reason.
 *
 * A directory's inode is a name (CONTRACT N8): who stands in it asks for what the
 * name means now. It is known by its parent and the name that the directory entry
 * has, so all spellings of it are one inode, and it keeps its number whatever comes
 * to stand under the name, until the kernel forgets it.
 *
 *   root      nodeid 1, the list of images, or (N5) an image's boot partition.
 *   link      a name of the root; its text is read from SOURCE at every readlink.
 *   image     a name of the root that leads to an image: its boot partition, or with
 *             NAME:N partition N of it. Also a link's name, while it has files of its own
 *             (names/own.h): directories below it are its own, files are the image's.
 *   directory a name in a parent, which is an image, a directory, or the root (N5).
 *   file      a cache_version, or an own_file.
 *
 * What a name meant when it was last looked up is its place. A place is a shortcut:
 * fuse/resolve.c uses it while the name leads there still. The kernel remembers
 * inodes for a long time, and would keep every image open that was ever looked at;
 * so the table gives the places of an image up when it is asked to (inodes_let_go),
 * but those of open files.
 *
 * Nor does the table itself grow with what the kernel remembers (CONTRACT S5): each image has
 * a share of it, and past it what was not used for the longest time is dropped. The kernel may
 * still name it: it hears ESTALE, looks the name up once more, and gets a number that is known.
 * Only who stands in such a directory (its working directory) is out of luck.
 *
 * entry_timeout is 0, so the kernel looks every name up again at every use, and
 * hears a new number when there is a new version; attr_timeout is infinite for
 * files, whose attributes belong to the version, and next to nothing for the rest.
 *
 * So there is no READDIRPLUS, which gives names their numbers and attributes in advance: the
 * kernel uses them only within an entry_timeout. And no such time is safe, however short:
 *   - a link, an image or NAME.d of SOURCE is changed without anybody being told before
 *     (inotify tells after the call; N2, N7 want the next lookup to see it), and all that is below it
 *     by that name changes with it, for who stands in there too (N8);
 *   - within an image the kernel tells before a write, but what would take names back then
 *     either waits for the lock that a lookup in the directory holds (FUSE_NOTIFY_INVAL_ENTRY), for as long
 *     as that waits for the very write; or (FUSE_NOTIFY_INC_EPOCH, Linux 6.16) it misses what was
 *     answered and is not yet entered: fuse_direntplus_link() reads the epoch, and begins the
 *     time, when it comes to that, not when it asked.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "base/order.h"
#include "base/share.h"
#include "cache/tree/cache.h"
#include "fuse/names/images.h"
#include "fuse/names/own_file.h"

enum inode_kind {
	INODE_ROOT,
	INODE_LINK,
	INODE_IMAGE,
	INODE_DIR,
	INODE_FILE,
};

/* Counted; constant but for that. Holds a user of each of what is not NULL. */
struct place {
	_Atomic unsigned users;
	struct view_image *image;
	struct cache_dir *root;	       /* of a directory: the root of its partition */
	struct cache_dir *dir;	       /* of a directory */
	struct cache_version *version; /* of a file, or */
	struct own_file *own;	       /* of one that is in SOURCE; `image` is what it stands before */
};

struct inode {
	/* Constant. */
	uint64_t id;
	enum inode_kind kind;
	char *name;	      /* in its parent, or in the mount; NULL: the root */
	struct inode *parent; /* of DIR, FILE: stays in the table as long; else NULL */
	struct inode *top;    /* the IMAGE or ROOT that it is in, or itself */
	unsigned depth;	      /* how many parents lie between it and `top` and are `top` */

	/* The table's lock. */
	uint64_t lookups;    /* how often the kernel was told of it and did not forget it */
	unsigned references; /* requests under way, and children in the table */
	unsigned opens;	     /* FILE: how often it is open */
	struct place *place; /* the last one, a user of it; NULL: none, or let go */
	struct inode *next, *next_by_key;
	struct inode *next_bound, **bound_link; /* of the same image */
	struct order_link by_use;    /* of those below `top`; of a top: of all tops */
	struct order below;	     /* of a top */
	uint64_t below_bytes;	     /* of a top: what they take of memory */

	struct forgetting *forgetting; /* request_pages.c, under its lock: its pages are being dropped */
	atomic_bool late;	/* late.c: it is being kept for the next try */
	struct request *reads;	/* likewise: READs that are not answered */
};

struct inodes;

/* What it takes is counted in `memory`, which it borrows. NULL: no memory. */
struct inodes *inodes_new(struct share *memory);

/*
 * One lookup more of what the arguments name, making the inode if need be.
 * inodes_of_image, inodes_of_node and inodes_of_own take over the users that come with the image,
 * the node and the file, also on failure, and leave them as the inode's place. `in` is the
 * parent's place, in which the node was found. NULL: no memory, or the image's share of the
 * table is in use. The inode is referenced: the caller must answer the kernel, or call
 * inodes_forget(.., 1), and then inodes_put.
 */
struct inode *inodes_of_link(struct inodes *inodes, const char *name);
struct inode *inodes_of_image(struct inodes *inodes, const char *name, struct view_image *image);
struct inode *inodes_of_node(struct inodes *inodes, struct inode *parent, const char *name,
			     const struct place *in, const struct cache_node *node);
struct inode *inodes_of_own(struct inodes *inodes, struct inode *parent, const char *name, const struct place *in,
			    struct own_file *own);

/* Take `count` lookups away. Never blocks. */
void inodes_forget(struct inodes *inodes, uint64_t id, uint64_t count);

/* The inode of a number, referenced for one request; NULL when there is none. */
struct inode *inodes_get(struct inodes *inodes, uint64_t id);
void inodes_put(struct inodes *inodes, struct inode *inode); /* NULL is fine */

/* ---- places --------------------------------------------------------------- */

/* Takes over a user of each that is not NULL. NULL: no memory, and they are given back. */
struct place *place_new(struct view_image *image, struct cache_dir *root, struct cache_dir *dir,
			struct cache_version *version);
void place_put(struct place *place); /* NULL is fine; never blocks */

/* The inode's place, a user of it, or NULL. */
struct place *inodes_place(struct inodes *inodes, struct inode *inode);

/* It is in this place now. */
void inodes_bind(struct inodes *inodes, struct inode *inode, struct place *place);

/* The image that the inode was last seen in, a user of it, or NULL. */
struct view_image *inodes_image(struct inodes *inodes, struct inode *inode);

/* The file, in that place, was opened; it keeps the place until it is closed. */
void inodes_opened(struct inodes *inodes, struct inode *inode, struct place *place);
void inodes_closed(struct inodes *inodes, struct inode *inode);
bool inodes_is_open(struct inodes *inodes, const struct inode *inode);

/* Give up all places in that image, but those of open files. False: there are such. */
bool inodes_let_go(struct inodes *inodes, struct view_image *image);
