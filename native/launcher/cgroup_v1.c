#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_ops.h"

struct search {
  struct cgroups *all;
  enum controller controller;
};

static bool visit(const struct cgroup_mount *m, void *arg) {
  struct search *s = arg;
  const char *name = s->controller == C_IO ? "blkio" : controller_names[s->controller];
  if (strcmp(m->type, "cgroup") != 0 || !has_word(m->options, name)) return false;
  s->all->parent[s->controller] = cgroup_open_own(m, name);
  return s->all->parent[s->controller] >= 0;
}

bool cgroup_v1_find(struct cgroups *all) {
  bool any = false;
  for (enum controller c = 0; c < C_COUNT; c++)
    any |= cgroup_each_mount(visit, &(struct search){all, c});
  return any;
}

static int set_memory(int dir, int64_t value, struct error *e) {
  char text[32];
  struct error first;
  snprintf(text, sizeof text, "%lld", value ? (long long)value : -1LL);
  // memory + swap may never be below memory, so the order depends on the direction: try both.
  bool swap = faccessat(dir, "memory.memsw.limit_in_bytes", F_OK, 0) == 0;
  if (!swap) return write_text(dir, "memory.limit_in_bytes", text, e);
  if (write_text(dir, "memory.limit_in_bytes", text, &first) == 0)
    return write_text(dir, "memory.memsw.limit_in_bytes", text, e);
  if (write_text(dir, "memory.memsw.limit_in_bytes", text, e) < 0) return -1;
  return write_text(dir, "memory.limit_in_bytes", text, e);
}

static int set(int dir, enum controller c, int64_t value, struct error *e) {
  char text[32];
  switch (c) {
    case C_MEMORY: return set_memory(dir, value, e);
    case C_PIDS:
      snprintf(text, sizeof text, "%lld", (long long)value);
      return write_text(dir, "pids.max", value ? text : "max", e);
    case C_IO: return cgroup_set_io(dir, &cgroup_v1_ops, value, e);
    default:
      // The default period is 100 000 us, and 1000 millis are one core.
      snprintf(text, sizeof text, "%lld", value ? (long long)value * 100 : -1LL);
      return write_text(dir, "cpu.cfs_quota_us", text, e);
  }
}

static const char *const io_files[] = {"blkio.bfq.weight", "blkio.weight", NULL};

const struct cgroup_ops cgroup_v1_ops = {
    .version = "v1",
    // Not cgroup.procs: moving a thread group waits for every CPU (10 ms seen), a task does not.
    .entry_file = "tasks",
    .oom_file = "memory.oom_control",
    .oom_key = "oom_kill ",
    .io_files = io_files,
    .set = set,
};
