/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as config.txt (which may include itself) and as cmdline.txt. */
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "pi/pi.h"
#include "tests/fuzz/promise.h"
#include "tools/prep/cmdline.h"
#include "tools/prep/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t size;
};

static char *read_input(void *context, const char *name, size_t *length)
{
	const struct input *input = context;
	char *text;

	if (strcmp(name, "gone.txt") == 0)
		return NULL;
	text = malloc(input->size + 1);
	if (text)
		memcpy(text, input->data, input->size);
	*length = input->size;
	return text;
}

static bool exists(void *context, const char *path)
{
	(void)context;
	return strlen(path) % 2;
}

static bool any(void *context, const char *prefix, const char *suffix)
{
	return exists(context, prefix) || exists(context, suffix);
}

static void check_config(const struct pi_config *config)
{
	const struct pi_files files = { exists, any, NULL };

	promise(config->count <= PI_CONFIG_SETTINGS_MAX && config->file_count <= PI_CONFIG_FILES_MAX);
	for (size_t i = 0; i < config->count; i++) {
		promise(config->settings[i].file < config->file_count && config->settings[i].line > 0);
		promise(config->settings[i].models < 1U << PI_MODELS);
		promise(strlen(config->settings[i].value) < PI_CONFIG_LINE_BYTES);
	}
	for (int model = 0; model < PI_MODELS; model++) {
		struct pi_boot boot;

		pi_boot_look(&boot, (enum pi_model)model, config, &files);
		promise(boot.count <= PI_WANTS_MAX);
		promise(!boot.dangling || !boot.ready);
	}
}

/* Set twice is set once; other words are as many as they were. */
static void check_setting(char **line)
{
	CLEANUP_FREE char *once = NULL;

	if (cmdline_set(line, "quiet", "a b") != 0)
		return;
	once = strdup(*line);
	promise(cmdline_set(line, "quiet", "a b") == 0 && strcmp(*line, once) == 0);
	promise(cmdline_unset(line, "quiet", NULL) == 0);
	free(once);
	once = strdup(*line);
	promise(cmdline_unset(line, "quiet", NULL) == 0 && strcmp(*line, once) == 0);
}

/* What is to be written instead leads where it says. */
static void check_line(const char *text, size_t size)
{
	const struct cmdline_root root = { .kind = CMDLINE_ROOT_NBD, .server = "10.0.0.1", .name = "jammy", .partition = 5 };
	CLEANUP_FREE char *line = NULL, *once = NULL;
	struct pi_cmdline cmdline;

	if (cmdline_read(text, size, &line) != 0)
		return;
	promise(strlen(line) < CMDLINE_BYTES && !strchr(line, '\n'));
	check_setting(&line);
	if (cmdline_set_root(&line, &root) != 0)
		return;
	once = strdup(line);
	promise(cmdline_set_root(&line, &root) == 0 && strcmp(line, once) == 0);
	pi_cmdline_read(&cmdline, line, strlen(line));
	/* Who reads it knows no quotes, and not what is init's. */
	if (strchr(line, '"') || strstr(line, "--"))
		return;
	promise(cmdline.root == PI_ROOT_NBD && strcmp(cmdline.export, "jammy") == 0 && strcmp(cmdline.host, "10.0.0.1") == 0);
	promise(strcmp(cmdline.root_text, "/dev/nbd0p5") == 0);
}

/* What was there is there still, and twice is once; what was added, is read. */
static void check_written(const char *data, size_t size, const char *section, const char *key, const char *value)
{
	CLEANUP_FREE char *text = malloc(size + 1), *once = NULL;
	size_t length = size, first;

	memcpy(text, data, size);
	promise(config_set(&text, &length, section, key, value) == 0);
	once = malloc(length + 1);
	memcpy(once, text, length);
	first = length;
	promise(config_set(&text, &length, section, key, value) == 0);
	promise(length == first && memcmp(text, once, length) == 0);
	promise(config_unset(&text, &length, section, key, value) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct pi_cmdline cmdline;
	struct pi_config config;

	if (pi_config_read(&config, "config.txt", read_input, &input) == 0)
		check_config(&config);
	pi_config_free(&config);
	pi_cmdline_read(&cmdline, (const char *)data, size);
	promise(strlen(cmdline.export) < PI_WORD_BYTES && strlen(cmdline.host) < PI_WORD_BYTES);
	check_line((const char *)data, size);
	check_written((const char *)data, size, NULL, "kernel", "vmlinuz");
	check_written((const char *)data, size, "pi4", "dtparam", "audio=on");
	check_written((const char *)data, size, "0x1", "dtoverlay", "vc4-kms-v3d");
	return 0;
}
