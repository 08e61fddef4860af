/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a change is made of, for change.c and change_files.c alone.
 */
#pragma once

#include "tools/prep/copy.h"
#include "tools/prep/sole.h"
#include "tools/prep/spot.h"

struct change {
	unsigned flags;
	struct sole sole;      /* the image */
	uint64_t offset_bytes; /* of the partition in it */
	uint64_t length_bytes;
	unsigned partition;	  /* its number; 0: the image is one FAT */
	struct fat_volume volume; /* as it was, and stays */
	struct clusters before;	  /* what was in use */
	struct copy copy;
	int broken;		/* an error after which the copy is not to be brought over */
	char *notice, *problem; /* owned */
};

/* Remember the sentence (NULL: no memory), and return `error`. */
int change_say(struct change *change, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
