// What the limits of single processes can do where a controller of control groups is missing.
#pragma once
#include <sys/types.h>

#include "cgroup.h"

// For a process that has not started anything yet, and all that it starts: memory becomes a limit
// of what each of them may add to the data that this one has, pids a limit of its user namespace
// (setrlimit(2): RLIMIT_DATA, RLIMIT_NPROC). Nothing can stand for cpu. Does nothing where the
// controllers are there.
int rlimits_stand_in(const struct cgroups *groups, pid_t pid, const struct limits *limits,
                     struct error *e);
