/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * journal: what is still to be written to an image, kept beside it while it is being written, so that
 * a change that was interrupted (killed, power lost) is completed by whoever of us opens the image next.
 *
 * It is made under another name, made durable, and then renamed: a journal that has its name is complete. It
 * holds the new bytes, and of each sector that they replace a hash of the old ones. So it is known before
 * anything is written whether the image is still as it was: each sector must be the old one or the new one.
 * If somebody else wrote to the image since (a server was started before we were), the journal is not
 * applied: it would destroy what they wrote.
 *
 * Where: `.NAME.imagefs-journal` in the directory of a regular file (imagefs shows no dot files); for a block
 * device /var/lib/imagefs/NAME.imagefs-journal, with '/' as '-'.
 *
 * Layout, little-endian: magic (16), count of records (8); each record: offset in the image, length, 1 if
 * bytes follow or 0 (8 each), hash of the new bytes (8); if they follow: hash of each old sector (8 each),
 * the bytes. At the end the hash of everything before (8). Hashes are XXH3, 64 bits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/prep/sole.h"

/* Small enough for any device's sectors, so that a sector is old or new. */
#define JOURNAL_SECTOR_BYTES 512
/* No record is longer, so one fits into memory. */
#define JOURNAL_RECORD_BYTES_MAX ((uint64_t)1 << 20)

struct journal_record {
	uint64_t offset_bytes; /* in the image, */
	uint64_t length_bytes; /* and both multiples of a sector */
	bool placed;	       /* the new bytes are in the image already: only their hash is kept */
};

/* Where the journal of the image at `path` (without links) is, for the caller to free. NULL: no memory. */
char *journal_path(const struct stat *st, const char *path);

/*
 * Make it, durable. New bytes are read from `copy_fd`, where those of the image at `base_bytes` are at 0. 0
 * or -errno, and then there is none.
 */
int journal_write(const char *path, int image_fd, int copy_fd, uint64_t base_bytes,
		  const struct journal_record *records, size_t count);

/* Make the image durable, then remove the journal. 0 or -errno. */
int journal_remove(const char *path, int image_fd);

/* Write what it holds to the image, if there is one (else 0), and remove it. `done`: there was one. -EUCLEAN:
 * it does not fit, or is damaged. */
int journal_apply(const char *path, int image_fd, bool *done);

/*
 * All of it for an image that is only to be looked at: nobody may write to it meanwhile. *said, for the
 * caller to free, is a sentence if there was a journal, finished (0) or not (-errno).
 */
int journal_finish(const char *image_path, char **said);
/* The same where `sole` is open already. */
int journal_finish_sole(struct sole *sole, char **said);
