// Runs QEMU for the vm engine with no more rights than it needs.
//
//   forkd-vm run UID GID [kvm] [group=INSTANCE:NAME:BYTES:MILLIS:WEIGHT] [FD=r:PATH | FD=w:PATH |
//                FD=a:PATH | FD=c:PATH | FD=n:NETWORK | FD=l:PATH]... -- PROGRAM ARGS...
//   forkd-vm groups INSTANCE
//   forkd-vm tsc
//   forkd-vm kvm
//   forkd-vm link FROM TO
//   forkd-vm hold | capture | fill | digest ...: see there
//
// r, w, a: a file, to be read, written, appended to; c: a socket; n: a network's tap; l: a library,
// loaded first.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "../common/error.h"
#include "../net/net.h"
#include "pages.h"
#include "vm.h"

static int connect_to(const char *path, struct error *e) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path)
    return FAIL(e, ERR_INVALID, "a socket path has at most %zu bytes: %s",
                sizeof address.sun_path - 1, path);
  strcpy(address.sun_path, path);
  cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
    return FAIL_ERRNO(e, "connecting to %s", path);
  return steal_fd(&fd);
}

static int open_as(char mode, const char *path, struct error *e) {
  int fd = mode == 'r' || mode == 'l' ? open(path, O_RDONLY)
           : mode == 'w'              ? open(path, O_RDWR)
           : mode == 'a'              ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600)
           : mode == 'c'              ? connect_to(path, e)
           : mode == 'n'              ? net_open_tap(path, e)
                                      : FAIL(e, ERR_INVALID, "unknown mode %c", mode);
  return fd < 0 && strchr("rwal", mode) ? FAIL_ERRNO(e, "opening %s", path) : fd;
}

// "7=r:/path": the descriptor's number, how it is opened, what.
static int open_one(const char *text, struct error *e) {
  char *end;
  long number = strtol(text, &end, 10);
  if (number < 3 || number > 255 || end[0] != '=' || !end[1] || end[2] != ':')
    return FAIL(e, ERR_INVALID, "not FD=MODE:PATH: %s", text);
  int fd = open_as(end[1], end + 3, e);
  if (fd < 0) return -1;
  // By its descriptor: QEMU's user may not be able to go where the file lies.
  if (end[1] == 'l') {
    char library[32];
    snprintf(library, sizeof library, "/proc/self/fd/%ld", number);
    if (setenv("LD_PRELOAD", library, 1) < 0) return FAIL_ERRNO(e, "setenv");
  }
  if (fd == number) return 0;
  int moved = dup2(fd, (int)number);
  close(fd);
  return moved < 0 ? FAIL_ERRNO(e, "dup2") : 0;
}

static int take_word(char *word, struct error *e) {
  static const char group[] = "group=";
  if (strncmp(word, group, sizeof group - 1) != 0) return open_one(word, e);
  char *instance = word + sizeof group - 1, *colon = strchr(instance, ':');
  if (!colon) return FAIL(e, ERR_INVALID, "a group needs INSTANCE:NAME:BYTES:MILLIS");
  *colon = 0;
  return group_enter(instance, colon + 1, e);
}

static int become(uid_t uid, gid_t gid, pid_t parent, struct error *e) {
  if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
    return FAIL_ERRNO(e, "becoming %u:%u", uid, gid);
  // After the change of identity, which would clear it (prctl(2)).
  // A huge page for a few translated instructions would double what an idle machine costs.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
    return FAIL_ERRNO(e, "prctl");
  // The parent may have died before it could be watched.
  return getppid() != parent ? FAIL(e, ERR_INTERNAL, "the parent is gone") : 0;
}

static int run(char **argv, struct error *e) {
  pid_t parent = getppid();
  if (!argv[0] || !argv[1]) return FAIL(e, ERR_INVALID, "run needs UID and GID");
  uid_t uid = (uid_t)strtoul(argv[0], NULL, 10);
  gid_t gid = (gid_t)strtoul(argv[1], NULL, 10);
  if (uid == 0 || gid == 0) return FAIL(e, ERR_INVALID, "QEMU is not run as root");
  bool kvm = false;
  for (argv += 2; *argv && strcmp(*argv, "--") != 0; argv++) {
    if (strcmp(*argv, "kvm") == 0) kvm = true;
    else if (take_word(*argv, e) < 0) return -1;
  }
  if (!argv[0] || !argv[1]) return FAIL(e, ERR_INVALID, "no program is given");
  umask(077);
  if (chdir("/") < 0) return FAIL_ERRNO(e, "chdir");
  if (kvm && kvm_lend(uid, gid, e) < 0) return -1;
  if (become(uid, gid, parent, e) < 0) return -1;
  // Copies of the process that a branch is made from (capture.c) leave no zombie behind.
  signal(SIGCHLD, SIG_IGN);
  const char *library = getenv("LD_PRELOAD");
  if (library && access(library, R_OK) < 0)
    return FAIL_ERRNO(e, "the library for QEMU must be readable for everybody");
  execv(argv[1], argv + 1);
  return FAIL_ERRNO(e, "executing %s", argv[1]);
}

static uint64_t ticks(void) { return __builtin_ia32_rdtsc(); }

// Without kvmclock a guest calibrates its clock against a timer that a busy host delays, and hangs.
static int tsc(void) {
  struct timespec from, to, wait = {.tv_nsec = 50000000};
  clock_gettime(CLOCK_MONOTONIC_RAW, &from);
  uint64_t first = ticks();
  nanosleep(&wait, NULL);
  clock_gettime(CLOCK_MONOTONIC_RAW, &to);
  uint64_t passed = ticks() - first;
  double ms = (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
  printf("%.0f\n", (double)passed / ms);
  return 0;
}

// A second name for a file that somebody holds open.
static int give_name(const char *from, const char *to, struct error *e) {
  return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) < 0
             ? FAIL_ERRNO(e, "linking %s as %s", from, to)
             : 0;
}

static int dispatch(int argc, char **argv, struct error *e) {
  const char *verb = argc > 1 ? argv[1] : "";
  if (strcmp(verb, "run") == 0) return run(argv + 2, e);
  if (strcmp(verb, "hold") == 0) return verb_hold(argv + 2, e);
  if (strcmp(verb, "capture") == 0) return verb_capture(argv + 2, e);
  if (strcmp(verb, "fill") == 0) return verb_fill(argv + 2, e);
  if (strcmp(verb, "digest") == 0) return verb_digest(argv + 2, e);
  if (strcmp(verb, "link") == 0 && argc == 4) return give_name(argv[2], argv[3], e);
  if (strcmp(verb, "tsc") == 0) return tsc();
  if (strcmp(verb, "groups") == 0 && argc == 3) return groups_prepare(argv[2], e);
  if (strcmp(verb, "kvm") == 0) return kvm_try(e);
  return FAIL(e, ERR_INVALID, "run, groups, hold, capture, fill, digest, link, tsc or kvm?");
}

int main(int argc, char **argv) {
  struct error e;
  int state = dispatch(argc, argv, &e);
  if (state < 0) fprintf(stderr, "forkd-vm: %s\n", e.message);
  return state < 0 ? 1 : 0;
}
