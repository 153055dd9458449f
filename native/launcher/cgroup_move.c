// Limits for a sandbox that was forked without: its group is made late, and all of its processes,
// which are those of its pid namespace, are moved in.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "cgroup_ops.h"

enum { PASSES_MAX = 16 };

struct pass {
  size_t count;
  uint64_t sum; // of the pids: together with the count tells one set from another
};

static bool read_namespace(int proc, const char *pid, char *name, size_t size) {
  char path[300];
  snprintf(path, sizeof path, "%s/ns/pid", pid);
  ssize_t n = readlinkat(proc, path, name, size - 1);
  if (n <= 0) return false;
  name[n] = 0;
  return true;
}

static struct pass move_once(DIR *dir, const char *wanted, int group) {
  struct pass pass = {0};
  struct dirent *process;
  struct error ignored; // it may have ended since
  char name[64];
  rewinddir(dir);
  while ((process = readdir(dir))) {
    unsigned pid;
    if (sscanf(process->d_name, "%u", &pid) != 1) continue;
    if (!read_namespace(dirfd(dir), process->d_name, name, sizeof name)) continue;
    if (strcmp(name, wanted) != 0) continue;
    write_text(group, "cgroup.procs", process->d_name, &ignored); // all threads, unlike tasks
    pass.count++;
    pass.sum += pid;
  }
  return pass;
}

int cgroup_move_namespace(int group, pid_t init, struct error *e) {
  char wanted[64], pid[16];
  struct pass last = {0};
  DIR *dir = opendir("/proc");
  if (!dir) return FAIL_ERRNO(e, "opening /proc");
  snprintf(pid, sizeof pid, "%d", init);
  bool found = read_namespace(dirfd(dir), pid, wanted, sizeof wanted), settled = false;
  // A process seen in one pass forks into the new group from then on; one that was forked before
  // shows in the next.
  for (int i = 0; found && !settled && i < PASSES_MAX; i++) {
    struct pass pass = move_once(dir, wanted, group);
    settled = pass.count == last.count && pass.sum == last.sum;
    last = pass;
  }
  closedir(dir);
  if (!found) return FAIL(e, ERR_NOT_FOUND, "the agent has ended");
  return settled ? 0 : FAIL(e, ERR_EXHAUSTED, "processes are forked faster than they can be moved");
}
