#define _GNU_SOURCE
#include "branch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "caps.h"
#include "launcher.h"
#include "pids.h"
#include "sys.h"
#include "transplant.h"

static void fail(struct template *t, const struct error *why) {
  struct error e;
  FAIL(&e, why->kind, "branching: %.400s", why->message);
  template_end(t, &e);
}

// --- The request --------------------------------------------------------------------------------

static struct template *root_of(struct launcher *l, struct template *t) {
  return t->branch ? template_find(l, t->branch->root) : t;
}

static int freeze_check(struct branch *b, struct sandbox *s, pid_t pid, struct error *e) {
  b->frozen = pid_in_sandbox(s->pid, pid);
  if (b->frozen <= 0 || b->frozen == s->pid || b->frozen == s->runtime_pid)
    return FAIL(e, ERR_NOT_FOUND, "sandbox %s has no frozen process %d", s->name, pid);
  b->frozen_pidfd = (int)syscall(SYS_pidfd_open, b->frozen, 0);
  // Now that it cannot become another one unseen:
  if (b->frozen_pidfd < 0 || !pid_shares_namespace(b->frozen, s->pid))
    return FAIL(e, ERR_NOT_FOUND, "the frozen process %d of sandbox %s has ended", pid, s->name);
  return 0;
}

static int write_request(struct branch *b, const struct template *root, const char *name,
                         int64_t timeout_ms, struct error *e) {
  struct frame whole;
  struct field field;
  size_t cursor = 0;
  if (frame_parse(root->request_copy.bytes, root->request_copy.length, &whole, e) != 1)
    return FAIL(e, ERR_INTERNAL, "the request of template %s is lost", root->spec.name);
  struct frame_writer w = frame_begin(&b->request, L_TEMPLATE, 0);
  while (frame_next(&whole, &cursor, &field))
    if (field.key != K_NAME && field.key != K_DATA && field.key != K_TIMEOUT_MS)
      put_bytes(&w, field.key, field.bytes, field.length);
  put_text(&w, K_NAME, name);
  put_int(&w, K_TIMEOUT_MS, timeout_ms);
  for (size_t i = 0; i < b->delta_count; i++) put_text(&w, K_DELTA, b->deltas[i]->path);
  return frame_end(&w, e);
}

static int inherit_deltas(struct launcher *l, struct branch *b, const struct template *source,
                          struct error *e) {
  const struct branch *older = source->branch;
  b->links = older ? older->links + 1 : 1;
  if (b->links > BRANCHES_MAX)
    return FAIL(e, ERR_EXHAUSTED, "a chain of branches has at most %d links", BRANCHES_MAX);
  b->deltas[0] = delta_create(l->run_dir, ++l->last_delta, e);
  if (!b->deltas[0]) return -1;
  b->delta_count = 1;
  for (size_t i = 0; older && i < older->delta_count; i++)
    b->deltas[b->delta_count++] = delta_share(older->deltas[i]);
  if (source->warm && source->warm->delta && delta_has_layer(source->warm->delta))
    b->deltas[b->delta_count++] = delta_share(source->warm->delta);
  return 0;
}

static int open_ends(struct branch *b, const struct sandbox *s, struct error *e) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return FAIL_ERRNO(e, "a channel for a new zygote");
  b->near = pair[0];
  b->far = pair[1];
  b->upper = fcntl(s->upper, F_DUPFD_CLOEXEC, 0);
  b->agent_pidfd = fcntl(s->pidfd, F_DUPFD_CLOEXEC, 0);
  return b->upper < 0 || b->agent_pidfd < 0 ? FAIL_ERRNO(e, "holding sandbox %s", s->name) : 0;
}

struct asked {
  char *sandbox, *name;
  int64_t pid, timeout_ms;
};

static int parse(const struct frame *f, struct asked *a, struct error *e) {
  if (required_text(f, K_NAME, "name", &a->sandbox, e) < 0) return -1;
  if (required_text(f, K_TEMPLATE, "template", &a->name, e) < 0) return -1;
  if (check_name("template", a->name, e) < 0) return -1;
  if (frame_int(f, K_PID, 0, 1, INT32_MAX, &a->pid, e) < 0) return -1;
  return frame_int(f, K_TIMEOUT_MS, DEFAULT_TIMEOUT_MS, 1, TIMEOUT_MAX_MS, &a->timeout_ms, e);
}

static int prepare(struct launcher *l, struct branch *b, struct sandbox *s, struct template *root,
                   const struct asked *a, struct error *e) {
  snprintf(b->root, sizeof b->root, "%s", root->spec.name);
  if (freeze_check(b, s, (pid_t)a->pid, e) < 0 || open_ends(b, s, e) < 0 ||
      inherit_deltas(l, b, s->template, e) < 0)
    return -1;
  b->files = (struct written){b->upper, s->pid, b->agent_pidfd, b->deltas[0]->path};
  return write_request(b, root, a->name, a->timeout_ms, e);
}

static int create(struct launcher *l, uint32_t request, struct branch *b, struct error *e) {
  struct frame f;
  struct template_spec spec;
  if (frame_parse(b->request.bytes, b->request.length, &f, e) != 1)
    return FAIL(e, ERR_INTERNAL, "a request that cannot be read");
  if (template_spec_parse(&f, &spec, e) < 0 || template_add(l, request, &spec, b, e) < 0) {
    template_spec_free(&spec);
    return -1;
  }
  return 0;
}

static int begin(struct launcher *l, uint32_t request, const struct asked *a, struct error *e) {
  struct sandbox *s = sandbox_find(l, a->sandbox);
  if (!s || s->state != S_LIVE || s->upper < 0)
    return FAIL(e, ERR_NOT_FOUND, "no sandbox %.64s", a->sandbox);
  struct template *root = root_of(l, s->template);
  if (!root || root->state != T_READY)
    return FAIL(e, ERR_RUNTIME, "the template that sandbox %s descends from has ended", s->name);
  struct branch *b = calloc(1, sizeof *b);
  if (!b) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  *b = (struct branch){.frozen_pidfd = -1, .agent_pidfd = -1, .upper = -1, .near = -1,
                       .far = -1, .log = -1};
  if (prepare(l, b, s, root, a, e) < 0 || create(l, request, b, e) < 0) {
    branch_free(b);
    return -1;
  }
  struct template *t = l->templates; // from here on the request is answered by the template's end
  struct error why;
  char group[NAME_MAX_LENGTH + 4];
  snprintf(group, sizeof group, "t-%s", t->spec.name);
  if (cgroup_create(&l->cgroups, &t->cgroup, group, &t->spec.limits, &why) < 0 ||
      template_start_job(l, t, written_copy, &b->files, &why) < 0)
    fail(t, &why);
  return 0;
}

int branch_begin(struct launcher *l, const struct frame *f, struct error *e) {
  struct asked a = {0};
  int done = parse(f, &a, e);
  if (done == 0) done = begin(l, f->id, &a, e);
  free(a.sandbox);
  free(a.name);
  return done;
}

// --- The zygote ---------------------------------------------------------------------------------

void branch_started(struct launcher *l, struct template *t) {
  t->branch->step = B_SEED_DUE;
  branch_tick(l, t);
}

// 1: sent; 0: again later; -1: failed.
static int send_seed(struct launcher *l, struct template *root, struct template *t,
                     struct error *e) {
  struct branch *b = t->branch;
  int fds[3 + C_COUNT] = {t->zygote, b->far, b->log};
  char name[NAME_MAX_LENGTH + 8];
  size_t count;
  cleanup_buffer struct buffer frame = {0};
  if (cgroup_open_entries(&l->cgroups, &t->cgroup, fds + 3, &count, e) < 0) return -1;
  snprintf(name, sizeof name, BRANCH_PREFIX "%s", t->spec.name);
  b->serial = ++l->last_serial;
  struct frame_writer w = frame_begin(&frame, Z_SEED, b->serial);
  put_text(&w, K_NAME, name);
  put_int(&w, K_BYTES, (int64_t)CAPS_ZYGOTE);
  put_int(&w, K_FDS, (int64_t)(3 + count));
  int sent = frame_end(&w, e);
  if (sent == 0)
    sent = channel_try_send_with_fds(&root->zygote_channel, &frame, fds, 3 + count, e);
  while (count) close(fds[3 + --count]);
  return sent;
}

void branch_tick(struct launcher *l, struct template *t) {
  struct error e;
  struct branch *b = t->branch;
  if (b->step != B_SEED_DUE || t->state != T_WARMING) return;
  struct template *root = template_find(l, b->root);
  int sent = root && root->state == T_READY
                 ? send_seed(l, root, t, &e)
                 : FAIL(&e, ERR_RUNTIME, "the template that it descends from has ended");
  if (sent < 0) fail(t, &e);
  if (sent <= 0) return;
  b->step = B_SEEDING;
  root->seeds_owed++;
  close(b->far);
  close(b->log);
  b->far = b->log = -1;
}

static struct template *of_serial(struct launcher *l, uint32_t serial) {
  for (struct template *t = l->templates; t; t = t->next)
    if (t->branch && t->branch->serial == serial && t->state == T_WARMING) return t;
  return NULL;
}

static void copy_memory(const void *plan, struct job_result *result) {
  const struct template *t = plan;
  struct transplanted told;
  const struct held from = {t->branch->frozen, t->branch->frozen_pidfd};
  const struct held to = {t->zygote_pid, t->zygote};
  if (transplant(&from, &to, &told, &result->error) < 0) return;
  result->copied = told.pages * 4096;
  result->resident = told.resident;
}

static void begin_transplant(struct template *t) {
  struct error e;
  struct branch *b = t->branch;
  if (b->step != B_SEEDING || !b->entered || !b->parked) return;
  b->step = B_TRANSPLANT;
  if (job_start(&t->job, copy_memory, t, NULL, 0, &e) < 0) fail(t, &e);
}

// The zygote's word is checked: a process that is not where it should be is none of ours.
static int take_zygote(struct template *root, struct template *t, pid_t pid, struct error *e) {
  pid_t here = pid_from_namespace(root->pid_namespace, root->zygote_pid, pid);
  cleanup_fd int pidfd = here > 0 ? (int)syscall(SYS_pidfd_open, here, 0) : -1;
  if (pidfd < 0 || here == t->zygote_pid || !pid_shares_namespace(here, t->zygote_pid))
    return FAIL(e, ERR_RUNTIME, "the new zygote is not where it should be");
  close(t->zygote); // of the stand-in, which lives on and keeps the namespaces
  t->zygote = steal_fd(&pidfd);
  t->zygote_pid = here;
  return 0;
}

bool branch_entered(struct launcher *l, struct template *root, const struct frame *f) {
  struct error e;
  int64_t pid;
  if (root->seeds_owed == 0 || frame_int(f, K_PID, 1, 1, INT32_MAX, &pid, &e) < 0) return false;
  root->seeds_owed--;
  struct template *t = of_serial(l, f->id);
  if (!t || t->branch->entered) return true; // it has ended meanwhile, with all its processes
  t->branch->entered = true;
  if (take_zygote(root, t, (pid_t)pid, &e) < 0) fail(t, &e);
  else begin_transplant(t);
  return true;
}

bool branch_refused(struct launcher *l, struct template *root, const struct frame *f,
                    const struct error *why) {
  if (root->seeds_owed == 0) return false;
  root->seeds_owed--;
  struct template *t = of_serial(l, f->id);
  if (t) fail(t, why);
  return true;
}

int branch_parked(struct template *t, struct error *e) {
  if (!t->branch || t->branch->step != B_SEEDING || t->branch->parked)
    return FAIL(e, ERR_INVALID, "PARKED unasked");
  t->branch->parked = true;
  begin_transplant(t);
  return 0;
}

bool branch_left(struct launcher *l, const char *name) {
  size_t n = strlen(BRANCH_PREFIX);
  if (strncmp(name, BRANCH_PREFIX, n) != 0) return false;
  struct template *t = template_find(l, name + n);
  if (t && t->branch) template_barren(l, t);
  return true;
}

// --- Steps --------------------------------------------------------------------------------------

static void files_copied(struct launcher *l, struct template *t) {
  static const char line[] = "files copied\n";
  struct error e;
  struct frame f;
  struct branch *b = t->branch;
  b->step = B_BUILDING;
  close(b->upper);
  b->upper = -1;
  reply_log(l, t->request, line, sizeof line - 1); // the sandbox may go on
  if (frame_parse(b->request.bytes, b->request.length, &f, &e) != 1 ||
      template_start(l, t, &f, &e) < 0)
    fail(t, &e);
}

void branch_job(struct launcher *l, struct template *t, const struct job_result *result) {
  struct branch *b = t->branch;
  b->copied += result->copied;
  if (result->error.message[0]) {
    fail(t, &result->error);
  } else if (b->step == B_FILES) {
    files_copied(l, t);
  } else {
    b->resident = result->resident;
    b->step = B_DONE;
    sys_pidfd_kill(b->frozen_pidfd, SIGKILL);
  }
}

void branch_stop(struct branch *b) {
  if (b->frozen_pidfd >= 0) sys_pidfd_kill(b->frozen_pidfd, SIGKILL);
}

static void close_if(int fd) {
  if (fd >= 0) close(fd);
}

void branch_free(struct branch *b) {
  for (size_t i = 0; i < b->delta_count; i++) delta_release(b->deltas[i]);
  if (b->frozen_pidfd >= 0) sys_pidfd_kill(b->frozen_pidfd, SIGKILL);
  close_if(b->frozen_pidfd);
  close_if(b->agent_pidfd);
  close_if(b->upper);
  close_if(b->near);
  close_if(b->far);
  close_if(b->log);
  buffer_free(&b->request);
  free(b);
}
