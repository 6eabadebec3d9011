/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory a process uses, from /proc/PID/status.
 */
#ifndef PTEFAULT_USAGE_H
#define PTEFAULT_USAGE_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

/**
 * struct ptf_usage - memory use of a process
 * @size: sizeof(struct ptf_usage), set by the caller
 * @flags: 0
 * @virtual_bytes: VmSize, all mappings
 * @virtual_peak_bytes: VmPeak
 * @rss_bytes: VmRSS, pages present (the kernel counts some lazily per CPU)
 * @rss_peak_bytes: VmHWM
 * @rss_anon_bytes: RssAnon
 * @rss_file_bytes: RssFile
 * @rss_shmem_bytes: RssShmem
 * @data_bytes: VmData, private writable mappings but the stack
 * @stack_bytes: VmStk
 * @text_bytes: VmExe
 * @library_bytes: VmLib
 * @locked_bytes: VmLck
 * @pinned_bytes: VmPin
 * @page_table_bytes: VmPTE
 * @swap_bytes: VmSwap
 */
struct ptf_usage {
	uint32_t size;
	uint32_t flags;
	uint64_t virtual_bytes;
	uint64_t virtual_peak_bytes;
	uint64_t rss_bytes;
	uint64_t rss_peak_bytes;
	uint64_t rss_anon_bytes;
	uint64_t rss_file_bytes;
	uint64_t rss_shmem_bytes;
	uint64_t data_bytes;
	uint64_t stack_bytes;
	uint64_t text_bytes;
	uint64_t library_bytes;
	uint64_t locked_bytes;
	uint64_t pinned_bytes;
	uint64_t page_table_bytes;
	uint64_t swap_bytes;
};

/**
 * @brief Memory use of a process.
 * @param pid process, 0: the caller
 * @param usage size set by the caller; the rest is filled in
 * @return 0; -ESRCH no such process, or a kernel thread or zombie, which has
 *	no memory; -EINVAL size too small
 */
PTF_API int ptf_usage_get(pid_t pid, struct ptf_usage *usage);

PTF_END_DECLS

#endif
