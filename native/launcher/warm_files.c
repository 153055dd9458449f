#define _GNU_SOURCE
#include "warm_files.h"

#include <stdlib.h>
#include <unistd.h>

#include "launcher.h"

int warm_files_prepare(struct launcher *l, struct template *t, struct error *e) {
  struct warm_files *w = calloc(1, sizeof *w);
  if (!w) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  w->delta = delta_create(l->run_dir, ++l->last_delta, e);
  if (!w->delta) {
    free(w);
    return -1;
  }
  t->warm = w;
  return 0;
}

static int keep(struct warm_files *w, const struct frame *warmed, struct error *e) {
  struct field field;
  size_t cursor = 0;
  struct frame_writer writer = frame_begin(&w->warmed, warmed->type, 0);
  while (frame_next(warmed, &cursor, &field))
    put_bytes(&writer, field.key, field.bytes, field.length);
  return frame_end(&writer, e);
}

int warm_files_freeze(struct launcher *l, struct template *t, const struct frame *warmed,
                      struct error *e) {
  struct warm_files *w = t->warm;
  w->plan = (struct written){t->upper, t->zygote_pid, t->zygote, w->delta->path};
  t->state = T_FREEZING;
  return keep(w, warmed, e) < 0 ? -1 : template_start_job(l, t, written_copy, &w->plan, e);
}

void warm_files_frozen(struct launcher *l, struct template *t, const struct job_result *result) {
  struct error why;
  struct frame warmed;
  struct warm_files *w = t->warm;
  if (result->error.message[0]) {
    // Whom the kernel picks, the copy or the interpreter, is chance.
    if (!template_starved(l, t, &why))
      FAIL(&why, result->error.kind, "keeping what warm-up has written: %.400s",
           result->error.message);
    template_end(t, &why);
    return;
  }
  if (!delta_trim(w->delta)) {
    delta_release(w->delta);
    w->delta = NULL;
  }
  close(t->upper);
  t->upper = -1;
  if (frame_parse(w->warmed.bytes, w->warmed.length, &warmed, &why) != 1) {
    template_end(t, &why);
    return;
  }
  template_ready(l, t, &warmed);
  buffer_free(&w->warmed);
}

void warm_files_free(struct warm_files *w) {
  if (w->delta) delta_release(w->delta);
  buffer_free(&w->warmed);
  free(w);
}
