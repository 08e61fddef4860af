/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/attributes.h"

#include <string.h>

static mode_t masked(mode_t all, bool own_given, unsigned own, const struct options *options, mode_t otherwise)
{
	if (own_given)
		return all & ~own & 0555;
	if (options->umask_given)
		return all & ~options->umask & 0555;
	return otherwise;
}

/* vfat gives files 0777 less the mask; the write bits go in any case, since nothing can be written. */
static mode_t file_mode(const struct options *options)
{
	return S_IFREG | masked(0777, options->fmask_given, options->fmask, options, 0444);
}

static mode_t directory_mode(const struct options *options)
{
	return S_IFDIR | masked(0777, options->dmask_given, options->dmask, options, 0555);
}

/* vfat's time_offset: minutes that the board's clock was ahead of UTC, subtracted. */
static struct timespec shifted(struct timespec time, const struct options *options)
{
	time.tv_sec -= (time_t)options->time_offset_minutes * 60;
	return time;
}

static void stat_common(const struct options *options, uint64_t id, mode_t mode, uint64_t size_bytes, uint32_t block_bytes,
			struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = id;
	st->st_mode = mode;
	/* Subdirectories are not counted: 1 says so, as btrfs does (find(1) knows). */
	st->st_nlink = 1;
	st->st_uid = options->uid;
	st->st_gid = options->gid;
	st->st_size = (off_t)size_bytes;
	st->st_blksize = (blksize_t)block_bytes;
	st->st_blocks = (blkcnt_t)((size_bytes + block_bytes - 1) / block_bytes * (block_bytes / 512));
}

void stat_of_attributes(const struct options *options, const struct cache_attributes *attributes, struct stat *st)
{
	bool directory = attributes->fat_attributes & FAT_ATTR_DIRECTORY;

	stat_common(options, attributes->id, directory ? directory_mode(options) : file_mode(options),
		    attributes->size_bytes, attributes->cluster_bytes, st);
	if (attributes->is_root)
		return;
	st->st_mtim = shifted(attributes->times.modified, options);
	st->st_atim = shifted(attributes->times.accessed, options);
	st->st_ctim = st->st_mtim; /* as vfat: FAT knows no time of change of the entry */
}

/* Never empty: a TFTP server that can open a directory would serve an empty file. */
void stat_of_directory(const struct options *options, uint64_t id, int64_t modified_seconds, struct stat *st)
{
	stat_common(options, id, directory_mode(options), 4096, 4096, st);
	st->st_mtim.tv_sec = st->st_atim.tv_sec = st->st_ctim.tv_sec = (time_t)modified_seconds;
}

void stat_of_own(const struct options *options, uint64_t id, const struct stat *source, struct stat *st)
{
	stat_common(options, id, file_mode(options), (uint64_t)source->st_size, 4096, st);
	st->st_mtim = st->st_ctim = source->st_mtim;
	st->st_atim = source->st_mtim;
}

void stat_of_link(const struct options *options, uint64_t id, const struct view_target *target, struct stat *st)
{
	stat_common(options, id, S_IFLNK | 0777, target->link_bytes, 4096, st);
	st->st_blocks = 0;
	st->st_mtim = target->st.st_mtim;
	st->st_atim = target->st.st_atim;
	st->st_ctim = target->st.st_ctim;
}
