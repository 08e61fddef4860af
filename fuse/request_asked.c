/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuse/request_asked.h"

#include <string.h>

#include "fuse/names/links.h"
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

/* Who asks, and what of it: the entry of what is shown live. */
static void begin(struct asked *asked, pid_t caller, enum asked_outcome outcome, struct recent_request *request)
{
	*request = (struct recent_request){ .when_ns = queue_now_ns(), .outcome = outcome };
	program_of(&asked->programs, caller, request->when_ns, request->program);
}

/* Of a path the end says more, of a name the beginning. */
static void keep_end(char text[ASKED_NAME_BYTES], const char *path)
{
	size_t length = strlen(path);

	strcpy(text, length < ASKED_NAME_BYTES ? path : path + length - (ASKED_NAME_BYTES - 1));
}

static void keep(char text[ASKED_NAME_BYTES], const char *name, size_t length)
{
	if (length >= ASKED_NAME_BYTES)
		length = ASKED_NAME_BYTES - 1;
	memcpy(text, name, length);
	text[length] = '\0';
}

static void note(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode,
		 const char *name, enum asked_outcome outcome)
{
	char buffer[1024];
	const char *path = request_path(inode, name, buffer, sizeof(buffer));
	struct asked_board *through = asked_who(asked, caller, image), *board = through;
	struct recent_request request;
	struct asked_log *log;

	begin(asked, caller, outcome, &request);
	if (program_is_of_people(request.program))
		board = NULL;
	log = board ? &board->log : log_of_image(image);
	if (!path)
		path = "?";
	request.version = outcome == ASKED_OPENED ? inode->id : 0;
	keep_end(request.name, path);
	keep(request.image, image->name, view_shown_length(image->name));
	keep(request.board, board ? board->name : "", board ? strlen(board->name) : 0);
	recent_note(&asked->recent, &request);
	if (log && asked_note(log, request.when_ns, path, outcome, request.version))
		say(image, inode, through ? through->name : "", path, outcome);
}

/* No image and no link has that name: of a board whose link led there, or of one that has none. */
static void note_in_root(struct asked *asked, pid_t caller, const struct inode *root, const char *name)
{
	struct asked_board *board = asked_astray(asked, caller, name);
	struct recent_request request;
	struct asked_log *log = board ? &board->log : &asked->root;

	begin(asked, caller, ASKED_ABSENT, &request);
	if (program_is_of_people(request.program)) {
		log = &asked->people;
		board = NULL;
	}
	keep(request.name, name, strlen(name));
	keep(request.board, board ? board->name : "", board ? strlen(board->name) : 0);
	recent_note(&asked->recent, &request);
	if (asked_note(log, request.when_ns, name, ASKED_ABSENT, 0))
		say(NULL, root, board ? board->name : "", name, ASKED_ABSENT);
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
	} else if (parent->kind == INODE_ROOT && name[0] != '.') {
		note_in_root(asked, caller, parent, name);
	}
}

void request_failed(struct asked *asked, pid_t caller, struct view_image *image, const struct inode *inode,
		    const char *name)
{
	note(asked, caller, image, inode, name, ASKED_FAILED);
}
