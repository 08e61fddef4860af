/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * census: which processes have files open for writing, asked of /proc; and which
 * loop devices stand on them. Takes milliseconds: for a thread of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A file as it is looked for: a device is the same behind every node. */
struct census_file {
	dev_t device; /* st_dev, or st_rdev of a block device */
	ino_t inode;  /* st_ino, or 0 */
};

struct census_file census_file_of(int fd);

/*
 * Calls `found` for every process that has one of the files open for writing.
 * The caller itself is not counted. Loop devices are told as process 0.
 * -EACCES: not everybody may be looked at;
 * another error: not everybody could be.
 */
int census(const struct census_file *files, size_t count,
	    void (*found)(void *context, size_t index, pid_t process), void *context);

/*
 * Can a block device be written to behind its own node's back? By its partitions'
 * nodes, or by what is stacked on it.
 */
bool census_has_back_doors(dev_t device);
