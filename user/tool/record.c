// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recordings of a run: JSON, a line for each hit. In which order threads run
 * is not ours to say, so each one's list stands for itself; a thread is known by
 * the order in which they came to be, and an address by the mapping it was in
 * when the rules were armed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "record.h"

struct hit {
	pid_t tid;
	unsigned int thread;	/* from 1 */
	uint64_t n;		/* of the thread, from 1 */
	uint64_t seq;
	uint64_t rule;		/* which of the plan, from 1 */
	char *mapping;
	uint64_t offset;
	const char *access;
	const char *action;
};

struct record {
	struct hit *v;
	size_t n;
	size_t room;
	unsigned int threads;
	bool torn;		/* out of memory */
	pid_t pid;
	struct ptf_vma_list *maps;
	const struct rules *rules;
};

struct record *record_create(void)
{
	return calloc(1, sizeof(struct record));
}

void record_destroy(struct record *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].mapping);
	free(r->v);
	ptf_vma_list_destroy(r->maps);
	free(r);
}

bool record_begin(struct record *r, pid_t pid, const struct rules *rules)
{
	r->pid = pid;
	r->rules = rules;
	return !ptf_vma_list_create(pid, &r->maps);
}

static struct hit *add(struct record *r)
{
	struct hit *v = r->v;

	if (r->n == r->room) {
		v = reallocarray(v, 2 * r->room + 64, sizeof(*v));
		if (!v) {
			r->torn = true;
			return NULL;
		}
		r->v = v;
		r->room = 2 * r->room + 64;
	}
	v += r->n++;
	memset(v, 0, sizeof(*v));
	return v;
}

static const char *name_of(const struct ptf_vma_entry *v)
{
	return v->name[0] ? v->name : "[anon]";
}

/* NAME#K and how far in; without a mapping the address itself. */
static void place(const struct record *r, uint64_t addr, struct hit *hit)
{
	const struct ptf_vma_entry *v = NULL;
	unsigned int nr = 0;
	size_t i;

	hit->offset = addr;
	for (i = 0; i < ptf_vma_list_count(r->maps); i++) {
		v = ptf_vma_list_at(r->maps, i);
		if (addr >= v->start && addr < v->end)
			break;
	}
	if (i == ptf_vma_list_count(r->maps)) {
		hit->mapping = strdup("");
		return;
	}
	hit->offset = addr - v->start;
	for (size_t k = 0; k <= i; k++)
		nr += !strcmp(name_of(ptf_vma_list_at(r->maps, k)), name_of(v));
	if (asprintf(&hit->mapping, "%s#%u", name_of(v), nr) < 0)
		hit->mapping = NULL;
}

void record_event(const struct ptf_event *e, void *record)
{
	struct record *r = record;
	struct hit *hit;

	if (e->type == PTF_EVENT_GONE)
		return;
	hit = add(r);
	if (!hit)
		return;
	hit->tid = e->tid;
	hit->seq = e->seq;
	hit->access = ptf_access_name(e->access);
	hit->action = ptf_action_name(e->action);
	for (size_t i = 0; i < r->rules->n; i++)
		if (r->rules->v[i].id == e->rule)
			hit->rule = r->rules->v[i].spec + 1;
	place(r, e->addr, hit);
	if (!hit->mapping)
		r->torn = true;
}

/* ------------------------------------------------------------------ */
/* Threads                                                             */

/* Numbers of threads go up from the process's own, and begin again below. */
static pid_t age(pid_t tid, pid_t pid)
{
	return tid >= pid ? tid - pid : tid + (1 << 22);
}

static pid_t sort_pid;

static int by_thread(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;
	pid_t p = age(x->tid, sort_pid), q = age(y->tid, sort_pid);

	if (p != q)
		return p < q ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

void record_end(struct record *r)
{
	uint64_t n = 0;

	sort_pid = r->pid;
	if (r->n)
		qsort(r->v, r->n, sizeof(*r->v), by_thread);
	r->threads = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (!i || r->v[i].tid != r->v[i - 1].tid) {
			r->threads++;
			n = 0;
		}
		r->v[i].thread = r->threads;
		r->v[i].n = ++n;
	}
}

size_t record_threads(const struct record *r)
{
	return r->threads;
}

size_t record_hits(const struct record *r)
{
	return r->n;
}

bool record_whole(const struct record *r)
{
	return !r->torn;
}

/* ------------------------------------------------------------------ */
/* Files                                                               */

static struct json_object *hit_json(const struct hit *h)
{
	struct json_object *o = json_object_new_object();

	jadd(o, "thread", json_object_new_int(h->thread));
	jadd(o, "n", json_u64(h->n));
	jadd(o, "rule", json_u64(h->rule));
	jadd(o, "mapping", jstr(h->mapping));
	jadd(o, "offset", json_hex(h->offset));
	jadd(o, "access", jstr(h->access));
	jadd(o, "action", jstr(h->action));
	return o;
}

static void put_line(FILE *f, struct json_object *o)
{
	fprintf(f, "%s\n",
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
}

int record_write(struct tool *t, const char *path, struct json_object *head,
		 const struct record *r)
{
	FILE *f = fopen(path, "we");
	bool bad;

	if (!f)
		return tool_fail(t, path, NULL, "%s", strerror(errno));
	put_line(f, head);
	for (size_t i = 0; i < r->n; i++) {
		struct json_object *o = hit_json(&r->v[i]);

		put_line(f, o);
		json_object_put(o);
	}
	bad = ferror(f);
	if (fclose(f) || bad)
		return tool_fail(t, path, NULL, "%s", strerror(errno));
	return DONE;
}

static const char *word(struct json_object *o, const char *key)
{
	struct json_object *v;
	const char *s;

	if (!json_object_object_get_ex(o, key, &v))
		return NULL;
	s = json_object_get_string(v);
	return s;
}

/* The same words as those of events, so that they outlive the line. */
static const char *known(const char *s, bool action)
{
	const char *name;

	for (unsigned int i = 0; s && i < 32; i++) {
		name = action ? ptf_action_name(i) : ptf_access_name(1U << i);
		if (!strcmp(name, s))
			return name;
	}
	return NULL;
}

static bool hit_read(struct json_object *o, struct record *r)
{
	const char *mapping = word(o, "mapping"), *offset = word(o, "offset");
	struct json_object *v;
	struct hit *h = add(r);

	if (!h)
		return false;
	h->access = known(word(o, "access"), false);
	h->action = known(word(o, "action"), true);
	if (!mapping || !offset || !arg_number(offset, false, &h->offset) ||
	    !h->access || !h->action ||
	    !json_object_object_get_ex(o, "thread", &v))
		return false;
	h->thread = json_object_get_int(v);
	if (h->thread < 1 || h->thread < r->threads)
		return false;
	r->threads = h->thread;
	if (json_object_object_get_ex(o, "n", &v))
		h->n = json_object_get_uint64(v);
	if (json_object_object_get_ex(o, "rule", &v))
		h->rule = json_object_get_uint64(v);
	h->mapping = strdup(mapping);
	return h->mapping;
}

int record_read(struct tool *t, const char *path, struct json_object **head,
		struct record **out)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t size = 0, nr = 0;
	int ret = DONE;

	*head = NULL;
	*out = NULL;
	if (!f)
		return tool_fail(t, path, NULL, "%s", strerror(errno));
	*out = record_create();
	if (!*out)
		ret = tool_fail(t, NULL, NULL, "out of memory");
	while (ret == DONE && getline(&line, &size, f) > 0) {
		struct json_object *o = json_tokener_parse(line), *v;

		if (!json_object_is_type(o, json_type_object)) {
			ret = tool_fail(t, path, NULL, "line %zu is no JSON object",
					nr + 1);
		} else if (!nr) {
			if (json_object_object_get_ex(o, "version", &v) &&
			    json_object_get_int(v) == 1 &&
			    json_object_object_get_ex(o, "rules", &v))
				*head = json_object_get(o);
			else
				ret = tool_fail(t, path, NULL, "this is no recording of ptefault run");
		} else if (!hit_read(o, *out)) {
			ret = tool_fail(t, path, NULL, "line %zu is no hit",
					nr + 1);
		}
		json_object_put(o);
		nr++;
	}
	if (ret == DONE && !nr)
		ret = tool_fail(t, path, NULL, "this is no recording of ptefault run: it is empty");
	free(line);
	fclose(f);
	if (ret != DONE) {
		json_object_put(*head);
		record_destroy(*out);
		*head = NULL;
		*out = NULL;
	}
	return ret;
}

/* ------------------------------------------------------------------ */
/* Two of them                                                         */

static bool same(const struct hit *a, const struct hit *b)
{
	return a->rule == b->rule && a->offset == b->offset &&
	       !strcmp(a->mapping, b->mapping) && !strcmp(a->action, b->action);
}

static const char *hit_text(const struct hit *h, char *buf, size_t len)
{
	if (!h)
		snprintf(buf, len, "nothing");
	else
		snprintf(buf, len, "%s %s+0x%llx by rule %llu", h->action,
			 h->mapping[0] ? h->mapping : "no mapping",
			 (unsigned long long)h->offset,
			 (unsigned long long)h->rule);
	return buf;
}

/* The hits of a thread: @n of them from the answer on. */
static const struct hit *list_of(const struct record *r, unsigned int thread,
				 size_t *n)
{
	size_t from = 0;

	*n = 0;
	while (from < r->n && r->v[from].thread < thread)
		from++;
	while (from + *n < r->n && r->v[from + *n].thread == thread)
		(*n)++;
	return r->v + from;
}

size_t record_compare(struct tool *t, const struct record *was,
		      const struct record *is, struct json_object *array)
{
	unsigned int threads = was->threads > is->threads ? was->threads :
							    is->threads;
	size_t differ = 0;

	for (unsigned int k = 1; k <= threads; k++) {
		char before[300], now[300];
		const struct hit *a, *b;
		struct json_object *o;
		size_t n, m, i = 0;

		a = list_of(was, k, &n);
		b = list_of(is, k, &m);
		while (i < n && i < m && same(&a[i], &b[i]))
			i++;
		if (i == n && i == m)
			continue;
		differ++;
		hit_text(i < n ? &a[i] : NULL, before, sizeof(before));
		hit_text(i < m ? &b[i] : NULL, now, sizeof(now));
		tool_note(t, "thread %u: hit %zu was %s and is %s; %zu hits then, %zu now",
			  k, i + 1, before, now, n, m);
		if (!array)
			continue;
		o = json_object_new_object();
		jadd(o, "thread", json_object_new_int(k));
		jadd(o, "n", json_u64(i + 1));
		jadd(o, "was", i < n ? hit_json(&a[i]) : NULL);
		jadd(o, "is", i < m ? hit_json(&b[i]) : NULL);
		jadd(o, "hits_then", json_u64(n));
		jadd(o, "hits_now", json_u64(m));
		json_object_array_add(array, o);
	}
	return differ;
}
