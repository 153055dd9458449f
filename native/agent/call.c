// CALL: a fork of the warm runtime, which the runtime makes and reports on.
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "../common/cleanup.h"
#include "process.h"
#include "spawn.h"
#include "state.h"

// The wait status that exit_code or signal of an ENDED frame stand for.
static int ended_status(const struct frame *f, int *status, struct error *e) {
  int64_t code, number;
  if (frame_int(f, K_EXIT_CODE, -1, 0, 255, &code, e) < 0) return -1;
  if (frame_int(f, K_SIGNAL, -1, 1, 64, &number, e) < 0) return -1;
  if (code < 0 && number < 0) return FAIL(e, ERR_INVALID, "ENDED carries no status");
  *status = number > 0 ? (int)number : (int)code << 8;
  return 0;
}

static int on_answer(struct runtime_call *call, const struct frame *f, struct error *e) {
  struct process *p = CONTAINER(call, struct process, call);
  struct error reason;
  int64_t pid;
  int status = 0;
  switch (f->type) {
    case F_SPAWNED:
      if (p->started || frame_int(f, K_PID, 0, 2, INT32_MAX, &pid, e) < 0 || pid == 0)
        return FAIL(e, ERR_INVALID, "SPAWNED out of turn or without a pid");
      process_started(p, (pid_t)pid);
      return 0;
    case F_ENDED:
      if (!p->started) return FAIL(e, ERR_INVALID, "ENDED before SPAWNED");
      if (ended_status(f, &status, e) < 0) return -1;
      process_ended(p, status);
      return 0;
    case F_RT_ERROR:
      runtime_error(f, &reason);
      process_refused(p, &reason);
      return 0;
    default:
      return FAIL(e, ERR_INVALID, "frame 0x%02x is no answer to SPAWN", f->type);
  }
}

// The children of a dead runtime are ours now, and waitpid tells how they end; those that it had
// reaped itself and not told about are found by looking, from the drain timer.
static void on_lost(struct runtime_call *call, const struct error *reason) {
  struct process *p = CONTAINER(call, struct process, call);
  if (!p->started) return process_refused(p, reason);
  loop_arm(&p->request.agent->loop, &p->drain, PROCESS_DRAIN_MS);
}

static int check_target(const struct frame *f, char **name, struct error *e) {
  cleanup_free char *kind = NULL;
  if (frame_text(f, K_KIND, &kind, e) < 0) return -1;
  bool code = kind && strcmp(kind, "code") == 0;
  if (!kind || (!code && strcmp(kind, "module") != 0 && strcmp(kind, "file") != 0))
    return FAIL(e, ERR_INVALID, "CALL of kind %.40s: use module, file or code",
                kind ? kind : "(none)");
  if (frame_text(f, code ? K_CODE : K_TARGET, name, e) < 0) return -1;
  if (!*name)
    return FAIL(e, ERR_INVALID, "CALL of kind %s has no %s", kind, code ? "code" : "target");
  if (!code) return 0;
  free(*name);
  *name = strdup("the code");
  return *name ? 0 : FAIL(e, ERR_EXHAUSTED, "out of memory for a name");
}

static int write_spawn(struct buffer *out, uint32_t id, const struct frame *f, struct error *e) {
  struct field field;
  size_t cursor = 0;
  struct frame_writer w = frame_begin(out, F_SPAWN, id);
  while (frame_next(f, &cursor, &field))
    if (field.key == K_KIND || field.key == K_TARGET || field.key == K_CODE ||
        field.key == K_ARGV || field.key == K_ENV || field.key == K_CWD)
      put_bytes(&w, field.key, field.bytes, field.length);
  put_int(&w, K_FDS, 3);
  return frame_end(&w, e);
}

int process_call(struct connection *c, const struct frame *f, struct error *e) {
  struct agent *a = c->agent;
  cleanup_free char *name = NULL;
  int theirs[3] = {-1, -1, -1};
  int64_t timeout_ms;
  if (check_target(f, &name, e) < 0 || runtime_check(&a->runtime, e) < 0) return -1;
  if (frame_int(f, K_TIMEOUT_MS, 0, 0, TIMEOUT_MAX_MS, &timeout_ms, e) < 0) return -1;
  struct process *p = process_prepare(c, f, theirs, e);
  struct runtime_call call = {.answer = on_answer,
                              .lost = on_lost,
                              .id = runtime_next_id(&a->runtime),
                              .fds = {theirs[0], theirs[1], theirs[2]},
                              .fd_count = 3};
  if (!p || write_spawn(&call.frame, call.id, f, e) < 0) {
    runtime_forget(&call);
    if (p) process_discard(p);
    return -1;
  }
  p->is_call = true;
  p->name = name;
  name = NULL;
  p->call = call;
  process_open(p, c, f->id, timeout_ms);
  runtime_submit(&a->runtime, &p->call);
  return 0;
}
