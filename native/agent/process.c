#define _GNU_SOURCE
#include "process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "spawn.h"
#include "state.h"
#include "terminal.h"

static struct process *process_of(struct request *r) {
  return CONTAINER(r, struct process, request);
}

// A CALL that is not spawned yet gets its signals as soon as its pid is known.
static void send_signal(struct process *p, int number) {
  if (p->pid) signal_group(p->pid, number);
  else p->early_signals |= UINT64_C(1) << (number - 1);
}

static void refuse_late(struct process *p, const char *what) {
  struct error e;
  FAIL(&e, ERR_TIMEOUT, "%s %s before the runtime started it", p->name, what);
  if (!p->call.sent) return request_fail(&p->request, &e);
  // The runtime may still start it: what remains of the request is there to kill it then.
  struct frame_writer w = request_frame(&p->request, F_ERROR);
  put_error(&w, &e);
  request_send(&p->request, &w);
  request_detach(&p->request);
}

static void deadline_passed(struct timer *t) {
  struct process *p = CONTAINER(t, struct process, deadline);
  if (p->request.ended) return;
  if (!p->timed_out) {
    p->timed_out = true;
    if (p->is_call && !p->call.sent) return refuse_late(p, "timed out");
    send_signal(p, SIGTERM);
    loop_arm(&p->request.agent->loop, &p->deadline, p->grace_ms);
    return;
  }
  send_signal(p, SIGKILL);
  if (!p->pid) refuse_late(p, "timed out");
}

static void lost_call(struct process *p) {
  struct error e;
  FAIL(&e, ERR_RUNTIME, "the runtime ended before it told how %s ended", p->name);
  process_refused(p, &e);
}

static void drain_passed(struct timer *t) {
  struct process *p = CONTAINER(t, struct process, drain);
  if (p->request.ended) return;
  if (p->ended) {
    for (int i = 0; i < 2; i++) output_cut(&p->output[i], p->cancelled);
  } else if (process_exists(p->pid)) {
    loop_arm(&p->request.agent->loop, &p->drain, PROCESS_DRAIN_MS);
  } else {
    lost_call(p);
  }
}

static void close_pipes(struct process *p) {
  loop_shut(&p->request.agent->loop, &p->report);
  input_close(&p->input);
  for (int i = 0; i < 2; i++) loop_shut(&p->request.agent->loop, &p->output[i].source);
}

static int on_input(struct request *r, const struct frame *f, struct error *e) {
  return input_accept(&process_of(r)->input, f, e);
}

static void on_window(struct request *r, int stream, int64_t bytes) {
  if (stream > 0) output_add_credit(&process_of(r)->output[stream - 1], bytes);
}

static void on_signal(struct request *r, int number) {
  if (!process_of(r)->ended) send_signal(process_of(r), number);
}

static void on_cancel(struct request *r) {
  struct process *p = process_of(r);
  p->cancelled = true;
  send_signal(p, SIGKILL);
  if (!p->pid) return refuse_late(p, "was cancelled");
  // It had its 200 ms already, and waits for credit that a cancelling host need not give.
  if (p->ended && !list_linked(&p->drain.link)) drain_passed(&p->drain);
}

static void on_resize(struct request *r, int64_t rows, int64_t columns) {
  struct process *p = process_of(r);
  if (p->terminal && p->output[0].source.fd >= 0)
    terminal_resize(p->output[0].source.fd, rows, columns);
}

static void on_resume(struct request *r) {
  for (int i = 0; i < 2; i++) output_update(&process_of(r)->output[i]);
}

static void on_abandon(struct request *r) {
  struct process *p = process_of(r);
  bool nothing_to_wait_for = p->ended || (p->is_call && !p->call.sent);
  send_signal(p, SIGKILL);
  close_pipes(p);
  loop_disarm(&p->deadline);
  if (nothing_to_wait_for) request_end(r);
}

static void on_release(struct request *r) { process_discard(process_of(r)); }

static const struct request_type process_type = {
    .input = on_input,
    .window = on_window,
    .signal = on_signal,
    .cancel = on_cancel,
    .resize = on_resize,
    .resume = on_resume,
    .abandon = on_abandon,
    .release = on_release,
};

void process_discard(struct process *p) {
  close_pipes(p);
  loop_disarm(&p->deadline);
  loop_disarm(&p->drain);
  runtime_forget(&p->call);
  list_remove(&p->link);
  free(p->name);
  free(p->cwd);
  free(p);
}

void process_open(struct process *p, struct connection *c, uint32_t id, int64_t timeout_ms) {
  struct agent *a = c->agent;
  request_open(&p->request, &process_type, c, id);
  list_append(&a->processes, &p->link);
  p->started_us = clock_us();
  if (timeout_ms > 0) loop_arm(&a->loop, &p->deadline, timeout_ms);
}

void process_started(struct process *p, pid_t pid) {
  p->started = true;
  p->pid = pid;
  struct frame_writer w = request_frame(&p->request, F_STARTED);
  put_int(&w, K_PID, pid);
  request_send(&p->request, &w);
  for (int number = 1; p->early_signals; number++, p->early_signals >>= 1)
    if (p->early_signals & 1) signal_group(pid, number);
  for (int i = 0; i < 2; i++) output_update(&p->output[i]);
}

void process_refused(struct process *p, const struct error *reason) {
  if (!p->request.ended) request_fail(&p->request, reason);
}

static void send_exited(struct process *p) {
  struct frame_writer w = request_frame(&p->request, F_EXITED);
  if (WIFSIGNALED(p->status)) put_int(&w, K_SIGNAL, WTERMSIG(p->status));
  else put_int(&w, K_EXIT_CODE, WEXITSTATUS(p->status));
  put_int(&w, K_TIMED_OUT, p->timed_out);
  put_int(&w, K_DURATION_US, p->duration_us);
  request_send(&p->request, &w);
}

void process_progress(struct process *p) {
  if (p->request.ended || !p->ended) return;
  if (p->output[0].source.fd >= 0 || p->output[1].source.fd >= 0) return;
  // The leader may have heeded SIGTERM while others of its group did not.
  if (p->timed_out) signal_group(p->pid, SIGKILL);
  send_exited(p);
  request_end(&p->request);
}

void process_ended(struct process *p, int status) {
  if (p->ended || p->request.ended) return;
  p->ended = true;
  p->status = status;
  p->duration_us = clock_us() - p->started_us;
  input_close(&p->input);
  loop_disarm(&p->deadline);
  runtime_forget(&p->call);
  list_remove(&p->link);
  loop_arm(&p->request.agent->loop, &p->drain, PROCESS_DRAIN_MS);
  process_progress(p);
}

// Everything that was learnt from the pipe to the child: it runs, or why it does not.
static void report_arrived(struct process *p, bool dead) {
  struct error e;
  if (p->started || p->report.fd < 0) return;
  int state = spawn_report(p->report.fd, p->name, p->cwd, &e);
  // A sibling between fork and exec may hold the pipe open, while this child is gone already.
  if (state == 0 && !dead) return;
  loop_shut(&p->request.agent->loop, &p->report);
  if (state < 0) process_refused(p, &e);
  else process_started(p, p->pid);
}

static void report_ready(struct source *s, uint32_t events) {
  (void)events;
  report_arrived(CONTAINER(s, struct process, report), false);
}

void process_reaped(struct agent *a, pid_t pid, int status) {
  LIST_EACH(at, &a->processes) {
    struct process *p = CONTAINER(at, struct process, link);
    if (p->pid != pid) continue;
    report_arrived(p, true);
    process_ended(p, status);
  }
}

static int make_pipe(int *ours, int *theirs, bool we_read, struct error *e) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "making the pipes of a command");
  *ours = ends[we_read ? 0 : 1];
  *theirs = ends[we_read ? 1 : 0];
  // Our end only: the command expects pipes that block.
  return fcntl(*ours, F_SETFL, O_NONBLOCK) < 0 ? FAIL_ERRNO(e, "fcntl of a pipe") : 0;
}

// Input and output each have a descriptor of their own for the terminal, so that either can end.
static int make_terminal(struct process *p, int64_t rows, int64_t columns, int theirs[3],
                         struct error *e) {
  if (terminal_open(rows, columns, &p->output[0].source.fd, &theirs[0], e) < 0) return -1;
  p->terminal = p->input.terminal = true;
  p->input.source.fd = fcntl(p->output[0].source.fd, F_DUPFD_CLOEXEC, 3);
  theirs[1] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 3);
  theirs[2] = fcntl(theirs[0], F_DUPFD_CLOEXEC, 3);
  bool all = p->input.source.fd >= 0 && theirs[1] >= 0 && theirs[2] >= 0;
  return all ? 0 : FAIL_ERRNO(e, "copying a terminal's descriptor");
}

static int make_pipes(struct process *p, bool with_input, int theirs[3], struct error *e) {
  for (int i = 0; i < 2; i++)
    if (make_pipe(&p->output[i].source.fd, &theirs[i + 1], true, e) < 0) return -1;
  if (with_input) return make_pipe(&p->input.source.fd, &theirs[0], false, e);
  theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return theirs[0] < 0 ? FAIL_ERRNO(e, "opening /dev/null for a command") : 0;
}

struct process *process_prepare(struct connection *c, const struct frame *f, int theirs[3],
                                struct error *e) {
  int64_t with_input, window, rows, columns;
  struct process *p = calloc(1, sizeof *p);
  if (!p) {
    FAIL(e, ERR_EXHAUSTED, "out of memory for a process");
    return NULL;
  }
  p->request.agent = c->agent;
  p->report = (struct source){.fd = -1, .ready = report_ready};
  p->deadline.fire = deadline_passed;
  p->drain.fire = drain_passed;
  p->input = (struct input_stream){.source = {.fd = -1, .ready = input_ready}, .owner = p};
  for (int i = 0; i < 2; i++)
    p->output[i] = (struct output_stream){
        .source = {.fd = -1, .ready = output_ready}, .owner = p, .number = i + 1, .rest = -1};
  if (frame_int(f, K_STDIN, 0, 0, 1, &with_input, e) < 0 ||
      frame_int(f, K_WINDOW, FRAME_DEFAULT_WINDOW, 0, CREDIT_MAX, &window, e) < 0 ||
      frame_int(f, K_GRACE_MS, GRACE_DEFAULT_MS, 0, GRACE_MAX_MS, &p->grace_ms, e) < 0 ||
      frame_int(f, K_ROWS, 0, 1, TERMINAL_SIDE_MAX, &rows, e) < 0 ||
      frame_int(f, K_COLUMNS, 80, 1, TERMINAL_SIDE_MAX, &columns, e) < 0 ||
      (rows ? make_terminal(p, rows, columns, theirs, e)
            : make_pipes(p, with_input, theirs, e)) < 0) {
    process_discard(p);
    return NULL;
  }
  p->output[0].credit = p->output[1].credit = window;
  return p;
}
