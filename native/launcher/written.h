// What a sandbox or a zygote has written: its writable layer, /tmp and /dev/shm.
#pragma once
#include <sys/types.h>

#include "job.h"

struct written {
  int upper;      // directory that holds its writable layer, u
  pid_t pid;      // of a process in its root
  int pidfd;      // the same
  const char *to; // a delta's path
};

// Work for a job; the plan is a struct written. Copies all of it into the delta.
job_work written_copy;
