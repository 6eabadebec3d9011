/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VMAs of a process, from /proc: no module needed.
 */
#ifndef PTEFAULT_VMA_H
#define PTEFAULT_VMA_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/**
 * struct ptf_vma_entry - one line of /proc/PID/maps
 * @start: first address
 * @end: first address behind
 * @offset: offset in the file of @start, in bytes
 * @inode: inode number, 0 for anonymous
 * @dev_major: of the file's device
 * @dev_minor: of the file's device
 * @prot: PROT_*
 * @shared: 1 shared, 0 private
 * @deleted: 1 if the file has no name any more (the " (deleted)" is not in @name)
 * @special: 1 vdso, vvar, vsyscall and the like
 * @name: path, "[heap]", "[stack]", "[vdso]", "[anon:name]" or ""; valid as
 *	long as the list
 */
struct ptf_vma_entry {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	int32_t prot;
	uint8_t shared;
	uint8_t deleted;
	uint8_t special;
	uint8_t reserved;
	const char *name;
};

struct ptf_vma_list;

/**
 * @brief Take a picture of all VMAs of a process.
 *
 * Each line is true at the moment it is read; a process that maps meanwhile
 * may be seen half before and half after.
 * @param pid process, 0: the caller
 * @param out the list, ordered by address
 * @return 0; -ESRCH; -EACCES no right to read its maps; -ENOMEM
 */
PTF_API int ptf_vma_list_create(pid_t pid, struct ptf_vma_list **out);
/** @brief Free a list. @param list may be NULL */
PTF_API void ptf_vma_list_destroy(struct ptf_vma_list *list);
/** @brief How many VMAs. */
PTF_API size_t ptf_vma_list_count(const struct ptf_vma_list *list);
/** @brief The n-th VMA; NULL if n is too large. */
PTF_API const struct ptf_vma_entry *
ptf_vma_list_at(const struct ptf_vma_list *list, size_t n);

/**
 * @brief The VMA that holds an address.
 * @return NULL in a hole
 */
PTF_API const struct ptf_vma_entry *
ptf_vma_list_find(const struct ptf_vma_list *list, uint64_t addr);

/** @brief The VMA that holds an address or the first behind; NULL if none. */
PTF_API const struct ptf_vma_entry *
ptf_vma_list_next(const struct ptf_vma_list *list, uint64_t addr);

/**
 * @brief The n-th VMA of a name.
 * @param list the list
 * @param name a path, the last part of a path, or a name in brackets
 * @param n 0 for the first
 * @return NULL if there are not so many
 */
PTF_API const struct ptf_vma_entry *
ptf_vma_list_name(const struct ptf_vma_list *list, const char *name, size_t n);

#define PTF_VMA_AT_F_NEXT	(1U << 0)	/* or the first one behind */

/**
 * @brief Look one VMA up by address, by PROCMAP_QUERY where the kernel has it.
 * @param pid process, 0: the caller
 * @param addr any address
 * @param flags PTF_VMA_AT_F_*
 * @param out filled in; name points into @buf
 * @param buf for the name
 * @param len its size in bytes; a longer name is cut
 * @return 0; -ENOENT a hole (with NEXT: nothing behind); -ESRCH; -EACCES
 */
PTF_API int ptf_vma_at(pid_t pid, uint64_t addr, unsigned int flags,
		       struct ptf_vma_entry *out, char *buf, size_t len);

/**
 * @brief Look one VMA up by name.
 * @param pid process, 0: the caller
 * @param name as ptf_vma_list_name()
 * @param n 0 for the first
 * @param out filled in; name points into @buf
 * @param buf for the name
 * @param len its size in bytes
 * @return 0; -ENOENT; -ESRCH; -EACCES
 */
PTF_API int ptf_vma_by_name(pid_t pid, const char *name, size_t n,
			    struct ptf_vma_entry *out, char *buf, size_t len);

PTF_END_DECLS

#endif
