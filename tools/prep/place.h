/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place: where something is to be copied from or to, as it is written on a command line.
 *
 *	IMAGE:PATH      a file of the boot partition
 *	IMAGE:N:PATH    a file of partition N
 *	IMAGE:  IMAGE:N the root directory of these (a file called 3 is IMAGE:/3)
 *	-               standard input or output
 *	anything else   a local file; one that has ':' in its name is written ./a:b, as for scp
 *
 * IMAGE is a path, or a name of a running imagefs, and ends at the first ':'; if what is before that is no
 *file, at the first one that a file or device stands before (/dev/disk/by-path/pci-0000:00:1f.2:config.txt).
 */
#pragma once

#include <stdbool.h>

struct place {
	bool is_image, is_stream; /* neither: local */
	char *image;		  /* owned: IMAGE or IMAGE:N; or NULL */
	char *path;		  /* owned: on the volume ("" is its root); or the local one */
};

/* 0, or -ENOMEM. place_free in any case. */
int place_read(const char *text, struct place *place);
void place_free(struct place *place);

/* Is a directory meant: does it end in '/', or is it a root? */
bool place_is_directory(const struct place *place);
/* What is behind the last '/' of a path, those at its end aside; for the caller to free. */
char *place_last_name(const char *path);
