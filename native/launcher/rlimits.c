#define _GNU_SOURCE
#include "rlimits.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "sys.h"

// Of /proc/PID/status, in bytes.
static int data_size(pid_t pid, int64_t *bytes, struct error *e) {
  char path[48], text[4096];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  if (read_text(AT_FDCWD, path, text, sizeof text, e) < 0) return -1;
  const char *at = strstr(text, "\nVmData:");
  if (!at) return FAIL(e, ERR_RUNTIME, "process %d has ended", pid);
  *bytes = strtoll(at + 8, NULL, 10) * 1024;
  return 0;
}

static int set(pid_t pid, int resource, int64_t value, struct error *e) {
  const struct rlimit limit = {(rlim_t)value, (rlim_t)value};
  return prlimit(pid, resource, &limit, NULL) < 0
             ? FAIL_ERRNO(e, "setting a limit of process %d", pid)
             : 0;
}

int rlimits_stand_in(const struct cgroups *groups, pid_t pid, const struct limits *limits,
                     struct error *e) {
  int64_t data;
  bool memory = groups->base[C_MEMORY] < 0 && limits->memory_bytes;
  bool pids = groups->base[C_PIDS] < 0 && limits->pids_max;
  if (!memory && !pids) return 0;
  // To prlimit(2) zero would be the launcher.
  if (pid <= 0) return FAIL(e, ERR_RUNTIME, "the process that has the limits has ended");
  if (memory && (data_size(pid, &data, e) < 0 ||
                 set(pid, RLIMIT_DATA, data + limits->memory_bytes, e) < 0))
    return -1;
  return pids ? set(pid, RLIMIT_NPROC, limits->pids_max, e) : 0;
}
