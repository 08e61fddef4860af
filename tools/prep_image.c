/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* prep_image: the image is made under its temporary name, grown, and given its own. */
#include "tools/prep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tools/prep/grow.h"
#include "tools/prep/holder.h"
#include "tools/prep/journal.h"
#include "tools/prep/sum.h"

/* ---- what it has ---------------------------------------------------------- */

static void note_root(struct prep *prep)
{
	const struct layout *layout = &prep->layout;
	char others[64] = "";
	size_t used = 0;

	if (layout->root == 0 || prep->root_said)
		return;
	prep->root_said = true;
	for (size_t i = 0; layout->others[i] != 0; i++)
		used += (size_t)snprintf(others + used, sizeof(others) - used, "%s%u", i == 0 ? "" : ", ",
					 layout->others[i]);
	if (*others)
		prep_note(prep->options,
			  "the root is taken to be partition %u (%s); it might be %s: --root-partition says",
			  layout->root, *layout->root_type ? layout->root_type : "of no kind that is known",
			  others);
	else
		prep_note(prep->options, "the root is partition %u (%s)", layout->root,
			  *layout->root_type ? layout->root_type : "of no kind that is known");
}

int prep_image_look(struct prep *prep)
{
	bool wanted = prep->options->has_root || prep->options->grow_root;
	struct problem problem;
	int fd = prep->makes && !prep->options->dry_run ? prep->instance.fd : prep->template_fd;

	if (prep->layout.table)
		return PREP_OK;
	if (layout_read(fd, prep->options->root_partition, &prep->layout, &problem) != 0)
		return prep_fail(prep->shown, problem.text);
	if (wanted && prep->layout.root == 0)
		return prep_fail(prep->shown, "has no partition that could be the root: all are FAT");
	if (wanted)
		note_root(prep);
	return PREP_OK;
}

/* ---- making it ------------------------------------------------------------ */

static int read_sum(struct prep *prep)
{
	struct problem problem;

	if (!prep->options->sum ||
	    sum_wanted(prep->options->sum, prep_is_pipe(prep) ? prep->shown : prep->template, prep->sum,
		       &problem) == 0)
		return PREP_OK;
	return prep_fail("", problem.text);
}

static int unpack_template(struct prep *prep)
{
	struct unpack how = { .name = prep_is_pipe(prep) ? prep->shown : prep->template,
			      .sum = prep->options->sum ? prep->sum : NULL,
			      .progress = !prep->options->quiet,
			      .interrupted = prep->interrupted };
	struct problem problem;
	struct output output;
	int error = output_begin(&output, prep->instance.fd, &problem);

	if (error == 0)
		error = unpack(&how, prep->template_fd, &output, &problem);
	if (error == 0)
		error = output_finish(&output, &problem);
	output_end(&output);
	if (error == 0)
		return PREP_OK;
	return prep_fail(error == -ENOSPC || error == -EDQUOT || error == -EFBIG ? prep->shown
										 : prep->template,
			 problem.text);
}

/* Of an image, the copy is what counts: nobody else can change it. */
static int check_sum(struct prep *prep, int fd)
{
	struct sha256_ctx sum;
	CLEANUP_FREE unsigned char *buffer = malloc(1 << 18);
	struct problem problem;
	uint64_t at = 0;
	ssize_t got;

	if (!prep->options->sum || !buffer)
		return buffer ? PREP_OK : prep_fail("", strerror(ENOMEM));
	sha256_init(&sum);
	while ((got = pread(fd, buffer, 1 << 18, (off_t)at)) > 0 && !*prep->interrupted) {
		sha256_update(&sum, (size_t)got, buffer);
		at += (uint64_t)got;
	}
	if (got != 0)
		return prep_fail(prep->template, *prep->interrupted ? "interrupted" : strerror(errno));
	return sum_compare(&sum, prep->sum, &problem) == 0 ? PREP_OK
							   : prep_fail(prep->template, problem.text);
}

/* A change of the template that was interrupted is finished first: a copy would be half of it. */
static int finish_journal(struct prep *prep)
{
	CLEANUP_FREE char *said = NULL;
	int error = journal_finish(prep->template, &said);

	if (error != 0)
		return prep_fail("", said ? said : strerror(-error));
	if (said)
		prep_note(prep->options, "%s", said);
	return PREP_OK;
}

static int copy_template(struct prep *prep)
{
	struct problem problem;
	bool reflinked;
	int error = finish_journal(prep);

	/* As sole.h has it: changes of one that is being replaced would be lost. */
	if (error == PREP_OK && prep->in_place && flock(prep->template_fd, LOCK_EX | LOCK_NB) != 0 &&
	    errno == EWOULDBLOCK)
		return prep_fail(prep->template, "is being changed by another imagefsctl or imagefs-prep");
	if (error == PREP_OK)
		error = prep_check_holders(prep, &prep->leased);
	if (error != PREP_OK)
		return error;
	error = instance_copy(&prep->instance, prep->template_fd, prep->template, !prep->options->quiet,
			      prep->interrupted, &reflinked, &problem);
	if (error != 0)
		return prep_fail(error == -ENOSPC || error == -EDQUOT ? prep->shown : prep->template,
				 problem.text);
	if (prep->options->clone || prep->in_place)
		instance_look_like(&prep->instance, prep->template_fd);
	/* An image in place stays ours until it is replaced. */
	if (prep->leased && !prep->in_place) {
		prep->leased = false;
		if (!holder_lease_end(prep->template_fd) && !reflinked)
			return prep_fail(prep->template,
					 "somebody wanted to write to it while it was copied");
	}
	return check_sum(prep, prep->instance.fd);
}

static int grow_image(struct prep *prep, const char *path, bool device)
{
	const struct prep_options *options = prep->options;
	struct problem problem;
	off_t size;

	if (options->size_bytes == 0 && !options->grow_root && !device)
		return PREP_OK;
	if (prep_image_look(prep) != PREP_OK)
		return PREP_FAILED;
	size = lseek(prep->makes ? prep->instance.fd : prep->template_fd, 0, SEEK_END);
	if (device && options->size_bytes > (uint64_t)size)
		return prep_fail(prep->shown, "the device is smaller than that --size");
	if (options->size_bytes != 0 && !device && options->size_bytes <= (uint64_t)size)
		prep_note(options, "it is that large already, or larger");
	if (grow(path, options->size_bytes, options->grow_root ? prep->layout.root : 0,
		 prep->layout.table->sector_bytes, &problem) != 0)
		return prep_fail(prep->shown, problem.text);
	layout_free(&prep->layout); /* it is another now */
	return PREP_OK;
}

/* "16.0GiB": for the caller to free. */
static char *size_text(uint64_t bytes)
{
	char *size = NULL;
	size_t length;
	FILE *text = open_memstream(&size, &length);

	if (!text)
		return NULL;
	text_write_size(text, bytes, "");
	fclose(text);
	return size;
}

static void say_making(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *size = size_text((uint64_t)prep->template_st.st_size);

	if (prep_is_pipe(prep))
		prep_say(options, "unpack standard input to %s", prep->shown);
	else if (prep_is_archive(prep))
		prep_say(options, "unpack %s (%s, %s) to %s", prep->template, archive_kind_name(prep->kind),
			 size ? size : "?", prep->shown);
	else if (prep->in_place && prep->makes)
		prep_say(options, "copy %s to a temporary name, to replace it when all is done",
			 prep->template);
	else if (prep->makes)
		prep_say(options, "copy %s to %s", prep->template, prep->shown);
}

static void say_growing(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	CLEANUP_FREE char *size = size_text(options->size_bytes);

	if (options->sum)
		prep_say(options, "check its SHA-256: %s", prep->sum);
	if (options->size_bytes != 0)
		prep_say(options, "grow it to %s", size ? size : "?");
	if (options->grow_root)
		prep_say(options, "extend its root partition to the end");
}

/* What was left of a change of the image that is replaced would not fit the new one. */
static void forget_journal(const struct prep *prep)
{
	struct stat st;
	CLEANUP_FREE char *path = stat(prep->path, &st) == 0 ? journal_path(&st, prep->path) : NULL;

	if (path)
		unlink(path);
}

/* What is no image of a disk (notes, a tar) is no board's. A clone is what it is. */
static int see_image(struct prep *prep)
{
	const struct prep_options *options = prep->options;
	struct problem problem;

	if (prep->layout.table || options->clone || prep_boot_is_wanted(options))
		return PREP_OK;
	if (prep_options_have(options, PREP_BOARD) || options->has_export)
		return prep_image_look(prep);
	if (layout_read(prep->instance.fd, 0, &prep->layout, &problem) != 0)
		prep_note(options, "%s %s", prep->shown, problem.text);
	layout_free(&prep->layout);
	return PREP_OK;
}

static int make(struct prep *prep)
{
	struct problem problem;
	int result;

	if (instance_begin(&prep->instance, prep->path, prep->options->force || prep->in_place, &problem) !=
	    0)
		return prep_fail("", problem.text);
	result = prep_is_archive(prep) ? unpack_template(prep) : copy_template(prep);
	/* Of a device: what was there is gone, and changes of what comes may need one of their own. */
	if (result == PREP_OK && prep->instance.is_device)
		forget_journal(prep);
	if (result == PREP_OK)
		result = grow_image(prep, prep->instance.work, prep->instance.is_device);
	return result == PREP_OK ? see_image(prep) : result;
}

/* A device in place: its table alone is changed, and it must be nobody else's. */
static int fit_device(struct prep *prep)
{
	CLEANUP_FD int fd = -1;
	bool leased;

	if (!S_ISBLK(prep->template_st.st_mode) ||
	    (prep->options->size_bytes == 0 && !prep->options->grow_root))
		return PREP_OK;
	if (prep_check_holders(prep, &leased) != PREP_OK)
		return PREP_FAILED;
	fd = open(prep->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return prep_fail(prep->shown,
				 errno == EBUSY ? "is mounted, or part of another device" : strerror(errno));
	return grow_image(prep, prep->path, true);
}

int prep_image_make(struct prep *prep)
{
	int result = read_sum(prep);

	if (result != PREP_OK)
		return result;
	say_making(prep);
	say_growing(prep);
	if (prep->options->dry_run)
		return prep_is_archive(prep) ? PREP_OK : prep_image_look(prep);
	if (prep->makes)
		return make(prep);
	result = check_sum(prep, prep->template_fd);
	return result == PREP_OK ? fit_device(prep) : result;
}

/* ---- the end -------------------------------------------------------------- */

int prep_image_publish(struct prep *prep)
{
	struct problem problem;

	if (!prep->makes || prep->options->dry_run)
		return PREP_OK;
	if (*prep->interrupted)
		return prep_fail("", "interrupted");
	if (instance_settle(&prep->instance, &problem) != 0)
		return prep_fail("", problem.text);
	/* Between these two nobody may come: who opens it for writing would write to what has no name. */
	if (prep->leased && !holder_lease_end(prep->template_fd)) {
		prep->leased = false;
		return prep_fail(prep->template,
				 "somebody wanted to write to it meanwhile: it stays as it is");
	}
	prep->leased = false;
	if (instance_publish(&prep->instance, &problem) != 0)
		return prep_fail("", problem.text);
	if (!prep->instance.is_device)
		forget_journal(prep);
	return PREP_OK;
}

void prep_image_end(struct prep *prep)
{
	if (prep->leased)
		holder_lease_end(prep->template_fd);
	instance_end(&prep->instance);
	layout_free(&prep->layout);
	cleanup_close_fd(&prep->template_fd);
	free(prep->template);
	free(prep->path);
	free(prep->shown);
}
