#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "warm.h"

enum { SIGNALS = 64, KERNEL_SIGSET = 8 };

static int by_number(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

static const char *look_at_descriptors(struct caller *caller) {
  DIR *directory = opendir("/proc/self/fd");
  const char *why = NULL;
  if (!directory) return "/proc cannot be read";
  caller->count = 0;
  for (struct dirent *d; !why && (d = readdir(directory));) {
    if (d->d_name[0] == '.' || atoi(d->d_name) == dirfd(directory)) continue;
    if (caller->count == DESCRIPTORS_MAX) why = "too many descriptors are open";
    else caller->numbers[caller->count++] = atoi(d->d_name);
  }
  closedir(directory);
  qsort(caller->numbers, caller->count, sizeof *caller->numbers, by_number);
  return why;
}

// Raw: the C library hides the signals that it keeps for itself, and make ignores them at times.
static void look_at_signals(struct caller *caller) {
  struct {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
  } action;
  caller->ignored = 0;
  for (int number = 1; number <= SIGNALS; number++)
    if (syscall(SYS_rt_sigaction, number, NULL, &action, KERNEL_SIGSET) == 0 &&
        action.handler == SIG_IGN)
      caller->ignored |= 1ULL << (number - 1);
}

const char *caller_look(struct caller *caller) {
  for (int fd = 0; fd <= 2; fd++)
    if (isatty(fd)) return "a terminal is among its standard streams";
  if (getuid() != geteuid() || getgid() != getegid()) return "it runs with two identities";
  look_at_signals(caller);
  return look_at_descriptors(caller);
}

void caller_hold_signals(struct caller *caller) {
  const uint64_t all = ~0ULL;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &caller->blocked, KERNEL_SIGSET);
}

void caller_restore(const struct caller *caller) {
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &caller->blocked, NULL, KERNEL_SIGSET);
}

static void put_limits(struct frame_writer *w) {
  for (int resource = 0; resource < RLIM_NLIMITS; resource++) {
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(resource, &limit);
    put_int(w, K_LIMIT, limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur);
    put_int(w, K_LIMIT, limit.rlim_max == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_max);
  }
}

static void put_state(struct frame_writer *w, const struct caller *caller) {
  uint64_t blocked;
  mode_t mask = umask(0);
  umask(mask);
  memcpy(&blocked, &caller->blocked, sizeof blocked);
  put_int(w, K_UMASK, mask);
  put_int(w, K_BLOCKED, (int64_t)blocked);
  for (int number = 1; number <= SIGNALS; number++)
    if (caller->ignored >> (number - 1) & 1) put_int(w, K_IGNORED, number);
  put_limits(w);
  put_int(w, K_FDS, (int64_t)caller->count + 1);
  for (size_t i = 0; i < caller->count; i++) put_int(w, K_DESCRIPTOR, caller->numbers[i]);
}

int caller_frame(const struct caller *caller, const struct command *c, struct buffer *out) {
  struct error e;
  struct frame_writer w = frame_begin(out, WARM_RUN, 1);
  put_text(&w, K_KIND, c->kind);
  put_text(&w, strcmp(c->kind, "code") == 0 ? K_CODE : K_TARGET, c->text);
  put_text(&w, K_EXECUTABLE, c->executable);
  put_text(&w, K_OPTIONS, c->options);
  put_int(&w, K_FIRST, c->first);
  for (int i = 0; i < c->argc; i++) put_text(&w, K_ARGV, c->argv[i]);
  for (char **at = c->env; *at; at++) put_text(&w, K_ENV, *at);
  put_state(&w, caller);
  return frame_end(&w, &e) < 0 || out->length > MESSAGE_MAX ? -1 : 0;
}
