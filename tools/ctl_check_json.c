/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check --json: the same for programs. Members are only ever added. */
#include "tools/ctl_check.h"

#include <inttypes.h>

#include "base/text.h"

static const char *boolean(bool value)
{
	return value ? "true" : "false";
}

static void write_text_or_null(FILE *out, const char *text)
{
	if (text && *text)
		text_write_json(out, text);
	else
		fputs("null", out);
}

static void write_number(FILE *out, unsigned number)
{
	if (number)
		fprintf(out, "%u", number);
	else
		fputs("null", out);
}

static void write_autoboot(FILE *out, const struct part_choice *choice)
{
	fputs("  \"autoboot\": ", out);
	if (!choice->autoboot) {
		fputs("null,\n", out);
		return;
	}
	fprintf(out, "{\"on\": %u, \"boot_partition\": ", choice->autoboot);
	write_number(out, choice->named);
	fputs(", \"tryboot\": ", out);
	write_number(out, choice->tryboot);
	fputs("},\n", out);
}

static void write_table(FILE *out, const struct check *check)
{
	if (!check->table) {
		fputs("  \"table\": null,\n  \"boot\": null,\n  \"autoboot\": null,\n", out);
		return;
	}
	fprintf(out, "  \"table\": {\"scheme\": \"%s\", \"sector_bytes\": %u, \"partitions\": [", check_scheme(check),
		check->table->sector_bytes);
	for (size_t i = 0; i < check->table->count; i++) {
		const struct part_entry *entry = &check->table->entries[i];

		fprintf(out, "%s\n    {\"number\": %u, \"offset_bytes\": %" PRIu64 ", \"length_bytes\": %" PRIu64 ", \"fat\": %s}",
			i > 0 ? "," : "", entry->number, entry->offset_bytes, entry->length_bytes, boolean(entry->is_fat));
	}
	fputs("]},\n  \"boot\": ", out);
	if (check->boot)
		fprintf(out, "{\"number\": %u, \"reason\": \"%s\"},\n", check->boot->number, check_boot_reason(check));
	else
		fputs("null,\n", out);
	write_autoboot(out, &check->choice);
}

static void write_volume(FILE *out, const struct check *check)
{
	const struct fat_volume *volume = &check->volume;
	const struct fat_health *health = &check->health;
	char id[16] = "";

	if (!check->has_volume) {
		fputs("  \"fat\": null,\n", out);
		return;
	}
	fprintf(out,
		"  \"fat\": {\"bits\": %d, \"sector_bytes\": %u, \"cluster_bytes\": %u, \"clusters\": %u, \"id\": ",
		(int)volume->type, volume->sector_bytes, volume->cluster_bytes, volume->cluster_count);
	if (volume->volume_id != 0)
		snprintf(id, sizeof(id), "%04X-%04X", (unsigned)(volume->volume_id >> 16), (unsigned)(volume->volume_id & 0xffff));
	write_text_or_null(out, id);
	fputs(", \"label\": ", out);
	write_text_or_null(out, check->label);
	fputs(", \"boot_sector_label\": ", out);
	write_text_or_null(out, volume->label);
	fprintf(out, ", \"dirty\": %s", boolean(volume->dirty || health->dirty));
	if (check->has_health)
		fprintf(out,
			", \"errors\": %s, \"free\": %u, \"used\": %u, \"bad\": %u, \"lost\": %u, \"lost_chains\": %u, \"crossed\": %u, "
			"\"broken_files\": %u, \"files\": %u, \"directories\": %u, \"complete\": %s",
			boolean(health->errors), health->free_clusters, health->used_clusters, health->bad_clusters, health->lost_clusters,
			health->lost_chains, health->crossed_clusters, health->flaws, health->files, health->directories,
			boolean(health->complete));
	fputs("},\n", out);
}

static void write_want(FILE *out, const struct check *check, const struct pi_want *wanted)
{
	fprintf(out, "\n      {\"what\": \"%s\", \"path\": ", wanted->what);
	text_write_json(out, wanted->path);
	fprintf(out, ", \"there\": %s, \"damaged\": %s, \"needed\": %s, \"named_by\": ", boolean(wanted->there),
		boolean(wanted->damaged), boolean(wanted->needed));
	if (wanted->by) {
		fputs("{\"file\": ", out);
		text_write_json(out, check->config.files[wanted->by->file]);
		fprintf(out, ", \"line\": %u}}", wanted->by->line);
	} else {
		fputs("null}", out);
	}
}

static void write_boards(FILE *out, const struct check *check)
{
	fputs("  \"boards\": [", out);
	for (unsigned model = 0; model < PI_MODELS && check->has_files; model++) {
		const struct pi_boot *boot = &check->boots[model];

		fprintf(out, "%s\n    {\"model\": \"%s\", \"ready\": %s, \"meant\": %s, \"files\": [", model > 0 ? "," : "",
			pi_model_word(boot->model), boolean(boot->ready), boolean(boot->meant));
		for (size_t i = 0; i < boot->count; i++) {
			fputs(i > 0 ? "," : "", out);
			write_want(out, check, &boot->wants[i]);
		}
		fputs("]}", out);
	}
	fputs("],\n", out);
}

static void write_cmdline(FILE *out, const struct check *check)
{
	static const char *const roots[] = { "none", "card", "partuuid", "uuid", "label", "nbd", "nfs", "iscsi", "other" };

	if (!check->has_cmdline) {
		fputs("  \"cmdline\": null,\n", out);
		return;
	}
	fputs("  \"cmdline\": {\"path\": ", out);
	text_write_json(out, check->cmdline_path);
	fprintf(out, ", \"root_kind\": \"%s\", \"said_by\": ", roots[check->cmdline.root]);
	write_text_or_null(out, check->cmdline.by);
	fputs(", \"root\": ", out);
	write_text_or_null(out, check->cmdline.root_text);
	fputs(", \"host\": ", out);
	write_text_or_null(out, check->cmdline.host);
	fputs(", \"export\": ", out);
	write_text_or_null(out, check->cmdline.export);
	fputs(", \"line_to_write\": ", out);
	write_text_or_null(out, check->cmdline_wanted);
	fputs("},\n", out);
}

void check_write_json(FILE *out, const struct check *check)
{
	fputs("{\n  \"image\": ", out);
	text_write_json(out, check->place.path);
	fputs(",\n  \"name\": ", out);
	text_write_json(out, check->place.name);
	fprintf(out, ",\n  \"size_bytes\": %" PRIu64 ",\n  \"changed_meanwhile\": %s,\n", check->size_bytes,
		boolean(check->changed));
	write_table(out, check);
	write_volume(out, check);
	write_boards(out, check);
	write_cmdline(out, check);
	fprintf(out, "  \"problems\": %zu,\n  \"findings\": [", check->problem_count);
	for (size_t i = 0; i < check->finding_count; i++) {
		const struct finding *finding = &check->findings[i];

		fprintf(out, "%s\n    {\"level\": \"%s\", \"about\": \"%s\", \"text\": ", i > 0 ? "," : "",
			finding->level == FINDING_PROBLEM ? "problem" : "note", finding->about);
		text_write_json(out, finding->text);
		fputc('}', out);
	}
	fputs("]\n}\n", out);
}
