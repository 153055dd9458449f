// A published port: a listener on the host, whose connections go on to a port of one sandbox. What
// comes from either side is only copied. Connections and buffers are bounded; a side that does not
// read stops its own connection alone.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/relay.h"
#include "net.h"

enum { FLOWS_MAX = 256, BACKLOG = 128, NOBODY = 65534 };

// fd[0]: who connected, fd[1]: the sandbox. relay[i] is what came from fd[i].
struct flow {
  int fd[2];
  struct relay relay[2];
};

struct forwarder {
  int listener;
  struct sockaddr_in target;
  struct flow *flows[FLOWS_MAX];
  size_t count;
};

static int port_of(const char *text, bool zero, uint16_t *port, struct error *e) {
  char *rest;
  unsigned long value = strtoul(text, &rest, 10);
  if (*rest || !*text || value > 65535 || (value == 0 && !zero))
    return FAIL(e, ERR_INVALID, "not a port: %.16s", text);
  *port = (uint16_t)value;
  return 0;
}

static int open_listener(const char *address, uint16_t port, struct error *e) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
  socklen_t size = sizeof at;
  int yes = 1;
  if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
    return FAIL(e, ERR_INVALID, "not an address: %.32s", address);
  cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0)
    return FAIL_ERRNO(e, "a socket");
  if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, BACKLOG) < 0 ||
      getsockname(fd, (struct sockaddr *)&at, &size) < 0)
    return FAIL_ERRNO(e, "listening on %s:%u", address, port);
  printf("%u\n", ntohs(at.sin_port));
  return fflush(stdout) == 0 ? steal_fd(&fd) : FAIL_ERRNO(e, "telling the port");
}

// The listener is bound and the network entered: nothing that needs a privilege is left to do.
int become_nobody(struct error *e) {
  if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
      setresuid(NOBODY, NOBODY, NOBODY) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return FAIL_ERRNO(e, "giving up privileges");
  return 0;
}

static void flow_close(struct flow *f) {
  for (int i = 0; i < 2; i++)
    if (f->fd[i] >= 0) close(f->fd[i]);
  free(f);
}

static void accept_one(struct forwarder *w) {
  const int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
  struct flow *f = calloc(1, sizeof *f);
  if (!f) return;
  f->fd[0] = accept4(w->listener, NULL, NULL, flags);
  f->fd[1] = f->fd[0] < 0 ? -1 : socket(AF_INET, SOCK_STREAM | flags, 0);
  if (f->fd[1] < 0 ||
      (connect(f->fd[1], (struct sockaddr *)&w->target, sizeof w->target) < 0 &&
       errno != EINPROGRESS)) {
    flow_close(f);
    return;
  }
  w->flows[w->count++] = f;
}

static bool flow_move(struct flow *f) {
  for (int i = 0; i < 2; i++)
    if (!relay_move(&f->relay[i], f->fd[i], f->fd[1 - i])) return false;
  return !(f->relay[0].passed_on && f->relay[1].passed_on);
}

static int serve(struct forwarder *w, struct error *e) {
  struct pollfd fds[2 + 2 * FLOWS_MAX];
  for (;;) {
    fds[0] = (struct pollfd){.fd = 0, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = w->count < FLOWS_MAX ? w->listener : -1, .events = POLLIN};
    for (size_t k = 0; k < 2 * w->count; k++) {
      const struct flow *f = w->flows[k / 2];
      short events = relay_events(&f->relay[k % 2], &f->relay[1 - k % 2]);
      // One that nothing is wanted of would wake the poll by its end, again and again.
      fds[2 + k] = (struct pollfd){.fd = events ? f->fd[k % 2] : -1, .events = events};
    }
    if (poll(fds, 2 + 2 * w->count, -1) < 0 && errno != EINTR) return FAIL_ERRNO(e, "poll");
    char ignored[64];
    if (fds[0].revents && read(0, ignored, sizeof ignored) <= 0) return 0;
    for (size_t k = w->count; k-- > 0;) {
      if (!fds[2 + 2 * k].revents && !fds[3 + 2 * k].revents) continue;
      if (flow_move(w->flows[k])) continue;
      flow_close(w->flows[k]);
      w->flows[k] = w->flows[--w->count];
    }
    if (fds[1].revents) accept_one(w);
  }
}

int forward(const char *name, const char *address, const char *port, const char *target,
            struct error *e) {
  static struct forwarder w;
  uint16_t from, to;
  if (!net_is_name(name)) return FAIL(e, ERR_INVALID, "no network of forkd: %s", name);
  if (port_of(port, true, &from, e) < 0 || port_of(target, false, &to, e) < 0) return -1;
  signal(SIGPIPE, SIG_IGN);
  // No PR_SET_PDEATHSIG: it would be sent when the thread that started this ends. Stdin tells.
  w.target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(to)};
  inet_pton(AF_INET, "10.42.0.2", &w.target.sin_addr);
  w.listener = open_listener(address, from, e);
  if (w.listener < 0 || net_enter(name, e) < 0 || become_nobody(e) < 0) return -1;
  return serve(&w, e);
}
