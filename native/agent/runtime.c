#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "session.h"
#include "signals.h"
#include "spawn.h"
#include "state.h"

static const char *ending_of(const struct runtime *rt, char *out, size_t size) {
  char name[16];
  if (rt->reason.message[0]) snprintf(out, size, "%s", rt->reason.message);
  else if (!rt->reaped) snprintf(out, size, "it closed its channel");
  else if (WIFSIGNALED(rt->status))
    snprintf(out, size, "it was killed by %s", signal_name(WTERMSIG(rt->status), name));
  else snprintf(out, size, "it exited with status %d", WEXITSTATUS(rt->status));
  return out;
}

int runtime_check(const struct runtime *rt, struct error *e) {
  char ending[600];
  if (rt->state == RUNTIME_NONE) return FAIL(e, ERR_RUNTIME, "this sandbox has no runtime");
  if (rt->state == RUNTIME_ENDED)
    return FAIL(e, ERR_RUNTIME, "the runtime has ended: %s", ending_of(rt, ending, sizeof ending));
  if (rt->waiting_bytes > RUNTIME_WAITING_MAX)
    return FAIL(e, ERR_EXHAUSTED, "the runtime does not take what it is sent");
  return 0;
}

uint32_t runtime_next_id(struct runtime *rt) {
  if (++rt->last_id == 0) rt->last_id = 1;
  return rt->last_id;
}

void runtime_submit(struct runtime *rt, struct runtime_call *call) {
  call->runtime = rt;
  rt->waiting_bytes += call->frame.length;
  list_append(&rt->waiting, &call->link);
}

static void release_call(struct runtime_call *call) {
  for (size_t i = 0; i < call->fd_count; i++)
    if (call->fds[i] >= 0) close(call->fds[i]);
  call->fd_count = 0;
  buffer_free(&call->frame);
}

void runtime_forget(struct runtime_call *call) {
  list_remove(&call->link);
  if (call->runtime && !call->sent) call->runtime->waiting_bytes -= call->frame.length;
  release_call(call);
}

static void lose_all(struct runtime *rt, struct node *calls) {
  struct error reason;
  runtime_check(rt, &reason);
  while (!list_empty(calls)) {
    struct runtime_call *call = CONTAINER(calls->next, struct runtime_call, link);
    runtime_forget(call);
    call->lost(call, &reason);
  }
}

// `reason` is NULL when its stream has just ended: its status tells more, or what it said last.
static void end_runtime(struct runtime *rt, const struct error *reason) {
  struct error ignored;
  if (rt->state == RUNTIME_ENDED) return;
  rt->state = RUNTIME_ENDED;
  loop_disarm(&rt->status_due);
  if (reason && !rt->reason.message[0]) rt->reason = *reason;
  loop_watch(&rt->agent->loop, &rt->source, 0, &ignored);
  channel_close(&rt->channel);
  // It may be out of step rather than dead; then its children would stay its own.
  if (!rt->reaped) signal_process(rt->pid, SIGKILL);
  agent_reap(rt->agent);
  lose_all(rt, &rt->waiting);
  lose_all(rt, &rt->sent);
  session_lost(&rt->agent->session);
  connections_tell_runtime_ended(rt->agent);
}

static void status_missing(struct timer *t) {
  end_runtime(CONTAINER(t, struct runtime, status_due), NULL);
}

// A process closes its sockets a moment before its parent can be told how it ended.
static void stream_ended(struct runtime *rt) {
  struct error ignored;
  if (rt->reaped || !is_child(rt->pid)) return end_runtime(rt, NULL);
  loop_watch(&rt->agent->loop, &rt->source, 0, &ignored);
  loop_arm(&rt->agent->loop, &rt->status_due, RUNTIME_STATUS_MS);
}

void runtime_error(const struct frame *f, struct error *out) {
  struct error unusable;
  cleanup_free char *kind = NULL, *message = NULL;
  FAIL(out, ERR_RUNTIME, "the runtime refused and did not say why");
  if (frame_text(f, K_KIND, &kind, &unusable) < 0) return;
  if (frame_text(f, K_MESSAGE, &message, &unusable) < 0) return;
  if (message && *message) FAIL(out, ERR_RUNTIME, "%s", message);
  for (int i = ERR_INTERNAL; kind && i <= ERR_IO; i++)
    if (strcmp(kind, error_kind_name((enum error_kind)i)) == 0) out->kind = (enum error_kind)i;
}

static int became_ready(struct runtime *rt, const struct frame *f, struct error *e) {
  int64_t pid;
  if (rt->state != RUNTIME_STARTING) return FAIL(e, ERR_INVALID, "READY came twice");
  if (frame_int(f, K_PID, 0, 2, INT32_MAX, &pid, e) < 0) return -1;
  if (pid == 0) return FAIL(e, ERR_INVALID, "READY carries no pid");
  rt->pid = (pid_t)pid;
  rt->state = RUNTIME_READY;
  return 0;
}

static int handle(struct runtime *rt, const struct frame *f, struct error *e) {
  if (f->type == F_READY) return became_ready(rt, f, e);
  if (f->type == F_RT_ERROR && f->id == 0) {
    runtime_error(f, &rt->reason);
    return 0;
  }
  LIST_EACH(at, &rt->sent) {
    struct runtime_call *call = CONTAINER(at, struct runtime_call, link);
    if (call->id == f->id) return call->answer(call, f, e);
  }
  return 0; // a late answer to something that nobody waits for any more
}

static void drop_unclaimed_fds(struct channel *channel) {
  int fd;
  // The rest of the frame that they ride on may still be on its way.
  if (channel->input.length) return;
  while ((fd = channel_take_fd(channel)) >= 0) close(fd);
}

static void runtime_readable(struct source *s, uint32_t events) {
  struct runtime *rt = CONTAINER(s, struct runtime, source);
  struct error e;
  struct frame f;
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  int state = channel_read(&rt->channel, &e), parsed;
  while ((parsed = channel_frame(&rt->channel, &f, &e)) != 0) {
    if (parsed < 0 || handle(rt, &f, &e) < 0) return end_runtime(rt, &e);
    if (rt->state == RUNTIME_ENDED) return;
    channel_done(&rt->channel, &f);
  }
  drop_unclaimed_fds(&rt->channel);
  if (state < 0) stream_ended(rt);
}

int runtime_open(struct runtime *rt, struct agent *a, int fd, struct error *e) {
  *rt = (struct runtime){.agent = a, .source = {.fd = -1}, .channel = {.in = -1, .out = -1}};
  rt->status_due.fire = status_missing;
  list_init(&rt->waiting);
  list_init(&rt->sent);
  if (fd < 0) return 0;
  rt->state = RUNTIME_STARTING;
  rt->source = (struct source){.fd = fd, .ready = runtime_readable};
  if (channel_open(&rt->channel, fd, fd, e) < 0) return -1;
  return loop_watch(&a->loop, &rt->source, EPOLLIN, e);
}

void runtime_close(struct runtime *rt) { channel_close(&rt->channel); }

void runtime_reaped(struct runtime *rt, pid_t pid, int status) {
  if (pid != rt->pid || rt->reaped) return;
  rt->reaped = true;
  rt->status = status;
  if (list_linked(&rt->status_due.link)) end_runtime(rt, NULL);
}

static int send_waiting(struct runtime *rt, struct error *e) {
  int sent = 1;
  while (sent == 1 && !list_empty(&rt->waiting)) {
    struct runtime_call *call = CONTAINER(rt->waiting.next, struct runtime_call, link);
    sent = channel_try_send_with_fds(&rt->channel, &call->frame, call->fds, call->fd_count, e);
    if (sent != 1) break;
    runtime_forget(call);
    call->sent = true;
    list_append(&rt->sent, &call->link);
  }
  return sent;
}

void runtime_settle(struct runtime *rt) {
  struct error e;
  bool alive = rt->state == RUNTIME_STARTING || rt->state == RUNTIME_READY;
  if (!alive || list_linked(&rt->status_due.link)) return;
  int sent = channel_flush(&rt->channel, &e);
  if (sent == 1 && rt->state == RUNTIME_READY) sent = send_waiting(rt, &e);
  bool blocked = sent == 0 || channel_wants_write(&rt->channel);
  uint32_t events = EPOLLIN | (blocked ? EPOLLOUT : 0);
  // What it said before it stopped listening is still to be read, and leads to its end.
  if (sent < 0 && e.err == EPIPE) events = EPOLLIN;
  else if (sent < 0) return end_runtime(rt, &e);
  if (loop_watch(&rt->agent->loop, &rt->source, events, &e) < 0) end_runtime(rt, &e);
}

void runtime_put_status(const struct runtime *rt, struct frame_writer *w) {
  if (!rt->reaped) return;
  if (WIFSIGNALED(rt->status)) put_int(w, K_SIGNAL, WTERMSIG(rt->status));
  else put_int(w, K_EXIT_CODE, WEXITSTATUS(rt->status));
}
