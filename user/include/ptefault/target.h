/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Targets: the address spaces that a session acts on. Wherever a function
 * takes a target, NULL is the address space that opened the session.
 */
#ifndef PTEFAULT_TARGET_H
#define PTEFAULT_TARGET_H

#include <ptefault/session.h>

PTF_BEGIN_DECLS

struct ptf_target;

/**
 * @brief Open the address space of a process.
 *
 * A pidfd is taken before the module is asked, and looked at after: a pid
 * that is given to another process meanwhile is not mistaken for the first.
 * After exec or exit of the process every call on the target is -ESRCH.
 *
 * @param session the session that will act on it; must outlive the target
 * @param pid process or thread, in the caller's pid namespace
 * @param out the target, to be closed with ptf_target_close()
 * @return 0, or -ESRCH (no such process, a zombie, a kernel thread), -EPERM
 *	(no CAP_SYS_PTRACE over its user namespace), -ENOSPC (too many targets
 *	in the session), -EINVAL (pid below 1), -ENOMEM, -EMFILE
 */
PTF_API int ptf_target_open(struct ptf_session *session, pid_t pid,
			    struct ptf_target **out);

/**
 * @brief Close a target; the module undoes what it remembered of it.
 * @param target may be NULL
 */
PTF_API void ptf_target_close(struct ptf_target *target);

/**
 * @brief Does the process still run? (It may have executed another program;
 *	then its old address space is gone all the same.)
 * @return 1 yes, 0 no
 */
PTF_API int ptf_target_alive(const struct ptf_target *target);

/**
 * @brief The process's id (of the whole process, not of a thread).
 * @param target NULL answers the caller's own
 */
PTF_API pid_t ptf_target_pid(const struct ptf_target *target);

/**
 * @brief The pidfd of the process, which polls readable when it has ended. It
 *	stays the target's.
 * @param target NULL answers -1
 */
PTF_API int ptf_target_pidfd(const struct ptf_target *target);

/**
 * @brief The number by which the module knows the target, for own ioctls.
 * @param target NULL answers PTF_TARGET_SELF
 */
PTF_API uint32_t ptf_target_id(const struct ptf_target *target);

PTF_END_DECLS

#endif
