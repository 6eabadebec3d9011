// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random rounds: pages of several kinds of memory are disturbed in every way that
 * keeps their content, and whatever core mm can be asked to do is done to them.
 * After each round the content is what it was. PTF_SEED chooses the rounds; what
 * failed comes again with the same seed. 10,000 rounds in all, of which a check
 * runs a tenth.
 */
/* vm: default */
/* timeout: 1200 */
#include "ptf_test.h"

#include <linux/userfaultfd.h>
#include <sys/uio.h>

/* What each page of a region holds by rights: a generation, 0 is zeros. */
#define MAX_PAGES	512

enum kind { ANON, SHMEM, SHMEM_PRIVATE, EXT4, EXT4_PRIVATE, HUGE, KINDS };

struct region {
	enum kind kind;
	char *p;
	size_t nr;
	int file;
	unsigned int gen[MAX_PAGES], under[MAX_PAGES];
};

static bool is_private_file(const struct region *r)
{
	return r->kind == SHMEM_PRIVATE || r->kind == EXT4_PRIVATE;
}

static bool is_anon(const struct region *r)
{
	return r->kind == ANON || r->kind == HUGE;
}

/* Four words tell a page: all of it would take most of the time. */
static const unsigned short spot[] = { 0, 511, 77, 256 };

static void put(char *page, unsigned int gen, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(spot); i++)
		((volatile __u64 *)page)[spot[i]] = ptf_word(gen, nr, spot[i]);
}

static bool has(const char *page, unsigned int gen, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(spot); i++)
		if (((const volatile __u64 *)page)[spot[i]] !=
		    (gen ? ptf_word(gen, nr, spot[i]) : 0))
			return false;
	return true;
}

/* The first page of a stretch that is not as it should be, or -1. */
static int wrong(struct region *r, size_t at, size_t nr)
{
	size_t i;

	for (i = at; i < at + nr; i++)
		if (!has(r->p + PAGES(i), r->gen[i], i))
			return i;
	return -1;
}

struct soak {
	int fd, other, mem, buffer, direct;
	unsigned int seed, gen;
	struct region r[KINDS];
	unsigned int kinds;
	char *buf;
	const char *what;
	unsigned long done, refused;
};

struct stretch {
	struct region *r;
	size_t at, nr;
};

static int check_stretch(void *arg)
{
	struct stretch *s = arg;

	return wrong(s->r, s->at, s->nr) >= 0;
}

/* The module's advice; refusing is an answer, losing is not. */
static bool advise(struct soak *k, int fd, unsigned int advice, char *p, size_t len,
		   __u32 flags)
{
	struct ptf_ioc_range_advise cmd;

	if (!_test_cmd_range_advise(fd, &cmd, 0, advice, p, len, flags)) {
		k->done += cmd.out_done_pages;
		return true;
	}
	k->refused++;
	return errno == ENODATA || errno == EBUSY || errno == EOPNOTSUPP || errno == EACCES ||
	       errno == ENOSPC;
}

/* Pages that were written, or are zeros, or the file's again. */
static void is_now(struct soak *k, struct region *r, size_t at, size_t nr, unsigned int gen)
{
	size_t i;

	for (i = at; i < at + nr; i++) {
		r->gen[i] = gen;
		if (!is_anon(r) && !is_private_file(r))
			r->under[i] = gen;
	}
}

static void dropped(struct region *r, size_t at, size_t nr)
{
	size_t i;

	for (i = at; i < at + nr; i++) {
		if (is_anon(r))
			r->gen[i] = 0;
		else if (is_private_file(r))
			r->gen[i] = r->under[i];
	}
}

static void store(struct soak *k, struct region *r, size_t at, size_t nr)
{
	size_t i;

	k->gen++;
	for (i = at; i < at + nr; i++)
		put(r->p + PAGES(i), k->gen, i);
	is_now(k, r, at, nr, k->gen);
}

/* The buffer holds what a stretch is to hold next. */
static void prepare(struct soak *k, size_t at, size_t nr)
{
	size_t i;

	k->gen++;
	memset(k->buf, 0, PAGES(nr));
	for (i = 0; i < nr; i++)
		put(k->buf + PAGES(i), k->gen, at + i);
}

static bool buffer_is(struct soak *k, struct region *r, size_t at, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!has(k->buf + PAGES(i), r->gen[at + i], at + i))
			return false;
	return true;
}

/* Registered, dropped, filled by the monitor (ourselves), and free again. */
static bool userfault(struct soak *k, struct region *r, size_t at, size_t nr)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { u64ptr(r->p + PAGES(at)), PAGES(nr) },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct uffdio_copy copy = { };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	bool ok = true;
	size_t i;

	/* a page that was dropped and not touched since would wait for the monitor */
	ptf_touch_all(r->p + PAGES(at), PAGES(nr));
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		close(uffd);
		return true;
	}
	ok = advise(k, k->fd, PTF_ADV_STASH, r->p + PAGES(at), PAGES(nr), 0) &&
	     wrong(r, at, nr) < 0;
	if (ok && r->kind == ANON && !madvise(r->p + PAGES(at), PAGES(nr), MADV_DONTNEED)) {
		prepare(k, at, nr);
		for (i = 0; ok && i < nr; i++) {
			copy.dst = u64ptr(r->p + PAGES(at + i));
			copy.src = u64ptr(k->buf + PAGES(i));
			copy.len = PAGE;
			ok = !ioctl(uffd, UFFDIO_COPY, &copy);
		}
		is_now(k, r, at, nr, k->gen);
	}
	close(uffd);
	return ok;
}

/* How many VMAs a region is now: parts of it may be marked for KSM. */
static unsigned int vmas_of(const struct region *r)
{
	unsigned long start, end;
	unsigned int nr = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &start, &end) == 2 &&
		    start < u64ptr(r->p) + PAGES(r->nr) && end > u64ptr(r->p))
			nr++;
	if (f)
		fclose(f);
	return nr;
}

static const __u32 how_huge[] = {
	0, PTF_ADVISE_F_PMD, PTF_ADVISE_F_SPLIT, PTF_ADVISE_F_PMD | PTF_ADVISE_F_SPLIT,
};

/* One operation on some pages of a region; false if it failed. */
static bool operate(struct soak *k, struct region *r)
{
	size_t at = rand_r(&k->seed) % r->nr;
	size_t nr = 1 + rand_r(&k->seed) % (r->nr - at), len;
	__u32 huge = how_huge[rand_r(&k->seed) % ARRAY_SIZE(how_huge)];
	struct stretch s = { r, at, nr };
	char *p = r->p + PAGES(at), *to;
	struct iovec l = { k->buf, 0 }, rem = { p, 0 };
	pid_t pid;

	/* all of a huge page now and then, a few of its pages mostly */
	if (r->kind == HUGE && rand_r(&k->seed) % 2) {
		at = 0;
		nr = r->nr;
		p = r->p;
	} else if (r->kind == HUGE && nr > 32) {
		nr = 32;
	}
	s.at = at;
	s.nr = nr;
	len = PAGES(nr);
	l.iov_len = len;
	rem = (struct iovec){ p, len };

#define OP(name) (k->what = (name))
	switch (rand_r(&k->seed) % 44) {
	case 0:
	case 1:
		OP("store");
		store(k, r, at, nr);
		return true;
	case 2:
		OP("load");
		ptf_touch_all(p, len);
		return true;
	case 3:
		OP("process_vm_writev");
		prepare(k, at, nr);
		is_now(k, r, at, nr, k->gen);
		return process_vm_writev(getpid(), &l, 1, &rem, 1, 0) == len;
	case 4:
		OP("process_vm_readv");
		return process_vm_readv(getpid(), &l, 1, &rem, 1, 0) == len &&
		       buffer_is(k, r, at, nr);
	case 5:
		OP("write to /proc/self/mem");
		prepare(k, at, nr);
		is_now(k, r, at, nr, k->gen);
		return pwrite(k->mem, k->buf, len, u64ptr(p)) == len;
	case 6:
		OP("read(2) into it");
		prepare(k, at, nr);
		is_now(k, r, at, nr, k->gen);
		return pwrite(k->buffer, k->buf, len, 0) == len &&
		       pread(k->buffer, p, len, 0) == len;
	case 7:
		OP("write(2) from it");
		return pwrite(k->buffer, p, len, 0) == len &&
		       pread(k->buffer, k->buf, len, 0) == len && buffer_is(k, r, at, nr);
	case 8:
		OP("O_DIRECT into it");
		if (k->direct < 0)
			return true;
		prepare(k, at, nr);
		is_now(k, r, at, nr, k->gen);
		return pwrite(k->direct, k->buf, len, 0) == len &&
		       pread(k->direct, p, len, 0) == len;
	case 9:
		OP("O_DIRECT from it");
		return k->direct < 0 || (pwrite(k->direct, p, len, 0) == len &&
		       pread(k->direct, k->buf, len, 0) == len && buffer_is(k, r, at, nr));
	case 10:
		OP("fork");
		return !ptf_wait(ptf_child(check_stretch, &s));
	case 11:
		OP("vfork and exec");
		pid = vfork();
		if (!pid) {
			execl("/bin/true", "true", NULL);
			_exit(9);
		}
		return pid > 0 && !ptf_wait(pid);
	case 12:
		OP("mprotect");
		return !mprotect(p, len, PROT_READ) && wrong(r, at, nr) < 0 &&
		       !mprotect(p, len, PROT_READ | PROT_WRITE);
	case 13:
		OP("mprotect to none");
		return !mprotect(p, len, PROT_NONE) && !mprotect(p, len, PROT_READ | PROT_WRITE);
	case 14:
		OP("mremap");
		len = PAGES(r->nr);
		/* it moves one VMA, not several */
		if (vmas_of(r) > 1)
			madvise(r->p, len, MADV_UNMERGEABLE);
		to = mmap(NULL, len + HPAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (to == MAP_FAILED)
			return false;
		if (r->kind == HUGE)
			to = (char *)(((uintptr_t)to + HPAGE - 1) & ~(HPAGE - 1));
		to = mremap(r->p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		if (to == MAP_FAILED)
			return errno == EFAULT && vmas_of(r) > 1;
		r->p = to;
		return true;
	case 15:
		OP("DONTNEED");
		dropped(r, at, nr);
		return !madvise(p, len, MADV_DONTNEED);
	case 16:
		OP("PAGEOUT");
		return !madvise(p, len, MADV_PAGEOUT);
	case 17:
		OP("COLD");
		return !madvise(p, len, MADV_COLD);
	case 18:
		OP("mlock");
		return !mlock(p, len) && !munlock(p, len);
	case 19:
		OP("POPULATE");
		return !madvise(p, len, rand_r(&k->seed) & 1 ? MADV_POPULATE_READ :
				MADV_POPULATE_WRITE);
	case 20:
		OP("FREE");
		if (is_anon(r) && madvise(p, len, MADV_FREE))
			return false;
		if (is_anon(r))
			store(k, r, at, nr);
		return true;
	case 21:
		OP("COLLAPSE");
		if (r->kind == HUGE)
			madvise(r->p, HPAGE, MADV_COLLAPSE);
		return true;
	case 22:
		OP("MERGEABLE");
		return !is_anon(r) || !madvise(p, len, rand_r(&k->seed) & 1 ? MADV_MERGEABLE :
					       MADV_UNMERGEABLE) || errno == EINVAL;
	case 23:
		OP("guards");
		if (madvise(p, len, MADV_GUARD_INSTALL))
			return true;
		dropped(r, at, nr);
		return !madvise(p, len, MADV_GUARD_REMOVE);
	case 24:
		OP("userfaultfd");
		return is_anon(r) || r->kind == SHMEM ? userfault(k, r, at, nr) : true;
	case 25:
		OP("fsync");
		return r->file < 0 || !fsync(r->file);
	case 26:
		OP("drop_caches");
		ptf_write_file("/proc/sys/vm/drop_caches", "1");
		return true;
	case 27:
		OP("compaction");
		ptf_write_file("/proc/sys/vm/compact_memory", "1");
		return true;
	case 28:
		OP("PRESENT");
		return advise(k, k->fd, PTF_ADV_PRESENT, p, len, 0);
	case 29:
	case 30:
		OP("NOTPRESENT");
		return advise(k, k->fd, PTF_ADV_NOTPRESENT, p, len, huge |
			      (rand_r(&k->seed) & 1 ? PTF_ADVISE_F_GUP : 0) |
			      (rand_r(&k->seed) & 3 ? 0 : PTF_ADVISE_F_ONESHOT));
	case 31:
		OP("STASH, all or nothing");
		return advise(k, k->fd, PTF_ADV_STASH, p, len,
			      PTF_ADVISE_F_STRICT | (huge & PTF_ADVISE_F_SPLIT));
	case 32:
		OP("STASH by another session");
		return advise(k, k->other, PTF_ADV_STASH, p, len, 0);
	case 33:
		OP("WRPROTECT");
		return advise(k, k->fd, PTF_ADV_WRPROTECT, p, len, huge) &&
		       (rand_r(&k->seed) & 1 ||
			advise(k, k->fd, PTF_ADV_WRUNPROTECT, p, len, huge));
	case 34:
		OP("OLD");
		return advise(k, k->fd, PTF_ADV_OLD, p, len, huge);
	case 35:
		OP("CLEAN");
		return advise(k, k->fd, PTF_ADV_CLEAN, p, len, 0);
	case 36:
		OP("UNMAP_FILE");
		return advise(k, k->fd, PTF_ADV_UNMAP_FILE, p, len, 0);
	case 37:
		OP("EVICT");
		return advise(k, k->fd, PTF_ADV_EVICT, p, len, 0);
	case 38:
		OP("MIGRATE");
		return advise(k, k->fd, PTF_ADV_MIGRATE, p, len, huge & PTF_ADVISE_F_SPLIT);
	case 39:
		OP("UNSHARE");
		return advise(k, k->fd, PTF_ADV_UNSHARE, p, len, huge & PTF_ADVISE_F_SPLIT);
	case 40:
		OP("SPLIT");
		return advise(k, k->fd, PTF_ADV_SPLIT, p, len, 0);
	case 41:
		OP("POISON and back");
		return advise(k, k->fd, PTF_ADV_POISON, p, len, huge & PTF_ADVISE_F_SPLIT) &&
		       advise(k, k->fd, PTF_ADV_UNPOISON, p, len, 0);
	case 42:
		OP("RESET");
		return advise(k, k->fd, PTF_ADV_RESET, p, len, 0);
	default:
		OP("close");
		close(k->fd);
		k->fd = k->other;
		k->other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		return k->other >= 0;
	}
}

/* ------------------------------------------------------------------ */

FIXTURE(soak) {
	int fd;
	struct ptf_log log;
	struct soak k;
};

static bool make_region(struct soak *k, enum kind kind)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct region *r = &k->r[k->kinds];
	size_t i;

	r->kind = kind;
	r->nr = kind == HUGE ? 512 : 48;
	r->file = -1;
	switch (kind) {
	case ANON:
		r->p = ptf_anon(PAGES(r->nr));
		break;
	case HUGE:
		r->p = mmap(NULL, 2 * HPAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (r->p == MAP_FAILED)
			return false;
		r->p = (char *)(((uintptr_t)r->p + HPAGE - 1) & ~(HPAGE - 1));
		madvise(r->p, HPAGE, MADV_HUGEPAGE);
		break;
	case EXT4:
	case EXT4_PRIVATE:
		if (!ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC))
			return true;
		r->file = ptf_file_in(PTF_SCRATCH, PAGES(r->nr), 1);
		break;
	default:
		r->file = ptf_file_in(PTF_SHM, PAGES(r->nr), 1);
	}
	if (!is_anon(r)) {
		if (r->file < 0)
			return false;
		r->p = mmap(NULL, PAGES(r->nr), rw, is_private_file(r) ? MAP_PRIVATE : MAP_SHARED,
			    r->file, 0);
	}
	if (r->p == MAP_FAILED)
		return false;
	for (i = 0; i < r->nr; i++) {
		if (is_anon(r))
			put(r->p + PAGES(i), 1, i);
		r->gen[i] = 1;
		r->under[i] = 1;
	}
	k->kinds++;
	return true;
}

FIXTURE_SETUP(soak)
{
	char path[] = PTF_SCRATCH "/ptf-direct-XXXXXX";
	struct soak *k = &self->k;
	int kind;

	self->fd = ptf_setup(_metadata, &self->log);
	if (self->fd < 0)
		return;
	if (!(ptf_features(self->fd) & PTF_FEATURE_STASH))
		SKIP(return, "no STASH on this kernel: its fault handler can't be hooked");
	memset(k, 0, sizeof(*k));
	k->fd = self->fd;
	k->other = open(PTF_DEV, O_RDWR | O_CLOEXEC);
	k->mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	k->buffer = memfd_create("buffer", MFD_CLOEXEC);
	k->buf = mmap(NULL, HPAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_TRUE(k->other >= 0 && k->mem >= 0 && k->buffer >= 0 && k->buf != MAP_FAILED);
	ASSERT_EQ(0, ftruncate(k->buffer, HPAGE));
	k->direct = -1;
	if (ptf_is_fs(PTF_SCRATCH, PTF_EXT4_MAGIC)) {
		k->direct = mkostemp(path, O_CLOEXEC | O_DIRECT);
		unlink(path);
	}
	k->gen = 1;
	for (kind = 0; kind < KINDS; kind++)
		ASSERT_TRUE(make_region(k, kind)) {
			TH_LOG("region %d: %s", kind, strerror(errno));
		}
	ptf_write_file("/sys/kernel/mm/ksm/pages_to_scan", "500");
	ptf_write_file("/sys/kernel/mm/ksm/run", "1");
}

FIXTURE_TEARDOWN_PARENT(soak)
{
	ptf_write_file("/sys/kernel/mm/ksm/run", "0");
	ptf_teardown(_metadata, &self->log);
}

static void rounds(struct __test_metadata *_metadata, struct soak *k, unsigned long n)
{
	unsigned long seed = ptf_env("PTF_SEED", 1), i;
	unsigned int at, nr, x;
	int bad;

	k->seed = seed;
	TH_LOG("PTF_SEED=%lu, %lu rounds", seed, n);
	for (i = 0; i < n; i++) {
		struct region *r = &k->r[rand_r(&k->seed) % k->kinds];

		at = rand_r(&k->seed) % r->nr;
		nr = 1 + rand_r(&k->seed) % (r->nr - at);
		if (nr > 48)
			nr = 48;
		ASSERT_TRUE(advise(k, k->fd, PTF_ADV_STASH, r->p + PAGES(at), PAGES(nr), 0)) {
			TH_LOG("seed %lu, round %lu: STASH: %s", seed, i, strerror(errno));
		}
		ASSERT_TRUE(operate(k, r)) {
			TH_LOG("seed %lu, round %lu: %s on region %d failed: %s", seed, i, k->what,
			       r->kind, strerror(errno));
		}
		/* some of a huge page, all of what is small, everything now and then */
		at = r->nr > 64 ? rand_r(&k->seed) % (r->nr - 64) : 0;
		bad = wrong(r, at, r->nr > 64 ? 64 : r->nr);
		for (x = 0; bad < 0 && i % 32 == 31 && x < k->kinds; x++) {
			r = &k->r[x];
			bad = wrong(r, 0, r->nr);
		}
		ASSERT_EQ(-1, bad) {
			TH_LOG("seed %lu, round %lu: %s: page %d of region %d is not generation %u",
			       seed, i, k->what, bad, r->kind, r->gen[bad]);
		}
	}
	EXPECT_LT(n, k->done);
	for (x = 0; x < k->kinds; x++) {
		advise(k, k->fd, PTF_ADV_RESET, k->r[x].p, PAGE, 0);
		EXPECT_EQ(-1, wrong(&k->r[x], 0, k->r[x].nr));
	}
}

TEST_F_TIMEOUT(soak, alone, 600)
{
	rounds(_metadata, &self->k, ptf_rounds(6000));
}

/* And another thread that disturbs everything all the while, with its own session. */
struct disturber {
	struct soak *k;
	volatile int stop;
	unsigned long done;
};

static void *disturb(void *arg)
{
	static const struct {
		unsigned int advice;
		__u32 flags;
	} all[] = {
		{ PTF_ADV_STASH, 0 },
		{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_PMD },
		{ PTF_ADV_NOTPRESENT, PTF_ADVISE_F_SPLIT | PTF_ADVISE_F_ONESHOT },
		{ PTF_ADV_WRPROTECT, PTF_ADVISE_F_PMD },
		{ PTF_ADV_MIGRATE, 0 },
		{ PTF_ADV_OLD, PTF_ADVISE_F_PMD },
		{ PTF_ADV_PRESENT, 0 },
		{ PTF_ADV_UNMAP_FILE, 0 },
		{ PTF_ADV_SPLIT, 0 },
	};
	struct disturber *d = arg;
	unsigned int seed = 77, n = 0;
	struct ptf_ioc_range_advise cmd;
	int fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);

	while (!d->stop) {
		struct region *r = &d->k->r[rand_r(&seed) % d->k->kinds];
		unsigned int i = rand_r(&seed) % ARRAY_SIZE(all);
		/* it may have moved: then there is a hole, or something else */
		char *p = *(char *volatile *)&r->p;

		if (!_test_cmd_range_advise(fd, &cmd, 0, all[i].advice, p, PAGES(r->nr),
					    all[i].flags))
			d->done += cmd.out_done_pages;
		if (++n % 64 == 0) {
			close(fd);
			fd = open(PTF_DEV, O_RDWR | O_CLOEXEC);
		}
		usleep(500);
	}
	close(fd);
	return NULL;
}

TEST_F_TIMEOUT(soak, disturbed, 600)
{
	struct disturber d = { .k = &self->k };
	pthread_t th;

	ASSERT_EQ(0, pthread_create(&th, NULL, disturb, &d));
	rounds(_metadata, &self->k, ptf_rounds(4000));
	d.stop = 1;
	pthread_join(th, NULL);
	EXPECT_LT(0, d.done);
}

TEST_HARNESS_MAIN
