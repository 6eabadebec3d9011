/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions: /dev/ptefault opened, asked what it can do, and closed. All that
 * the module has to remember belongs to a session and is undone when it
 * closes, however it closes.
 *
 * A session may be used by several threads at once. After fork() parent and
 * child share it; its own address space stays the one that opened it.
 */
#ifndef PTEFAULT_SESSION_H
#define PTEFAULT_SESSION_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

struct ptf_session;

/**
 * struct ptf_session_options - how to open a session
 * @size: sizeof(struct ptf_session_options)
 * @flags: must be 0
 * @required: PTF_FEATURE_* bits without which opening fails (EOPNOTSUPP)
 * @device: path of the node, NULL for /dev/ptefault
 */
struct ptf_session_options {
	uint32_t size;
	uint32_t flags;
	uint64_t required;
	const char *device;
};

/**
 * @brief Open a session.
 * @param options NULL for the defaults
 * @param out the session, to be closed with ptf_session_close()
 * @return 0, or -ENOENT or -ENODEV (the module is not loaded), -EACCES,
 *	-EPERM, -EOPNOTSUPP (a required feature is missing), -ENOTTY (the node
 *	is something else), -EPROTO (the module speaks another version), -ENOMEM
 */
PTF_API int ptf_session_open(const struct ptf_session_options *options,
			     struct ptf_session **out);

/**
 * @brief Make a session of an open fd of /dev/ptefault that was passed on. The
 *	session's own address space is that of the process that opened the fd.
 * @param fd becomes the session's and is closed with it; on failure it stays
 *	the caller's. Whether it blocks is left as it is: of a blocking one only
 *	one thread should read events at a time
 * @param out the session
 * @return as ptf_session_open()
 */
PTF_API int ptf_session_from_fd(int fd, struct ptf_session **out);

/**
 * @brief Close a session; the module undoes what it remembered for it. Close
 *	its targets first.
 * @param session may be NULL
 */
PTF_API void ptf_session_close(struct ptf_session *session);

/**
 * @brief The session's file descriptor; it stays the session's. One of
 *	ptf_session_open() is closed on exec and non-blocking. It polls readable
 *	(POLLIN) when there are events to read.
 */
PTF_API int ptf_session_fd(const struct ptf_session *session);

/**
 * @brief What this module on this kernel can do, as read when the session was
 *	opened.
 * @return never NULL, valid as long as the session
 */
PTF_API const struct ptf_ioc_features_get *
ptf_session_features(const struct ptf_session *session);

/**
 * @brief Can this advice be served here, by the module or, as SWAPOUT, with its
 *	rows over what the kernel has?
 * @param advice PTF_ADV_*
 * @return 1 yes, 0 no (also for values that are not the module's)
 */
PTF_API int ptf_session_has_advice(const struct ptf_session *session,
				   unsigned int advice);

/**
 * @brief Counters of the session and of the module.
 * @param out filled in
 * @return 0 or a negative errno
 */
PTF_API int ptf_session_stat(const struct ptf_session *session,
			     struct ptf_ioc_session_stat *out);

/**
 * @brief The name of a feature, such as "query".
 * @param feature exactly one PTF_FEATURE_* bit
 * @return a static string, NULL for an unknown one
 */
PTF_API const char *ptf_feature_name(uint64_t feature);

PTF_END_DECLS

#endif
