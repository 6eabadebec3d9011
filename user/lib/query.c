// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The report: rows of a range, of a file, of one address. The module answers
 * as much as a buffer takes; here the calls become one list again, with runs
 * that a buffer's end cut in two put together.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <ptefault/query.h>
#include <ptefault/row.h>

#include "session.h"

#define QUERY_ROWS	1024
#define QUERY_VMAS	256
#define QUERY_NAMES	(64U << 10)

struct query_buf {
	struct ptf_row rows[QUERY_ROWS];
	struct ptf_vma vmas[QUERY_VMAS];
	char names[QUERY_NAMES];
};

/* Does frame @b carry on a run of @pages that begins with frame @a? */
static bool frames_go_on(uint64_t a, uint64_t b, uint64_t pages)
{
	return a ? b == a + pages : !b;
}

static bool row_goes_on(const struct ptf_row *a, const struct ptf_row *b)
{
	return b->start == a->start + a->nr_pages * ptf_page_bytes() &&
	       a->flags == b->flags && a->mapcount == b->mapcount &&
	       a->state == b->state && a->kind == b->kind &&
	       a->level == b->level && a->order == b->order &&
	       a->file_state == b->file_state &&
	       a->file_order == b->file_order &&
	       a->swap_type == b->swap_type &&
	       (a->kind == PTF_KIND_ZERO ? a->pte_pfn == b->pte_pfn :
		frames_go_on(a->pte_pfn, b->pte_pfn, a->nr_pages)) &&
	       frames_go_on(a->file_pfn, b->file_pfn, a->nr_pages);
}

/* What is held back until the next call shows that it does not go on. */
struct pending {
	struct ptf_row row;
	struct ptf_vma vma;
	char name[PATH_MAX + 1];
	bool have;
	bool have_vma;
};

static int pending_flush(struct pending *p, ptf_row_fn fn, void *arg)
{
	if (!p->have)
		return 0;
	p->have = false;
	return fn(&p->row, p->have_vma ? &p->vma : NULL,
		  p->have_vma ? p->name : "", arg);
}

static bool pending_takes(struct pending *p, const struct ptf_row *row,
			  const struct ptf_vma *vma)
{
	if (!p->have || p->have_vma != !!vma)
		return false;
	if (vma && (vma->start != p->vma.start || vma->flags != p->vma.flags))
		return false;
	if (!row_goes_on(&p->row, row))
		return false;
	p->row.nr_pages += row->nr_pages;
	return true;
}

static void copy_name(char *to, size_t size, const struct ptf_vma *vma,
		      const char *names, size_t names_size)
{
	size_t len = 0;

	if (vma->name_off < names_size)
		len = ptf_min_size(ptf_min_size(vma->name_len,
						names_size - vma->name_off),
				   size - 1);
	memcpy(to, names + (len ? vma->name_off : 0), len);
	to[len] = 0;
	/* As maps calls them. */
	if (!len && vma->flags & PTF_VMA_HEAP)
		snprintf(to, size, "[heap]");
	else if (!len && vma->flags & PTF_VMA_STACK)
		snprintf(to, size, "[stack]");
}

ssize_t ptf_session_query(const struct ptf_session *session,
			  const struct ptf_target *target,
			  uint64_t start, uint64_t end, uint32_t flags,
			  ptf_row_fn fn, void *arg)
{
	static const char op[] = "ptf_session_query";
	struct ptf_ioc_range_query q;
	struct pending *pending;
	struct query_buf *buf;
	uint64_t at = start;
	ssize_t count = 0;
	int ret;

	ret = ptf_target_check(session, target, op);
	if (!ret)
		ret = ptf_range_check(op, start, end);
	if (ret)
		return ret;
	buf = malloc(sizeof(*buf));
	pending = calloc(1, sizeof(*pending));
	if (!buf || !pending) {
		ret = ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
		goto out;
	}
	while (at < end) {
		size_t i;

		memset(&q, 0, sizeof(q));
		q.size = sizeof(q);
		q.flags = flags;
		q.target = ptf_target_id(target);
		q.row_size = sizeof(struct ptf_row);
		q.start = at;
		q.end = end;
		q.rows = (uintptr_t)buf->rows;
		q.nr_rows = QUERY_ROWS;
		q.vmas = (uintptr_t)buf->vmas;
		q.nr_vmas = QUERY_VMAS;
		q.vma_size = sizeof(struct ptf_vma);
		q.names = (uintptr_t)buf->names;
		q.names_size = sizeof(buf->names);
		ret = ptf_ioctl(session, PTF_IOC_RANGE_QUERY, &q);
		if (ret) {
			ptf_fail(-ret, ptf_errno_layer(-ret), op,
				 ptf_addr(q.out_next ? q.out_next : at),
				 end - start, at - start, NULL);
			if (ret == -EOPNOTSUPP)
				ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op, NULL,
					 0, 0, "flags 0x%x", flags);
			goto out;
		}
		for (i = 0; i < q.out_rows; i++) {
			const struct ptf_row *row = &buf->rows[i];
			const struct ptf_vma *vma = NULL;
			int stop;

			if (row->vma < q.out_vmas)
				vma = &buf->vmas[row->vma];
			if (!(flags & PTF_QUERY_F_PAGES) &&
			    pending_takes(pending, row, vma))
				continue;
			stop = pending_flush(pending, fn, arg);
			if (stop) {
				ret = stop;
				goto out;
			}
			pending->row = *row;
			pending->have = true;
			pending->have_vma = vma;
			if (vma) {
				copy_name(pending->name, sizeof(pending->name),
					  vma, buf->names, q.out_names);
				pending->vma = *vma;
			}
			count++;
		}
		if (q.out_next <= at && !q.out_rows) {
			ret = ptf_fail(EIO, PTF_LAYER_MODULE, op, ptf_addr(at),
				       end - start, at - start,
				       "the module does not go on");
			goto out;
		}
		at = q.out_next;
	}
	ret = pending_flush(pending, fn, arg);
out:
	free(pending);
	free(buf);
	return ret ? ret : count;
}

/* ------------------------------------------------------------------ */
/* A report in memory                                                  */

struct collect {
	struct ptf_report *report;
	size_t cap_rows;
	size_t cap_vmas;
	size_t names_len;
	size_t cap_names;
};

/* Room for one more of @size bytes each behind @nr. */
static void *grow(void *array, size_t nr, size_t more, size_t *cap,
		  size_t size)
{
	size_t want = *cap;
	void *new;

	if (nr + more <= *cap)
		return array;
	while (want < nr + more)
		want = want ? want * 2 : 256;
	new = reallocarray(array, want, size);
	if (new)
		*cap = want;
	return new;
}

static int collect_row(const struct ptf_row *row, const struct ptf_vma *vma,
		       const char *name, void *arg)
{
	struct collect *c = arg;
	struct ptf_report *r = c->report;
	size_t len = strlen(name);
	struct ptf_vma *last;
	void *new;

	new = grow(r->rows, r->nr_rows, 1, &c->cap_rows, sizeof(*r->rows));
	if (!new)
		return -ENOMEM;
	r->rows = new;
	r->rows[r->nr_rows] = *row;
	r->rows[r->nr_rows].vma = PTF_VMA_NONE;
	if (vma) {
		last = r->nr_vmas ? &r->vmas[r->nr_vmas - 1] : NULL;
		if (!last || last->start != vma->start) {
			new = grow(r->vmas, r->nr_vmas, 1, &c->cap_vmas,
				   sizeof(*r->vmas));
			if (!new)
				return -ENOMEM;
			r->vmas = new;
			new = grow(r->names, c->names_len, len + 1,
				   &c->cap_names, 1);
			if (!new)
				return -ENOMEM;
			r->names = new;
			last = &r->vmas[r->nr_vmas++];
			*last = *vma;
			last->name_off = c->names_len;
			last->name_len = len;
			memcpy(r->names + c->names_len, name, len + 1);
			c->names_len += len + 1;
		}
		r->rows[r->nr_rows].vma = r->nr_vmas - 1;
	}
	r->nr_rows++;
	return 0;
}

ssize_t ptf_report_create(const struct ptf_session *session,
			  const struct ptf_target *target,
			  uint64_t start, uint64_t end, uint32_t flags,
			  struct ptf_report **out)
{
	struct collect c = { 0 };
	ssize_t ret;

	*out = NULL;
	c.report = calloc(1, sizeof(*c.report));
	if (!c.report)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL, 0, 0,
				NULL);
	ret = ptf_session_query(session, target, start, end, flags,
				collect_row, &c);
	if (ret < 0) {
		if (ret == -ENOMEM)
			ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL, 0, 0,
				 NULL);
		ptf_report_free(c.report);
		return ptf_fail_op(__func__, ret);
	}
	*out = c.report;
	return c.report->nr_rows;
}

void ptf_report_free(struct ptf_report *report)
{
	if (!report)
		return;
	free(report->rows);
	free(report->vmas);
	free(report->names);
	free(report);
}

const struct ptf_vma *ptf_report_vma(const struct ptf_report *report,
				     const struct ptf_row *row)
{
	return row->vma < report->nr_vmas ? &report->vmas[row->vma] : NULL;
}

const char *ptf_report_name(const struct ptf_report *report,
			    const struct ptf_row *row)
{
	const struct ptf_vma *vma = ptf_report_vma(report, row);

	return vma ? report->names + vma->name_off : "";
}

/* ------------------------------------------------------------------ */
/* A report as text                                                    */

struct dump {
	FILE *to;
	uint64_t vma_start;
	bool have_vma;
};

static int dump_row(const struct ptf_row *row, const struct ptf_vma *vma,
		    const char *name, void *arg)
{
	struct dump *d = arg;
	char text[PATH_MAX + 64], file[PATH_MAX + 64], times[32] = "";

	if (row->nr_pages != 1)
		snprintf(times, sizeof(times), " x %llu",
			 (unsigned long long)row->nr_pages);
	if (!vma) {
		fprintf(d->to, "VMA: VA:0x%llx -> nothing%s\n",
			(unsigned long long)row->start, times);
		return ferror(d->to) ? -EIO : 0;
	}
	if (!d->have_vma || d->vma_start != vma->start) {
		ptf_vma_text(vma, name, text, sizeof(text));
		fprintf(d->to, "VMA: VA:0x%llx -> %s\n",
			(unsigned long long)vma->start, text);
		d->have_vma = true;
		d->vma_start = vma->start;
	}
	if (vma->flags & PTF_VMA_FILE) {
		ptf_name_line(name[0] ? name : "file", file, sizeof(file));
		ptf_row_filemap_text(row, text, sizeof(text));
		fprintf(d->to, "Filemap: %s:0x%llx -> %s%s\n", file,
			(unsigned long long)(vma->offset + (row->start - vma->start)),
			text, times);
	}
	ptf_row_pte_text(row, text, sizeof(text));
	fprintf(d->to, "PTE: VA:0x%llx -> %s%s\n",
		(unsigned long long)row->start, text, times);
	return ferror(d->to) ? -EIO : 0;
}

ssize_t ptf_session_dump(const struct ptf_session *session,
			 const struct ptf_target *target,
			 uint64_t start, uint64_t end, uint32_t flags, FILE *to)
{
	struct dump d = { .to = to };
	ssize_t ret;

	ret = ptf_session_query(session, target, start, end, flags, dump_row,
				&d);
	if (ret == -EIO && ferror(to))
		ptf_fail(EIO, PTF_LAYER_NONE, __func__, NULL, 0, 0,
			 "the text could not be written");
	return ptf_fail_op(__func__, ret);
}

/* ------------------------------------------------------------------ */
/* One address                                                         */

int ptf_session_walk(const struct ptf_session *session,
		     const struct ptf_target *target, uint64_t addr,
		     struct ptf_ioc_page_walk *out)
{
	static const char op[] = "ptf_session_walk";
	int err;

	err = ptf_target_check(session, target, op);
	if (err)
		return err;
	memset(out, 0, sizeof(*out));
	out->size = sizeof(*out);
	out->target = ptf_target_id(target);
	out->addr = addr;
	err = ptf_ioctl(session, PTF_IOC_PAGE_WALK, out);
	if (err)
		return ptf_fail(-err, ptf_errno_layer(-err), op, ptf_addr(addr),
				0, 0, err == -EINVAL ? "not a user address" :
						       NULL);
	return 0;
}

/* ------------------------------------------------------------------ */
/* A file                                                              */

static bool file_row_goes_on(const struct ptf_file_row *a,
			     const struct ptf_file_row *b)
{
	return b->index == a->index + a->nr_pages && a->flags == b->flags &&
	       a->mapcount == b->mapcount && a->state == b->state &&
	       a->order == b->order &&
	       frames_go_on(a->pfn, b->pfn, a->nr_pages);
}

/* The end of a file range as the module has it: page-aligned. */
static uint64_t file_end(uint64_t end)
{
	return end == UINT64_MAX ? end & ~(uint64_t)(ptf_page_bytes() - 1) :
				   end;
}

static enum ptf_layer file_errno_layer(int err)
{
	return err == EINVAL ? PTF_LAYER_ARGUMENT :
	       err == ENOTTY ? PTF_LAYER_MODULE : PTF_LAYER_FILEMAP;
}

ssize_t ptf_session_file_query(const struct ptf_session *session, int fd,
			       uint64_t start, uint64_t end, uint32_t flags,
			       ptf_file_row_fn fn, void *arg,
			       struct ptf_file_info *info)
{
	static const char op[] = "ptf_session_file_query";
	struct ptf_file_row *rows, pending;
	struct ptf_ioc_file_query q;
	struct ptf_file_info full = { .size = sizeof(full) };
	bool have = false;
	ssize_t count = 0;
	uint64_t at = start;
	int ret;

	end = file_end(end);
	ret = ptf_range_check(op, start, end);
	if (ret)
		return ret;
	if (info && info->size < offsetof(struct ptf_file_info, bytes))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, 0, 0,
				"result struct without its size");
	rows = malloc(QUERY_ROWS * sizeof(*rows));
	if (!rows)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0, NULL);
	memset(&pending, 0, sizeof(pending));
	while (at < end) {
		uint64_t i;

		memset(&q, 0, sizeof(q));
		q.size = sizeof(q);
		q.flags = flags;
		q.fd = fd;
		q.row_size = sizeof(*rows);
		q.start = at;
		q.end = end;
		q.rows = (uintptr_t)rows;
		q.nr_rows = QUERY_ROWS;
		ret = ptf_ioctl(session, PTF_IOC_FILE_QUERY, &q);
		if (ret) {
			ptf_fail(-ret, file_errno_layer(-ret), op, NULL, 0,
				 at - start, ret == -EBADF ?
				 "fd %d is not open for reading" : "fd %d", fd);
			if (ret == -EOPNOTSUPP &&
			    flags & ~(PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED))
				ptf_fail(EOPNOTSUPP, PTF_LAYER_ARGUMENT, op, NULL,
					 0, 0, "flags 0x%x", flags);
			if (ret == -ENODEV)
				ptf_fail_way("name a regular file, memfd or block device");
			goto out;
		}
		full.bytes = q.out_bytes;
		full.cached_pages = q.out_cached_pages;
		for (i = 0; i < q.out_rows; i++) {
			if (have && !(flags & PTF_QUERY_F_PAGES) &&
			    file_row_goes_on(&pending, &rows[i])) {
				pending.nr_pages += rows[i].nr_pages;
				continue;
			}
			ret = have && fn ? fn(&pending, arg) : 0;
			if (ret)
				goto out;
			pending = rows[i];
			have = true;
			count++;
		}
		/* Behind the end of the file nothing more comes. */
		if (q.out_next <= at)
			break;
		at = q.out_next;
	}
	if (have && fn)
		ret = fn(&pending, arg);
out:
	free(rows);
	if (info) {
		full.size = info->size;
		memcpy(info, &full, ptf_min_size(info->size, sizeof(full)));
	}
	return ret ? ret : count;
}

ssize_t ptf_session_file_mappers(const struct ptf_session *session, int fd,
				 uint64_t start, uint64_t end,
				 struct ptf_mapper **rows, uint64_t *total)
{
	static const char op[] = "ptf_session_file_mappers";
	struct ptf_ioc_file_mappers q;
	struct ptf_mapper *array = NULL;
	uint64_t nr = 64;
	int err;

	*rows = NULL;
	if (total)
		*total = 0;
	end = file_end(end);
	err = ptf_range_check(op, start, end);
	if (err)
		return err;
	for (;;) {
		free(array);
		array = calloc(nr, sizeof(*array));
		if (!array)
			return ptf_fail(ENOMEM, PTF_LAYER_NONE, op, NULL, 0, 0,
					NULL);
		memset(&q, 0, sizeof(q));
		q.size = sizeof(q);
		q.fd = fd;
		q.row_size = sizeof(*array);
		q.start = start;
		q.end = end;
		q.rows = (uintptr_t)array;
		q.nr_rows = nr;
		err = ptf_ioctl(session, PTF_IOC_FILE_MAPPERS, &q);
		if (err) {
			free(array);
			return ptf_fail(-err, file_errno_layer(-err), op, NULL,
					0, 0, "fd %d", fd);
		}
		/* A full array may be short; what can't be seen stays out. */
		if (q.out_rows < nr || nr >= q.out_total)
			break;
		nr = q.out_total + 64;
	}
	if (total)
		*total = q.out_total;
	if (!q.out_rows) {
		free(array);
		return 0;
	}
	*rows = array;
	return q.out_rows;
}
