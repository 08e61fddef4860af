/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check: will a Pi boot from this image, and if not, why?
 *
 * From the outside in: partition table, boot partition, its FAT, the files of the
 * boards. Each step says what it finds and the next goes on with what there is.
 * The image may be live. So what looks wrong while somebody writes to it is looked
 * at again, a few times, before it is called a problem.
 */
#include "tools/ctl_check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/archive.h"
#include "base/cleanup.h"
#include "cache/tree/cache.h"
#include "cache/device/nbd_target.h"
#include "cache/device/watch.h"
#include "tools/ctl.h"

#define LOOKS 3
#define FLAWS_SHOWN 20

/* ---- findings ------------------------------------------------------------- */

void check_say(struct check *check, enum finding_level level, const char *about, const char *format, ...)
{
	struct finding *list = reallocarray(check->findings, check->finding_count + 1, sizeof(*list));
	va_list arguments;
	char *text = NULL;

	if (list)
		check->findings = list;
	va_start(arguments, format);
	if (!list || vasprintf(&text, format, arguments) < 0) {
		check->no_memory = true;
	} else {
		list[check->finding_count++] = (struct finding){ level, about, text };
		check->problem_count += level == FINDING_PROBLEM;
	}
	va_end(arguments);
}

/* Forget what was found, for another look. */
static void forget(struct check *check)
{
	struct check fresh = { .place = check->place, .own = check->own, .brief = check->brief, .size_bytes = check->size_bytes, .asked = check->asked };

	for (size_t i = 0; i < check->finding_count; i++)
		free(check->findings[i].text);
	free(check->findings);
	free(check->table);
	free(check->cmdline_wanted);
	pi_config_free(&check->config);
	*check = fresh;
}

const char *check_scheme(const struct check *check)
{
	static const char *const schemes[] = { "none", "mbr", "gpt" };

	return schemes[check->table->scheme];
}

const char *check_boot_reason(const struct check *check)
{
	if (check->boot_chosen_by_name)
		return "asked for";
	return part_table_fat_count(check->table) == 1 ? "only FAT" : part_boot_reason_text(check->choice.reason);
}

/* ---- the steps ------------------------------------------------------------ */

/* What autoboot.txt names must be there, or the firmware goes on to the next place to boot from. */
static void say_autoboot(struct check *check)
{
	const struct part_choice *choice = &check->choice;
	const struct part_entry *named = part_table_find(check->table, choice->named);
	const struct part_entry *tryboot = part_table_find(check->table, choice->tryboot);

	if (choice->named && (!named || !named->is_fat))
		check_say(check, FINDING_PROBLEM, "autoboot.txt", "boot_partition=%u: %s", choice->named,
			  named ? "that partition holds no FAT" : "there is no such partition");
	if (choice->tryboot && (!tryboot || !tryboot->is_fat))
		check_say(check, FINDING_PROBLEM, "autoboot.txt", "boot_partition=%u, for tryboot: %s", choice->tryboot,
			  tryboot ? "that partition holds no FAT" : "there is no such partition");
}

static int choose_boot(struct check *check, struct source *image)
{
	int error = part_choose_boot(image, check->table, &check->choice);

	if (error == -ENOMEM)
		return error;
	say_autoboot(check);
	if (check->place.partition != CACHE_PARTITION_BOOT) {
		check->boot = part_table_find(check->table, check->place.partition);
		check->boot_chosen_by_name = true;
		if (!check->boot || !check->boot->is_fat)
			check_say(check, FINDING_PROBLEM, "table", "partition %u: %s", check->place.partition,
				  check->boot ? "holds no FAT" : "there is none of that number");
		return 0;
	}
	check->boot = check->choice.entry;
	if (error == -ENODATA)
		check_say(check, FINDING_PROBLEM, "table", "no partition holds a FAT: there is nothing to boot from");
	else if (error != 0 && check->choice.named == 0)
		check_say(check, FINDING_PROBLEM, "table",
			  "a FAT cannot be read, and may be the boot partition: name one with IMAGE:N");
	return 0;
}

/* What it is instead. False: nothing that is known. */
static bool say_archive(struct check *check)
{
	CLEANUP_FREE char *text = image_archive(check->place.path, check->place.directory);

	if (text)
		check_say(check, FINDING_PROBLEM, "table", "%s", text);
	return text;
}

static int look_at_table(struct check *check, struct source *image, uint32_t sector_bytes)
{
	int error = part_table_read(image, sector_bytes, &check->table);

	if ((error == -ENODATA || error == -EIO) && say_archive(check))
		return 0;
	if (error == -ENODATA && archive_is_named(check->place.path))
		check_say(check, FINDING_PROBLEM, "table", "by its name an archive: unpack it");
	else if (error == -ENODATA)
		check_say(check, FINDING_PROBLEM, "table", "neither a partition table nor a FAT: this is no disk image");
	else if (error != 0 && error != -ENOMEM)
		check_say(check, FINDING_PROBLEM, "table", "the partition table cannot be believed, or not be read");
	if (error != 0)
		return error == -ENOMEM ? error : 0;
	for (size_t i = 0; i < check->table->count; i++) {
		const struct part_entry *entry = &check->table->entries[i];

		if (entry->offset_bytes + entry->length_bytes == check->size_bytes && i + 1 < check->table->count &&
		    check->table->entries[i + 1].offset_bytes > entry->offset_bytes)
			check_say(check, FINDING_PROBLEM, "table", "partition %u overlaps those behind it", entry->number);
	}
	return choose_boot(check, image);
}

static void flaw_found(void *context, const char *path, enum fat_flaw flaw)
{
	struct check *check = context;

	if (check->flaws_shown++ < FLAWS_SHOWN)
		check_say(check, flaw == FAT_FLAW_LONG ? FINDING_NOTE : FINDING_PROBLEM, "fat", "%s: %s", path,
			  fat_flaw_text(flaw));
}

static int look_at_health(struct check *check, struct source *partition)
{
	int error = fat_health_read(&check->volume, partition, flaw_found, check, &check->health);

	if (error != 0) {
		check_say(check, FINDING_PROBLEM, "fat", "the FAT or the root directory cannot be read");
		return error == -ENOMEM ? error : 0;
	}
	check->has_health = true;
	if (check->flaws_shown > FLAWS_SHOWN)
		check_say(check, FINDING_PROBLEM, "fat", "... and %zu more files like that", check->flaws_shown - FLAWS_SHOWN);
	if (!check->health.complete)
		check_say(check, FINDING_PROBLEM, "fat", "too many directories: not all were looked into");
	if (check->health.crossed_clusters > 0)
		check_say(check, FINDING_PROBLEM, "fat", "%u clusters belong to more than one file", check->health.crossed_clusters);
	if (check->health.lost_clusters > 0)
		check_say(check, FINDING_PROBLEM, "fat", "%u clusters are in use and belong to no file, in %u chains",
			  check->health.lost_clusters, check->health.lost_chains);
	return 0;
}

static void look_at_end(struct check *check)
{
	uint64_t end = check->volume.data_offset_bytes + (uint64_t)check->volume.cluster_count * check->volume.cluster_bytes;

	if (end > check->boot->length_bytes)
		check_say(check, FINDING_PROBLEM, "fat", "the file system is larger than its partition: %llu of %llu bytes are there",
			  (unsigned long long)check->boot->length_bytes, (unsigned long long)end);
}

/* What fsck.fat and blkid have to say besides. A board that runs has the dirty flag set, so it is no problem. */
static void say_flags(struct check *check)
{
	if (check->volume.dirty || check->health.dirty)
		check_say(check, FINDING_NOTE, "fat", "the dirty flag is set (%s): it is mounted, or was not unmounted",
			  !check->health.dirty ? "boot sector" : check->volume.dirty ? "boot sector and FAT" : "FAT");
	if (check->health.errors)
		check_say(check, FINDING_NOTE, "fat", "the error flag is set (FAT): who wrote to it last met with errors of the disk");
}

static void say_label(struct check *check)
{
	const char *boot_label = check->volume.label;

	if (strcmp(check->label, boot_label) != 0)
		check_say(check, FINDING_NOTE, "fat", "its label is %s%s%s; the boot sector has another: %s%s%s",
			  *check->label ? "'" : "", *check->label ? check->label : "none", *check->label ? "'" : "",
			  *boot_label ? "'" : "", *boot_label ? boot_label : "none", *boot_label ? "'" : "");
}

static int look_at_volume(struct check *check, struct source *image)
{
	struct source_slice slice = source_slice_of(image, check->boot->offset_bytes, check->boot->length_bytes);
	struct volume_files files;
	int error = fat_volume_read(&slice.source, &check->volume);

	if (error != 0) {
		check_say(check, FINDING_PROBLEM, "fat", "its boot sector is not that of a FAT");
		return 0;
	}
	check->has_volume = true;
	look_at_end(check);
	error = check->brief ? 0 : look_at_health(check, &slice.source);
	if (error != 0)
		return error;
	if (!check->brief)
		say_flags(check);
	if (volume_files_open(&files, &check->volume, &slice.source, &check->own) == 0) {
		snprintf(check->label, sizeof(check->label), "%s", fat_dir_label(files.root));
		say_label(check);
		error = check_boot_files(check, image, &files);
	}
	volume_files_close(&files);
	return error;
}

static int look(struct check *check, struct source *image, uint32_t sector_bytes)
{
	int error = look_at_table(check, image, sector_bytes);

	if (error == 0 && check->boot && check->boot->is_fat)
		error = look_at_volume(check, image);
	return check->no_memory ? -ENOMEM : error;
}

/* ---- a live image --------------------------------------------------------- */

static int look_until_quiet(struct check *check, struct cache_device *device, uint32_t sector_bytes)
{
	for (int looks = 1;; looks++) {
		struct cache_observation before, after;
		struct device_source source;
		struct timespec pause = { .tv_nsec = 700 * 1000000 };
		int error = device->ops->observe(device, true, CACHE_LOOK_ANEW, &before);

		if (error != 0)
			return error;
		check->size_bytes = before.size_bytes;
		source = device_source_of(device, before.size_bytes);
		error = look(check, &source.source, sector_bytes);
		device_source_free(&source);
		if (error != 0)
			return error;
		error = device->ops->observe(device, true, CACHE_LOOK_ANEW, &after);
		check->changed = error == 0 && !after.blind && after.generation != before.generation;
		if (!check->changed || check->problem_count == 0 || looks == LOOKS)
			return error;
		forget(check);
		nanosleep(&pause, NULL);
	}
}

int check_run(struct check *check)
{
	struct watch *watch = NULL;
	struct cache_device *device;
	const char *unreached;
	uint32_t sector_bytes;
	int error;

	if (watch_new(&watch) != 0)
		watch = NULL;
	device = image_open(&check->place, watch, 0, &sector_bytes);
	if (!device) {
		watch_free(watch);
		return USAGE;
	}
	error = look_until_quiet(check, device, sector_bytes);
	unreached = error != 0 && device->ops->problem ? device->ops->problem(device) : NULL;
	device->ops->close(device);
	watch_free(watch);
	if (error != 0) {
		ctl_fail(check->place.path, unreached ? unreached : strerror(-error));
		return USAGE;
	}
	if (check->changed)
		check_say(check, FINDING_NOTE, "image", "it was written to meanwhile: this may be of two moments");
	return check->problem_count > 0 ? FAILED : OK;
}

void check_end(struct check *check)
{
	own_close(&check->own);
	image_place_free(&check->place);
	forget(check);
}

/* ---- the command line ----------------------------------------------------- */

static bool read_model(struct check *check, const char *text)
{
	static const char *const names[PI_MODELS] = { "3", "4", "5" };

	for (unsigned model = 0; text && model < PI_MODELS; model++) {
		if (strcmp(text, names[model]) == 0) {
			check->asked |= 1U << model;
			return true;
		}
	}
	return false;
}

static int find_own(struct check *check, const char *argument)
{
	int error = own_open(&check->place, argument, &check->own);

	if (error == 0)
		return OK;
	ctl_fail(check->own.directory, strerror(-error));
	return USAGE;
}

/* Would a mount with that option nbd= connect to it? Of one that is malformed it is said when it is opened. */
static int find_allowed(const struct check *check, const char *allowed)
{
	struct nbd_uri uri;
	bool is_allowed;

	if (!allowed || !nbd_uri_is_one(check->place.path) || nbd_uri_parse(check->place.path, &uri))
		return OK;
	is_allowed = nbd_uri_is_allowed(&uri, allowed);
	nbd_uri_free(&uri);
	if (is_allowed)
		return OK;
	ctl_fail(check->place.path, nbd_target_why(-EPERM));
	return USAGE;
}

int command_check(const char *control, int count, char **arguments)
{
	struct check check = { 0 };
	const char *image = NULL, *allowed = NULL;
	CLEANUP_FREE char *of_mount = NULL;
	bool json = false;
	int result, before = ctl_end_of_options(&count, arguments);

	for (int i = 0; i < count; i++) {
		if (i < before && strcmp(arguments[i], "--json") == 0)
			json = true;
		else if (i < before && strcmp(arguments[i], "--nbd") == 0) {
			allowed = ++i < before ? arguments[i] : NULL;
			if (!allowed || !nbd_uri_check_allowed(allowed))
				return ctl_misused("--nbd", "any, none, or HOST:HOST..., as the mount's option nbd=");
		} else if (i < before && strcmp(arguments[i], "--pi") == 0) {
			if (!read_model(&check, ++i < before ? arguments[i] : NULL))
				return ctl_misused("--pi", "3, 4 or 5");
		} else if (i < before && arguments[i][0] == '-' && arguments[i][1])
			return ctl_misused(arguments[i], "unknown option");
		else if (image)
			return ctl_misused(arguments[i], "one image at a time");
		else
			image = arguments[i];
	}
	if (!image)
		return ctl_misused("check", "which image?");
	result = image_find(control, image, &check.place) == OK ? find_own(&check, image) : USAGE;
	/* What somebody names here is his to connect to; what a link names is the mount's. */
	if (result == OK && !allowed && !nbd_uri_is_one(image))
		allowed = of_mount = control_nbd(control, check.place.directory);
	if (result == OK)
		result = find_allowed(&check, allowed);
	if (result == OK) {
		image_finish_change(&check.place);
		result = check_run(&check);
	}
	for (size_t i = 0; i < check.own.names.count && result != USAGE; i++)
		check_say(&check, FINDING_NOTE, "files", "%s: is a file of its own, in %s", check.own.names.list[i], check.own.directory);
	if (result != USAGE && json)
		check_write_json(stdout, &check);
	else if (result != USAGE)
		check_write_text(stdout, &check, isatty(STDOUT_FILENO) && !getenv("NO_COLOR"));
	check_end(&check);
	return result;
}
