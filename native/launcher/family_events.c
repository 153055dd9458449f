// What comes from a template's processes. The warm-up is the user's code and may have taken over
// the warden: every frame is checked as one of a stranger, and one that is wrong ends the family.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "launcher.h"
#include "pids.h"
#include "rlimits.h"
#include "sys.h"

// One turn of one channel; what is left makes the next poll return at once.
enum { LOG_CHUNK = 32768, LOG_CHUNKS_PER_TURN = 8, READS_PER_TURN = 32 };

static void keep_tail(struct template *t, const char *bytes, size_t n) {
  if (n > TAIL_MAX) {
    bytes += n - TAIL_MAX;
    n = TAIL_MAX;
  }
  size_t keep = t->tail_length + n > TAIL_MAX ? TAIL_MAX - n : t->tail_length;
  memmove(t->tail, t->tail + t->tail_length - keep, keep);
  memcpy(t->tail + keep, bytes, n);
  t->tail_length = keep + n;
}

void hear_log(struct launcher *l, struct template *t) {
  char chunk[LOG_CHUNK];
  for (int i = 0; t->log >= 0 && i < LOG_CHUNKS_PER_TURN; i++) {
    ssize_t n = read(t->log, chunk, sizeof chunk);
    if (n < 0) return; // nothing there
    if (n == 0) {
      close(t->log);
      t->log = -1;
      return;
    }
    keep_tail(t, chunk, (size_t)n);
    size_t left = LOG_MAX - t->logged;
    size_t pass = (size_t)n < left ? (size_t)n : left;
    if (t->request && pass) reply_log(l, t->request, chunk, pass);
    t->logged += pass;
  }
}

static int read_ending(const struct frame *f, struct ending *end, struct error *e) {
  int64_t code, signal;
  if (frame_int(f, K_EXIT_CODE, -1, 0, 255, &code, e) < 0) return -1;
  if (frame_int(f, K_SIGNAL, -1, 1, 64, &signal, e) < 0) return -1;
  *end = (struct ending){(int)code, (int)signal};
  return 0;
}

static enum error_kind kind_of(const struct frame *f) {
  struct field kind;
  if (!frame_find(f, K_KIND, &kind)) return ERR_RUNTIME;
  for (enum error_kind k = ERR_INTERNAL; k <= ERR_IO; k++) {
    const char *name = error_kind_name(k);
    if (strlen(name) == kind.length && memcmp(name, kind.bytes, kind.length) == 0) return k;
  }
  return ERR_RUNTIME;
}

static struct error failure_of(const struct frame *f) {
  struct error e = {.kind = kind_of(f)};
  struct field message;
  if (!frame_find(f, K_MESSAGE, &message) || message.length == 0)
    snprintf(e.message, sizeof e.message, "failed without a message");
  else
    snprintf(e.message, sizeof e.message, "%.*s", (int)message.length,
             (const char *)message.bytes);
  return e;
}

static void broken(struct template *t, const char *who, const struct error *why) {
  struct error e;
  FAIL(&e, ERR_RUNTIME, "the %s of template %s broke the protocol: %.300s", who, t->spec.name,
       why->message);
  template_end(t, &e);
}

bool template_starved(struct launcher *l, const struct template *t, struct error *why) {
  if (cgroup_oom_kills(&l->cgroups, &t->cgroup) <= 0) return false;
  FAIL(why, ERR_RUNTIME,
       "the kernel ended the interpreter for want of memory before it was warm (what warm-up has "
       "written counts twice while it is copied); limit: %lld bytes",
       (long long)t->spec.limits.memory_bytes);
  return true;
}

// Why it ended before it could be forked.
static void untimely(struct launcher *l, const struct template *t, struct error *why) {
  if (template_starved(l, t, why)) return;
  if (t->end.exit_code >= 0)
    FAIL(why, ERR_RUNTIME, "the interpreter ended with exit code %d before it was warm",
         t->end.exit_code);
  else FAIL(why, ERR_RUNTIME, "signal %d ended the interpreter before it was warm", t->end.signal);
}

void template_barren(struct launcher *l, struct template *t) {
  struct error why;
  t->zygote_alive = false;
  FAIL(&why, ERR_RUNTIME, "the warm interpreter of template %s has ended", t->spec.name);
  if (t->state < T_READY) {
    untimely(l, t, &why);
    template_end(t, &why);
    return;
  }
  if (t->state != T_READY) return;
  t->state = T_BARREN;
  t->failure = why;
  t->oom_kills = cgroup_oom_kills(&l->cgroups, &t->cgroup);
  tell_template_ended(l, t);
  t->end_told = true;
  for (struct sandbox *s = t->sandboxes; s; s = s->next)
    if (s->state < S_LIVE) sandbox_end(s, &why);
}

void template_ready(struct launcher *l, struct template *t, const struct frame *warmed) {
  t->state = T_READY;
  reply_template_ready(l, t, warmed);
  t->request = 0;
}

static void hear_warmed(struct launcher *l, struct template *t, const struct frame *f) {
  if (t->state != T_WARMING) return;
  for (int i = 0; i < LOG_MAX / LOG_CHUNK / LOG_CHUNKS_PER_TURN; i++) hear_log(l, t);
  if (t->warm) {
    struct error why;
    if (warm_files_freeze(l, t, f, &why) < 0) template_end(t, &why);
    return;
  }
  template_ready(l, t, f);
}

static int hear_entered(struct launcher *l, struct template *t, const struct frame *f,
                        struct error *e) {
  int64_t pid;
  struct sandbox *s = sandbox_of_serial(t, f->id);
  if (!s && branch_entered(l, t, f)) return 0;
  if (!s || !s->zygote_owes || s->inner_pid) return FAIL(e, ERR_INVALID, "ENTERED unasked");
  if (frame_int(f, K_PID, 1, 1, INT32_MAX, &pid, e) < 0) return -1;
  s->inner_pid = (pid_t)pid;
  s->runtime_pid = pid_from_namespace(t->pid_namespace, t->zygote_pid, s->inner_pid);
  if (s->state != S_ENTERING) return 0;
  struct error why;
  if (rlimits_stand_in(&l->cgroups, s->runtime_pid, &s->batch->spec.limits, &why) < 0)
    sandbox_end(s, &why);
  else
    s->state = S_LIVE;
  return 0;
}

// Told a little later: if the agent died first, its end is what the daemon hears of.
static void lose_runtime(struct sandbox *s) {
  s->template->progress = now_ms();
  s->zygote_owes = false;
  s->inner_pid = 0;
  if (s->state != S_LIVE) return; // then the deadline is that of its end
  s->runtime_lost = true;
  s->deadline = now_ms() + LOST_TOLD_AFTER_MS;
}

static int hear_orphan(struct template *t, const struct frame *f, struct error *e) {
  for (struct sandbox *s = t->sandboxes; s; s = s->next) {
    if (s->inner_pid == 0 || (uint32_t)s->inner_pid != f->id) continue;
    if (read_ending(f, &s->runtime_end, e) < 0) return -1;
    lose_runtime(s);
  }
  return 0;
}

static int hear_left(struct launcher *l, struct template *t, const struct frame *f,
                     struct error *e) {
  cleanup_free char *name = NULL;
  if (required_text(f, K_NAME, "name", &name, e) < 0) return -1;
  if (branch_left(l, name)) return 0;
  for (struct sandbox *s = t->sandboxes; s; s = s->next) {
    if (strcmp(s->name, name) != 0 || s->state == S_GONE) continue;
    if (read_ending(f, &s->runtime_end, e) < 0) return -1;
    lose_runtime(s);
    return 0;
  }
  return 0;
}

static int hear_zygote_error(struct launcher *l, struct template *t, const struct frame *f,
                             struct error *e) {
  struct error why = failure_of(f);
  struct sandbox *s = sandbox_of_serial(t, f->id);
  if (!s && branch_refused(l, t, f, &why)) return 0;
  if (t->state < T_READY) {
    if (frame_text(f, K_TRACEBACK, &t->traceback, e) < 0) return -1;
    template_end(t, &why);
  } else if (s && s->state == S_ENTERING) {
    s->zygote_owes = false;
    sandbox_end(s, &why);
  } else if (s) {
    s->zygote_owes = false;
  }
  return 0;
}

static int zygote_frame(struct launcher *l, struct template *t, const struct frame *f,
                        struct error *e) {
  switch (f->type) {
    case Z_WARMED: hear_warmed(l, t, f); return 0;
    case Z_ENTERED: return hear_entered(l, t, f, e);
    case Z_PARKED: return branch_parked(t, e);
    case Z_LEFT: return hear_left(l, t, f, e);
    case F_ERROR: return hear_zygote_error(l, t, f, e);
    default: return FAIL(e, ERR_INVALID, "frame type 0x%02x", f->type);
  }
}

void hear_zygote(struct launcher *l, struct template *t) {
  struct error e;
  struct frame f;
  int state, got = 1;
  for (int i = 0; i < READS_PER_TURN && got == 1; i++) {
    got = channel_read(&t->zygote_channel, &e);
    while ((state = channel_frame(&t->zygote_channel, &f, &e)) == 1) {
      if (zygote_frame(l, t, &f, &e) < 0) {
        broken(t, "zygote", &e);
        return;
      }
      channel_done(&t->zygote_channel, &f);
    }
    if (state < 0) {
      broken(t, "zygote", &e);
      return;
    }
    // It has no business with descriptors; a stock of them would be its to grow.
    for (int fd; (fd = channel_take_fd(&t->zygote_channel)) >= 0;) close(fd);
  }
  // The reason for its end comes from the warden, with a status.
  if (got < 0) channel_close(&t->zygote_channel);
}

static int hear_started(struct launcher *l, struct template *t, struct error *e) {
  char path[48];
  if (t->state != T_BUILDING) return FAIL(e, ERR_INVALID, "STARTED twice");
  t->zygote = channel_take_fd(&t->warden);
  t->upper = channel_take_fd(&t->warden);
  if (t->zygote < 0 || t->upper < 0)
    return FAIL(e, ERR_INVALID, "STARTED without a process and its files");
  t->zygote_pid = pid_of_pidfd(t->zygote);
  snprintf(path, sizeof path, "/proc/%d/ns/pid", t->zygote_pid);
  t->pid_namespace = open(path, O_RDONLY | O_CLOEXEC);
  t->zygote_alive = true;
  t->state = T_WARMING;
  // One that has just ended will be told with a better reason.
  if (rlimits_stand_in(&l->cgroups, t->zygote_pid, &t->spec.limits, e) < 0 &&
      sys_pidfd_alive(t->zygote))
    return -1;
  if (!t->spec.argv[0]) hear_warmed(l, t, &(struct frame){0});
  if (t->branch) branch_started(l, t);
  return 0;
}

static int hear_created(struct launcher *l, struct template *t, struct sandbox *s,
                        struct error *e) {
  struct error why;
  cleanup_fd int pidfd = channel_take_fd(&t->warden), upper = channel_take_fd(&t->warden);
  if (pidfd < 0 || upper < 0 || !s || !s->agent_alive || s->pidfd >= 0)
    return FAIL(e, ERR_INVALID, "CREATED unasked");
  s->pid = pid_of_pidfd(pidfd);
  s->pidfd = steal_fd(&pidfd);
  s->upper = steal_fd(&upper);
  if (s->state == S_CREATING &&
      rlimits_stand_in(&l->cgroups, s->pid, &s->batch->spec.limits, &why) < 0)
    sandbox_end(s, &why);
  else if (s->state == S_CREATING && !t->spec.argv[0]) sandbox_without_runtime(s);
  else if (s->state == S_CREATING) s->state = S_CREATED;
  else sys_pidfd_kill(s->pidfd, SIGKILL);
  return 0;
}

static int hear_agent_end(struct sandbox *s, const struct frame *f, struct error *e) {
  struct error why;
  if (!s || !s->agent_alive) return FAIL(e, ERR_INVALID, "the end of an unknown agent");
  if (read_ending(f, &s->agent_end, e) < 0) return -1;
  s->template->progress = now_ms();
  s->agent_alive = false;
  if (s->agent_end.signal > 0)
    FAIL(&why, ERR_RUNTIME, "signal %d ended the agent", s->agent_end.signal);
  else
    FAIL(&why, ERR_RUNTIME, "the agent ended with exit code %d", s->agent_end.exit_code);
  sandbox_end(s, &why);
  return 0;
}

static int hear_create_failed(struct sandbox *s, const struct frame *f, struct error *e) {
  struct error why = failure_of(f);
  if (!s || !s->agent_alive || s->pidfd >= 0) return FAIL(e, ERR_INVALID, "FAILED unasked");
  s->agent_alive = false;
  sandbox_end(s, &why);
  return 0;
}

static int warden_frame(struct launcher *l, struct template *t, const struct frame *f,
                        struct error *e) {
  struct sandbox *s = sandbox_of_serial(t, f->id);
  struct error why;
  switch (f->type) {
    case W_STARTED: return hear_started(l, t, e);
    case W_CREATED: return hear_created(l, t, s, e);
    case W_FAILED: return hear_create_failed(s, f, e);
    case W_ENDED: return hear_agent_end(s, f, e);
    case W_ORPHAN_ENDED: return hear_orphan(t, f, e);
    case W_ZYGOTE_ENDED:
      if (read_ending(f, &t->end, e) < 0) return -1;
      hear_zygote(l, t); // its last words
      hear_log(l, t);
      template_barren(l, t);
      return 0;
    case F_ERROR:
      why = failure_of(f);
      template_end(t, &why);
      return 0;
    default: return FAIL(e, ERR_INVALID, "frame type 0x%02x", f->type);
  }
}

void hear_warden(struct launcher *l, struct template *t) {
  struct error e;
  struct frame f;
  int state, got = 1;
  for (int i = 0; i < READS_PER_TURN && got == 1; i++) {
    got = channel_read(&t->warden, &e);
    while ((state = channel_frame(&t->warden, &f, &e)) == 1) {
      if (warden_frame(l, t, &f, &e) < 0) {
        broken(t, "warden", &e);
        channel_close(&t->warden); // its end would not be read behind that frame
        return;
      }
      channel_done(&t->warden, &f);
    }
    if (state < 0) {
      broken(t, "warden", &e);
      channel_close(&t->warden);
      return;
    }
  }
  if (got < 0) channel_close(&t->warden);
}

void hear_holder(struct launcher *l, struct template *t) {
  siginfo_t info = {.si_pid = 0};
  struct error why;
  if (waitid(P_PIDFD, (id_t)t->holder, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0) return;
  t->holder_alive = false;
  hear_log(l, t);
  hear_warden(l, t); // may tell why
  hear_zygote(l, t);
  if (t->end.exit_code < 0 && t->end.signal < 0) {
    // The holder passes the warden's end on as a shell does: 128 + signal.
    int status = info.si_status;
    bool exited = info.si_code == CLD_EXITED && status < 128;
    t->end = (struct ending){exited ? status : -1, exited ? -1 : status & 127};
  }
  FAIL(&why, ERR_RUNTIME, "the processes of template %s ended unexpectedly", t->spec.name);
  template_end(t, &why);
}
