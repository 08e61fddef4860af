/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_pages: pages that the kernel has of a file, and is to drop before an error; and the READs that are under way,
 * for which it must not wait then.
 *
 * A file's pages are of one version, and always good (inode.h). But next to a page that cannot be had any more they
 * would make a short read, which TFTP servers take for the end of the file.
 */
#pragma once

#include "fuse/request.h"

/* A READ of its inode begins. */
void request_pages_list(struct request *request);

/* `copy` becomes a copy of it, and takes its place. */
void request_pages_move(const struct request *request, struct request *copy);

/* It ends. */
void request_pages_unlist(const struct request *request);

/*
 * A READ fails, or may: the kernel drops what it has of the file before it. Who reads on from
 * the last page that it has to the first that it cannot have would get a short read, and
 * tftpd-hpa takes that for the end of the file (C2); now the error comes first. What is behind
 * it is left alone, so that this waits for no READ that came with it.
 */
void request_pages_read_fails(const struct request *request);

/*
 * An open is answered ESTALE.
 *
 * Whoever opens it looks its name up once more and finds another inode, and the kernel lets go of this one: with all its
 * pages, 0.1 ms for each megabyte, while he waits. Unless they are being dropped already: then it is this that
 * has the inode last. Of a file that somebody else has open the pages may be all that is left.
 */
void request_pages_open_is_stale(const struct request *request);
