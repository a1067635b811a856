// SPDX-License-Identifier: Apache-2.0
#include "work.h"

const char *keep_text(struct work *work, void *parent, const char *text)
{
	if (!*text)
		return "";

	const char *copy = talloc_strdup(parent, text);
	work->is_failed |= !copy;
	return copy ? copy : "";
}

/* NULL for none of them too, as the model's other makers do. */
void *keep_array(struct work *work, void *parent, size_t size, size_t count)
{
	if (!count)
		return NULL;

	void *array = talloc_zero_size(parent, size * count);
	work->is_failed |= !array;
	return array;
}

struct label_list keep_labels(struct work *work, void *parent, const struct label_list *labels)
{
	struct label *list = KEEP_ARRAY(work, parent, struct label, labels->count);

	if (!list)
		return (struct label_list){};
	for (size_t i = 0; i < labels->count; i++)
		list[i] = (struct label){ keep_text(work, parent, labels->list[i].key),
					  keep_text(work, parent, labels->list[i].value) };
	return (struct label_list){ list, labels->count };
}
