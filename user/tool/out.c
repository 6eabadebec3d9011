// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rows for people and for programs.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define FOLIO_MASK 0xffffffff00000000ULL
#define ROW_MASK 0x00000000ffffffffULL

/* ------------------------------------------------------------------ */
/* For programs                                                        */

/* Bytes of the UTF-8 character that @s begins with, 0 if it is none. */
static size_t utf8(const unsigned char *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 :
		   s[0] < 0xf0 ? 3 : s[0] < 0xf8 ? 4 : 0;
	uint32_t c;

	if (n < 2)
		return n;
	c = s[0] & (0x7f >> n);
	for (size_t i = 1; i < n; i++) {
		/* The end of the string is none either. */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ?
	       0 : n;
}

struct json_object *jstr(const char *s)
{
	static const char bad[] = "\xef\xbf\xbd";
	const unsigned char *from = (const unsigned char *)s;
	struct json_object *o;
	char *clean, *to;
	size_t n;

	while (*from && (n = utf8(from)))
		from += n;
	if (!*from)
		return json_object_new_string(s);
	clean = malloc(3 * strlen(s) + 1);
	if (!clean)
		return NULL;
	to = clean;
	for (from = (const unsigned char *)s; *from;) {
		n = utf8(from);
		memcpy(to, n ? (const char *)from : bad, n ? n : 3);
		to += n ? n : 3;
		from += n ? n : 1;
	}
	o = json_object_new_string_len(clean, to - clean);
	free(clean);
	return o;
}

struct json_object *json_hex(uint64_t value)
{
	char buf[24];

	snprintf(buf, sizeof(buf), "0x%llx", (unsigned long long)value);
	return jstr(buf);
}

struct json_object *json_u64(uint64_t value)
{
	return json_object_new_uint64(value);
}

struct json_object *json_flags(uint64_t bits, const char *(*name)(unsigned int),
			       const char *strip)
{
	struct json_object *a = json_object_new_array();
	size_t n = strip ? strlen(strip) : 0;

	for (unsigned int i = 0; i < 64; i++) {
		const char *s = bits >> i & 1 ? name(i) : NULL;

		if (s && n && !strncmp(s, strip, n))
			s += n;
		if (s)
			json_object_array_add(a, jstr(s));
	}
	return a;
}

/* A frame, or null where it is hidden. */
static struct json_object *json_frame(uint64_t pfn)
{
	return pfn ? json_hex(pfn) : NULL;
}

static const char *vma_perms(uint64_t flags, char *buf)
{
	buf[0] = flags & PTF_VMA_READ ? 'r' : '-';
	buf[1] = flags & PTF_VMA_WRITE ? 'w' : '-';
	buf[2] = flags & PTF_VMA_EXEC ? 'x' : '-';
	buf[3] = 0;
	return buf;
}

static bool vma_shared(const struct ptf_vma *vma)
{
	return vma->flags & (PTF_VMA_SHARED | PTF_VMA_MAYSHARE);
}

static struct json_object *json_vma(const struct ptf_vma *vma, const char *name)
{
	struct json_object *o = json_object_new_object();
	bool file = vma->flags & PTF_VMA_FILE;
	char buf[32];

	jadd(o, "start", json_hex(vma->start));
	jadd(o, "end", json_hex(vma->end));
	jadd(o, "name", jstr(name));
	jadd(o, "prot", jstr(vma_perms(vma->flags, buf)));
	jadd(o, "sharing", jstr(vma_shared(vma) ?
						  "shared" : "private"));
	jadd(o, "offset", file ? json_hex(vma->offset) : NULL);
	jadd(o, "inode", file ? json_u64(vma->ino) : NULL);
	snprintf(buf, sizeof(buf), "%u:%u", vma->dev_major, vma->dev_minor);
	jadd(o, "device", file ? jstr(buf) : NULL);
	jadd(o, "flags", json_flags(vma->flags, ptf_vma_flag_name, NULL));
	return o;
}

/* Does the entry name a frame, whatever else is true of it? */
static bool has_frame(const struct ptf_row *row)
{
	switch (row->state) {
	case PTF_STATE_PRESENT:
	case PTF_STATE_HINT:
	case PTF_STATE_PROTNONE:
	case PTF_STATE_STASHED:
		return row->kind != PTF_KIND_ZERO;
	default:
		return false;
	}
}

struct json_object *json_row(const struct ptf_row *row,
			     const struct ptf_vma *vma, const char *name)
{
	struct json_object *o = json_object_new_object(), *f = NULL, *p = NULL;

	jadd(o, "va", json_hex(row->start));
	jadd(o, "pages", json_u64(row->nr_pages));
	jadd(o, "vma", vma ? json_vma(vma, name) : NULL);
	if (vma && row->file_state != PTF_FILEMAP_NONE) {
		f = json_object_new_object();
		jadd(f, "file", jstr(name));
		jadd(f, "offset", json_hex(vma->offset +
					   (row->start - vma->start)));
		jadd(f, "state", jstr(ptf_filemap_name(row->file_state)));
		jadd(f, "frame", row->file_state == PTF_FILEMAP_PRESENT ?
		     json_frame(row->file_pfn) : NULL);
		jadd(f, "order", json_u64(row->file_order));
	}
	jadd(o, "filemap", f);
	if (vma) {
		p = json_object_new_object();
		jadd(p, "state", jstr(ptf_state_name(row->state)));
		jadd(p, "kind", jstr(ptf_kind_name(row->kind)));
		jadd(p, "level", json_u64(row->level));
		if (row->state != PTF_STATE_NONE) {
			jadd(p, "raw", json_hex(row->pte));
			jadd(p, "flags", json_flags(row->flags & ROW_MASK,
						    ptf_row_flag_name, NULL));
		}
		if (has_frame(row)) {
			jadd(p, "frame", json_frame(row->pte_pfn));
			jadd(p, "order", json_u64(row->order));
			jadd(p, "mapcount", json_u64(row->mapcount));
			jadd(p, "folio", json_flags(row->flags & FOLIO_MASK,
						    ptf_row_flag_name,
						    "folio-"));
		}
		if (row->state == PTF_STATE_SWAP) {
			jadd(p, "swap_type", json_u64(row->swap_type));
			jadd(p, "swap_offset", json_frame(row->pte_pfn));
		}
	}
	jadd(o, "pte", p);
	return o;
}

struct json_object *json_file_row(const struct ptf_file_row *row)
{
	struct json_object *o = json_object_new_object();
	bool present = row->state == PTF_FILEMAP_PRESENT;

	jadd(o, "offset", json_hex(row->index * (uint64_t)getpagesize()));
	jadd(o, "pages", json_u64(row->nr_pages));
	jadd(o, "state", jstr(ptf_filemap_name(row->state)));
	if (present) {
		jadd(o, "frame", json_frame(row->pfn));
		jadd(o, "order", json_u64(row->order));
		jadd(o, "mapcount", json_u64(row->mapcount));
		jadd(o, "folio", json_flags(row->flags & FOLIO_MASK,
					    ptf_row_flag_name, "folio-"));
	}
	return o;
}

struct json_object *json_skipped(const uint64_t *skipped)
{
	struct json_object *o = json_object_new_object();

	for (unsigned int i = 0; i < PTF_SKIP_NR; i++)
		if (skipped[i])
			jadd(o, ptf_skip_name(i), json_u64(skipped[i]));
	return o;
}

/* ------------------------------------------------------------------ */
/* For people                                                          */

/* Adds a word behind a comma. */
static void word(char *buf, size_t len, const char *w)
{
	size_t at = strlen(buf);

	if (at < len)
		snprintf(buf + at, len - at, "%s%s", at ? ", " : "", w);
}

const char *line_name(const char *name, char *buf, size_t len)
{
	size_t at = 0;

	for (; *name && at + 5 < len; name++) {
		if (*name == '\n')
			at += snprintf(buf + at, len - at, "\\012");
		else
			buf[at++] = *name;
	}
	buf[at] = 0;
	return buf;
}

const char *pages_text(uint64_t pages, char *buf, size_t len)
{
	snprintf(buf, len, "%llu page%s", (unsigned long long)pages,
		 pages == 1 ? "" : "s");
	return buf;
}

const char *skipped_text(const uint64_t *skipped, char *buf, size_t len)
{
	unsigned int reasons = 0;
	char one[128];

	for (unsigned int i = 0; i < PTF_SKIP_NR; i++)
		reasons += !!skipped[i];
	buf[0] = 0;
	for (unsigned int i = 0; i < PTF_SKIP_NR; i++) {
		if (!skipped[i])
			continue;
		snprintf(one, sizeof(one), "%llu: %s",
			 (unsigned long long)skipped[i], ptf_skip_text(i));
		word(buf, len, reasons > 1 ? one : ptf_skip_text(i));
	}
	return buf;
}

const char *folio_words(uint64_t flags, char *buf, size_t len)
{
	/* What is usual (uptodate, lru) is left out. */
	static const struct {
		uint64_t bit;
		const char *word;
	} words[] = {
		{ PTF_FOLIO_DIRTY, "dirty" },
		{ PTF_FOLIO_WRITEBACK, "writeback" },
		{ PTF_FOLIO_LOCKED, "locked" },
		{ PTF_FOLIO_ACTIVE, "active" },
		{ PTF_FOLIO_REFERENCED, "referenced" },
		{ PTF_FOLIO_UNEVICTABLE, "unevictable" },
		{ PTF_FOLIO_MLOCKED, "mlocked" },
		{ PTF_FOLIO_SWAPCACHE, "in the swap cache" },
		{ PTF_FOLIO_PINNED, "pinned" },
		{ PTF_FOLIO_HWPOISON, "poisoned" },
	};

	buf[0] = 0;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (flags & words[i].bit)
			word(buf, len, words[i].word);
	return buf;
}

/*
 * Rows that tell a reader the same: equal in all but where in memory the
 * frames lie and how often they are mapped.
 */
struct run {
	struct ptf_row row;
	bool pte_scattered;
	bool file_scattered;
	unsigned int mapcount_max;
};

static const char *pte_words(const struct run *run, char *buf, size_t len)
{
	const struct ptf_row *row = &run->row;
	uint64_t f = row->flags;
	char more[48];

	buf[0] = 0;
	switch (row->state) {
	case PTF_STATE_NONE:
	case PTF_STATE_SWAP:
	case PTF_STATE_MIGRATION:
	case PTF_STATE_HWPOISON:
	case PTF_STATE_GUARD:
	case PTF_STATE_MARKER:
		if (f & PTF_ROW_UFFD_WP)
			word(buf, len, "uffd-wp");
		return buf;
	}
	switch (row->kind) {
	case PTF_KIND_ANON:
		word(buf, len, f & PTF_ROW_COPIED ? "own copy" : "anonymous");
		break;
	case PTF_KIND_FILE:
		word(buf, len, "file page");
		break;
	case PTF_KIND_SHMEM:
		word(buf, len, "shmem page");
		break;
	case PTF_KIND_KSM:
		if (row->state != PTF_STATE_PRESENT)
			word(buf, len, "KSM page");
		break;
	case PTF_KIND_SPECIAL:
		word(buf, len, "special");
		break;
	case PTF_KIND_THP:
		word(buf, len, "huge page");
		break;
	case PTF_KIND_HUGETLB:
		word(buf, len, "hugetlb page");
		break;
	}
	word(buf, len, f & PTF_ROW_WRITE ? "writable" : "read-only");
	/* What is not present has lost its NX bit. */
	if (f & PTF_ROW_EXEC && row->state == PTF_STATE_PRESENT)
		word(buf, len, "executable");
	if (f & PTF_ROW_DIRTY)
		word(buf, len, "dirty");
	if (row->state == PTF_STATE_PRESENT)
		word(buf, len, f & PTF_ROW_YOUNG ? "young" : "old");
	if (run->mapcount_max > row->mapcount) {
		snprintf(more, sizeof(more), "mapped %u-%ux", row->mapcount,
			 run->mapcount_max);
		word(buf, len, more);
	} else if (row->mapcount > 1) {
		snprintf(more, sizeof(more), "mapped %ux", row->mapcount);
		word(buf, len, more);
	}
	if (row->order && row->kind != PTF_KIND_THP) {
		snprintf(more, sizeof(more), "in a folio of %lu", 1UL <<
			 row->order);
		word(buf, len, more);
	}
	if (f & PTF_ROW_UFFD_WP)
		word(buf, len, "uffd-wp");
	if (f & PTF_ROW_STICKY)
		word(buf, len, "sticky");
	if (f & PTF_ROW_TRACKED)
		word(buf, len, "tracked");
	if (f & PTF_FOLIO_PINNED)
		word(buf, len, "pinned");
	if (f & PTF_FOLIO_MLOCKED)
		word(buf, len, "mlocked");
	if (run->pte_scattered)
		word(buf, len, "scattered frames");
	return buf;
}

/* A long path as its last part, so that rows stay rows. */
static const char *short_name(const char *name, char *buf, size_t len)
{
	const char *slash = strrchr(name, '/');

	if (!name[0])
		return "file";
	if (strlen(name) <= 32 || !slash)
		return name;
	snprintf(buf, len, "...%s", slash);
	return buf;
}

/* One line: label, from, to, how many, words. */
struct line {
	char from[PATH_MAX + 32];
	char to[PATH_MAX + 64];
	char words[256];
	uint64_t pages;
	char label;	/* V, F or P */
};

/* An arrow from column @at to column @end. */
static void arrow(int at, int end)
{
	int dashes = end - at - 3;

	fputc(' ', stdout);
	do {
		fputc('-', stdout);
	} while (--dashes > 0);
	fputs("> ", stdout);
}

static int max(int a, int b)
{
	return a > b ? a : b;
}

#define HEAD 9		/* columns of the label */

/* What the lines of one mapping need, so that they stand under one another. */
struct widths {
	int va;
	int file;
	int to;
	int pages;
};

static void measure(const struct line *l, struct widths *w)
{
	char buf[32];

	if (l->label == 'F')
		w->file = max(w->file, strlen(l->from));
	else
		w->va = max(w->va, strlen(l->from));
	/* The mapping's own line counts where the others leave room for it. */
	if (l->label != 'V')
		w->to = max(w->to, strlen(l->to));
	w->pages = max(w->pages, snprintf(buf, sizeof(buf), "%llu",
					  (unsigned long long)l->pages));
}

/*
 * The lines of one mapping, under one another:
 *
 *	VMA:     VA:0x400000 -> /tmp/foo:0x0 (private)
 *	Filemap:                /tmp/foo:0x0 -> PA:0x2fb000
 *	PTE:     VA:0x400000 -----------------> PA:0x5ea000
 */
static void print_line(const struct line *l, const struct widths *w)
{
	int first = HEAD + w->va + 4;
	int last = first + (w->file ? w->file + 4 : 0);
	int at = HEAD;

	switch (l->label) {
	case 'V':
		printf("VMA:     %s", l->from);
		arrow(at + strlen(l->from), first);
		at = first;
		break;
	case 'F':
		printf("Filemap: %*s%s", w->va + 4, "", l->from);
		arrow(first + strlen(l->from), last);
		at = last;
		break;
	default:
		printf("PTE:     %s", l->from);
		arrow(at + strlen(l->from), last);
		at = last;
		break;
	}
	at += printf("%s", l->to);
	printf("%*s  %*llu page%s%s%s\n", max(0, last + w->to - at), "",
	       w->pages, (unsigned long long)l->pages, l->pages == 1 ? "" : "s",
	       !l->words[0] ? "" : l->pages == 1 ? "   " : "  ", l->words);
}

static void put_line(const struct line *l, struct widths *w, bool print)
{
	if (print)
		print_line(l, w);
	else
		measure(l, w);
}

static void vma_line(struct line *l, const struct ptf_vma *vma,
		     const char *name)
{
	static const struct {
		uint64_t bit;
		const char *word;
	} words[] = {
		{ PTF_VMA_LOCKED, "mlocked" },
		{ PTF_VMA_HUGETLB, "hugetlb" },
		{ PTF_VMA_PFNMAP | PTF_VMA_IO, "driver's memory" },
		{ PTF_VMA_SPECIAL, "special" },
		{ PTF_VMA_SECRETMEM, "secret memory" },
		{ PTF_VMA_UFFD, "userfaultfd" },
		{ PTF_VMA_MERGEABLE, "mergeable" },
	};
	char perms[4];

	l->label = 'V';
	snprintf(l->from, sizeof(l->from), "VA:0x%llx",
		 (unsigned long long)vma->start);
	ptf_vma_text(vma, name, l->to, sizeof(l->to));
	l->pages = (vma->end - vma->start) / getpagesize();
	l->words[0] = 0;
	word(l->words, sizeof(l->words), vma_perms(vma->flags, perms));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (vma->flags & words[i].bit)
			word(l->words, sizeof(l->words), words[i].word);
}

static void file_line(struct line *l, const struct run *run,
		      const struct ptf_vma *vma, const char *name)
{
	const struct ptf_row *row = &run->row;
	char buf[PATH_MAX];

	l->label = 'F';
	snprintf(l->from, sizeof(l->from), "%s:0x%llx",
		 short_name(name, buf, sizeof(buf)),
		 (unsigned long long)(vma->offset + row->start - vma->start));
	ptf_row_filemap_text(row, l->to, sizeof(l->to));
	l->pages = row->nr_pages;
	l->words[0] = 0;
	if (row->file_order)
		snprintf(l->words, sizeof(l->words), "in a folio of %lu",
			 1UL << row->file_order);
	if (run->file_scattered)
		word(l->words, sizeof(l->words), "scattered frames");
}

static void pte_line(struct line *l, const struct run *run)
{
	const struct ptf_row *row = &run->row;

	l->label = 'P';
	snprintf(l->from, sizeof(l->from), "VA:0x%llx",
		 (unsigned long long)row->start);
	ptf_row_pte_text(row, l->to, sizeof(l->to));
	l->pages = row->nr_pages;
	pte_words(run, l->words, sizeof(l->words));
}

static void hole_line(struct line *l, const struct ptf_row *row)
{
	l->label = 'V';
	snprintf(l->from, sizeof(l->from), "VA:0x%llx",
		 (unsigned long long)row->start);
	snprintf(l->to, sizeof(l->to), "nothing");
	l->pages = row->nr_pages;
	l->words[0] = 0;
}

/* What pte_words() tells of an entry's flags. */
#define FLAGS_SHOWN (PTF_ROW_WRITE | PTF_ROW_EXEC | PTF_ROW_DIRTY |	\
		     PTF_ROW_YOUNG | PTF_ROW_COPIED | PTF_ROW_UFFD_WP |	\
		     PTF_ROW_STICKY | PTF_ROW_TRACKED |			\
		     PTF_FOLIO_PINNED | PTF_FOLIO_MLOCKED)

static bool same_run(const struct ptf_row *a, const struct ptf_row *b)
{
	return b->start == a->start + a->nr_pages * getpagesize() &&
	       !((a->flags ^ b->flags) & FLAGS_SHOWN) &&
	       a->state == b->state &&
	       a->kind == b->kind && a->level == b->level &&
	       a->order == b->order && a->file_state == b->file_state &&
	       a->file_order == b->file_order && a->swap_type == b->swap_type;
}

/* Takes rows from @i on as one run; answers the first behind it. */
static size_t next_run(const struct ptf_row *rows, size_t i, size_t to,
		       bool merge, struct run *run)
{
	struct ptf_row *r = &run->row;

	*run = (struct run){ .row = rows[i], .mapcount_max = rows[i].mapcount };
	for (i++; merge && i < to && same_run(r, &rows[i]); i++) {
		const struct ptf_row *b = &rows[i];

		if (r->pte_pfn && b->pte_pfn != r->pte_pfn + r->nr_pages &&
		    r->kind != PTF_KIND_ZERO)
			run->pte_scattered = true;
		if (r->file_pfn && b->file_pfn != r->file_pfn + r->nr_pages)
			run->file_scattered = true;
		if (b->mapcount > run->mapcount_max)
			run->mapcount_max = b->mapcount;
		if (b->mapcount < r->mapcount)
			r->mapcount = b->mapcount;
		r->nr_pages += b->nr_pages;
	}
	return i;
}

/* The rows of one mapping (or one hole), measured first and printed then. */
static void print_mapping(const struct ptf_report *report, size_t from,
			  size_t to, bool merge)
{
	const struct ptf_row *rows = report->rows;
	const struct ptf_vma *vma = ptf_report_vma(report, &rows[from]);
	char plain[PATH_MAX + 16];
	const char *name = line_name(ptf_report_name(report, &rows[from]),
				     plain, sizeof(plain));
	struct widths w = { 0 };
	struct run run;
	struct line l;

	for (int pass = 0; pass < 2; pass++) {
		if (vma)
			vma_line(&l, vma, name);
		else
			hole_line(&l, &rows[from]);
		put_line(&l, &w, pass);
		for (size_t i = from; vma && i < to;) {
			i = next_run(rows, i, to, merge, &run);
			if (vma->flags & PTF_VMA_FILE) {
				file_line(&l, &run, vma, name);
				put_line(&l, &w, pass);
			}
			pte_line(&l, &run);
			put_line(&l, &w, pass);
		}
	}
}

void print_report(const struct ptf_report *report, bool merge)
{
	size_t i, from = 0;

	for (i = 1; i <= report->nr_rows; i++) {
		if (i < report->nr_rows &&
		    report->rows[i].vma != PTF_VMA_NONE &&
		    report->rows[i].vma == report->rows[from].vma)
			continue;
		print_mapping(report, from, i, merge);
		from = i;
	}
}
