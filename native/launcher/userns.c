#define _GNU_SOURCE
#include "userns.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"
#include "sys.h"

int userns_map(pid_t pid, uid_t base, struct error *e) {
  char path[64], map[64];
  snprintf(map, sizeof map, "0 %u %d\n", base, ID_RANGE);
  snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
  if (write_text(AT_FDCWD, path, map, e) < 0) return -1;
  snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
  return write_text(AT_FDCWD, path, map, e);
}

// Exists only to keep the namespace until it is open.
static _Noreturn void keep_namespace(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (getppid() == parent) pause(); // else the parent died before the prctl
  _exit(0);
}

int userns_create(uid_t base, struct error *e) {
  char path[64];
  pid_t parent = getpid();
  pid_t pid = sys_clone(CLONE_NEWUSER, NULL);
  if (pid < 0) return FAIL_ERRNO(e, "creating a user namespace (sysctl user.max_user_namespaces)");
  if (pid == 0) keep_namespace(parent);
  int fd = -1;
  if (userns_map(pid, base, e) == 0) {
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL_ERRNO(e, "opening %s", path);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return fd;
}
