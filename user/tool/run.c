// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running the command behind --.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

int run_command(struct tool *t)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, was_int, was_quit;
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return tool_fail(t, t->cmd[0], NULL, "%s", strerror(errno));
	if (!pid) {
		/* With --json stdout belongs to our one value. */
		if (t->json)
			dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(t->cmd[0], t->cmd);
		fprintf(stderr, "ptefault: %s: %s: %s\n", t->verb->name,
			t->cmd[0], strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	/* A Ctrl-C is the command's; we stay to undo. */
	sigaction(SIGINT, &ignore, &was_int);
	sigaction(SIGQUIT, &ignore, &was_quit);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return tool_fail(t, t->cmd[0], NULL, "%s",
					 strerror(errno));
	sigaction(SIGINT, &was_int, NULL);
	sigaction(SIGQUIT, &was_quit, NULL);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return WEXITSTATUS(status);
}
