// A process that is held by ptrace: found at a system call, made to call others, given a state.
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "../common/error.h"

// False: this processor is not known here, and nothing below works.
#define REMOTE_SUPPORTED (__x86_64__ + 0)

// Stops the process; should this one end before it is let go, it is killed.
int remote_hold(pid_t pid, struct error *e);
// Runs the process until it pauses (pause(2)); it has this long for it.
int remote_until_paused(pid_t pid, struct error *e);
// Runs a process that waits in a system call until it can be made to call others.
int remote_prepare(pid_t pid, struct error *e);
// Makes the process call; the result or -errno goes to `result`.
int remote_call(pid_t pid, long number, const uint64_t arguments[6], int64_t *result,
                struct error *e);
// A place below the stack that the process does not use: for what a call writes to memory.
int remote_scratch(pid_t pid, uint64_t *address, struct error *e);
// `to` goes on where `from` is, with a 0 from its system call. Both are held.
int remote_resume_as(pid_t to, pid_t from, struct error *e);
