/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The report: what stands in the three layers for a range of addresses or of
 * a file.
 */
#ifndef PTEFAULT_QUERY_H
#define PTEFAULT_QUERY_H

#include <stdio.h>

#include <ptefault/target.h>

PTF_BEGIN_DECLS

/**
 * @brief Called for each row of a report.
 * @param row the row; its vma field has no meaning here
 * @param vma the mapping that the row lies in, NULL in a hole
 * @param name the name of the mapping, "" if it has none
 * @param arg as given to the query
 * @return 0 to go on; anything else stops the query, which returns it
 */
typedef int (*ptf_row_fn)(const struct ptf_row *row, const struct ptf_vma *vma,
			  const char *name, void *arg);

/**
 * @brief Report a range row by row. Runs of equal pages are one row, however
 *	many calls of the module it takes.
 * @param target NULL: the address space that opened the session
 * @param start first address, page-aligned
 * @param end first address behind, page-aligned
 * @param flags PTF_QUERY_F_*
 * @param fn called for each row, in the order of the addresses
 * @param arg passed to fn
 * @return rows reported, what fn answered if that was not 0, or a negative
 *	errno: -EINVAL (range), -EOPNOTSUPP (flags), -ESRCH (the address space
 *	is gone), -EINTR, -ENOMEM
 */
PTF_API ssize_t ptf_session_query(const struct ptf_session *session,
				  const struct ptf_target *target,
				  uint64_t start, uint64_t end, uint32_t flags,
				  ptf_row_fn fn, void *arg);

/**
 * struct ptf_report - a whole report in memory
 * @nr_rows: length of @rows
 * @nr_vmas: length of @vmas
 * @rows: ptf_row.vma is an index of @vmas, or PTF_VMA_NONE in a hole
 * @vmas: ptf_vma.name_off is an offset in @names
 * @names: names, each with a closing NUL
 *
 * Made by the library; fields are only added.
 */
struct ptf_report {
	size_t nr_rows;
	size_t nr_vmas;
	struct ptf_row *rows;
	struct ptf_vma *vmas;
	char *names;
};

/**
 * @brief Report a range into memory.
 * @param out to be freed with ptf_report_free()
 * @return rows in the report, or a negative errno as ptf_session_query()
 */
PTF_API ssize_t ptf_report_create(const struct ptf_session *session,
				  const struct ptf_target *target,
				  uint64_t start, uint64_t end, uint32_t flags,
				  struct ptf_report **out);

/**
 * @brief Free a report.
 * @param report may be NULL
 */
PTF_API void ptf_report_free(struct ptf_report *report);

/**
 * @brief The mapping that a row of a report lies in.
 * @return NULL in a hole
 */
PTF_API const struct ptf_vma *ptf_report_vma(const struct ptf_report *report,
					     const struct ptf_row *row);

/**
 * @brief The name of the mapping that a row of a report lies in.
 * @return "" if it has none
 */
PTF_API const char *ptf_report_name(const struct ptf_report *report,
				    const struct ptf_row *row);

/**
 * @brief Write a report as text, one line for each row of each layer:
 *
 *	VMA: VA:0x400000 -> /tmp/foo:0x0 (private)
 *	Filemap: /tmp/foo:0x0 -> PA:0x2fb000
 *	PTE: VA:0x400000 -> PA:0x5ea000
 *
 *	with " x N" behind it where a row stands for N pages.
 * @param to where to
 * @return rows, or a negative errno; -EIO if @to could not be written
 */
PTF_API ssize_t ptf_session_dump(const struct ptf_session *session,
				 const struct ptf_target *target,
				 uint64_t start, uint64_t end, uint32_t flags,
				 FILE *to);

/**
 * @brief Walk the page tables to an address and show every level.
 * @param addr any user address
 * @param out filled in, see PTF_IOC_PAGE_WALK
 * @return 0, or -EINVAL (not a user address), -ESRCH
 */
PTF_API int ptf_session_walk(const struct ptf_session *session,
			     const struct ptf_target *target, uint64_t addr,
			     struct ptf_ioc_page_walk *out);

/**
 * @brief Called for each row of a file's report.
 * @return 0 to go on; anything else stops the query, which returns it
 */
typedef int (*ptf_file_row_fn)(const struct ptf_file_row *row, void *arg);

/**
 * struct ptf_file_info - what a file query tells of the file as a whole
 * @size: sizeof(struct ptf_file_info)
 * @reserved: 0
 * @bytes: size of the file
 * @cached_pages: pages that it has in the page cache
 */
struct ptf_file_info {
	uint32_t size;
	uint32_t reserved;
	uint64_t bytes;
	uint64_t cached_pages;
};

/**
 * @brief Report which pages of a file are in the page cache.
 * @param fd a regular file, memfd or block device, open for reading
 * @param start first byte, page-aligned
 * @param end first byte behind, page-aligned; UINT64_MAX: to the end
 * @param flags PTF_QUERY_F_PAGES, PTF_QUERY_F_MAPPED (leave out absent pages)
 * @param fn called for each row, NULL: only count
 * @param arg passed to fn
 * @param info filled in as far as its size goes, may be NULL
 * @return rows, what fn answered if that was not 0, or a negative errno:
 *	-EBADF, -ENODEV (no page cache: a pipe, a directory), -EINVAL, -EOPNOTSUPP
 *	(flags, hugetlbfs), -EINTR
 */
PTF_API ssize_t ptf_session_file_query(const struct ptf_session *session,
				       int fd, uint64_t start, uint64_t end,
				       uint32_t flags, ptf_file_row_fn fn,
				       void *arg, struct ptf_file_info *info);

/**
 * @brief Which addresses of which processes map a range of a file.
 * @param fd a file, open for reading
 * @param start first byte, page-aligned
 * @param end first byte behind, page-aligned; UINT64_MAX: to the end
 * @param rows an array to be freed with free(); NULL where there are none
 * @param total mappings there are, those that the session may not see
 *	included; may be NULL
 * @return rows in the array, or a negative errno
 */
PTF_API ssize_t ptf_session_file_mappers(const struct ptf_session *session,
					 int fd, uint64_t start, uint64_t end,
					 struct ptf_mapper **rows,
					 uint64_t *total);

PTF_END_DECLS

#endif
