#define _GNU_SOURCE
#include "userns.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys.h"

bool userns_is_single(void) {
  struct error e; // without /proc the first template fails, and says so
  char text[256];
  unsigned first, outside, count;
  if (read_text(AT_FDCWD, "/proc/self/uid_map", text, sizeof text, &e) < 0) return false;
  // One line: a second one would be a second range.
  return sscanf(text, "%u %u %u", &first, &outside, &count) == 3 && count == 1 &&
         strchr(text, '\n') == strrchr(text, '\n');
}

static int map_self(const char *path, unsigned outside, struct error *e) {
  char map[32];
  snprintf(map, sizeof map, "0 %u 1\n", outside);
  return write_text(AT_FDCWD, path, map, e);
}

int userns_enter(struct error *e) {
  uid_t uid = geteuid();
  gid_t gid = getegid();
  // Whose network namespace is another's may not mount sysfs.
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
    return FAIL_ERRNO(e, "a user namespace of its own (sysctls user.max_user_namespaces, "
                         "kernel.unprivileged_userns_clone, "
                         "kernel.apparmor_restrict_unprivileged_userns)");
  // user_namespaces(7): without it an ordinary user may not map a group.
  if (write_text(AT_FDCWD, "/proc/self/setgroups", "deny", e) < 0) return -1;
  if (map_self("/proc/self/gid_map", gid, e) < 0) return -1;
  return map_self("/proc/self/uid_map", uid, e);
}

int userns_map(pid_t pid, struct id_range ids, struct error *e) {
  char path[64], map[64];
  snprintf(map, sizeof map, "0 %u %u\n", ids.first, ids.count);
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

int userns_create(struct id_range ids, struct error *e) {
  char path[64];
  pid_t parent = getpid();
  pid_t pid = sys_clone(CLONE_NEWUSER, NULL);
  if (pid < 0) return FAIL_ERRNO(e, "creating a user namespace (sysctl user.max_user_namespaces)");
  if (pid == 0) keep_namespace(parent);
  int fd = -1;
  if (userns_map(pid, ids, e) == 0) {
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL_ERRNO(e, "opening %s", path);
  }
  kill(pid, SIGKILL);
  waitpid(pid, NULL, 0);
  return fd;
}
