// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sessions, targets, reports and advice through the library: thin calls, so
 * what is held here is what the library adds. Runs put together over many
 * calls, names, text, failure detail, processes told apart.
 */
/* timeout: 600 */
#include "test_lib_fault.h"

#include <sys/prctl.h>
#include <sys/sysinfo.h>

#define NR 16

/* --- words ---------------------------------------------------------------------- */

TEST(words_for_all_that_stands_in_a_report)
{
	unsigned int i;

	for (i = 0; i <= PTF_STATE_MARKER; i++)
		EXPECT_STRNE("?", ptf_state_name(i));
	EXPECT_STREQ("?", ptf_state_name(PTF_STATE_MARKER + 1));
	for (i = 0; i <= PTF_KIND_HUGETLB; i++)
		EXPECT_STRNE("?", ptf_kind_name(i));
	EXPECT_STREQ("?", ptf_kind_name(PTF_KIND_HUGETLB + 1));
	for (i = 0; i <= PTF_FILEMAP_DAX; i++)
		EXPECT_STRNE("?", ptf_filemap_name(i));
	EXPECT_STREQ("?", ptf_filemap_name(PTF_FILEMAP_DAX + 1));
	for (i = 0; i < PTF_LEVEL_NR; i++)
		EXPECT_STRNE("?", ptf_level_name(i));
	EXPECT_STREQ("?", ptf_level_name(PTF_LEVEL_NR));
	for (i = PTF_FAULTED_MINOR; i <= PTF_FAULTED_OTHER; i++)
		EXPECT_STRNE("?", ptf_faulted_name(i));
	EXPECT_STREQ("?", ptf_faulted_name(0));
	EXPECT_STREQ("?", ptf_faulted_name(PTF_FAULTED_OTHER + 1));
	for (i = 0; i <= PTF_SKIP_READONLY; i++) {
		EXPECT_STRNE("?", ptf_skip_name(i));
		EXPECT_LT(0, ptf_skip_errno(i));
		EXPECT_EQ(NULL, strstr(ptf_skip_text(i), "does not know"));
	}
	EXPECT_STREQ("?", ptf_skip_name(PTF_SKIP_READONLY + 1));
	EXPECT_STREQ("?", ptf_skip_name(UINT_MAX));
	EXPECT_NE(NULL, strstr(ptf_skip_text(UINT_MAX), "does not know"));
	EXPECT_EQ(ENOMEM, ptf_skip_errno(PTF_SKIP_HOLE));
	EXPECT_EQ(EBUSY, ptf_skip_errno(PTF_SKIP_PINNED));
	for (i = 0; 1ULL << i <= PTF_FEATURE_FILE_ADVISE; i++)
		EXPECT_NE(NULL, ptf_feature_name(1ULL << i));
	EXPECT_STREQ("query", ptf_feature_name(PTF_FEATURE_QUERY));
	EXPECT_STREQ("file-advise", ptf_feature_name(PTF_FEATURE_FILE_ADVISE));
	EXPECT_EQ(NULL, ptf_feature_name(1ULL << 63));
	EXPECT_EQ(NULL, ptf_feature_name(3));
	EXPECT_STREQ("dirty", ptf_row_flag_name(1));
	EXPECT_STREQ("tracked", ptf_row_flag_name(11));
	EXPECT_STREQ("folio-workingset", ptf_row_flag_name(48));
	EXPECT_EQ(NULL, ptf_row_flag_name(12));
	EXPECT_EQ(NULL, ptf_row_flag_name(49));
	EXPECT_STREQ("device", ptf_vma_flag_name(30));
	EXPECT_EQ(NULL, ptf_vma_flag_name(31));
	EXPECT_STREQ("encrypted", ptf_level_flag_name(14));
	EXPECT_EQ(NULL, ptf_level_flag_name(15));
}

TEST(rows_as_text)
{
	static const struct {
		struct ptf_row row;
		const char *pte;
		const char *file;
	} rows[] = {
		{ { .state = PTF_STATE_PRESENT, .kind = PTF_KIND_ANON, .pte_pfn = 0x5ea },
		  "PA:0x5ea000", "nothing" },
		{ { .state = PTF_STATE_PRESENT, .kind = PTF_KIND_ANON }, "PA:hidden", "nothing" },
		{ { .state = PTF_STATE_PRESENT, .kind = PTF_KIND_ZERO, .pte_pfn = 9 },
		  "zero page", "nothing" },
		{ { .state = PTF_STATE_HINT, .pte_pfn = 1, .file_state = PTF_FILEMAP_PRESENT,
		    .file_pfn = 2 }, "hint, not present (keeps PA:0x1000)", "PA:0x2000" },
		{ { .state = PTF_STATE_STASHED, .pte_pfn = 1, .file_state = PTF_FILEMAP_SHADOW },
		  "stashed (keeps PA:0x1000)", "evicted (a shadow remembers it)" },
		{ { .state = PTF_STATE_SWAP, .pte_pfn = 0x12, .swap_type = 3,
		    .file_state = PTF_FILEMAP_SWAP }, "swap 3, slot 0x12", "in swap" },
		{ { .state = PTF_STATE_NONE, .file_state = PTF_FILEMAP_DAX },
		  "nothing", "DAX entry" },
		{ { .state = PTF_STATE_GUARD }, "guard marker", "nothing" },
		{ { .state = 99, .file_state = 99 }, "?", "?" },
	};
	static const char one_line[] = "/a\\012b (private)";
	struct ptf_vma vma = { .flags = PTF_VMA_FILE, .offset = 0x3000 };
	char text[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(strlen(rows[i].pte),
			  ptf_row_pte_text(&rows[i].row, text, sizeof(text)));
		EXPECT_STREQ(rows[i].pte, text);
		EXPECT_EQ(strlen(rows[i].pte), ptf_row_pte_text(&rows[i].row, NULL, 0));
		ptf_row_filemap_text(&rows[i].row, text, sizeof(text));
		EXPECT_STREQ(rows[i].file, text);
	}
	ptf_vma_text(&vma, "/tmp/foo", text, sizeof(text));
	EXPECT_STREQ("/tmp/foo:0x3000 (private)", text);
	vma.flags |= PTF_VMA_SHARED;
	ptf_vma_text(&vma, "", text, sizeof(text));
	EXPECT_STREQ("file:0x3000 (shared)", text);
	vma.flags = PTF_VMA_HEAP;
	ptf_vma_text(&vma, "", text, sizeof(text));
	EXPECT_STREQ("[heap] (private)", text);
	vma.flags = 0;
	ptf_vma_text(&vma, "", text, 5);
	EXPECT_STREQ("anon", text);
	/* One line, as in /proc/PID/maps. */
	EXPECT_EQ(strlen(one_line), ptf_vma_text(&vma, "/a\nb", text, sizeof(text)));
	EXPECT_STREQ(one_line, text);
	EXPECT_EQ(strlen(one_line), ptf_vma_text(&vma, "/a\nb", NULL, 0));
	EXPECT_EQ(strlen(one_line), ptf_vma_text(&vma, "/a\nb", text, 5));
	EXPECT_STREQ("/a\\0", text);
}

/* --- opening ---------------------------------------------------------------------- */

TEST(what_is_no_session)
{
	struct ptf_session_options o = { .size = sizeof(o), .device = "/dev/null" };
	struct ptf_session *s = (void *)1;
	int fd;

	EXPECT_EQ(-ENOTTY, ptf_session_open(&o, &s));
	EXPECT_EQ(NULL, s);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "not the device"));
	o.device = "/nowhere/ptefault";
	EXPECT_EQ(-ENOENT, ptf_session_open(&o, &s));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "/nowhere"));
	o.flags = 1;
	EXPECT_EQ(-EINVAL, ptf_session_open(&o, &s));
	o.size = 8;
	EXPECT_EQ(-EINVAL, ptf_session_open(&o, &s));
	EXPECT_EQ(-EBADF, ptf_session_from_fd(-1, &s));
	EXPECT_EQ(NULL, s);
	/* On failure the fd stays the caller's. */
	fd = open("/dev/null", O_RDWR);
	EXPECT_EQ(-ENOTTY, ptf_session_from_fd(fd, &s));
	EXPECT_EQ(0, close(fd));
	ptf_session_close(NULL);
	ptf_target_close(NULL);
	ptf_report_free(NULL);
	EXPECT_EQ(getpid(), ptf_target_pid(NULL));
	EXPECT_EQ(-1, ptf_target_pidfd(NULL));
	EXPECT_EQ(PTF_TARGET_SELF, ptf_target_id(NULL));
	EXPECT_EQ(1, ptf_target_alive(NULL));
}

/* Of a page of ours. (pagemap calls a hint present.) */
static int state_of(struct ptf_session *s, const void *p)
{
	uint64_t at = (uintptr_t)p;
	struct ptf_report *r;
	int state = -1;

	if (ptf_report_create(s, NULL, at, at + PAGE, PTF_QUERY_F_HOLES, &r) == 1) {
		state = r->rows[0].state;
		ptf_report_free(r);
	}
	return state;
}

FIXTURE(session)
{
	struct ptf_session *s;
	char *p;
	uint64_t at;
};

FIXTURE_SETUP(session)
{
	const char *why;

	self->s = session_or(PTF_FEATURE_QUERY, &why);
	if (!self->s)
		SKIP(return, "%s", why);
	self->p = room_of(NR, 1);
	self->at = (uintptr_t)self->p;
	fault_catch();
}

FIXTURE_TEARDOWN(session)
{
	ptf_session_close(self->s);
	if (self->p)
		munmap(self->p, PAGES(NR));
}

TEST_F(session, features_and_counters)
{
	const struct ptf_ioc_features_get *f = ptf_session_features(self->s);
	struct ptf_session_options o = { .size = sizeof(o), .required = 1ULL << 62 };
	struct ptf_ioc_session_stat stat;
	struct ptf_session *s;
	unsigned int i;

	EXPECT_EQ(PTF_API_VERSION, f->out_api);
	EXPECT_EQ(12, f->out_page_shift);
	EXPECT_EQ(true, f->out_levels == 4 || f->out_levels == 5);
	EXPECT_NE(0, f->out_features & PTF_FEATURE_QUERY);
	for (i = PTF_ADV_BASE + 1; i <= PTF_ADV_LAST; i++)
		if (i != PTF_ADV_SWAPOUT)
			EXPECT_EQ(f->out_advice >> (i - PTF_ADV_BASE) & 1,
				  ptf_session_has_advice(self->s, i));
	EXPECT_EQ(1, ptf_session_has_advice(self->s, PTF_ADV_SWAPOUT));
	EXPECT_EQ(0, ptf_session_has_advice(self->s, MADV_DONTNEED));
	EXPECT_EQ(0, ptf_session_has_advice(self->s, PTF_ADV_BASE));
	EXPECT_EQ(0, ptf_session_has_advice(self->s, UINT_MAX));
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_open(&o, &s));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "0x4000000000000000"));
	ASSERT_EQ(0, ptf_session_stat(self->s, &stat));
	EXPECT_EQ(1, stat.out_sessions);
	EXPECT_EQ(0, hide(self->s, self->p, 5));
	ASSERT_EQ(0, ptf_session_stat(self->s, &stat));
	EXPECT_EQ(5, stat.out_cleared_pages);
}

/* --- targets ---------------------------------------------------------------------- */

TEST_F(session, targets)
{
	struct ptf_target *t, *again;
	struct ptf_session *other;
	const char *why;
	pid_t pid;
	int go[2];

	ASSERT_EQ(0, pipe(go));
	EXPECT_EQ(-EINVAL, ptf_target_open(self->s, 0, &t));
	EXPECT_EQ(NULL, t);
	EXPECT_EQ(-EINVAL, ptf_target_open(self->s, -1, &t));
	EXPECT_EQ(-ESRCH, ptf_target_open(self->s, 0x3ffffff, &t));
	/* A thread of the kernel has no memory. */
	EXPECT_EQ(-ESRCH, ptf_target_open(self->s, 2, &t));
	ASSERT_EQ(0, ptf_target_open(self->s, getpid(), &t));
	EXPECT_EQ(PTF_TARGET_SELF, ptf_target_id(t));
	EXPECT_EQ(getpid(), ptf_target_pid(t));
	ptf_target_close(t);
	pid = fork();
	if (!pid) {
		char c;

		close(go[1]);
		_exit(read(go[0], &c, 1) != 0);
	}
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	EXPECT_NE(PTF_TARGET_SELF, ptf_target_id(t));
	EXPECT_EQ(pid, ptf_target_pid(t));
	EXPECT_LE(0, ptf_target_pidfd(t));
	EXPECT_EQ(1, ptf_target_alive(t));
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &again));
	EXPECT_EQ(ptf_target_id(t), ptf_target_id(again));
	ptf_target_close(again);
	/* It is a target of this session, and of no other. */
	other = session_or(0, &why);
	EXPECT_EQ(-EINVAL, ptf_session_query(other, t, self->at, self->at + PAGE, 0, NULL, NULL));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "another session"));
	ptf_session_close(other);
	close(go[1]);
	waitpid(pid, NULL, 0);
	EXPECT_EQ(0, ptf_target_alive(t));
	EXPECT_EQ(-ESRCH, ptf_report_create(self->s, t, self->at, self->at + PAGE, 0,
					    &(struct ptf_report *) { NULL }));
	EXPECT_EQ(PTF_LAYER_PROCESS, ptf_failure_last()->layer);
	ptf_target_close(t);
	close(go[0]);
}

static void *wait_thread(void *arg)
{
	sem_t *sem = arg;

	((pid_t *)(sem + 2))[0] = thread_id();
	sem_post(sem);
	sem_wait(sem + 1);
	return NULL;
}

TEST_F(session, a_thread_stands_for_its_process)
{
	struct {
		sem_t ready;
		sem_t go;
		pid_t tid;
	} arg;
	struct ptf_target *t;
	pthread_t thread;

	sem_init(&arg.ready, 0, 0);
	sem_init(&arg.go, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_thread, &arg));
	sem_wait(&arg.ready);
	ASSERT_EQ(0, ptf_target_open(self->s, arg.tid, &t));
	EXPECT_EQ(getpid(), ptf_target_pid(t));
	EXPECT_EQ(PTF_TARGET_SELF, ptf_target_id(t));
	ptf_target_close(t);
	sem_post(&arg.go);
	pthread_join(thread, NULL);
}

/* --- reports ------------------------------------------------------------------------ */

struct seen {
	size_t rows;
	size_t pages;
	uint64_t next;
	bool gap;
	int stop;
};

static int count_row(const struct ptf_row *row, const struct ptf_vma *vma, const char *name,
		     void *arg)
{
	struct seen *s = arg;

	(void)name;
	s->gap |= s->rows && row->start != s->next;
	s->gap |= vma && (row->start < vma->start || row->start >= vma->end);
	s->next = row->start + row->nr_pages * PAGE;
	s->rows++;
	s->pages += row->nr_pages;
	return s->stop && s->rows == (size_t)s->stop ? 77 : 0;
}

TEST_F(session, rows_are_what_stands_in_the_tables)
{
	struct ptf_report *r;
	unsigned int i;
	char *zero;

	ASSERT_EQ(0, munmap(self->p + PAGES(6), PAGES(2)));
	zero = self->p + PAGES(9);
	ASSERT_EQ(0, madvise(zero, PAGES(2), MADV_DONTNEED));
	(void)*(volatile char *)zero;
	EXPECT_EQ(0, hide(self->s, self->p + PAGES(3), 1));
	ASSERT_EQ(NR, ptf_report_create(self->s, NULL, self->at, self->at + PAGES(NR),
					PTF_QUERY_F_PAGES | PTF_QUERY_F_HOLES, &r));
	ASSERT_EQ(NR, r->nr_rows);
	for (i = 0; i < NR; i++) {
		const struct ptf_row *row = &r->rows[i];
		const struct ptf_vma *vma = ptf_report_vma(r, row);

		EXPECT_EQ(self->at + PAGES(i), row->start);
		EXPECT_EQ(1, row->nr_pages);
		if (i == 6 || i == 7) {
			EXPECT_EQ(NULL, vma);
			EXPECT_EQ(PTF_VMA_NONE, row->vma);
			EXPECT_STREQ("", ptf_report_name(r, row));
			continue;
		}
		ASSERT_NE(NULL, vma);
		EXPECT_LE(vma->start, row->start);
		EXPECT_GT(vma->end, row->start);
		EXPECT_EQ(i == 3 ? PTF_STATE_HINT : i == 10 ? PTF_STATE_NONE : PTF_STATE_PRESENT,
			  row->state);
		EXPECT_EQ(i == 9 ? PTF_KIND_ZERO : PTF_KIND_ANON,
			  row->kind);
		if (row->state == PTF_STATE_PRESENT)
			EXPECT_EQ(frame(self->p + PAGES(i)), row->pte_pfn);
	}
	ptf_report_free(r);
	/* Without rows for holes; only what is there. */
	EXPECT_EQ(NR - 2, ptf_session_query(self->s, NULL, self->at, self->at + PAGES(NR),
					    PTF_QUERY_F_PAGES, count_row, &(struct seen) { 0 }));
	EXPECT_EQ(NR - 3, ptf_session_query(self->s, NULL, self->at, self->at + PAGES(NR),
					    PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED, count_row,
					    &(struct seen) { 0 }));
}

TEST_F(session, runs_over_many_calls)
{
	enum { MANY = 5000 };	/* rows for several calls of the module */
	struct seen seen = { 0 };
	char *p = room_of(MANY, 2);
	uint64_t at = (uintptr_t)p;
	unsigned int i;

	for (i = 0; i < MANY; i += 2)
		ASSERT_EQ(0, hide(self->s, p + PAGES(i), 1));
	EXPECT_EQ(MANY, ptf_session_query(self->s, NULL, at, at + PAGES(MANY), 0, count_row,
					  &seen));
	EXPECT_EQ(MANY, seen.pages);
	EXPECT_EQ(false, seen.gap);
	EXPECT_EQ(at + PAGES(MANY), seen.next);
	/* One long run of nothing: one row, also behind a full buffer. */
	ASSERT_EQ(0, madvise(p + PAGES(1100), PAGES(MANY - 1100), MADV_DONTNEED));
	seen = (struct seen) { 0 };
	EXPECT_EQ(1101, ptf_session_query(self->s, NULL, at, at + PAGES(MANY), 0, count_row,
					  &seen));
	EXPECT_EQ(MANY, seen.pages);
	/* The callback ends it. */
	seen = (struct seen) { .stop = 7 };
	EXPECT_EQ(77, ptf_session_query(self->s, NULL, at, at + PAGES(MANY), 0, count_row, &seen));
	EXPECT_EQ(7, seen.rows);
	munmap(p, PAGES(MANY));
}

static int list_vma(const struct ptf_row *row, const struct ptf_vma *vma, const char *name,
		    void *arg)
{
	struct ptf_vma_list *l = arg;
	const struct ptf_vma_entry *e;

	if (!vma)
		return 1;
	e = ptf_vma_list_find(l, row->start);
	/* What maps calls it; "(deleted)" is for people. */
	if (!e || e->start != vma->start || e->end != vma->end)
		return 2;
	if (e->name[0] == '/' && strncmp(e->name, name, strlen(e->name)))
		return 3;
	return !!(vma->flags & PTF_VMA_WRITE) != !!(e->prot & PROT_WRITE) ? 4 : 0;
}

TEST_F(session, the_whole_address_space)
{
	struct ptf_vma_list *l;
	struct ptf_target *t;
	int go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	if (!pid) {
		close(go[1]);
		_exit(read(go[0], &c, 1) != 0);
	}
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	ASSERT_EQ(0, ptf_vma_list_create(pid, &l));
	EXPECT_LT(10, ptf_session_query(self->s, t, 0, 0x7ffffffff000, 0, list_vma, l));
	ptf_vma_list_destroy(l);
	close(go[1]);
	waitpid(pid, NULL, 0);
	ptf_target_close(t);
	close(go[0]);
}

TEST_F(session, the_report_as_text)
{
	static const char name[] = "/tmp/ptf-a\nb";
	char *text = NULL, *p, want[128];
	struct ptf_row *row;
	struct ptf_report *r;
	size_t len = 0, i;
	int fd, lines;
	FILE *f;

	ASSERT_EQ(0, munmap(self->p + PAGE, PAGES(3)));
	ASSERT_EQ(0, madvise(self->p + PAGES(4), PAGES(4), MADV_DONTNEED));
	f = open_memstream(&text, &len);
	EXPECT_EQ(3, ptf_session_dump(self->s, NULL, self->at, self->at + PAGES(8),
				      PTF_QUERY_F_HOLES, f));
	fclose(f);
	snprintf(want, sizeof(want), "VMA: VA:0x%jx -> anonymous (private)\nPTE: VA:0x%jx -> PA:0x",
		 (uintmax_t)self->at, (uintmax_t)self->at);
	EXPECT_EQ(0, strncmp(text, want, strlen(want)));
	snprintf(want, sizeof(want), "VMA: VA:0x%jx -> nothing x 3\n", (uintmax_t)self->at + PAGE);
	EXPECT_NE(NULL, strstr(text, want));
	snprintf(want, sizeof(want), "PTE: VA:0x%jx -> nothing x 4\n",
		 (uintmax_t)self->at + PAGES(4));
	EXPECT_NE(NULL, strstr(text, want));
	free(text);
	/* One line a row, whatever the name. */
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	f = open_memstream(&text, &len);
	EXPECT_EQ(1, ptf_session_dump(self->s, NULL, (uintptr_t)p, (uintptr_t)p + PAGE, 0, f));
	fclose(f);
	for (i = 0, lines = 0; text[i]; i++)
		lines += text[i] == '\n';
	EXPECT_EQ(3, lines) {
		TH_LOG("%s", text);
	}
	EXPECT_NE(NULL, strstr(text, "-> /tmp/ptf-a\\012b:0x0 (shared)\n"));
	EXPECT_NE(NULL, strstr(text, "Filemap: /tmp/ptf-a\\012b:0x0 -> "));
	free(text);
	munmap(p, PAGE);
	close(fd);
	unlink(name);
	/* Where it can't be written. */
	f = fopen("/dev/full", "w");
	setvbuf(f, NULL, _IONBF, 0);
	EXPECT_EQ(-EIO, ptf_session_dump(self->s, NULL, self->at, self->at + PAGE, 0, f));
	fclose(f);
	/* Frames only for who may see them: here we may. */
	ASSERT_EQ(1, ptf_report_create(self->s, NULL, self->at, self->at + PAGE, 0, &r));
	row = &r->rows[0];
	EXPECT_EQ(frame(self->p), row->pte_pfn);
	ptf_report_free(r);
}

TEST_F(session, wrong_ranges)
{
	static const struct {
		uint64_t start;
		uint64_t end;
	} bad[] = {
		{ 1, PAGES(2) }, { PAGE, PAGES(2) + 1 }, { PAGES(2), PAGE }, { PAGE, PAGE },
		{ 0xffff800000000000, 0xffff800000001000 }, { 0, 1ULL << 63 },
		{ UINT64_MAX, UINT64_MAX },
	};
	struct ptf_advise_result r = { .size = sizeof(r) };
	struct ptf_ioc_page_walk w;
	struct ptf_report *report;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, ptf_session_query(self->s, NULL, bad[i].start, bad[i].end, 0,
						     count_row, &(struct seen) { 0 }));
		EXPECT_EQ(-EINVAL, ptf_report_create(self->s, NULL, bad[i].start, bad[i].end, 0,
						     &report));
		EXPECT_EQ(NULL, report);
		EXPECT_STREQ("ptf_report_create", ptf_failure_last()->op);
		EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, bad[i].start, bad[i].end,
						      PTF_ADV_NOTPRESENT, 0, &r));
		EXPECT_EQ(-EINVAL, ptf_session_fault(self->s, NULL, bad[i].start, bad[i].end,
						     PTF_ACCESS_READ, 0, NULL, NULL));
		EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	}
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_query(self->s, NULL, self->at, self->at + PAGE,
						 1U << 30, count_row, &(struct seen) { 0 }));
	EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_fault(self->s, NULL, self->at, self->at + PAGE,
						 PTF_ACCESS_READ, 1U << 30, NULL, NULL));
	EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	EXPECT_EQ(-EINVAL, ptf_session_walk(self->s, NULL, 0xffff800000000000, &w));
	r.size = 2;
	EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE,
					      PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_EQ(PTF_STATE_PRESENT, state_of(self->s, self->p));
}

TEST_F(session, every_level)
{
	struct ptf_ioc_page_walk w;
	unsigned int i;

	ASSERT_EQ(0, ptf_session_walk(self->s, NULL, self->at + 123, &w));
	EXPECT_EQ(ptf_session_features(self->s)->out_levels, w.out_levels);
	ASSERT_LE(4, w.out_nr);
	EXPECT_EQ(PTF_LEVEL_PTE, w.level[w.out_nr - 1].level);
	EXPECT_EQ(frame(self->p), w.level[w.out_nr - 1].pfn);
	EXPECT_EQ((self->at >> 12) & 511, w.level[w.out_nr - 1].index);
	for (i = 0; i < w.out_nr; i++)
		EXPECT_NE(0, w.level[i].flags & PTF_LEVEL_PRESENT);
	EXPECT_EQ(PTF_STATE_PRESENT, w.out_row.state);
	EXPECT_EQ(self->at, w.out_row.start);
	/* Where nothing is, the walk ends early. */
	ASSERT_EQ(0, ptf_session_walk(self->s, NULL, PAGE, &w));
	EXPECT_EQ(PTF_VMA_NONE, w.out_row.vma);
}

/* --- files --------------------------------------------------------------------------- */

static int sum_file(const struct ptf_file_row *row, void *arg)
{
	size_t *pages = arg;

	*pages += row->state == PTF_FILEMAP_PRESENT ? row->nr_pages : 0;
	return 0;
}

TEST_F(session, what_a_file_has_in_the_page_cache)
{
	struct ptf_file_info info = { .size = sizeof(info) };
	int fd = filled_memfd(0, 0), pipes[2];
	size_t pages = 0;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, ftruncate(fd, PAGES(20)));
	ASSERT_EQ(3, pwrite(fd, "abc", 3, PAGES(2)));
	ASSERT_EQ(3, pwrite(fd, "abc", 3, PAGES(4) - 1));
	ASSERT_EQ(1, pwrite(fd, "x", 1, PAGES(19)));
	EXPECT_LT(0, ptf_session_file_query(self->s, fd, 0, UINT64_MAX, 0, sum_file, &pages,
					    &info));
	EXPECT_EQ(4, pages);
	EXPECT_EQ(PAGES(20), info.bytes);
	EXPECT_EQ(4, info.cached_pages);
	EXPECT_EQ(4, ptf_session_file_query(self->s, fd, 0, UINT64_MAX,
					    PTF_QUERY_F_PAGES | PTF_QUERY_F_MAPPED, NULL, NULL,
					    NULL));
	EXPECT_EQ(-EBADF, ptf_session_file_query(self->s, -1, 0, PAGE, 0, NULL, NULL, NULL));
	EXPECT_EQ(-ENODEV, ptf_session_file_query(self->s, pipes[0], 0, PAGE, 0, NULL, NULL,
						  NULL));
	EXPECT_EQ(-EINVAL, ptf_session_file_query(self->s, fd, 1, PAGE, 0, NULL, NULL, NULL));
	info.size = 2;
	EXPECT_EQ(-EINVAL, ptf_session_file_query(self->s, fd, 0, PAGE, 0, NULL, NULL, &info));
	close(pipes[0]);
	close(pipes[1]);
	close(fd);
}

TEST_F(session, who_maps_a_file)
{
	int fd = filled_memfd(20, 0), pipes[2], go[2];
	bool us = false, child = false;
	struct ptf_mapper *rows;
	uint64_t total = 0;
	ssize_t n, i;
	pid_t pid;
	char *p;

	if (!(ptf_session_features(self->s)->out_features & PTF_FEATURE_MAPPERS))
		SKIP(return, "no FILE_MAPPERS here");
	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(0, pipe(go));
	EXPECT_EQ(0, ptf_session_file_mappers(self->s, fd, 0, UINT64_MAX, &rows, &total));
	EXPECT_EQ(NULL, rows);
	EXPECT_EQ(0, total);
	p = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGES(2));
	p[0] = 1;
	p[PAGE] = 1;
	pid = fork();
	if (!pid) {
		char c;

		munmap(p + PAGES(4), PAGES(4));
		close(go[1]);
		_exit(write(pipes[1], "r", 1) != 1 || read(go[0], &c, 1) != 0);
	}
	ASSERT_EQ(1, read(pipes[0], &(char) { 0 }, 1));
	n = ptf_session_file_mappers(self->s, fd, 0, UINT64_MAX, &rows, &total);
	ASSERT_EQ(2, n);
	EXPECT_EQ(2, total);
	for (i = 0; i < n; i++) {
		EXPECT_EQ((uintptr_t)p, rows[i].start);
		EXPECT_EQ(PAGES(2), rows[i].offset);
		if (rows[i].pid == getpid()) {
			us = true;
			EXPECT_EQ((uintptr_t)p + PAGES(8), rows[i].end);
			EXPECT_EQ(2, rows[i].mapped_pages);
		} else if (rows[i].pid == pid) {
			child = true;
			EXPECT_EQ((uintptr_t)p + PAGES(4), rows[i].end);
		}
		EXPECT_EQ(0, rows[i].copied_pages);
	}
	EXPECT_EQ(true, us && child);
	free(rows);
	/* A part that only we map. */
	EXPECT_EQ(1, ptf_session_file_mappers(self->s, fd, PAGES(7), PAGES(8), &rows, NULL));
	free(rows);
	close(go[1]);
	waitpid(pid, NULL, 0);
	munmap(p, PAGES(8));
	close(fd);
}

TEST_F(session, advice_on_a_file)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	int fd = filled_memfd(8, 5), ro;
	char path[64], *p, *q;

	if (!(ptf_session_features(self->s)->out_features & PTF_FEATURE_FILE_ADVISE))
		SKIP(return, "no FILE_ADVISE here");
	p = mmap(NULL, PAGES(8), PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	q = mmap(NULL, PAGES(8), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	q[0] = 9;
	EXPECT_EQ(0, ptf_session_file_advise(self->s, fd, 0, UINT64_MAX, PTF_ADV_UNMAP_FILE, 0,
					     &r));
	EXPECT_LT(0, r.done_pages);
	EXPECT_EQ(false, is_present(p));
	EXPECT_EQ(false, is_present(p + PAGES(7)));
	/* A copy is no page of the file. */
	EXPECT_EQ(9, q[0]);
	EXPECT_EQ(true, pages_have(p, 8, 5));
	EXPECT_EQ(-EPERM, ptf_session_file_advise(self->s, fd, 0, PAGE, PTF_ADV_UNMAP_FILE_COW, 0,
						  &r));
	EXPECT_EQ(9, q[0]);
	EXPECT_EQ(0, ptf_session_file_advise(self->s, fd, 0, PAGE, PTF_ADV_UNMAP_FILE_COW,
					     PTF_ADVISE_UNCHECKED, &r));
	EXPECT_EQ(true, page_has(q, 0, 5));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	EXPECT_NE(0, ptf_session_file_advise(self->s, ro, 0, PAGE, PTF_ADV_UNMAP_FILE, 0, &r));
	EXPECT_EQ(PTF_LAYER_FILEMAP, ptf_failure_last()->layer);
	EXPECT_NE(0, ptf_session_file_advise(self->s, fd, 0, PAGE, PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_EQ(-EINVAL, ptf_session_file_advise(self->s, fd, 1, PAGE, PTF_ADV_UNMAP_FILE, 0,
						   &r));
	EXPECT_EQ(-EINVAL, ptf_session_file_advise(self->s, fd, 0, PAGE, 9999, 0, &r));
	EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	/* Behind the end of the file. */
	EXPECT_EQ(-ENODATA, ptf_session_file_advise(self->s, fd, PAGES(64), PAGES(65),
						    PTF_ADV_UNMAP_FILE, 0, &r));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "cached or mapped"));
	/* Page by page, never all or nothing. */
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_file_advise(self->s, fd, 0, PAGE, PTF_ADV_UNMAP_FILE,
						       PTF_ADVISE_F_STRICT, &r));
	EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "UNMAP_FILE: STRICT"));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "page by page"));
	munmap(p, PAGES(8));
	munmap(q, PAGES(8));
	close(ro);
	close(fd);
}

/* --- advice ---------------------------------------------------------------------------- */

TEST_F(session, advice_says_what_became_of_each_page)
{
	struct ptf_advise_result r = { .size = sizeof(r) };

	ASSERT_EQ(0, munmap(self->p + PAGES(4), PAGES(2)));
	ASSERT_EQ(0, madvise(self->p + PAGES(8), PAGES(3), MADV_DONTNEED));
	ASSERT_EQ(0, mprotect(self->p + PAGES(12), PAGE, PROT_NONE));
	EXPECT_EQ(0, hide(self->s, self->p, 1));
	EXPECT_EQ(0, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(NR),
					PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_EQ(self->at + PAGES(NR), r.next);
	EXPECT_EQ(NR - 1 - 2 - 3 - 1, r.done_pages);
	EXPECT_EQ(1, r.same_pages);
	EXPECT_EQ(2, r.skipped_pages[PTF_SKIP_HOLE]);
	EXPECT_EQ(3, r.skipped_pages[PTF_SKIP_EMPTY]);
	EXPECT_EQ(1, r.skipped_pages[PTF_SKIP_PROTNONE]);
	EXPECT_LT(0, r.flushes);
	/* All or nothing: the first that can't be served, and nothing done. */
	EXPECT_EQ(0, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(4),
					PTF_ADV_PRESENT, 0, &r));
	EXPECT_EQ(-ENOMEM, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(NR),
					      PTF_ADV_NOTPRESENT, PTF_ADVISE_F_STRICT, &r));
	EXPECT_EQ(self->at + PAGES(4), r.next);
	EXPECT_EQ(PTF_STATE_PRESENT, state_of(self->s, self->p));
	EXPECT_EQ((void *)(self->p + PAGES(4)), ptf_failure_last()->addr);
	EXPECT_EQ(PAGES(NR), ptf_failure_last()->wanted);
	EXPECT_EQ(PAGES(4), ptf_failure_last()->done);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "nothing is mapped"));
	/* Nothing else there: its errno too. */
	EXPECT_EQ(-ENODATA, ptf_session_advise(self->s, NULL, self->at + PAGES(8),
					       self->at + PAGES(11), PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "touch the pages"));
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_advise(self->s, NULL, self->at + PAGES(12),
						  self->at + PAGES(13), PTF_ADV_NOTPRESENT, 0,
						  &r));
	EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE,
					      PTF_ADV_LAST + 1, PTF_ADVISE_UNCHECKED, &r));
	/* An older caller gets what it has room for. */
	memset(&r, 0xa5, sizeof(r));
	r.size = offsetof(struct ptf_advise_result, same_pages);
	EXPECT_EQ(0, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(4),
					PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_EQ(4, r.done_pages);
	EXPECT_EQ(0xa5a5a5a5a5a5a5a5, r.same_pages);
}

TEST_F(session, the_reason_is_of_the_errno)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	char text[512];

	/* Fifteen pages are empty, but what it answers is of the one that is not. */
	ASSERT_EQ(0, madvise(self->p + PAGE, PAGES(NR - 1), MADV_DONTNEED));
	ASSERT_EQ(0, hide(self->s, self->p, 1));
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(NR),
						  PTF_ADV_OLD, 0, &r));
	EXPECT_EQ(NR - 1, r.skipped_pages[PTF_SKIP_EMPTY]);
	EXPECT_EQ(1, r.skipped_pages[PTF_SKIP_KIND]);
	EXPECT_STREQ(ptf_skip_text(PTF_SKIP_KIND), ptf_failure_last()->annotation);
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "PRESENT"));
	/* The address is named, also the first of all. */
	EXPECT_EQ(-ENOMEM, ptf_session_advise(self->s, NULL, 0, PAGE, PTF_ADV_NOTPRESENT, 0, &r));
	ptf_failure_text(text, sizeof(text));
	EXPECT_NE(NULL, strstr(text, " at 0x0,"));
}

/* A flag that is refused is named as such, whichever advice it is. */
TEST_F(session, flags_that_an_advice_does_not_take)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	unsigned int i, bit, refused = 0;
	int advice, ret;

	for (i = 0; i < ptf_advice_count(); i++) {
		advice = ptf_advice_at(i);
		if (advice < PTF_ADV_BASE || !ptf_session_has_advice(self->s, advice))
			continue;
		for (bit = 0; bit < 8; bit++) {
			ret = ptf_session_advise(self->s, NULL, self->at, self->at + PAGE, advice,
						 PTF_ADVISE_UNCHECKED | 1U << bit, &r);
			if (bit > 4)
				EXPECT_EQ(-EOPNOTSUPP, ret);
			if (bit > 4 || ((advice == PTF_ADV_UNMAP_FILE || advice == PTF_ADV_EVICT ||
					 advice == PTF_ADV_UNMAP_FILE_COW ||
					 advice == PTF_ADV_RESET) && !bit)) {
				EXPECT_EQ(-EOPNOTSUPP, ret);
				EXPECT_EQ(PTF_LAYER_ARGUMENT, ptf_failure_last()->layer);
				EXPECT_NE(NULL, strstr(ptf_failure_last()->annotation, "a flag"));
				EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "leave the flag"));
				refused++;
			}
			ptf_session_advise(self->s, NULL, self->at, self->at + PAGE, PTF_ADV_RESET,
					   0, NULL);
		}
	}
	EXPECT_LT(3 * 10, refused);
}

TEST_F(session, part_of_a_huge_page)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	char *all = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *p = (char *)(((uintptr_t)all + 2 * MB - 1) & ~(2 * MB - 1));
	uint64_t at = (uintptr_t)p;
	int ret;

	ASSERT_NE(MAP_FAILED, all);
	if (madvise(p, 2 * MB, MADV_HUGEPAGE))
		SKIP(return, "a kernel without huge pages");
	memset(p, 1, 2 * MB);
	ret = ptf_session_advise(self->s, NULL, at, at + MB, PTF_ADV_NOTPRESENT, 0, &r);
	if (ret != -EOPNOTSUPP || !r.skipped_pages[PTF_SKIP_THP])
		SKIP(return, "no huge page came");
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "flag PMD"));
	/* Who has given the flag already needs another word. */
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_advise(self->s, NULL, at, at + MB, PTF_ADV_NOTPRESENT,
						  PTF_ADVISE_F_PMD, &r));
	EXPECT_EQ(NULL, strstr(ptf_failure_last()->way, "flag PMD"));
	EXPECT_NE(NULL, strstr(ptf_failure_last()->way, "whole huge pages"));
	munmap(all, 4 * MB);
}

TEST_F(session, the_kernels_advice_through_a_session)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	struct ptf_target *t;
	int go[2], back[2], status;
	pid_t pid;
	char c;

	/* Ours. */
	EXPECT_EQ(-EPERM, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE,
					     MADV_DONTNEED, 0, &r));
	EXPECT_EQ(true, page_has(self->p, 0, 1));
	/* What nobody knows can't lose data: with the same errno as ptf_advise(). */
	EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE, 0x6fff,
					      0, &r));
	EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE, 9999,
					      PTF_ADVISE_UNCHECKED, &r));
	EXPECT_EQ(-EINVAL, ptf_advise(self->p, PAGE, 9999));
	EXPECT_EQ(0, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE, MADV_DONTNEED,
					PTF_ADVISE_UNCHECKED, &r));
	EXPECT_EQ(self->at + PAGE, r.next);
	EXPECT_EQ(true, page_zero(self->p, 0));
	EXPECT_EQ(-EOPNOTSUPP, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE,
						  MADV_COLD, PTF_ADVISE_F_STRICT, &r));
	EXPECT_EQ(-EINVAL, ptf_session_advise(self->s, NULL, self->at + PAGE, self->at, MADV_COLD,
					      0, &r));
	/* Another process's: what process_madvise(2) takes. */
	ASSERT_EQ(0, pipe(go));
	ASSERT_EQ(0, pipe(back));
	pid = fork();
	if (!pid) {
		memset(self->p, 'x', PAGES(NR));
		if (write(back[1], "r", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(1);
		_exit(self->p[0] != 'x' || self->p[PAGES(NR) - 1] != 'x');
	}
	ASSERT_EQ(1, read(back[0], &c, 1));
	ASSERT_EQ(0, ptf_target_open(self->s, pid, &t));
	EXPECT_EQ(0, ptf_session_advise(self->s, t, self->at, self->at + PAGES(NR), MADV_COLD, 0,
					&r));
	EXPECT_NE(0, ptf_session_advise(self->s, t, self->at, self->at + PAGES(NR), MADV_DONTFORK,
					0, &r));
	EXPECT_EQ(0, ptf_session_advise(self->s, t, self->at, self->at + PAGES(NR),
					PTF_ADV_NOTPRESENT, 0, &r));
	EXPECT_EQ(NR, r.done_pages);
	EXPECT_EQ(true, page_has(self->p, 1, 1));
	ASSERT_EQ(1, write(go[1], "g", 1));
	waitpid(pid, &status, 0);
	EXPECT_EQ(0, status);
	ptf_target_close(t);
}

TEST_F(session, swapped_out_is_swapped_out)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	struct ptf_report *report;
	struct rusage before, after;
	struct sysinfo info;
	size_t i;

	if (sysinfo(&info) || info.freeswap * info.mem_unit < MB)
		SKIP(return, "no swap here");
	EXPECT_EQ(0, ptf_session_advise(self->s, NULL, self->at, self->at + PAGES(NR),
					PTF_ADV_SWAPOUT, 0, &r));
	EXPECT_EQ(NR, r.done_pages + r.same_pages);
	ASSERT_LT(0, ptf_report_create(self->s, NULL, self->at, self->at + PAGES(NR),
				       PTF_QUERY_F_PAGES, &report));
	for (i = 0; i < report->nr_rows; i++)
		EXPECT_EQ(PTF_STATE_SWAP, report->rows[i].state);
	ptf_report_free(report);
	getrusage(RUSAGE_SELF, &before);
	EXPECT_EQ(true, pages_have(self->p, NR, 1));
	getrusage(RUSAGE_SELF, &after);
	EXPECT_LT(before.ru_majflt, after.ru_majflt);
}

TEST_F(session, in_a_child)
{
	struct ptf_advise_result r = { .size = sizeof(r) };
	int verdict;

	/* The session is the parent's: what it does is done to the parent's memory. */
	IN_CHILD(verdict, CHILD_CHECK(1, !hide(self->s, self->p, 4));
		CHILD_CHECK(2, touch(self->p, LOAD) == 0);
		CHILD_CHECK(3, ptf_session_advise(self->s, NULL, self->at, self->at + PAGE,
						  MADV_COLD, 0, &r) == -EOPNOTSUPP);
		ptf_session_close(self->s));
	EXPECT_EQ(0, verdict);
	EXPECT_EQ(PTF_STATE_HINT, state_of(self->s, self->p));
	EXPECT_EQ(PTF_STATE_PRESENT, state_of(self->s, self->p + PAGES(4)));
	EXPECT_EQ(true, pages_have(self->p, NR, 1));
}

TEST_HARNESS_MAIN
