// Work that takes long, in a process of its own: the launcher never waits for it. It can be killed
// at any moment and leaves nothing but what the caller made for it.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../common/error.h"

struct job_result {
  int64_t copied, resident; // bytes
  struct error error;       // message empty = it went well
};

struct job {
  int pidfd, pipe; // -1: none runs
};

typedef void job_work(const void *plan, struct job_result *result);

// Starts `work` with a copy of all memory; it enters the control groups first.
int job_start(struct job *j, job_work *work, const void *plan, const int *entries, size_t count,
              struct error *e);
// Once the pipe can be read. Takes the result; the job is over.
void job_take(struct job *j, struct job_result *result);
void job_kill(const struct job *j);
