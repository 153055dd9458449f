// forkd-launcher: the only privileged part of forkd. Started by the daemon, frames on stdin and
// stdout; ends, with every process, control group and socket it made, when stdin closes.
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "family.h"
#include "launcher.h"
#include "sys.h"
#include "userns.h"

enum { FIXED_POLLS = 4, POLLS_PER_TEMPLATE = 5, POLLS_MAX = FIXED_POLLS + 5 * TEMPLATES_MAX,
       STOP_WAIT_MS = 30000 };

static void stop(struct launcher *l) {
  l->stopping = true;
  for (struct template *t = l->templates; t; t = t->next) template_end(t, NULL);
}

static void serve_daemon(struct launcher *l) {
  struct error e;
  struct frame f;
  int state;
  if (channel_read(&l->daemon, &e) < 0) {
    daemon_gone(l);
    return;
  }
  while (!l->stopping && l->daemon.in >= 0 && (state = channel_frame(&l->daemon, &f, &e)) != 0) {
    if (state < 0) {
      dprintf(2, "event=bad_frame message=\"%s\"\n", e.message);
      daemon_gone(l);
      return;
    }
    serve_request(l, &f);
    if (l->daemon.in >= 0) channel_done(&l->daemon, &f);
  }
}

static void serve_signal(struct launcher *l) {
  struct signalfd_siginfo info;
  while (read(l->signals, &info, sizeof info) > 0) stop(l);
}

static void add(struct pollfd *fds, nfds_t *n, int fd, short events) {
  fds[(*n)++] = (struct pollfd){.fd = fd, .events = events};
}

static short channel_events(const struct channel *c) {
  return channel_wants_write(c) ? POLLIN | POLLOUT : POLLIN;
}

static bool wants_to_enter(const struct template *t) {
  for (const struct sandbox *s = t->sandboxes; s; s = s->next)
    if (s->state == S_CREATED) return true;
  return false;
}

static nfds_t fill(struct launcher *l, struct pollfd *fds) {
  nfds_t n = 0;
  // A daemon that does not read gets nothing new to read.
  bool full = channel_full(&l->daemon);
  add(fds, &n, l->stopping || full ? -1 : l->daemon.in, POLLIN);
  add(fds, &n, channel_wants_write(&l->daemon) ? l->daemon.out : -1, POLLOUT);
  add(fds, &n, l->signals, POLLIN);
  add(fds, &n, l->stopping || l->daemon.in >= 0 ? -1 : l->listener, POLLIN);
  for (struct template *t = l->templates; t; t = t->next) {
    short zygote = channel_events(&t->zygote_channel) | (wants_to_enter(t) ? POLLOUT : 0);
    add(fds, &n, full ? -1 : t->log, POLLIN);
    // Not before the warden has told of it: its answer could overtake that on its own channel.
    bool early = t->state <= T_BUILDING || (t->branch && t->branch->step == B_TRANSPLANT);
    add(fds, &n, early ? -1 : t->zygote_channel.in, zygote);
    add(fds, &n, t->warden.in, channel_events(&t->warden));
    add(fds, &n, t->holder_alive ? t->holder : -1, POLLIN);
    add(fds, &n, t->job.pipe, POLLIN);
  }
  return n;
}

static void flush(struct channel *c) {
  struct error ignored; // the end of the peer is seen by reading
  if (c->out >= 0 && channel_wants_write(c) && channel_flush(c, &ignored) < 0) c->output.length = 0;
}

static void serve_template(struct launcher *l, struct template *t, const struct pollfd *fds) {
  if (fds[0].revents) hear_log(l, t);
  if (fds[2].revents & ~POLLOUT) hear_warden(l, t);
  if (fds[1].revents & ~POLLOUT) hear_zygote(l, t);
  if (fds[3].revents) hear_holder(l, t);
  if (fds[4].revents) template_job(l, t);
}

static void tick(struct launcher *l) {
  int64_t now = now_ms();
  for (struct template *t = l->templates; t; t = t->next) {
    if (t->branch) branch_tick(l, t);
    fork_pump(l, t);
    template_tick(l, t, now);
    flush(&t->zygote_channel);
    flush(&t->warden);
  }
  for (struct template **at = &l->templates; *at;) {
    struct template *t = *at;
    if (t->state != T_GONE) {
      at = &t->next;
      continue;
    }
    *at = t->next;
    template_free(t);
  }
  flush(&l->daemon);
}

static int run(struct launcher *l) {
  struct pollfd fds[POLLS_MAX];
  int64_t stop_by = -1;
  while (!l->stopping || l->templates) {
    if (l->stopping && stop_by < 0) {
      stop(l);
      stop_by = now_ms() + STOP_WAIT_MS;
    }
    if (stop_by >= 0 && now_ms() > stop_by) return 1; // death signals take the rest
    nfds_t n = fill(l, fds);
    int wake = next_wake(l, now_ms());
    if (stop_by >= 0 && (wake < 0 || wake > 100)) wake = 100;
    if (poll(fds, n, wake) < 0 && errno != EINTR) return 1;
    nfds_t at = FIXED_POLLS;
    for (struct template *t = l->templates; t; t = t->next, at += POLLS_PER_TEMPLATE)
      serve_template(l, t, fds + at);
    if (fds[2].revents) serve_signal(l);
    if (fds[1].revents & POLLERR) daemon_gone(l);
    if (fds[0].revents && l->daemon.in >= 0) serve_daemon(l);
    if (fds[3].revents) adopt_accept(l);
    adopt_tick(l, now_ms());
    tick(l);
  }
  return 0;
}

static int prepare(struct launcher *l, struct error *e) {
  sigset_t mask;
  struct rlimit files;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  signal(SIGPIPE, SIG_IGN);
  l->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  if (l->signals < 0) return FAIL_ERRNO(e, "signalfd");
  // Agents inherit it and undo it for what they start. Needs a privilege that may be missing.
  write_text(AT_FDCWD, "/proc/self/oom_score_adj", "-900", e);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  if (geteuid() != 0 && userns_enter(e) < 0) return -1;
  // What is mounted here stays here; what the host mounts later is seen.
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
    return FAIL_ERRNO(e, "a mount namespace of its own (is / a mount point?)");
  l->exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (l->exe < 0) return FAIL_ERRNO(e, "opening /proc/self/exe");
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  l->creating_max = cores < 1 || cores >= CREATING_MAX ? CREATING_MAX : (size_t)cores + 1;
  filter_build_no_setns(&l->child_filter);
  return channel_open(&l->daemon, STDIN_FILENO, STDOUT_FILENO, e);
}

int main(int argc, char **argv) {
  if (argc == 1 && strcmp(argv[0], HOLDER_NAME) == 0) holder_main();
  struct error e;
  struct launcher l = {.run_dir_fd = -1, .listener = -1, .orphan_until = -1};
  for (int c = 0; c < C_COUNT; c++) l.cgroups.base[c] = l.cgroups.parent[c] = -1;
  sys_name("forkd-launcher");
  umask(0077);
  if (prepare(&l, &e) < 0) {
    dprintf(2, "forkd-launcher: %s\n", e.message);
    return 1;
  }
  int status = run(&l);
  if (l.listener >= 0) unlink(ADOPT_SOCKET);
  cgroups_close(&l.cgroups);
  free(l.run_dir);
  free(l.build);
  return status;
}
