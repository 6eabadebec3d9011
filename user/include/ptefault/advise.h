/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Advice: the kernel's MADV_* values and the module's PTF_ADV_* values in one
 * number space, each with a class.
 */
#ifndef PTEFAULT_ADVISE_H
#define PTEFAULT_ADVISE_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/*
 * The kernel's values, for programs built against older headers. The numbers
 * are those of every architecture that Debian has, but alpha, mips and parisc.
 */
#define PTF_MADV_NORMAL			0
#define PTF_MADV_RANDOM			1
#define PTF_MADV_SEQUENTIAL		2
#define PTF_MADV_WILLNEED		3
#define PTF_MADV_DONTNEED		4
#define PTF_MADV_FREE			8
#define PTF_MADV_REMOVE			9
#define PTF_MADV_DONTFORK		10
#define PTF_MADV_DOFORK			11
#define PTF_MADV_MERGEABLE		12
#define PTF_MADV_UNMERGEABLE		13
#define PTF_MADV_HUGEPAGE		14
#define PTF_MADV_NOHUGEPAGE		15
#define PTF_MADV_DONTDUMP		16
#define PTF_MADV_DODUMP			17
#define PTF_MADV_WIPEONFORK		18
#define PTF_MADV_KEEPONFORK		19
#define PTF_MADV_COLD			20
#define PTF_MADV_PAGEOUT		21
#define PTF_MADV_POPULATE_READ		22
#define PTF_MADV_POPULATE_WRITE		23
#define PTF_MADV_DONTNEED_LOCKED	24
#define PTF_MADV_COLLAPSE		25
#define PTF_MADV_HWPOISON		100
#define PTF_MADV_SOFT_OFFLINE		101
#define PTF_MADV_GUARD_INSTALL		102
#define PTF_MADV_GUARD_REMOVE		103

/* What an advice may do to what is there. */
enum ptf_advice_class {
	PTF_CLASS_HINT = 1,	/* nothing but when things happen */
	PTF_CLASS_VMAFLAG,	/* a flag of the mapping */
	PTF_CLASS_TRANSLATION,	/* page-table entries; the content is kept */
	PTF_CLASS_CONTENT,	/* the content may go */
	PTF_CLASS_FATAL		/* an access may kill the process */
};

/** @brief How many advice values this library knows. */
PTF_API unsigned int ptf_advice_count(void);

/**
 * @brief The n-th advice value, kernel values first.
 * @param n below ptf_advice_count()
 * @return the value; -ENOENT n too large
 */
PTF_API int ptf_advice_at(unsigned int n);

/**
 * @brief The bare name of an advice, such as "DONTNEED".
 * @param advice MADV_* or PTF_ADV_*
 * @return a static string; NULL if unknown
 */
PTF_API const char *ptf_advice_name(int advice);

/**
 * @brief The value of a name, in any case, with or without MADV_ or PTF_ADV_.
 * @param name for instance "dontneed", "MADV_FREE", "ptf_adv_stash"
 * @return the value; -EINVAL unknown, or a prefix of the wrong family
 */
PTF_API int ptf_advice_parse(const char *name);

/**
 * @brief The class of an advice.
 * @param advice MADV_* or PTF_ADV_*
 * @return enum ptf_advice_class; -EINVAL unknown
 */
PTF_API int ptf_advice_class(int advice);

/** @brief The name of a class, such as "TRANSLATION"; NULL if unknown. */
PTF_API const char *ptf_advice_class_name(int cls);

/**
 * @brief Does the running kernel, or the loaded module, know this advice?
 *
 * For kernel values madvise(NULL, 0, advice); for the module's the features of
 * /dev/ptefault, 0 if that can't be opened.
 * @param advice MADV_* or PTF_ADV_*
 * @return 1 or 0; -EINVAL a value that this library doesn't know and the
 *	kernel doesn't either
 */
PTF_API int ptf_advice_probe(int advice);

/**
 * @brief Advise on memory of the calling process.
 *
 * Answers as madvise(2) does. ptf_failure_last() then has the first address
 * that is known to have been refused: the first hole for -ENOMEM (all that
 * is mapped was done), the page where POPULATE_READ or POPULATE_WRITE stopped,
 * else the start of the range: the kernel does not say which mapping it was.
 * @param addr page-aligned
 * @param length bytes, rounded up to pages by the kernel (but for HWPOISON
 *	and SOFT_OFFLINE)
 * @param advice MADV_*; PTF_ADV_* values need a session: ptf_session_advise()
 * @return 0; -EPERM class CONTENT or FATAL, nothing was done; -EINVAL; -ENOMEM;
 *	-EOPNOTSUPP a PTF_ADV_* value
 */
PTF_API int ptf_advise(void *addr, size_t length, int advice);

/**
 * @brief ptf_advise() that takes CONTENT and FATAL advice too.
 * @param addr page-aligned
 * @param length bytes
 * @param advice MADV_*
 * @return as ptf_advise(); -EOPNOTSUPP HWPOISON or SOFT_OFFLINE on vdso, vvar
 *	or another special mapping, whose frames all processes share
 */
PTF_API int ptf_advise_unchecked(void *addr, size_t length, int advice);

/**
 * @brief Advise on memory of another process, by process_madvise(2).
 *
 * The kernel takes COLD, PAGEOUT, WILLNEED and COLLAPSE for processes other
 * than the caller; newer ones all values for the caller itself.
 * @param pidfd from pidfd_open(2)
 * @param addr address there
 * @param length bytes
 * @param advice MADV_*
 * @return 0; -EPERM CONTENT or FATAL; -EPERM or -EACCES no right (kernels
 *	differ); -EINVAL a value that can't be given from outside; -ENOMEM a
 *	hole; -ESRCH; -EBADF; done and addr in ptf_failure_last() say how far it
 *	came
 */
PTF_API int ptf_advise_process(int pidfd, uintptr_t addr, size_t length,
			       int advice);
/** @brief ptf_advise_process() that takes CONTENT and FATAL advice too. */
PTF_API int ptf_advise_process_unchecked(int pidfd, uintptr_t addr,
					 size_t length, int advice);

/** @brief ptf_advise_process() by process id. */
PTF_API int ptf_advise_pid(pid_t pid, uintptr_t addr, size_t length,
			   int advice);

PTF_END_DECLS

#endif
