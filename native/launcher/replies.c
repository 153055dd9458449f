#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"

static void finish(struct launcher *l, struct frame_writer *w) {
  struct error e;
  if (frame_end(w, &e) == 0) {
    // Nobody listens: the next daemon asks for a list.
    if (l->daemon.out < 0) l->daemon.output.length = 0;
    return;
  }
  // A lost answer would leave the daemon waiting; it restarts a launcher that ends.
  dprintf(2, "event=reply_failed message=\"%s\"\n", e.message);
  l->stopping = true;
}

static void put_failure(struct frame_writer *w, const struct error *why) {
  put_text(w, K_KIND, error_kind_name(why->kind));
  put_text(w, K_MESSAGE, why->message);
}

static void put_ending(struct frame_writer *w, const struct ending *end) {
  if (end->exit_code >= 0) put_int(w, K_EXIT_CODE, end->exit_code);
  if (end->signal >= 0) put_int(w, K_SIGNAL, end->signal);
}

// Output of a program may be cut within a character and hold anything: a text must not.
static char *as_text(const char *bytes, size_t n) {
  char *text = malloc(n + 1);
  if (!text) return NULL;
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)bytes[i];
    size_t more = c < 0x80 ? 0 : c >= 0xC2 && c < 0xE0 ? 1 : c >= 0xE0 && c < 0xF0 ? 2 : 3;
    bool good = c != 0 && (c < 0x80 || (c >= 0xC2 && c < 0xE0 && n - i > 1) ||
                           (c >= 0xE1 && c < 0xED && n - i > 2));
    for (size_t j = 1; good && j <= more; j++) good = ((unsigned char)bytes[i + j] & 0xC0) == 0x80;
    text[i] = good ? bytes[i] : '?';
    for (size_t j = 1; good && j <= more; j++) text[i + j] = bytes[i + j];
    if (good) i += more;
  }
  text[n] = 0;
  return text;
}

static void put_message_and_tail(struct frame_writer *w, const struct template *t) {
  char *tail = as_text(t->tail, t->tail_length);
  char *message = NULL;
  bool some = tail && *tail;
  if (asprintf(&message, "%s%s%s", t->failure.message, some ? "\n" : "", some ? tail : "") >= 0)
    put_text(w, K_MESSAGE, message);
  free(message);
  free(tail);
}

void reply_error(struct launcher *l, uint32_t id, const struct error *why) {
  struct frame_writer w = frame_begin(&l->daemon.output, F_ERROR, id);
  put_failure(&w, why);
  if (why->err) put_int(&w, K_ERRNO, why->err);
  finish(l, &w);
}

void reply_empty(struct launcher *l, uint32_t id, uint8_t type) {
  struct frame_writer w = frame_begin(&l->daemon.output, type, id);
  finish(l, &w);
}

void reply_log(struct launcher *l, uint32_t id, const void *bytes, size_t n) {
  struct frame_writer w = frame_begin(&l->daemon.output, L_LOG, id);
  put_bytes(&w, K_DATA, bytes, n);
  finish(l, &w);
}

void reply_template_ready(struct launcher *l, const struct template *t,
                          const struct frame *warmed) {
  struct field report;
  struct frame_writer w = frame_begin(&l->daemon.output, L_TEMPLATE_READY, t->request);
  put_int(&w, K_PID, t->zygote_pid);
  if (t->branch) {
    put_int(&w, K_BYTES, t->branch->copied);
    put_int(&w, K_RESIDENT, t->branch->resident);
  }
  if (frame_find(warmed, K_REPORT, &report)) put_bytes(&w, K_REPORT, report.bytes, report.length);
  finish(l, &w);
}

void reply_template_failed(struct launcher *l, const struct template *t) {
  struct frame_writer w = frame_begin(&l->daemon.output, F_ERROR, t->request);
  put_text(&w, K_KIND, error_kind_name(t->failure.kind));
  put_message_and_tail(&w, t);
  if (t->traceback) put_text(&w, K_TRACEBACK, t->traceback);
  finish(l, &w);
}

static void put_outcome(struct frame_writer *w, const char *name, const struct outcome *outcome) {
  cleanup_buffer struct buffer nested = {0};
  struct frame_writer inner = frame_begin(&nested, 0, 0);
  put_text(&inner, K_NAME, name);
  if (outcome->failure.message[0]) {
    put_failure(&inner, &outcome->failure);
  } else {
    put_int(&inner, K_PID, outcome->pid);
    if (outcome->runtime_pid > 0) put_int(&inner, K_RUNTIME_PID, outcome->runtime_pid);
  }
  put_nested(w, K_OUTCOME, &inner);
}

void reply_forked(struct launcher *l, const struct batch *b) {
  struct frame_writer w = frame_begin(&l->daemon.output, L_FORKED, b->request);
  for (size_t i = 0; i < b->spec.count; i++)
    put_outcome(&w, b->spec.children[i].name, &b->outcomes[i]);
  finish(l, &w);
}

void tell_sandbox_ended(struct launcher *l, const struct sandbox *s) {
  struct frame_writer w = frame_begin(&l->daemon.output, L_SANDBOX_ENDED, 0);
  put_text(&w, K_NAME, s->name);
  put_ending(&w, &s->agent_end);
  put_int(&w, K_OOM_KILLS, s->oom_kills);
  if (s->failure.message[0]) put_text(&w, K_MESSAGE, s->failure.message);
  finish(l, &w);
}

void tell_runtime_lost(struct launcher *l, struct sandbox *s) {
  struct frame_writer w = frame_begin(&l->daemon.output, L_RUNTIME_LOST, 0);
  put_text(&w, K_NAME, s->name);
  put_ending(&w, &s->runtime_end);
  put_int(&w, K_OOM_KILLS, cgroup_oom_kills(&l->cgroups, &s->cgroup));
  finish(l, &w);
  s->runtime_lost = false;
}

void tell_template_ended(struct launcher *l, const struct template *t) {
  struct frame_writer w = frame_begin(&l->daemon.output, L_TEMPLATE_ENDED, 0);
  put_text(&w, K_NAME, t->spec.name);
  put_ending(&w, &t->end);
  put_int(&w, K_OOM_KILLS, t->oom_kills);
  put_message_and_tail(&w, t);
  finish(l, &w);
}
