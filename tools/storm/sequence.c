/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/storm/sequence.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tools/storm/firmware.h"

#define TEXT_BYTES_MAX 65536
#define WORDS_MAX 32

const char *sequence_of_model(const char *model)
{
	if (strcmp(model, "3") == 0)
		return firmware_pi3;
	if (strcmp(model, "4") == 0)
		return firmware_pi4;
	if (strcmp(model, "5") == 0)
		return firmware_pi5;
	return NULL;
}

char *sequence_load(const char *path)
{
	CLEANUP_FREE char *text = calloc(1, TEXT_BYTES_MAX + 1);
	FILE *file = fopen(path, "re");
	size_t length;
	int error;

	if (!text || !file) {
		if (file)
			fclose(file);
		return NULL;
	}
	length = fread(text, 1, TEXT_BYTES_MAX, file);
	error = ferror(file) ? errno : length == TEXT_BYTES_MAX ? EFBIG : 0;
	fclose(file);
	errno = error;
	return error ? NULL : STEAL_POINTER(text);
}

int sequence_add(struct sequence *sequence, enum step_kind kind, const char *name, unsigned number)
{
	struct step *steps = reallocarray(sequence->steps, sequence->count + 1, sizeof(*steps));
	char *copy = strdup(name);

	if (steps)
		sequence->steps = steps;
	if (!steps || !copy) {
		free(copy);
		return -ENOMEM;
	}
	steps[sequence->count++] = (struct step){ .kind = kind, .name = copy, .number = number };
	return 0;
}

static int add_file_of(struct sequence *sequence, const char *directory, const struct dirent *entry)
{
	CLEANUP_FREE char *name = NULL;

	if (entry->d_name[0] == '.')
		return 0;
	if (asprintf(&name, "%s/%s", directory, entry->d_name) < 0)
		return -ENOMEM;
	return sequence_add(sequence, STEP_FILE, name, 0);
}

/* Every file of a directory: none of it if it is not there. */
static int add_directory(struct sequence *sequence, const char *top, const char *name)
{
	CLEANUP_FREE char *path = NULL;
	struct dirent **entries;
	int count, result = 0;

	if (!top)
		return 0;
	if (asprintf(&path, "%s/%s", top, name) < 0)
		return -ENOMEM;
	count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		return errno == ENOENT ? 0 : -errno;
	for (int i = 0; i < count; i++) {
		if (result == 0)
			result = add_file_of(sequence, name, entries[i]);
		free(entries[i]);
	}
	free(entries);
	return result;
}

static int add_prefix(struct sequence *sequence, char **words, size_t count)
{
	size_t first = sequence->count;

	for (size_t i = 1; i < count; i++) {
		int result = sequence_add(sequence, STEP_PREFIX, words[i], 0);

		if (result != 0)
			return result;
	}
	for (size_t i = first; i < sequence->count; i++)
		sequence->steps[i].names = sequence->count - i;
	return 0;
}

static int add_number(struct sequence *sequence, enum step_kind kind, const char *word, unsigned least,
		      unsigned most)
{
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	if (*end || number < least || number > most)
		return -EINVAL;
	return sequence_add(sequence, kind, word, (unsigned)number);
}

static int read_words(struct sequence *sequence, char **words, size_t count, const char *directory)
{
	static const struct {
		const char *word;
		enum step_kind kind;
	} plain[] = {
		{ "rom", STEP_ROM },   { "probe", STEP_PROBE },	 { "fetch", STEP_FETCH },
		{ "file", STEP_FILE }, { "repeat", STEP_FETCH }, { "deaf", STEP_FETCH },
	};

	if (count >= 2 && strcmp(words[0], "prefix") == 0)
		return add_prefix(sequence, words, count);
	if (count != 2)
		return -EINVAL;
	if (strcmp(words[0], "blksize") == 0)
		return add_number(sequence, STEP_BLKSIZE, words[1], 8, 65464);
	if (strcmp(words[0], "slashes") == 0)
		return add_number(sequence, STEP_SLASHES, words[1], 1, 8);
	if (strcmp(words[0], "dir") == 0)
		return add_directory(sequence, directory, words[1]);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (strcmp(words[0], plain[i].word) == 0)
			return sequence_add(sequence, plain[i].kind, words[1], 0);
	return -EINVAL;
}

static int read_line(struct sequence *sequence, char *line, const char *directory)
{
	char *words[WORDS_MAX], *rest = NULL;
	size_t count = 0;

	line[strcspn(line, "#")] = '\0';
	for (char *word = strtok_r(line, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
		if (count == WORDS_MAX)
			return -EINVAL;
		words[count++] = word;
	}
	return count == 0 ? 0 : read_words(sequence, words, count, directory);
}

int sequence_read(struct sequence *sequence, const char *text, const char *directory, size_t *line)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *next = copy;

	if (!copy)
		return -ENOMEM;
	for (*line = 1; next; (*line)++) {
		char *at = strsep(&next, "\n");
		int result = read_line(sequence, at, directory);

		if (result != 0)
			return result;
	}
	return 0;
}

void sequence_free(struct sequence *sequence)
{
	for (size_t i = 0; i < sequence->count; i++)
		free(sequence->steps[i].name);
	free(sequence->steps);
	*sequence = (struct sequence){ 0 };
}
