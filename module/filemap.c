// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file side: what the page cache holds of a file, and what a folio is.
 * Leaves mappings of the file to report.c.
 */
#include <linux/dax.h>
#include <linux/fadvise.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "report.h"
#include "walk.h"
#include "compat.h"

#define PTF_FILE_ROWS 128	/* rows filled in between two copies to the user */

static const struct {
	unsigned long pg;
	u64 ptf;
} ptf_folio_bits[] = {
	{ BIT(PG_locked), PTF_FOLIO_LOCKED },
	{ BIT(PG_referenced), PTF_FOLIO_REFERENCED },
	{ BIT(PG_uptodate), PTF_FOLIO_UPTODATE },
	{ BIT(PG_dirty), PTF_FOLIO_DIRTY },
	{ BIT(PG_lru), PTF_FOLIO_LRU },
	{ BIT(PG_active), PTF_FOLIO_ACTIVE },
	{ BIT(PG_workingset), PTF_FOLIO_WORKINGSET },
	{ BIT(PG_writeback), PTF_FOLIO_WRITEBACK },
	{ BIT(PG_reclaim), PTF_FOLIO_RECLAIM },
	{ BIT(PG_swapbacked), PTF_FOLIO_SWAPBACKED },
	{ BIT(PG_unevictable), PTF_FOLIO_UNEVICTABLE },
	{ BIT(PG_mlocked), PTF_FOLIO_MLOCKED },
#ifdef CONFIG_MEMORY_FAILURE
	{ BIT(PG_hwpoison), PTF_FOLIO_HWPOISON },
#endif
#if defined(CONFIG_PAGE_IDLE_FLAG) && defined(CONFIG_64BIT)
	{ BIT(PG_idle), PTF_FOLIO_IDLE },
#endif
};

/**
 * ptf_folio_look() - what a folio is right now
 * @folio: held by the caller: by a reference, or by an entry that maps it and
 *	the lock of its table
 * @page: the page of it that is meant
 * @info: filled in
 */
void ptf_folio_look(struct folio *folio, struct page *page, struct ptf_folio_info *info)
{
	unsigned long pg = ptf_page_flags(&folio->page);
	unsigned int i;
	u64 flags = 0;

	for (i = 0; i < ARRAY_SIZE(ptf_folio_bits); i++)
		if (pg & ptf_folio_bits[i].pg)
			flags |= ptf_folio_bits[i].ptf;
	/* the swap cache shares its bit with an owner's private one */
	if (pg & BIT(PG_swapcache) && pg & BIT(PG_swapbacked))
		flags |= PTF_FOLIO_SWAPCACHE;
	info->order = 0;
	if (folio_test_large(folio)) {
		flags |= PTF_FOLIO_LARGE;
		info->order = folio_order(folio);
	}
	if (folio_maybe_dma_pinned(folio))
		flags |= PTF_FOLIO_PINNED;
	info->flags = flags;
	info->mapcount = ptf_page_mapcount(folio, page);
}

/**
 * ptf_filemap_next() - the first thing in the page cache in a range of indices
 * @mapping: the file's
 * @index: where to begin
 * @last: last index of interest, inclusive
 * @e: filled in if there is something
 *
 * Context: any that may take rcu_read_lock(); may be called under a page table
 * lock. Takes and drops a folio reference.
 *
 * Return: false if nothing is there up to @last
 */
bool ptf_filemap_next(struct address_space *mapping, pgoff_t index, pgoff_t last,
		      struct ptf_filemap_entry *e)
{
	XA_STATE(xas, &mapping->i_pages, index);
	struct folio *folio;
	struct page *page;
	void *entry;

	rcu_read_lock();
retry:
	entry = xas_find(&xas, last);
	if (!entry) {
		rcu_read_unlock();
		return false;
	}
	if (xas_retry(&xas, entry))
		goto retry;
	e->index = max(xas.xa_index, index);
	e->nr = 1;
	e->pfn = 0;
	memset(&e->info, 0, sizeof(e->info));
	if (xa_is_value(entry)) {
		if (dax_mapping(mapping))
			e->state = PTF_FILEMAP_DAX;
		else if (ptf_mapping_is_shmem(mapping))
			e->state = PTF_FILEMAP_SWAP;
		else
			e->state = PTF_FILEMAP_SHADOW;
		rcu_read_unlock();
		return true;
	}
	folio = entry;
	/* without a reference it may be split, freed and reused as we look */
	if (!folio_try_get(folio)) {
		xas_reset(&xas);
		goto retry;
	}
	if (unlikely(folio != xas_reload(&xas))) {
		folio_put(folio);
		xas_reset(&xas);
		goto retry;
	}
	rcu_read_unlock();
	page = folio_file_page(folio, e->index);
	e->state = PTF_FILEMAP_PRESENT;
	e->pfn = page_to_pfn(page);
	ptf_folio_look(folio, page, &e->info);
	/* in old kernels each page of a large folio has a map count of its own */
	if (folio_test_large(folio) && !PTF_MAPCOUNT_PER_PAGE)
		e->nr = min(folio->index + folio_nr_pages(folio) - e->index,
			    last - e->index + 1);
	folio_put(folio);
	return true;
}

static bool ptf_file_row_extends(const struct ptf_file_row *a,
				 const struct ptf_file_row *b)
{
	return a->index + a->nr_pages == b->index && a->state == b->state &&
	       a->flags == b->flags && a->mapcount == b->mapcount &&
	       a->order == b->order && (!b->pfn || a->pfn + a->nr_pages == b->pfn);
}

struct ptf_file_report {
	struct ptf_file_row *rows;
	unsigned int nr, cap;
	bool pages;		/* a row for each page */
};

/* Takes as much of @row as there is room for; answers how many pages. */
static unsigned long ptf_file_report_add(struct ptf_file_report *r,
					 struct ptf_file_row row)
{
	unsigned long total = row.nr_pages, done = 0;

	if (!r->pages) {
		if (r->nr && ptf_file_row_extends(&r->rows[r->nr - 1], &row)) {
			r->rows[r->nr - 1].nr_pages += total;
			return total;
		}
		if (r->nr == r->cap)
			return 0;
		r->rows[r->nr++] = row;
		return total;
	}
	row.nr_pages = 1;
	for (; done < total && r->nr < r->cap; done++) {
		r->rows[r->nr++] = row;
		row.index++;
		if (row.pfn)
			row.pfn++;
	}
	return done;
}

/* Rows for [index, end); answers the first index not reported. */
static pgoff_t ptf_filemap_fill(struct ptf_file_report *r, struct ptf_cmd *c,
				struct address_space *mapping, pgoff_t index,
				pgoff_t end)
{
	struct ptf_ioc_file_query *a = c->arg;
	struct ptf_filemap_entry e;
	struct ptf_file_row row;
	pgoff_t stop;

	while (index < end) {
		bool found = ptf_filemap_next(mapping, index, end - 1, &e);

		stop = found ? e.index : end;
		if (stop > index && !(a->flags & PTF_QUERY_F_MAPPED)) {
			row = (struct ptf_file_row) {
				.index = index,
				.nr_pages = stop - index,
			};
			index += ptf_file_report_add(r, row);
			if (index < stop)
				return index;
		}
		index = stop;
		if (!found)
			break;
		row = (struct ptf_file_row) {
			.index = e.index,
			.nr_pages = e.nr,
			.pfn = c->s->privileged ? e.pfn : 0,
			.flags = e.info.flags,
			.mapcount = e.info.mapcount,
			.state = e.state,
			.order = e.info.order,
		};
		index += ptf_file_report_add(r, row);
		if (index < e.index + e.nr)
			return index;
		if (need_resched() || fatal_signal_pending(current))
			return index;
	}
	return end;
}

static int ptf_filemap_copy(struct ptf_file_report *r, struct ptf_ioc_file_query *a)
{
	u8 __user *to = u64_to_user_ptr(a->rows + a->out_rows * a->row_size);
	size_t size = min_t(size_t, a->row_size, sizeof(struct ptf_file_row));
	unsigned int i;

	for (i = 0; i < r->nr; i++, to += a->row_size) {
		if (copy_to_user(to, &r->rows[i], size))
			return -EFAULT;
		if (a->row_size > size && clear_user(to + size, a->row_size - size))
			return -EFAULT;
		a->out_rows++;
	}
	return 0;
}

/**
 * ptf_filemap_open() - the page cache of the file behind an fd
 * @fd: the caller's
 * @mode: FMODE_READ or FMODE_WRITE, what it must be open for
 * @mapping: the page cache; a file of overlayfs has its pages in the real
 *	file below, and none itself
 *
 * Return: the file, to be given back with fput(); -EBADF, -ENODEV, -EOPNOTSUPP
 */
struct file *ptf_filemap_open(int fd, fmode_t mode, struct address_space **mapping)
{
	struct file *file = fget(fd);
	struct inode *inode, *real;

	if (!file)
		return ERR_PTR(-EBADF);
	if (!(file->f_mode & mode)) {
		fput(file);
		return ERR_PTR(-EBADF);
	}
	inode = file->f_mapping ? file->f_mapping->host : NULL;
	if (!inode || !(S_ISREG(inode->i_mode) || S_ISBLK(inode->i_mode))) {
		fput(file);
		return ERR_PTR(-ENODEV);
	}
	*mapping = file->f_mapping;
	if (S_ISREG(inode->i_mode)) {
		real = d_real_inode(file_dentry(file));
		if (real && real != inode)
			*mapping = real->i_mapping;
	}
	/* counted in huge pages in old kernels, and never evicted */
	if ((*mapping)->host->i_sb->s_magic == HUGETLBFS_MAGIC) {
		fput(file);
		return ERR_PTR(-EOPNOTSUPP);
	}
	return file;
}

int ptf_filemap_query(struct ptf_cmd *c)
{
	struct ptf_ioc_file_query *a = c->arg;
	struct address_space *mapping;
	struct ptf_file_report r;
	pgoff_t index, end, size_pages;
	struct file *file;
	int err = 0;

	if (a->flags & ~(PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(a->start) || !PAGE_ALIGNED(a->end) || a->start >= a->end ||
	    !a->nr_rows || !a->rows || a->row_size < sizeof(struct ptf_file_row) ||
	    a->row_size > PAGE_SIZE)
		return -EINVAL;
	if (a->nr_rows > SSIZE_MAX / a->row_size)
		return -EOVERFLOW;
	file = ptf_filemap_open(a->fd, FMODE_READ, &mapping);
	if (IS_ERR(file))
		return PTR_ERR(file);
	r.rows = kmalloc_array(PTF_FILE_ROWS, sizeof(*r.rows), GFP_KERNEL_ACCOUNT);
	if (!r.rows) {
		fput(file);
		return -ENOMEM;
	}
	r.pages = a->flags & PTF_QUERY_F_PAGES;

	a->out_rows = 0;
	a->out_bytes = i_size_read(mapping->host);
	a->out_cached_pages = READ_ONCE(mapping->nrpages);
	c->respond = true;

	/*
	 * Nothing is reported behind the end of the file, unless the cache
	 * has something there (a truncation under way).
	 */
	index = a->start >> PAGE_SHIFT;
	end = a->end >> PAGE_SHIFT;
	size_pages = DIV_ROUND_UP_ULL(a->out_bytes, PAGE_SIZE);
	if (end > size_pages) {
		struct ptf_filemap_entry e;
		pgoff_t from = max(index, size_pages);

		while (from < end && ptf_filemap_next(mapping, from, end - 1, &e)) {
			size_pages = e.index + e.nr;
			from = size_pages;
			if (fatal_signal_pending(current))
				break;
			cond_resched();
		}
		end = max(index, min(end, size_pages));
	}
	while (index < end && a->out_rows < a->nr_rows) {
		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		r.nr = 0;
		r.cap = min_t(u64, PTF_FILE_ROWS, a->nr_rows - a->out_rows);
		index = ptf_filemap_fill(&r, c, mapping, index, end);
		err = ptf_filemap_copy(&r, a);
		if (err)
			break;
		cond_resched();
	}
	a->out_next = index < end ? (u64)index << PAGE_SHIFT : a->end;
	kfree(r.rows);
	fput(file);
	return err;
}

/* Has a file a page cache that we can look into and work on? */
bool ptf_filemap_has_cache(struct address_space *mapping)
{
	return mapping && mapping->host &&
	       (S_ISREG(mapping->host->i_mode) || S_ISBLK(mapping->host->i_mode));
}

/* Pages of a large folio of which only a part lies in the range. */
struct ptf_filemap_edge {
	pgoff_t folio;		/* index of its first page */
	u64 nr;			/* in the range */
	unsigned int mapcount;	/* of all of it */
};

/* Pages of a range that are in the cache, and of them those that are mapped. */
struct ptf_filemap_count {
	u64 cached, mapped;
	/*
	 * Where the kernel counts by folio it can't say whether the part in the range
	 * is mapped: at both ends.
	 */
	struct ptf_filemap_edge edge[2];
	unsigned int nr_edges;
};

static void ptf_filemap_count(struct address_space *mapping, pgoff_t first, u64 nr,
			      struct ptf_filemap_count *c)
{
	pgoff_t index = first, last = first + nr - 1, folio, size;
	struct ptf_filemap_entry e;

	memset(c, 0, sizeof(*c));
	while (index <= last && index >= first &&
	       ptf_filemap_next(mapping, index, last, &e)) {
		index = e.index + e.nr;
		cond_resched();
		if (e.state != PTF_FILEMAP_PRESENT)
			continue;
		c->cached += e.nr;
		if (!e.info.mapcount)
			continue;
		size = 1UL << e.info.order;
		folio = ALIGN_DOWN(e.index, size);
		if (PTF_MAPCOUNT_PER_PAGE || (folio >= first && folio + size - 1 <= last)) {
			c->mapped += e.nr;
		} else if (c->nr_edges < ARRAY_SIZE(c->edge)) {
			c->edge[c->nr_edges++] = (struct ptf_filemap_edge) {
				.folio = folio,
				.nr = e.nr,
				.mapcount = e.info.mapcount,
			};
		}
	}
}

/* Pages of folios at the ends that were unmapped: something of these was. */
static u64 ptf_filemap_edges(const struct ptf_filemap_count *before,
			     const struct ptf_filemap_count *after)
{
	unsigned int i, k;
	u64 nr = 0;

	for (i = 0; i < before->nr_edges; i++) {
		for (k = 0; k < after->nr_edges; k++)
			if (after->edge[k].folio == before->edge[i].folio)
				break;
		if (k == after->nr_edges || after->edge[k].mapcount < before->edge[i].mapcount)
			nr += before->edge[i].nr;
	}
	return nr;
}

/*
 * May the caller change what other processes see of a file: who may write it, as
 * madvise(MADV_PAGEOUT) has it (mm/madvise.c, can_do_file_pageout()).
 */
bool ptf_filemap_may_change(struct file *file)
{
	return file->f_mode & FMODE_WRITE || !file_permission(file, MAY_WRITE) ||
	       capable(CAP_SYS_ADMIN);
}

/**
 * ptf_filemap_advise() - UNMAP_FILE, UNMAP_FILE_COW or EVICT of part of a file
 * @mapping: its page cache
 * @file: the file, for writing back
 * @advice: PTF_ADV_*
 * @first: first page index
 * @nr: pages, at least 1
 * @done: pages that were mapped and are not, or were cached and are not
 * @busy: pages that stayed: locked, pinned, or mapped again at once
 *
 * Every process that maps the file is reached. Nothing of the content is lost:
 * dirty pages are written first.
 *
 * Return: 0, or what writing back answered
 */
int ptf_filemap_advise(struct address_space *mapping, struct file *file, u32 advice,
		       pgoff_t first, u64 nr, u64 *done, u64 *busy)
{
	loff_t start = (loff_t)first << PAGE_SHIFT, len = (loff_t)nr << PAGE_SHIFT;
	struct ptf_filemap_count before, after;
	int err;

	ptf_filemap_count(mapping, first, nr, &before);
	if (advice != PTF_ADV_EVICT) {
		unmap_mapping_range(mapping, start, len, advice == PTF_ADV_UNMAP_FILE_COW);
		ptf_filemap_count(mapping, first, nr, &after);
		*done = before.mapped - min(before.mapped, after.mapped) +
			ptf_filemap_edges(&before, &after);
		*busy = after.mapped;
		return 0;
	}
	err = filemap_write_and_wait_range(mapping, start, start + len - 1);
	if (err)
		return err;
	unmap_mapping_range(mapping, start, len, 0);
	/* drains what CPUs keep back on their way to the LRU, then invalidates */
	err = vfs_fadvise(file, start, len, POSIX_FADV_DONTNEED);
	ptf_filemap_count(mapping, first, nr, &after);
	*done = before.cached - min(before.cached, after.cached);
	*busy = after.cached;
	return err;
}
