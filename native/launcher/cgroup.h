// Control groups: `<own group>/forkd-<instance>/<name>` of each controller (v1), or
// `forkd-<instance>/<name>` of the one hierarchy (v2). A child gets a group of a controller only
// when it has a limit there: each costs about 0.1 ms.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spec.h"

enum controller { C_MEMORY, C_PIDS, C_CPU, C_IO, C_COUNT };

extern const char *const controller_names[C_COUNT];

struct cgroup_ops;

struct cgroups {
  const struct cgroup_ops *ops; // NULL: no control groups here
  int parent[C_COUNT], base[C_COUNT]; // directories, -1 = controller not available
  char name[48];                      // of the base
  char **stale; // left by a predecessor whose processes had not ended yet, NULL-terminated
  char warning[256];
};

struct cgroup {
  char name[NAME_MAX_LENGTH + 4];
  bool present[C_COUNT];
};

// Finds what there is, makes the base and removes what a killed predecessor left. Never fails: what
// is not available is told in `warning`.
void cgroups_open(struct cgroups *all, const char *instance);
// Removes those that were still busy then. Cheap when there are none.
void cgroups_retry(struct cgroups *all);
// As above, but nothing is removed: another process may just be making a group there.
void cgroups_attach(struct cgroups *all, const char *instance);
// Removes the groups below the base that nobody is in.
void cgroups_sweep(struct cgroups *all);
void cgroups_close(struct cgroups *all);
const char *cgroups_version(const struct cgroups *all);

// Makes the groups that the limits ask for; on failure none is left. A controller that is not
// available is passed over: see rlimits.h.
int cgroup_create(struct cgroups *all, struct cgroup *g, const char *name,
                  const struct limits *limits, struct error *e);
// Descriptors that take "0" to move the writer in. At most C_COUNT; the caller closes them.
int cgroup_open_entries(const struct cgroups *all, const struct cgroup *g, int *fds, size_t *count,
                        struct error *e);
// Changes the limits of a sandbox, given its agent. A group that it has not yet is made, and its
// processes are moved; what they have used so far stays charged where it was. ERR_UNSUPPORTED names
// a controller that is not available.
int cgroup_limit(struct cgroups *all, struct cgroup *g, const struct limits *limits, pid_t agent,
                 struct error *e);
int64_t cgroup_oom_kills(const struct cgroups *all, const struct cgroup *g);
// 1: gone; 0: still busy.
int cgroup_remove(const struct cgroups *all, struct cgroup *g);
