/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What inject, run, rules and monitor share: rules as they are asked for, their
 * counters, and events.
 */
#ifndef PTEFAULT_RULES_H
#define PTEFAULT_RULES_H

#include "tool.h"

/* spec.c: a rule in words, whose ranges are not known yet */

struct spec {
	char *range;
	struct ptf_rule_options rule;	/* without range, target, handler */
	char handler[PTF_HANDLER_NAME_LEN];
	bool main_thread;	/* tid=main */
	bool seeded;
	bool every;		/* each access of the range is to fault */
	bool once;		/* each page once, as arming does it */
};

struct specs {
	struct spec *v;
	size_t n;
};

/* A new one at the end; NULL without memory. */
struct spec *spec_new(struct specs *s);
/* KEY[=VALUE] of it. Answers false with @why. */
bool spec_set(struct spec *spec, const char *key, const char *value, char *why,
	      size_t len);
/* Is it all there, and does it fit together? Answers false with @why. */
bool spec_whole(const struct spec *spec, char *why, size_t len);
/* RANGE:KEY=VALUE,...; appends. DONE, or USAGE with the words said. */
int spec_parse(struct tool *t, const char *text, struct specs *out);
/*
 * The rules of a plan, and what else it says: @seed and @at are left alone where
 * it says nothing. @top is an object with "rules", or an array of them.
 */
int plan_parse(struct tool *t, const char *path, struct json_object *top,
	       struct specs *out, uint64_t *seed, char **at);
int plan_read(struct tool *t, const char *path, struct specs *out,
	      uint64_t *seed, char **at);
struct json_object *spec_json(const struct spec *spec);
/* Those that have no seed get one that follows from @seed. */
void specs_seed(struct specs *s, uint64_t seed);
void specs_free(struct specs *s);

/* A rule of the session. */
struct placed {
	uint64_t id;
	uint64_t start;
	uint64_t end;
	size_t spec;
	uint64_t matches;
	uint64_t hits;
	uint64_t passed;
};

struct rules {
	struct placed *v;
	size_t n;
	uint64_t pages;		/* hints that arming finds there already */
	bool sticky;
};

/*
 * Is it about some accesses and not about others, so that a page's first one need
 * not be the one that matters?
 */
bool spec_chooses(const struct spec *spec);
/*
 * Finds the ranges of @s in the target and adds the rules, unarmed. What is to
 * fault on each access does so from here on.
 */
int specs_place(struct tool *t, struct ptf_session *session,
		struct ptf_target *target, const struct specs *s,
		struct rules *out);
/* No access faults any more because of them. They are disarmed. */
void rules_release(struct ptf_session *session, struct ptf_target *target,
		   const struct rules *r);
/* Reads the counters. False if the module does not answer. */
bool rules_count(struct ptf_session *session, struct rules *r);
/* Is there one that ends, and have all of those done what they may? */
bool rules_spent(const struct rules *r, const struct specs *s);
/* With what @s says of each: an array of objects. */
struct json_object *rules_json(const struct rules *r, const struct specs *s);
void rules_print(FILE *to, const struct rules *r, const struct specs *s);

/* event.c: events of our own session, and for people and programs of any */

struct json_object *event_json(const struct ptf_event *e);

/* What came out of a session's queue. */
struct events {
	struct ptf_session *session;
	struct tool *t;
	uint64_t read;
	uint64_t *held;		/* who waits */
	size_t nr_held;
	bool gone;		/* the target's address space has ended */
	void (*each)(const struct ptf_event *e, void *arg);	/* may be NULL */
	void *arg;
};

/* Everything that is there now. False if the module does not answer. */
bool events_drain(struct events *ev);
/* Lets all held threads go on. */
void events_let_go(struct events *ev);
void events_free(struct events *ev);

/* The feature that all this needs. */
int need_rules(struct tool *t, struct ptf_session *session);

#endif
