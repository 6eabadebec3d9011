/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the rules of a run did to each of its threads, kept and compared.
 */
#ifndef PTEFAULT_RECORD_H
#define PTEFAULT_RECORD_H

#include "rules.h"

struct record;

struct record *record_create(void);
void record_destroy(struct record *r);
/*
 * How the process's memory stands when the rules are armed: hits are told by
 * mapping and offset. @rules say which rule an event speaks of.
 */
bool record_begin(struct record *r, pid_t pid, const struct rules *rules);
void record_event(const struct ptf_event *e, void *record);
/* Threads by the order in which they came to be, and their hits counted. */
void record_end(struct record *r);
size_t record_threads(const struct record *r);
size_t record_hits(const struct record *r);
/* Did memory last for all of them? */
bool record_whole(const struct record *r);

/* A recording: the first line is @head, each other one is a hit. */
int record_write(struct tool *t, const char *path, struct json_object *head,
		 const struct record *r);
/* @head is the caller's to put. */
int record_read(struct tool *t, const char *path, struct json_object **head,
		struct record **out);
/*
 * What differs, thread by thread: words on stderr, objects into @array (may be
 * NULL). Answers how many threads differ.
 */
size_t record_compare(struct tool *t, const struct record *was,
		      const struct record *is, struct json_object *array);

#endif
