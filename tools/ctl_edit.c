/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * edit: a file of an image in an editor.
 *
 * The image is free while the editor runs, which may be for hours. What comes out of it is written if the
 * file in the image is then what went in; if not, or if writing fails, the edited text is kept, and it is
 * said where.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tools/ctl.h"
#include "tools/ctl_change.h"
#include "tools/prep/copy.h"
#include "tools/prep/file_source.h"

#define WORDS_MAX 32

struct edited {
	const struct place *place;
	char *directory, *file; /* owned: temporary, named as the file is, for the editor to know its kind */
	char *old, *new;	/* owned */
	size_t old_bytes, new_bytes;
	bool is_new;
};

/* ---- the text ------------------------------------------------------------- */

/* As the image has it now. */
static int get(const char *control, const struct place *place, const struct change_options *options,
	       char **text, size_t *length, bool *is_new)
{
	struct change *change;
	int error, result = change_open(control, place, options, &change);

	if (result != OK)
		return result;
	error = change_get(change, place->path, text, length);
	*is_new = error == -ENOENT;
	if (*is_new) {
		*text = calloc(1, 1);
		*length = 0;
	} else if (error != 0) {
		result = ctl_fail("", change_problem(change));
	}
	change_end(change);
	return result;
}

static int write_file(const struct edited *edited)
{
	CLEANUP_FD int fd = open(edited->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int error = fd < 0 ? -errno : file_write_all(fd, 0, edited->old, edited->old_bytes);

	return error == 0 ? OK : ctl_fail(edited->file, strerror(-error));
}

/* Editors may have put another file in its place. */
static int read_file(struct edited *edited)
{
	CLEANUP_FD int fd = open(edited->file, O_RDONLY | O_CLOEXEC);
	struct stat st;
	int error;

	if (fd < 0 || fstat(fd, &st) != 0)
		return ctl_fail(edited->file, strerror(errno));
	edited->new_bytes = (size_t)st.st_size;
	edited->new = malloc(edited->new_bytes + 1);
	error = edited->new ? file_read_all(fd, 0, edited->new, edited->new_bytes) : -ENOMEM;
	return error == 0 ? OK : ctl_fail(edited->file, strerror(-error));
}

static bool is_changed(const struct edited *edited)
{
	return edited->new && (edited->new_bytes != edited->old_bytes ||
			       memcmp(edited->new, edited->old, edited->old_bytes) != 0);
}

/* ---- the editor ----------------------------------------------------------- */

/* It may have arguments ("code --wait"): blanks part them, no shell does. */
static void split(char *command, const char *words[WORDS_MAX], const char *file)
{
	size_t count = 0;
	char *rest = command;

	for (char *word; count < WORDS_MAX - 2 && (word = strsep(&rest, " \t"));)
		if (*word)
			words[count++] = word;
	words[count++] = file;
	words[count] = NULL;
}

static void run_editor(const char *file)
{
	const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR"), *words[WORDS_MAX];
	const char *chosen = visual && *visual ? visual : editor && *editor ? editor : NULL;
	char *command = chosen ? strdup(chosen) : NULL;

	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	if (command) {
		split(command, words, file);
		execvp(words[0], (char *const *)words);
		ctl_fail(words[0], strerror(errno));
		_exit(127);
	}
	execlp("sensible-editor", "sensible-editor", file, (char *)NULL);
	execlp("vi", "vi", file, (char *)NULL);
	ctl_fail("edit", "no editor: set VISUAL or EDITOR");
	_exit(127);
}

/* Interrupts from the terminal are the editor's. OK: it ended with status 0. */
static int wait_for_editor(const char *file)
{
	void (*interrupt)(int) = signal(SIGINT, SIG_IGN), (*quit)(int) = signal(SIGQUIT, SIG_IGN);
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		run_editor(file);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	signal(SIGINT, interrupt);
	signal(SIGQUIT, quit);
	if (pid < 0)
		return ctl_fail("edit", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	return ctl_fail("edit", "the editor failed: nothing was changed");
}

/* ---- the command ---------------------------------------------------------- */

static int make_directory(struct edited *edited)
{
	CLEANUP_FREE char *name = place_last_name(edited->place->path);

	if (asprintf(&edited->directory, "%s/imagefs-edit-XXXXXX", temporary_directory()) < 0)
		edited->directory = NULL;
	if (!edited->directory || !name)
		return ctl_fail("edit", strerror(ENOMEM));
	if (!mkdtemp(edited->directory)) {
		int result = ctl_fail(edited->directory, strerror(errno));

		free(STEAL_POINTER(edited->directory));
		return result;
	}
	edited->file = path_join(edited->directory, name);
	return edited->file ? OK : ctl_fail("edit", strerror(ENOMEM));
}

static int put(const char *control, const struct edited *edited, const struct change_options *options)
{
	CLEANUP_FREE char *now = NULL;
	size_t now_bytes = 0;
	struct change *change;
	int error, result = change_open(control, edited->place, options, &change);

	if (result != OK)
		return result;
	error = change_get(change, edited->place->path, &now, &now_bytes);
	if (error == -ENOENT && edited->is_new)
		error = 0;
	else if (error == 0 && (edited->is_new || now_bytes != edited->old_bytes ||
				memcmp(now, edited->old, now_bytes) != 0)) {
		change_end(change);
		return ctl_fail(edited->place->path, "was changed by somebody else meanwhile");
	}
	if (error == 0)
		error = change_put_text(change, edited->place->path, edited->new, edited->new_bytes);
	return change_finish(change, error);
}

/* What nobody else has is kept. */
static void tidy(struct edited *edited, bool keep)
{
	if (keep && edited->file)
		ctl_fail(edited->file, "what was edited is kept here");
	if (!keep && edited->file)
		unlink(edited->file);
	if (!keep && edited->directory)
		rmdir(edited->directory); /* stays if the editor left something in it */
	free(edited->directory);
	free(edited->file);
	free(edited->old);
	free(edited->new);
}

static int edit(const char *control, const struct place *place, const struct change_options *options)
{
	struct edited edited = { .place = place };
	int result = get(control, place, options, &edited.old, &edited.old_bytes, &edited.is_new);

	if (result == OK)
		result = edited.old ? make_directory(&edited) : ctl_fail("edit", strerror(ENOMEM));
	if (result == OK)
		result = write_file(&edited);
	if (result == OK) {
		result = wait_for_editor(edited.file);
		if (read_file(&edited) == OK && result == OK && is_changed(&edited))
			result = put(control, &edited, options);
	}
	tidy(&edited, result != OK && is_changed(&edited));
	return result;
}

int command_edit(const char *control, int count, char **arguments)
{
	struct change_options options;
	struct places places;
	int result = change_arguments_read("edit", "", count, arguments, &options, &places);

	if (result == OK && places.count != 1)
		result = ctl_misused("edit", places.count == 0 ? "which file?" : "one file at a time");
	if (result == OK)
		result = places_in_one_image(&places);
	if (result == OK && place_is_directory(&places.list[0]))
		result = ctl_misused("edit", "which file of it?");
	if (result == OK)
		result = edit(control, &places.list[0], &options);
	places_free(&places);
	return result;
}
