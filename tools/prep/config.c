/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * config: one walk over the lines finds what a setting needs to know: its line, and where a new one
 * would go; then the text is put together of what is before, the line, and what is behind.
 */
#include "tools/prep/config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/text.h"

#define FILTERS_MAX 8

/* ---- filters -------------------------------------------------------------- */

/* Those in force: names in lower case, the first FILTERS_MAX of them. */
struct filters {
	char names[FILTERS_MAX][CONFIG_LINE_BYTES + 1];
	size_t count;
};

static bool is_model(const char *name)
{
	return strncmp(name, "pi", 2) == 0 || strncmp(name, "cm", 2) == 0 || strcmp(name, "none") == 0;
}

/* One filter takes the place of another of its kind: what is before '=' or ':', or the models, or a serial number. */
static bool same_kind(const char *a, const char *b)
{
	size_t length = strcspn(a, "=:");

	if (is_model(a) && is_model(b))
		return true;
	if (strncmp(a, "0x", 2) == 0 && strncmp(b, "0x", 2) == 0)
		return true;
	return length == strcspn(b, "=:") && strncmp(a, b, length) == 0;
}

static void apply_filter(struct filters *filters, const char *name)
{
	size_t at = 0;

	if (strcmp(name, "all") == 0) {
		filters->count = 0;
		return;
	}
	while (at < filters->count && !same_kind(filters->names[at], name))
		at++;
	if (at == FILTERS_MAX)
		return; /* more than one all the same */
	strcpy(filters->names[at], name);
	if (at == filters->count)
		filters->count++;
}

static bool is_in_force_alone(const struct filters *filters, const char *section)
{
	if (strcmp(section, "all") == 0)
		return filters->count == 0;
	return filters->count == 1 && strcmp(filters->names[0], section) == 0;
}

/* ---- lines ---------------------------------------------------------------- */

enum line_kind { LINE_BLANK, LINE_COMMENT, LINE_FILTER, LINE_SETTING };

/* As the firmware reads it: its first CONFIG_LINE_BYTES, up to a NUL. */
struct line {
	size_t start, end, next; /* in the text: its bytes without the line end, and where the next one begins */
	enum line_kind kind;
	char text[CONFIG_LINE_BYTES + 1]; /* name and value point into it */
	char *name; /* of the setting, or of the filter; in lower case */
	char *value;
};

static void fold(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static void parse(struct line *line)
{
	char *at = text_trim(line->text);

	line->name = line->value = at;
	line->kind = *at == '\0' ? LINE_BLANK : *at == '#' ? LINE_COMMENT : *at == '[' ? LINE_FILTER : LINE_SETTING;
	if (line->kind == LINE_FILTER) {
		at[strcspn(at, "]")] = '\0';
		line->name = text_trim(at + 1);
	} else if (line->kind == LINE_SETTING) {
		at += strcspn(at, "= \t");
		if (*at != '\0')
			*at++ = '\0';
		line->value = text_trim(at);
		if (*line->value == '=') /* `name = value` */
			line->value = text_trim(line->value + 1);
	}
	fold(line->name);
}

/* The line that begins at `start`. False: the text ends there. */
static bool read_line(const char *text, size_t length, size_t start, struct line *line)
{
	const char *end;
	size_t taken;

	if (start >= length)
		return false;
	end = memchr(text + start, '\n', length - start);
	line->start = start;
	line->end = end ? (size_t)(end - text) : length;
	line->next = end ? line->end + 1 : length;
	if (end && line->end > start && text[line->end - 1] == '\r')
		line->end--;
	taken = line->end - start;
	taken = taken < CONFIG_LINE_BYTES ? taken : CONFIG_LINE_BYTES;
	memcpy(line->text, text + start, taken);
	line->text[taken] = '\0';
	parse(line);
	return true;
}

/* ---- what a setting is ------------------------------------------------------ */

struct setting {
	char section[CONFIG_LINE_BYTES + 1]; /* in lower case */
	char key[CONFIG_LINE_BYTES + 1];     /* likewise */
	const char *value;		     /* NULL: any */
	char line[CONFIG_LINE_BYTES + 1];    /* as it is written */
	bool repeats;
	bool is_parameter;
};

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

static int set_section(struct setting *setting, const char *section)
{
	if (!section || !*section)
		section = "all";
	if (strlen(section) > CONFIG_LINE_BYTES - 2)
		return -E2BIG;
	if (has_control(section) || strpbrk(section, "[]") || text_is_blank(section[0]) || text_is_blank(section[strlen(section) - 1]))
		return -EINVAL;
	strcpy(setting->section, section);
	fold(setting->section);
	return 0;
}

static int describe(struct setting *setting, const char *section, const char *key, const char *value)
{
	bool blank = strcasecmp(key, "initramfs") == 0 || strcasecmp(key, "include") == 0;
	int error = set_section(setting, section), length;

	if (error != 0)
		return error;
	if (!*key || strpbrk(key, "= \t#[") || has_control(key))
		return -EINVAL;
	if (value && (has_control(value) || text_is_blank(*value) || *value == '=' || (*value && text_is_blank(value[strlen(value) - 1]))))
		return -EINVAL;
	length = snprintf(setting->line, sizeof(setting->line), "%s%c%s", key, blank ? ' ' : '=', value ? value : "");
	if (length < 0 || (size_t)length >= sizeof(setting->line))
		return -E2BIG;
	strcpy(setting->key, key);
	fold(setting->key);
	setting->value = value;
	setting->is_parameter = strcmp(setting->key, "dtparam") == 0;
	setting->repeats = setting->is_parameter || strcmp(setting->key, "dtoverlay") == 0 ||
			   strcmp(setting->key, "include") == 0 || strcmp(setting->key, "gpio") == 0;
	return 0;
}

/* dtparam=audio=off and dtparam=audio=on; several in one line are a line of their own. */
static bool same_parameter(const char *a, const char *b)
{
	size_t length = strcspn(a, "=");

	return !strchr(a, ',') && !strchr(b, ',') && length == strcspn(b, "=") && strncmp(a, b, length) == 0;
}

/* ---- the walk --------------------------------------------------------------- */

struct found {
	bool line;	       /* there is one for it, */
	bool same;	       /* which says that already: at line_start up to line_end */
	size_t line_start, line_end;
	bool section;	       /* there is one: */
	size_t section_end;    /* behind its last setting */
	bool overlay;	       /* it has one: */
	size_t overlay_start;
	bool ends_in_all;      /* what is put behind the text counts for every board */
};

static void look_at_setting(struct found *found, const struct setting *setting, const struct line *line)
{
	bool same;

	if (!found->overlay && strcmp(line->name, "dtoverlay") == 0) {
		found->overlay = true;
		found->overlay_start = line->start;
	}
	if (strcmp(line->name, setting->key) != 0)
		return;
	same = strcmp(line->value, setting->value) == 0;
	if (setting->repeats && !same &&
	    !(setting->is_parameter && !found->overlay && same_parameter(line->value, setting->value)))
		return;
	if (setting->repeats && found->same && !setting->is_parameter)
		return;
	found->line = true;
	found->same = same;
	found->line_start = line->start;
	found->line_end = line->end;
}

static struct found look(const char *text, size_t length, const struct setting *setting)
{
	struct filters filters = { .count = 0 };
	struct found found = { .ends_in_all = true };
	bool here = strcmp(setting->section, "all") == 0, settled = false;
	struct line line;

	/* At the top, nothing has to be said for what counts for all. */
	found.section = here;
	for (size_t at = 0; read_line(text, length, at, &line); at = line.next) {
		if (line.kind == LINE_FILTER) {
			apply_filter(&filters, line.name);
			here = is_in_force_alone(&filters, setting->section);
			settled = false;
		}
		if (!here || line.kind == LINE_BLANK)
			continue;
		found.section = true;
		/* Comments belong to what follows them, where there are settings. */
		if (line.kind != LINE_COMMENT || !settled)
			found.section_end = line.next;
		settled = settled || line.kind != LINE_COMMENT;
		if (line.kind == LINE_SETTING)
			look_at_setting(&found, setting, &line);
	}
	found.ends_in_all = filters.count == 0;
	return found;
}

/* ---- putting a text together ------------------------------------------------ */

/* The bytes from `from` to `to` become `what`. */
static int replace(char **text, size_t *length, size_t from, size_t to, const char *what)
{
	size_t added = strlen(what), behind = *length - to;
	char *made = malloc(from + added + behind + 1);

	if (!made)
		return -ENOMEM;
	if (from > 0)
		memcpy(made, *text, from);
	memcpy(made + from, what, added);
	if (behind > 0)
		memcpy(made + from + added, *text + to, behind);
	made[from + added + behind] = '\0';
	free(*text);
	*text = made;
	*length = from + added + behind;
	return 0;
}

static const char *line_end_of(const char *text, size_t length)
{
	const char *end = length > 0 ? memchr(text, '\n', length) : NULL;

	return end && end > text && end[-1] == '\r' ? "\r\n" : "\n";
}

static int insert(char **text, size_t *length, const struct setting *setting, const struct found *found)
{
	const char *end = line_end_of(*text, *length);
	size_t at = !found->section ? *length : found->section_end;
	CLEANUP_FREE char *what = NULL;
	const char *before;

	if (found->section && setting->is_parameter && found->overlay)
		at = found->overlay_start;
	before = at > 0 && (*text)[at - 1] != '\n' ? end : "";
	if (found->section) {
		if (asprintf(&what, "%s%s%s", before, setting->line, end) < 0)
			return -ENOMEM;
	} else if (strcmp(setting->section, "all") == 0) {
		if (asprintf(&what, "%s[all]%s%s%s", before, end, setting->line, end) < 0)
			return -ENOMEM;
	} else if (asprintf(&what, "%s%s%s[%s]%s%s%s[all]%s", before, found->ends_in_all ? "" : "[all]",
			    found->ends_in_all ? "" : end, setting->section, end, setting->line, end, end) < 0) {
		return -ENOMEM;
	}
	return replace(text, length, at, at, what);
}

int config_set(char **text, size_t *length, const char *section, const char *key, const char *value)
{
	struct setting setting;
	struct found found;
	int error = value ? describe(&setting, section, key, value) : -EINVAL;

	if (error != 0)
		return error;
	found = look(*text, *length, &setting);
	if (found.line && found.same)
		return 0;
	if (found.line)
		return replace(text, length, found.line_start, found.line_end, setting.line);
	return insert(text, length, &setting, &found);
}

int config_unset(char **text, size_t *length, const char *section, const char *key, const char *value)
{
	struct filters filters = { .count = 0 };
	struct setting setting;
	struct line line;
	int error = describe(&setting, section, key, value);
	size_t at = 0;

	while (error == 0 && read_line(*text, *length, at, &line)) {
		at = line.next;
		if (line.kind == LINE_FILTER)
			apply_filter(&filters, line.name);
		if (line.kind != LINE_SETTING || !is_in_force_alone(&filters, setting.section) ||
		    strcmp(line.name, setting.key) != 0 || (value && strcmp(line.value, value) != 0))
			continue;
		error = replace(text, length, line.start, line.next, "");
		at = line.start;
	}
	return error;
}

/* ---- as an option has it ---------------------------------------------------- */

/* Cut "[section]" off its beginning or its end; what is left is trimmed. NULL: it has none. */
static char *cut_section(char **line)
{
	size_t length = strlen(*line);
	char *open, *close;

	if (**line == '[') {
		close = strchr(*line, ']');
		if (!close)
			return NULL;
		*close = '\0';
		open = *line + 1;
		*line = text_trim(close + 1);
		return text_trim(open);
	}
	open = strrchr(*line, '[');
	if (!open || open == *line || !text_is_blank(open[-1]) || (*line)[length - 1] != ']')
		return NULL;
	(*line)[length - 1] = '\0';
	*open = '\0';
	*line = text_trim(*line);
	return text_trim(open + 1);
}

int config_set_line(char **text, size_t *length, const char *line)
{
	CLEANUP_FREE char *copy = strdup(line);
	char *key, *value, *section;

	if (!copy)
		return -ENOMEM;
	key = text_trim(copy);
	section = cut_section(&key);
	value = key + strcspn(key, "= \t");
	if (*value == '\0')
		return -EINVAL;
	*value++ = '\0';
	value = text_trim(value);
	return config_set(text, length, section, key, *value == '=' ? text_trim(value + 1) : value);
}
