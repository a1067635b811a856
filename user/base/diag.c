// SPDX-License-Identifier: Apache-2.0
#include "diag.h"

#include <stdarg.h>
#include <talloc.h>

static const struct {
	const char *word, *colour;
} levels[] = {
	[DIAG_NOTE] = { "note", "\033[36m" },
	[DIAG_WARNING] = { "warning", "\033[33m" },
	[DIAG_ERROR] = { "error", "\033[31m" },
};

struct diags *diags_new(void *parent)
{
	return talloc_zero(parent, struct diags);
}

void diag_add(struct diags *diags, enum diag_level level, const char *file, unsigned line,
	      unsigned column, const char *path, const char *format, ...)
{
	/* Counted first: an error must refuse the input even when there is no memory to describe
	 * it. */
	if (level == DIAG_ERROR)
		diags->errors++;
	else if (level == DIAG_WARNING)
		diags->warnings++;

	struct diag *list = diags->list;
	if ((diags->count & (diags->count - 1)) == 0) {
		list = talloc_realloc(diags, list, struct diag,
				      diags->count ? diags->count * 2 : 1);
		if (!list)
			return;
		diags->list = list;
	}

	va_list args;
	va_start(args, format);
	list[diags->count++] = (struct diag){
		.level = level,
		.file = file ? talloc_strdup(diags, file) : NULL,
		.line = line,
		.column = column,
		.path = path ? talloc_strdup(diags, path) : NULL,
		.text = talloc_vasprintf(diags, format, args),
	};
	va_end(args);
}

void diags_print(const struct diags *diags, FILE *out, bool colour)
{
	for (size_t i = 0; i < diags->count; i++) {
		const struct diag *d = &diags->list[i];

		if (d->file && d->line)
			fprintf(out, "%s:%u:%u: ", d->file, d->line, d->column);
		else if (d->file)
			fprintf(out, "%s: ", d->file);
		fprintf(out, "%s%s%s: ", colour ? levels[d->level].colour : "",
			levels[d->level].word, colour ? "\033[0m" : "");
		if (d->path && *d->path)
			fprintf(out, "%s: ", d->path);
		fprintf(out, "%s\n", d->text ? d->text : "(no memory for the text)");
	}
}
