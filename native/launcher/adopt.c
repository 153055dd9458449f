// Life without a daemon. One that goes away leaves the launcher with its templates and sandboxes
// for a bounded time, in which the next daemon can connect by a socket in the run directory, ask
// for a list and take over what it knows. Who is let in: the launcher's own user.
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

enum { REPORT_MAX = 2048 };

static int listen_here(struct launcher *l, struct error *e) {
  const struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = ADOPT_SOCKET};
  unlink(ADOPT_SOCKET);
  l->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (l->listener < 0 || bind(l->listener, (const struct sockaddr *)&name, sizeof name) < 0 ||
      chmod(ADOPT_SOCKET, 0600) < 0 || listen(l->listener, 1) < 0)
    return FAIL_ERRNO(e, "listening on " ADOPT_SOCKET);
  return 0;
}

int adopt_prepare(struct launcher *l, const struct frame *hello, struct error *e) {
  if (frame_int(hello, K_GRACE_MS, 0, 0, ADOPT_GRACE_MAX_MS, &l->grace_ms, e) < 0) return -1;
  if (l->grace_ms == 0) return 0;
  if (required_text(hello, K_BUILD, "build", &l->build, e) < 0) return -1;
  // What is typed at the daemon's terminal is not meant for this process any more.
  if (setsid() < 0 && errno != EPERM) return FAIL_ERRNO(e, "setsid");
  return listen_here(l, e);
}

// Whoever asked is gone: what is not finished is taken back, and nobody is answered.
static void drop_requests(struct launcher *l) {
  struct error why;
  FAIL(&why, ERR_RUNTIME, "the daemon that asked for it has ended");
  for (struct template *t = l->templates; t; t = t->next) {
    for (struct sandbox *s = t->sandboxes; s; s = s->next)
      if (s->batch) sandbox_end(s, &why);
    for (struct batch *b = t->batches; b; b = b->next) b->request = 0;
    if (t->state < T_READY) template_end(t, &why);
    t->request = 0;
    for (size_t i = 0; i < t->discard_count; i++) t->discards[i] = 0;
  }
  for (struct destroy *d = l->destroys; d; d = d->next) d->request = 0;
}

static void close_channel(struct launcher *l) {
  if (l->daemon.in != STDIN_FILENO) {
    channel_close(&l->daemon);
    return;
  }
  // The numbers of the standard streams must not be given to something else.
  cleanup_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    if (null < 0 || dup2(null, fd) < 0) l->stopping = true;
  l->daemon.in = l->daemon.out = -1;
  channel_close(&l->daemon);
}

void daemon_gone(struct launcher *l) {
  if (l->grace_ms == 0 || l->stopping) {
    l->stopping = true;
    return;
  }
  close_channel(l);
  if (l->orphan_until >= 0) return; // one that connected and was not taken for a daemon
  l->orphan_until = now_ms() + l->grace_ms;
  drop_requests(l);
}

void adopt_tick(struct launcher *l, int64_t now) {
  if (l->orphan_until >= 0 && now >= l->orphan_until) l->stopping = true;
}

void adopt_accept(struct launcher *l) {
  struct error e;
  struct ucred peer = {.uid = (uid_t)-1};
  socklen_t size = sizeof peer;
  int fd = accept4(l->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid() ||
      channel_open(&l->daemon, fd, fd, &e) < 0) {
    close(fd);
    l->daemon = (struct channel){.in = -1, .out = -1};
  }
}

static void put_template(struct frame_writer *w, const struct template *t) {
  cleanup_buffer struct buffer nested = {0};
  struct frame_writer inner = frame_begin(&nested, 0, 0);
  put_text(&inner, K_NAME, t->spec.name);
  put_int(&inner, K_UID_BASE, t->spec.uid_base);
  put_nested(w, K_TEMPLATE, &inner);
}

static void put_sandbox(struct frame_writer *w, const struct sandbox *s) {
  cleanup_buffer struct buffer nested = {0};
  struct frame_writer inner = frame_begin(&nested, 0, 0);
  put_text(&inner, K_NAME, s->name);
  put_text(&inner, K_TEMPLATE, s->template->spec.name);
  put_int(&inner, K_PID, s->pid);
  put_nested(w, K_CHILD, &inner);
}

static int check(const struct launcher *l, const struct frame *f, struct error *e) {
  int64_t version;
  cleanup_free char *build = NULL;
  if (l->orphan_until < 0) return FAIL(e, ERR_INVALID, "this launcher has a daemon");
  if (frame_int(f, K_VERSION, 0, 0, INT32_MAX, &version, e) < 0) return -1;
  if (required_text(f, K_BUILD, "build", &build, e) < 0) return -1;
  if (version == PROTOCOL_VERSION && strcmp(build, l->build) == 0) return 0;
  return FAIL(e, ERR_UNSUPPORTED, "this launcher belongs to another version of forkd");
}

int adopt_begin(struct launcher *l, const struct frame *f, struct error *e) {
  char report[REPORT_MAX];
  if (check(l, f, e) < 0) return -1;
  l->orphan_until = -1;
  probe_report(l, report, sizeof report);
  struct frame_writer w = frame_begin(&l->daemon.output, L_ADOPTED, f->id);
  put_int(&w, K_PID, getpid());
  put_text(&w, K_REPORT, report);
  for (struct template *t = l->templates; t; t = t->next) {
    // It cannot be forked any more, and an ordinary snapshot would be warmed once again.
    if (t->state == T_BARREN) template_end(t, NULL);
    if (t->state != T_READY) continue;
    put_template(&w, t);
    for (const struct sandbox *s = t->sandboxes; s; s = s->next)
      if (s->state == S_LIVE) put_sandbox(&w, s);
  }
  return frame_end(&w, e);
}
