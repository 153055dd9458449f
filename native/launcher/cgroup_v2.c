#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cgroup_ops.h"

// cgroup.controllers of a group, as a comma-separated list.
static void read_controllers(int dir, char *list, size_t size) {
  struct error ignored;
  if (read_text(dir, "cgroup.controllers", list, size, &ignored) < 0) *list = 0;
  for (char *at = list; *at; at++)
    if (*at == ' ' || *at == '\n') *at = at[1] ? ',' : 0;
}

// The top is tried first: below the own group nothing can be enabled while processes are in it
// ("no internal processes"), and a service's own group has the daemon in it.
static bool visit(const struct cgroup_mount *m, void *arg) {
  struct cgroups *all = arg;
  char list[256];
  if (strcmp(m->type, "cgroup2") != 0) return false;
  int dir = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir >= 0 && faccessat(dir, "cgroup.subtree_control", W_OK, AT_EACCESS) < 0) {
    close(dir);
    dir = cgroup_open_own(m, "");
  }
  if (dir < 0) return false;
  read_controllers(dir, list, sizeof list);
  bool any = false;
  for (enum controller c = 0; c < C_COUNT; c++) {
    if (!has_word(list, controller_names[c])) continue;
    all->parent[c] = fcntl(dir, F_DUPFD_CLOEXEC, 3);
    any = true;
  }
  close(dir);
  return any;
}

bool cgroup_v2_find(struct cgroups *all) { return cgroup_each_mount(visit, all); }

void cgroup_v2_enable(struct cgroups *all) {
  for (enum controller c = 0; c < C_COUNT; c++) {
    struct error e;
    char text[16];
    if (all->base[c] < 0) continue;
    snprintf(text, sizeof text, "+%s", controller_names[c]);
    if (write_text(all->parent[c], "cgroup.subtree_control", text, &e) == 0 &&
        write_text(all->base[c], "cgroup.subtree_control", text, &e) == 0)
      continue;
    size_t used = strlen(all->warning);
    snprintf(all->warning + used, sizeof all->warning - used, "%s%s: %.100s", used ? "; " : "",
             controller_names[c], e.message);
    close(all->base[c]);
    all->base[c] = -1;
  }
}

static int set_memory(int dir, const char *text, struct error *e) {
  if (write_text(dir, "memory.max", text, e) < 0) return -1;
  // Absent without swap support in the kernel.
  if (faccessat(dir, "memory.swap.max", F_OK, 0) < 0) return 0;
  return write_text(dir, "memory.swap.max", "0", e);
}

static int set(int dir, enum controller c, int64_t value, struct error *e) {
  char text[48];
  snprintf(text, sizeof text, "%lld", (long long)value);
  switch (c) {
    case C_MEMORY: return set_memory(dir, value ? text : "max", e);
    case C_PIDS: return write_text(dir, "pids.max", value ? text : "max", e);
    case C_IO: return cgroup_set_io(dir, &cgroup_v2_ops, value, e);
    default:
      snprintf(text, sizeof text, "%lld 100000", (long long)value * 100);
      return write_text(dir, "cpu.max", value ? text : "max 100000", e);
  }
}

static const char *const io_files[] = {"io.bfq.weight", "io.weight", NULL};

const struct cgroup_ops cgroup_v2_ops = {
    .version = "v2",
    .entry_file = "cgroup.procs",
    .oom_file = "memory.events",
    .oom_key = "oom_kill ",
    .one_hierarchy = true,
    .io_files = io_files,
    .set = set,
};
