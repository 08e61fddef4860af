/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/text.h"

#define SAID_BYTES_MAX 4096
/* A file of 4 GiB takes a tenth of it. */
#define CPU_SECONDS_MAX 60

extern char **environ;

static const char *const settings[] = { "LC_ALL=C.UTF-8", "TZ=UTC", "MTOOLS_SKIP_CHECK=1" };
#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

/* ---- environment ---------------------------------------------------------- */

static bool is_set_by_us(const char *variable)
{
	size_t name = strcspn(variable, "=") + 1;

	if (strncmp(variable, "MTOOLS", 6) == 0 || strncmp(variable, "PATH=", 5) == 0)
		return true;
	for (size_t i = 0; i < SETTING_COUNT; i++)
		if (strncmp(variable, settings[i], name) == 0)
			return true;
	return false;
}

/* An array for the caller to free; *path, which it refers to, as well. NULL: no memory. */
static char **environment_make(const char *mtoolsrc, char **path)
{
	const char *old = getenv("PATH");
	size_t count = 0, at = 0;
	char **made;

	while (environ[count])
		count++;
	made = calloc(count + SETTING_COUNT + 3, sizeof(*made));
	if (!made || asprintf(path, "PATH=%s:/usr/local/sbin:/usr/sbin:/sbin",
			      old && *old ? old : "/usr/bin:/bin") < 0) {
		free(made);
		*path = NULL;
		return NULL;
	}
	for (size_t i = 0; i < count; i++)
		if (!is_set_by_us(environ[i]))
			made[at++] = environ[i];
	for (size_t i = 0; i < SETTING_COUNT; i++)
		made[at++] = (char *)settings[i];
	made[at++] = (char *)mtoolsrc;
	made[at] = *path;
	return made;
}

/* The path of a program, for the caller to free: posix_spawnp searches by our PATH, which lacks sbin for
 * users. */
static char *program_find(const char *name, const char *path)
{
	CLEANUP_FREE char *copy = strdup(path + strlen("PATH="));
	char *rest = copy, *found = NULL;

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? strdup(name) : NULL;
	for (char *directory; copy && (directory = strsep(&rest, ":"));) {
		if (!*directory || asprintf(&found, "%s/%s", directory, name) < 0)
			continue;
		if (access(found, X_OK) == 0)
			return found;
		free(found);
	}
	return NULL;
}

/* ---- what it says --------------------------------------------------------- */

/* All that comes, of which the beginning is kept: the writer must not wait for us. NULL: nothing, or no
 * memory. */
static char *read_said(int fd)
{
	char *text = calloc(1, SAID_BYTES_MAX + 1), rest[512];
	size_t length = 0;
	ssize_t got;

	while ((got = text && length < SAID_BYTES_MAX ? read(fd, text + length, SAID_BYTES_MAX - length)
						      : read(fd, rest, sizeof(rest))) != 0) {
		if (got < 0 && errno != EINTR)
			break;
		if (got > 0 && text && length < SAID_BYTES_MAX)
			length += (size_t)got;
	}
	while (length > 0 && strchr(" \n", text[length - 1]))
		text[--length] = '\0';
	if (length == 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* As text_make_plain, but lines stay lines. */
static void make_plain_lines(char *text)
{
	for (char *next; text; text = next) {
		size_t length;

		next = strchr(text, '\n');
		if (next)
			*next = '\0';
		length = strlen(text);
		text_make_plain(text);
		if (next) {
			/* A shorter line is moved up to the next. */
			memmove(next - strlen(text), text, strlen(text));
			memset(text, ' ', length - strlen(text));
			*next++ = '\n';
		}
	}
}

/* ---- running -------------------------------------------------------------- */

static int spawn(const char *program, const char *const arguments[], char **environment, int input,
		 int output, int errors, pid_t *pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	int error;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	error = input == RUN_NOTHING ? posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
				     : posix_spawn_file_actions_adddup2(&actions, input, 0);
	if (error == 0)
		error = output == RUN_NOTHING
				? posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
				: posix_spawn_file_actions_adddup2(
					  &actions, output == RUN_WITH_ERRORS ? errors : output, 1);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, errors, 2);
	if (error == 0)
		error = posix_spawn(pid, program, &actions, &attributes, (char *const *)arguments,
				    environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -error;
}

/* mtools can spin for ever on names that it cannot write in its code page, and does not mind SIGTERM. */
static void limit(pid_t pid)
{
	const struct rlimit seconds = { CPU_SECONDS_MAX, CPU_SECONDS_MAX + 1 };

	prlimit(pid, RLIMIT_CPU, &seconds, NULL);
}

static int wait_for(pid_t pid, const char *name, int *status, char **said)
{
	int how;

	while (waitpid(pid, &how, 0) < 0)
		if (errno != EINTR)
			return -errno;
	*status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
	if (*status == 0)
		return 0;
	if (!*said &&
	    asprintf(said, WIFSIGNALED(how) ? "%s was ended by signal %d" : "%s failed with exit status %d",
		     name, WIFSIGNALED(how) ? WTERMSIG(how) : *status) < 0)
		*said = NULL;
	return -EIO;
}

static int start(const char *const arguments[], const char *mtoolsrc, const char *package, int input,
		 int output, int errors, pid_t *pid, char **said)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char **environment = environment_make(mtoolsrc, &path);
	CLEANUP_FREE char *program = environment ? program_find(arguments[0], path) : NULL;
	int error = !environment ? -ENOMEM : !program ? -ENOENT : 0;

	if (error == 0)
		error = spawn(program, arguments, environment, input, output, errors, pid);
	if (error == -ENOENT &&
	    asprintf(said, "%s is not installed: it is in Debian's package %s", arguments[0], package) < 0)
		*said = NULL;
	return error;
}

static int run(const char *const arguments[], const char *mtoolsrc, const char *package, int input,
	       int output, int *status, char **said)
{
	char *text = NULL;
	int pipes[2], error, code = 0;
	pid_t pid = -1;

	if (said)
		*said = NULL;
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return -errno;
	error = start(arguments, mtoolsrc, package, input, output, pipes[1], &pid, &text);
	close(pipes[1]);
	if (error == 0) {
		if (strcmp(package, "mtools") == 0)
			limit(pid);
		text = read_said(pipes[0]);
		error = wait_for(pid, arguments[0], &code, &text);
	}
	close(pipes[0]);
	if (text)
		make_plain_lines(text);
	if (status)
		*status = code;
	if (said)
		*said = STEAL_POINTER(text);
	free(text);
	return error;
}

int run_program(const char *const arguments[], const char *package, int input, int output, int *status,
		char **said)
{
	return run(arguments, "MTOOLSRC=/dev/null", package, input, output, status, said);
}

int run_mtools(const char *const arguments[], unsigned codepage, int input, char **said)
{
	/* Inherited, so a child finds it by its number. */
	CLEANUP_FD int fd = memfd_create("mtoolsrc", 0);
	char setting[64];

	if (said)
		*said = NULL;
	if (fd < 0 || dprintf(fd, "default_codepage=%u\n", codepage) < 0)
		return -errno;
	snprintf(setting, sizeof(setting), "MTOOLSRC=/proc/self/fd/%d", fd);
	return run(arguments, setting, "mtools", input, RUN_NOTHING, NULL, said);
}
