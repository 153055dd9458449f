#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "warm.h"

enum { KERNEL_SIGSET = 8 };

// Whoever waits for the end of a pipe must not wait for this process as well.
static void let_go(const struct caller *caller) {
  for (size_t i = 0; i < caller->count; i++) close(caller->numbers[i]);
}

_Noreturn static void die_by(int number) {
  const struct rlimit no_core = {0, 0};
  const uint64_t fallback[4] = {0}, none = 0;
  setrlimit(RLIMIT_CORE, &no_core);
  syscall(SYS_rt_sigaction, number, fallback, NULL, KERNEL_SIGSET);
  kill(getpid(), number);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGSET);
  _exit(128 + number); // the first process of a pid namespace does not die by its own signals
}

_Noreturn static void end_like(const struct frame *ended) {
  struct error e;
  int64_t number, code;
  if (frame_int(ended, K_SIGNAL, 0, 1, 64, &number, &e) == 0 && number) die_by((int)number);
  if (frame_int(ended, K_EXIT_CODE, -1, 0, 255, &code, &e) == 0 && code >= 0) _exit((int)code);
  die_by(SIGKILL);
}

static void hear(int socket) {
  uint8_t bytes[4096];
  struct error e;
  struct frame frame;
  ssize_t n = recv(socket, bytes, sizeof bytes, 0);
  // The runtime is gone, and with it the program: it was killed.
  if (n <= 0 || frame_parse(bytes, (size_t)n, &frame, &e) != 1) die_by(SIGKILL);
  if (frame.type == WARM_ENDED) end_like(&frame);
}

static void pass_on(int signals, int pidfd) {
  struct signalfd_siginfo info;
  if (read(signals, &info, sizeof info) != sizeof info) return;
  int number = (int)info.ssi_signo;
  if (number == SIGCHLD) return;
  syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
  // The parent expects to see a stopped child; SIGCONT wakes both.
  if (number == SIGTSTP || number == SIGTTIN || number == SIGTTOU) kill(getpid(), SIGSTOP);
}

void forward(int socket, int pidfd, const struct caller *caller) {
  const uint64_t all = ~0ULL;
  let_go(caller);
  int signals = (int)syscall(SYS_signalfd4, -1, &all, KERNEL_SIGSET, SFD_CLOEXEC);
  struct pollfd watched[] = {{.fd = socket, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
  for (;;) {
    // Without a deadline: it is the program that takes its time.
    if (poll(watched, 2, -1) < 0) continue;
    if (watched[1].revents) pass_on(signals, pidfd);
    if (watched[0].revents) hear(socket);
  }
}
