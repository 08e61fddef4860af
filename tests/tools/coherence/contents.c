/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contents.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static const struct states *states;
static struct content *contents; /* [state][name] */

static struct content *content_of(unsigned state, unsigned name)
{
	return &contents[state * (states->name_count + 1) + name];
}

void add_name(struct content *content, const char *name)
{
	content->hash += XXH3_64bits(name, strlen(name));
	content->size++;
}

bool is_directory(unsigned state, unsigned name)
{
	return name == states->name_count || states->state[state].files[name].kind == DIRECTORY;
}

bool is_there(unsigned state, unsigned name)
{
	return name == states->name_count || states->state[state].files[name].kind != ABSENT;
}

static void learn(unsigned state, unsigned name, unsigned char *bytes)
{
	struct content *content = content_of(state, name);
	int parent = name == states->name_count ? -1 : (int)name;
	const struct file *file;
	const char *child;

	if (is_directory(state, name)) {
		for (unsigned i = 0; i < states->name_count; i++)
			if (is_there(state, i) && (child = child_of(states, parent, i)))
				add_name(content, child);
		return;
	}
	file = &states->state[state].files[name];
	if (file->kind != REGULAR)
		return;
	file_bytes(file, states->state[state].bytes, bytes);
	*content = (struct content){ XXH3_64bits(bytes, file->size), file->size };
}

void contents_learn(const struct states *all)
{
	unsigned char *bytes = allocate(all->image_bytes);

	states = all;
	contents = allocate(states->count * (states->name_count + 1) * sizeof(*contents));
	for (unsigned state = 0; state < states->count; state++)
		for (unsigned name = 0; name <= states->name_count; name++)
			learn(state, name, bytes);
	free(bytes);
}

uint64_t states_with(unsigned name, const struct content *content, bool listing)
{
	uint64_t mask = 0;

	for (unsigned state = 0; state < states->count; state++)
		if (is_there(state, name) && is_directory(state, name) == listing &&
		    !memcmp(content_of(state, name), content, sizeof(*content)))
			mask |= UINT64_C(1) << state;
	return mask;
}

uint64_t states_without(unsigned name)
{
	uint64_t mask = 0;

	for (unsigned state = 0; state < states->count; state++)
		if (!is_there(state, name))
			mask |= UINT64_C(1) << state;
	return mask;
}
