#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "family.h"
#include "launcher.h"
#include "sys.h"
#include "userns.h"

struct template *template_find(struct launcher *l, const char *name) {
  struct template *t = l->templates;
  while (t && (t->state == T_GONE || strcmp(t->spec.name, name) != 0)) t = t->next;
  return t;
}

// Both ends of what connects the launcher to a family; a pair is {launcher's end, family's end}.
struct links {
  int warden[2], zygote[2], log[2];
};

static void close_pair(int pair[2]) {
  for (int i = 0; i < 2; i++)
    if (pair[i] >= 0) close(pair[i]);
  pair[0] = pair[1] = -1;
}

static void links_close(struct links *links) {
  close_pair(links->warden);
  close_pair(links->zygote);
  close_pair(links->log);
}

static int links_open(struct links *links, struct error *e) {
  *links = (struct links){{-1, -1}, {-1, -1}, {-1, -1}};
  const int type = SOCK_STREAM | SOCK_CLOEXEC;
  if (socketpair(AF_UNIX, type, 0, links->warden) < 0 ||
      socketpair(AF_UNIX, type, 0, links->zygote) < 0 || pipe2(links->log, O_CLOEXEC) < 0)
    return FAIL_ERRNO(e, "making the channels of a template");
  // Only the launcher's end of the pipe: a program expects its output to block.
  return fcntl(links->log[0], F_SETFL, O_NONBLOCK) < 0 ? FAIL_ERRNO(e, "fcntl of a pipe") : 0;
}

struct nested {
  int holder, error; // a pidfd, or -1 and why
};

// A process whose next child is in another pid namespace. The launcher must not be it: without the
// host's privilege nobody comes back from there.
static _Noreturn void clone_there(struct launcher *l, const struct template *root, int told,
                                  const int *fds, size_t count) {
  struct nested nested = {-1, 0};
  pid_t pid = setns(root->pid_namespace, CLONE_NEWPID);
  // The launcher's child, and its descriptor in the table that is shared with the launcher.
  if (pid == 0) pid = sys_clone(CLONE_NEWNS | CLONE_PARENT, &nested.holder);
  if (pid == 0) holder_exec(l->exe, fds, count);
  if (pid < 0) nested.error = errno;
  _exit(write(told, &nested, sizeof nested) == sizeof nested ? 0 : 1);
}

// In the pid namespace of the template that a branch descends from: what its zygote forks can only
// enter namespaces below its own.
static int clone_nested(struct launcher *l, struct template *t, const struct template *root,
                        const int *fds, size_t count) {
  int told[2];
  struct nested nested = {-1, ECHILD};
  if (pipe2(told, O_CLOEXEC) < 0) return -1;
  pid_t between = sys_clone(CLONE_FILES, NULL);
  if (between == 0) clone_there(l, root, told[1], fds, count);
  while (between > 0 && waitpid(between, NULL, 0) < 0 && errno == EINTR) {
  }
  close(told[1]); // not sooner: the table is shared
  if (read(told[0], &nested, sizeof nested) < 0) nested.error = errno;
  close(told[0]);
  t->holder = nested.holder;
  errno = nested.error;
  return t->holder < 0 ? -1 : 0;
}

// User namespace U of the new family; a branch makes one of its own below it.
static int open_userns(struct launcher *l, struct template *t, struct error *e) {
  if (!t->branch) return t->userns = userns_create(t->spec.ids, e);
  const struct template *root = template_find(l, t->branch->root);
  if (!root || root->state >= T_ENDING)
    return FAIL(e, ERR_RUNTIME, "the template that it descends from has ended");
  t->userns = fcntl(root->userns, F_DUPFD_CLOEXEC, 0);
  return t->userns < 0 ? FAIL_ERRNO(e, "the user namespace of %s", root->spec.name) : 0;
}

static int clone_holder(struct launcher *l, struct template *t, const struct links *links,
                        size_t *entries, struct error *e) {
  if (open_userns(l, t, e) < 0) return -1;
  int userns = t->userns;
  const size_t fixed = HOLDER_ENTRIES - HOLDER_USERNS;
  int fds[HOLDER_ENTRIES + C_COUNT] = {userns, links->warden[1], links->zygote[1], links->log[1]};
  if (cgroup_open_entries(&l->cgroups, &t->cgroup, fds + fixed, entries, e) < 0) return -1;
  pid_t pid;
  if (t->branch) {
    pid = clone_nested(l, t, template_find(l, t->branch->root), fds, fixed + *entries);
  } else {
    pid = sys_clone(CLONE_NEWPID | CLONE_NEWNS, &t->holder);
    if (pid == 0) holder_exec(l->exe, fds, fixed + *entries);
  }
  for (size_t i = 0; i < *entries; i++) close(fds[fixed + i]);
  if (pid < 0) return FAIL_ERRNO(e, "cloning the holder of %s", t->spec.name);
  t->holder_alive = true;
  return 0;
}

// The daemon's own request, with what the holder cannot know.
static int send_spec(struct launcher *l, struct template *t, const struct frame *request,
                     size_t entries, struct error *e) {
  struct field field;
  size_t cursor = 0;
  struct frame_writer w = frame_begin(&t->warden.output, L_TEMPLATE, 0);
  while (frame_next(request, &cursor, &field))
    if (field.key != K_DATA && field.key != K_RUN_DIR && field.key != K_FDS &&
        field.key != K_WARM)
      put_bytes(&w, field.key, field.bytes, field.length);
  put_text(&w, K_RUN_DIR, l->run_dir);
  if (t->warm) put_text(&w, K_WARM, t->warm->delta->path);
  put_int(&w, K_FDS, (int64_t)entries);
  return frame_end(&w, e);
}

static int send_warm_up(struct template *t, struct error *e) {
  if (!t->spec.argv[0] || t->branch) return 0;
  struct frame_writer w = frame_begin(&t->zygote_channel.output, Z_WARM, 1);
  put_bytes(&w, K_DATA, t->spec.warm_up, t->spec.warm_up_length);
  return frame_end(&w, e);
}

static int connect_family(struct launcher *l, struct template *t, const struct frame *request,
                          size_t entries, struct links *links, struct error *e) {
  if (t->branch) { // its zygote comes later, by another way, and a stand-in holds these
    t->branch->log = steal_fd(&links->log[1]);
    close(links->zygote[0]);
    links->zygote[0] = steal_fd(&t->branch->near);
  }
  close(links->warden[1]);
  close(links->zygote[1]);
  if (links->log[1] >= 0) close(links->log[1]);
  links->warden[1] = links->zygote[1] = links->log[1] = -1;
  t->log = steal_fd(&links->log[0]);
  int warden = steal_fd(&links->warden[0]), zygote = steal_fd(&links->zygote[0]);
  if (channel_open(&t->warden, warden, warden, e) < 0) return -1;
  if (channel_open(&t->zygote_channel, zygote, zygote, e) < 0) return -1;
  if (send_spec(l, t, request, entries, e) < 0) return -1;
  return send_warm_up(t, e);
}

int template_start(struct launcher *l, struct template *t, const struct frame *request,
                   struct error *e) {
  struct links links;
  size_t entries;
  t->state = T_BUILDING;
  int done = links_open(&links, e);
  if (done == 0) done = clone_holder(l, t, &links, &entries, e);
  if (done == 0) done = connect_family(l, t, request, entries, &links, e);
  links_close(&links);
  return done;
}

static size_t count_templates(const struct launcher *l) {
  size_t n = 0;
  for (const struct template *t = l->templates; t; t = t->next) n++;
  return n;
}

int template_add(struct launcher *l, uint32_t request, struct template_spec *spec,
                 struct branch *branch, struct error *e) {
  if (template_find(l, spec->name))
    return FAIL(e, ERR_EXISTS, "a template %s exists already", spec->name);
  if (count_templates(l) >= TEMPLATES_MAX)
    return FAIL(e, ERR_EXHAUSTED, "there are %d templates already", TEMPLATES_MAX);
  struct template *t = calloc(1, sizeof *t);
  if (!t) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  t->spec = *spec;
  t->branch = branch;
  t->request = request;
  t->deadline = now_ms() + spec->timeout_ms;
  t->holder = t->zygote = t->pid_namespace = t->userns = t->log = t->upper = -1;
  t->job = (struct job){-1, -1};
  t->warden = t->zygote_channel = (struct channel){.in = -1, .out = -1};
  t->end = (struct ending){-1, -1};
  t->next = l->templates;
  l->templates = t;
  *spec = (struct template_spec){0};
  return 0;
}

static int keep_request(struct template *t, const struct frame *f, struct error *e) {
  struct field field;
  size_t cursor = 0;
  struct frame_writer w = frame_begin(&t->request_copy, f->type, 0);
  while (frame_next(f, &cursor, &field))
    if (field.key != K_DATA) put_bytes(&w, field.key, field.bytes, field.length);
  return frame_end(&w, e);
}

int template_create(struct launcher *l, const struct frame *request, struct template_spec *spec,
                    struct error *e) {
  struct error why;
  char group[NAME_MAX_LENGTH + 4];
  if (template_add(l, request->id, spec, NULL, e) < 0) return -1;
  struct template *t = l->templates;
  snprintf(group, sizeof group, "t-%s", t->spec.name);
  // From here on the request is answered when the template has been taken down again.
  if (keep_request(t, request, &why) < 0 ||
      cgroup_create(&l->cgroups, &t->cgroup, group, &t->spec.limits, &why) < 0 ||
      (t->spec.argv[0] && warm_files_prepare(l, t, &why) < 0) ||
      template_start(l, t, request, &why) < 0)
    template_end(t, &why);
  return 0;
}

void template_end(struct template *t, const struct error *why) {
  if (why && !t->failure.message[0]) t->failure = *why;
  if (!why && t->request && !t->failure.message[0])
    FAIL(&t->failure, ERR_RUNTIME, "template %s was discarded", t->spec.name);
  if (t->state >= T_ENDING) return;
  t->state = T_ENDING;
  job_kill(&t->job);
  if (t->branch) branch_stop(t->branch);
  if (t->holder_alive) sys_pidfd_kill(t->holder, SIGKILL);
}

static void answer_end(struct launcher *l, struct template *t) {
  if (t->request) reply_template_failed(l, t);
  else if (!t->discard_count && !t->end_told && !l->stopping) tell_template_ended(l, t);
  for (size_t i = 0; i < t->discard_count; i++) reply_empty(l, t->discards[i], F_DONE);
  t->request = 0;
  t->state = T_GONE;
}

static void check_deadline(struct template *t, int64_t now) {
  struct error why;
  if (t->state >= T_READY || now < t->deadline) return;
  FAIL(&why, ERR_TIMEOUT, "template %s was not warm at its deadline of %lld ms", t->spec.name,
       (long long)t->spec.timeout_ms);
  template_end(t, &why);
}

// All that the holder has started holds the other end of the warden's channel. In a branch, whose
// holder is no PID 1, some of it may end after the holder.
static bool family_has_ended(const struct template *t) {
  return !t->holder_alive && t->warden.in < 0;
}

void template_tick(struct launcher *l, struct template *t, int64_t now) {
  check_deadline(t, now);
  if (t->state == T_ENDING && family_has_ended(t)) {
    t->state = T_REMOVING;
    t->deadline = now + BUSY_GIVE_UP_MS;
    t->zygote_alive = false;
    struct error why;
    FAIL(&why, ERR_RUNTIME, "template %s ended", t->spec.name);
    for (struct sandbox *s = t->sandboxes; s; s = s->next) {
      s->agent_alive = false;
      sandbox_end(s, &why);
    }
  }
  for (struct sandbox *s = t->sandboxes; s; s = s->next) sandbox_tick(l, s, now);
  batch_tick(l, t, now);
  for (struct sandbox **at = &t->sandboxes; *at;) {
    struct sandbox *s = *at;
    if (s->state != S_GONE || s->batch) {
      at = &s->next;
      continue;
    }
    *at = s->next;
    destroy_forget(l, s->serial);
    sandbox_free(s);
  }
  if (t->state != T_REMOVING || t->sandboxes || t->batches) return;
  if (t->job.pidfd >= 0) return;
  t->oom_kills = cgroup_oom_kills(&l->cgroups, &t->cgroup);
  if (cgroup_remove(&l->cgroups, &t->cgroup) == 1 || now >= t->deadline) answer_end(l, t);
}

int template_start_job(struct launcher *l, struct template *t, job_work *work, const void *plan,
                       struct error *e) {
  int entries[C_COUNT];
  size_t count;
  if (cgroup_open_entries(&l->cgroups, &t->cgroup, entries, &count, e) < 0) return -1;
  int done = job_start(&t->job, work, plan, entries, count, e);
  while (count) close(entries[--count]);
  return done;
}

void template_job(struct launcher *l, struct template *t) {
  struct job_result result;
  job_take(&t->job, &result);
  if (t->state >= T_ENDING) return;
  if (t->branch) branch_job(l, t, &result);
  else warm_files_frozen(l, t, &result);
}

void template_free(struct template *t) {
  if (t->holder >= 0) close(t->holder);
  if (t->zygote >= 0) close(t->zygote);
  if (t->pid_namespace >= 0) close(t->pid_namespace);
  if (t->userns >= 0) close(t->userns);
  if (t->log >= 0) close(t->log);
  if (t->upper >= 0) close(t->upper);
  if (t->branch) branch_free(t->branch);
  if (t->warm) warm_files_free(t->warm);
  buffer_free(&t->request_copy);
  channel_close(&t->warden);
  channel_close(&t->zygote_channel);
  template_spec_free(&t->spec);
  free(t->traceback);
  free(t);
}
