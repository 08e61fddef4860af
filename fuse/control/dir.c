/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/dir.h"

#include <errno.h>
#include <stdlib.h>

#include "fuse/control/node.h"

struct listing {
	struct job job; /* first */
	struct control_base *control;
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
	struct control_base *control = listing->control;

	/* Without SOURCE there are the status files, which say so. */
	if (view_survey(control->view, control->queue, &control->survey_lane, &listing->survey) != 0)
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
	struct control_base *control = fuse_req_userdata(fuse);
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
	if (control_reserved_name(at - 2))
		return control_reserved_name(at - 2);
	found = &listing->survey.found[at - 2 - CONTROL_RESERVED];
	return found->gone || control_reserved_id(found->name) != 0 ? NULL : found->name;
}

void control_readdir(fuse_req_t fuse, fuse_ino_t id, size_t size_bytes, off_t offset, struct fuse_file_info *file)
{
	const struct listing *listing = (const struct listing *)(uintptr_t)file->fh;
	size_t used = 0, count = 2 + CONTROL_RESERVED + listing->survey.count;
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
