// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The mapper: a state for each chunk of the address space.
 *
 * Theory of operation. Two levels of table cover MAX_BITS of address. The upper
 * one is an array of pointers, the lower ones arrays of one byte a chunk; both
 * come from mmap() and so cost memory only where they were written. A look-up
 * is two loads: the pointer (acquire, pairs with the release in leaf_get())
 * and the byte (acquire, pairs with the release in state_set(): whoever reads
 * Mapped also sees the memory that was mapped before). Lower tables are never
 * freed while the mapper lives, so no reader can hold a stale one.
 *
 * Changes run under one mutex. A change walks runs of chunks of equal state,
 * one system call a run, and writes the states of a run after its call: when
 * a later run fails the earlier ones stand, and are recorded.
 *
 * fork() copies the address space and the table at one moment; so that this
 * moment is never inside a change, all mappers' mutexes are taken around it
 * by pthread_atfork() handlers. That list is the library's only global state.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <ptefault/advise.h>
#include <ptefault/mapper.h>

#include "internal.h"
#include "map.h"
#include "vma.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define MAX_BITS 47
#define SPACE ((uintptr_t)1 << MAX_BITS)
#define DEFAULT_LOG_CHUNK 22
#define TRIES 16		/* races with other users of the address space */

typedef _Atomic uint8_t ptf_leaf;	/* 1 << leaf_bits of them in a table */
typedef _Atomic(ptf_leaf *) ptf_root;	/* 1 << root_bits of them */

struct ptf_mmapper {
	unsigned int log_chunk;
	unsigned int leaf_bits;
	unsigned int root_bits;
	ptf_root *root;
	pthread_mutex_t lock;
	struct ptf_mmapper *next;	/* in the list of all, for fork() */
};

/* All mappers, for fork(). Order: list_lock, then any mapper's lock. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ptf_mmapper *list;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_err;

static void fork_prepare(void)
{
	struct ptf_mmapper *m;

	pthread_mutex_lock(&list_lock);
	for (m = list; m; m = m->next)
		pthread_mutex_lock(&m->lock);
}

static void fork_done(void)
{
	struct ptf_mmapper *m;

	for (m = list; m; m = m->next)
		pthread_mutex_unlock(&m->lock);
	pthread_mutex_unlock(&list_lock);
}

static void fork_register(void)
{
	fork_err = pthread_atfork(fork_prepare, fork_done, fork_done);
}

/* --- the table -------------------------------------------------------- */

static void *table_alloc(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t chunk_bytes(const struct ptf_mmapper *m)
{
	return (size_t)1 << m->log_chunk;
}

static int state_get(const struct ptf_mmapper *m, uintptr_t addr)
{
	uintptr_t chunk = addr >> m->log_chunk;
	ptf_leaf *leaf;

	if (addr >= SPACE)
		return PTF_CHUNK_UNMAPPED;
	leaf = atomic_load_explicit(&m->root[chunk >> m->leaf_bits],
				    memory_order_acquire);
	if (!leaf)
		return PTF_CHUNK_UNMAPPED;
	return atomic_load_explicit(&leaf[chunk & (((uintptr_t)1 << m->leaf_bits) - 1)],
				    memory_order_acquire);
}

static ptf_leaf *leaf_get(struct ptf_mmapper *m, uintptr_t index)
{
	ptf_leaf *leaf = atomic_load_explicit(&m->root[index],
						 memory_order_relaxed);

	if (leaf)
		return leaf;
	leaf = table_alloc((size_t)1 << m->leaf_bits);
	if (leaf)
		atomic_store_explicit(&m->root[index], leaf, memory_order_release);
	return leaf;
}

/* All tables that a range needs, before anything is done with it. */
static int leaves_make(struct ptf_mmapper *m, uintptr_t start, uintptr_t end)
{
	unsigned int shift = m->log_chunk + m->leaf_bits;
	uintptr_t i;

	for (i = start >> shift; i <= (end - 1) >> shift; i++)
		if (!leaf_get(m, i))
			return -ENOMEM;
	return 0;
}

static void state_set(struct ptf_mmapper *m, uintptr_t start, uintptr_t end,
		      int state)
{
	uintptr_t chunk, mask = ((uintptr_t)1 << m->leaf_bits) - 1;
	ptf_leaf *leaf;

	for (chunk = start >> m->log_chunk; chunk < end >> m->log_chunk; chunk++) {
		leaf = leaf_get(m, chunk >> m->leaf_bits);
		atomic_store_explicit(&leaf[chunk & mask], (uint8_t)state,
				      memory_order_release);
	}
}

/* The end of the run of equal state that begins at start. */
static uintptr_t run_end(const struct ptf_mmapper *m, uintptr_t start,
			 uintptr_t end)
{
	int state = state_get(m, start);
	uintptr_t at = start + chunk_bytes(m);

	while (at < end && state_get(m, at) == state)
		at += chunk_bytes(m);
	return at;
}

/* --- making and asking ------------------------------------------------ */

int ptf_mmapper_create(const struct ptf_mmapper_options *options,
		       struct ptf_mmapper **out)
{
	struct ptf_mmapper_options o;
	struct ptf_mmapper *m;
	unsigned int bits;
	int ret;

	ret = ptf_opts_copy(&o, sizeof(o), sizeof(o), options, __func__);
	if (ret)
		return ret;
	if (!o.log_chunk)
		o.log_chunk = DEFAULT_LOG_CHUNK;
	if (o.log_chunk > 40 || (size_t)1 << o.log_chunk < ptf_page_bytes())
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, NULL, 0, 0,
				"chunk of 2^%u bytes", o.log_chunk);
	pthread_once(&fork_once, fork_register);
	if (fork_err)
		return ptf_fail(fork_err, PTF_LAYER_NONE, __func__, NULL, 0, 0,
				"pthread_atfork");
	m = calloc(1, sizeof(*m));
	if (!m)
		return ptf_fail(ENOMEM, PTF_LAYER_NONE, __func__, NULL,
				sizeof(*m), 0, NULL);
	bits = MAX_BITS - o.log_chunk;
	m->log_chunk = o.log_chunk;
	m->leaf_bits = (bits + 1) / 2;
	m->root_bits = bits - m->leaf_bits;
	m->root = table_alloc(sizeof(*m->root) << m->root_bits);
	if (!m->root) {
		free(m);
		return ptf_fail(ENOMEM, PTF_LAYER_VMA, __func__, NULL, 0, 0, "table");
	}
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_lock(&list_lock);
	m->next = list;
	list = m;
	pthread_mutex_unlock(&list_lock);
	*out = m;
	return 0;
}

void ptf_mmapper_destroy(struct ptf_mmapper *m)
{
	struct ptf_mmapper **at;
	ptf_leaf *leaf;
	size_t i;

	if (!m)
		return;
	pthread_mutex_lock(&list_lock);
	for (at = &list; *at != m; at = &(*at)->next)
		;
	*at = m->next;
	pthread_mutex_unlock(&list_lock);
	for (i = 0; i < (size_t)1 << m->root_bits; i++) {
		leaf = atomic_load_explicit(&m->root[i], memory_order_relaxed);
		if (leaf)
			munmap(leaf, (size_t)1 << m->leaf_bits);
	}
	munmap(m->root, sizeof(*m->root) << m->root_bits);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

int ptf_mmapper_state(const struct ptf_mmapper *m, const void *addr)
{
	return state_get(m, (uintptr_t)addr);
}

int ptf_mmapper_is_mapped(const struct ptf_mmapper *m, const void *addr)
{
	return state_get(m, (uintptr_t)addr) == PTF_CHUNK_MAPPED;
}

size_t ptf_mmapper_granularity(const struct ptf_mmapper *m)
{
	return chunk_bytes(m);
}

uintptr_t ptf_mmapper_max_address(const struct ptf_mmapper *m)
{
	(void)m;
	return SPACE - 1;
}

/* --- changes ----------------------------------------------------------- */

/* Widen to chunks; says what is wrong with a range that can't be. */
static int widen(const struct ptf_mmapper *m, const void *addr, size_t length,
		 uintptr_t *start, uintptr_t *end, const char *op)
{
	uintptr_t at = (uintptr_t)addr;

	*start = 0;
	*end = 0;
	if (!length || at >= SPACE || length > SPACE - at)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, addr, length, 0,
				length ? "beyond the largest mappable address" :
				"no bytes");
	*start = ptf_page_down(at, chunk_bytes(m));
	*end = ptf_page_up(at + length, chunk_bytes(m));
	return 0;
}

static int widen_length(const struct ptf_mmapper *m, size_t length,
			size_t *align, size_t *bytes, const char *op)
{
	*bytes = 0;
	if (!length || (*align & (*align - 1)))
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, op, NULL, length, 0,
				length ? "alignment is no power of two" : "no bytes");
	if (length > SPACE || *align > SPACE)
		return ptf_fail(EOVERFLOW, PTF_LAYER_ARGUMENT, op, NULL, length,
				0, "more than the address space");
	if (*align < chunk_bytes(m))
		*align = chunk_bytes(m);
	*bytes = ptf_page_up(length, chunk_bytes(m));
	return 0;
}

static int fail_tables(const char *op, uintptr_t start, uintptr_t end)
{
	return ptf_fail(ENOMEM, PTF_LAYER_VMA, op, (void *)start, end - start, 0,
			"tables of the mapper");
}

static void name_run(uintptr_t start, uintptr_t end, const char *annotation)
{
	char name[80];

	if (!annotation)
		return;
	ptf_name_clean(name, sizeof(name), annotation);
	/* A courtesy to readers of maps, where the kernel has it at all. */
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, end - start, name);
}

/* Map [at, to) where nothing is; 0 or an errno. */
static int run_map(uintptr_t at, uintptr_t to, int prot)
{
	void *p = mmap((void *)at, to - at, prot, MAP_PRIVATE | MAP_ANONYMOUS |
		       MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	if ((uintptr_t)p != at) {
		munmap(p, to - at);
		return EEXIST;
	}
	return 0;
}

static int fail_change(const char *op, int err, uintptr_t start, uintptr_t at,
		       uintptr_t end, const char *annotation)
{
	if (err == EEXIST)
		return ptf_map_fail_conflict(op, (void *)start, end - start,
					     at - start, annotation);
	return ptf_fail(err, PTF_LAYER_VMA, op, (void *)at, end - start,
			at - start, "%s", annotation ? annotation : "");
}

int ptf_mmapper_mark(struct ptf_mmapper *m, const void *addr, size_t length)
{
	uintptr_t start, end;
	int ret;

	ret = widen(m, addr, length, &start, &end, __func__);
	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	ret = leaves_make(m, start, end);
	if (!ret)
		state_set(m, start, end, PTF_CHUNK_MAPPED);
	pthread_mutex_unlock(&m->lock);
	return ret ? fail_tables(__func__, start, end) : 0;
}

int ptf_mmapper_quarantine(struct ptf_mmapper *m, void *addr, size_t length,
			   const char *annotation)
{
	uintptr_t start, end, at, to;
	int ret, err, state;

	ret = widen(m, addr, length, &start, &end, __func__);
	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	if (leaves_make(m, start, end)) {
		ret = fail_tables(__func__, start, end);
		goto unlock;
	}
	for (at = start; at < end; at = to) {
		to = run_end(m, at, end);
		state = state_get(m, at);
		if (state != PTF_CHUNK_UNMAPPED) {
			ret = ptf_fail(EALREADY, PTF_LAYER_VMA, __func__,
				       (void *)at, end - start, at - start,
				       "%s%sis %s already", annotation ? annotation : "",
				       annotation ? ": " : "",
				       state == PTF_CHUNK_MAPPED ? "Mapped" : "Quarantined");
			break;
		}
		err = run_map(at, to, PROT_NONE);
		if (err) {
			ret = fail_change(__func__, err, start, at, end, annotation);
			break;
		}
		name_run(at, to, annotation);
		state_set(m, at, to, PTF_CHUNK_QUARANTINED);
	}
unlock:
	pthread_mutex_unlock(&m->lock);
	return ret;
}

int ptf_mmapper_quarantine_any(struct ptf_mmapper *m, size_t length,
			       size_t align, const char *annotation, void **out)
{
	size_t bytes, pad, refused = 0, i;
	uintptr_t at, p, space[TRIES];
	int ret;

	ret = widen_length(m, length, &align, &bytes, __func__);
	if (ret)
		return ret;
	pad = align - ptf_page_bytes();
	pthread_mutex_lock(&m->lock);
	for (;;) {
		void *got = mmap(NULL, bytes + pad, PROT_NONE, MAP_PRIVATE |
				 MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (got == MAP_FAILED) {
			ret = fail_change(__func__, errno, 0, 0, bytes, annotation);
			break;
		}
		p = (uintptr_t)got;
		at = ptf_page_up(p, align);
		if (at + bytes > SPACE) {
			munmap(got, bytes + pad);
			ret = fail_change(__func__, ENOMEM, 0, 0, bytes, annotation);
			break;
		}
		/* The padding goes back. */
		if (at > p)
			munmap(got, at - p);
		if (p + pad > at)
			munmap((void *)(at + bytes), p + pad - at);
		if (state_get(m, at) == PTF_CHUNK_UNMAPPED &&
		    run_end(m, at, at + bytes) == at + bytes) {
			if (leaves_make(m, at, at + bytes)) {
				munmap((void *)at, bytes);
				ret = fail_tables(__func__, at, at + bytes);
				break;
			}
			name_run(at, at + bytes, annotation);
			state_set(m, at, at + bytes, PTF_CHUNK_QUARANTINED);
			*out = (void *)at;
			break;
		}
		/*
		 * Recorded as someone's, though nothing is there. Hold it, so
		 * that the kernel offers another place.
		 */
		space[refused++] = at;
		if (refused == TRIES) {
			ret = ptf_fail(EALREADY, PTF_LAYER_VMA, __func__,
				       (void *)at, bytes, 0,
				       "what the kernel has free is recorded as in use");
			break;
		}
	}
	for (i = 0; i < refused; i++)
		munmap((void *)space[i], bytes);
	pthread_mutex_unlock(&m->lock);
	return ret;
}

/* Move a candidate up until no chunk of it is recorded; 0 if none below limit. */
static uintptr_t skip_recorded_up(const struct ptf_mmapper *m, uintptr_t at,
				  size_t bytes, size_t align, uintptr_t limit)
{
	uintptr_t to;

	while (at && at <= limit && bytes <= limit - at) {
		to = at;
		if (state_get(m, at) == PTF_CHUNK_UNMAPPED) {
			to = run_end(m, at, at + bytes);
			if (to == at + bytes)
				return at;
		}
		at = ptf_page_up(to + 1, align);
	}
	return 0;
}

static uintptr_t skip_recorded_down(const struct ptf_mmapper *m, uintptr_t at,
				    size_t bytes, size_t align, uintptr_t limit)
{
	while (at >= limit && at) {
		if (state_get(m, at) == PTF_CHUNK_UNMAPPED &&
		    run_end(m, at, at + bytes) == at + bytes)
			return at;
		if (at < align)
			break;
		at -= align;
	}
	return 0;
}

struct nearest {
	uintptr_t hint;
	size_t bytes;
	size_t align;
	uintptr_t best;		/* 0: none */
	uintptr_t distance;
};

/* One gap [low, high) between mappings: its place nearest to the hint. */
static void near_gap(const struct ptf_mmapper *m, struct nearest *n,
		     uintptr_t low, uintptr_t high)
{
	uintptr_t down, up, at, d;
	unsigned int i;

	if (high <= low || high - low < n->bytes)
		return;
	/* The last place at or below the hint, and the first above. */
	down = ptf_page_down(n->hint < high - n->bytes ? n->hint : high - n->bytes,
			     n->align);
	up = ptf_page_up(n->hint > low ? n->hint : low, n->align);
	for (i = 0; i < 2; i++) {
		at = i ? skip_recorded_up(m, up, n->bytes, n->align, high) :
			 skip_recorded_down(m, down, n->bytes, n->align, low);
		if (!at)
			continue;
		d = at > n->hint ? at - n->hint : n->hint - at;
		if (!n->best || d < n->distance) {
			n->best = at;
			n->distance = d;
		}
	}
}

static uintptr_t min_addr(void)
{
	unsigned long v = 65536;
	FILE *f = fopen("/proc/sys/vm/mmap_min_addr", "re");

	if (f) {
		if (fscanf(f, "%lu", &v) != 1)
			v = 65536;
		fclose(f);
	}
	return v > ptf_page_bytes() ? v : ptf_page_bytes();
}

int ptf_mmapper_quarantine_near(struct ptf_mmapper *m, const void *hint,
				size_t length, size_t align,
				const char *annotation, void **out)
{
	const uintptr_t guard = 256 * ptf_page_bytes();
	struct nearest n = { .hint = (uintptr_t)hint };
	const struct ptf_vma_entry *e;
	struct ptf_vma_list *vmas;
	uintptr_t low;
	int ret, err = 0, tries;
	size_t i;

	ret = widen_length(m, length, &align, &n.bytes, __func__);
	if (ret)
		return ret;
	n.align = align;
	if (n.hint >= SPACE)
		n.hint = SPACE - 1;
	pthread_mutex_lock(&m->lock);
	for (tries = 0; tries < TRIES; tries++) {
		ret = ptf_fail_op(__func__, ptf_vma_list_create(0, &vmas));
		if (ret)
			goto unlock;
		n.best = 0;
		low = min_addr();
		for (i = 0; (e = ptf_vma_list_at(vmas, i)); i++) {
			uintptr_t top = (uintptr_t)e->start;

			if (top >= SPACE)
				break;
			/* Below a stack the kernel keeps a gap. */
			if (!strncmp(e->name, "[stack", 6))
				top = top > guard ? top - guard : 0;
			near_gap(m, &n, low, top);
			low = (uintptr_t)e->end;
		}
		/* The topmost page of user space is never given out. */
		near_gap(m, &n, low, SPACE - ptf_page_bytes());
		ptf_vma_list_destroy(vmas);
		if (!n.best) {
			err = ENOMEM;
			break;
		}
		if (leaves_make(m, n.best, n.best + n.bytes)) {
			ret = fail_tables(__func__, n.best, n.best + n.bytes);
			goto unlock;
		}
		err = run_map(n.best, n.best + n.bytes, PROT_NONE);
		if (!err) {
			name_run(n.best, n.best + n.bytes, annotation);
			state_set(m, n.best, n.best + n.bytes, PTF_CHUNK_QUARANTINED);
			*out = (void *)n.best;
			goto unlock;
		}
		if (err != EEXIST)
			break;
		/* Someone was quicker, or the tables took it: look again. */
	}
	ret = fail_change(__func__, err, n.best, n.best, n.best + n.bytes, annotation);
unlock:
	pthread_mutex_unlock(&m->lock);
	return ret;
}

/* Quarantined chunks become usable. Returns how far it came, sets *err. */
static uintptr_t run_open(const struct ptf_mmapper *m, uintptr_t at,
			  uintptr_t to, int prot, int *err)
{
	*err = 0;
	if (!mprotect((void *)at, to - at, prot))
		return to;
	/*
	 * The run may be several mappings, of which the first ones are open
	 * by now. Chunk by chunk it is known which; a chunk never is two.
	 */
	for (; at < to; at += chunk_bytes(m)) {
		if (mprotect((void *)at, chunk_bytes(m), prot)) {
			*err = errno;
			return at;
		}
	}
	return to;
}

int ptf_mmapper_ensure(struct ptf_mmapper *m, void *addr, size_t length,
		       int prot, unsigned int flags, const char *annotation)
{
	uintptr_t start, end, at, to, came;
	int ret, err;

	if (flags & ~PTF_MMAPPER_F_HUGE)
		return ptf_fail(EINVAL, PTF_LAYER_ARGUMENT, __func__, addr,
				length, 0, "unknown flag");
	ret = widen(m, addr, length, &start, &end, __func__);
	if (ret)
		return ret;
	pthread_mutex_lock(&m->lock);
	if (leaves_make(m, start, end)) {
		ret = fail_tables(__func__, start, end);
		goto unlock;
	}
	for (at = start; at < end; at = to) {
		to = run_end(m, at, end);
		switch (state_get(m, at)) {
		case PTF_CHUNK_MAPPED:
			continue;
		case PTF_CHUNK_UNMAPPED:
			err = run_map(at, to, prot);
			came = err ? at : to;
			break;
		default:
			came = run_open(m, at, to, prot, &err);
			break;
		}
		if (came > at) {
			if (flags & PTF_MMAPPER_F_HUGE)
				madvise((void *)at, came - at, PTF_MADV_HUGEPAGE);
			name_run(at, came, annotation);
			state_set(m, at, came, PTF_CHUNK_MAPPED);
		}
		if (err) {
			ret = fail_change(__func__, err, start, came, end, annotation);
			break;
		}
	}
unlock:
	pthread_mutex_unlock(&m->lock);
	return ret;
}
