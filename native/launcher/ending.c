// Ends: kill, wait until the kernel and the zygote have let go, then remove what is left. A pid
// namespace's init does not finish dying before all of it is reaped, and the runtime's parent is
// the zygote: so a sandbox is gone when the warden has reaped the agent and the zygote the runtime.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "launcher.h"
#include "sys.h"

static void abort_creation(struct sandbox *s) {
  struct error e;
  struct frame_writer w = frame_begin(&s->template->warden.output, W_ABORT, s->serial);
  if (frame_end(&w, &e) < 0) template_end(s->template, &e);
}

void sandbox_end(struct sandbox *s, const struct error *why) {
  if (why && !s->failure.message[0]) s->failure = *why;
  if (s->state >= S_ENDING) return;
  if (s->agent_alive && s->pidfd >= 0) sys_pidfd_kill(s->pidfd, SIGKILL);
  else if (s->agent_alive) abort_creation(s);
  s->state = S_ENDING;
  s->deadline = now_ms() + ESCALATE_MS;
}

// A zygote that does not reap (stopped, or in an endless loop of the user's code) must not keep its
// children: killed, they fall to the warden. A warden that does not answer goes with its family.
static void escalate(struct sandbox *s, int64_t now) {
  struct template *t = s->template;
  struct error why;
  // Of a hundred on a slow machine the last may wait long for its turn.
  if (s->deadline < t->progress + ESCALATE_MS) s->deadline = t->progress + ESCALATE_MS;
  if (now < s->deadline) return;
  s->deadline = now + ESCALATE_MS;
  if (s->escalation++ == 0 && t->zygote >= 0 && t->zygote_alive) {
    sys_pidfd_kill(t->zygote, SIGKILL);
    return;
  }
  FAIL(&why, ERR_TIMEOUT, "sandbox %s of template %s would not end", s->name, t->spec.name);
  template_end(t, &why);
}

static void remove_rest(struct launcher *l, struct sandbox *s, int64_t now) {
  char path[NAME_MAX_LENGTH + 8];
  snprintf(path, sizeof path, "%s.agent", s->name);
  if (s->has_socket) unlink(path);
  s->has_socket = false;
  int64_t kills = cgroup_oom_kills(&l->cgroups, &s->cgroup);
  if (kills > s->oom_kills) s->oom_kills = kills;
  if (cgroup_remove(&l->cgroups, &s->cgroup) == 0) {
    if (now < s->deadline) return;
    dprintf(2, "event=cgroup_left name=%s\n", s->name);
  }
  s->state = S_GONE;
  bool told = s->batch || s->asked || s->template->discard_count || l->stopping;
  if (!told) tell_sandbox_ended(l, s);
}

void sandbox_tick(struct launcher *l, struct sandbox *s, int64_t now) {
  if (s->state == S_LIVE && s->runtime_lost && !s->batch && now >= s->deadline)
    tell_runtime_lost(l, s);
  if (s->state == S_ENDING) {
    bool zygote_holds = s->zygote_owes && s->template->zygote_alive;
    if (s->agent_alive || zygote_holds) {
      escalate(s, now);
      return;
    }
    s->state = S_REMOVING;
    s->deadline = now + BUSY_GIVE_UP_MS;
  }
  if (s->state == S_REMOVING) remove_rest(l, s, now);
}

void sandbox_free(struct sandbox *s) {
  if (s->pidfd >= 0) close(s->pidfd);
  if (s->runtime_fd >= 0) close(s->runtime_fd);
  if (s->upper >= 0) close(s->upper);
  for (size_t i = 0; i < s->entry_count; i++) close(s->entries[i]);
  free(s);
}

static void finish_destroys(struct launcher *l) {
  for (struct destroy **at = &l->destroys; *at;) {
    struct destroy *d = *at;
    if (d->count) {
      at = &d->next;
      continue;
    }
    *at = d->next;
    reply_empty(l, d->request, L_DESTROYED);
    free(d->serials);
    free(d);
  }
}

int destroy_begin(struct launcher *l, uint32_t request, char **names, struct error *e) {
  size_t count = 0;
  while (names[count]) count++;
  struct destroy *d = calloc(1, sizeof *d);
  uint32_t *serials = calloc(count + 1, sizeof *serials);
  if (!d || !serials) {
    free(d);
    free(serials);
    return FAIL(e, ERR_EXHAUSTED, "out of memory");
  }
  *d = (struct destroy){.next = l->destroys, .request = request, .serials = serials};
  struct error why;
  FAIL(&why, ERR_RUNTIME, "destroyed");
  for (char **at = names; *at; at++) {
    struct sandbox *s = sandbox_find(l, *at);
    if (!s) continue; // gone already, as it is wanted
    s->asked = true;
    sandbox_end(s, &why);
    d->serials[d->count++] = s->serial;
  }
  l->destroys = d;
  finish_destroys(l);
  return 0;
}

void destroy_forget(struct launcher *l, uint32_t serial) {
  for (struct destroy *d = l->destroys; d; d = d->next)
    for (size_t i = d->count; i-- > 0;)
      if (d->serials[i] == serial) d->serials[i] = d->serials[--d->count];
  finish_destroys(l);
}

static void sooner(int64_t *wake, int64_t at) {
  if (*wake < 0 || at < *wake) *wake = at;
}

int next_wake(const struct launcher *l, int64_t now) {
  int64_t wake = l->orphan_until;
  for (const struct template *t = l->templates; t; t = t->next) {
    if (t->state < T_READY) sooner(&wake, t->deadline);
    if (t->state == T_REMOVING) sooner(&wake, now + BUSY_RETRY_MS);
    for (const struct batch *b = t->batches; b; b = b->next) sooner(&wake, b->deadline);
    for (const struct sandbox *s = t->sandboxes; s; s = s->next) {
      if (s->state == S_LIVE && s->runtime_lost && !s->batch) sooner(&wake, s->deadline);
      if (s->state == S_ENDING) sooner(&wake, s->deadline);
      if (s->state == S_REMOVING) sooner(&wake, now + BUSY_RETRY_MS);
    }
  }
  if (wake < 0) return -1;
  return wake <= now ? 0 : (int)(wake - now);
}
