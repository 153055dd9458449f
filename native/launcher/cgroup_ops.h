// What differs between the two versions of control groups.
#pragma once
#include "cgroup.h"

struct cgroup_ops {
  const char *version;
  const char *entry_file;   // takes "0"
  const char *oom_file, *oom_key;
  bool one_hierarchy;
  // Files of the group that `dir` is of which one holds the weight of its io, NULL-terminated.
  const char *const *io_files;
  // Sets one limit in the group that `dir` is; 0 = none.
  int (*set)(int dir, enum controller c, int64_t value, struct error *e);
};

// Fill parent[] and return true when this version serves at least one controller.
bool cgroup_v1_find(struct cgroups *all);
bool cgroup_v2_find(struct cgroups *all);
// v2: makes the controllers available below the base; drops those that cannot be.
void cgroup_v2_enable(struct cgroups *all);

extern const struct cgroup_ops cgroup_v1_ops, cgroup_v2_ops;

// Moves every process of a pid namespace, given its init, into the group that a directory is.
int cgroup_move_namespace(int group, pid_t init, struct error *e);

// Writes a weight of io (0 = the usual one) to the first of the files that the kernel has.
int cgroup_set_io(int dir, const struct cgroup_ops *ops, int64_t weight, struct error *e);

// One line of /proc/self/mountinfo that is a cgroup mount.
struct cgroup_mount {
  char root[512], point[512], type[16], options[256];
};
// Calls `visit` for each until it returns true.
bool cgroup_each_mount(bool (*visit)(const struct cgroup_mount *m, void *arg), void *arg);
// The own group for a controller name of /proc/self/cgroup ("" is v2's), "/" when there is none.
void cgroup_own_path(const char *controller, char *path, size_t size);
// Opens the directory of the own group below a mount.
int cgroup_open_own(const struct cgroup_mount *m, const char *controller);
// A comma-separated list has the word.
bool has_word(const char *list, const char *word);
