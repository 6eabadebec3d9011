// SPDX-License-Identifier: GPL-2.0-only
/*
 * How do I make the kernel fault every time page P is fetched, only for chosen
 * pages, only after the prologue, into my own handler?
 *
 * It takes my_handler() and choose(), twenty lines; the rest shows that it is so.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdatomic.h>

#include "rows.h"

static char *room;		/* eight pages, of which 2 and 5 are chosen */
static atomic_int calls[8];

/* What it puts into the page is there before the access is made. */
static int my_handler(const struct ptf_event *event, struct ptf_answer *answer, void *text)
{
	size_t page = (event->addr - (uintptr_t)room) / PAGE;

	answer->content = text;
	answer->content_bytes = sprintf(text, "page %zu, fetch %d", page, ++calls[page]) + 1;
	return 0;
}

/* This page, in this thread (not in the handler's own), and at every fetch. */
static int choose(struct ptf_session *session, char *page)
{
	uint64_t start = (uintptr_t)page, end = start + PAGE;
	struct ptf_rule_options rule = {
		.size = sizeof(rule), .start = start, .end = end,
		.tid = gettid(), .action = PTF_ACT_HOLD,
	};

	return ptf_rule_add(session, &rule, NULL) ?:
	       ptf_session_advise(session, NULL, start, end, PTF_ADV_STICKY, 0, NULL);
}

static void *handler_thread(void *session)
{
	char text[64];

	ptf_handler_run(session, my_handler, text, -1);
	return NULL;
}

/* Reads each page's beginning; how often was the handler called for it? */
static void fetch_all(const char *when, int chosen, int others)
{
	int before[8], i;
	bool right = true;

	for (i = 0; i < 8; i++)
		before[i] = calls[i];
	for (i = 0; i < 8; i++)
		(void)*(volatile char *)(room + i * PAGE);
	for (i = 0; i < 8; i++)
		right &= calls[i] - before[i] == (i == 2 || i == 5 ? chosen : others);
	fact(right, when);
}

int main(void)
{
	struct ptf_session_options need = {
		.size = sizeof(need),
		.required = PTF_FEATURE_RULE | PTF_FEATURE_STEP,
	};
	struct ptf_session *session;
	struct ptf_switch sw;
	pthread_t thread;
	char why[512];

	if (ptf_session_open(&need, &session)) {
		ptf_failure_text(why, sizeof(why));
		printf("%s\n", why);
		return 77;	/* not here */
	}
	room = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED || answered("ptf_switch_map", ptf_switch_map(session, &sw)) ||
	    pthread_create(&thread, NULL, handler_thread, session))
		return 1;

	printf("The prologue: every page is written and read.\n");
	memset(room, '.', 8 * PAGE);
	fetch_all("nothing is chosen yet: the handler is not called", 0, 0);

	printf("Pages 2 and 5 are chosen, and one store arms.\n");
	answered("choose(2)", choose(session, room + 2 * PAGE));
	answered("choose(5)", choose(session, room + 5 * PAGE));
	fetch_all("the rules are not armed yet: the handler is not called", 0, 0);
	ptf_switch_arm(&sw);
	rows("page 2 before the fetch", room + 2 * PAGE, -1);
	fetch_all("the handler is called once for 2 and for 5, and for no other", 1, 0);
	fetch_all("and at the next fetch again", 1, 0);
	fetch_all("and again", 1, 0);
	rows("page 2 after the fetch", room + 2 * PAGE, -1);
	fact(room[2 * PAGE + 14] == '4', "the fourth fetch finds what the handler put there for it");
	fact(room[3 * PAGE] == '.', "the page beside it is as it was");

	printf("One store disarms.\n");
	ptf_switch_disarm(&sw);
	fetch_all("the handler is not called any more", 0, 0);
	printf("  page 2: \"%s\"\n", room + 2 * PAGE);
	fact(!strcmp(room + 2 * PAGE, "page 2, fetch 4"), "what it has written stays");
	return wrong;	/* the session ends with the process, and the rules with it */
}
