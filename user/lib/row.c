// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Words for what stands in a report, and single rows as text.
 */
#include <stdarg.h>

#include <ptefault/row.h>

#include "internal.h"

#define NAME_OF(names, i) \
	((i) < PTF_ARRAY_SIZE(names) && (names)[i] ? (names)[i] : "?")

const char *ptf_state_name(unsigned int state)
{
	static const char *const names[] = {
		[PTF_STATE_NONE] = "none",
		[PTF_STATE_PRESENT] = "present",
		[PTF_STATE_HINT] = "hint",
		[PTF_STATE_PROTNONE] = "protnone",
		[PTF_STATE_STASHED] = "stashed",
		[PTF_STATE_SWAP] = "swap",
		[PTF_STATE_MIGRATION] = "migration",
		[PTF_STATE_HWPOISON] = "hwpoison",
		[PTF_STATE_DEVICE] = "device",
		[PTF_STATE_GUARD] = "guard",
		[PTF_STATE_MARKER] = "marker",
	};

	return NAME_OF(names, state);
}

const char *ptf_kind_name(unsigned int kind)
{
	static const char *const names[] = {
		[PTF_KIND_NONE] = "none",
		[PTF_KIND_ANON] = "anon",
		[PTF_KIND_FILE] = "file",
		[PTF_KIND_SHMEM] = "shmem",
		[PTF_KIND_ZERO] = "zero",
		[PTF_KIND_KSM] = "ksm",
		[PTF_KIND_SPECIAL] = "special",
		[PTF_KIND_THP] = "thp",
		[PTF_KIND_HUGETLB] = "hugetlb",
	};

	return NAME_OF(names, kind);
}

const char *ptf_filemap_name(unsigned int state)
{
	static const char *const names[] = {
		[PTF_FILEMAP_NONE] = "none",
		[PTF_FILEMAP_PRESENT] = "present",
		[PTF_FILEMAP_SHADOW] = "shadow",
		[PTF_FILEMAP_SWAP] = "swap",
		[PTF_FILEMAP_DAX] = "dax",
	};

	return NAME_OF(names, state);
}

const char *ptf_level_name(unsigned int level)
{
	static const char *const names[] = {
		[PTF_LEVEL_PTE] = "PTE",
		[PTF_LEVEL_PMD] = "PMD",
		[PTF_LEVEL_PUD] = "PUD",
		[PTF_LEVEL_P4D] = "P4D",
		[PTF_LEVEL_PGD] = "PGD",
	};

	return NAME_OF(names, level);
}

static const struct {
	const char *name;
	const char *text;
	int err;
} skips[] = {
	[PTF_SKIP_HOLE] = { "hole", "nothing is mapped there", ENOMEM },
	[PTF_SKIP_EMPTY] = { "empty", "mapped, but no page is there yet",
			     ENODATA },
	[PTF_SKIP_PROTNONE] = { "protnone", "the mapping forbids all access",
				EOPNOTSUPP },
	[PTF_SKIP_SPECIAL] = { "special", "vdso, vvar or a driver's memory",
			       EOPNOTSUPP },
	[PTF_SKIP_HUGETLB] = { "hugetlb", "hugetlb memory", EOPNOTSUPP },
	[PTF_SKIP_SECRETMEM] = { "secretmem", "secret memory", EOPNOTSUPP },
	[PTF_SKIP_PINNED] = { "pinned", "pinned for DMA", EBUSY },
	[PTF_SKIP_BUSY] = { "busy", "locked, under writeback, or just changing",
			    EBUSY },
	[PTF_SKIP_SWAPPED] = { "swapped", "in swap, migrating, or on a device",
			       EBUSY },
	[PTF_SKIP_THP] = { "thp", "part of a huge page", EOPNOTSUPP },
	[PTF_SKIP_KIND] = { "kind", "the advice has no meaning for this kind of page",
			    EOPNOTSUPP },
	[PTF_SKIP_FOREIGN] = { "foreign", "another session, a mark or userfaultfd has it",
			       EBUSY },
	[PTF_SKIP_NOSPACE] = { "nospace", "no swap or memory to move it to",
			       ENOSPC },
	[PTF_SKIP_READONLY] = { "readonly", "a read-only mapping, or a file that may not be written",
				EACCES },
};

const char *ptf_skip_name(unsigned int reason)
{
	if (reason >= PTF_ARRAY_SIZE(skips) || !skips[reason].name)
		return "?";
	return skips[reason].name;
}

const char *ptf_skip_text(unsigned int reason)
{
	if (reason >= PTF_ARRAY_SIZE(skips) || !skips[reason].text)
		return "a reason that this library does not know";
	return skips[reason].text;
}

int ptf_skip_errno(unsigned int reason)
{
	if (reason >= PTF_ARRAY_SIZE(skips) || !skips[reason].err)
		return EOPNOTSUPP;
	return skips[reason].err;
}

const char *ptf_faulted_name(unsigned int result)
{
	static const char *const names[] = {
		[PTF_FAULTED_MINOR] = "minor",
		[PTF_FAULTED_MAJOR] = "major",
		[PTF_FAULTED_RETRY] = "retry",
		[PTF_FAULTED_SIGBUS] = "SIGBUS",
		[PTF_FAULTED_SIGSEGV] = "SIGSEGV",
		[PTF_FAULTED_HWPOISON] = "hwpoison",
		[PTF_FAULTED_OOM] = "OOM",
		[PTF_FAULTED_HOLE] = "hole",
		[PTF_FAULTED_ACCESS] = "access",
		[PTF_FAULTED_OTHER] = "other",
	};

	return NAME_OF(names, result);
}

const char *ptf_row_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		"write", "dirty", "young", "exec", "user", "soft-dirty",
		"uffd-wp", "special", "exclusive", "copied", "sticky",
		"tracked",
		[32] = "folio-large", "folio-locked", "folio-referenced",
		"folio-uptodate", "folio-dirty", "folio-lru", "folio-active",
		"folio-writeback", "folio-reclaim", "folio-swapbacked",
		"folio-swapcache", "folio-unevictable", "folio-mlocked",
		"folio-hwpoison", "folio-idle", "folio-pinned",
		"folio-workingset",
	};

	return bit < PTF_ARRAY_SIZE(names) ? names[bit] : NULL;
}

const char *ptf_vma_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		"read", "write", "exec", "shared", "mayshare", "growsdown",
		"locked", "pfnmap", "io", "hugetlb", "special", "secretmem",
		"dontcopy", "dontdump", "wipeonfork", "mergeable", "hugepage",
		"nohugepage", "uffd", "stack", "heap", "file", "shmem",
		"seq-read", "rand-read", "noreserve", "mixedmap", "softdirty",
		"shadow-stack", "lockonfault", "device",
	};

	return bit < PTF_ARRAY_SIZE(names) ? names[bit] : NULL;
}

const char *ptf_level_flag_name(unsigned int bit)
{
	static const char *const names[] = {
		"present", "write", "user", "accessed", "dirty", "leaf", "nx",
		"global", "pwt", "pcd", "soft-dirty", "uffd-wp", "special",
		"bad", "encrypted",
	};

	return bit < PTF_ARRAY_SIZE(names) ? names[bit] : NULL;
}

/* Answers a length even where a locale would make snprintf() fail. */
static size_t put(char *buf, size_t len, const char *fmt, ...) PTF_PRINTF(3, 4);

static size_t put(char *buf, size_t len, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, len, fmt, ap);
	va_end(ap);
	return n > 0 ? (size_t)n : 0;
}

/* A frame as a physical address; 0 is what an unprivileged opener sees. */
static const char *frame_text(uint64_t pfn, char *buf, size_t len)
{
	if (pfn)
		put(buf, len, "PA:0x%llx",
		    (unsigned long long)pfn * ptf_page_bytes());
	else
		put(buf, len, "PA:hidden");
	return buf;
}

size_t ptf_row_pte_text(const struct ptf_row *row, char *buf, size_t len)
{
	char pa[40];

	frame_text(row->pte_pfn, pa, sizeof(pa));
	switch (row->state) {
	case PTF_STATE_PRESENT:
		if (row->kind == PTF_KIND_ZERO)
			return put(buf, len, "zero page");
		if (row->kind == PTF_KIND_KSM)
			return put(buf, len, "KSM page (%s)", pa);
		return put(buf, len, "%s", pa);
	case PTF_STATE_HINT:
		if (row->kind == PTF_KIND_ZERO)
			return put(buf, len, "hint, not present (keeps the zero page)");
		return put(buf, len, "hint, not present (keeps %s)", pa);
	case PTF_STATE_PROTNONE:
		return put(buf, len, "no access by mprotect (keeps %s)", pa);
	case PTF_STATE_STASHED:
		return put(buf, len, "stashed (keeps %s)", pa);
	case PTF_STATE_SWAP:
		if (!row->pte_pfn)
			return put(buf, len, "swap %u, slot hidden",
				   row->swap_type);
		return put(buf, len, "swap %u, slot 0x%llx", row->swap_type,
			   (unsigned long long)row->pte_pfn);
	case PTF_STATE_MIGRATION:
		return put(buf, len, "migration entry (the page is being moved)");
	case PTF_STATE_HWPOISON:
		return put(buf, len, "poison entry");
	case PTF_STATE_DEVICE:
		return put(buf, len, "device entry (the page is on a device)");
	case PTF_STATE_GUARD:
		return put(buf, len, "guard marker");
	case PTF_STATE_MARKER:
		return put(buf, len, "marker");
	case PTF_STATE_NONE:
		return put(buf, len, "nothing");
	default:
		return put(buf, len, "?");
	}
}

size_t ptf_row_filemap_text(const struct ptf_row *row, char *buf, size_t len)
{
	char pa[40];

	switch (row->file_state) {
	case PTF_FILEMAP_PRESENT:
		return put(buf, len, "%s",
			   frame_text(row->file_pfn, pa, sizeof(pa)));
	case PTF_FILEMAP_SHADOW:
		return put(buf, len, "evicted (a shadow remembers it)");
	case PTF_FILEMAP_SWAP:
		return put(buf, len, "in swap");
	case PTF_FILEMAP_DAX:
		return put(buf, len, "DAX entry");
	case PTF_FILEMAP_NONE:
		return put(buf, len, "nothing");
	default:
		return put(buf, len, "?");
	}
}

size_t ptf_name_line(const char *name, char *buf, size_t len)
{
	size_t at = 0, n, i;

	if (len)
		buf[0] = 0;
	for (; *name; name++) {
		const char *text = *name == '\n' ? "\\012" : name;

		n = *name == '\n' ? 4 : 1;
		for (i = 0; i < n; i++, at++) {
			if (at + 1 >= len)
				continue;
			buf[at] = text[i];
			buf[at + 1] = 0;
		}
	}
	return at;
}

size_t ptf_vma_text(const struct ptf_vma *vma, const char *name, char *buf,
		    size_t len)
{
	const char *how = vma->flags & (PTF_VMA_SHARED | PTF_VMA_MAYSHARE) ?
			  "shared" : "private";
	size_t at;

	if (!name[0] && vma->flags & PTF_VMA_HEAP)
		name = "[heap]";
	if (!name[0] && vma->flags & PTF_VMA_STACK)
		name = "[stack]";
	if (!name[0])
		name = vma->flags & PTF_VMA_FILE ? "file" : "anonymous";
	at = ptf_name_line(name, buf, len);
	buf = at < len ? buf + at : NULL;
	len = at < len ? len - at : 0;
	if (vma->flags & PTF_VMA_FILE)
		return at + put(buf, len, ":0x%llx (%s)",
				(unsigned long long)vma->offset, how);
	return at + put(buf, len, " (%s)", how);
}
