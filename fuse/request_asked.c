/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_asked.h"

#include <string.h>

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

static void say(const struct view_image *image, const struct inode *inode, const char *board, const char *path,
		enum asked_outcome outcome)
{
	if (outcome == ASKED_OPENED)
		log_debug(LOG_DEBUG_FILES, "%s: %s%s%s: opened, version %llu", image->name, board, *board ? ": " : "",
			  path, (unsigned long long)inode->id);
	else if (outcome == ASKED_ABSENT)
		log_line(LOG_LEVEL_INFO, "%s: %s%s%s: asked for, and not there", image ? image->name : "/", board,
			 *board ? ": " : "", path);
}

static void note(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode,
		 const char *name, enum asked_outcome outcome)
{
	char buffer[1024];
	const char *path = request_path(inode, name, buffer, sizeof(buffer));
	struct asked_board *board = asked_who(asked, caller, image);
	struct asked_log *log = board ? &board->log : log_of_image(image);

	if (!path)
		path = "?";
	if (log && asked_note(log, queue_now_ns(), path, outcome, outcome == ASKED_OPENED ? inode->id : 0))
		say(image, inode, board ? board->name : "", path, outcome);
}

/* Put `name`, and a slash if something follows, in front of what is in `path` from `at` on; its end, if it is long. */
static size_t prepend(char *path, size_t at, const char *name)
{
	size_t length = strlen(name), left;

	if (path[at] != '\0')
		path[--at] = '/';
	left = length < at ? length : at;
	memcpy(path + at - left, name + length - left, left);
	return at - left;
}

const char *request_path(const struct inode *inode, const char *name, char *buffer, size_t size_bytes)
{
	size_t at = size_bytes - 1;

	buffer[at] = '\0';
	if (name)
		at = prepend(buffer, at, name);
	for (; inode && inode->name && inode->kind != INODE_IMAGE && at > 1; inode = inode->parent)
		at = prepend(buffer, at, inode->name);
	return buffer[at] != '\0' ? buffer + at : NULL;
}

void request_opened(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode)
{
	atomic_fetch_add_explicit(&image->opened, 1, memory_order_relaxed);
	note(asked, caller, image, inode, NULL, ASKED_OPENED);
}

void request_absent(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *parent,
		    const char *name)
{
	if (image) {
		atomic_fetch_add_explicit(&image->absent, 1, memory_order_relaxed);
		note(asked, caller, image, parent, name, ASKED_ABSENT);
	} else if (parent->kind == INODE_ROOT && name[0] != '.' && asked_note(&asked->root, queue_now_ns(), name, ASKED_ABSENT, 0)) {
		say(NULL, parent, "", name, ASKED_ABSENT);
	}
}

void request_failed(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode,
		    const char *name)
{
	note(asked, caller, image, inode, name, ASKED_FAILED);
}
