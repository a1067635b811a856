// SPDX-License-Identifier: Apache-2.0
/*
 * The bytes that libyaml's emitter would write, for what our exports are made of: block maps and
 * lists, short keys, and texts that need no more than quotes. At anything else it gives up, and the
 * export is made by libyaml instead.
 */
#include "emit_plain.h"

#include <ctype.h>
#include <string.h>
#include <talloc.h>

#define KEY_LENGTH_MAX 120 /* libyaml writes longer ones as "? KEY" */

static bool room_make(struct emit_plain *plain, size_t size)
{
	size_t capacity = (plain->size + size + 1) * 2;
	char *text;

	if (plain->size + size < plain->capacity)
		return true;
	text = talloc_realloc(plain->parent, plain->text, char, capacity);
	plain->is_failed |= !text;
	if (!text)
		return false;
	plain->text = text;
	plain->capacity = capacity;
	return true;
}

static void put(struct emit_plain *plain, const char *text, size_t size)
{
	if (plain->is_failed || !room_make(plain, size))
		return;
	memcpy(plain->text + plain->size, text, size);
	plain->size += size;
	plain->text[plain->size] = 0;
}

#define PUT(plain, text) put(plain, text, strlen(text))

static void spaces_put(struct emit_plain *plain, unsigned count)
{
	for (; count; count--)
		PUT(plain, " ");
}

static struct emit_level *level_top(struct emit_plain *plain)
{
	return plain->depth ? &plain->levels[plain->depth - 1] : NULL;
}

static void level_push(struct emit_plain *plain, bool is_list, unsigned indent)
{
	if (plain->depth == EMIT_DEPTH_MAX) {
		plain->is_unusual = true;
		return;
	}
	plain->levels[plain->depth++] = (struct emit_level){ .is_list = is_list, .indent = indent };
}

/* libyaml writes what is empty in another style: the exports have no such thing but one list. */
static void level_pop(struct emit_plain *plain)
{
	if (!plain->depth || !level_top(plain)->count)
		plain->is_unusual = true;
	else
		plain->depth--;
}

/* What libyaml writes without quotes wherever it stands, by its first character and all others. */
static bool is_bare(const char *text)
{
	if (!isalnum((unsigned char)*text) && *text != '_' && *text != '/')
		return false;
	for (; *text; text++)
		if (!isalnum((unsigned char)*text) && !strchr("_./-", *text) &&
		    (*text != ':' || !isalnum((unsigned char)text[1])))
			return false;
	return true;
}

static bool is_quotable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
			return false;
	return true;
}

static void scalar_put(struct emit_plain *plain, const char *text, bool is_quoted)
{
	if (is_quoted ? !is_quotable(text) : !is_bare(text)) {
		plain->is_unusual = true;
		return;
	}
	if (is_quoted)
		PUT(plain, "\"");
	PUT(plain, text);
	if (is_quoted)
		PUT(plain, "\"");
}

/* The first key of a map that is a list's entry stands behind the dash. */
static void key_put(struct emit_plain *plain, struct emit_level *map, const char *text,
		    bool is_quoted)
{
	if (map->count || !map->is_behind_dash)
		spaces_put(plain, map->indent);
	plain->is_unusual |= strlen(text) > KEY_LENGTH_MAX;
	scalar_put(plain, text, is_quoted);
	PUT(plain, ":");
}

void emit_plain_scalar(struct emit_plain *plain, const char *text, bool is_quoted)
{
	struct emit_level *top = level_top(plain);

	if (!top || plain->is_unusual) {
		plain->is_unusual = true;
		return;
	}
	if (!top->is_list && !top->has_key) {
		key_put(plain, top, text, is_quoted);
		top->has_key = true;
		top->count++;
		return;
	}
	if (top->is_list) {
		spaces_put(plain, top->indent);
		PUT(plain, "- ");
		top->count++;
	} else {
		PUT(plain, " ");
		top->has_key = false;
	}
	scalar_put(plain, text, is_quoted);
	PUT(plain, "\n");
}

void emit_plain_map(struct emit_plain *plain)
{
	struct emit_level *top = level_top(plain);

	if (!top) {
		level_push(plain, false, 0);
		return;
	}
	if (top->is_list) {
		spaces_put(plain, top->indent);
		PUT(plain, "- ");
		top->count++;
		level_push(plain, false, top->indent + 2);
		level_top(plain)->is_behind_dash = true;
		return;
	}
	plain->is_unusual |= !top->has_key;
	top->has_key = false;
	PUT(plain, "\n");
	level_push(plain, false, top->indent + 2);
}

/* Under a key, and no further in than the key. */
void emit_plain_list(struct emit_plain *plain)
{
	struct emit_level *top = level_top(plain);

	if (!top || top->is_list || !top->has_key) {
		plain->is_unusual = true;
		return;
	}
	top->has_key = false;
	PUT(plain, "\n");
	level_push(plain, true, top->indent);
}

void emit_plain_empty_list(struct emit_plain *plain)
{
	struct emit_level *top = level_top(plain);

	if (!top || top->is_list || !top->has_key) {
		plain->is_unusual = true;
		return;
	}
	top->has_key = false;
	PUT(plain, " []\n");
}

void emit_plain_end(struct emit_plain *plain)
{
	struct emit_level *top = level_top(plain);

	plain->is_unusual |= !top || top->has_key;
	level_pop(plain);
}

void emit_plain_document(struct emit_plain *plain)
{
	plain->is_unusual |= plain->depth > 0;
	PUT(plain, "---\n");
}
