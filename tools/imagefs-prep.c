/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * imagefs-prep: the one tool that makes images, offline and on request. See tools/prep.h.
 */
#include "tools/prep.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"

/* ---- saying --------------------------------------------------------------- */

__attribute__((format(printf, 3, 0))) static void write_line(FILE *out, const char *before,
							     const char *format, va_list list)
{
	CLEANUP_FREE char *text = NULL;

	if (vasprintf(&text, format, list) < 0) {
		text = NULL;
		return;
	}
	fputs(before, out);
	text_write_plain(out, text);
	fputc('\n', out);
	fflush(out);
}

void prep_say(const struct prep_options *options, const char *format, ...)
{
	va_list list;

	if (options->quiet)
		return;
	va_start(list, format);
	write_line(stdout, "", format, list);
	va_end(list);
}

void prep_note(const struct prep_options *options, const char *format, ...)
{
	va_list list;

	if (options->quiet)
		return;
	va_start(list, format);
	write_line(stderr, "imagefs-prep: ", format, list);
	va_end(list);
}

int prep_fail(const char *what, const char *why)
{
	fputs("imagefs-prep: ", stderr);
	if (what && *what) {
		text_write_plain(stderr, what);
		fputs(": ", stderr);
	}
	text_write_plain(stderr, why);
	fputc('\n', stderr);
	return PREP_FAILED;
}

/* ---- interrupted ---------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

/* No SA_RESTART: a read that waits for a pipe ends. */
static void listen_to_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_signal };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	/* Larger than the process may write: an error like a full disk. */
	signal(SIGXFSZ, SIG_IGN);
	/* Nobody may read what is printed: no reason to leave anything half done. */
	signal(SIGPIPE, SIG_IGN);
}

/* As if it had not been caught, now that nothing is left behind. */
static void end_by_signal(void)
{
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

/* ---- the steps ------------------------------------------------------------ */

static int run(const struct prep_options *options)
{
	struct prep prep = {
		.options = options, .template_fd = -1, .instance = { .fd = -1 }, .interrupted = &interrupted
	};
	int result = prep_image_find(&prep);

	if (result == PREP_OK)
		result = prep_boot_check(&prep);
	if (result == PREP_OK)
		result = prep_board_check(&prep);
	if (result == PREP_OK)
		result = prep_image_make(&prep);
	if (result == PREP_OK)
		result = prep_boot_change(&prep);
	if (result == PREP_OK)
		result = prep_image_publish(&prep);
	/* From here on the image is there. */
	if (result == PREP_OK)
		result = prep_board_link(&prep);
	prep_image_end(&prep);
	return result;
}

int main(int argc, char **argv)
{
	struct prep_options options;
	bool done;
	int result = prep_options_read(&options, argc, argv, &done);

	if (result == PREP_OK && !done) {
		listen_to_signals();
		result = run(&options);
	}
	prep_options_free(&options);
	if (interrupted && result != PREP_OK)
		end_by_signal();
	if ((fflush(stdout) != 0 || ferror(stdout)) && result == PREP_OK)
		result = prep_fail("standard output", strerror(errno));
	return result;
}
