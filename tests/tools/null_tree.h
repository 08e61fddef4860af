/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * null_tree: what null_fs shows: the names below a directory, as they were when it was loaded.
 *
 * Loaded once, by one thread; constant from then on, but for the descriptors, which any thread may open.
 * Whatever goes wrong while it is loaded ends the program.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct null_node {
	uint64_t parent; /* its number; 0: the root */
	char *name;	 /* in the parent; "" of the root */
	char *path;	 /* of what it was loaded from; NULL: from nothing */
	char *target;	 /* of a link; else NULL */
	mode_t mode;
	off_t size_bytes;
	uint64_t first; /* of a directory: the number of the first one in it, the others follow */
	size_t count;	/* and how many */
	_Atomic int fd; /* of a file: -1 until null_tree_open */
	uint64_t next;	/* its hash chain */
};

/* With a file `extra` of so many bytes in its root, unless that is NULL; an empty `directory` is none. */
void null_tree_load(const char *directory, const char *extra, off_t extra_bytes);

/* By its number, from 1 on; NULL: there is none. */
struct null_node *null_tree_node(uint64_t id);

/* Its number; 0: there is no such name in that directory. */
uint64_t null_tree_find(uint64_t parent, const char *name);

/* A descriptor to read it from, opened with `flags` when it is first asked for, and then kept. -errno. */
int null_tree_open(struct null_node *node, int flags);
