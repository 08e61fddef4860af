/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fat: a read-only reader of FAT12, FAT16 and FAT32.
 *
 * It turns bytes of a source (base/source.h; offset 0 is the boot sector) into
 * volumes, directories, names and extents. It knows no FUSE, no threads, no
 * files, and keeps no state between calls but what it hands to the caller.
 * Different threads may use different objects, or share objects they only read.
 *
 * Rules, in this order: what Linux fs/fat does with Debian's mount options
 * (vfat, shortname=mixed, iocharset=ascii, utf8, codepage=437), then Microsoft's
 * "FAT: General Overview of On-Disk Format" 1.03 (called fatgen103 below).
 * Where both leave room, the answer that is safe on hostile bytes.
 *
 * Errors, in every function that returns int: 0, or
 *   -EIO      bytes are missing or contradict each other. On a live image that
 *             is often a moment between two writes of its owner: look again.
 *   -EINVAL   (fat_volume_read only) this is not a FAT file system.
 *   -ENOMEM   no memory.
 *   any other negative value: what the source's read returned.
 * No input makes a call run longer, or keep more memory, than the bounds named.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/source.h"

/* ---- volume (fat/boot.c) ------------------------------------------------ */

enum fat_type {
	FAT_TYPE_12 = 12,
	FAT_TYPE_16 = 16,
	FAT_TYPE_32 = 32,
};

/* A label with its NUL: eleven characters of at most three bytes. */
#define FAT_LABEL_BYTES 34

/*
 * Where things are on a volume. A plain value: copy and compare it freely
 * (fat_volume_equal); it owns nothing. All fields are checked against each
 * other and against the source's size when fat_volume_read returned 0, except
 * that the data area may reach beyond the end of the source (a truncated image
 * still serves what it has): reads there answer -EIO by themselves.
 */
struct fat_volume {
	enum fat_type type;
	uint32_t sector_bytes;	       /* 512, 1024, 2048 or 4096 */
	uint32_t cluster_bytes;	       /* sector_bytes * 1..128 */
	uint32_t cluster_count;	       /* data clusters; numbers run 2 .. cluster_count + 1 */
	uint64_t fat_offset_bytes;     /* FAT 0, the only copy ever read */
	uint64_t fat_length_bytes;     /* of one copy */
	uint64_t root_offset_bytes;    /* FAT12/16: the fixed root directory; FAT32: 0 */
	uint32_t root_entry_count;     /* FAT12/16: its 32-byte entries; FAT32: 0 */
	uint32_t root_cluster;	       /* FAT32: where the root's chain starts; FAT12/16: 0 */
	uint64_t data_offset_bytes;    /* cluster 2 */
	uint32_t volume_id;	       /* BS_VolID; 0 if the boot sector has none, as blkid has it */
	char label[FAT_LABEL_BYTES];   /* BS_VolLab without padding, "" if none; not trusted, UTF-8, printable.
					  What the volume is called stands in its root: fat_dir_label */
	bool dirty;		       /* the dirty bit Linux sets while mounted read-write */
};

/*
 * Read and check the boot sector at offset 0 of `source`. The checks are those
 * of Linux fs/fat/inode.c (fat_fill_super, fat_read_bpb): no 55AA, no jump, no type string
 * is asked for. -EINVAL when it is not a FAT, -EIO when the source is too short.
 * Reads 512 bytes (4096 at most).
 */
int fat_volume_read(struct source *source, struct fat_volume *volume);

/* Are both the same file system, dirty bit aside? (Did somebody run mkfs?) */
bool fat_volume_equal(const struct fat_volume *a, const struct fat_volume *b);

/* ---- chains and extents (fat/chain.c, fat/table.c) ---------------------- */

/*
 * One run of consecutive clusters. 8 bytes, because a badly fragmented file has
 * many of them.
 */
struct fat_extent {
	uint32_t first_cluster;
	uint32_t cluster_count;
};

/* The runs of a chain in file order. Own it with fat_extents_free. */
struct fat_extents {
	struct fat_extent *list;
	size_t count;
	uint64_t cluster_count; /* sum over the list */
};

/* More runs than this in one chain is refused with -EIO (8 MiB of memory). */
#define FAT_EXTENTS_MAX ((size_t)1 << 20)

/*
 * Follow the chain of a file of `size_bytes` bytes that starts at
 * `first_cluster`. Exactly ceil(size / cluster_bytes) clusters are taken.
 * -EIO when one of them is free, bad, reserved, out of range or met twice, when
 * the chain ends before the size does, or when the entry of the last cluster
 * taken is free or bad. A chain that is longer than the size is accepted, as
 * Linux does (clusters allocated ahead of the size). size 0: no extents,
 * whatever first_cluster is. first_cluster 0 with size > 0: -EIO (torn).
 * *extents is overwritten, and empty on error.
 */
int fat_extents_of_file(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
			uint32_t size_bytes, struct fat_extents *extents);

/* Follow a directory's chain to its end; at most `max_clusters` of them, else -EIO. */
int fat_extents_of_directory(const struct fat_volume *volume, struct source *source, uint32_t first_cluster,
			     uint32_t max_clusters, struct fat_extents *extents);

void fat_extents_free(struct fat_extents *extents);
bool fat_extents_equal(const struct fat_extents *a, const struct fat_extents *b);

/* Offset on the volume, in bytes, of a cluster in 2 .. cluster_count + 1. */
uint64_t fat_cluster_offset_bytes(const struct fat_volume *volume, uint32_t cluster);

/*
 * Where the last search in a chain ended, so that reading on does not begin at
 * its start again. Zero is the start; belongs to one extents for its life.
 */
struct fat_cursor {
	size_t index;		  /* a run of the list, */
	uint64_t clusters_before; /* and how many clusters come before it */
};

/*
 * The piece of a chain that holds the byte `file_offset_bytes`: its offset on
 * the volume, and how many bytes follow it without a gap (up to the end of the
 * run, not of the file). False when the offset is beyond the chain. Quick when
 * offsets grow from call to call with the same cursor.
 */
bool fat_extents_map(const struct fat_volume *volume, const struct fat_extents *extents, uint64_t file_offset_bytes,
		     struct fat_cursor *cursor, uint64_t *volume_offset_bytes, uint64_t *run_bytes);

/* ---- directories (fat/dir.c, fat/name.c) -------------------------------- */

enum fat_attribute {
	FAT_ATTR_READ_ONLY = 0x01,
	FAT_ATTR_HIDDEN = 0x02,
	FAT_ATTR_SYSTEM = 0x04,
	FAT_ATTR_VOLUME_ID = 0x08,
	FAT_ATTR_DIRECTORY = 0x10,
	FAT_ATTR_ARCHIVE = 0x20,
};

#define FAT_ENTRY_BYTES 32
#define FAT_DIRECTORY_ENTRIES_MAX 65536 /* fatgen103: a directory is at most 2 MiB */
#define FAT_NAME_UNITS_MAX 255		/* UTF-16 units of a long name */
#define FAT_NAME_BYTES_MAX (3 * FAT_NAME_UNITS_MAX)

/* One visible entry of a directory. Strings belong to the fat_dir. */
struct fat_entry {
	const char *name;	/* what readdir shows: UTF-8, never empty, no '/', no NUL, not "." or ".." */
	const char *short_name; /* the 8.3 name as Linux shows it alone (case bits, cp437), for lookups; "" if bad */
	uint8_t attributes;
	uint32_t first_cluster; /* 0 for none; FAT12/16: the high word is ignored */
	uint32_t size_bytes;	/* files; 0 in a directory */
	unsigned char raw[FAT_ENTRY_BYTES]; /* the short entry as it is on disk */
};

struct fat_dir; /* a decoded directory; immutable after fat_dir_read */

/*
 * Read and decode the directory that starts at `first_cluster`; 0 means the
 * root, whatever the type. So a caller that follows a subdirectory's entry must
 * refuse (-EIO) one whose first_cluster is 0: only ".." may mean the root so.
 * The first entry with a first byte of 0x00 ends it. One that is not the root and
 * has fewer than two directories in it, "." and "..", is -EIO, as for Linux vfat.
 * Volume labels, "." and "..", deleted entries and names that cannot be file
 * names (CONTRACT N6) are left out; a bad long name leaves its
 * short name standing alone; a later entry whose visible name already finds an
 * earlier one (by its long or short name) is left out, so that every name shown
 * finds the entry it is shown for. A bad entry never hides another.
 * Memory: bounded by 65536 entries. *dir is owned by the caller.
 */
int fat_dir_read(const struct fat_volume *volume, struct source *source, uint32_t first_cluster, struct fat_dir **dir);
void fat_dir_free(struct fat_dir *dir); /* NULL is fine */

size_t fat_dir_count(const struct fat_dir *dir);
const struct fat_entry *fat_dir_entry(const struct fat_dir *dir, size_t index); /* index < count, in disk order */
uint64_t fat_dir_size_bytes(const struct fat_dir *dir); /* its clusters, or the fixed root's length */
uint32_t fat_dir_subdirectory_count(const struct fat_dir *dir); /* entries that are directories, for st_nlink */

/*
 * The volume's label, of the root directory: what blkid and udev call it, and Linux and Windows
 * change. Printable ASCII only; "" where there is none, and of another directory.
 */
const char *fat_dir_label(const struct fat_dir *dir);

/* What it takes of memory. */
size_t fat_dir_memory_bytes(const struct fat_dir *dir);

/*
 * A directory with those entries alone (indices of `dir`, ascending): they stand for what was looked up
 * in it, while the rest is not held. NULL: no memory.
 */
struct fat_dir *fat_dir_subset(const struct fat_dir *dir, const size_t *indices, size_t count);

/*
 * Look `name` up as Linux vfat does: trailing dots dropped (here also those of
 * a name on disk, which Linux shows and cannot open), ASCII case folded, long
 * name or short name, the first in disk order. Constant time on average, also
 * on names made to collide (a hash table with a random key). Returns the
 * entry's index, or -ENOENT.
 */
long fat_dir_find(const struct fat_dir *dir, const char *name);

/* Order of names as strcmp's, but by what fat_dir_find compares: 0 when they are spellings of one name. */
int fat_name_compare(const char *a, const char *b);

/*
 * The first `length` bytes of a file that is an entry of a directory of this volume;
 * `length` at most its size, and small: the caller bounds it. Follows the chain as
 * far as these bytes go. Errors as fat_extents_of_file; all of `out` is written, or
 * the call fails.
 */
int fat_file_read(const struct fat_volume *volume, struct source *source, const struct fat_entry *entry, void *out,
		  size_t length);

/* ---- names (fat/name.c), public for units ------------------------------- */

/* fatgen103's checksum of an 11-byte short name. */
uint8_t fat_short_checksum(const unsigned char short_name[11]);

/*
 * The short name of a raw entry as UTF-8: 0x05 is 0xE5, byte 12 bits 3 and 4
 * make base and extension lower case, code page 437 above 0x7F. `out` holds at
 * least FAT_SHORT_NAME_BYTES. Returns its length, or 0 when it cannot be a name.
 */
#define FAT_SHORT_NAME_BYTES (12 * 3 + 1)
size_t fat_short_name_decode(const unsigned char raw[FAT_ENTRY_BYTES], char *out);

/* ---- times (fat/time.c) ------------------------------------------------- */

/*
 * A FAT date and time as Unix time. `hundredths` is the 10 ms field (0-199; a
 * larger one counts as 0). `offset_minutes` is vfat's time_offset: local time
 * minus UTC, subtracted. Month and day 0 count as 1 (Linux fat_time_fat2unix).
 */
struct timespec fat_time_unix(uint16_t date, uint16_t time, uint8_t hundredths, int offset_minutes);

struct fat_times {
	struct timespec modified;
	struct timespec accessed; /* a date only */
	struct timespec created;
};

struct fat_times fat_entry_times(const struct fat_entry *entry, int offset_minutes);
