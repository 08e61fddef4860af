/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/change.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <linux/falloc.h>

#include "base/cleanup.h"
#include "part/part.h"
#include "tools/prep/change_state.h"
#include "tools/prep/difference.h"
#include "tools/prep/journal.h"
#include "tools/prep/judge.h"

#define COPY_BYTES ((size_t)1 << 20)

/* ---- messages ------------------------------------------------------------- */

int change_say(struct change *change, int error, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	free(change->problem);
	change->problem = text;
	return error;
}

static int say_error(struct change *change, int error, const char *what)
{
	return change_say(change, error, "%s: %s%s%s", change->sole.path, what, *what ? ": " : "",
			  strerror(-error));
}

const char *change_problem(const struct change *change)
{
	return !change		 ? strerror(ENOMEM)
	       : change->problem ? change->problem
				 : "no memory to say what is wrong";
}

const char *change_notice(const struct change *change)
{
	return change->notice;
}

/* ---- beginning ------------------------------------------------------------ */

/* The image, which nobody else writes to, as a finished change has left it. */
static int open_image(struct change *change, const char *path)
{
	CLEANUP_FREE char *said = NULL;
	bool is_new = change->flags & CHANGE_NEW;
	char *problem = NULL;
	int error = sole_open(&change->sole, path, is_new || change->flags & CHANGE_FORCE, &problem);

	if (error == 0 && is_new)
		error = sole_writable(&change->sole, &problem);
	free(change->problem);
	change->problem = problem;
	if (error != 0 || is_new)
		return error;
	error = journal_finish_sole(&change->sole, &said);
	if (error != 0)
		return change_say(change, error, "%s", said ? said : strerror(-error));
	change->notice = STEAL_POINTER(said);
	return 0;
}

static int find_partition(struct change *change, struct source *image, unsigned number)
{
	CLEANUP_FREE struct part_table *table = NULL;
	struct part_choice choice;
	const struct part_entry *entry;
	int error = part_table_read(image, 0, &table);

	if (error == -ENODATA)
		return change_say(change, error, "%s: neither a partition table nor a FAT",
				  change->sole.path);
	if (error != 0)
		return say_error(change, error, "its partition table");
	if (number == 0) {
		error = part_choose_boot(image, table, &choice);
		if (error != 0 || !choice.entry)
			return change_say(
				change, error != 0 ? error : -EIO, "%s: %s", change->sole.path,
				error == -ENODATA
					? "no partition is a FAT"
					: "its boot partition cannot be chosen: name it, as in IMAGE:1");
		entry = choice.entry;
	} else {
		entry = part_table_find(table, number);
	}
	if (!entry || !entry->is_fat)
		return change_say(change, -ENOENT, "%s: partition %u %s", change->sole.path, number,
				  entry ? "is no FAT" : "is not there");
	change->partition = entry->number;
	change->offset_bytes = entry->offset_bytes;
	change->length_bytes = round_down_u64(entry->length_bytes, JOURNAL_SECTOR_BYTES);
	return 0;
}

static int read_volume(struct change *change, struct source *partition)
{
	uint64_t end;
	int error = fat_volume_read(partition, &change->volume);

	if (error != 0)
		return say_error(change, error, "its boot sector is not that of a FAT");
	end = change->volume.data_offset_bytes +
	      (uint64_t)change->volume.cluster_count * change->volume.cluster_bytes;
	if (end > change->length_bytes)
		return change_say(change, -EUCLEAN,
				  "%s: the file system is larger than what there is of its partition",
				  change->sole.path);
	error = clusters_read(&change->volume, partition, &change->before);
	return error == 0 ? 0 : say_error(change, error, "its FAT");
}

static int make_copy(struct change *change)
{
	const char *where;
	int error = copy_make(&change->copy, change->sole.reading, change->sole.path, change->offset_bytes,
			      change->length_bytes, &change->before, &where);

	return error == 0 ? 0
			  : change_say(change, error, "%s: its private copy in %s: %s", change->sole.path,
				       where, strerror(-error));
}

/* For a shell. */
static void write_quoted(FILE *out, const char *text)
{
	fputc('\'', out);
	for (; *text; text++)
		fputs(*text == '\'' ? "'\\''" : (char[]){ *text, '\0' }, out);
	fputc('\'', out);
}

/* fsck.fat knows no offset: the line that gives it a loop device. */
static int say_unclean(struct change *change, int error, const char *found)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return change_say(change, error, "%s", strerror(ENOMEM));
	fprintf(out,
		"%s: its FAT has errors already (%s): mend it first, as root:\nd=$(losetup -f --show -o %llu "
		"--sizelimit %llu ",
		change->sole.path, found, (unsigned long long)change->offset_bytes,
		(unsigned long long)change->length_bytes);
	write_quoted(out, change->sole.path);
	fprintf(out, ") && fsck.fat -a $d; losetup -d $d");
	fclose(out);
	free(change->problem);
	change->problem = text;
	return error;
}

static int judge_first(struct change *change)
{
	CLEANUP_FREE char *found = NULL;
	int error = judge_before(&change->copy, &change->volume, &found);

	if (error == -EUCLEAN)
		return say_unclean(change, error, found);
	return error == 0 ? 0
			  : change_say(change, error, "%s: %s", change->sole.path,
				       found ? found : strerror(-error));
}

int change_begin(struct change **made, const char *image_path, unsigned partition_number, unsigned flags)
{
	struct change *change = *made = calloc(1, sizeof(*change));
	struct file_source file;
	struct source_slice slice;
	int error;

	if (!change)
		return -ENOMEM;
	change->flags = flags;
	change->copy.fd = -1;
	error = open_image(change, image_path);
	if (error != 0)
		return error;
	error = file_source_of(change->sole.reading, &file);
	if (error != 0)
		return say_error(change, error, "");
	error = find_partition(change, &file.source, partition_number);
	if (error != 0)
		return error;
	slice = source_slice_of(&file.source, change->offset_bytes, change->length_bytes);
	error = read_volume(change, &slice.source);
	if (error == 0)
		error = make_copy(change);
	return error == 0 ? judge_first(change) : error;
}

/* ---- bringing it over ----------------------------------------------------- */

/* Write those records that are, or are not, placed. */
static int write_records(const struct change *change, const struct journal_record *records, size_t count,
			 bool placed)
{
	CLEANUP_FREE char *buffer = malloc(JOURNAL_RECORD_BYTES_MAX);
	int error = buffer ? 0 : -ENOMEM;

	for (size_t i = 0; i < count && error == 0; i++) {
		const struct journal_record *record = &records[i];

		if (record->placed != placed)
			continue;
		error = file_read_all(change->copy.fd, record->offset_bytes - change->offset_bytes, buffer,
				      (size_t)record->length_bytes);
		if (error == 0)
			error = file_write_all(change->sole.writing, record->offset_bytes, buffer,
					       (size_t)record->length_bytes);
	}
	return error;
}

/* What is not placed gets its blocks, of its own where it shares them: of a sparse image that is half written
 * when the disk is full there would be no way back. */
static int reserve(const struct change *change, const struct journal_record *records, size_t count)
{
	int fd = change->sole.writing;

	for (size_t i = 0; i < count; i++) {
		off_t offset = (off_t)records[i].offset_bytes, length = (off_t)records[i].length_bytes;

		if (records[i].placed || fallocate(fd, FALLOC_FL_UNSHARE_RANGE, offset, length) == 0 ||
		    errno == ENODEV)
			continue;
		/* Most filesystems know the plain one only, some none: those have no holes that could be
		 * filled. */
		if (errno != ENOSPC && errno != EDQUOT && fallocate(fd, 0, offset, length) == 0)
			continue;
		if (errno == ENOSPC || errno == EDQUOT)
			return -errno;
	}
	return 0;
}

static int stage_two(struct change *change, const char *journal, const struct journal_record *records,
		     size_t count)
{
	int error = reserve(change, records, count);

	if (error != 0)
		return change_say(change, error, "%s: nothing was changed: %s", change->sole.path,
				  strerror(-error));
	error = journal_write(journal, change->sole.writing, change->copy.fd, change->offset_bytes, records,
			      count);
	if (error != 0)
		return change_say(change, error, "%s: nothing was changed: the journal %s: %s",
				  change->sole.path, journal, strerror(-error));
	error = write_records(change, records, count, false);
	if (error == 0)
		error = journal_remove(journal, change->sole.writing);
	if (error != 0)
		return change_say(change, error,
				  "%s: %s: what is left to write is in %s, and written when imagefsctl opens "
				  "the image next",
				  change->sole.path, strerror(-error), journal);
	return 0;
}

/* Signals that would end us wait; SIGKILL does not, which is what the journal is for. */
static int stage_two_undisturbed(struct change *change, const struct journal_record *records, size_t count)
{
	CLEANUP_FREE char *journal = journal_path(&change->sole.st, change->sole.path);
	sigset_t signals, before;
	int error;

	if (!journal)
		return change_say(change, -ENOMEM, "%s", strerror(ENOMEM));
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	error = stage_two(change, journal, records, count);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

static int bring_over(struct change *change, const struct journal_record *records, size_t count)
{
	char *problem = NULL;
	int error = sole_writable(&change->sole, &problem);

	if (problem) {
		free(change->problem);
		change->problem = problem;
	}
	if (error != 0)
		return error;
	error = write_records(change, records, count, true);
	if (error == 0 && change->flags & CHANGE_NEW)
		error = write_records(change, records, count, false);
	else if (error == 0 && fdatasync(change->sole.writing) != 0)
		error = -errno;
	if (error != 0)
		return say_error(change, error, "writing");
	return change->flags & CHANGE_NEW ? 0 : stage_two_undisturbed(change, records, count);
}

static int find_difference(struct change *change, struct journal_record **records, size_t *count)
{
	struct file_source image, copy = change->copy.file;
	struct source_slice slice;
	struct clusters after;
	int error = file_source_of(change->sole.reading, &image);

	if (error == 0)
		error = clusters_read(&change->volume, &copy.source, &after);
	if (error != 0)
		return error;
	slice = source_slice_of(&image.source, change->offset_bytes, change->length_bytes);
	error = difference_find(&slice.source, &copy.source, &change->before, &after, change->offset_bytes,
				records, count);
	clusters_free(&after);
	return error;
}

int change_commit(struct change *change)
{
	CLEANUP_FREE struct journal_record *records = NULL;
	CLEANUP_FREE char *found = NULL;
	size_t count = 0;
	int error;

	if (change->broken != 0)
		return change->broken; /* and its problem stands */
	error = judge_after(&change->copy, &change->volume, &found);
	if (error != 0)
		return change_say(change, error, "%s: nothing was changed: its FAT would not be whole: %s",
				  change->sole.path, found ? found : strerror(-error));
	error = find_difference(change, &records, &count);
	if (error != 0)
		return say_error(change, error, "comparing");
	return count == 0 ? 0 : bring_over(change, records, count);
}

void change_end(struct change *change)
{
	if (!change)
		return;
	copy_free(&change->copy);
	clusters_free(&change->before);
	sole_close(&change->sole);
	free(change->notice);
	free(change->problem);
	free(change);
}
