/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "tools/prep/file_source.h"

#define MAGIC "imagefs-journal1"
#define MAGIC_BYTES 16
#define HEADER_BYTES (MAGIC_BYTES + 8)
#define RECORD_BYTES 32
#define RECORD_OFFSET 0
#define RECORD_LENGTH 8
#define RECORD_FOLLOWS 16
#define RECORD_HASH 24
#define HASH_BYTES 8

#define DEVICE_DIRECTORY "/var/lib/imagefs"

/* A journal that is written or read, from its beginning to its end. */
struct stream {
	int fd;
	uint64_t at_bytes;
	XXH3_state_t *hash;
	unsigned char *bytes, *old,
		*hashes; /* of one record: new bytes, those of the image, and hashes of its sectors */
};

/* ---- where ---------------------------------------------------------------- */

char *journal_path(const struct stat *st, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *made;

	if (!S_ISBLK(st->st_mode))
		return asprintf(&made, "%.*s.%s.imagefs-journal", slash ? (int)(slash + 1 - path) : 0, path,
				slash ? slash + 1 : path) < 0
			       ? NULL
			       : made;
	if (asprintf(&made, DEVICE_DIRECTORY "/%s.imagefs-journal", path + (*path == '/')) < 0)
		return NULL;
	for (char *at = made + sizeof(DEVICE_DIRECTORY); *at; at++)
		if (*at == '/')
			*at = '-';
	return made;
}

static int sync_directory_of(const char *path)
{
	CLEANUP_FREE char *directory = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
	CLEANUP_FD int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	/* Some filesystems do not know it. */
	return fd < 0 ? -errno : fsync(fd) == 0 || errno == EINVAL ? 0 : -errno;
}

/* ---- the stream ----------------------------------------------------------- */

static int stream_open(struct stream *stream, int fd)
{
	size_t sectors = JOURNAL_RECORD_BYTES_MAX / JOURNAL_SECTOR_BYTES;

	*stream = (struct stream){
		.fd = fd,
		.hash = XXH3_createState(),
		.bytes = malloc(JOURNAL_RECORD_BYTES_MAX),
		.old = malloc(JOURNAL_RECORD_BYTES_MAX),
		.hashes = malloc(sectors * HASH_BYTES),
	};
	if (!stream->hash || !stream->bytes || !stream->old || !stream->hashes)
		return -ENOMEM;
	XXH3_64bits_reset(stream->hash);
	return 0;
}

static void stream_close(struct stream *stream)
{
	XXH3_freeState(stream->hash);
	free(stream->bytes);
	free(stream->old);
	free(stream->hashes);
}

static int stream_put(struct stream *stream, const void *bytes, size_t length)
{
	int error = file_write_all(stream->fd, stream->at_bytes, bytes, length);

	stream->at_bytes += length;
	XXH3_64bits_update(stream->hash, bytes, length);
	return error;
}

static int stream_get(struct stream *stream, void *bytes, size_t length)
{
	int error = file_read_all(stream->fd, stream->at_bytes, bytes, length);

	stream->at_bytes += length;
	if (error == 0)
		XXH3_64bits_update(stream->hash, bytes, length);
	return error;
}

/* ---- writing -------------------------------------------------------------- */

static int put_record(struct stream *stream, int image_fd, int copy_fd, uint64_t base_bytes,
		      const struct journal_record *record)
{
	unsigned char header[RECORD_BYTES];
	size_t length = (size_t)record->length_bytes, sectors = length / JOURNAL_SECTOR_BYTES;
	int error = file_read_all(copy_fd, record->offset_bytes - base_bytes, stream->bytes, length);

	if (error != 0)
		return error;
	put_le64(header + RECORD_OFFSET, record->offset_bytes);
	put_le64(header + RECORD_LENGTH, record->length_bytes);
	put_le64(header + RECORD_FOLLOWS, record->placed ? 0 : 1);
	put_le64(header + RECORD_HASH, XXH3_64bits(stream->bytes, length));
	error = stream_put(stream, header, sizeof(header));
	if (error != 0 || record->placed)
		return error;
	error = file_read_all(image_fd, record->offset_bytes, stream->old, length);
	for (size_t i = 0; i < sectors && error == 0; i++)
		put_le64(stream->hashes + i * HASH_BYTES,
			 XXH3_64bits(stream->old + i * JOURNAL_SECTOR_BYTES, JOURNAL_SECTOR_BYTES));
	if (error == 0)
		error = stream_put(stream, stream->hashes, sectors * HASH_BYTES);
	return error == 0 ? stream_put(stream, stream->bytes, length) : error;
}

static int put_all(struct stream *stream, int image_fd, int copy_fd, uint64_t base_bytes,
		   const struct journal_record *records, size_t count)
{
	unsigned char header[HEADER_BYTES], end[HASH_BYTES];
	int error;

	memcpy(header, MAGIC, MAGIC_BYTES);
	put_le64(header + MAGIC_BYTES, count);
	error = stream_put(stream, header, sizeof(header));
	for (size_t i = 0; i < count && error == 0; i++)
		error = put_record(stream, image_fd, copy_fd, base_bytes, &records[i]);
	put_le64(end, XXH3_64bits_digest(stream->hash));
	if (error == 0)
		error = stream_put(stream, end, sizeof(end));
	return error == 0 && fdatasync(stream->fd) != 0 ? -errno : error;
}

static int make_directory_of_devices(const char *path)
{
	if (strncmp(path, DEVICE_DIRECTORY "/", sizeof(DEVICE_DIRECTORY)) != 0)
		return 0;
	return mkdir(DEVICE_DIRECTORY, 0755) == 0 || errno == EEXIST ? 0 : -errno;
}

int journal_write(const char *path, int image_fd, int copy_fd, uint64_t base_bytes,
		  const struct journal_record *records, size_t count)
{
	CLEANUP_FREE char *unfinished = NULL;
	struct stream stream;
	CLEANUP_FD int fd = -1;
	int error = make_directory_of_devices(path);

	if (error == 0 && asprintf(&unfinished, "%s.new", path) < 0)
		error = -ENOMEM;
	if (error != 0)
		return error;
	unlink(unfinished); /* of one that was killed: it was not complete */
	fd = open(unfinished, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	error = stream_open(&stream, fd);
	if (error == 0)
		error = put_all(&stream, image_fd, copy_fd, base_bytes, records, count);
	stream_close(&stream);
	if (error == 0 && rename(unfinished, path) != 0)
		error = -errno;
	if (error == 0)
		error = sync_directory_of(path);
	if (error != 0) {
		unlink(unfinished);
		unlink(path);
	}
	return error;
}

int journal_remove(const char *path, int image_fd)
{
	if (fdatasync(image_fd) != 0)
		return -errno;
	return unlink(path) == 0 || errno == ENOENT ? sync_directory_of(path) : -errno;
}

/* ---- applying ------------------------------------------------------------- */

/* What is done with each record, whose new bytes, if they follow, are in stream->bytes. */
typedef int record_found(struct stream *stream, int image_fd, const struct journal_record *record,
			 uint64_t hash);

static int check_record(struct stream *stream, int image_fd, const struct journal_record *record,
			uint64_t hash)
{
	size_t length = (size_t)record->length_bytes;
	int error = file_read_all(image_fd, record->offset_bytes, stream->old, length);

	if (error != 0)
		return error == -EIO ? -EUCLEAN : error;
	if (record->placed)
		return XXH3_64bits(stream->old, length) == hash ? 0 : -EUCLEAN;
	if (XXH3_64bits(stream->bytes, length) != hash)
		return -EUCLEAN;
	for (size_t at = 0; at < length; at += JOURNAL_SECTOR_BYTES) {
		uint64_t old = get_le64(stream->hashes + at / JOURNAL_SECTOR_BYTES * HASH_BYTES);

		if (memcmp(stream->old + at, stream->bytes + at, JOURNAL_SECTOR_BYTES) != 0 &&
		    XXH3_64bits(stream->old + at, JOURNAL_SECTOR_BYTES) != old)
			return -EUCLEAN;
	}
	return 0;
}

static int write_record(struct stream *stream, int image_fd, const struct journal_record *record,
			uint64_t hash)
{
	(void)hash;
	return record->placed ? 0
			      : file_write_all(image_fd, record->offset_bytes, stream->bytes,
					       (size_t)record->length_bytes);
}

/* Its lengths are checked, so that a damaged journal can do no harm. */
static int get_record(struct stream *stream, struct journal_record *record, uint64_t *hash)
{
	unsigned char header[RECORD_BYTES];
	int error = stream_get(stream, header, sizeof(header));

	if (error != 0)
		return error;
	record->offset_bytes = get_le64(header + RECORD_OFFSET);
	record->length_bytes = get_le64(header + RECORD_LENGTH);
	record->placed = get_le64(header + RECORD_FOLLOWS) == 0;
	*hash = get_le64(header + RECORD_HASH);
	if (record->length_bytes > JOURNAL_RECORD_BYTES_MAX ||
	    record->length_bytes % JOURNAL_SECTOR_BYTES != 0)
		return -EUCLEAN;
	if (!record->placed)
		error = stream_get(stream, stream->hashes,
				   record->length_bytes / JOURNAL_SECTOR_BYTES * HASH_BYTES);
	return error == 0 && !record->placed ? stream_get(stream, stream->bytes, (size_t)record->length_bytes)
					     : error;
}

/* Each record from the first; and is the journal what was written? */
static int each_record(int fd, int image_fd, record_found *found)
{
	unsigned char header[HEADER_BYTES], end[HASH_BYTES];
	struct stream stream;
	uint64_t count = 0;
	int error = stream_open(&stream, fd);

	if (error == 0)
		error = stream_get(&stream, header, sizeof(header));
	if (error == 0 && memcmp(header, MAGIC, MAGIC_BYTES) != 0)
		error = -EUCLEAN;
	if (error == 0)
		count = get_le64(header + MAGIC_BYTES);
	/* Each turn reads some bytes of the file, which ends. */
	for (uint64_t i = 0; i < count && error == 0; i++) {
		struct journal_record record;
		uint64_t hash;

		error = get_record(&stream, &record, &hash);
		if (error == 0)
			error = found(&stream, image_fd, &record, hash);
	}
	if (error == 0)
		error = file_read_all(fd, stream.at_bytes, end, sizeof(end));
	if (error == 0 && get_le64(end) != XXH3_64bits_digest(stream.hash))
		error = -EUCLEAN;
	stream_close(&stream);
	return error;
}

/* Others may be allowed to make files beside the image, and not to write to it. */
static int see_owner(int fd, int image_fd)
{
	struct stat journal, image;

	if (fstat(fd, &journal) != 0 || fstat(image_fd, &image) != 0)
		return -errno;
	return S_ISREG(journal.st_mode) && (journal.st_uid == 0 || journal.st_uid == image.st_uid ||
					    journal.st_uid == geteuid())
		       ? 0
		       : -EPERM;
}

int journal_apply(const char *path, int image_fd, bool *done)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int error;

	*done = fd >= 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	error = see_owner(fd, image_fd);
	if (error == 0)
		error = each_record(fd, image_fd, check_record);
	if (error == 0)
		error = each_record(fd, image_fd, write_record);
	return error == 0 ? journal_remove(path, image_fd) : error;
}

/* ---- finishing ------------------------------------------------------------ */

static int say(char **said, int error, const char *journal, const char *what)
{
	if (asprintf(said, "%s%s: %s", what, journal, strerror(-error)) < 0)
		*said = NULL;
	return error;
}

int journal_finish_sole(struct sole *sole, char **said)
{
	CLEANUP_FREE char *journal = journal_path(&sole->st, sole->path);
	bool done = false;
	int error;

	*said = NULL;
	if (!journal)
		return -ENOMEM;
	if (access(journal, F_OK) != 0)
		return 0;
	error = sole_writable(sole, said);
	if (error != 0)
		return error;
	error = journal_apply(journal, sole->writing, &done);
	if (error == -EUCLEAN &&
	    asprintf(said,
		     "%s: an earlier change of it was interrupted, and somebody wrote to it since: see with "
		     "fsck.fat whether it is whole, then remove %s",
		     sole->path, journal) < 0)
		*said = NULL;
	else if (error != 0 && error != -EUCLEAN)
		return say(said, error, journal, "an interrupted change cannot be finished from ");
	if (error == 0 && done &&
	    asprintf(said, "%s: an earlier change of it was interrupted, and is finished now", sole->path) <
		    0)
		*said = NULL;
	return error;
}

int journal_finish(const char *image_path, char **said)
{
	CLEANUP_FREE char *real = realpath(image_path, NULL);
	CLEANUP_FREE char *journal = NULL;
	CLEANUP_FREE char *why = NULL;
	struct sole sole = { .reading = -1, .writing = -1 };
	struct stat st;
	int error;

	*said = NULL;
	if (!real || stat(real, &st) != 0)
		return 0; /* whoever opens it says so */
	journal = journal_path(&st, real);
	if (!journal || access(journal, F_OK) != 0)
		return 0;
	error = sole_open(&sole, real, false, &why);
	if (error == 0)
		error = journal_finish_sole(&sole, said);
	else if (asprintf(said, "an earlier change of it was interrupted, and cannot be finished: %s",
			  why ? why : strerror(-error)) < 0)
		*said = NULL;
	sole_close(&sole);
	return error;
}
