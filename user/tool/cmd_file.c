// SPDX-License-Identifier: GPL-2.0-only
/*
 * ptefault file: the filemap side, and who maps it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

static const struct tool_opt opts[] = {
	{ "mappers", NULL, "also which addresses of which processes map it",
	  0 },
	{ "pages", NULL, "a row for each page, no runs", 0 },
	{ "cached", NULL, "leave out what is not in the page cache", 0 },
	{ 0 }
};

struct rows {
	struct ptf_file_row *v;
	size_t n;
	size_t cap;
};

static int keep(const struct ptf_file_row *row, void *arg)
{
	struct rows *rows = arg;
	struct ptf_file_row *v;

	if (rows->n == rows->cap) {
		rows->cap = rows->cap ? rows->cap * 2 : 256;
		v = reallocarray(rows->v, rows->cap, sizeof(*v));
		if (!v)
			return -ENOMEM;
		rows->v = v;
	}
	rows->v[rows->n++] = *row;
	return 0;
}

/* Rows that tell a reader the same, wherever in memory the frames lie. */
struct run {
	struct ptf_file_row row;
	bool scattered;
	unsigned int mapcount_max;
};

static size_t next_run(const struct rows *rows, size_t i, bool merge,
		       struct run *run)
{
	struct ptf_file_row *r = &run->row;
	char words[200], next[200];

	*run = (struct run){
		.row = rows->v[i],
		.mapcount_max = rows->v[i].mapcount,
	};
	folio_words(r->flags, words, sizeof(words));
	for (i++; merge && i < rows->n; i++) {
		const struct ptf_file_row *b = &rows->v[i];

		if (b->index != r->index + r->nr_pages ||
		    b->state != r->state || b->order != r->order ||
		    strcmp(words, folio_words(b->flags, next, sizeof(next))))
			break;
		if (r->pfn && b->pfn != r->pfn + r->nr_pages)
			run->scattered = true;
		if (b->mapcount > run->mapcount_max)
			run->mapcount_max = b->mapcount;
		if (b->mapcount < r->mapcount)
			r->mapcount = b->mapcount;
		r->nr_pages += b->nr_pages;
	}
	return i;
}

static void run_words(const struct run *run, char *buf, size_t len)
{
	const struct ptf_file_row *row = &run->row;
	char words[200];
	int n;

	buf[0] = 0;
	if (row->state != PTF_FILEMAP_PRESENT)
		return;
	folio_words(row->flags, words, sizeof(words));
	if (run->mapcount_max > row->mapcount)
		n = snprintf(buf, len, "mapped %u-%ux", row->mapcount,
			     run->mapcount_max);
	else if (row->mapcount)
		n = snprintf(buf, len, "mapped %ux", row->mapcount);
	else
		n = snprintf(buf, len, "not mapped");
	n += snprintf(buf + n, len - n, "%s%s", words[0] ? ", " : "", words);
	if (row->order)
		n += snprintf(buf + n, len - n, ", in a folio of %lu",
			      1UL << row->order);
	if (run->scattered)
		snprintf(buf + n, len - n, ", scattered frames");
}

static void run_texts(const struct run *run, const char *path, char *from,
		      char *to, size_t len)
{
	struct ptf_row r = {
		.file_state = run->row.state,
		.file_pfn = run->row.pfn,
	};

	snprintf(from, len, "%s:0x%llx", path,
		 (unsigned long long)run->row.index *
		 (unsigned long long)getpagesize());
	ptf_row_filemap_text(&r, to, len);
}

static void print_rows(const struct rows *rows, const char *path, bool merge)
{
	char from[4200], to[4200], words[400];
	int wfrom = 0, wto = 0, wpages = 1, n;
	struct run run;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < rows->n;) {
			i = next_run(rows, i, merge, &run);
			run_texts(&run, path, from, to, sizeof(from));
			if (!pass) {
				n = strlen(from);
				wfrom = n > wfrom ? n : wfrom;
				n = strlen(to);
				wto = n > wto ? n : wto;
				n = snprintf(words, sizeof(words), "%llu",
					     (unsigned long long)
					     run.row.nr_pages);
				wpages = n > wpages ? n : wpages;
				continue;
			}
			run_words(&run, words, sizeof(words));
			printf("Filemap: %-*s -> %-*s  %*llu page%s%s%s\n",
			       wfrom, from, wto, to, wpages,
			       (unsigned long long)run.row.nr_pages,
			       run.row.nr_pages == 1 ? "" : "s",
			       !words[0] ? "" : run.row.nr_pages == 1 ?
			       "   " : "  ", words);
		}
	}
}

/* The name of a process, "" if it has gone. */
static const char *comm_of(pid_t pid, char *buf, size_t len)
{
	char path[64];
	FILE *f;

	buf[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return buf;
	if (fgets(buf, len, f))
		buf[strcspn(buf, "\n")] = 0;
	fclose(f);
	return buf;
}

static struct json_object *json_mapper(const struct ptf_mapper *m)
{
	struct json_object *o = json_object_new_object();
	char comm[64];

	jadd(o, "pid", m->pid ? json_object_new_int(m->pid) : NULL);
	jadd(o, "comm", m->pid ? jstr(comm_of(m->pid, comm, sizeof(comm))) : NULL);
	jadd(o, "start", json_hex(m->start));
	jadd(o, "end", json_hex(m->end));
	jadd(o, "offset", json_hex(m->offset));
	jadd(o, "mapped_pages", json_u64(m->mapped_pages));
	jadd(o, "copied_pages", json_u64(m->copied_pages));
	jadd(o, "flags", json_flags(m->flags, ptf_vma_flag_name, NULL));
	return o;
}

static void print_mapper(const struct ptf_mapper *m)
{
	char comm[64], who[100];

	if (m->pid)
		snprintf(who, sizeof(who), "%d %s", (int)m->pid,
			 comm_of(m->pid, comm, sizeof(comm)));
	else
		snprintf(who, sizeof(who), "a process that can't be seen from here");
	printf("Mapper:  %-24s VA:0x%llx-0x%llx -> 0x%llx (%s)  %llu mapped",
	       who, (unsigned long long)m->start, (unsigned long long)m->end,
	       (unsigned long long)m->offset,
	       m->flags & (PTF_VMA_SHARED | PTF_VMA_MAYSHARE) ? "shared" :
								"private",
	       (unsigned long long)m->mapped_pages);
	if (m->copied_pages)
		printf(", %llu own copies", (unsigned long long)m->copied_pages);
	putchar('\n');
}

static int mappers(struct tool *t, struct ptf_session *session, int fd,
		   const struct range *r)
{
	struct json_object *array = NULL;
	struct ptf_mapper *rows;
	uint64_t total;
	ssize_t n;

	n = ptf_session_file_mappers(session, fd, r->start, r->end, &rows,
				     &total);
	if (n < 0)
		return tool_fail_ptf(t, t->argv[0]);
	if (t->json)
		array = json_object_new_array();
	for (ssize_t i = 0; i < n; i++) {
		if (t->json)
			json_object_array_add(array, json_mapper(&rows[i]));
		else
			print_mapper(&rows[i]);
	}
	free(rows);
	if (t->json) {
		jadd(t->out, "mappers", array);
		jadd(t->out, "mappers_total", json_u64(total));
	} else if (!total) {
		puts("Mapper:  nobody");
	} else if (total > (uint64_t)n) {
		tool_note(t, "%llu more that this session may not see",
			  (unsigned long long)(total - n));
	}
	return DONE;
}

static int run(struct tool *t)
{
	struct ptf_file_info info = { .size = sizeof(info) };
	struct ptf_session *session;
	struct rows rows = { 0 };
	uint32_t flags = 0;
	struct range r;
	ssize_t n;
	int ret, fd;

	if (t->argc < 1 || t->argc > 2)
		return tool_usage(t, t->argc ? "one file at a time" :
					       "which file?");
	ret = arg_file_range(t, t->argv[1], &r);
	if (ret != DONE)
		return ret;
	if (tool_flag(t, "pages"))
		flags |= PTF_QUERY_F_PAGES;
	if (tool_flag(t, "cached"))
		flags |= PTF_QUERY_F_MAPPED;
	ret = open_session(t, &session);
	if (ret != DONE)
		return ret;
	/* A pipe without a writer must not make us wait. */
	fd = open(t->argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		ret = tool_fail(t, t->argv[0], NULL, "%s", strerror(errno));
		goto close_session;
	}
	n = ptf_session_file_query(session, fd, r.start, r.end, flags, keep,
				   &rows, &info);
	if (n == -ENOMEM && rows.n)
		ret = tool_fail(t, t->argv[0], NULL, "out of memory");
	else if (n < 0)
		ret = tool_fail_ptf(t, t->argv[0]);
	if (ret != DONE)
		goto out;
	if (t->json) {
		struct json_object *a = json_object_new_array();

		for (size_t i = 0; i < rows.n; i++)
			json_object_array_add(a, json_file_row(&rows.v[i]));
		t->out = json_object_new_object();
		jadd(t->out, "version", json_object_new_int(1));
		jadd(t->out, "file", jstr(t->argv[0]));
		jadd(t->out, "bytes", json_u64(info.bytes));
		jadd(t->out, "cached_pages", json_u64(info.cached_pages));
		jadd(t->out, "rows", a);
	} else {
		char path[4100];

		line_name(t->argv[0], path, sizeof(path));
		printf("%s: %llu bytes, %llu of %llu pages in the page cache\n",
		       path, (unsigned long long)info.bytes,
		       (unsigned long long)info.cached_pages,
		       (unsigned long long)((info.bytes + getpagesize() - 1) /
					    getpagesize()));
		print_rows(&rows, path, !(flags & PTF_QUERY_F_PAGES));
	}
	if (tool_flag(t, "mappers"))
		ret = mappers(t, session, fd, &r);
	if (ret == DONE && !ptf_session_features(session)->out_privileged)
		tool_note(t, "frame numbers are hidden without CAP_SYS_ADMIN");
out:
	free(rows.v);
	close(fd);
close_session:
	ptf_session_close(session);
	return ret;
}

static const struct verb file = {
	.name = "file",
	.args = "PATH [RANGE]",
	.what = "what the page cache has of a file, and who maps it",
	.more = "RANGE is in bytes of the file: OFFSET, OFFSET+LEN or START-END.\n"
		"\n"
		"  ptefault file /usr/bin/bash\n"
		"  ptefault file /var/lib/db 0+1M --mappers\n",
	.opts = opts,
	.order = 25,
	.run = run,
};

PTEFAULT_VERB(file)
