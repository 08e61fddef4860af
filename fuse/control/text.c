/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/control/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/waits.h"
#include "fuse/control/problems.h"
#include "fuse/control/status.h"
#include "fuse/control/status_json.h"
#include "fuse/control/status_metrics.h"
#include "fuse/control/status_text.h"
#include "fuse/process/dirents.h"
#include "fuse/process/handles.h"

struct snapshot {
	struct control_base *control; /* constant */
	uint64_t id;		      /* constant: the directory's, a reserved one, or CONTROL_IMAGES */
	char *name;		      /* constant: of an image's file, else NULL, as is */
	struct view_identity image;   /* what it led to */
	uid_t user;		      /* constant */
	_Atomic unsigned references;  /* the open file, and reads of it */
	struct handle handle;
};

static void free_snapshot(struct snapshot *snapshot)
{
	free(snapshot->name);
	free(snapshot);
}

int snapshot_new(struct control_base *control, uint64_t id, uid_t user, struct snapshot **out)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
	const struct control_node *node = control_node_of(id);
	int error = -ENOMEM;

	if (snapshot && (!node || (snapshot->name = strdup(node->name)))) {
		snapshot->control = control;
		snapshot->id = node ? CONTROL_IMAGES : id;
		snapshot->user = user;
		if (node)
			snapshot->image = node->image;
		atomic_store(&snapshot->references, 1);
		/* The texts of images' files are shared by nobody: each has an inode to itself. */
		error = handle_open(control->handles, user, ~id, &snapshot->handle);
	}
	if (error != 0 && snapshot)
		free_snapshot(snapshot);
	*out = error == 0 ? snapshot : NULL;
	return error;
}

void snapshot_close(struct snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub(&snapshot->references, 1) != 1)
		return;
	handle_close(&snapshot->handle);
	free_snapshot(snapshot);
}

/* ---- making it ------------------------------------------------------------ */

static void write_names(FILE *out, const struct status *status)
{
	const char *name;

	for (size_t i = 0; (name = control_reserved_name(i)); i++)
		fprintf(out, "%c%s%c", DIRENT_FILE, name, '\0');
	for (size_t i = 0; i < status->count; i++)
		if (!status->images[i].found->gone && control_reserved_id(status->images[i].name) == 0)
			fprintf(out, "%c%s%c", DIRENT_FILE, status->images[i].name, '\0');
}

static void write_text(FILE *out, const struct snapshot *snapshot, const struct status *status, const struct problems *problems)
{
	switch (snapshot->id) {
	case CONTROL_ROOT:
		write_names(out, status);
		break;
	case CONTROL_STATUS:
		status_write_table(out, status, problems);
		break;
	case CONTROL_STATUS_JSON:
		status_write_json(out, status, problems);
		break;
	case CONTROL_METRICS:
		status_write_metrics(out, status, problems);
		break;
	default:
		status_write_image(out, status, &snapshot->image, snapshot->name);
	}
}

/* One use of it. NULL: no memory. */
static struct content *make_text(struct snapshot *snapshot, const struct status *status, const struct problems *problems,
				 bool *another)
{
	CLEANUP_FREE char *text = NULL;
	size_t length;
	bool failed;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return NULL;
	write_text(out, snapshot, status, problems);
	failed = ferror(out);
	if (fclose(out) != 0 || failed)
		return NULL;
	return handle_fill(&snapshot->handle, STEAL_POINTER(text), length, another);
}

/* ---- reading -------------------------------------------------------------- */

struct reading {
	struct snapshot *snapshot; /* a reference */
	fuse_req_t fuse;
	size_t size_bytes;
	uint64_t offset;
	struct reading *next; /* of those that wait */
};

static void deal(const struct reading *reading, const char *bytes, size_t length_bytes)
{
	CLEANUP_FREE char *buffer = malloc(reading->size_bytes);

	if (!buffer)
		fuse_reply_err(reading->fuse, EIO);
	else
		fuse_reply_buf(reading->fuse, buffer,
			       dirents_deal(reading->fuse, buffer, reading->size_bytes, bytes, length_bytes,
					    reading->offset));
}

/* Uses up the use of the content. Once it is answered the reader may close the file, on another thread. */
static void answer(const struct reading *reading, struct content *content)
{
	size_t length_bytes, size_bytes = reading->size_bytes;
	const char *bytes;

	if (!content) {
		fuse_reply_err(reading->fuse, EIO);
		return;
	}
	bytes = content_bytes(content, &length_bytes);
	if (reading->snapshot->id == CONTROL_ROOT) {
		deal(reading, bytes, length_bytes);
	} else {
		if (reading->offset >= length_bytes)
			size_bytes = 0;
		else if (size_bytes > length_bytes - reading->offset)
			size_bytes = length_bytes - (size_t)reading->offset;
		fuse_reply_buf(reading->fuse, size_bytes ? bytes + reading->offset : NULL, size_bytes);
	}
	content_put(content);
}

static struct control_base *control_of(struct job *job)
{
	return (struct control_base *)(void *)((char *)job - offsetof(struct control_base, texts.job));
}

/* What was made for its user since `since_ns`; NULL: nothing, or it is of an image. */
static struct content *shared(struct snapshot *snapshot, int64_t since_ns)
{
	if (snapshot->id == CONTROL_IMAGES || !handle_share(&snapshot->handle, since_ns))
		return NULL;
	return handle_content(&snapshot->handle);
}

/* One use of the text for it. NULL: it is not to be had, or another than its reader has begun with. */
static struct content *text_for(const struct reading *reading, const struct status *status, const struct problems *problems)
{
	bool another = false;
	struct content *content = shared(reading->snapshot, status->now_ns);

	if (!content)
		content = make_text(reading->snapshot, status, problems, &another);
	if (!another || reading->offset == 0)
		return content;
	content_put(content);
	return NULL;
}

/* One look at how things are, for all who have asked by now. */
static int64_t texts_run(struct job *job)
{
	struct control_base *control = control_of(job);
	struct reading *reading, *next;
	struct problems problems = { 0 };
	struct status status;
	bool taken;

	pthread_mutex_lock(&control->texts.lock);
	reading = STEAL_POINTER(control->texts.waiting);
	pthread_mutex_unlock(&control->texts.lock);
	taken = status_take(control, &status) == 0;
	if (taken && problems_find(&status, &problems) != 0) {
		status_free(&status);
		taken = false;
	}
	for (; reading; reading = next) {
		next = reading->next;
		answer(reading, taken ? text_for(reading, &status, &problems) : NULL);
		snapshot_close(reading->snapshot);
		free(reading);
	}
	problems_free(&problems);
	if (taken)
		status_free(&status);
	return 0;
}

static void make_texts(struct control_base *control);

static void texts_done(struct job *job)
{
	struct control_base *control = control_of(job);

	LOCK_SCOPE(&control->texts.lock);
	control->texts.making = false;
	make_texts(control);
}

/* Under the lock: somebody waits. */
static void make_texts(struct control_base *control)
{
	struct control_texts *texts = &control->texts;

	if (texts->making || !texts->waiting)
		return;
	texts->making = true;
	texts->job = (struct job){ .run = texts_run, .done = texts_done, .lane = &control->status_lane };
	queue_submit(control->queue, &texts->job);
}

static void wait_for_text(const struct reading *now)
{
	struct control_base *control = now->snapshot->control;
	struct reading *reading = malloc(sizeof(*reading));

	if (!reading) {
		answer(now, NULL);
		snapshot_close(now->snapshot);
		return;
	}
	*reading = *now;
	LOCK_SCOPE(&control->texts.lock);
	reading->next = control->texts.waiting;
	control->texts.waiting = reading;
	make_texts(control);
}

void snapshot_read(struct snapshot *snapshot, fuse_req_t fuse, size_t size_bytes, off_t offset)
{
	struct reading now = {
		.snapshot = snapshot, .fuse = fuse, .size_bytes = size_bytes, .offset = (uint64_t)offset
	};
	struct content *content = NULL;

	atomic_fetch_add(&snapshot->references, 1);
	if (offset > 0)
		content = handle_content(&snapshot->handle);
	else if (snapshot->user != 0)
		content = shared(snapshot, queue_now_ns() - WAIT_STATUS_MOMENT_NS);
	if (!content) {
		wait_for_text(&now);
		return;
	}
	answer(&now, content);
	snapshot_close(snapshot);
}
