/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl_boards: the links of a directory of images that are boards, and what is known of each. Inside of `boards` only, but
 * for boards_directory. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct board {
	char *name;	    /* of the link */
	char *text;	    /* what it says; of links to links the last one */
	char *path;	    /* of the image's file; NULL: it leads to none */
	char *image;	    /* its name in the mount; likewise */
	unsigned partition; /* the number behind the colon, or CACHE_PARTITION_BOOT */
	unsigned number;    /* of the partition that is meant; 0: not known, or the image is one FAT */
	bool looked;	    /* at the image, boards_look */
	char *root;	    /* "nbd 10.0.0.1/jammy": what its command line says of its root; NULL: nothing */
	char *asked;	    /* "3 s ago: kernel8.img"; NULL: it did not, or that is not known */
	char **problems;    /* sentences */
	size_t problem_count;
};

/* Who asked and has no link. */
struct unlinked {
	char *name;
	double age_seconds;
};

struct boards {
	char *directory;
	struct board *list; /* sorted by name */
	size_t count;
	char *only_image; /* the name of the only image there is; NULL: there are several, or none */
	size_t image_count;
	struct unlinked *unlinked;
	size_t unlinked_count;
	bool no_memory; /* something is missing for that */
};

/*
 * The directory of images: `given`, or what the running imagefs of `control` (NULL: the only one there is) has as
 * SOURCE; for the caller to free. *status is that one's control directory, likewise; NULL: none runs that is known to
 * have it. NULL: it was said why not.
 */
char *boards_directory(const char *control, const char *given, char **status);

/* Read the links: takes `directory` over. boards_free in any case. OK, or it was said why not. */
int boards_find(struct boards *boards, char *directory);
void boards_free(struct boards *boards);

void board_complain(struct boards *boards, struct board *board, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "3 s", for the caller to free. */
char *boards_span(double seconds);

/* Look into the images: is the partition there, where is the root, and does a server have it? (ctl_boards_look.c) */
void boards_look(struct boards *boards);

/* Who asked when and for what, by status.json of that control directory. (ctl_boards_asked.c) */
void boards_ask_status(struct boards *boards, const char *control);
