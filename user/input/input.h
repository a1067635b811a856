/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to model: YAML or JSON of Istio and Kubernetes kinds. Knows no kernel, no sockets, no state
 * folder.
 */
#pragma once
#include "../base/diag.h"
#include "../model/model.h"

enum input_mode {
	/* Objects replace those of the same kind, namespace and name; the rest stays. */
	INPUT_MERGE,
	/*
	 * The input is the whole configuration: services, rules and subsets that it does not name
	 * go, and with a ServiceEntry its endpoints. Who else serves (slices, Pods, drains) is no
	 * configuration: give no base inventory to be rid of it too.
	 */
	INPUT_REPLACE,
};

struct input_result {
	struct model *model;
	struct inventory *inventory;
	size_t taken;   /* objects that became part of the model or inventory */
	size_t passed;  /* objects of kinds that are passed over, one DIAG_NOTE each */
	size_t unknown; /* fields that are not known and ignored, one DIAG_WARNING each */
};

struct input_text {
	const char *name; /* for messages: a path, or "<stdin>" */
	const char *data; /* need not end in NUL */
	size_t size;
};

/* May a label of an object be so? */
bool is_label_key(const char *key);
bool is_label_value(const char *value);

/*
 * Reads files, folders (their *.yaml, *.yml, *.json, sorted by name) and "-" for standard input.
 * 0, or -errno with the reason in `diags`. The texts hang from `parent`.
 */
int input_read(void *parent, const char *const *paths, size_t path_count, struct diags *diags,
	       struct input_text **ret_texts, size_t *ret_count);

/*
 * Applies texts to a base (either may be NULL: empty) and gives a new model and inventory below
 * `parent`; the base is not touched. Returns 0, or -EINVAL when `diags` has an error: then nothing
 * is given.
 */
int input_apply(void *parent, const struct input_text *texts, size_t text_count,
		enum input_mode mode, const struct model *base_model,
		const struct inventory *base_inventory, struct diags *diags,
		struct input_result *ret_result);

/*
 * The canonical YAML of a model: for each service its Service or ServiceEntry, DestinationRule and
 * VirtualService. input_apply takes it back to an equal model, and the same model always gives the
 * same bytes (its digest is over them).
 */
int model_export(void *parent, const struct model *model, char **ret_text);
/* One service alone. */
int service_export(void *parent, const struct service *service, char **ret_text);

/*
 * The same for an inventory: Pods as Pod, groups and drains as documents of sluice.dev/v1
 * (EndpointGroup, Drain), whatever they were read from. input_apply reads them back too.
 */
int inventory_export(void *parent, const struct inventory *inventory, char **ret_text);

/*
 * The same bytes by libyaml's emitter alone, which is slower: for tests that hold the two against
 * each other.
 */
int model_export_whole(void *parent, const struct model *model, char **ret_text);
int inventory_export_whole(void *parent, const struct inventory *inventory, char **ret_text);
