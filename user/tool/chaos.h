/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Disturbing random pages of a program and its children as long as it runs.
 */
#ifndef PTEFAULT_CHAOS_H
#define PTEFAULT_CHAOS_H

#include "tool.h"

struct chaos;

/* @text is RATE[,KINDS]. DONE, or USAGE with the words said. */
int chaos_create(struct tool *t, const char *text, struct ptf_session *session,
		 uint64_t seed, struct chaos **out);
void chaos_destroy(struct chaos *c);
/* Is @text one? Says what is wrong otherwise. */
int chaos_check(struct tool *t, const char *text);
/* From now on; all descendants of this process but itself are disturbed. */
void chaos_begin(struct chaos *c);
/* Does what is due, and answers for how many milliseconds it can wait. */
int chaos_tick(struct chaos *c);
/* Faults of descendants that still run. */
void chaos_end(struct chaos *c, uint64_t *minor, uint64_t *major);
uint64_t chaos_pages(const struct chaos *c);
/* The report: lines, and an object. @faults: of all that ran. */
void chaos_print(const struct chaos *c, FILE *to, uint64_t faults);
struct json_object *chaos_json(const struct chaos *c, uint64_t minor,
			       uint64_t major);

#endif
