// One EVAL request: its place in the session's queue, its deadline, its answer. A BRANCH request
// takes its place in the same queue: nothing is evaluated until the host has ended it.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "spawn.h"
#include "state.h"

enum { NUDGE_MS = 50 };

struct eval {
  struct request request;
  struct node queued;    // while it waits
  struct buffer frame;   // of the session channel
  uint32_t frame_id;
  int64_t timeout_ms, grace_ms;
  struct timer deadline, nudge;
  bool interrupted;      // SIGINT was sent
  bool timed_out;        // ... because of the deadline
  bool branch;           // BRANCH and not EVAL
  bool held;             // its answer is sent: the session rests until the host says so
  pid_t copy;            // what the session froze
};

static struct eval *eval_of(struct request *r) { return CONTAINER(r, struct eval, request); }

static struct session *session_of(struct eval *ev) { return &ev->request.agent->session; }

static bool is_running(struct eval *ev) { return session_of(ev)->running == ev; }

struct eval *eval_next(struct session *s) {
  return list_empty(&s->queue) ? NULL : CONTAINER(s->queue.next, struct eval, queued);
}

static void leave(struct eval *ev) {
  struct session *s = session_of(ev);
  if (list_linked(&ev->queued)) s->queued--;
  list_remove(&ev->queued);
  if (s->running == ev) s->running = NULL;
  loop_disarm(&ev->deadline);
  loop_disarm(&ev->nudge);
}

void eval_failed(struct eval *ev, const struct error *reason) {
  leave(ev);
  request_fail(&ev->request, reason);
}

static void fail_timeout(struct eval *ev, const char *state) {
  struct error e;
  FAIL(&e, ERR_TIMEOUT, "the %s did not end within %lld ms; %s",
       ev->branch ? "branch" : "eval", (long long)ev->timeout_ms, state);
  eval_failed(ev, &e);
}

static void put_restarted(struct eval *ev, struct frame_writer *w) {
  struct session *s = session_of(ev);
  if (s->restarted) put_int(w, K_RESTARTED, 1);
  s->restarted = false;
}

void eval_lost(struct eval *ev, const char *how) {
  char text[640];
  if (ev->timed_out) return fail_timeout(ev, "the session ended and its state is lost");
  leave(ev);
  snprintf(text, sizeof text, "SessionEnded: the eval session %s; its state is lost", how);
  struct frame_writer w = request_frame(&ev->request, F_RESULT);
  put_text(&w, K_ERROR, text);
  put_restarted(ev, &w);
  request_send(&ev->request, &w);
  request_end(&ev->request);
}

// SIGINT that comes just before code blocks in a system call is noticed when that call ends. SIGURG
// ends it and does nothing else: a second SIGINT might hit what cleans up after the first.
static void nudge(struct timer *t) {
  struct eval *ev = CONTAINER(t, struct eval, nudge);
  if (!is_running(ev)) return;
  signal_process(session_of(ev)->pid, SIGURG);
  loop_arm(&ev->request.agent->loop, &ev->nudge, NUDGE_MS);
}

// SIGINT first, which leaves the session's state intact; after the grace the session has to go.
static void interrupt(struct eval *ev) {
  if (ev->interrupted) return;
  ev->interrupted = session_of(ev)->interrupted = true;
  signal_process(session_of(ev)->pid, SIGINT);
  loop_arm(&ev->request.agent->loop, &ev->nudge, NUDGE_MS);
  loop_arm(&ev->request.agent->loop, &ev->deadline, ev->grace_ms);
}

// A session that is on its way must come to its end: a copy is made, or is not.
static void stop_branch(struct eval *ev) {
  if (ev->copy) signal_process(ev->copy, SIGKILL);
  if (ev->held) return fail_timeout(ev, "the branch was given up (the session goes on)");
  ev->timed_out = true;
}

static void deadline_passed(struct timer *t) {
  struct eval *ev = CONTAINER(t, struct eval, deadline);
  if (ev->request.ended) return;
  if (!is_running(ev)) return fail_timeout(ev, "it had not begun (the session's state is kept)");
  if (ev->branch) return stop_branch(ev);
  if (!ev->interrupted) {
    ev->timed_out = true;
    return interrupt(ev);
  }
  session_kill(session_of(ev));
  eval_lost(ev, "did not heed SIGINT and was killed");
}

static void copy_answer(struct eval *ev, const struct frame *f) {
  struct field field;
  size_t cursor = 0;
  struct frame_writer w = request_frame(&ev->request, F_RESULT);
  while (frame_next(f, &cursor, &field))
    if (field.key == K_RESULT || field.key == K_STDOUT || field.key == K_STDERR ||
        field.key == K_ERROR || field.key == K_TRACEBACK || field.key == K_TRUNCATED)
      put_bytes(&w, field.key, field.bytes, field.length);
  put_restarted(ev, &w);
  request_send(&ev->request, &w);
}

static int branch_answered(struct eval *ev, const struct frame *f, struct error *e) {
  int64_t pid, still;
  struct field report;
  if (ev->held) return FAIL(e, ERR_INVALID, "BRANCHED came twice");
  if (frame_int(f, K_PID, 0, 0, INT32_MAX, &pid, e) < 0 ||
      frame_int(f, K_DURATION_US, 0, 0, INT64_C(3600000000), &still, e) < 0)
    return -1;
  ev->copy = (pid_t)pid;
  if (ev->timed_out || !ev->request.connection) {
    ev->held = true;
    stop_branch(ev);
    return 0;
  }
  struct frame_writer w = request_frame(&ev->request, F_STARTED);
  put_int(&w, K_PID, pid);
  put_int(&w, K_DURATION_US, still);
  if (frame_find(f, K_REPORT, &report)) put_bytes(&w, K_REPORT, report.bytes, report.length);
  request_send(&ev->request, &w);
  ev->held = true;
  return 0;
}

int eval_answered(struct eval *ev, const struct frame *f, struct error *e) {
  int64_t truncated;
  struct error too_large;
  if (f->id != ev->frame_id) return FAIL(e, ERR_INVALID, "EVALUATED answers another eval");
  if (f->type != (ev->branch ? F_BRANCHED : F_EVALUATED))
    return FAIL(e, ERR_INVALID, "frame 0x%02x is no answer of a session", f->type);
  if (ev->branch) return branch_answered(ev, f, e);
  if (frame_int(f, K_TRUNCATED, 0, 0, 1, &truncated, e) < 0) return -1;
  if (ev->timed_out) {
    fail_timeout(ev, "it was interrupted (the session's state is kept)");
    return 0;
  }
  leave(ev);
  // RESULT may carry one field more than EVALUATED, which may be as large as a frame can be.
  if (f->payload_length > FRAME_MAX - 64) {
    FAIL(&too_large, ERR_RUNTIME, "the result does not fit into a frame: ask for less output");
    request_fail(&ev->request, &too_large);
    return 0;
  }
  copy_answer(ev, f);
  request_end(&ev->request);
  return 0;
}

int eval_start(struct eval *ev, struct buffer *out, struct error *e) {
  struct session *s = session_of(ev);
  if (s->interrupted) {
    // It may have been answered before the signal came, which is not meant for this one.
    struct frame_writer w = frame_begin(out, F_CALM, 0);
    if (frame_end(&w, e) < 0) return -1;
    s->interrupted = false;
  }
  if (buffer_append(out, ev->frame.bytes, ev->frame.length, e) < 0) return -1;
  buffer_free(&ev->frame);
  list_remove(&ev->queued);
  s->queued--;
  s->running = ev;
  return 0;
}

static void end_branch(struct eval *ev) {
  if (!ev->held) return stop_branch(ev);
  leave(ev);
  struct frame_writer w = request_frame(&ev->request, F_DONE);
  request_send(&ev->request, &w);
  request_end(&ev->request);
}

static void on_cancel(struct request *r) {
  struct eval *ev = eval_of(r);
  struct error e;
  if (ev->branch && is_running(ev)) return end_branch(ev);
  if (is_running(ev)) return interrupt(ev);
  FAIL(&e, ERR_TIMEOUT, "the eval was cancelled before it began");
  eval_failed(ev, &e);
}

static void on_abandon(struct request *r) {
  struct eval *ev = eval_of(r);
  if (ev->branch && is_running(ev)) return stop_branch(ev);
  if (is_running(ev)) return interrupt(ev);
  leave(ev);
  request_end(r);
}

static void on_release(struct request *r) {
  struct eval *ev = eval_of(r);
  leave(ev);
  buffer_free(&ev->frame);
  free(ev);
}

static const struct request_type eval_type = {
    .cancel = on_cancel,
    .abandon = on_abandon,
    .release = on_release,
};

static int parse_branch(struct eval *ev, const struct frame *f, struct error *e) {
  if (frame_int(f, K_TIMEOUT_MS, 0, 1, TIMEOUT_MAX_MS, &ev->timeout_ms, e) < 0) return -1;
  ev->branch = true;
  struct frame_writer w = frame_begin(&ev->frame, F_RT_BRANCH, ev->frame_id);
  put_int(&w, K_TIMEOUT_MS, ev->timeout_ms);
  return frame_end(&w, e);
}

static int parse(struct eval *ev, const struct frame *f, struct error *e) {
  struct field code, max_output;
  int64_t checked;
  if (frame_int(f, K_TIMEOUT_MS, 0, 0, TIMEOUT_MAX_MS, &ev->timeout_ms, e) < 0) return -1;
  if (frame_int(f, K_GRACE_MS, GRACE_DEFAULT_MS, 0, GRACE_MAX_MS, &ev->grace_ms, e) < 0)
    return -1;
  if (frame_int(f, K_MAX_OUTPUT, 0, 0, FRAME_MAX, &checked, e) < 0) return -1;
  if (!frame_find(f, K_CODE, &code)) return FAIL(e, ERR_INVALID, "EVAL carries no code");
  struct frame_writer w = frame_begin(&ev->frame, F_RT_EVAL, ev->frame_id);
  put_bytes(&w, K_CODE, code.bytes, code.length);
  if (frame_find(f, K_MAX_OUTPUT, &max_output)) put_int(&w, K_MAX_OUTPUT, checked);
  return frame_end(&w, e);
}

static int queue(struct connection *c, const struct frame *f,
                 int (*read)(struct eval *, const struct frame *, struct error *),
                 struct error *e) {
  struct session *s = &c->agent->session;
  if (runtime_check(&c->agent->runtime, e) < 0) return -1;
  if (s->queued >= SESSION_QUEUE_MAX)
    return FAIL(e, ERR_EXHAUSTED, "%zu evals wait for the session already", s->queued);
  struct eval *ev = calloc(1, sizeof *ev);
  if (!ev) return FAIL(e, ERR_EXHAUSTED, "out of memory for an eval");
  ev->frame_id = runtime_next_id(&c->agent->runtime);
  ev->deadline.fire = deadline_passed;
  ev->nudge.fire = nudge;
  if (read(ev, f, e) < 0) {
    buffer_free(&ev->frame);
    free(ev);
    return -1;
  }
  request_open(&ev->request, &eval_type, c, f->id);
  list_append(&s->queue, &ev->queued);
  s->queued++;
  if (ev->timeout_ms > 0) loop_arm(&c->agent->loop, &ev->deadline, ev->timeout_ms);
  return 0;
}

int session_eval(struct connection *c, const struct frame *f, struct error *e) {
  return queue(c, f, parse, e);
}

int session_branch(struct connection *c, const struct frame *f, struct error *e) {
  return queue(c, f, parse_branch, e);
}
