#define _GNU_SOURCE
#include "agent.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"
#include "spawn.h"
#include "state.h"

enum { RECONNECT_MS = 100, ACCEPT_AGAIN_MS = 100, END_CHECK_MS = 20 };

void agent_reap(struct agent *a) {
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    runtime_reaped(&a->runtime, pid, status);
    process_reaped(a, pid, status);
  }
}

static void begin_end(struct agent *a) {
  if (a->ending) return;
  a->ending = true;
  a->end_us = clock_us() + AGENT_END_GRACE_MS * INT64_C(1000);
  signal_everyone(SIGTERM);
  loop_arm(&a->loop, &a->end, END_CHECK_MS);
}

// Not all processes here are our children (the runtime may come from outside), so their end is
// looked for as well as reported.
static void check_end(struct timer *t) {
  struct agent *a = CONTAINER(t, struct agent, end);
  agent_reap(a);
  bool late = clock_us() >= a->end_us;
  if (late) signal_everyone(SIGKILL);
  a->finished = late || everyone_is_gone();
  if (!a->finished) loop_arm(&a->loop, t, END_CHECK_MS);
}

// Only who is outside may end the sandbox: such a sender has no pid here. A stray kill from inside
// is without effect, as it is for every other PID 1.
static void signals_ready(struct source *s, uint32_t events) {
  struct agent *a = CONTAINER(s, struct agent, signals);
  struct signalfd_siginfo info;
  (void)events;
  while (read(s->fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGCHLD) agent_reap(a);
    else if (getpid() != 1 || info.ssi_pid == 0) begin_end(a);
  }
}

static int open_signals(struct agent *a, struct error *e) {
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  sigprocmask(SIG_BLOCK, &wanted, NULL);
  signal(SIGPIPE, SIG_IGN);
  a->signals = (struct source){.fd = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK),
                               .ready = signals_ready};
  if (a->signals.fd < 0) return FAIL_ERRNO(e, "signalfd");
  return loop_watch(&a->loop, &a->signals, EPOLLIN, e);
}

static void refuse_connection(int fd) {
  struct buffer out = {0};
  struct error e;
  struct frame_writer w = frame_begin(&out, F_ERROR, 0);
  FAIL(&e, ERR_EXHAUSTED, "all %d connections of the agent are taken", CONNECTIONS_MAX);
  put_error(&w, &e);
  if (frame_end(&w, &e) == 0) send(fd, out.bytes, out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
  buffer_free(&out);
  close(fd);
}

static void listener_ready(struct source *s, uint32_t events) {
  struct agent *a = CONTAINER(s, struct agent, listener);
  struct error e;
  (void)events;
  int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
    // The peer stays in the queue, so the socket stays readable: without a pause we would spin.
    loop_watch(&a->loop, s, 0, &e);
    loop_arm(&a->loop, &a->accept_again, ACCEPT_AGAIN_MS);
  }
  if (fd < 0) return;
  if (a->connection_count >= CONNECTIONS_MAX) return refuse_connection(fd);
  if (connection_open(a, fd, false, &e) < 0) fprintf(stderr, "forkd-agent: %s\n", e.message);
}

static void accept_again(struct timer *t) {
  struct agent *a = CONTAINER(t, struct agent, accept_again);
  struct error e;
  if (loop_watch(&a->loop, &a->listener, EPOLLIN, &e) < 0) loop_arm(&a->loop, t, ACCEPT_AGAIN_MS);
}

static int open_listener(struct agent *a, int fd, struct error *e) {
  a->listener = (struct source){.fd = fd, .ready = listener_ready};
  if (fd < 0) return 0;
  // Non-blocking: the peer may be gone again by the time it is accepted.
  if (set_nonblocking(fd, e) < 0) return -1;
  return loop_watch(&a->loop, &a->listener, EPOLLIN, e);
}

// The connection works on a copy: a port of a virtual machine outlives the host that used it.
static int connect_stream(struct agent *a, struct error *e) {
  int fd = fcntl(a->stream_fd, F_DUPFD_CLOEXEC, 3);
  if (fd < 0) return FAIL_ERRNO(e, "copying the stream's descriptor");
  return connection_open(a, fd, true, e);
}

static void stream_ended(struct agent *a) {
  struct stat st;
  bool port = fstat(a->stream_fd, &st) == 0 && S_ISCHR(st.st_mode);
  if (port) loop_arm(&a->loop, &a->reconnect, RECONNECT_MS);
  else if (a->listener.fd < 0) begin_end(a); // nobody can reach this sandbox any more
}

// While no host has opened its side the port is readable at once and for ever, with an end.
static void try_reconnect(struct timer *t) {
  struct agent *a = CONTAINER(t, struct agent, reconnect);
  struct pollfd port = {.fd = a->stream_fd, .events = POLLIN};
  struct error e;
  poll(&port, 1, 0);
  if ((port.revents & POLLHUP) || connect_stream(a, &e) < 0)
    loop_arm(&a->loop, t, RECONNECT_MS);
}

int agent_open(struct agent *a, const struct agent_options *options, struct error *e) {
  *a = (struct agent){.default_env = options->default_env,
                      .guest = options->guest,
                      .stream_fd = options->stream_fd,
                      .signals = {.fd = -1},
                      .end = {.fire = check_end},
                      .accept_again = {.fire = accept_again},
                      .reconnect = {.fire = try_reconnect}};
  list_init(&a->connections);
  list_init(&a->abandoned_requests);
  list_init(&a->ended_requests);
  list_init(&a->processes);
  session_init(&a->session, a);
  if (loop_open(&a->loop, e) < 0 || open_signals(a, e) < 0) return -1;
  if (runtime_open(&a->runtime, a, options->runtime_fd, e) < 0) return -1;
  a->runtime.pid = options->runtime_pid;
  if (open_listener(a, options->listen_fd, e) < 0) return -1;
  return a->stream_fd >= 0 ? connect_stream(a, e) : 0;
}

static void release_all(struct node *requests) {
  while (!list_empty(requests)) {
    struct request *r = CONTAINER(requests->next, struct request, link);
    list_remove(&r->link);
    r->type->release(r);
  }
}

// Everything that the handlers queued goes out here, once a step: the session and the runtime
// first, because their failures are answers to the connections.
static void settle(struct agent *a) {
  session_settle(&a->session);
  runtime_settle(&a->runtime);
  // Before the answers leave: who hears that an upload was cancelled finds nothing left of it.
  release_all(&a->ended_requests);
  LIST_EACH(at, &a->connections) {
    struct connection *c = CONTAINER(at, struct connection, link);
    connection_settle(c);
    if (!c->broken) continue;
    bool stream = c->is_stream;
    connection_close(c);
    if (stream) stream_ended(a);
  }
  release_all(&a->ended_requests);
}

int agent_step(struct agent *a, int max_wait_ms, struct error *e) {
  if (loop_step(&a->loop, max_wait_ms, e) < 0) return -1;
  settle(a);
  return 0;
}

void agent_close(struct agent *a) {
  while (!list_empty(&a->connections))
    connection_close(CONTAINER(a->connections.next, struct connection, link));
  release_all(&a->abandoned_requests);
  release_all(&a->ended_requests);
  session_close(&a->session);
  runtime_close(&a->runtime);
  loop_shut(&a->loop, &a->listener);
  loop_shut(&a->loop, &a->signals);
  if (a->stream_fd >= 0) close(a->stream_fd);
  buffer_free(&a->nowhere);
  loop_close(&a->loop);
}

int agent_run(const struct agent_options *options) {
  static struct agent agent;
  struct error e;
  const struct filter *filter = options->guest ? options->guest->filter : NULL;
  int state = spawn_prepare(options->open_files, filter, &e);
  if (state == 0) state = agent_open(&agent, options, &e);
  while (state == 0 && !agent.finished) state = agent_step(&agent, -1, &e);
  if (state < 0) fprintf(stderr, "forkd-agent: %s\n", e.message);
  agent_close(&agent);
  return state < 0 ? 1 : 0;
}
