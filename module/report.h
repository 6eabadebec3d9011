/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows: filemap.c knows the page cache and folios, report.c puts rows together. */
#ifndef PTF_REPORT_H
#define PTF_REPORT_H

#include <linux/pagemap.h>
#include "ptefault.h"

/**
 * struct ptf_folio_info - what a row says of a folio
 * @flags: PTF_FOLIO_*
 * @mapcount: entries that map the page
 * @order: log2 of its pages
 */
struct ptf_folio_info {
	u64 flags;
	u32 mapcount;
	u8 order;
};

void ptf_folio_look(struct folio *folio, struct page *page, struct ptf_folio_info *info);

/**
 * struct ptf_filemap_entry - what the page cache has at an index
 * @index: first page index it stands for, not below the one asked for
 * @nr: pages from there on that are alike (one folio, at the most)
 * @pfn: frame of the first
 * @state: PTF_FILEMAP_*, never PTF_FILEMAP_NONE
 * @info: of the folio, if PTF_FILEMAP_PRESENT
 */
struct ptf_filemap_entry {
	pgoff_t index;
	unsigned long nr;
	unsigned long pfn;
	u8 state;
	struct ptf_folio_info info;
};

bool ptf_filemap_next(struct address_space *mapping, pgoff_t index, pgoff_t last,
		      struct ptf_filemap_entry *e);

#endif /* PTF_REPORT_H */
