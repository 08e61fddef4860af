/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check, for people: what it is, then what is wrong with it, then the verdict. */
#include "tools/ctl_check.h"

#include <string.h>

#include "base/text.h"

enum colour { PLAIN, RED, YELLOW, GREEN, BOLD };

struct writer {
	FILE *out;
	bool colours;
};

static void begin(const struct writer *writer, enum colour colour)
{
	static const char *const codes[] = { "", "\033[31m", "\033[33m", "\033[32m", "\033[1m" };

	if (writer->colours)
		fputs(codes[colour], writer->out);
}

static void end(const struct writer *writer)
{
	if (writer->colours)
		fputs("\033[0m", writer->out);
}

static void write_key(const struct writer *writer, const char *key)
{
	begin(writer, BOLD);
	fprintf(writer->out, "%s:", key);
	end(writer);
	fprintf(writer->out, "%*s", (int)(17 - strlen(key)), "");
}

static void write_bytes(FILE *out, uint64_t bytes)
{
	text_write_size(out, bytes, " ");
}

/* ---- what it is ------------------------------------------------------------ */

static void write_autoboot(const struct writer *writer, const struct check *check)
{
	const struct part_choice *choice = &check->choice;
	FILE *out = writer->out;

	write_key(writer, "autoboot.txt");
	fprintf(out, "on partition %u: ", choice->autoboot);
	if (choice->named)
		fprintf(out, "boot_partition=%u", choice->named);
	else
		fputs("names no partition", out);
	if (choice->tryboot) {
		fprintf(out, "; tryboot: %u, which is ", choice->tryboot);
		text_write_plain(out, check->place.name);
		fprintf(out, ":%u", choice->tryboot);
	}
	fputc('\n', out);
}

static void write_table(const struct writer *writer, const struct check *check)
{
	static const char *const schemes[] = { "none, one FAT", "MBR", "GPT" };
	FILE *out = writer->out;

	write_key(writer, "partition table");
	fprintf(out, "%s, sectors of %u bytes\n", schemes[check->table->scheme], check->table->sector_bytes);
	for (size_t i = 0; i < check->table->count; i++) {
		const struct part_entry *entry = &check->table->entries[i];

		fprintf(out, "%*s%3u  ", 15, "", entry->number);
		write_bytes(out, entry->length_bytes);
		fputs(" at ", out);
		write_bytes(out, entry->offset_bytes);
		fprintf(out, "%s%s\n", entry->is_fat ? ", FAT" : "", entry == check->boot ? ", boot" : "");
	}
	write_key(writer, "boot partition");
	if (check->boot)
		fprintf(out, "%u (%s)\n", check->boot->number, check_boot_reason(check));
	else
		fputs(check->choice.named ? "not known\n" : "none\n", out);
	if (check->choice.autoboot)
		write_autoboot(writer, check);
}

static void write_volume(const struct writer *writer, const struct check *check)
{
	const struct fat_volume *volume = &check->volume;
	const struct fat_health *health = &check->health;
	FILE *out = writer->out;

	write_key(writer, "file system");
	fprintf(out, "FAT%d, sectors of %u bytes, %u clusters of %u bytes", (int)volume->type, volume->sector_bytes,
		volume->cluster_count, volume->cluster_bytes);
	if (volume->volume_id != 0)
		fprintf(out, ", id %04X-%04X", (unsigned)(volume->volume_id >> 16), (unsigned)(volume->volume_id & 0xffff));
	if (check->label[0])
		fprintf(out, ", label %s", check->label);
	fputc('\n', out);
	if (!check->has_health)
		return;
	write_key(writer, "clusters");
	fprintf(out, "%u free, %u used, %u bad, %u lost, %u crossed; %u files, %u directories\n", health->free_clusters,
		health->used_clusters, health->bad_clusters, health->lost_clusters, health->crossed_clusters, health->files,
		health->directories);
}

static const struct pi_want *want_of(const struct pi_boot *boot, const char *what)
{
	for (size_t i = 0; i < boot->count; i++)
		if (strcmp(boot->wants[i].what, what) == 0)
			return &boot->wants[i];
	return NULL;
}

static void write_board(const struct writer *writer, const struct check *check, const struct pi_boot *boot)
{
	static const char *const shown[] = { "firmware", "ramdisk", "kernel", "initramfs", "device tree" };
	bool asked = check->asked >> boot->model & 1;
	FILE *out = writer->out;

	write_key(writer, pi_model_name(boot->model));
	begin(writer, boot->ready ? GREEN : boot->meant || asked ? RED : PLAIN);
	fputs(boot->ready ? "ready" : boot->meant || asked ? "not ready" : "not for it", out);
	end(writer);
	for (size_t i = 0; (boot->meant || asked) && i < sizeof(shown) / sizeof(shown[0]); i++) {
		const struct pi_want *wanted = want_of(boot, shown[i]);

		if (!wanted)
			continue;
		fputs(", ", out);
		text_write_plain(out, wanted->path);
		fputs(!wanted->there ? " (absent)" : wanted->damaged ? " (damaged)" : "", out);
	}
	fputc('\n', out);
}

static void write_root(const struct writer *writer, const struct check *check)
{
	if (!check->has_cmdline)
		return;
	write_key(writer, "root");
	text_write_plain(writer->out, check->cmdline.by[0] ? check->cmdline.by : "not said");
	if (check->cmdline.root_text[0] && strncmp(check->cmdline.by, "root=", 5) != 0) {
		fputs(" root=", writer->out);
		text_write_plain(writer->out, check->cmdline.root_text);
	}
	fputs(" (", writer->out);
	text_write_plain(writer->out, check->cmdline_path);
	fputs(")\n", writer->out);
}

/* ---- all of it ------------------------------------------------------------- */

static void write_finding(const struct writer *writer, const struct finding *finding)
{
	bool problem = finding->level == FINDING_PROBLEM;

	begin(writer, problem ? RED : YELLOW);
	fputs(problem ? "problem" : "note", writer->out);
	end(writer);
	fprintf(writer->out, ": %s: ", finding->about);
	text_write_plain(writer->out, finding->text);
	fputc('\n', writer->out);
}

void check_write_text(FILE *out, const struct check *check, bool colours)
{
	const struct writer writer = { out, colours };

	write_key(&writer, "image");
	text_write_plain(out, check->place.path);
	fputs(", ", out);
	write_bytes(out, check->size_bytes);
	fputc('\n', out);
	if (check->table)
		write_table(&writer, check);
	if (check->has_volume)
		write_volume(&writer, check);
	for (unsigned model = 0; model < PI_MODELS && check->has_files; model++)
		if (!check->asked || check->asked >> model & 1)
			write_board(&writer, check, &check->boots[model]);
	write_root(&writer, check);
	for (size_t i = 0; i < check->finding_count; i++)
		write_finding(&writer, &check->findings[i]);
	begin(&writer, check->problem_count > 0 ? RED : GREEN);
	if (check->problem_count > 0)
		fprintf(out, "%zu problem%s", check->problem_count, check->problem_count > 1 ? "s" : "");
	else
		fputs("no problems", out);
	end(&writer);
	fputc('\n', out);
}
