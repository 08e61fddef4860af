/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: does everything on a volume belong to somebody, and to one only?
 *
 * What fsck.fat would find in the cluster chains, without changing anything: for
 * `imagefsctl check`, never on a path that a reader waits for. On a volume that
 * is being written it tells of a moment, and of two if it is written meanwhile.
 *
 * Bounds, on any bytes: a cluster is walked over twice at most (when it gets an
 * owner, and when it turns out to have a second one), plus once in the table;
 * a directory is read only when all its clusters are its own. Memory: half a
 * byte for each cluster, and what the directories' names take.
 */
#pragma once

#include "fat/fat.h"

enum fat_flaw {
	FAT_FLAW_START,	    /* its first cluster is none */
	FAT_FLAW_CHAIN,	    /* its chain runs into a free or bad cluster, or a number that is none */
	FAT_FLAW_SHORT,	    /* its chain ends before its size does */
	FAT_FLAW_LONG,	    /* its chain goes on behind its size: unusual, and served */
	FAT_FLAW_LOOP,	    /* its chain meets itself */
	FAT_FLAW_CROSSED,   /* its chain runs into that of another file or directory */
	FAT_FLAW_DIRECTORY, /* it is a directory that cannot be read */
};

/* A constant text for people. */
const char *fat_flaw_text(enum fat_flaw flaw);

struct fat_health {
	uint32_t files, directories;	      /* without the root */
	uint32_t free_clusters, bad_clusters; /* by the FAT */
	uint32_t used_clusters;		      /* by the FAT; lost ones among them */
	uint32_t lost_clusters, lost_chains;  /* used, and no name leads to them */
	uint32_t crossed_clusters;	      /* with more than one owner */
	uint32_t flaws;			      /* files and directories with one; FAT_FLAW_LONG is not counted */
	bool dirty, errors;		      /* by FAT[1], see fat_table_state */
	bool complete;			      /* false: too many directories, so of those left out all is lost */
};

/* Told of each flaw; `path` begins with '/', and is cut when it is very long. */
typedef void (*fat_flaw_found)(void *context, const char *path, enum fat_flaw flaw);

/* 0; -ENOMEM; -EIO when the FAT or the root cannot be read; or what the source's read returned. */
int fat_health_read(const struct fat_volume *volume, struct source *source, fat_flaw_found found, void *context,
		    struct fat_health *health);
