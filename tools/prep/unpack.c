/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/archive.h"
#include "base/bytes.h"
#include "tools/prep/progress.h"
#include "tools/prep/sum.h"

#define READ_BYTES ((size_t)1 << 18)
#define GZIP_TRAILER_BYTES 8 /* RFC 1952: CRC-32 and size, modulo 2^32, of the last member */

/* ---- what is read --------------------------------------------------------- */

struct input {
	const struct unpack *unpack;
	int fd;
	int error; /* of reading, positive */
	unsigned char *buffer;
	uint64_t at;
	enum archive_kind kind;
	struct sha256_ctx sum;
	unsigned char trailer[GZIP_TRAILER_BYTES]; /* the last bytes so far */
	uint32_t crc;				   /* of the output, for gzip */
	struct progress progress;
	struct output *output;
};

static void keep_trailer(struct input *input, size_t got)
{
	size_t keep = got < GZIP_TRAILER_BYTES ? got : GZIP_TRAILER_BYTES;

	memmove(input->trailer, input->trailer + keep, GZIP_TRAILER_BYTES - keep);
	memcpy(input->trailer + GZIP_TRAILER_BYTES - keep, input->buffer + got - keep, keep);
}

/* As much as there is room for, from a pipe as well; less only at the end. -1: input->error. */
static ssize_t fill(struct input *input)
{
	size_t used = 0;

	while (used < READ_BYTES) {
		ssize_t got = *input->unpack->interrupted
				      ? -1
				      : read(input->fd, input->buffer + used, READ_BYTES - used);

		if (got == 0)
			break;
		if (got > 0)
			used += (size_t)got;
		else if (*input->unpack->interrupted || errno != EINTR) {
			input->error = *input->unpack->interrupted ? EINTR : errno;
			return -1;
		}
	}
	return (ssize_t)used;
}

/* The next bytes; 0: the end, -1: input->error. */
static ssize_t read_more(struct input *input)
{
	ssize_t got = fill(input);

	if (got <= 0)
		return got;
	if (input->at == 0)
		input->kind = archive_of_bytes(input->buffer, (size_t)got);
	input->at += (uint64_t)got;
	keep_trailer(input, (size_t)got);
	if (input->unpack->sum)
		sha256_update(&input->sum, (size_t)got, input->buffer);
	return got;
}

static la_ssize_t read_callback(struct archive *archive, void *context, const void **buffer)
{
	struct input *input = context;
	ssize_t got = read_more(input);

	*buffer = input->buffer;
	if (got >= 0)
		return got;
	archive_set_error(archive, input->error, "%s", strerror(input->error));
	return ARCHIVE_FATAL;
}

static int reading_failed(const struct input *input, struct problem *problem)
{
	if (input->error == EINTR)
		return problem_set(problem, -EINTR, "interrupted");
	return problem_set(problem, -input->error, "reading: %s", strerror(input->error));
}

/* What stands behind the archive's end belongs to what was downloaded. */
static int drain(struct input *input, struct problem *problem)
{
	ssize_t got;

	while ((got = read_more(input)) > 0)
		;
	return got == 0 ? 0 : reading_failed(input, problem);
}

/* ---- libarchive ----------------------------------------------------------- */

static void close_archive(struct archive **archive)
{
	archive_read_free(*archive);
}

static int broken(struct input *input, struct archive *archive, struct problem *problem)
{
	const char *why = archive_error_string(archive);

	if (input->error != 0)
		return reading_failed(input, problem);
	return problem_set(problem, -EBADMSG, "is damaged, or was not downloaded to its end: %s",
			   why ? why : "no reason given");
}

static struct archive *new_archive(void)
{
	struct archive *archive = archive_read_new();

	if (!archive)
		return NULL;
	archive_read_support_filter_xz(archive);
	archive_read_support_filter_zstd(archive);
	archive_read_support_filter_gzip(archive);
	archive_read_support_filter_bzip2(archive);
	archive_read_support_format_raw(archive);
	archive_read_support_format_zip_streamable(archive);
	return archive;
}

static bool is_image_name(const char *path)
{
	size_t length = path ? strlen(path) : 0;

	return length > 4 &&
	       (strcasecmp(path + length - 4, ".img") == 0 || strcasecmp(path + length - 4, ".raw") == 0);
}

static bool is_image(const struct input *input, struct archive_entry *entry)
{
	return input->kind != ARCHIVE_ZIP ||
	       (is_image_name(archive_entry_pathname(entry)) && archive_entry_filetype(entry) != AE_IFDIR);
}

/* One member: a block from libarchive may stand behind a hole. */
static int copy_member(struct input *input, struct archive *archive, struct problem *problem)
{
	struct output *output = input->output;
	const void *block;
	la_int64_t offset;
	size_t length;
	int result;

	while ((result = archive_read_data_block(archive, &block, &length, &offset)) == ARCHIVE_OK) {
		int error = 0;

		if (offset < 0 || (uint64_t)offset < output->at)
			return problem_set(problem, -EBADMSG, "is damaged: its parts overlap");
		if ((uint64_t)offset > output->at)
			error = output_add_zeros(output, (uint64_t)offset - output->at, problem);
		if (error == 0)
			error = output_add(output, block, length, problem);
		if (error != 0)
			return error;
		if (input->kind == ARCHIVE_GZIP)
			input->crc = (uint32_t)crc32(input->crc, block, (uInt)length);
		progress_move(&input->progress, input->at, output->at);
		if (*input->unpack->interrupted)
			return problem_set(problem, -EINTR, "interrupted");
	}
	return result == ARCHIVE_EOF ? 0 : broken(input, archive, problem); /* a warning is a bad CRC */
}

static int copy_members(struct input *input, struct archive *archive, struct problem *problem)
{
	struct archive_entry *entry;
	unsigned found = 0;
	int result, error = 0;

	while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
		if (!is_image(input, entry))
			continue;
		if (found++ > 0)
			return problem_set(problem, -EINVAL,
					   "holds more than one image: unpack the one that is meant");
		error = copy_member(input, archive, problem);
		if (error != 0)
			return error;
	}
	if (result != ARCHIVE_EOF)
		return broken(input, archive, problem);
	return found > 0 ? 0 : problem_set(problem, -EINVAL, "holds no image (no NAME.img or NAME.raw)");
}

/*
 * libarchive sees a gzip's structure, not its CRC. The trailer speaks of the last member, so it
 * counts if the size in it is that of all: of several members it is not.
 */
static int check_gzip(const struct input *input, struct problem *problem)
{
	if (input->kind != ARCHIVE_GZIP || get_le32(input->trailer + 4) != (uint32_t)input->output->at ||
	    get_le32(input->trailer) == input->crc)
		return 0;
	return problem_set(problem, -EBADMSG, "is damaged: its checksum (CRC-32) is wrong");
}

static int check(struct input *input, struct problem *problem)
{
	int error = drain(input, problem);

	/* A wrong sum says more than what it leads to. */
	if (error == 0 && input->unpack->sum)
		error = sum_compare(&input->sum, input->unpack->sum, problem);
	return error == 0 ? check_gzip(input, problem) : error;
}

static int unpack_archive(struct input *input, struct problem *problem)
{
	__attribute__((cleanup(close_archive))) struct archive *archive = new_archive();
	struct problem other;
	int error;

	if (!archive)
		return problem_set(problem, -ENOMEM, "%s", strerror(ENOMEM));
	if (archive_read_open(archive, input, NULL, read_callback, NULL) != ARCHIVE_OK)
		error = broken(input, archive, problem);
	else
		error = copy_members(input, archive, problem);
	if (error == -EBADMSG && input->unpack->sum && check(input, &other) == -EBADMSG)
		*problem = other;
	return error == 0 ? check(input, problem) : error;
}

int unpack(const struct unpack *unpack, int from, struct output *output, struct problem *problem)
{
	struct input input = { .unpack = unpack, .fd = from, .output = output };
	struct stat st;
	int error;

	input.buffer = malloc(READ_BYTES);
	if (!input.buffer || fstat(from, &st) != 0) {
		error = input.buffer ? -errno : -ENOMEM;
		free(input.buffer);
		return problem_set(problem, error, "%s", strerror(-error));
	}
	sha256_init(&input.sum);
	progress_begin(&input.progress, unpack->progress, unpack->name,
		       S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0);
	error = unpack_archive(&input, problem);
	progress_end(&input.progress);
	free(input.buffer);
	return error;
}
