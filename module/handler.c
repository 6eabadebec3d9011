// SPDX-License-Identifier: GPL-2.0-only
/* Fault handlers of other modules: their names, and that none goes while used. */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include "rule.h"

static DEFINE_MUTEX(ptf_handler_mutex);
static LIST_HEAD(ptf_handlers);

static struct ptf_handler *ptf_handler_find(const char *name)
{
	struct ptf_handler *h;

	list_for_each_entry(h, &ptf_handlers, list)
		if (!strcmp(h->name, name))
			return h;
	return NULL;
}

int ptf_handler_register(struct ptf_handler *h)
{
	int err = -EEXIST;

	if (!h->name || !*h->name || strlen(h->name) >= PTF_HANDLER_NAME_LEN || !h->fault)
		return -EINVAL;
	mutex_lock(&ptf_handler_mutex);
	if (!ptf_handler_find(h->name)) {
		list_add_tail(&h->list, &ptf_handlers);
		err = 0;
	}
	mutex_unlock(&ptf_handler_mutex);
	return err;
}
EXPORT_SYMBOL_GPL(ptf_handler_register);

void ptf_handler_unregister(struct ptf_handler *h)
{
	mutex_lock(&ptf_handler_mutex);
	list_del(&h->list);
	mutex_unlock(&ptf_handler_mutex);
}
EXPORT_SYMBOL_GPL(ptf_handler_unregister);

/* By name, with a hold on its module; NULL if there is none or it is going. */
const struct ptf_handler *ptf_handler_get(const char *name)
{
	struct ptf_handler *h;

	mutex_lock(&ptf_handler_mutex);
	h = ptf_handler_find(name);
	if (h && !try_module_get(h->owner))
		h = NULL;
	mutex_unlock(&ptf_handler_mutex);
	return h;
}

void ptf_handler_put(const struct ptf_handler *h)
{
	if (h)
		module_put(h->owner);
}
