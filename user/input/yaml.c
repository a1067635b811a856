// SPDX-License-Identifier: Apache-2.0
/* libyaml's events to our tree. JSON is taken as the flow style of YAML that it is. */
#include "node.h"

#include <errno.h>
#include <string.h>
#include <talloc.h>
#include <yaml.h>

#include "../base/cleanup.h"
#include "yaml_plain.h"

#define BLOCK_SIZE 65536

/* Half of a text's scalars are keys: no node each. */
struct key {
	const char *text; /* NULL: none waits */
	unsigned line, column;
};

struct anchor {
	const char *name;
	const struct node *node;
	struct anchor *next;
};

struct parse {
	yaml_parser_t parser;
	const struct input_text *text;
	struct diags *diags;
	void *memory;
	char *block; /* nodes are many and small, and die together: no talloc header each */
	size_t block_used;
	struct node *documents, *last_document;
	struct node *open; /* the collection that is being filled */
	struct key key;    /* the one that waits for its value */
	unsigned depth;
	size_t node_count, alias_count, anchor_count;
	struct anchor *anchors;
	bool has_failed;
};

static void parse_cleanup(struct parse *parse)
{
	yaml_parser_delete(&parse->parser);
}

static int parse_error(struct parse *parse, yaml_mark_t mark, const char *text)
{
	diag_add(parse->diags, DIAG_ERROR, parse->text->name, mark.line + 1, mark.column + 1, NULL,
		 "%s", text);
	return -EINVAL;
}

static void *parse_alloc(struct parse *parse, size_t size)
{
	size = (size + 7) & ~(size_t)7;
	if (size > BLOCK_SIZE / 4)
		return talloc_zero_size(parse->memory, size);
	if (!parse->block || parse->block_used + size > BLOCK_SIZE) {
		parse->block = talloc_zero_size(parse->memory, BLOCK_SIZE);
		parse->block_used = 0;
	}
	if (!parse->block)
		return NULL;
	parse->block_used += size;
	return parse->block + parse->block_used - size;
}

static const char *parse_strdup(struct parse *parse, const char *text, size_t length)
{
	char *copy = parse_alloc(parse, length + 1);

	return copy ? memcpy(copy, text, length) : NULL;
}

static int compare_keys(const void *a, const void *b)
{
	return strcmp((*(struct node *const *)a)->key, (*(struct node *const *)b)->key);
}

/* Sorting keeps a map of a million keys from costing their square. */
static int check_keys(struct parse *parse, const struct node *map)
{
	_cleanup_talloc_ struct node **keys = talloc_array(NULL, struct node *, map->count + 1);
	size_t count = 0;

	if (!keys)
		return -ENOMEM;
	for (struct node *child = map->first; child; child = child->next)
		keys[count++] = child;
	qsort(keys, count, sizeof(*keys), compare_keys);
	for (size_t i = 1; i < count; i++) {
		if (strcmp(keys[i - 1]->key, keys[i]->key))
			continue;
		bool is_later = keys[i]->key_line > keys[i - 1]->key_line ||
				(keys[i]->key_line == keys[i - 1]->key_line &&
				 keys[i]->key_column > keys[i - 1]->key_column);
		const struct node *second = keys[is_later ? i : i - 1];
		const struct node *first = keys[is_later ? i - 1 : i];

		node_report_key(parse->diags, DIAG_ERROR, second,
				"found the key \"%.80s\" a second time, the first is at line %u; "
				"a key may stand once in a map",
				second->key, first->key_line);
		return -EINVAL;
	}
	return 0;
}

static void node_attach(struct parse *parse, struct node *parent, struct node *node)
{
	node->parent = parent;
	if (parent->kind == NODE_LIST)
		node->index = parent->count;
	if (parent->last)
		parent->last->next = node;
	else
		parent->first = node;
	parent->last = node;
	parent->count++;
}

static bool is_key_next(const struct parse *parse)
{
	return parse->open && parse->open->kind == NODE_MAP && !parse->key.text;
}

static int key_take(struct parse *parse, const char *text, bool is_plain, yaml_mark_t mark)
{
	if (is_plain && !strcmp(text, "<<"))
		return parse_error(parse, mark,
				   "found the merge key \"<<\", which is not supported; write the "
				   "fields out");
	parse->key = (struct key){ text, mark.line + 1, mark.column + 1 };
	return 0;
}

/* The first scalar in a map is a key; it waits until its value comes. */
static int node_place_in_open(struct parse *parse, struct node *node, yaml_mark_t mark)
{
	struct node *open = parse->open;

	if (!open) {
		node->file = parse->text->name;
		if (parse->last_document)
			parse->last_document->next = node;
		else
			parse->documents = node;
		parse->last_document = node;
		return 0;
	}
	if (is_key_next(parse)) {
		if (node->kind != NODE_SCALAR)
			return parse_error(parse, mark,
					   "found a list or a map as a key; a key must be text");
		return key_take(parse, node->text, node->is_plain, mark);
	}
	if (open->kind == NODE_MAP) {
		node->key = parse->key.text;
		node->key_line = parse->key.line;
		node->key_column = parse->key.column;
		parse->key.text = NULL;
	}
	node_attach(parse, open, node);
	return 0;
}

static int node_new(struct parse *parse, enum node_kind kind, yaml_mark_t mark,
		    struct node **ret_node)
{
	if (++parse->node_count > NODE_COUNT_MAX)
		return parse_error(parse, mark,
				   "the text has too many fields; at most 8000000 are allowed");

	struct node *node = parse_alloc(parse, sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->kind = kind;
	node->line = mark.line + 1;
	node->column = mark.column + 1;
	*ret_node = node;
	return 0;
}

static int anchor_add(struct parse *parse, const yaml_char_t *name, const struct node *node,
		      yaml_mark_t mark)
{
	if (!name)
		return 0;
	if (++parse->anchor_count > ANCHORS_MAX)
		return parse_error(parse, mark, "too many anchors; at most 1000 are allowed");

	struct anchor *anchor = parse_alloc(parse, sizeof(*anchor));
	if (!anchor)
		return -ENOMEM;
	anchor->name = parse_strdup(parse, (const char *)name, strlen((const char *)name));
	anchor->node = node;
	anchor->next = parse->anchors;
	if (!anchor->name)
		return -ENOMEM;
	parse->anchors = anchor;
	return 0;
}

/* Tags that say what is so anyway are let through; the others would change the meaning unseen. */
static bool is_tag_known(const yaml_char_t *tag, const char *same)
{
	return !tag || !strcmp((const char *)tag, same) || !strcmp((const char *)tag, "!");
}

static int on_scalar(struct parse *parse, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	const yaml_char_t *tag = event->data.scalar.tag;
	struct node *node;

	if (memchr(value, '\0', length))
		return parse_error(parse, event->start_mark,
				   "found a NUL character, which no field allows");
	if (!is_tag_known(tag, YAML_STR_TAG))
		return parse_error(parse, event->start_mark,
				   "found a tag other than !!str, which is not supported");

	const char *text = parse_strdup(parse, value, length);
	bool is_plain = !tag && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (!text)
		return -ENOMEM;
	/* A key with an anchor is a value as well. */
	if (is_key_next(parse) && !event->data.scalar.anchor)
		return key_take(parse, text, is_plain, event->start_mark);

	int r = node_new(parse, NODE_SCALAR, event->start_mark, &node);
	if (r < 0)
		return r;
	node->text = text;
	node->is_plain = is_plain;
	r = anchor_add(parse, event->data.scalar.anchor, node, event->start_mark);
	return r < 0 ? r : node_place_in_open(parse, node, event->start_mark);
}

static int on_open(struct parse *parse, enum node_kind kind, yaml_mark_t mark,
		   const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct node *node;

	if (++parse->depth > NODE_DEPTH_MAX)
		return parse_error(parse, mark,
				   "lists and maps are nested too deep; at most 100 are allowed");
	if (!is_tag_known(tag, kind == NODE_MAP ? YAML_MAP_TAG : YAML_SEQ_TAG))
		return parse_error(parse, mark, "found a tag, which is not supported");

	int r = node_new(parse, kind, mark, &node);
	if (r < 0)
		return r;
	r = node_place_in_open(parse, node, mark);
	if (r < 0)
		return r;
	r = anchor_add(parse, anchor, node, mark);
	parse->open = node;
	return r;
}

static int on_close(struct parse *parse)
{
	struct node *closed = parse->open;

	parse->depth--;
	parse->open = (struct node *)closed->parent;
	return closed->kind == NODE_MAP ? check_keys(parse, closed) : 0;
}

static int alias_copy(struct parse *parse, const struct node *from, unsigned depth,
		      yaml_mark_t mark, struct node **ret_node)
{
	struct node *copy, *child_copy;

	if (depth > NODE_DEPTH_MAX)
		return parse_error(parse, mark,
				   "aliases nest too deep; at most 100 levels are allowed");
	if (++parse->alias_count > ALIAS_NODES_MAX)
		return parse_error(parse, mark,
				   "aliases add too many fields; at most 100000 are allowed");

	int r = node_new(parse, from->kind, mark, &copy);
	if (r < 0)
		return r;
	*copy = *from;
	copy->first = copy->last = copy->next = NULL;
	copy->parent = NULL;
	copy->key = NULL;
	copy->count = 0;
	for (const struct node *child = from->first; child; child = child->next) {
		r = alias_copy(parse, child, depth + 1, mark, &child_copy);
		if (r < 0)
			return r;
		child_copy->key = child->key;
		child_copy->key_line = child->key_line;
		child_copy->key_column = child->key_column;
		node_attach(parse, copy, child_copy);
	}
	*ret_node = copy;
	return 0;
}

static bool is_open(const struct parse *parse, const struct node *node)
{
	for (const struct node *open = parse->open; open; open = open->parent)
		if (open == node)
			return true;
	return false;
}

static int on_alias(struct parse *parse, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = parse->anchors;
	struct node *copy;

	while (anchor && strcmp(anchor->name, name))
		anchor = anchor->next;
	if (!anchor)
		return parse_error(parse, event->start_mark,
				   "found an alias of an anchor that is not above it");
	if (is_open(parse, anchor->node))
		return parse_error(parse, event->start_mark,
				   "found an alias inside its own anchor");

	int r = alias_copy(parse, anchor->node, parse->depth, event->start_mark, &copy);
	return r < 0 ? r : node_place_in_open(parse, copy, event->start_mark);
}

static int on_event(struct parse *parse, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(parse, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(parse, NODE_LIST, event->start_mark,
			       event->data.sequence_start.anchor, event->data.sequence_start.tag);
	case YAML_MAPPING_START_EVENT:
		return on_open(parse, NODE_MAP, event->start_mark, event->data.mapping_start.anchor,
			       event->data.mapping_start.tag);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(parse);
	case YAML_ALIAS_EVENT:
		return on_alias(parse, event);
	case YAML_DOCUMENT_START_EVENT:
		parse->anchors = NULL;
		return 0;
	default:
		return 0;
	}
}

static void place_of_offset(const struct input_text *text, size_t offset, yaml_mark_t *ret_mark)
{
	yaml_mark_t mark = {};

	for (size_t i = 0; i < offset && i < text->size; i++) {
		/* Columns count characters, not bytes, as libyaml's do. */
		if (text->data[i] == '\n')
			mark = (yaml_mark_t){ .line = mark.line + 1 };
		else if (((unsigned char)text->data[i] & 0xc0) != 0x80)
			mark.column++;
	}
	*ret_mark = mark;
}

static int parser_error(struct parse *parse)
{
	yaml_parser_t *parser = &parse->parser;
	yaml_mark_t mark = parser->problem_mark;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		place_of_offset(parse->text, parser->problem_offset, &mark);

	const char *what = parser->error == YAML_READER_ERROR ? "the text is not UTF-8"
							      : "the text is not YAML or JSON";
	diag_add(parse->diags, DIAG_ERROR, parse->text->name, mark.line + 1, mark.column + 1, NULL,
		 "%s: %s%s%s", what, parser->problem ? parser->problem : "unknown error",
		 parser->context ? " " : "", parser->context ? parser->context : "");
	return -EINVAL;
}

static int parse_events(struct parse *parse)
{
	for (bool is_end = false; !is_end;) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parse->parser, &event))
			return parser_error(parse);
		int r = on_event(parse, &event);
		is_end = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Once an encoding is set, libyaml takes a byte order mark for text. */
static struct input_text text_without_mark(const struct input_text *text)
{
	static const char mark[3] = { (char)0xef, (char)0xbb, (char)0xbf };
	struct input_text bare = *text;

	if (bare.size < sizeof(mark) || memcmp(bare.data, mark, sizeof(mark)))
		return bare;
	bare.data += sizeof(mark);
	bare.size -= sizeof(mark);
	return bare;
}

int yaml_parse_whole(void *parent, const struct input_text *text, struct diags *diags,
		     struct node **ret_documents)
{
	struct input_text whole = *text;
	__attribute__((cleanup(parse_cleanup))) struct parse parse = {
		.text = &whole,
		.diags = diags,
		.memory = parent,
	};

	int r = json_pairs_join(parent, &whole);

	if (r < 0 || !yaml_parser_initialize(&parse.parser))
		return -ENOMEM;
	/* Never guess: a text that starts like UTF-16 is refused, not read as something else. */
	yaml_parser_set_encoding(&parse.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parse.parser, (const unsigned char *)whole.data, whole.size);

	r = parse_events(&parse);
	if (r < 0)
		return r;
	*ret_documents = parse.documents;
	return 0;
}

int yaml_parse(void *parent, const struct input_text *text, struct diags *diags,
	       struct node **ret_documents)
{
	struct input_text bare = text_without_mark(text);
	bool is_taken;
	int r = yaml_plain_parse(parent, &bare, &is_taken, ret_documents);

	return r < 0 || is_taken ? r : yaml_parse_whole(parent, &bare, diags, ret_documents);
}
