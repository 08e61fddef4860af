/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which files a board's firmware loads, by config.txt and by its own defaults.
 *
 * os_prefix stands before what belongs to the operating system (kernel,
 * initramfs, command line, device tree, overlays). The firmware ignores it when
 * the kernel or the device tree is not there with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pi/pi.h"

struct looking {
	struct pi_boot *boot;
	const struct pi_config *config;
	const struct pi_files *files;
	const char *prefix; /* os_prefix as it counts */
};

/* ---- settings ------------------------------------------------------------- */

static const struct pi_setting *find(const struct looking *looking, const char *name)
{
	return pi_config_find(looking->config, looking->boot->model, name);
}

static bool is_set(const struct looking *looking, const char *name)
{
	const struct pi_setting *setting = find(looking, name);

	return setting && atoi(setting->value) != 0;
}

/* ---- wants ---------------------------------------------------------------- */

static void want(struct looking *looking, const char *what, const char *path, const struct pi_setting *by, bool there,
		 bool needed)
{
	struct pi_boot *boot = looking->boot;
	struct pi_want *wanted = &boot->wants[boot->count];

	if (boot->count == PI_WANTS_MAX)
		return;
	boot->count++;
	*wanted = (struct pi_want){ .what = what, .by = by, .there = there, .needed = needed };
	snprintf(wanted->path, sizeof(wanted->path), "%s", path);
	if (needed && !there) {
		boot->ready = false;
		boot->dangling = boot->dangling || by;
	}
}

/* A path that is too long is that of no file; two words of a line (PI_CONFIG_LINE_BYTES) are not. */
static bool join(char path[PI_WORD_BYTES], const char *prefix, const char *name)
{
	return snprintf(path, PI_WORD_BYTES, "%s%s", prefix, name) < PI_WORD_BYTES;
}

static bool exists(const struct looking *looking, const char *prefix, const char *name)
{
	char path[PI_WORD_BYTES];

	return join(path, prefix, name) && looking->files->exists(looking->files->context, path);
}

static void want_file(struct looking *looking, const char *what, const char *prefix, const char *name,
		      const struct pi_setting *by, bool needed)
{
	char path[PI_WORD_BYTES];

	want(looking, what, join(path, prefix, name) ? path : name, by, exists(looking, prefix, name), needed);
}

/* ---- the firmware itself -------------------------------------------------- */

/* start4x.elf, start_cd.elf, ...: which of them, and the fixup that belongs to it. */
static void want_firmware(struct looking *looking)
{
	const struct pi_setting *start = find(looking, "start_file"), *fixup = find(looking, "fixup_file");
	const struct pi_setting *by = NULL, *memory = find(looking, "gpu_mem");
	const char *four = looking->boot->model == PI_4 ? "4" : "_", *kind = "";
	char start_name[32], fixup_name[32];

	if (is_set(looking, "start_debug"))
		by = find(looking, "start_debug"), kind = "db";
	else if (is_set(looking, "start_x"))
		by = find(looking, "start_x"), kind = "x";
	else if (memory && atoi(memory->value) == 16)
		by = memory, kind = "cd";
	if (!*kind && *four == '_')
		four = "";
	snprintf(start_name, sizeof(start_name), "start%s%s.elf", four, kind);
	snprintf(fixup_name, sizeof(fixup_name), "fixup%s%s.dat", four, kind);
	want_file(looking, "firmware", "", start ? start->value : start_name, start ? start : by, true);
	want_file(looking, "firmware's fixup", "", fixup ? fixup->value : fixup_name, fixup ? fixup : by, true);
}

/* ---- the operating system ------------------------------------------------- */

/* The names the firmware tries of itself; NULL ends them. */
static const char *const *default_kernels(const struct looking *looking)
{
	static const char *const by_model[PI_MODELS][3] = {
		{ "kernel8.img", "kernel7.img" }, { "kernel8.img", "kernel7l.img" }, { "kernel_2712.img", "kernel8.img" }
	};
	static const char *const arm64[] = { "kernel8.img", NULL };
	static const char *const arm32[][2] = { { "kernel7.img" }, { "kernel7l.img" } };
	enum pi_model model = looking->boot->model;

	if (model == PI_5 || !find(looking, "arm_64bit"))
		return by_model[model];
	return is_set(looking, "arm_64bit") ? arm64 : arm32[model];
}

/* Of the kernels that may be it the first that is there, or NULL. */
static const char *kernel_there(const struct looking *looking, const char *prefix)
{
	const struct pi_setting *named = find(looking, "kernel");

	if (named && *named->value)
		return exists(looking, prefix, named->value) ? named->value : NULL;
	for (const char *const *name = default_kernels(looking); *name; name++)
		if (exists(looking, prefix, *name))
			return *name;
	return NULL;
}

static bool tree_there(const struct looking *looking, const char *prefix)
{
	static const char *const trees[PI_MODELS][3] = {
		{ "bcm2710-rpi-", "bcm2837-rpi-" }, { "bcm2711-" }, { "bcm2712" }
	};
	const struct pi_setting *named = find(looking, "device_tree");
	char path[PI_WORD_BYTES];

	if (named)
		return !*named->value || exists(looking, prefix, named->value);
	for (const char *const *tree = trees[looking->boot->model]; *tree; tree++) {
		if (join(path, prefix, *tree) && looking->files->any(looking->files->context, path, ".dtb"))
			return true;
	}
	return false;
}

/* Does os_prefix count? If not, that is what the board stumbles over. */
static void choose_prefix(struct looking *looking)
{
	const struct pi_setting *prefix = find(looking, "os_prefix");
	bool whole;

	looking->prefix = "";
	if (!prefix || !*prefix->value)
		return;
	whole = kernel_there(looking, prefix->value) && tree_there(looking, prefix->value);
	want(looking, "os_prefix with kernel and device tree", prefix->value, prefix, whole, true);
	if (whole)
		looking->prefix = prefix->value;
}

static void want_kernel(struct looking *looking)
{
	const struct pi_setting *named = find(looking, "kernel");
	const char *there = kernel_there(looking, looking->prefix);
	char names[PI_WORD_BYTES] = "";
	size_t used = 0;

	if (named && *named->value) {
		want_file(looking, "kernel", looking->prefix, named->value, named, true);
	} else if (there) {
		want_file(looking, "kernel", looking->prefix, there, NULL, true);
	} else {
		for (const char *const *name = default_kernels(looking); *name && used < sizeof(names); name++)
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s%s", used ? " or " : "",
						 looking->prefix, *name);
		want(looking, "kernel", names, NULL, false, true);
	}
}

static void want_tree(struct looking *looking)
{
	static const char *const trees[PI_MODELS] = { "bcm2710-rpi-*.dtb", "bcm2711-rpi-*.dtb", "bcm2712-rpi-*.dtb" };
	const struct pi_setting *named = find(looking, "device_tree");
	const char *name = named ? named->value : trees[looking->boot->model];
	char path[PI_WORD_BYTES];

	if (named && !*named->value)
		return; /* none is to be loaded */
	want(looking, "device tree", join(path, looking->prefix, name) ? path : name, named,
	     tree_there(looking, looking->prefix), true);
}

/* `initramfs A,B followkernel`: several files are one after the other. */
static void want_initramfs(struct looking *looking)
{
	const struct pi_setting *named = find(looking, "initramfs");
	char list[PI_WORD_BYTES], *rest = list;

	if (!named)
		named = find(looking, "ramfsfile");
	if (!named)
		return; /* auto_initramfs takes one if it is there */
	snprintf(list, sizeof(list), "%s", named->value);
	list[strcspn(list, " \t")] = '\0';
	for (char *name; (name = strsep(&rest, ","));)
		if (*name)
			want_file(looking, "initramfs", looking->prefix, name, named, true);
}

static void want_cmdline(struct looking *looking)
{
	const struct pi_setting *named = find(looking, "cmdline");
	const char *name = named && *named->value ? named->value : "cmdline.txt";

	want_file(looking, "command line", looking->prefix, name, named, named != NULL);
	/* Where it is too long there is none to be read. */
	if (snprintf(looking->boot->cmdline, PI_WORD_BYTES, "%s%s", looking->prefix, name) >= PI_WORD_BYTES)
		looking->boot->cmdline[0] = '\0';
}

/* overlays/overlay_map.dtb may give it another name for a board, so none is said to be needed. */
static void want_overlay(struct looking *looking, const struct pi_setting *setting)
{
	const struct pi_setting *given = find(looking, "overlay_prefix");
	const char *folder = given ? given->value : "overlays/";
	char name[PI_WORD_BYTES], plain[PI_WORD_BYTES + 16], special[PI_WORD_BYTES + 16], prefix[PI_WORD_BYTES];

	snprintf(name, sizeof(name), "%s", setting->value);
	name[strcspn(name, ",: \t")] = '\0';
	if (!*name)
		return;
	snprintf(plain, sizeof(plain), "%s.dtbo", name);
	snprintf(special, sizeof(special), "%s-%s.dtbo", name, pi_model_word(looking->boot->model));
	/* With os_prefix only where it is so; else from where they always are. */
	if (!join(prefix, looking->prefix, folder) ||
	    (!exists(looking, prefix, plain) && !exists(looking, prefix, special)))
		join(prefix, "", folder);
	want_file(looking, "overlay", prefix, exists(looking, prefix, special) ? special : plain, setting, false);
}

static void want_overlays(struct looking *looking)
{
	for (size_t i = 0; i < looking->config->count; i++) {
		const struct pi_setting *setting = &looking->config->settings[i];

		if ((setting->models & 1U << looking->boot->model) && !setting->conditional &&
		    strcmp(setting->name, "dtoverlay") == 0)
			want_overlay(looking, setting);
	}
}

/* ---- all of it ------------------------------------------------------------ */

static bool is_meant(const struct looking *looking)
{
	static const char *const own[PI_MODELS][4] = {
		{ "bootcode.bin", "start.elf", "kernel7.img" },
		{ "start4.elf", "start4cd.elf", "kernel7l.img" },
		{ "kernel_2712.img" },
	};

	for (const char *const *name = own[looking->boot->model]; *name; name++)
		if (exists(looking, "", *name))
			return true;
	return tree_there(looking, looking->prefix) && !find(looking, "device_tree");
}

void pi_boot_look(struct pi_boot *boot, enum pi_model model, const struct pi_config *config,
		  const struct pi_files *files)
{
	struct looking looking = { .boot = boot, .config = config, .files = files };
	const struct pi_setting *stub;

	*boot = (struct pi_boot){ .model = model, .ready = true };
	if (model == PI_5) /* it asks for nothing else without one */
		want_file(&looking, "configuration", "", "config.txt", NULL, true);
	if (is_set(&looking, "boot_ramdisk")) {
		want_file(&looking, "ramdisk", "", "boot.img", find(&looking, "boot_ramdisk"), true);
		boot->meant = true;
		return; /* the rest is inside of it */
	}
	if (model == PI_3) /* asked for in the server's root, before any prefix */
		want_file(&looking, "second stage", "", "bootcode.bin", NULL, false);
	if (model != PI_5)
		want_firmware(&looking);
	choose_prefix(&looking);
	want_kernel(&looking);
	want_tree(&looking);
	want_initramfs(&looking);
	want_cmdline(&looking);
	stub = find(&looking, "armstub");
	if (stub && *stub->value)
		want_file(&looking, "armstub", "", stub->value, stub, true);
	want_overlays(&looking);
	boot->meant = is_meant(&looking);
}
