#define _GNU_SOURCE
#include "session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "signals.h"
#include "spawn.h"
#include "state.h"

// Back to the beginning; whatever the runtime still says about this session is skipped.
static void reset(struct session *s) {
  struct error ignored;
  if (s->state == SESSION_OPEN) loop_watch(&s->agent->loop, &s->source, 0, &ignored);
  loop_disarm(&s->status_due);
  runtime_forget(&s->call);
  channel_close(&s->channel);
  if (s->pid) s->had_one = true;
  s->pid = 0;
  s->reseed_due = s->interrupted = false;
  s->reseeding = 0;
  s->state = SESSION_NONE;
}

void session_kill(struct session *s) {
  signal_process(s->pid, SIGKILL);
  reset(s);
}

static void ended(struct session *s, const char *how) {
  struct eval *running = s->running;
  reset(s);
  if (running) eval_lost(running, how);
}

static void status_missing(struct timer *t) {
  struct session *s = CONTAINER(t, struct session, status_due);
  ended(s, "ended");
}

// Its socket has ended, or carries nonsense. How the process ended is for the runtime to tell.
static void ending(struct session *s) {
  struct error ignored;
  loop_watch(&s->agent->loop, &s->source, 0, &ignored);
  channel_close(&s->channel);
  s->state = SESSION_ENDING;
  // One that closed its socket and lives on must not outlast its state; to one that is on its way
  // out already this makes no difference.
  signal_process(s->pid, SIGKILL);
  loop_arm(&s->agent->loop, &s->status_due, SESSION_STATUS_MS);
}

static bool take(struct session *s, const struct frame *f) {
  struct error e;
  if (f->type != F_RESEEDED || s->reseeding == 0)
    return s->running && eval_answered(s->running, f, &e) == 0;
  s->reseeding--;
  return true;
}

// Takes what has arrived. False: the socket has ended.
static bool receive(struct session *s) {
  struct error e;
  struct frame f;
  int fd, state = channel_read(&s->channel, &e), parsed;
  while ((fd = channel_take_fd(&s->channel)) >= 0) close(fd);
  while ((parsed = channel_frame(&s->channel, &f, &e)) != 0) {
    if (parsed < 0 || !take(s, &f)) return false;
    channel_done(&s->channel, &f);
  }
  return state >= 0;
}

static void session_readable(struct source *source, uint32_t events) {
  struct session *s = CONTAINER(source, struct session, source);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  if (!receive(s)) ending(s);
}

static int opened(struct session *s, const struct frame *f, struct error *e) {
  int64_t pid;
  if (s->state != SESSION_OPENING) return FAIL(e, ERR_INVALID, "SESSION_OPEN came twice");
  if (frame_int(f, K_PID, 0, 2, INT32_MAX, &pid, e) < 0) return -1;
  int fd = channel_take_fd(&s->call.runtime->channel);
  if (fd < 0 || pid == 0) {
    if (fd >= 0) close(fd);
    return FAIL(e, ERR_INVALID, "SESSION_OPEN carries no pid or no socket");
  }
  s->source = (struct source){.fd = fd, .ready = session_readable};
  if (channel_open(&s->channel, fd, fd, e) < 0) return -1;
  if (!s->channel.is_socket) return FAIL(e, ERR_INVALID, "SESSION_OPEN carries no socket");
  if (loop_watch(&s->agent->loop, &s->source, EPOLLIN, e) < 0) return -1;
  s->pid = (pid_t)pid;
  s->state = SESSION_OPEN;
  s->restarted = s->had_one;
  return 0;
}

static int ended_with(struct session *s, const struct frame *f, struct error *e) {
  char how[64] = "ended", name[16];
  int64_t code, number;
  if (s->state == SESSION_OPENING) return FAIL(e, ERR_INVALID, "ENDED before SESSION_OPEN");
  if (frame_int(f, K_EXIT_CODE, -1, 0, 255, &code, e) < 0) return -1;
  if (frame_int(f, K_SIGNAL, -1, 1, 64, &number, e) < 0) return -1;
  if (number > 0) snprintf(how, sizeof how, "was killed by %s", signal_name((int)number, name));
  else if (code >= 0) snprintf(how, sizeof how, "exited with status %d", (int)code);
  // The answer may have been sent before the end, and only be read after it: a process that the
  // session left behind can keep the socket open, so its end is not waited for.
  for (int i = 0; s->state == SESSION_OPEN && s->running && i < 64; i++) {
    size_t before = s->channel.input.length;
    if (!receive(s) || s->channel.input.length == before) break;
  }
  ended(s, how);
  return 0;
}

static int refused(struct session *s, const struct frame *f) {
  struct error reason;
  struct eval *first = eval_next(s);
  runtime_error(f, &reason);
  if (s->running) ended(s, reason.message);
  else session_kill(s);
  if (first) eval_failed(first, &reason);
  return 0;
}

static int on_answer(struct runtime_call *call, const struct frame *f, struct error *e) {
  struct session *s = CONTAINER(call, struct session, call);
  switch (f->type) {
    case F_SESSION_OPEN: return opened(s, f, e);
    case F_ENDED: return ended_with(s, f, e);
    case F_RT_ERROR: return refused(s, f);
    default: return FAIL(e, ERR_INVALID, "frame 0x%02x is no answer to SESSION", f->type);
  }
}

static void on_lost(struct runtime_call *call, const struct error *reason) {
  (void)call;
  (void)reason; // session_lost follows and answers every eval
}

void session_init(struct session *s, struct agent *a) {
  *s = (struct session){.agent = a, .source = {.fd = -1}, .channel = {.in = -1, .out = -1}};
  s->status_due.fire = status_missing;
  list_init(&s->queue);
}

void session_close(struct session *s) {
  runtime_forget(&s->call);
  channel_close(&s->channel);
}

void session_lost(struct session *s) {
  struct error e;
  struct eval *ev;
  // The answer to what is running may have come before the end.
  if (s->state == SESSION_OPEN && s->running) receive(s);
  session_kill(s);
  if (runtime_check(&s->agent->runtime, &e) == 0) return;
  if (s->running) eval_failed(s->running, &e);
  while ((ev = eval_next(s)) != NULL) eval_failed(ev, &e);
}

static void open_session(struct session *s) {
  struct runtime *rt = &s->agent->runtime;
  struct error e;
  s->call = (struct runtime_call){
      .answer = on_answer, .lost = on_lost, .id = runtime_next_id(rt)};
  struct frame_writer w = frame_begin(&s->call.frame, F_SESSION, s->call.id);
  if (frame_end(&w, &e) < 0) return eval_failed(eval_next(s), &e);
  s->state = SESSION_OPENING;
  runtime_submit(rt, &s->call);
}

void session_reseed(struct session *s) {
  s->reseed_due = s->state == SESSION_OPENING || s->state == SESSION_OPEN;
}

static void send_reseed(struct session *s) {
  struct error e;
  if (!s->reseed_due || s->state != SESSION_OPEN) return;
  s->reseed_due = false;
  s->reseeding++;
  uint32_t id = runtime_next_id(&s->agent->runtime);
  struct frame_writer w = frame_begin(&s->channel.output, F_RESEED, id);
  if (frame_end(&w, &e) < 0) ending(s);
}

static void start_next(struct session *s) {
  struct error e;
  struct eval *ev = eval_next(s);
  if (!ev || s->running) return;
  if (s->state == SESSION_NONE) return open_session(s);
  if (s->state != SESSION_OPEN) return;
  if (eval_start(ev, &s->channel.output, &e) < 0) eval_failed(ev, &e);
}

void session_settle(struct session *s) {
  struct error e;
  send_reseed(s);
  start_next(s);
  if (s->state != SESSION_OPEN) return;
  int flushed = channel_flush(&s->channel, &e);
  uint32_t events = EPOLLIN | (flushed == 0 ? EPOLLOUT : 0);
  if (flushed < 0 || loop_watch(&s->agent->loop, &s->source, events, &e) < 0) ending(s);
}
