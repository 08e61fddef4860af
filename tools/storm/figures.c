/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/figures.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"

static const struct {
	const char *name, *key;
} times[TIMES] = {
	[TIME_ANSWER] = { "answer", "answer" },
	[TIME_FIRST_BYTE] = { "first byte", "first_byte" },
	[TIME_WHOLE] = { "whole file", "whole" },
	[TIME_BOOT] = { "boot", "boot" },
};

static const size_t shares_permille[] = { 500, 950, 990, 1000 };
#define SHARES (sizeof(shares_permille) / sizeof(shares_permille[0]))

/* What can be wrong: text, key, and where it is counted. */
static const struct {
	const char *text, *key;
	size_t offset;
} kinds[] = {
	{ "other bytes than the same file had before, or has", "differing",
	  offsetof(struct figures, differing) },
	{ "cut off before the end", "cut", offsetof(struct figures, cut) },
	{ "not found, and it is there", "missing", offsetof(struct figures, missing) },
	{ "served, and it is not there", "unexpected", offsetof(struct figures, unexpected) },
	{ "refused by another error than \"not found\"", "refused", offsetof(struct figures, refused) },
	{ "never answered", "silent", offsetof(struct figures, silent) },
	{ "no TFTP, or another length than tsize", "invalid", offsetof(struct figures, invalid) },
	{ "not asked: no socket, no memory", "local", offsetof(struct figures, local) },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

#define NAMED_MAX 20 /* on stderr; the rest is counted only */

static uint64_t kind_count(const struct figures *figures, size_t kind)
{
	return *(const uint64_t *)(const void *)((const char *)figures + kinds[kind].offset);
}

void figures_take(struct figures *figures, enum figures_time which, int64_t from_ns, int64_t to_ns)
{
	struct samples *samples = &figures->times[which];

	if (samples->count == samples->room) {
		size_t room = samples->room ? samples->room * 2 : 256;
		double *values = reallocarray(samples->values, room, sizeof(*values));

		if (!values) {
			samples->lost = true;
			return;
		}
		samples->values = values;
		samples->room = room;
	}
	samples->values[samples->count++] = (double)(to_ns - from_ns) / 1e3;
}

void figures_blame(struct figures *figures, uint64_t *count, const char *path, const char *why)
{
	uint64_t before = figures_wrong(figures);

	(*count)++;
	if (before > NAMED_MAX)
		return;
	fputs("tftp-storm: ", stderr);
	if (before < NAMED_MAX) {
		text_write_plain(stderr, path);
		fputs(": ", stderr);
		text_write_plain(stderr, why);
	} else {
		fputs("and more", stderr);
	}
	fputc('\n', stderr);
}

uint64_t figures_wrong(const struct figures *figures)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < KINDS; i++)
		sum += kind_count(figures, i);
	return sum;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted ones, by nearest rank; 0 of none. */
static double share_of(const struct samples *samples, size_t permille)
{
	return samples->count ? samples->values[(samples->count * permille + 999) / 1000 - 1] : 0;
}

static void sort(struct figures *figures)
{
	for (size_t i = 0; i < TIMES; i++)
		if (figures->times[i].count)
			qsort(figures->times[i].values, figures->times[i].count, sizeof(double), by_value);
}

static double mb_per_second(const struct figures *figures)
{
	return figures->seconds > 0 ? (double)figures->bytes / 1e6 / figures->seconds : 0;
}

static void print_times(const struct figures *figures, FILE *out)
{
	fprintf(out, "%-12s %11s %11s %11s %11s   ms\n", "", "50 %", "95 %", "99 %", "max");
	for (size_t i = 0; i < TIMES; i++) {
		if (figures->times[i].count == 0)
			continue;
		fprintf(out, "%-12s", times[i].name);
		for (size_t j = 0; j < SHARES; j++)
			fprintf(out, " %11.3f", share_of(&figures->times[i], shares_permille[j]) / 1e3);
		fprintf(out, "   of %zu%s\n", figures->times[i].count,
			figures->times[i].lost ? ", and some lost: no memory" : "");
	}
}

void figures_print(struct figures *figures, const struct figures_about *about, FILE *out)
{
	sort(figures);
	fprintf(out, "%zu board%s, %s, %zu round%s, from %s: %" PRIu64 " boot%s in %.2f s\n", about->boards,
		about->boards == 1 ? "" : "s", about->asks, about->rounds, about->rounds == 1 ? "" : "s",
		about->server, figures->boots, figures->boots == 1 ? "" : "s", figures->seconds);
	fprintf(out,
		"%" PRIu64 " requests: %" PRIu64 " files whole, %" PRIu64 " looked at, %" PRIu64
		" not there, %" PRIu64 " wrong\n",
		figures->requests, figures->whole, figures->probed, figures->absent, figures_wrong(figures));
	fprintf(out, "%.1f MB, %.1f MB/s; sent again: %" PRIu64 " by boards, %" PRIu64 " by the server\n",
		(double)figures->bytes / 1e6, mb_per_second(figures), figures->resent, figures->duplicates);
	print_times(figures, out);
	for (size_t i = 0; i < KINDS; i++)
		if (kind_count(figures, i))
			fprintf(out, "wrong: %" PRIu64 " %s\n", kind_count(figures, i), kinds[i].text);
}

static void print_times_json(const struct figures *figures, FILE *out)
{
	static const char *const keys[SHARES] = { "p50", "p95", "p99", "max" };

	fputs("  \"microseconds\": {", out);
	for (size_t i = 0; i < TIMES; i++) {
		fprintf(out, "%s\n    \"%s\": {\"count\": %zu", i ? "," : "", times[i].key,
			figures->times[i].count);
		for (size_t j = 0; j < SHARES; j++)
			fprintf(out, ", \"%s\": %.1f", keys[j],
				share_of(&figures->times[i], shares_permille[j]));
		fputc('}', out);
	}
	fputs("\n  },\n", out);
}

void figures_print_json(struct figures *figures, const struct figures_about *about, FILE *out)
{
	sort(figures);
	fputs("{\n  \"server\": ", out);
	text_write_json(out, about->server);
	fputs(",\n  \"asks\": ", out);
	text_write_json(out, about->asks);
	fputs(",\n  \"against\": ", out);
	text_write_json(out, about->against);
	fprintf(out, ",\n  \"boards\": %zu,\n  \"rounds\": %zu,\n  \"window_seconds\": %g,\n", about->boards,
		about->rounds, about->window_seconds);
	fprintf(out, "  \"seconds\": %.6f,\n  \"boots\": %" PRIu64 ",\n  \"requests\": %" PRIu64 ",\n",
		figures->seconds, figures->boots, figures->requests);
	fprintf(out, "  \"whole\": %" PRIu64 ",\n  \"probed\": %" PRIu64 ",\n  \"absent\": %" PRIu64 ",\n",
		figures->whole, figures->probed, figures->absent);
	fprintf(out, "  \"bytes\": %" PRIu64 ",\n  \"mb_per_second\": %.3f,\n", figures->bytes,
		mb_per_second(figures));
	fprintf(out, "  \"resent\": %" PRIu64 ",\n  \"duplicates\": %" PRIu64 ",\n", figures->resent,
		figures->duplicates);
	print_times_json(figures, out);
	fprintf(out, "  \"wrong\": {\"all\": %" PRIu64, figures_wrong(figures));
	for (size_t i = 0; i < KINDS; i++)
		fprintf(out, ", \"%s\": %" PRIu64, kinds[i].key, kind_count(figures, i));
	fputs("}\n}\n", out);
}

void figures_free(struct figures *figures)
{
	for (size_t i = 0; i < TIMES; i++)
		free(figures->times[i].values);
}
