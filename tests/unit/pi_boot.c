/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pi/boot.c: which files a board's firmware asks for, and which of them are missed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "pi/pi.h"

static const char *const whole[] = {
	"config.txt",	   "cmdline.txt",	    "bootcode.bin",	    "start.elf",	  "fixup.dat",
	"start4.elf",	   "fixup4.dat",	    "kernel8.img",	    "kernel_2712.img",	  "bcm2710-rpi-3-b.dtb",
	"bcm2711-rpi-4-b.dtb", "bcm2712-rpi-5-b.dtb", "overlays/miniuart-bt.dtbo", "overlays/vc4-kms-v3d-pi5.dtbo", "initramfs8", NULL,
};

static bool exists(void *context, const char *path)
{
	for (const char *const *name = context; *name; name++)
		if (strcmp(*name, path) == 0)
			return true;
	return false;
}

static bool any(void *context, const char *prefix, const char *suffix)
{
	for (const char *const *name = context; *name; name++)
		if (strncmp(*name, prefix, strlen(prefix)) == 0 && strlen(*name) > strlen(suffix) &&
		    strcmp(*name + strlen(*name) - strlen(suffix), suffix) == 0)
			return true;
	return false;
}

static const char *damaged;

static bool is_whole(void *context, const char *path)
{
	(void)context;
	return !damaged || strcmp(path, damaged) != 0;
}

static const char *config_text;

static char *read_config(void *context, const char *name, size_t *length)
{
	(void)context;
	if (strcmp(name, "config.txt") != 0)
		return NULL;
	*length = strlen(config_text);
	return strdup(config_text);
}

static struct pi_boot look(const char *text, enum pi_model model, const char *const *names)
{
	const struct pi_files files = { exists, any, (void *)names, is_whole };
	static struct pi_config config;
	struct pi_boot boot;

	pi_config_free(&config);
	config_text = text;
	cr_assert_eq(pi_config_read(&config, "config.txt", read_config, NULL), 0);
	pi_boot_look(&boot, model, &config, &files);
	return boot;
}

static const struct pi_want *want_of(const struct pi_boot *boot, const char *what)
{
	for (size_t i = 0; i < boot->count; i++)
		if (strcmp(boot->wants[i].what, what) == 0)
			return &boot->wants[i];
	return NULL;
}

static void wants(const struct pi_boot *boot, const char *what, const char *path, bool there)
{
	const struct pi_want *wanted = want_of(boot, what);

	cr_assert(wanted, "%s is not wanted", what);
	cr_assert_str_eq(wanted->path, path);
	cr_assert_eq(wanted->there, there, "%s", path);
}

Test(pi_boot, a_whole_image_is_ready_for_all)
{
	for (int model = 0; model < PI_MODELS; model++) {
		struct pi_boot boot = look("", (enum pi_model)model, whole);

		cr_assert(boot.ready && boot.meant && !boot.dangling, "%s", pi_model_name((enum pi_model)model));
	}
}

Test(pi_boot, each_board_has_its_own_names)
{
	struct pi_boot boot = look("", PI_3, whole);

	wants(&boot, "firmware", "start.elf", true);
	wants(&boot, "kernel", "kernel8.img", true);
	boot = look("", PI_4, whole);
	wants(&boot, "firmware", "start4.elf", true);
	wants(&boot, "device tree", "bcm2711-rpi-*.dtb", true);
	boot = look("", PI_5, whole);
	wants(&boot, "kernel", "kernel_2712.img", true);
	cr_assert_null(want_of(&boot, "firmware"));
}

Test(pi_boot, what_config_names_and_is_not_there_is_dangling)
{
	struct pi_boot boot = look("kernel=vmlinuz\n[pi4]\ninitramfs initrd.img,initramfs8 followkernel\n", PI_4, whole);

	wants(&boot, "kernel", "vmlinuz", false);
	wants(&boot, "initramfs", "initrd.img", false);
	cr_assert(boot.dangling && !boot.ready && boot.meant);
	cr_assert_eq(want_of(&boot, "kernel")->by->line, 1);
	boot = look("kernel=vmlinuz\n[pi4]\ninitramfs initrd.img followkernel\n", PI_5, whole);
	cr_assert_null(want_of(&boot, "initramfs"));
}

Test(pi_boot, variants_of_the_firmware)
{
	struct pi_boot boot = look("start_x=1", PI_3, whole);

	wants(&boot, "firmware", "start_x.elf", false);
	wants(&boot, "firmware's fixup", "fixup_x.dat", false);
	boot = look("gpu_mem=16", PI_4, whole);
	wants(&boot, "firmware", "start4cd.elf", false);
	boot = look("start_file=start4.elf\nfixup_file=fixup4.dat\nstart_debug=1", PI_4, whole);
	wants(&boot, "firmware", "start4.elf", true);
}

Test(pi_boot, the_width_chooses_the_kernel)
{
	struct pi_boot boot = look("arm_64bit=0", PI_4, whole);

	wants(&boot, "kernel", "kernel7l.img", false);
	cr_assert(!boot.dangling && !boot.ready);
	boot = look("arm_64bit=0", PI_5, whole);
	cr_assert(boot.ready);
}

Test(pi_boot, os_prefix_counts_with_kernel_and_tree_only)
{
	static const char *const names[] = { "start4.elf", "fixup4.dat", "kernel8.img", "bcm2711-rpi-4-b.dtb",
					     "new/kernel8.img", "new/bcm2711-rpi-4-b.dtb", "new/cmdline.txt",
					     "half/kernel8.img", "a-kernel8.img", "a-bcm2711-rpi-4-b.dtb", NULL };
	struct pi_boot boot = look("os_prefix=new/", PI_4, names);

	wants(&boot, "kernel", "new/kernel8.img", true);
	cr_assert_str_eq(boot.cmdline, "new/cmdline.txt");
	cr_assert(boot.ready);
	boot = look("os_prefix=half/", PI_4, names);
	wants(&boot, "os_prefix with kernel and device tree", "half/", false);
	wants(&boot, "kernel", "kernel8.img", true);
	cr_assert(boot.dangling);
	boot = look("os_prefix=a-", PI_4, names);
	wants(&boot, "kernel", "a-kernel8.img", true);
}

Test(pi_boot, overlays_are_not_needed)
{
	struct pi_boot boot = look("dtoverlay=miniuart-bt,x=1\ndtoverlay=vc4-kms-v3d\ndtoverlay=\ndtoverlay=gone\n", PI_5, whole);

	cr_assert(boot.ready);
	wants(&boot, "overlay", "overlays/miniuart-bt.dtbo", true);
	cr_assert_str_eq(boot.wants[boot.count - 2].path, "overlays/vc4-kms-v3d-pi5.dtbo");
	cr_assert_str_eq(boot.wants[boot.count - 1].path, "overlays/gone.dtbo");
	cr_assert(!boot.wants[boot.count - 1].there);
}

Test(pi_boot, a_ramdisk_holds_the_rest)
{
	struct pi_boot boot = look("boot_ramdisk=1", PI_4, whole);

	wants(&boot, "ramdisk", "boot.img", false);
	cr_assert(boot.dangling && !boot.cmdline[0]);
}

Test(pi_boot, another_boards_image_is_not_meant)
{
	static const char *const five[] = { "config.txt", "kernel_2712.img", "bcm2712-rpi-5-b.dtb", NULL };
	struct pi_boot boot = look("", PI_4, five);

	cr_assert(!boot.meant && !boot.ready && !boot.dangling);
	boot = look("", PI_5, five);
	cr_assert(boot.meant && boot.ready);
}

Test(pi_boot, more_than_there_is_room_for)
{
	char text[PI_CONFIG_BYTES_MAX / 8] = "";
	struct pi_boot boot;

	for (int i = 0; i < 200; i++)
		strcat(text, "dtoverlay=x\n");
	boot = look(text, PI_4, whole);
	cr_assert_eq(boot.count, PI_WANTS_MAX);
}

Test(pi_boot, a_needed_file_that_is_damaged_is_not_ready)
{
	struct pi_boot boot;

	damaged = "kernel8.img";
	boot = look("", PI_4, whole);
	cr_expect(!boot.ready && !boot.dangling && boot.meant);
	cr_expect(want_of(&boot, "kernel")->damaged && want_of(&boot, "kernel")->there);
	damaged = "cmdline.txt";
	cr_expect(look("", PI_4, whole).ready);
	damaged = NULL;
}

/* More than are remembered: what is absent counts all the same. */
Test(pi_boot, too_many_files_are_not_ready_when_one_is_absent)
{
	char text[80 * 40] = "";
	struct pi_boot boot;

	for (int i = 0; i < 12; i++)
		strcat(text, "dtoverlay=x\n");
	strcat(text, "initramfs ");
	for (int i = 0; i < 40; i++)
		strcat(text, "i,");
	boot = look(text, PI_4, whole);
	cr_expect(!boot.ready);
	cr_expect(boot.count <= PI_WANTS_MAX);
}
