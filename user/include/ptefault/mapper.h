/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mapper: which chunks of the address space a runtime has reserved and
 * mapped.
 *
 * The address space is cut into chunks of a power of two. Each is Unmapped,
 * Quarantined (reserved, PROT_NONE) or Mapped, and only goes forward. Ranges
 * are widened to whole chunks. A change of several chunks that fails keeps what
 * it did and has it recorded.
 *
 * Threads: look-ups take no lock and may run beside changes; changes wait for
 * each other. fork(): a mapper is never seen half changed in the child, which
 * goes on with a copy of its own. Its table costs memory only where it is used.
 */
#ifndef PTEFAULT_MAPPER_H
#define PTEFAULT_MAPPER_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

struct ptf_mmapper;

enum ptf_chunk_state {
	PTF_CHUNK_UNMAPPED,
	PTF_CHUNK_QUARANTINED,
	PTF_CHUNK_MAPPED
};

/**
 * struct ptf_mmapper_options - options of ptf_mmapper_create()
 * @size: sizeof(struct ptf_mmapper_options)
 * @log_chunk: log2 of the chunk size in bytes, 0: 22 (4 MiB); from the page
 *	size to 40
 */
struct ptf_mmapper_options {
	uint32_t size;
	uint32_t log_chunk;
};

#define PTF_MMAPPER_F_HUGE	(1U << 0)	/* MADV_HUGEPAGE, if it can be */

/**
 * @brief Make a mapper in which all chunks are Unmapped.
 * @param opts may be NULL
 * @param out the mapper
 * @return 0; -EINVAL; -ENOMEM
 */
PTF_API int ptf_mmapper_create(const struct ptf_mmapper_options *opts,
			       struct ptf_mmapper **out);

/**
 * @brief Forget the records. What was mapped or reserved stays so.
 * @param mapper may be NULL
 */
PTF_API void ptf_mmapper_destroy(struct ptf_mmapper *mapper);

/**
 * @brief Record a range as Mapped, without a system call: someone else did it.
 * @param mapper the mapper
 * @param addr any address
 * @param length bytes, not 0
 * @return 0; -EINVAL; -ENOMEM
 */
PTF_API int ptf_mmapper_mark(struct ptf_mmapper *mapper, const void *addr,
			     size_t length);

/**
 * @brief Reserve a range at an address.
 * @param mapper the mapper
 * @param addr any address
 * @param length bytes, not 0
 * @param annotation name of the range, may be NULL
 * @return 0; -EALREADY a chunk is Quarantined or Mapped; -EEXIST something
 *	that the mapper doesn't know is there (ptf_failure_last() has the address
 *	in the way, the bytes and the annotation); -ENOMEM; -EINVAL
 */
PTF_API int ptf_mmapper_quarantine(struct ptf_mmapper *mapper, void *addr,
				   size_t length, const char *annotation);

/**
 * @brief Reserve a range anywhere.
 * @param mapper the mapper
 * @param length bytes, not 0
 * @param align a power of two, 0: a chunk; what was mapped to get it is given
 *	back
 * @param annotation name of the range, may be NULL
 * @param out first address
 * @return 0; -ENOMEM; -EINVAL; -EOVERFLOW
 */
PTF_API int ptf_mmapper_quarantine_any(struct ptf_mmapper *mapper,
				       size_t length, size_t align,
				       const char *annotation, void **out);

/**
 * @brief Reserve a range in the free space nearest to a hint, on either side.
 * @param mapper the mapper
 * @param hint any address
 * @param length bytes, not 0
 * @param align a power of two, 0: a chunk
 * @param annotation name of the range, may be NULL
 * @param out first address
 * @return 0; -ENOMEM; -EINVAL; -EOVERFLOW
 */
PTF_API int ptf_mmapper_quarantine_near(struct ptf_mmapper *mapper,
					const void *hint, size_t length,
					size_t align, const char *annotation,
					void **out);

/**
 * @brief Make a range Mapped: Unmapped chunks are mapped where nothing is,
 *	Quarantined ones made usable by mprotect(), Mapped ones left alone. One
 *	system call for a run of equal chunks.
 * @param mapper the mapper
 * @param addr any address
 * @param length bytes, not 0
 * @param prot PROT_*
 * @param flags PTF_MMAPPER_F_*
 * @param annotation name for what is newly mapped, may be NULL
 * @return 0; -EEXIST; -ENOMEM; -EINVAL; done in ptf_failure_last() are the
 *	bytes from the first chunk on that are Mapped
 */
PTF_API int ptf_mmapper_ensure(struct ptf_mmapper *mapper, void *addr,
			       size_t length, int prot, unsigned int flags,
			       const char *annotation);

/** @brief 1 if the chunk of an address is Mapped, else 0. Takes no lock. */
PTF_API int ptf_mmapper_is_mapped(const struct ptf_mmapper *mapper,
				  const void *addr);

/** @brief enum ptf_chunk_state of an address's chunk. Takes no lock. */
PTF_API int ptf_mmapper_state(const struct ptf_mmapper *mapper,
			      const void *addr);

/** @brief Bytes in a chunk. */
PTF_API size_t ptf_mmapper_granularity(const struct ptf_mmapper *mapper);

/** @brief The largest address that can be mapped. */
PTF_API uintptr_t ptf_mmapper_max_address(const struct ptf_mmapper *mapper);

PTF_END_DECLS

#endif
