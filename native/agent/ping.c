// PING_RUNTIME: passed on to the runtime, answered by it.
#include <stdlib.h>

#include "runtime.h"
#include "state.h"

struct ping {
  struct request request;
  struct runtime_call call;
};

static int on_answer(struct runtime_call *call, const struct frame *f, struct error *e) {
  struct ping *p = CONTAINER(call, struct ping, call);
  struct error reason;
  struct field report;
  int64_t pid;
  if (f->type == F_RT_ERROR) {
    runtime_error(f, &reason);
    request_fail(&p->request, &reason);
    return 0;
  }
  if (f->type != F_RT_PONG) return FAIL(e, ERR_INVALID, "frame 0x%02x answers PING", f->type);
  if (frame_int(f, K_PID, call->runtime->pid, 2, INT32_MAX, &pid, e) < 0) return -1;
  struct frame_writer w = request_frame(&p->request, F_PONG);
  put_int(&w, K_RUNTIME, RUNTIME_READY);
  put_int(&w, K_PID, pid);
  if (frame_find(f, K_REPORT, &report)) put_bytes(&w, K_REPORT, report.bytes, report.length);
  request_send(&p->request, &w);
  request_end(&p->request);
  return 0;
}

static void on_lost(struct runtime_call *call, const struct error *reason) {
  request_fail(&CONTAINER(call, struct ping, call)->request, reason);
}

static void on_cancel(struct request *r) {
  struct error e;
  FAIL(&e, ERR_TIMEOUT, "cancelled before the runtime answered");
  request_fail(r, &e);
}

static void on_release(struct request *r) {
  struct ping *p = CONTAINER(r, struct ping, request);
  runtime_forget(&p->call);
  free(p);
}

static const struct request_type ping_type = {
    .cancel = on_cancel,
    .abandon = request_end,
    .release = on_release,
};

int runtime_ping(struct connection *c, const struct frame *f, struct error *e) {
  struct runtime *rt = &c->agent->runtime;
  if (runtime_check(rt, e) < 0) return -1;
  struct ping *p = calloc(1, sizeof *p);
  if (!p) return FAIL(e, ERR_EXHAUSTED, "out of memory for a request");
  p->call = (struct runtime_call){
      .answer = on_answer, .lost = on_lost, .id = runtime_next_id(rt)};
  struct frame_writer w = frame_begin(&p->call.frame, F_RT_PING, p->call.id);
  if (frame_end(&w, e) < 0) {
    runtime_forget(&p->call);
    free(p);
    return -1;
  }
  request_open(&p->request, &ping_type, c, f->id);
  runtime_submit(rt, &p->call);
  return 0;
}
