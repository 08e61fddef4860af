/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: what a running imagefs says of itself, out of its control files: for people
 * as it is, and of status.json the problems alone, and requests as they come.
 *
 * status.json has one problem, one request and one image a line. It is read as that.
 */
#include "tools/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fold.h"
#include "base/text.h"
#include "tools/ctl_json.h"

/* ---- lines of status.json --------------------------------------------------- */

static FILE *open_json(const char *control)
{
	CLEANUP_FREE char *path = NULL;
	FILE *file;

	if (asprintf(&path, "%s/status.json", control) < 0)
		path = NULL;
	file = path ? fopen(path, "re") : NULL;
	if (!file)
		ctl_fail(path ? path : control, path ? strerror(errno) : strerror(ENOMEM));
	return file;
}

/* The lines of the list `key`, one after the other: *line is freed by the caller. False: there are no more. */
struct json_lines {
	FILE *file;
	char *line;
	size_t size;
	bool inside;
};

static bool next_line(struct json_lines *lines, const char *key)
{
	while (getline(&lines->line, &lines->size, lines->file) > 0) {
		if (lines->inside)
			return strncmp(lines->line, "    {", 5) == 0;
		lines->inside = strncmp(lines->line, "  \"", 3) == 0 && strncmp(lines->line + 3, key, strlen(key)) == 0 &&
				strcmp(lines->line + 3 + strlen(key), "\": [\n") == 0;
	}
	return false;
}

/* False: it broke off, and that was said. */
static bool end_lines(struct json_lines *lines, const char *control)
{
	bool failed = ferror(lines->file) || !lines->inside;

	fclose(lines->file);
	free(lines->line);
	if (failed)
		ctl_fail(control, "status.json cannot be read");
	return !failed;
}

static int print_json_of(const char *control, const char *image)
{
	CLEANUP_FREE char *token = json_of(image), *line = NULL;
	size_t size = 0;
	FILE *file;
	bool found = false;

	if (!token)
		return ctl_fail(image, strerror(ENOMEM));
	file = open_json(control);
	if (!file)
		return FAILED;
	while (!found && getline(&line, &size, file) > 0) {
		found = json_line_is_of(line, token);
		if (!found)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (line[strlen(line) - 1] == ',')
			line[strlen(line) - 1] = '\0';
		puts(line + 4);
	}
	fclose(file);
	return found ? OK : ctl_fail(image, "no such image or board");
}

/* ---- problems --------------------------------------------------------------- */

char *control_problem_of(const char *control, const char *name)
{
	struct json_lines lines = { .file = open_json(control) };
	char *text = NULL;

	if (!lines.file)
		return NULL;
	while (!text && next_line(&lines, "problems")) {
		CLEANUP_FREE char *of = json_text_of(lines.line, "name");

		if (of && strcmp(of, name) == 0)
			text = json_text_of(lines.line, "text");
	}
	fclose(lines.file);
	free(lines.line);
	if (text)
		text_make_plain(text);
	return text;
}

static bool print_problem(const char *line)
{
	CLEANUP_FREE char *name = json_text_of(line, "name"), *text = json_text_of(line, "text"), *whole = NULL;

	if (!name || !text || asprintf(&whole, "%s: %s", name, text) < 0)
		return false;
	text_make_plain(whole);
	fold_line(stdout, whole, strlen(whole));
	return true;
}

static int print_problems(const char *control)
{
	struct json_lines lines = { .file = open_json(control) };
	bool any = false, failed = false;

	if (!lines.file)
		return USAGE;
	while (!failed && next_line(&lines, "problems")) {
		any = true;
		failed = !print_problem(lines.line);
	}
	if (!end_lines(&lines, control))
		return USAGE;
	if (failed) {
		ctl_fail(control, strerror(ENOMEM));
		return USAGE;
	}
	return any ? FAILED : OK;
}

/* ---- requests as they come ---------------------------------------------------- */

/* So many that were there before; and so long from one look to the next, or so many times what one took. */
#define FOLLOW_BEFORE 10
#define FOLLOW_NS (250 * INT64_C(1000000))
#define FOLLOW_SHARE 4

struct request {
	uint64_t sequence;
	time_t when;
	char *board, *image, *file, *result, *program; /* board, image and program may be NULL */
};

struct requests {
	struct request *list;
	size_t count, room;
};

static void free_requests(struct requests *requests)
{
	for (size_t i = 0; i < requests->count; i++) {
		struct request *request = &requests->list[i];

		free(request->board);
		free(request->image);
		free(request->file);
		free(request->result);
		free(request->program);
	}
	free(requests->list);
}

static bool add_request(struct requests *requests, const char *line)
{
	struct request *request;

	if (requests->count == requests->room) {
		size_t room = requests->room ? requests->room * 2 : 64;
		void *grown = reallocarray(requests->list, room, sizeof(*requests->list));

		if (!grown)
			return false;
		requests->list = grown;
		requests->room = room;
	}
	request = &requests->list[requests->count++];
	*request = (struct request){
		.sequence = (uint64_t)json_number_of(line, "sequence"),
		.when = (time_t)((double)time(NULL) - json_number_of(line, "age_seconds")),
		.board = json_text_of(line, "board"),
		.image = json_text_of(line, "image"),
		.file = json_text_of(line, "file"),
		.result = json_text_of(line, "result"),
		.program = json_text_of(line, "program"),
	};
	return request->file && request->result;
}

static int read_requests(const char *control, struct requests *requests)
{
	struct json_lines lines = { .file = open_json(control) };
	bool failed = false;

	if (!lines.file)
		return FAILED;
	while (!failed && next_line(&lines, "requests"))
		failed = !add_request(requests, lines.line);
	if (!end_lines(&lines, control))
		return FAILED;
	return failed ? ctl_fail(control, strerror(ENOMEM)) : OK;
}

/* Of that board or image; also of a name that is neither. */
static bool is_about(const struct request *request, const char *name)
{
	return !name || (request->board && strcmp(request->board, name) == 0) ||
	       (request->image ? strcmp(request->image, name) == 0 : strcmp(request->file, name) == 0);
}

static void print_request(const struct request *request)
{
	char when[16] = "";
	struct tm broken;

	if (localtime_r(&request->when, &broken))
		strftime(when, sizeof(when), "%H:%M:%S ", &broken);
	fputs(when, stdout);
	if (request->board) {
		text_write_plain(stdout, request->board);
		fputs(request->image ? " (" : ": leads to ", stdout);
	}
	text_write_plain(stdout, request->image ? request->image : request->file);
	fputs(request->board && request->image ? "): " : ": ", stdout);
	if (request->image) {
		text_write_plain(stdout, request->file);
		printf(": %s", request->result);
	} else {
		fputs("no image and no link", stdout);
	}
	if (request->program) {
		fputs(" [", stdout);
		text_write_plain(stdout, request->program);
		fputc(']', stdout);
	}
	fputc('\n', stdout);
}

/* What was not seen yet; `*seen`: the last that was. At first the last few that are there. */
static void print_new(const struct requests *requests, const char *name, bool first, uint64_t *seen)
{
	uint64_t last = requests->count > 0 ? requests->list[requests->count - 1].sequence : 0;
	size_t about = 0, skipped = 0;

	if (last < *seen)
		*seen = 0; /* another daemon */
	for (size_t i = 0; i < requests->count; i++)
		about += first && is_about(&requests->list[i], name);
	if (!first && requests->count > 0 && requests->list[0].sequence > *seen + 1)
		printf("(%llu requests went by unseen)\n", (unsigned long long)(requests->list[0].sequence - *seen - 1));
	for (size_t i = 0; i < requests->count; i++) {
		if (requests->list[i].sequence <= *seen || !is_about(&requests->list[i], name))
			continue;
		if (!first || skipped++ + FOLLOW_BEFORE >= about)
			print_request(&requests->list[i]);
	}
	if (last > 0)
		*seen = last;
}

/*
 * Looks at status.json again and again. What one look costs the daemon is the more the more images
 * there are; so it is given three times as long without one.
 */
static int follow(const char *control, const char *name)
{
	uint64_t seen = 0;

	for (bool first = true;; first = false) {
		struct requests requests = { 0 };
		int64_t start_ns = clock_now_ns(CLOCK_MONOTONIC), wait_ns;
		struct timespec wait;
		int result = read_requests(control, &requests);

		if (result == OK)
			print_new(&requests, name, first, &seen);
		free_requests(&requests);
		if (result != OK)
			return result;
		if (fflush(stdout) != 0)
			return ctl_fail("standard output", strerror(errno));
		wait_ns = (clock_now_ns(CLOCK_MONOTONIC) - start_ns) * (FOLLOW_SHARE - 1);
		wait = clock_timespec(wait_ns > FOLLOW_NS ? wait_ns : FOLLOW_NS);
		nanosleep(&wait, NULL);
	}
}

/* ---- the command ------------------------------------------------------------ */

/* One that it knows, or "": the rest are names. */
static const char *option_of(const char *argument)
{
	static const char *const options[] = { "--json", "--problems", "--follow" };

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strcmp(argument, options[i]) == 0)
			return options[i];
	return "";
}

int command_status(const char *control, int count, char **arguments)
{
	const char *option = count > 0 ? option_of(arguments[0]) : "";
	const char *name = count > (*option != '\0') ? arguments[*option != '\0'] : NULL;

	if (strcmp(option, "--problems") == 0)
		return name ? ctl_misused(name, "--problems are those of all") : print_problems(control);
	if (strcmp(option, "--follow") == 0)
		return follow(control, name);
	if (!name)
		return control_print_file(control, *option ? "status.json" : "status");
	if (*option)
		return print_json_of(control, name);
	CLEANUP_FD int fd = control_open_image(control, name, O_RDONLY);

	return fd < 0 ? FAILED : control_copy_to_stdout(fd, name);
}
