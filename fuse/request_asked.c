/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_asked.h"

#include <stdio.h>

#include "fuse/process/log.h"
#include "fuse/process/queue.h"

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

static void say(const struct inode *inode, const char *board, const char *path, enum asked_outcome outcome)
{
	const struct view_image *image = inode->image;

	if (outcome == ASKED_OPENED)
		log_debug(LOG_DEBUG_FILES, "%s: %s%s%s: opened, version %llu", image->name, board, *board ? ": " : "",
			  path, (unsigned long long)inode->id);
	else if (outcome == ASKED_ABSENT)
		log_line(LOG_LEVEL_INFO, "%s: %s%s%s: asked for, and not there", image ? image->name : "/", board,
			 *board ? ": " : "", path);
}

static void note(struct asked *asked, pid_t caller, const struct inode *inode, const char *name,
		 enum asked_outcome outcome)
{
	char buffer[1024];
	const char *path = request_path(inode, name, buffer, sizeof(buffer));
	struct asked_board *board = asked_who(asked, caller, inode->image);
	struct asked_log *log = board ? &board->log : log_of_image(inode->image);

	if (!path)
		path = "?";
	if (log && asked_note(log, queue_now_ns(), path, outcome, outcome == ASKED_OPENED ? inode->id : 0))
		say(inode, board ? board->name : "", path, outcome);
}

const char *request_path(const struct inode *inode, const char *name, char *buffer, size_t size_bytes)
{
	if (!name)
		return inode->name;
	if (inode->kind != INODE_DIR || !inode->name ||
	    snprintf(buffer, size_bytes, "%s/%s", inode->name, name) >= (int)size_bytes)
		return name;
	return buffer;
}

void request_opened(struct asked *asked, pid_t caller, const struct inode *inode)
{
	atomic_fetch_add_explicit(&inode->image->opened, 1, memory_order_relaxed);
	note(asked, caller, inode, NULL, ASKED_OPENED);
}

void request_absent(struct asked *asked, pid_t caller, const struct inode *parent, const char *name)
{
	if (parent->image) {
		atomic_fetch_add_explicit(&parent->image->absent, 1, memory_order_relaxed);
		note(asked, caller, parent, name, ASKED_ABSENT);
	} else if (name[0] != '.' && asked_note(&asked->root, queue_now_ns(), name, ASKED_ABSENT, 0)) {
		say(parent, "", name, ASKED_ABSENT);
	}
}

void request_failed(struct asked *asked, pid_t caller, const struct inode *inode, const char *name)
{
	note(asked, caller, inode, name, ASKED_FAILED);
}
