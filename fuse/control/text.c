/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuse/control/status.h"
#include "fuse/control/status_programs.h"
#include "fuse/control/status_text.h"

struct snapshot {
	struct control_base *control; /* constant */
	uint64_t id;		 /* constant: a reserved one, or CONTROL_IMAGES */
	char *name;		 /* constant: of an image's file, else NULL */
	struct view_image *image; /* constant: a user, or NULL */
	_Atomic unsigned references; /* the open file, and reads of it */
	pthread_mutex_t lock;
	char *text; /* the lock, as length */
	size_t length;
};

struct snapshot *snapshot_new(struct control_base *control, uint64_t id)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	const struct control_node *node = control_node_of(id);

	if (!snapshot || (node && !(snapshot->name = strdup(node->name)))) {
		free(snapshot);
		return NULL;
	}
	snapshot->control = control;
	snapshot->id = node ? CONTROL_IMAGES : id;
	snapshot->image = node && node->image ? view_image_ref(node->image) : NULL;
	atomic_store(&snapshot->references, 1);
	pthread_mutex_init(&snapshot->lock, NULL);
	return snapshot;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->references, 1) != 1)
		return;
	view_image_put(snapshot->image);
	pthread_mutex_destroy(&snapshot->lock);
	free(snapshot->name);
	free(snapshot->text);
	free(snapshot);
}

/* ---- making it ------------------------------------------------------------ */

static void write_text(FILE *out, const struct snapshot *snapshot, const struct status *status)
{
	switch (snapshot->id) {
	case CONTROL_STATUS:
		status_write_table(out, status);
		break;
	case CONTROL_STATUS_JSON:
		status_write_json(out, status);
		break;
	case CONTROL_METRICS:
		status_write_metrics(out, status);
		break;
	default:
		status_write_image(out, status, snapshot->image, snapshot->name);
	}
}

static int make_text(struct snapshot *snapshot)
{
	struct control_base *control = snapshot->control;
	CLEANUP_FREE char *text = NULL;
	struct status status;
	size_t length;
	FILE *out;
	int error = status_take(control, &status);

	if (error != 0)
		return error;
	out = open_memstream(&text, &length);
	if (out) {
		write_text(out, snapshot, &status);
		error = ferror(out) ? -ENOMEM : 0;
		if (fclose(out) != 0)
			error = -ENOMEM;
	}
	status_free(&status);
	if (!out || error != 0)
		return -ENOMEM;
	LOCK_SCOPE(&snapshot->lock);
	free(snapshot->text);
	snapshot->text = STEAL_POINTER(text);
	snapshot->length = length;
	return 0;
}

/* ---- reading -------------------------------------------------------------- */

struct reading {
	struct job job; /* first */
	struct snapshot *snapshot; /* a reference */
	fuse_req_t fuse;
	size_t size_bytes;
	uint64_t offset;
};

/* Once it is answered the reader may close the file, on another thread: the caller has a reference of his own. */
static void answer(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, uint64_t offset)
{
	LOCK_SCOPE(&snapshot->lock);
	if (offset >= snapshot->length)
		size_bytes = 0;
	else if (size_bytes > snapshot->length - offset)
		size_bytes = snapshot->length - (size_t)offset;
	fuse_reply_buf(fuse, size_bytes ? snapshot->text + offset : NULL, size_bytes);
}

static int64_t reading_run(struct job *job)
{
	struct reading *reading = (struct reading *)job;

	if (make_text(reading->snapshot) != 0)
		fuse_reply_err(reading->fuse, EIO);
	else
		answer(reading->snapshot, reading->fuse, reading->size_bytes, reading->offset);
	return 0;
}

static void reading_done(struct job *job)
{
	struct reading *reading = (struct reading *)job;

	snapshot_close(reading->snapshot);
	free(reading);
}

static bool has_text(struct snapshot *snapshot)
{
	LOCK_SCOPE(&snapshot->lock);
	return snapshot->text != NULL;
}

void snapshot_read(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, off_t offset)
{
	struct reading *reading;

	if (offset > 0 && has_text(snapshot)) {
		atomic_fetch_add(&snapshot->references, 1);
		answer(snapshot, fuse, size_bytes, (uint64_t)offset);
		snapshot_close(snapshot);
		return;
	}
	reading = calloc(1, sizeof(*reading));
	if (!reading) {
		fuse_reply_err(fuse, EIO);
		return;
	}
	atomic_fetch_add(&snapshot->references, 1);
	reading->snapshot = snapshot;
	reading->fuse = fuse;
	reading->size_bytes = size_bytes;
	reading->offset = (uint64_t)offset;
	reading->job = (struct job){
		.run = reading_run,
		.done = reading_done,
		.lane = &snapshot->control->status_lane,
	};
	queue_submit(snapshot->control->queue, &reading->job);
}
