// SPDX-License-Identifier: GPL-2.0-only
/*
 * PTF_IOC_FILE_MAPPERS: which addresses of which processes map part of a file.
 * Owns the way from a file to address spaces and on to processes; what a VMA is
 * and what its entries hold is asked elsewhere.
 *
 * The tree of a file's mappings has a lock that lies inside mmap_lock, and whose
 * holder must never be the last user of an address space (its end takes it for
 * writing). So in two steps: under that lock only note who is there and keep
 * their address spaces from going; then look at each under its own mmap_lock,
 * and believe nothing of what was noted. The interval tree's functions are not
 * exported: its nodes are walked in order instead, which is that of offsets.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/pagemap.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>
#include "walk.h"
#include "compat.h"

/* What is more than this many at once is not shown: nobody eats the memory. */
#define PTF_MAPPERS_MAX	BIT(20)

/**
 * struct ptf_mapping - one mapping of the file, as noted
 * @mm: address space, held with mm_users
 * @start: first address of the part that maps the range
 * @end: first address behind
 * @thread: one that lives in @mm; only in the first of each @mm
 * @pid: its process, as the caller sees it
 * @may: the session may look at it
 */
struct ptf_mapping {
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	struct pid *thread;
	pid_t pid;
	bool may;
};

struct ptf_mappings {
	struct address_space *of;
	pgoff_t first, last;
	struct ptf_mapping *v;
	unsigned long nr, cap;
	unsigned long total;
};

/* The part of a VMA that maps pages first to last of its file; false: none. */
static bool ptf_mappers_part(struct vm_area_struct *vma, pgoff_t first, pgoff_t last,
			     unsigned long *start, unsigned long *end)
{
	pgoff_t from = max(first, vma->vm_pgoff);
	pgoff_t to = min(last, vma->vm_pgoff + vma_pages(vma) - 1);

	if (from > to)
		return false;
	*start = vma->vm_start + ((from - vma->vm_pgoff) << PAGE_SHIFT);
	*end = vma->vm_start + ((to - vma->vm_pgoff + 1) << PAGE_SHIFT);
	return true;
}

/* The mappings, or as many as there is room for, and how many there are. */
static void ptf_mappers_note(struct ptf_mappings *m)
{
	struct vm_area_struct *vma;
	unsigned long start, end;
	struct rb_node *n;

	m->nr = 0;
	m->total = 0;
	i_mmap_lock_read(m->of);
	for (n = rb_first_cached(&m->of->i_mmap); n; n = rb_next(n)) {
		vma = rb_entry(n, struct vm_area_struct, shared.rb);
		/* in order of first pages: nothing of interest comes after */
		if (vma->vm_pgoff > m->last)
			break;
		if (!ptf_mappers_part(vma, m->first, m->last, &start, &end))
			continue;
		/* an address space that ends maps nothing any more */
		if (!mmget_not_zero(vma->vm_mm))
			continue;
		m->total++;
		if (m->nr == m->cap) {
			/* never here and now, should we be the last user */
			mmput_async(vma->vm_mm);
			continue;
		}
		m->v[m->nr++] = (struct ptf_mapping) {
			.mm = vma->vm_mm,
			.start = start,
			.end = end,
		};
		cond_resched();
	}
	i_mmap_unlock_read(m->of);
}

static void ptf_mappers_forget(struct ptf_mappings *m)
{
	while (m->nr) {
		m->nr--;
		put_pid(m->v[m->nr].thread);
		mmput_async(m->v[m->nr].mm);
		cond_resched();
	}
}

static int ptf_mappers_collect(struct ptf_mappings *m)
{
	m->cap = 64;
	for (;;) {
		m->v = kvcalloc(m->cap, sizeof(*m->v), GFP_KERNEL_ACCOUNT);
		if (!m->v)
			return -ENOMEM;
		ptf_mappers_note(m);
		if (m->total <= m->cap || m->cap >= PTF_MAPPERS_MAX)
			return 0;
		ptf_mappers_forget(m);
		kvfree(m->v);
		if (fatal_signal_pending(current))
			return -EINTR;
		/* others map and unmap meanwhile */
		m->cap = min_t(unsigned long, m->total + m->total / 4, PTF_MAPPERS_MAX);
	}
}

static int ptf_mappers_by_mm(const void *a, const void *b)
{
	const struct ptf_mapping *x = a, *y = b;

	return x->mm < y->mm ? -1 : x->mm > y->mm;
}

static int ptf_mappers_by_pid(const void *a, const void *b)
{
	const struct ptf_mapping *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (x->mm != y->mm)
		return x->mm < y->mm ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

/* The first mapping of an address space, in the sorted array. */
static struct ptf_mapping *ptf_mappers_of(struct ptf_mappings *m, struct mm_struct *mm)
{
	unsigned long low = 0, high = m->nr, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (m->v[mid].mm < mm)
			low = mid + 1;
		else
			high = mid;
	}
	return low < m->nr && m->v[low].mm == mm ? &m->v[low] : NULL;
}

/* Who lives in the address spaces: there is no way but to look at everybody. */
static void ptf_mappers_find_threads(struct ptf_mappings *m)
{
	struct task_struct *p, *t;
	struct ptf_mapping *o;

	rcu_read_lock();
	/* for_each_thread() asks for tasklist_lock where lists are checked */
	for_each_process(p) {
		list_for_each_entry_rcu(t, &p->signal->thread_head, thread_node) {
			/* a kernel thread only borrows */
			if (t->flags & PF_KTHREAD)
				continue;
			o = ptf_mappers_of(m, READ_ONCE(t->mm));
			if (o && !o->thread)
				o->thread = get_task_pid(t, PIDTYPE_PID);
		}
	}
	rcu_read_unlock();
}

/*
 * May the session look at this address space? As for a target: see
 * ptf_session_mm_of().
 */
static int ptf_mappers_may(struct ptf_session *s, struct ptf_mapping *o)
{
	struct task_struct *task = NULL;

	o->may = o->mm == current->mm || o->mm == s->self->mm;
	if (o->thread)
		task = get_pid_task(o->thread, PIDTYPE_PID);
	if (!task)
		return 0;
	if (down_read_killable(&task->signal->exec_update_lock)) {
		put_task_struct(task);
		return -EINTR;
	}
	if (READ_ONCE(task->mm) == o->mm) {
		o->may = o->may || ptf_task_ns_capable(task, o->mm, CAP_SYS_PTRACE);
		o->pid = task_tgid_vnr(task);
	}
	up_read(&task->signal->exec_update_lock);
	put_task_struct(task);
	return 0;
}

static int ptf_mappers_rights(struct ptf_session *s, struct ptf_mappings *m)
{
	struct ptf_mapping *of = NULL;
	unsigned long i;
	int err;

	for (i = 0; i < m->nr; i++) {
		if (of && m->v[i].mm == of->mm) {
			m->v[i].may = of->may;
			m->v[i].pid = of->pid;
			continue;
		}
		of = &m->v[i];
		err = ptf_mappers_may(s, of);
		if (err)
			return err;
	}
	return 0;
}

/* ---- what the entries of a mapping hold ---- */

static void ptf_mappers_count(struct ptf_mapper *row, struct page *page, unsigned long nr)
{
	row->mapped_pages += nr;
	if (page && PageAnon(page))
		row->copied_pages += nr;
}

static int ptf_mappers_ptes(struct ptf_walk *w, pte_t *ptep, unsigned long addr,
			    unsigned long end)
{
	struct page *page;
	pte_t pte;

	for (; addr != end; ptep++, addr += PAGE_SIZE) {
		pte = ptep_get(ptep);
		if (!pte_present(pte))
			continue;
		page = NULL;
		if (!pte_special(pte) && !ptf_pte_devmap(pte) &&
		    !(w->vma->vm_flags & VM_PFNMAP))
			page = pfn_to_page(pte_pfn(pte));
		ptf_mappers_count(w->priv, page, 1);
	}
	return 0;
}

static int ptf_mappers_leaf(struct ptf_walk *w, unsigned int level, void *entry,
			    unsigned long addr, unsigned long end)
{
	struct page *page = NULL;
	pmd_t pmd;

	if (level == PTF_LEVEL_PMD) {
		pmd = READ_ONCE(*(pmd_t *)entry);
		if (!pmd_present(pmd))
			return 0;
		if (!(w->vma->vm_flags & (VM_PFNMAP | VM_MIXEDMAP)))
			page = pfn_to_page(pmd_pfn(pmd));
	}
	ptf_mappers_count(w->priv, page, (end - addr) >> PAGE_SHIFT);
	return 0;
}

static int ptf_mappers_hole(struct ptf_walk *w, unsigned long addr, unsigned long end)
{
	return 0;
}

/* The VMA at @addr, if it maps the file there still; mmap_lock is held. */
static struct vm_area_struct *ptf_mappers_vma(struct ptf_mappings *m, struct mm_struct *mm,
					      unsigned long addr, unsigned long *start,
					      unsigned long *end)
{
	struct vm_area_struct *vma = vma_lookup(mm, addr);

	if (!vma || !vma->vm_file || vma->vm_file->f_mapping != m->of ||
	    !ptf_mappers_part(vma, m->first, m->last, start, end) || addr < *start || addr >= *end)
		return NULL;
	return vma;
}

/* Return: 1 a row, 0 it maps the file no more, or -EINTR */
static int ptf_mappers_look(struct ptf_mappings *m, const struct ptf_mapping *o,
			    struct ptf_mapper *row)
{
	struct ptf_walk w = {
		.mm = o->mm,
		.priv = row,
		.ptes = ptf_mappers_ptes,
		.leaf = ptf_mappers_leaf,
		.hole = ptf_mappers_hole,
	};
	unsigned long start, end, pos = o->start;
	int ret, found = 0;

	do {
		if (mmap_read_lock_killable(o->mm))
			return -EINTR;
		w.vma = ptf_mappers_vma(m, o->mm, pos, &start, &end);
		if (!w.vma) {
			mmap_read_unlock(o->mm);
			return found;
		}
		if (!found) {
			row->start = start;
			row->end = end;
			row->offset = ((u64)w.vma->vm_pgoff << PAGE_SHIFT) + start -
				      w.vma->vm_start;
			row->flags = ptf_vma_flags(w.vma);
			pos = start;
			found = 1;
		}
		ret = ptf_walk_range(&w, pos, end);
		pos = w.next;
		mmap_read_unlock(o->mm);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (ret == PTF_WALK_BREAK);
	return found;
}

static int ptf_mappers_copy(struct ptf_ioc_file_mappers *a, const struct ptf_mapper *row)
{
	u8 __user *to = u64_to_user_ptr(a->rows + a->out_rows * a->row_size);

	if (copy_to_user(to, row, sizeof(*row)) ||
	    clear_user(to + sizeof(*row), a->row_size - sizeof(*row)))
		return -EFAULT;
	a->out_rows++;
	return 0;
}

static int ptf_mappers_rows(struct ptf_mappings *m, struct ptf_ioc_file_mappers *a)
{
	struct ptf_mapper row;
	unsigned long i;
	int ret;

	for (i = 0; i < m->nr && a->out_rows < a->nr_rows; i++) {
		if (!m->v[i].may)
			continue;
		memset(&row, 0, sizeof(row));
		row.pid = m->v[i].pid;
		ret = ptf_mappers_look(m, &m->v[i], &row);
		if (!ret)
			a->out_total--;
		else if (ret > 0)
			ret = ptf_mappers_copy(a, &row);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int ptf_mappers_check(const struct ptf_ioc_file_mappers *a)
{
	if (a->flags)
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(a->start) || !PAGE_ALIGNED(a->end) || a->start >= a->end ||
	    !a->rows != !a->nr_rows)
		return -EINVAL;
	if (a->row_size < sizeof(struct ptf_mapper) || a->row_size > PAGE_SIZE)
		return -EINVAL;
	return a->nr_rows > SSIZE_MAX / a->row_size ? -EOVERFLOW : 0;
}

int ptf_mappers_query(struct ptf_cmd *c)
{
	struct ptf_ioc_file_mappers *a = c->arg;
	struct ptf_mappings m = {};
	struct file *file;
	int err;

	err = ptf_mappers_check(a);
	if (err)
		return err;
	file = ptf_filemap_open(a->fd, FMODE_READ, &m.of);
	if (IS_ERR(file))
		return PTR_ERR(file);
	m.first = a->start >> PAGE_SHIFT;
	m.last = (a->end >> PAGE_SHIFT) - 1;
	err = ptf_mappers_collect(&m);
	if (!err) {
		a->out_rows = 0;
		a->out_total = m.total;
		c->respond = true;
		sort(m.v, m.nr, sizeof(*m.v), ptf_mappers_by_mm, NULL);
		ptf_mappers_find_threads(&m);
		err = ptf_mappers_rights(c->s, &m);
		sort(m.v, m.nr, sizeof(*m.v), ptf_mappers_by_pid, NULL);
		if (!err)
			err = ptf_mappers_rows(&m, a);
		ptf_mappers_forget(&m);
		kvfree(m.v);
	}
	fput(file);
	return err;
}
