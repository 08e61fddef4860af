/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config.txt, line by line, with its filters and what it includes.
 *
 * A filter ([pi4], [0x12345678], [gpio4=1], ...) counts until another of its
 * kind; [all] ends them all. Those of the model decide for whom a setting counts.
 * Of the others we cannot know whether they hold: their settings are kept, and
 * marked as conditional. An included file stands in the place of its line.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "pi/pi.h"

#define ALL_MODELS ((1U << PI_MODELS) - 1)

const char *pi_model_name(enum pi_model model)
{
	static const char *const names[] = { "Pi 3", "Pi 4", "Pi 5" };

	return names[model];
}

const char *pi_model_word(enum pi_model model)
{
	static const char *const words[] = { "pi3", "pi4", "pi5" };

	return words[model];
}

/* ---- filters -------------------------------------------------------------- */

static const struct model_filter {
	const char *name;
	unsigned models;
	bool some; /* only some boards of them */
} model_filters[] = {
	{ "pi3", 1U << PI_3, false },  { "pi3+", 1U << PI_3, true },  { "cm3", 1U << PI_3, true },
	{ "cm3+", 1U << PI_3, true },  { "pi4", 1U << PI_4, false },  { "pi400", 1U << PI_4, true },
	{ "cm4", 1U << PI_4, true },   { "cm4s", 1U << PI_4, true },  { "pi5", 1U << PI_5, false },
	{ "pi500", 1U << PI_5, true }, { "cm5", 1U << PI_5, true },   { "none", 0, false },
	{ "pi0", 0, false },	       { "pi0w", 0, false },	      { "pi02", 0, false },
	{ "pi1", 0, false },	       { "pi2", 0, false },	      { "cm0", 0, false },
	{ "cm1", 0, false },
};

struct reading {
	struct pi_config *config;
	pi_read read;
	void *context;
	unsigned models; /* the model filter, */
	bool some;	 /* and whether it means only some of them */
	bool other;	 /* a filter of another kind is in force */
	size_t capacity;
};

static void set_filter(struct reading *reading, const char *name)
{
	if (strcmp(name, "all") == 0) {
		reading->models = ALL_MODELS;
		reading->some = reading->other = false;
		return;
	}
	for (size_t i = 0; i < sizeof(model_filters) / sizeof(model_filters[0]); i++) {
		if (strcmp(name, model_filters[i].name) == 0) {
			reading->models = model_filters[i].models;
			reading->some = model_filters[i].some;
			return;
		}
	}
	reading->other = true;
}

/* ---- lines ---------------------------------------------------------------- */

static void fold(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static int add(struct reading *reading, unsigned file, unsigned line, const char *name, const char *value)
{
	struct pi_config *config = reading->config;
	struct pi_setting *setting;

	if (config->count == PI_CONFIG_SETTINGS_MAX) {
		config->cut = true;
		return 0;
	}
	if (config->count == reading->capacity) {
		size_t wider = reading->capacity ? reading->capacity * 2 : 32;
		struct pi_setting *list = reallocarray(config->settings, wider, sizeof(*list));

		if (!list)
			return -ENOMEM;
		config->settings = list;
		reading->capacity = wider;
	}
	setting = &config->settings[config->count];
	*setting = (struct pi_setting){
		.name = strdup(name),
		.value = strdup(value),
		.models = reading->models,
		.conditional = reading->some || reading->other,
		.line = line,
		.file = file,
	};
	config->count++; /* freed with the rest, whatever came of it */
	return setting->name && setting->value ? 0 : -ENOMEM;
}

static int read_file(struct reading *reading, const char *name);

/* Recursion is bounded: each file takes one of PI_CONFIG_FILES_MAX places, and so does each time it is included. */
static int read_line(struct reading *reading, unsigned file, unsigned number, char *line)
{
	char *value, *name = text_trim(line);

	if (*name == '[') {
		name[strcspn(name, "]")] = '\0';
		fold(++name);
		set_filter(reading, text_trim(name));
		return 0;
	}
	if (*name == '\0' || *name == '#')
		return 0;
	value = name + strcspn(name, "= \t");
	if (*value != '\0') {
		*value++ = '\0';
		value = text_trim(value);
		if (*value == '=') /* `name = value` */
			value = text_trim(value + 1);
	}
	fold(name);
	if (strcmp(name, "include") == 0)
		return reading->models == 0 ? 0 : read_file(reading, value);
	return add(reading, file, number, name, value);
}

static int read_lines(struct reading *reading, unsigned file, const char *text, size_t length)
{
	char line[PI_CONFIG_LINE_BYTES + 1];
	unsigned number = 1;
	int error = 0;

	for (size_t at = 0; at < length && error == 0; number++) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t whole = end ? (size_t)(end - (text + at)) : length - at;
		size_t taken = whole < PI_CONFIG_LINE_BYTES ? whole : PI_CONFIG_LINE_BYTES;

		memcpy(line, text + at, taken);
		line[taken] = '\0'; /* and where there is a NUL the line ends, too */
		at += whole + 1;
		if (taken < whole && *text_trim(line) != '#' && !(taken + 1 == whole && text[at - 2] == '\r'))
			reading->config->long_lines++;
		error = read_line(reading, file, number, line);
	}
	return error;
}

static int read_file(struct reading *reading, const char *name)
{
	struct pi_config *config = reading->config;
	CLEANUP_FREE char *text = NULL;
	unsigned file = config->file_count;
	size_t length = 0;

	if (file == PI_CONFIG_FILES_MAX) {
		config->cut = true;
		return 0;
	}
	config->files[file] = strdup(name);
	if (!config->files[file])
		return -ENOMEM;
	config->file_count++;
	text = reading->read(reading->context, name, &length);
	config->absent[file] = !text;
	if (!text)
		return 0;
	if (length >= PI_CONFIG_BYTES_MAX) {
		config->cut = true;
		length = PI_CONFIG_BYTES_MAX;
	}
	return read_lines(reading, file, text, length);
}

int pi_config_read(struct pi_config *config, const char *name, pi_read read, void *context)
{
	struct reading reading = { .config = config, .read = read, .context = context, .models = ALL_MODELS };

	*config = (struct pi_config){ 0 };
	return read_file(&reading, name);
}

void pi_config_free(struct pi_config *config)
{
	for (size_t i = 0; i < config->count; i++) {
		free(config->settings[i].name);
		free(config->settings[i].value);
	}
	for (unsigned i = 0; i < config->file_count; i++)
		free(config->files[i]);
	free(config->settings);
	*config = (struct pi_config){ 0 };
}

const struct pi_setting *pi_config_find(const struct pi_config *config, enum pi_model model, const char *name)
{
	for (size_t i = config->count; i-- > 0;) {
		const struct pi_setting *setting = &config->settings[i];

		if ((setting->models & 1U << model) && !setting->conditional && strcmp(setting->name, name) == 0)
			return setting;
	}
	return NULL;
}
