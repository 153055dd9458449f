// Batches: agents are made by the warden while the zygote forks into those that are ready.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "launcher.h"
#include "sys.h"

enum { BACKLOG = 16 };

struct sandbox *sandbox_find(struct launcher *l, const char *name) {
  for (struct template *t = l->templates; t; t = t->next)
    for (struct sandbox *s = t->sandboxes; s; s = s->next)
      if (s->state != S_GONE && strcmp(s->name, name) == 0) return s;
  return NULL;
}

struct sandbox *sandbox_of_serial(struct template *t, uint32_t serial) {
  struct sandbox *s = t->sandboxes;
  while (s && (s->serial != serial || s->state == S_GONE)) s = s->next;
  return s;
}

static void socket_name(const struct sandbox *s, char *path, size_t size) {
  snprintf(path, size, "%s.agent", s->name);
}

static int listen_for(struct sandbox *s, struct error *e) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  socket_name(s, address.sun_path, sizeof address.sun_path);
  cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return FAIL_ERRNO(e, "a socket for %s", s->name);
  unlink(address.sun_path); // of a launcher that was killed
  // Mode 0600 from the start: bind takes it from the descriptor's own mode.
  if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
    return FAIL_ERRNO(e, "binding %s", address.sun_path);
  s->has_socket = true;
  if (listen(fd, BACKLOG) < 0) return FAIL_ERRNO(e, "listening on %s", address.sun_path);
  return steal_fd(&fd);
}

static int send_create(struct template *t, const struct sandbox *s, const struct fork_spec *spec,
                       int listener, int agent_end, struct error *e) {
  int fds[2 + C_COUNT] = {listener, agent_end};
  cleanup_buffer struct buffer frame = {0};
  memcpy(fds + 2, s->entries, sizeof s->entries);
  struct frame_writer w = frame_begin(&frame, W_CREATE, s->serial);
  put_text(&w, K_HOSTNAME, s->hostname);
  put_text(&w, K_MACHINE_ID, s->machine_id);
  put_int(&w, K_DISK_BYTES, spec->files.disk_bytes);
  put_int(&w, K_TMP_BYTES, spec->files.tmp_bytes);
  put_int(&w, K_SHM_BYTES, spec->files.shm_bytes);
  put_int(&w, K_FDS, (int64_t)(2 + s->entry_count));
  if (frame_end(&w, e) < 0) return -1;
  // There are few requests at a time and they are short: one that finds no room is stuck.
  int sent = channel_try_send_with_fds(&t->warden, &frame, fds, 2 + s->entry_count, e);
  if (sent == 0) return FAIL(e, ERR_TIMEOUT, "the warden of %s does not answer", t->spec.name);
  return sent < 0 ? -1 : 0;
}

static int start(struct launcher *l, struct sandbox *s, struct error *e) {
  char group[NAME_MAX_LENGTH + 4];
  const struct fork_spec *spec = &s->batch->spec;
  snprintf(group, sizeof group, "s-%s", s->name);
  if (cgroup_create(&l->cgroups, &s->cgroup, group, &spec->limits, e) < 0) return -1;
  if (cgroup_open_entries(&l->cgroups, &s->cgroup, s->entries, &s->entry_count, e) < 0) return -1;
  cleanup_fd int listener = listen_for(s, e);
  if (listener < 0) return -1;
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
    return FAIL_ERRNO(e, "a runtime channel for %s", s->name);
  cleanup_fd int agent_end = pair[0];
  s->runtime_fd = pair[1];
  if (send_create(s->template, s, spec, listener, agent_end, e) < 0) return -1;
  s->state = S_CREATING;
  s->agent_alive = true;
  return 0;
}

static void drop_entry_fds(struct sandbox *s) {
  if (s->runtime_fd >= 0) close(s->runtime_fd);
  s->runtime_fd = -1;
  while (s->entry_count) close(s->entries[--s->entry_count]);
}

void sandbox_without_runtime(struct sandbox *s) {
  drop_entry_fds(s);
  s->state = S_LIVE;
}

// 1: sent; 0: the zygote's socket is full, again later; -1: failed.
static int enter(struct launcher *l, struct sandbox *s, struct error *e) {
  int fds[2 + C_COUNT] = {s->pidfd, s->runtime_fd};
  char env[80];
  cleanup_buffer struct buffer frame = {0};
  const struct filter *filter = &l->child_filter;
  memcpy(fds + 2, s->entries, sizeof s->entries);
  snprintf(env, sizeof env, "HOSTNAME=%s", s->hostname);
  struct frame_writer w = frame_begin(&frame, Z_ENTER, s->serial);
  put_text(&w, K_NAME, s->name);
  put_int(&w, K_FDS, (int64_t)(2 + s->entry_count));
  put_bytes(&w, K_DATA, filter->code, filter->length * sizeof *filter->code);
  put_text(&w, K_ENV, env);
  if (frame_end(&w, e) < 0) return -1;
  struct channel *c = &s->template->zygote_channel;
  int sent = channel_try_send_with_fds(c, &frame, fds, 2 + s->entry_count, e);
  // It has just ended; the warden will tell how.
  if (sent < 0) return FAIL(e, ERR_RUNTIME, "the warm interpreter takes no requests any more");
  if (sent == 0) return 0;
  s->zygote_owes = true;
  s->state = S_ENTERING;
  drop_entry_fds(s);
  return 1;
}

void fork_pump(struct launcher *l, struct template *t) {
  struct error e;
  size_t creating = 0;
  bool zygote_full = false;
  if (t->state != T_READY) return;
  for (const struct sandbox *s = t->sandboxes; s; s = s->next) creating += s->state == S_CREATING;
  for (struct sandbox *s = t->sandboxes; s; s = s->next) {
    if (s->state == S_QUEUED && creating < l->creating_max) {
      // One that failed counts for nothing: if all did, no event would come to start the rest.
      if (start(l, s, &e) < 0) sandbox_end(s, &e);
      else creating++;
    } else if (s->state == S_CREATED && !zygote_full) {
      int sent = enter(l, s, &e);
      if (sent < 0) sandbox_end(s, &e);
      zygote_full = sent == 0;
    }
  }
}

static int check_names(struct launcher *l, const struct fork_spec *spec, struct error *e) {
  for (size_t i = 0; i < spec->count; i++) {
    const char *name = spec->children[i].name;
    if (sandbox_find(l, name)) return FAIL(e, ERR_EXISTS, "a sandbox %s exists already", name);
    for (size_t j = 0; j < i; j++)
      if (strcmp(name, spec->children[j].name) == 0)
        return FAIL(e, ERR_INVALID, "the name %s is given twice", name);
  }
  return 0;
}

static size_t count_sandboxes(const struct launcher *l) {
  size_t n = 0;
  for (const struct template *t = l->templates; t; t = t->next)
    for (const struct sandbox *s = t->sandboxes; s; s = s->next) n++;
  return n;
}

static struct sandbox *new_sandbox(struct launcher *l, struct batch *b, size_t index) {
  const struct child_spec *child = &b->spec.children[index];
  struct sandbox *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->template = b->template;
  s->batch = b;
  s->index = index;
  s->serial = ++l->last_serial;
  snprintf(s->name, sizeof s->name, "%s", child->name);
  snprintf(s->hostname, sizeof s->hostname, "%s", child->hostname);
  snprintf(s->machine_id, sizeof s->machine_id, "%s", child->machine_id);
  s->pidfd = s->runtime_fd = s->upper = -1;
  s->agent_end = s->runtime_end = (struct ending){-1, -1};
  return s;
}

static void queue_children(struct launcher *l, struct batch *b) {
  struct sandbox **at = &b->template->sandboxes;
  while (*at) at = &(*at)->next;
  for (size_t i = 0; i < b->spec.count; i++) {
    struct sandbox *s = new_sandbox(l, b, i);
    if (!s) {
      FAIL(&b->outcomes[i].failure, ERR_EXHAUSTED, "out of memory");
      b->pending--;
      continue;
    }
    *at = s;
    at = &s->next;
  }
}

int fork_batch(struct launcher *l, uint32_t request, struct fork_spec *spec, struct error *e) {
  struct template *t = template_find(l, spec->template);
  if (!t) return FAIL(e, ERR_NOT_FOUND, "no template %s", spec->template);
  if (t->state != T_READY)
    return FAIL(e, ERR_RUNTIME, "template %s cannot be forked: %s", spec->template,
                t->state < T_READY ? "it is not warm yet" : "its interpreter has ended");
  if (check_names(l, spec, e) < 0) return -1;
  if (count_sandboxes(l) + spec->count > SANDBOXES_MAX)
    return FAIL(e, ERR_EXHAUSTED, "there can be %d sandboxes", SANDBOXES_MAX);
  struct batch *b = calloc(1, sizeof *b);
  struct outcome *outcomes = calloc(spec->count, sizeof *outcomes);
  if (!b || !outcomes) {
    free(b);
    free(outcomes);
    return FAIL(e, ERR_EXHAUSTED, "out of memory");
  }
  *b = (struct batch){.next = t->batches,
                      .request = request,
                      .template = t,
                      .spec = *spec,
                      .outcomes = outcomes,
                      .pending = spec->count,
                      .deadline = now_ms() + spec->timeout_ms};
  t->batches = b;
  *spec = (struct fork_spec){0};
  queue_children(l, b);
  return 0;
}

static void settle(struct batch *b, struct sandbox *s) {
  struct outcome *outcome = &b->outcomes[s->index];
  if (s->state == S_GONE) {
    outcome->failure = s->failure;
    s->batch = NULL;
    b->pending--;
  } else {
    *outcome = (struct outcome){.pid = s->pid, .runtime_pid = s->runtime_pid};
  }
}

static void expire(struct batch *b, int64_t now) {
  struct error why;
  if (now < b->deadline) return;
  FAIL(&why, ERR_TIMEOUT, "the sandbox was not forked after %lld ms",
       (long long)b->spec.timeout_ms);
  for (struct sandbox *s = b->template->sandboxes; s; s = s->next)
    if (s->batch == b && s->state < S_LIVE) sandbox_end(s, &why);
}

static void answer(struct launcher *l, struct batch *b) {
  if (!l->stopping) reply_forked(l, b);
  for (struct sandbox *s = b->template->sandboxes; s; s = s->next) {
    if (s->batch == b) s->batch = NULL;
  }
}

// Answered when every child either lives or is gone without a trace.
static bool is_settled(struct batch *b) {
  size_t open = b->pending;
  for (struct sandbox *s = b->template->sandboxes; s; s = s->next) {
    if (s->batch != b) continue;
    if (s->state == S_LIVE || s->state == S_GONE) {
      open--;
      settle(b, s);
    }
  }
  return open == 0;
}

void batch_tick(struct launcher *l, struct template *t, int64_t now) {
  for (struct batch **at = &t->batches; *at;) {
    struct batch *b = *at;
    expire(b, now);
    if (!is_settled(b)) {
      at = &b->next;
      continue;
    }
    answer(l, b);
    *at = b->next;
    fork_spec_free(&b->spec);
    free(b->outcomes);
    free(b);
  }
}
