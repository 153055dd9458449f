// A whole agent with two hosts, a runtime and its session, all of them played by the input:
//   u8 who (0, 1: hosts; 2: runtime; 3: session; 4: a process ends)
//   u16 length (little endian), bytes
// Processes are stubs (spawn_stub.c), files are in a file system of our own that starts empty.
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../agent/process.h"
#include "../agent/state.h"
#include "target.h"

enum { HOST_A, HOST_B, RUNTIME, SESSION, PROCESS_END, ACTORS = PROCESS_END };

struct stage {
  struct agent agent;
  int ends[ACTORS];
  struct buffer heard[ACTORS];
};

static void require(bool condition, const char *what) {
  if (condition) return;
  fprintf(stderr, "agent_target: %s\n", what);
  abort();
}

static int make_pair(int *theirs) {
  int fds[2];
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0, "pair");
  *theirs = fds[1];
  return fds[0];
}

static void open_stage(struct stage *s) {
  struct error e;
  int theirs;
  struct agent_options options = {.listen_fd = -1, .stream_fd = -1, .runtime_fd = -1};
  s->ends[SESSION] = -1;
  s->ends[RUNTIME] = make_pair(&options.runtime_fd);
  require(agent_open(&s->agent, &options, &e) == 0, e.message);
  for (int host = HOST_A; host <= HOST_B; host++) {
    s->ends[host] = make_pair(&theirs);
    require(connection_open(&s->agent, theirs, false, &e) == 0, "connection");
  }
}

// Whatever the agent says has to be frames.
static void listen_to(struct stage *s, int who) {
  uint8_t chunk[65536];
  struct error e;
  struct frame f;
  int state;
  ssize_t n;
  if (s->ends[who] < 0) return;
  while ((n = recv(s->ends[who], chunk, sizeof chunk, 0)) > 0) {
    require(buffer_append(&s->heard[who], chunk, (size_t)n, &e) == 0, e.message);
    while ((state = frame_parse(s->heard[who].bytes, s->heard[who].length, &f, &e)) > 0)
      buffer_consume(&s->heard[who], f.total);
    require(state == 0, "the agent sent something else than frames");
  }
}

static void step(struct stage *s) {
  struct error e;
  for (int i = 0; i < 3; i++) {
    require(agent_step(&s->agent, 0, &e) == 0, e.message);
    for (int who = 0; who < ACTORS; who++) listen_to(s, who);
  }
}

// The runtime may send a socket with any of its frames; the newest one is the session's.
static void speak(struct stage *s, int who, const uint8_t *bytes, size_t n) {
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  int theirs = -1;
  struct iovec iov = {(void *)bytes, n};
  struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
  if (s->ends[who] < 0 || n == 0) return;
  if (who == RUNTIME) {
    if (s->ends[SESSION] >= 0) close(s->ends[SESSION]);
    s->heard[SESSION].length = 0;
    s->ends[SESSION] = make_pair(&theirs);
    msg.msg_control = control.bytes;
    msg.msg_controllen = sizeof control.bytes;
    struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
    *h = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof theirs), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(h), &theirs, sizeof theirs);
  }
  // What does not fit, or comes after the agent has hung up, is lost on purpose.
  ssize_t ignored = sendmsg(s->ends[who], &msg, MSG_NOSIGNAL);
  (void)ignored;
  if (theirs >= 0) close(theirs);
}

static void close_stage(struct stage *s) {
  step(s);
  for (int who = 0; who < ACTORS; who++) {
    if (s->ends[who] >= 0) close(s->ends[who]);
    buffer_free(&s->heard[who]);
    s->ends[who] = -1;
    if (who == HOST_A) step(s);
  }
  agent_close(&s->agent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct stage stage;
  stage = (struct stage){0};
  open_stage(&stage);
  for (size_t at = 0; at + 3 <= size;) {
    int who = data[at] % (PROCESS_END + 1);
    size_t n = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
    at += 3;
    if (n > size - at) n = size - at;
    if (who == PROCESS_END) process_reaped(&stage.agent, 1000 + (n ? data[at] % 8 : 0), 0);
    else speak(&stage, who, data + at, n);
    at += n;
    step(&stage);
  }
  close_stage(&stage);
  return 0;
}

// FUZZ_OPEN_ROOT keeps the real root, where sanitizers find what they need to name functions: only
// to look at an input that is known.
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  if (getenv("FUZZ_OPEN_ROOT")) return 0;
  // The leak check needs /proc; read-only it is no way out.
  if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
      mount("none", "/mnt", "tmpfs", 0, "size=16m,nr_inodes=1000") < 0 ||
      mkdir("/mnt/proc", 0755) < 0 || mount("/proc", "/mnt/proc", NULL, MS_BIND, NULL) < 0 ||
      mount(NULL, "/mnt/proc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0 ||
      chroot("/mnt") < 0 || chdir("/") < 0) {
    perror("agent_target: a file system of its own (are you root?)");
    exit(1);
  }
  return 0;
}
