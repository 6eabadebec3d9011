/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failure detail: what the last failed call of this thread wanted, how far it
 * came, and what can be done about it.
 */
#ifndef PTEFAULT_ERROR_H
#define PTEFAULT_ERROR_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/* Which layer refused. VMA, filemap and PTE are the three of the report. */
enum ptf_layer {
	PTF_LAYER_NONE,
	PTF_LAYER_ARGUMENT,	/* the library, before any system call */
	PTF_LAYER_VMA,
	PTF_LAYER_FILEMAP,
	PTF_LAYER_PTE,
	PTF_LAYER_PROCESS,	/* the target process: gone, no right */
	PTF_LAYER_MODULE	/* /dev/ptefault itself: absent, too old */
};

/**
 * struct ptf_failure - how the last failed call of this thread failed
 * @size: sizeof(struct ptf_failure) of the library; fields are only added
 * @err: the errno, positive; 0 if nothing failed yet
 * @addr: the address at which it failed, or NULL
 * @wanted: bytes asked for
 * @done: bytes done before it failed
 * @layer: enum ptf_layer
 * @annotation: the name of the range or of what stands in its way, or ""
 * @op: the call, such as "ptf_map_protect"
 * @way: what can be done about it, or ""
 */
struct ptf_failure {
	uint32_t size;
	int err;
	const void *addr;
	size_t wanted;
	size_t done;
	uint32_t layer;
	char op[36];
	char annotation[128];
	char way[160];
};

/**
 * @brief Detail of the last failed call of this thread.
 *
 * Calls that succeed leave it alone, as with errno.
 * @return never NULL; valid until the next failure in this thread, and not
 *	after the thread ended
 */
PTF_API const struct ptf_failure *ptf_failure_last(void);

/**
 * @brief Forget the last failure of this thread (err becomes 0).
 */
PTF_API void ptf_failure_clear(void);

/**
 * @brief The last failure of this thread as one line for people: the call, the
 *	address, the layer, how far it came, and the way out.
 * @param buf where to; always ends with a NUL if len > 0
 * @param len its size in bytes
 * @return the length that the text has (as snprintf), 0 if nothing failed
 */
PTF_API size_t ptf_failure_text(char *buf, size_t len);

/**
 * @brief The name of a layer, such as "filemap".
 * @param layer enum ptf_layer
 * @return a static string, "?" for an unknown one
 */
PTF_API const char *ptf_layer_name(unsigned int layer);

PTF_END_DECLS

#endif
