// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's side of a VM run: start QEMU, carry COMMAND's streams to and
 * from the guest's init (vm-guest.c), listen to the kernel, keep the time.
 *
 *	vm-host [OPTIONS] --qemu ARG... -- COMMAND ARG...
 *
 * scripts/vm makes the disks and the QEMU command line and then becomes this
 * program. What is owned here: QEMU's life, what counts as a kernel complaint
 * (by the patterns of a file), and the exit status:
 *
 *	COMMAND's own, or
 *	 99	COMMAND succeeded but the kernel complained
 *	124	time is up
 *	125	the VM itself failed
 *
 * Everything is done in one poll loop, and nothing in it blocks but a write
 * to a standard output that is neither a pipe nor ready.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "vm-wire.h"

#define EXIT_COMPLAINT	99
#define EXIT_TIMEOUT	124
#define EXIT_VM		125

/* Seconds. TCG on a busy machine is slow, and a debug kernel is slower. */
#define KVM_FIRST_LINE	5
#define BOOT_SILENCE	240
#define SILENCE_LIMIT	180
#define PING_EVERY	5
#define END_LIMIT	30
#define SIGNAL_GRACE	10

#define MAX_PATTERNS	200
#define TAIL_LINES	30	/* of the console, shown when the VM fails */
#define TRACE_LINES	45	/* after a complaint, shown with it */
#define REPORT_LINES	400

struct buffer {
	char *data;
	size_t at, len, room;
};

/* One of COMMAND's output streams on its way to ours. */
struct stream {
	int fd;
	uint32_t done_type, closed_type;
	struct buffer pending;
	size_t chunk;		/* so much can be written without blocking */
	bool broken;		/* nobody reads it any more */
};

enum pattern_kind { COMPLAINT, HARMLESS, EXPLAINED };

struct pattern {
	enum pattern_kind kind;
	regex_t re;
};

static struct {
	/* options */
	const char *log_path, *complaints_path, *kvm_memo;
	const char *kvm_cpu, *tcg_cpu, *tcg_accel;
	const char *tmpdir, *virtiofsd, *folder[16];
	int n_folders;
	bool try_kvm, no_window, verbose;
	long timeout;
	char **qemu;
	int n_qemu;
	char **command;
	struct buffer start;

	/* QEMU */
	pid_t pid;
	int ended;		/* as wait() says it */
	bool kvm;
	int console, port, qemu_err;
	pid_t helper[17];
	int n_helpers;
	struct buffer to_port;
	char qemu_said[4096];
	size_t qemu_said_len;

	/* the run */
	double born, booted, ready_at, pinged, heard, deadline;
	bool first_line, hello, ready, exited, marked, done;
	int signal;		/* the one that ends us, 0 while none has come */
	int32_t status, taint;
	char nonce[33], marker[64];

	/* streams */
	struct stream out, err;
	bool in_open, in_tty, pty, raw;
	size_t in_under_way;
	struct termios saved;

	/* the kernel log */
	FILE *log;
	struct buffer line;
	char *tail[TAIL_LINES];
	unsigned int n_lines;
	struct pattern pattern[MAX_PATTERNS];
	int n_patterns;
	int trace_left, explained_left;
	char *report[REPORT_LINES];
	int n_report, n_complaints;
	bool panicked;
} h = { .port = -1, .console = -1, .qemu_err = -1 };

/* ---- words ---- */

static void restore_terminal(void)
{
	if (h.raw)
		tcsetattr(0, TCSADRAIN, &h.saved);
	h.raw = false;
}

static __printf(1, 2) void say(const char *fmt, ...)
{
	va_list ap;

	fputs("vm: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputs(h.raw ? "\r\n" : "\n", stderr);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- buffers ---- */

static void buffer_reset(struct buffer *b)
{
	b->at = 0;
	b->len = 0;
}

static void buffer_add(struct buffer *b, const void *data, size_t len)
{
	if (b->at && b->at == b->len)
		buffer_reset(b);
	if (b->at > 1 << 20) {
		memmove(b->data, b->data + b->at, b->len - b->at);
		b->len -= b->at;
		b->at = 0;
	}
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->data = realloc(b->data, b->room);
		if (!b->data)
			err(EXIT_VM, "vm");
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static size_t buffer_left(const struct buffer *b)
{
	return b->len - b->at;
}

static void config(const char *key, const char *value)
{
	buffer_add(&h.start, key, strlen(key));
	buffer_add(&h.start, "=", 1);
	buffer_add(&h.start, value, strlen(value) + 1);
}

static void send_msg(enum vmw_type type, const void *data, uint32_t len)
{
	struct vmw_header head = { .type = type, .len = len };

	buffer_add(&h.to_port, &head, sizeof(head));
	buffer_add(&h.to_port, data, len);
}

/* ---- the kernel log ---- */

/*
 * One pattern a line, an extended regular expression after one of the words
 * "complaint", "harmless" (such a line never counts) and "explained" (the call
 * trace that follows such a line is no complaint).
 */
static void read_patterns(void)
{
	static const char * const kinds[] = { "complaint", "harmless",
					      "explained" };
	FILE *f = fopen(h.complaints_path, "re");
	char line[1024], *re;
	int kind, ret;

	if (!f)
		err(EXIT_VM, "%s", h.complaints_path);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		re = line + strcspn(line, " \t");
		if (*re)
			*re++ = '\0';
		re += strspn(re, " \t");
		for (kind = 0; kind < 3 && strcmp(line, kinds[kind]); kind++)
			;
		if (kind == 3 || !*re || h.n_patterns == MAX_PATTERNS)
			errx(EXIT_VM, "%s: %s", h.complaints_path, line);
		ret = regcomp(&h.pattern[h.n_patterns].re, re,
			      REG_EXTENDED | REG_NOSUB);
		if (ret)
			errx(EXIT_VM, "%s: bad pattern %s", h.complaints_path,
			     re);
		h.pattern[h.n_patterns++].kind = kind;
	}
	fclose(f);
}

static void allow(const char *re)
{
	if (h.n_patterns == MAX_PATTERNS ||
	    regcomp(&h.pattern[h.n_patterns].re, re, REG_EXTENDED | REG_NOSUB))
		errx(EXIT_VM, "bad pattern %s", re);
	h.pattern[h.n_patterns++].kind = HARMLESS;
}

static bool line_is(enum pattern_kind kind, const char *line)
{
	int i;

	for (i = 0; i < h.n_patterns; i++)
		if (h.pattern[i].kind == kind &&
		    !regexec(&h.pattern[i].re, line, 0, NULL, 0))
			return true;
	return false;
}

static void report(const char *line)
{
	if (h.n_report < REPORT_LINES)
		h.report[h.n_report++] = strdup(line);
}

static void judge_line(const char *line)
{
	bool bad = false;

	if (line_is(EXPLAINED, line))
		h.explained_left = TRACE_LINES;
	else if (h.explained_left)
		h.explained_left--;

	if (!line_is(HARMLESS, line)) {
		bad = line_is(COMPLAINT, line);
		if (!bad && !h.explained_left && strstr(line, "Call Trace:"))
			bad = true;
	}
	if (bad) {
		/* A trace that belongs to what stands above it is one. */
		if (!h.trace_left)
			h.n_complaints++;
		h.trace_left = TRACE_LINES;
		report(line);
	} else if (h.trace_left) {
		h.trace_left--;
		report(line);
	}
	if (strstr(line, "---[ end trace"))
		h.trace_left = 0;
	else if (strstr(line, "</TASK>") && h.trace_left > 1)
		h.trace_left = 1;
}

static void handle_line(const char *line)
{
	char **slot = &h.tail[h.n_lines++ % TAIL_LINES];

	free(*slot);
	*slot = strdup(line);
	if (!h.first_line && strstr(line, "Linux version "))
		h.first_line = true;
	if (strstr(line, "Kernel panic - not syncing"))
		h.panicked = true;
	if (strstr(line, h.marker)) {
		h.marked = true;
		return;
	}
	judge_line(line);
}

static void read_console(void)
{
	char buf[16384];
	ssize_t n, i;

	n = read(h.console, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close(h.console);
		h.console = -1;
		return;
	}
	h.heard = now();
	for (i = 0; i < n; i++) {
		if (buf[i] == '\r' || buf[i] == '\0')
			continue;
		if (h.log)
			fputc(buf[i], h.log);
		if (buf[i] != '\n') {
			buffer_add(&h.line, &buf[i], 1);
			continue;
		}
		buffer_add(&h.line, "", 1);
		handle_line(h.line.data + h.line.at);
		buffer_reset(&h.line);
	}
	if (h.log)
		fflush(h.log);
}

/* ---- QEMU ---- */

static void read_qemu_err(void)
{
	char *to = h.qemu_said + h.qemu_said_len;
	size_t room = sizeof(h.qemu_said) - 1 - h.qemu_said_len;
	char waste[512];
	ssize_t n = room ? read(h.qemu_err, to, room) :
			   read(h.qemu_err, waste, sizeof(waste));

	if (n > 0 && room)
		h.qemu_said_len += n;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(h.qemu_err);
		h.qemu_err = -1;
	}
}

static void nonblock(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* A child that does not outlive us and that no Ctrl-C reaches. */
static pid_t start_child(char * const *argv, int out_fd, int err_fd, int keep_fd)
{
	pid_t parent = getpid(), pid = fork();
	sigset_t none;
	int null;

	if (pid < 0)
		err(EXIT_VM, "fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	null = open("/dev/null", O_RDWR);
	dup2(null, 0);
	dup2(out_fd < 0 ? null : out_fd, 1);
	dup2(err_fd, 2);
	if (keep_fd >= 0)
		fcntl(keep_fd, F_SETFD, 0);
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(1);
}

static void start_virtiofsd(const char *tag, const char *dir, int err_fd)
{
	char sock[PATH_MAX], src[PATH_MAX + 8], opt[PATH_MAX + 16];
	char * const argv[] = { (char *)h.virtiofsd, opt, "-o", src, "-o",
			 strcmp(tag, "root") ? "cache=auto" : "cache=always",
			 "-o", "sandbox=chroot", "-o", "log_level=err", NULL };
	int i;

	snprintf(sock, sizeof(sock), "%s/%s.sock", h.tmpdir, tag);
	snprintf(opt, sizeof(opt), "--socket-path=%s", sock);
	snprintf(src, sizeof(src), "source=%s", dir);
	unlink(sock);
	h.helper[h.n_helpers++] = start_child(argv, -1, err_fd, -1);
	for (i = 0; i < 500 && access(sock, F_OK); i++)
		usleep(10000);
}

static void start_qemu(bool kvm)
{
	char **argv = calloc(h.n_qemu + 20, sizeof(*argv)), chardev[64];
	int con[2], port[2], qerr[2], n = 0, i;
	char tag[16];

	if (!argv || pipe2(con, O_CLOEXEC) || pipe2(qerr, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, port))
		err(EXIT_VM, "vm");
	if (h.virtiofsd) {
		start_virtiofsd("root", "/", qerr[1]);
		for (i = 0; i < h.n_folders; i++) {
			snprintf(tag, sizeof(tag), "out%d", i);
			start_virtiofsd(tag, h.folder[i], qerr[1]);
		}
	}
	for (i = 0; i < h.n_qemu; i++)
		argv[n++] = h.qemu[i];
	argv[n++] = "-accel";
	argv[n++] = kvm ? "kvm" : (char *)h.tcg_accel;
	argv[n++] = "-cpu";
	argv[n++] = (char *)(kvm ? h.kvm_cpu : h.tcg_cpu);
	snprintf(chardev, sizeof(chardev), "socket,id=port,fd=%d", port[1]);
	argv[n++] = "-chardev";
	argv[n++] = chardev;
	argv[n++] = "-chardev";
	argv[n++] = "stdio,id=console,signal=off";
	argv[n++] = "-serial";
	argv[n++] = "chardev:console";
	if (h.verbose) {
		for (i = 0; i < n; i++)
			fprintf(stderr, "%s%s", i ? " " : "vm: ", argv[i]);
		fputc('\n', stderr);
	}

	h.kvm = kvm;
	h.pid = start_child(argv, con[1], qerr[1], port[1]);
	free(argv);
	close(con[1]);
	close(port[1]);
	close(qerr[1]);
	h.console = con[0];
	h.port = port[0];
	h.qemu_err = qerr[0];
	nonblock(h.console);
	nonblock(h.port);
	nonblock(h.qemu_err);
	h.booted = now();
	h.heard = h.booted;
	h.first_line = false;
	h.qemu_said_len = 0;
}

static void stop_children(void)
{
	int i;

	if (h.pid > 0) {
		kill(h.pid, SIGKILL);
		waitpid(h.pid, NULL, 0);
	}
	h.pid = 0;
	for (i = 0; i < h.n_helpers; i++) {
		kill(h.helper[i], SIGKILL);
		waitpid(h.helper[i], NULL, 0);
	}
	h.n_helpers = 0;
}

static void close_qemu(void)
{
	stop_children();
	while (h.console >= 0) {
		nonblock(h.console);
		read_console();
		if (h.console >= 0)
			usleep(1000);
	}
	close(h.port);
	if (h.qemu_err >= 0)
		close(h.qemu_err);
	h.port = -1;
	h.qemu_err = -1;
}

static void remember_kvm(const char *word)
{
	char tmp[PATH_MAX];
	FILE *f;

	if (!h.kvm_memo)
		return;
	snprintf(tmp, sizeof(tmp), "%s.%d", h.kvm_memo, (int)getpid());
	f = fopen(tmp, "we");
	if (!f)
		return;
	fprintf(f, "%s\n", word);
	fclose(f);
	if (rename(tmp, h.kvm_memo))
		unlink(tmp);
}

/* ---- the streams ---- */

static void write_stream(struct stream *s)
{
	size_t len = buffer_left(&s->pending);
	uint32_t count;
	ssize_t n;

	if (!len)
		return;
	if (s->broken) {
		n = len;
	} else {
		n = write(s->fd, s->pending.data + s->pending.at,
			  len < s->chunk ? len : s->chunk);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			s->broken = true;
			send_msg(s->closed_type, "", 0);
			n = len;
		}
	}
	s->pending.at += n;
	count = n;
	if (!h.no_window)
		send_msg(s->done_type, &count, sizeof(count));
}

static void read_stdin(void)
{
	static char buf[VMW_MAX];
	size_t room = VMW_WINDOW - h.in_under_way;
	ssize_t n = read(0, buf, room < sizeof(buf) ? room : sizeof(buf));

	if (n > 0) {
		send_msg(VMW_IN, buf, n);
		h.in_under_way += n;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		send_msg(VMW_IN_EOF, "", 0);
		h.in_open = false;
	}
}

static void send_winsize(void)
{
	struct winsize ws;
	uint16_t size[2];

	if (!h.pty || ioctl(0, TIOCGWINSZ, &ws))
		return;
	size[0] = ws.ws_row;
	size[1] = ws.ws_col;
	send_msg(VMW_WINSIZE, size, sizeof(size));
}

static void go_raw(void)
{
	struct termios t;

	if (!h.pty || tcgetattr(0, &h.saved))
		return;
	t = h.saved;
	cfmakeraw(&t);
	h.raw = true;
	tcsetattr(0, TCSADRAIN, &t);
}

/* The disks live on as long as QEMU has them open. */
static void remove_tmpdir(void)
{
	char path[PATH_MAX];
	static const char * const names[] = { "scratch", "swap", "root.sock",
					      NULL };
	int i;

	if (!h.tmpdir)
		return;
	for (i = 0; names[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", h.tmpdir, names[i]);
		unlink(path);
	}
	for (i = 0; i < h.n_folders; i++) {
		snprintf(path, sizeof(path), "%s/out%d.sock", h.tmpdir, i);
		unlink(path);
	}
	rmdir(h.tmpdir);
}

static void handle_msg(uint32_t type, const char *data, uint32_t len)
{
	uint32_t count;

	switch (type) {
	case VMW_HELLO:
		h.hello = true;
		send_msg(VMW_START, h.start.data, h.start.len);
		break;
	case VMW_READY:
		h.ready = true;
		h.ready_at = now();
		h.pinged = h.ready_at;
		if (h.verbose)
			say("COMMAND starts after %.1f s",
			    h.ready_at - h.born);
		remove_tmpdir();
		go_raw();
		break;
	case VMW_OUT:
		buffer_add(&h.out.pending, data, len);
		break;
	case VMW_ERR:
		buffer_add(&h.err.pending, data, len);
		break;
	case VMW_IN_DONE:
		memcpy(&count, data, sizeof(count));
		h.in_under_way -= count;
		break;
	case VMW_EXIT:
		memcpy(&h.status, data, sizeof(h.status));
		memcpy(&h.taint, data + sizeof(h.status), sizeof(h.taint));
		h.exited = true;
		break;
	case VMW_DONE:
		h.done = true;
		break;
	case VMW_SAY:
		say("%.*s", (int)len, data);
		break;
	case VMW_FAIL:
		restore_terminal();
		say("the guest can't be set up: %.*s", (int)len, data);
		stop_children();
		break;
	}
}

static void read_port(void)
{
	static struct buffer in;
	char buf[65536];
	struct vmw_header head;
	ssize_t n = read(h.port, buf, sizeof(buf));

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			close(h.port);
			h.port = -1;
		}
		return;
	}
	h.heard = now();
	buffer_add(&in, buf, n);
	while (buffer_left(&in) >= sizeof(head)) {
		memcpy(&head, in.data + in.at, sizeof(head));
		if (buffer_left(&in) < sizeof(head) + head.len)
			break;
		handle_msg(head.type, in.data + in.at + sizeof(head), head.len);
		in.at += sizeof(head) + head.len;
	}
}

static void write_port(void)
{
	ssize_t n = send(h.port, h.to_port.data + h.to_port.at,
			 buffer_left(&h.to_port), MSG_NOSIGNAL);

	if (n > 0)
		h.to_port.at += n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		h.to_port.at = h.to_port.len;
}

static void handle_signals(int sigfd)
{
	struct signalfd_siginfo info;
	int32_t sig;

	while (read(sigfd, &info, sizeof(info)) == sizeof(info)) {
		sig = info.ssi_signo;
		if (sig == SIGCHLD)
			continue;
		if (sig == SIGWINCH) {
			send_winsize();
			continue;
		}
		/* The second one is meant. So is one before COMMAND runs. */
		if (h.signal || !h.ready) {
			h.signal = sig;
			h.deadline = now();
			continue;
		}
		h.signal = sig;
		h.deadline = now() + SIGNAL_GRACE;
		send_msg(VMW_SIGNAL, &sig, sizeof(sig));
	}
}

/* ---- the run ---- */

static void show_tail(void)
{
	unsigned int i = h.n_lines > TAIL_LINES ? h.n_lines - TAIL_LINES : 0;

	if (h.qemu_said_len)
		fprintf(stderr, "%.*s", (int)h.qemu_said_len, h.qemu_said);
	if (!h.n_lines) {
		say("the guest printed nothing");
		return;
	}
	say("the console's last lines:");
	for (; i < h.n_lines; i++)
		fprintf(stderr, "  %s\n", h.tail[i % TAIL_LINES]);
}

static void show_complaints(void)
{
	/* Taints by a bad page, an oops, a warning, a soft lockup. */
	static const struct { int bit; const char *what; } taint[] = {
		{ 4, "machine check" }, { 5, "bad page" }, { 7, "oops" },
		{ 9, "warning" }, { 14, "soft lockup" },
	};
	size_t i;

	if (h.n_report) {
		say("the kernel complained:");
		for (i = 0; i < (size_t)h.n_report; i++)
			fprintf(stderr, "  %s\n", h.report[i]);
		if (h.n_report == REPORT_LINES)
			fprintf(stderr, "  ...\n");
	}
	for (i = 0; i < ARRAY_SIZE(taint); i++) {
		if (!(h.taint & (1 << taint[i].bit)))
			continue;
		if (!h.n_complaints)
			say("the kernel is tainted: %s", taint[i].what);
		h.n_complaints++;
	}
}

/* The exit status when the run is over, -1 while it goes on. */
static int verdict(void)
{
	double t = now();

	if (h.exited && h.done && h.marked &&
	    !buffer_left(&h.out.pending) && !buffer_left(&h.err.pending))
		return h.status;
	if (h.signal && t >= h.deadline)
		return 128 + h.signal;
	if (h.timeout && t - h.born >= h.timeout) {
		restore_terminal();
		say("%ld s are over%s", h.timeout,
		    h.ready ? "" : ", and COMMAND has not started");
		if (!h.ready)
			show_tail();
		return EXIT_TIMEOUT;
	}
	if (h.pid && waitpid(h.pid, &h.ended, WNOHANG) == h.pid)
		h.pid = 0;
	if (!h.pid && h.console < 0 && h.port < 0) {
		restore_terminal();
		if (h.panicked)
			say("the guest's kernel panicked");
		else
			say("the guest is gone before COMMAND ended");
		/* By itself it ends when the guest resets, with 0. */
		if (WIFSIGNALED(h.ended))
			say("QEMU was killed by signal %d", WTERMSIG(h.ended));
		else if (WEXITSTATUS(h.ended))
			say("QEMU ended with status %d", WEXITSTATUS(h.ended));
		show_tail();
		return EXIT_VM;
	}
	if (h.exited && t - h.heard > END_LIMIT &&
	    !buffer_left(&h.out.pending) && !buffer_left(&h.err.pending)) {
		restore_terminal();
		say("the guest's console is stuck");
		show_tail();
		return EXIT_VM;
	}
	if (!h.ready && t - h.heard > BOOT_SILENCE) {
		say("the guest has not come up and said nothing for %d s",
		    BOOT_SILENCE);
		show_tail();
		return EXIT_VM;
	}
	if (h.ready && !h.no_window && t - h.heard > SILENCE_LIMIT) {
		restore_terminal();
		say("the guest has not answered for %d s", SILENCE_LIMIT);
		show_tail();
		return EXIT_VM;
	}
	return -1;
}

/*
 * /dev/kvm may open, and the guest still never get past the firmware. The
 * kernel's first line tells. The answer is remembered, "no" only when the same
 * guest does come up without KVM.
 */
static void watch_kvm(void)
{
	static bool known;

	if (!h.try_kvm || known)
		return;
	if (h.first_line) {
		remember_kvm(h.kvm ? "yes" : "no");
		known = true;
	} else if (h.kvm && (h.console < 0 ||
			     now() - h.booted > KVM_FIRST_LINE)) {
		if (h.verbose)
			say("no word from a guest under KVM, trying without");
		close_qemu();
		start_qemu(false);
	}
}

static int run(int sigfd)
{
	int code;

	for (;;) {
		struct pollfd p[7] = {
			{ .fd = sigfd, .events = POLLIN },
			{ .fd = h.console, .events = POLLIN },
			{ .fd = h.qemu_err, .events = POLLIN },
			{ .fd = h.port },
			{ .fd = -1 }, { .fd = -1 }, { .fd = -1 },
		};

		/* Without windows the socket itself has to hold COMMAND back. */
		if (buffer_left(&h.out.pending) + buffer_left(&h.err.pending) <
		    4 * VMW_WINDOW)
			p[3].events |= POLLIN;
		if (buffer_left(&h.to_port))
			p[3].events |= POLLOUT;
		if (h.ready && h.in_open && !h.exited &&
		    h.in_under_way < VMW_WINDOW &&
		    (!h.in_tty || tcgetpgrp(0) == getpgrp()))
			p[4] = (struct pollfd){ 0, POLLIN, 0 };
		if (buffer_left(&h.out.pending))
			p[5] = (struct pollfd){ h.out.fd, POLLOUT, 0 };
		if (buffer_left(&h.err.pending))
			p[6] = (struct pollfd){ h.err.fd, POLLOUT, 0 };
		poll(p, 7, 100);

		if (p[0].revents)
			handle_signals(sigfd);
		if (p[1].revents)
			read_console();
		if (p[2].revents)
			read_qemu_err();
		if (p[3].revents & POLLOUT)
			write_port();
		if (p[3].revents & (POLLIN | POLLHUP | POLLERR))
			read_port();
		if (p[4].revents)
			read_stdin();
		if (p[5].revents)
			write_stream(&h.out);
		if (p[6].revents)
			write_stream(&h.err);
		if (h.ready && !h.exited && !h.no_window &&
		    now() - h.pinged > PING_EVERY) {
			h.pinged = now();
			send_msg(VMW_PING, "", 0);
		}
		watch_kvm();
		code = verdict();
		if (code >= 0)
			return code;
	}
}

static void open_stream(struct stream *s, int fd, uint32_t done_type,
			uint32_t closed_type)
{
	struct stat st;

	s->fd = fd;
	s->done_type = done_type;
	s->closed_type = closed_type;
	s->chunk = VMW_MAX;
	/* A pipe that polls as writable takes this much without blocking. */
	if (fstat(fd, &st) || S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		s->chunk = PIPE_BUF;
}

static void set_up_streams(void)
{
	struct stat o, e;
	struct winsize ws;
	char text[32];
	bool one;

	h.in_open = true;
	h.in_tty = isatty(0);
	h.pty = h.in_tty && isatty(1);
	open_stream(&h.out, 1, VMW_OUT_DONE, VMW_OUT_CLOSED);
	open_stream(&h.err, 2, VMW_ERR_DONE, VMW_ERR_CLOSED);

	/*
	 * Where both lead to one place (2>&1), COMMAND gets one pipe for both,
	 * so that lines come out in the order in which they were written.
	 */
	one = !fstat(1, &o) && !fstat(2, &e) && o.st_dev == e.st_dev &&
	      o.st_ino == e.st_ino && !S_ISBLK(o.st_mode);
	config("err_apart", one ? "0" : "1");
	config("pty", h.pty ? "1" : "0");
	if (h.pty && !ioctl(0, TIOCGWINSZ, &ws)) {
		snprintf(text, sizeof(text), "%hux%hu", ws.ws_row, ws.ws_col);
		config("winsize", text);
	}
	if (h.no_window)
		config("no_window", "1");
}

static void set_up_start(void)
{
	unsigned char rnd[16];
	char text[PATH_MAX];
	mode_t mask = umask(0);
	size_t i;
	char **p;

	umask(mask);
	if (getrandom(rnd, sizeof(rnd), 0) != sizeof(rnd))
		err(EXIT_VM, "getrandom");
	for (i = 0; i < sizeof(rnd); i++)
		sprintf(h.nonce + 2 * i, "%02x", rnd[i]);
	snprintf(h.marker, sizeof(h.marker), "ptefault-vm: end %s", h.nonce);
	config("nonce", h.nonce);
	snprintf(text, sizeof(text), "%o", mask);
	config("umask", text);
	if (getcwd(text, sizeof(text)))
		config("cwd", text);
	for (p = environ; *p; p++)
		config("env", *p);
	for (p = h.command; *p; p++)
		config("arg", *p);
}

static void parse_options(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--qemu"); i += 2) {
		const char *opt = argv[i], *val = argv[i + 1];

		if (i + 1 >= argc)
			errx(EXIT_VM, "%s: no value", opt);
		if (!strcmp(opt, "--log")) {
			h.log_path = val;
		} else if (!strcmp(opt, "--complaints")) {
			h.complaints_path = val;
		} else if (!strcmp(opt, "--timeout")) {
			h.timeout = strtol(val, NULL, 10);
		} else if (!strcmp(opt, "--kvm-memo")) {
			h.kvm_memo = val;
		} else if (!strcmp(opt, "--kvm-cpu")) {
			h.kvm_cpu = val;
			h.try_kvm = true;
		} else if (!strcmp(opt, "--tcg-cpu")) {
			h.tcg_cpu = val;
		} else if (!strcmp(opt, "--tcg-accel")) {
			h.tcg_accel = val;
		} else if (!strcmp(opt, "--no-window")) {
			h.no_window = !strcmp(val, "1");
		} else if (!strcmp(opt, "--verbose")) {
			h.verbose = !strcmp(val, "1");
		} else if (!strcmp(opt, "--tmpdir")) {
			h.tmpdir = val;
		} else if (!strcmp(opt, "--virtiofsd")) {
			h.virtiofsd = val;
		} else if (!strcmp(opt, "--out") && h.n_folders < 16) {
			h.folder[h.n_folders++] = val;
			config("out", val);
		} else if (!strcmp(opt, "--allow")) {
			allow(val);
		} else if (!strcmp(opt, "--start")) {
			buffer_add(&h.start, val, strlen(val) + 1);
		} else {
			errx(EXIT_VM, "%s: unknown", opt);
		}
	}
	if (i >= argc)
		errx(EXIT_VM, "no --qemu");
	h.qemu = argv + ++i;
	while (i < argc && strcmp(argv[i], "--"))
		i++;
	h.n_qemu = argv + i - h.qemu;
	h.command = argv + i + 1;
	if (i + 1 >= argc)
		errx(EXIT_VM, "no COMMAND");
}

int main(int argc, char **argv)
{
	sigset_t set;
	int sigfd, code;

	h.born = now();
	parse_options(argc, argv);
	read_patterns();
	set_up_streams();
	set_up_start();
	if (h.log_path) {
		h.log = fopen(h.log_path, "we");
		if (!h.log)
			err(EXIT_VM, "%s", h.log_path);
	}

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigfd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (sigfd < 0)
		err(EXIT_VM, "signalfd");

	start_qemu(h.try_kvm);
	code = run(sigfd);
	restore_terminal();
	close_qemu();
	remove_tmpdir();
	show_complaints();
	if (h.log)
		fclose(h.log);
	if (code == 0 && h.n_complaints)
		code = EXIT_COMPLAINT;
	return code;
}
