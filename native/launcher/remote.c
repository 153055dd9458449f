#define _GNU_SOURCE
#include "remote.h"

#include <elf.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "../common/cleanup.h"

#ifdef __x86_64__

enum { STATE_MAX = 65536, STOPS_MAX = 10000, RED_ZONE = 512 };

// The next stop; a signal on its way is left out. `syscall` tells whether it is one of a call.
static int wait_stop(pid_t pid, bool *syscall, struct error *e) {
  int status;
  if (waitpid(pid, &status, __WALL) != pid) return FAIL_ERRNO(e, "waiting for process %d", pid);
  if (!WIFSTOPPED(status))
    return FAIL(e, ERR_RUNTIME, "process %d ended meanwhile (wait status 0x%x)", pid, status);
  *syscall = WSTOPSIG(status) == (SIGTRAP | 0x80);
  return 0;
}

static int run_to_call(pid_t pid, struct error *e) {
  bool syscall = false;
  for (int i = 0; i < STOPS_MAX && !syscall; i++) {
    if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0)
      return FAIL_ERRNO(e, "letting process %d go on", pid);
    if (wait_stop(pid, &syscall, e) < 0) return -1;
  }
  return syscall ? 0 : FAIL(e, ERR_RUNTIME, "process %d comes to no system call", pid);
}

static int get(pid_t pid, struct user_regs_struct *r, struct error *e) {
  return ptrace(PTRACE_GETREGS, pid, NULL, r) < 0
             ? FAIL_ERRNO(e, "reading the registers of process %d", pid)
             : 0;
}

static int set(pid_t pid, struct user_regs_struct *r, struct error *e) {
  return ptrace(PTRACE_SETREGS, pid, NULL, r) < 0
             ? FAIL_ERRNO(e, "setting the registers of process %d", pid)
             : 0;
}

int remote_hold(pid_t pid, struct error *e) {
  bool ignored;
  uintptr_t options = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD;
  if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0)
    return FAIL_ERRNO(e, "tracing process %d", pid);
  if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
    return FAIL_ERRNO(e, "stopping process %d", pid);
  return wait_stop(pid, &ignored, e);
}

int remote_until_paused(pid_t pid, struct error *e) {
  struct user_regs_struct r;
  for (int i = 0; i < STOPS_MAX; i++) {
    if (run_to_call(pid, e) < 0 || get(pid, &r, e) < 0) return -1;
    if ((long long)r.orig_rax == SYS_pause) return 0;
  }
  return FAIL(e, ERR_RUNTIME, "the frozen copy does not pause");
}

int remote_prepare(pid_t pid, struct error *e) {
  struct user_regs_struct r;
  if (run_to_call(pid, e) < 0 || get(pid, &r, e) < 0) return -1;
  r.orig_rax = ~0ULL; // the call it came for is left out
  if (set(pid, &r, e) < 0) return -1;
  return run_to_call(pid, e); // its end: behind the instruction that the next calls use
}

int remote_call(pid_t pid, long number, const uint64_t arguments[6], int64_t *result,
                struct error *e) {
  struct user_regs_struct before, r;
  if (get(pid, &before, e) < 0) return -1;
  r = before;
  r.rip -= 2; // the length of `syscall`
  r.rax = (uint64_t)number;
  r.orig_rax = ~0ULL;
  r.rdi = arguments[0];
  r.rsi = arguments[1];
  r.rdx = arguments[2];
  r.r10 = arguments[3];
  r.r8 = arguments[4];
  r.r9 = arguments[5];
  if (set(pid, &r, e) < 0 || run_to_call(pid, e) < 0 || run_to_call(pid, e) < 0 ||
      get(pid, &r, e) < 0)
    return -1;
  if (r.rip != before.rip)
    return FAIL(e, ERR_INTERNAL, "a call went astray at 0x%lx", (unsigned long)r.rip);
  *result = (int64_t)r.rax;
  return set(pid, &before, e);
}

int remote_scratch(pid_t pid, uint64_t *address, struct error *e) {
  struct user_regs_struct r;
  if (get(pid, &r, e) < 0) return -1;
  *address = (r.rsp - RED_ZONE) & ~UINT64_C(63);
  return 0;
}

int remote_resume_as(pid_t to, pid_t from, struct error *e) {
  struct user_regs_struct r;
  cleanup_free void *state = malloc(STATE_MAX);
  struct iovec extended = {state, STATE_MAX};
  if (!state) return FAIL(e, ERR_EXHAUSTED, "out of memory");
  if (get(from, &r, e) < 0) return -1;
  if (ptrace(PTRACE_GETREGSET, from, (void *)(uintptr_t)NT_X86_XSTATE, &extended) < 0)
    return FAIL_ERRNO(e, "reading the vector registers");
  r.orig_rax = ~0ULL; // nothing to restart
  r.rax = 0;
  if (set(to, &r, e) < 0) return -1;
  if (ptrace(PTRACE_SETREGSET, to, (void *)(uintptr_t)NT_X86_XSTATE, &extended) < 0)
    return FAIL_ERRNO(e, "setting the vector registers");
  return ptrace(PTRACE_DETACH, to, NULL, NULL) < 0 ? FAIL_ERRNO(e, "letting process %d go", to) : 0;
}

#else

static int unknown(struct error *e) {
  return FAIL(e, ERR_UNSUPPORTED, "a running sandbox can be branched on x86-64 only");
}

int remote_hold(pid_t pid, struct error *e) { return (void)pid, unknown(e); }
int remote_until_paused(pid_t pid, struct error *e) { return (void)pid, unknown(e); }
int remote_prepare(pid_t pid, struct error *e) { return (void)pid, unknown(e); }
int remote_call(pid_t pid, long number, const uint64_t arguments[6], int64_t *result,
                struct error *e) {
  return (void)pid, (void)number, (void)arguments, (void)result, unknown(e);
}
int remote_scratch(pid_t pid, uint64_t *address, struct error *e) {
  return (void)pid, (void)address, unknown(e);
}
int remote_resume_as(pid_t to, pid_t from, struct error *e) {
  return (void)to, (void)from, unknown(e);
}

#endif
