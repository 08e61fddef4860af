/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * control_dir: the control mount as a directory, to which nothing can be added
 * and from which nothing can be taken.
 */
#include "fuse/control/control_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* These names go before an image of the same name, which is found by its file's. */
static const struct {
	const char *name;
	enum control_id id;
} reserved[] = {
	{ "status", CONTROL_STATUS },
	{ "status.json", CONTROL_STATUS_JSON },
	{ "metrics", CONTROL_METRICS },
};

#define RESERVED_COUNT (sizeof(reserved) / sizeof(reserved[0]))

uint64_t control_reserved_id(const char *name)
{
	for (size_t i = 0; i < RESERVED_COUNT; i++)
		if (strcmp(name, reserved[i].name) == 0)
			return reserved[i].id;
	return 0;
}

/* ---- the directory -------------------------------------------------------- */

struct listing {
	struct job job; /* first */
	struct control *control;
	fuse_req_t fuse;
	struct fuse_file_info file;
	struct view_survey survey;
};

static void listing_free(struct listing *listing)
{
	view_survey_free(&listing->survey);
	free(listing);
}

static int64_t listing_run(struct job *job)
{
	struct listing *listing = (struct listing *)job;
	struct control *control = listing->control;

	/* Without SOURCE there are the status files, which say so. */
	if (view_survey(control->view, control->queue, &control->survey_lanes, &listing->survey) != 0)
		listing->survey = (struct view_survey){ 0 };
	return 0;
}

static void listing_done(struct job *job)
{
	struct listing *listing = (struct listing *)job;

	listing->file.fh = (uintptr_t)listing;
	if (fuse_reply_open(listing->fuse, &listing->file) != 0)
		listing_free(listing);
}

void control_opendir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	struct control *control = fuse_req_userdata(fuse);
	struct listing *listing = calloc(1, sizeof(*listing));

	(void)id;
	if (!listing) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	listing->control = control;
	listing->fuse = fuse;
	listing->file = *file;
	listing->job = (struct job){ .run = listing_run, .done = listing_done, .lane = &control->status_lane };
	queue_submit(control->queue, &listing->job);
}

/* Entry `at` of the listing: ".", "..", the reserved names, the images. NULL: it is not shown. */
static const char *listed_name(const struct listing *listing, size_t at)
{
	const struct view_found *found;

	if (at < 2)
		return at == 0 ? "." : "..";
	if (at < 2 + RESERVED_COUNT)
		return reserved[at - 2].name;
	found = &listing->survey.found[at - 2 - RESERVED_COUNT];
	return found->gone || control_reserved_id(found->name) != 0 ? NULL : found->name;
}

void control_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	const struct listing *listing = (const struct listing *)(uintptr_t)file->fh;
	size_t used = 0, count = 2 + RESERVED_COUNT + listing->survey.count;
	char *buffer = malloc(size_bytes);

	(void)id;
	if (!buffer) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	for (size_t at = (size_t)offset; at < count; at++) {
		struct stat st = { .st_mode = at < 2 ? S_IFDIR : S_IFREG, .st_ino = 0xffffffff };
		const char *name = listed_name(listing, at);
		size_t need;

		if (!name)
			continue;
		need = fuse_add_direntry(fuse, buffer + used, size_bytes - used, name, &st, (off_t)at + 1);
		if (need > size_bytes - used)
			break;
		used += need;
	}
	fuse_reply_buf(fuse, buffer, used);
	free(buffer);
}

void control_releasedir(fuse_req_t fuse, fuse_ino_t id, struct fuse_file_info *file)
{
	(void)id;
	listing_free((struct listing *)(uintptr_t)file->fh);
	fuse_reply_err(fuse, 0);
}

/* ---- what there is not ---------------------------------------------------- */

/* There are control files for images, and for nothing else. */
void control_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *file)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)file;
	fuse_reply_err(fuse, ENOENT);
}

void control_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device)
{
	(void)device;
	control_create(fuse, parent, name, mode, NULL);
}

void control_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	fuse_reply_err(fuse, EPERM);
}

void control_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	control_mkdir(fuse, parent, name, 0);
}

void control_symlink(fuse_req_t fuse, const char *text, fuse_ino_t parent, const char *name)
{
	(void)text;
	control_mkdir(fuse, parent, name, 0);
}

void control_link(fuse_req_t fuse, fuse_ino_t id, fuse_ino_t parent, const char *name)
{
	(void)id;
	control_mkdir(fuse, parent, name, 0);
}

void control_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
		      unsigned flags)
{
	(void)new_parent;
	(void)new_name;
	(void)flags;
	control_mkdir(fuse, parent, name, 0);
}
