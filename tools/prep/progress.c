/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/prep/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

#define NS_PER_S INT64_C(1000000000)
#define STEP_NS (NS_PER_S / 5)
#define BAR_MAX 40

static unsigned columns(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_begin(struct progress *progress, bool wanted, const char *what, uint64_t total)
{
	const char *slash = strrchr(what, '/');

	*progress = (struct progress){ .shown = wanted && isatty(STDERR_FILENO),
				       .what = slash && slash[1] ? slash + 1 : what,
				       .total = total,
				       .begun_ns = clock_now_ns(CLOCK_MONOTONIC) };
}

static void write_time(FILE *out, uint64_t seconds)
{
	if (seconds >= 3600)
		fprintf(out, "%llu:%02llu:%02llu", (unsigned long long)(seconds / 3600),
			(unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
	else
		fprintf(out, "%llu:%02llu", (unsigned long long)(seconds / 60),
			(unsigned long long)(seconds % 60));
}

/* "1.2GiB  85MiB/s  0:12 left" */
static void write_figures(FILE *out, const struct progress *progress, uint64_t in, uint64_t bytes,
			  int64_t now)
{
	double seconds = (double)(now - progress->begun_ns) / NS_PER_S;

	text_write_size(out, bytes, "");
	fputs("  ", out);
	text_write_size(out, (uint64_t)((double)bytes / seconds), "");
	fputs("/s", out);
	if (progress->total == 0 || in == 0)
		return;
	fputs("  ", out);
	write_time(out, (uint64_t)(seconds * (double)(progress->total - in) / (double)in + 0.5));
	fputs(" left", out);
}

static void write_bar(unsigned width, unsigned percent)
{
	unsigned full = width * percent / 100;

	fputc('[', stderr);
	for (unsigned i = 0; i < width; i++)
		fputc(i < full ? '=' : i == full ? '>' : ' ', stderr);
	fputs("]  ", stderr);
}

void progress_move(struct progress *progress, uint64_t in, uint64_t out)
{
	CLEANUP_FREE char *figures = NULL;
	size_t length, name = strlen(progress->what), used;
	int64_t now;
	FILE *text;

	if (!progress->shown || (now = clock_now_ns(CLOCK_MONOTONIC)) - progress->last_ns < STEP_NS ||
	    now == progress->begun_ns)
		return;
	progress->last_ns = now;
	text = open_memstream(&figures, &length);
	if (!text)
		return;
	in = min_u64(in, progress->total);
	write_figures(text, progress, in, out, now);
	fclose(text);
	fputs("\r\033[K", stderr);
	used = name + length + 16; /* of which 16: percent, brackets, spaces */
	if (name + length + 4 < columns()) {
		text_write_plain(stderr, progress->what);
		fputs("  ", stderr);
	} else {
		used -= name + 2;
	}
	if (progress->total > 0) {
		unsigned percent = (unsigned)((double)in * 100 / (double)progress->total);

		fprintf(stderr, "%3u %%  ", percent);
		if (used + 4 < columns())
			write_bar((unsigned)min_u64(BAR_MAX, columns() - used), percent);
	}
	fputs(figures, stderr);
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->shown && progress->last_ns != 0)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
