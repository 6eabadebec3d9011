/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mapping objects: one mmap() with what belongs to it.
 *
 * An object that fails to change stays as it was: protect, remap, grow and
 * lock either do all or leave the map whole and usable. (The mapper of
 * mapper.h, by contrast, keeps what it did.)
 *
 * Threads: calls that only ask (data, length, query) may run beside each other;
 * a call that changes an object needs it for itself. Different objects are
 * independent.
 *
 * fork(): the child has the object and its own copy of the mapping, shared or
 * copy-on-write as the kind says, and destroys it for itself. A map that was
 * advised MADV_DONTFORK through its object isn't there in the child, and
 * destroying it there frees the object only.
 */
#ifndef PTEFAULT_MAP_H
#define PTEFAULT_MAP_H

#include <ptefault/types.h>

PTF_BEGIN_DECLS

struct ptf_map;

/* What kind of mapping. */
enum ptf_map_kind {
	PTF_MAP_READ = 1,	/* file, shared, read-only */
	PTF_MAP_EXEC,		/* file, shared, read and execute */
	PTF_MAP_WRITE,		/* file, shared, read and write */
	PTF_MAP_COPY,		/* file, private, written pages are copied */
	PTF_MAP_COPY_READ,	/* file, private, read-only */
	PTF_MAP_ANON,		/* anonymous, private, read and write */
	PTF_MAP_ANON_SHARED,	/* anonymous, shared with children */
	PTF_MAP_RESERVE,	/* anonymous, PROT_NONE: address space only */
	PTF_MAP_RAW,		/* prot and mmap_flags of the options, as is */
	PTF_MAP_DEVICE		/* memory of a session (its fd), zero at first, shared: its
				 * rules answer faults in whichever process maps it
				 */
};

#define PTF_MAP_F_TO_END	(1U << 0)  /* length: what the file has from offset */
#define PTF_MAP_F_STACK		(1U << 1)  /* MAP_STACK */
#define PTF_MAP_F_HUGE		(1U << 2)  /* MAP_HUGETLB of huge_shift */
#define PTF_MAP_F_POPULATE	(1U << 3)  /* fault in now, errors ignored */
#define PTF_MAP_F_POPULATE_ALL	(1U << 4)  /* fault in now, errors reported */
#define PTF_MAP_F_NORESERVE	(1U << 5)  /* MAP_NORESERVE */
#define PTF_MAP_F_FIXED		(1U << 6)  /* at addr or EEXIST */
#define PTF_MAP_F_REPLACE	(1U << 7)  /* with FIXED: replace what is there */
#define PTF_MAP_F_32BIT		(1U << 8)  /* in the low 2 GiB (x86) */
#define PTF_MAP_F_LOCKED	(1U << 9)  /* all of it in memory, or an error */
#define PTF_MAP_F_LOCK_ONFAULT	(1U << 10) /* pages lock as they come */

/**
 * struct ptf_map_options - options of ptf_map_create()
 * @size: sizeof(struct ptf_map_options)
 * @flags: PTF_MAP_F_*
 * @addr: with FIXED the address of the first byte's page, else a hint
 * @align: alignment of the first page in bytes, a power of two, 0: page size
 * @reserve: address space to keep for ptf_map_grow(), in bytes from the start
 *	of the map; less than the length means none. A file is then kept open
 *	by a duplicate of its own (close-on-exec)
 * @huge_shift: log2 of the huge page size in bytes, 0: the machine's default
 * @prot: PROT_* for PTF_MAP_RAW
 * @mmap_flags: MAP_* for PTF_MAP_RAW
 * @reserved: 0
 * @name: annotation: in /proc/PID/maps for anonymous memory where the kernel
 *	has CONFIG_ANON_VMA_NAME, in failures of the object everywhere
 */
struct ptf_map_options {
	uint32_t size;
	uint32_t flags;
	void *addr;
	size_t align;
	size_t reserve;
	uint32_t huge_shift;
	int32_t prot;
	int32_t mmap_flags;
	uint32_t reserved;
	const char *name;
};

/**
 * struct ptf_map_info - what ptf_map_query() tells
 * @size: sizeof(struct ptf_map_info), set by the caller
 * @kind: enum ptf_map_kind
 * @data: first byte, as asked for by offset
 * @length: bytes asked for
 * @base: the page of the first byte
 * @base_bytes: bytes mapped from base, a multiple of page_bytes
 * @reserve_bytes: address space held from base, >= base_bytes
 * @offset: offset of @data in the file
 * @page_bytes: page size of the mapping
 * @prot: PROT_* last set for all of it through the object
 * @mixed: 1 if protection was set for a part only
 * @locked: 1 locked, 2 in parts
 * @name: annotation, or ""; valid until the object changes
 */
struct ptf_map_info {
	uint32_t size;
	uint32_t kind;
	void *data;
	size_t length;
	void *base;
	size_t base_bytes;
	size_t reserve_bytes;
	uint64_t offset;
	size_t page_bytes;
	int32_t prot;
	uint32_t mixed;
	uint32_t locked;
	uint32_t reserved;
	const char *name;
};

/**
 * @brief Map a file, anonymous memory, or address space.
 *
 * Any byte offset will do: the pointer carries the slack. A length of 0 maps
 * one byte, so that there is an address, and reports length 0. The map
 * outlives its fd.
 * @param kind enum ptf_map_kind
 * @param fd file, -1 for anonymous kinds
 * @param offset first byte in the file; 0 for anonymous kinds
 * @param length bytes; 0 with PTF_MAP_F_TO_END
 * @param opts may be NULL
 * @param out the object
 * @return 0; -EOVERFLOW more than PTRDIFF_MAX bytes, or an offset that doesn't
 *	fit; -EINVAL bad flags, alignment or kind, or TO_END behind the end;
 *	-EEXIST FIXED and something is there (its name is the annotation);
 *	-EBADF, -EACCES, -EPERM (sealed), -ENODEV, -ENOMEM, -EAGAIN as mmap(2);
 *	with POPULATE_ALL what madvise(MADV_POPULATE_*) answers, nothing stays
 */
PTF_API int ptf_map_create(int kind, int fd, uint64_t offset, size_t length,
			   const struct ptf_map_options *opts,
			   struct ptf_map **out);

/**
 * @brief Unmap and free.
 * @param map may be NULL
 * @return 0; -ENOMEM the kernel could not split a merged mapping at
 *	vm.max_map_count: nothing was freed, try again
 */
PTF_API int ptf_map_destroy(struct ptf_map *map);

/**
 * @brief Free the object and leave the memory mapped, the caller's from now.
 * @param map may be NULL
 * @param base its first page, may be NULL
 * @param bytes how much is mapped or reserved from base, may be NULL
 */
PTF_API void ptf_map_release(struct ptf_map *map, void **base, size_t *bytes);

/** @brief First byte; never NULL, also with length 0. */
PTF_API void *ptf_map_data(const struct ptf_map *map);

/** @brief Length in bytes, as asked for. */
PTF_API size_t ptf_map_length(const struct ptf_map *map);

/**
 * @brief All that is known of a map.
 * @param map the map
 * @param info size set by the caller; the rest is filled in
 * @return 0; -EINVAL size too small
 */
PTF_API int ptf_map_query(const struct ptf_map *map, struct ptf_map_info *info);

/**
 * @brief Change the protection of all of it.
 * @param map the map
 * @param prot PROT_*
 * @return 0; -EACCES the file was not opened for that; -ENOMEM; on failure
 *	every page has the protection that it had
 */
PTF_API int ptf_map_protect(struct ptf_map *map, int prot);

/**
 * @brief Change the protection of the pages that hold a range.
 * @param map the map
 * @param offset first byte, from ptf_map_data(); it must stand on a page
 *	boundary of memory
 * @param length bytes; the last page is taken whole
 * @param prot PROT_*
 * @return as ptf_map_protect(); -EINVAL out of bounds or unaligned
 */
PTF_API int ptf_map_protect_range(struct ptf_map *map, size_t offset,
				  size_t length, int prot);

#define PTF_REMAP_F_MAY_MOVE	(1U << 0)	/* anywhere, if it must */
#define PTF_REMAP_F_FIXED	(1U << 1)	/* to addr, or EEXIST */
#define PTF_REMAP_F_REPLACE	(1U << 2)	/* with FIXED: replace what is there */

/**
 * @brief Change the length, the place, or both.
 *
 * A reservation for growing doesn't move along: it is given back.
 * @param map the map
 * @param length new length in bytes (of the bytes, not of the pages)
 * @param flags PTF_REMAP_F_*; 0: in place or fail
 * @param addr with FIXED the new first page, page-aligned; else NULL
 * @return 0; -ENOMEM no room in place, or a limit; -EEXIST; -EINVAL;
 *	-EOVERFLOW; on failure the map is where and what it was
 */
PTF_API int ptf_map_remap(struct ptf_map *map, size_t length,
			  unsigned int flags, void *addr);

/**
 * @brief Move the pages away and keep the old range mapped, empty
 *	(MREMAP_DONTUNMAP).
 * @param map follows its pages
 * @param flags 0, FIXED, or FIXED and REPLACE
 * @param addr with FIXED the new first page
 * @param left an object of the same kind for the old range
 * @return as ptf_map_remap(); -EINVAL the kernel can't for this mapping
 */
PTF_API int ptf_map_move(struct ptf_map *map, unsigned int flags, void *addr,
			 struct ptf_map **left);

/**
 * @brief Grow in place, into the reservation or where the address space
 *	behind is free. No page that is there faults again.
 *
 * A file is not made longer: that is ftruncate()'s, before or after.
 * @param map the map
 * @param length new length in bytes, at least the old
 * @return 0; -ENOMEM no room; -EINVAL shorter; -EOVERFLOW; on failure as it was
 */
PTF_API int ptf_map_grow(struct ptf_map *map, size_t length);

#define PTF_SYNC_F_ASYNC	(1U << 0)	/* schedule only (MS_ASYNC) */
#define PTF_SYNC_F_INVALIDATE	(1U << 1)	/* MS_INVALIDATE too */

/**
 * @brief Write dirty pages of a shared file mapping to the file.
 * @param map the map
 * @param offset first byte; rounded down to a page
 * @param length bytes, rounded up
 * @param flags PTF_SYNC_F_*
 * @return 0; -EINVAL out of bounds; -EBUSY INVALIDATE of locked pages; -EIO
 */
PTF_API int ptf_map_flush_range(struct ptf_map *map, size_t offset,
				size_t length, unsigned int flags);

/** @brief ptf_map_flush_range() of all of it. */
PTF_API int ptf_map_flush(struct ptf_map *map, unsigned int flags);

#define PTF_LOCK_F_ONFAULT	(1U << 0)	/* lock pages as they come */

/**
 * @brief Keep the pages of a range in memory.
 * @param map the map
 * @param offset first byte; rounded down to a page
 * @param length bytes, rounded up
 * @param flags PTF_LOCK_F_*
 * @return 0; -EINVAL out of bounds; -ENOMEM, -EPERM (RLIMIT_MEMLOCK) or
 *	-EAGAIN pages could not be brought in. On failure nothing is locked that
 *	was not, unless the map was locked in parts before
 */
PTF_API int ptf_map_lock_range(struct ptf_map *map, size_t offset,
			       size_t length, unsigned int flags);
/** @brief ptf_map_lock_range() of all of it. */
PTF_API int ptf_map_lock(struct ptf_map *map, unsigned int flags);
/** @brief Undo ptf_map_lock_range(). */
PTF_API int ptf_map_unlock_range(struct ptf_map *map, size_t offset,
				 size_t length);
/** @brief Undo ptf_map_lock(). */
PTF_API int ptf_map_unlock(struct ptf_map *map);

#define PTF_LOCK_ALL_F_CURRENT	(1U << 0)	/* MCL_CURRENT */
#define PTF_LOCK_ALL_F_FUTURE	(1U << 1)	/* MCL_FUTURE */
#define PTF_LOCK_ALL_F_ONFAULT	(1U << 2)	/* MCL_ONFAULT */

/**
 * @brief Lock the whole process's memory.
 * @param flags PTF_LOCK_ALL_F_*
 * @return 0; -EINVAL; -ENOMEM or -EPERM (RLIMIT_MEMLOCK)
 */
PTF_API int ptf_lock_all(unsigned int flags);
/** @brief Undo all locks of the process. */
PTF_API int ptf_unlock_all(void);

/**
 * @brief Advise on all of it; values, classes and answers as ptf_advise().
 * @param map the map
 * @param advice MADV_*
 * @return as ptf_advise()
 */
PTF_API int ptf_map_advise(struct ptf_map *map, int advice);

/**
 * @brief Advise on a range.
 *
 * The range is widened to whole pages, but for advice of class CONTENT or
 * FATAL, which must not touch a byte that was not named: there it must
 * begin on a page boundary and end on one or at the end of the map.
 * @param map the map
 * @param offset first byte
 * @param length bytes
 * @param advice MADV_*
 * @return as ptf_advise(); -EINVAL out of bounds or unaligned
 */
PTF_API int ptf_map_advise_range(struct ptf_map *map, size_t offset,
				 size_t length, int advice);
/** @brief ptf_map_advise() that takes CONTENT and FATAL advice. */
PTF_API int ptf_map_advise_unchecked(struct ptf_map *map, int advice);
/** @brief ptf_map_advise_range() that takes CONTENT and FATAL advice. */
PTF_API int ptf_map_advise_range_unchecked(struct ptf_map *map, size_t offset,
					   size_t length, int advice);

/**
 * @brief Fault pages in and report the first that can't be.
 * @param map the map
 * @param offset first byte; rounded down to a page
 * @param length bytes, rounded up
 * @param write 0 for reading, else for writing (breaks copy-on-write)
 * @return 0; -EFAULT, -EHWPOISON, -ENOMEM ...: ptf_failure_last() has the
 *	first address and the bytes before it
 */
PTF_API int ptf_map_populate_range(struct ptf_map *map, size_t offset,
				   size_t length, int write);

/**
 * @brief Annotate: the name is kept with the object and, for anonymous memory
 *	where the kernel can, shown in /proc/PID/maps.
 * @param map the map
 * @param name up to 79 bytes are used; NULL takes it away
 * @return 0; -ENOMEM
 */
PTF_API int ptf_map_set_name(struct ptf_map *map, const char *name);

/**
 * @brief Name a range of anonymous memory in /proc/PID/maps.
 * @param addr page-aligned
 * @param length bytes, rounded up to pages
 * @param name up to 79 printable bytes without []\$`; others become _; NULL
 *	takes it away
 * @return 0; -EOPNOTSUPP a kernel without CONFIG_ANON_VMA_NAME; -EBADF file
 *	mappings; -ENOMEM a hole; -EINVAL unaligned
 */
PTF_API int ptf_name_range(void *addr, size_t length, const char *name);

PTF_END_DECLS

#endif
