/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * request_asked: requests as asked.h wants to hear of them, and the log's lines.
 *
 * At -v a line for each name that is not there, with --debug=files one for each file
 * that is opened; only so many of a board in a while.
 */
#include <stdio.h>
#include <string.h>

#include "fuse/process/log.h"
#include "fuse/request.h"

static struct asked_log *log_of_image(struct view_image *image)
{
	struct asked_log *log = atomic_load(&image->asked), *none = NULL;

	if (log)
		return log;
	log = asked_log_new();
	if (log && !atomic_compare_exchange_strong(&image->asked, &none, log)) {
		asked_log_free(log); /* somebody was faster */
		log = none;
	}
	return log;
}

static void say(const struct request *request, const char *board, const char *path, enum asked_outcome outcome)
{
	const struct view_image *image = request->inode->image;

	if (outcome == ASKED_OPENED)
		log_debug(LOG_DEBUG_FILES, "%s: %s%s%s: opened, version %llu", image->name, board, *board ? ": " : "",
			  path, (unsigned long long)request->inode->id);
	else if (outcome == ASKED_ABSENT)
		log_line(LOG_LEVEL_INFO, "%s: %s%s%s: asked for, and not there", image ? image->name : "/", board,
			 *board ? ": " : "", path);
}

static void note(const struct request *request, const char *path, enum asked_outcome outcome)
{
	struct view_image *image = request->inode->image;
	struct asked_board *board = asked_who(&request->fs->asked, request->caller, image);
	struct asked_log *log = board ? &board->log : log_of_image(image);

	if (log && asked_note(log, queue_now_ns(), path, outcome, outcome == ASKED_OPENED ? request->inode->id : 0))
		say(request, board ? board->name : "", path, outcome);
}

/* Of what a lookup asks for, as a path of the partition. */
static const char *path_of(const struct request *request, char *path, size_t size_bytes)
{
	const struct inode *parent = request->inode;

	if (!request->name)
		return parent->name ? parent->name : "?";
	if (parent->kind != INODE_DIR || !parent->name)
		return request->name;
	if (snprintf(path, size_bytes, "%s/%s", parent->name, request->name) >= (int)size_bytes)
		return request->name;
	return path;
}

void request_opened(const struct request *request)
{
	const struct inode *inode = request->inode;

	atomic_fetch_add_explicit(&inode->image->opened, 1, memory_order_relaxed);
	note(request, inode->name ? inode->name : "?", ASKED_OPENED);
}

void request_absent(const struct request *request)
{
	char path[1024];

	if (request->attempt != try_lookup)
		return;
	if (request->inode->image) {
		atomic_fetch_add_explicit(&request->inode->image->absent, 1, memory_order_relaxed);
		note(request, path_of(request, path, sizeof(path)), ASKED_ABSENT);
	} else if (request->name[0] != '.' &&
		   asked_note(&request->fs->asked.root, queue_now_ns(), request->name, ASKED_ABSENT, 0)) {
		say(request, "", request->name, ASKED_ABSENT);
	}
}

void request_failed(const struct request *request)
{
	char path[1024];

	if (request->attempt == try_lookup || request->attempt == try_open)
		note(request, path_of(request, path, sizeof(path)), ASKED_FAILED);
}
