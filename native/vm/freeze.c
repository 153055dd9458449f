// A copy of a running process that never runs: fork(2) in the name of its main thread.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "pages.h"

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

// Kept over the injected call.
struct tracee {
  pid_t pid;
  struct user_regs_struct regs;
  int pending; // a signal that came at the wrong moment
};

// What the kernel leaves in rax when a system call is to be started again (linux/errno.h).
enum { RESTART_SYS = 512, RESTART_NO_INTR = 513, RESTART_NO_HAND = 514, RESTART_BLOCK = 516 };

// The vdso always has a system call instruction.
static int find_instruction(pid_t pid, uint64_t *at, struct error *e) {
  char path[64], line[512];
  unsigned char code[2 * PAGE_BYTES];
  unsigned long start = 0, end = 0;
  snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
  FILE *maps = fopen(path, "re");
  if (!maps) return FAIL_ERRNO(e, "opening %s", path);
  while (fgets(line, sizeof line, maps))
    if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &start, &end) == 2) break;
  fclose(maps);
  snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
  cleanup_fd int mem = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = mem < 0 ? -1 : pread(mem, code, sizeof code, (off_t)start);
  for (ssize_t i = 0; i + 1 < n; i++)
    if (code[i] == 0x0f && code[i + 1] == 0x05) {
      *at = start + (uint64_t)i;
      return 0;
    }
  return FAIL(e, ERR_UNSUPPORTED, "process %d has no vdso that makes system calls", (int)pid);
}

// Waits for a stop of that event, or of a system call (event 0). Signals are kept for later.
static int await_stop(struct tracee *t, int event, int resume, struct error *e) {
  for (int tries = 0; tries < 64; tries++) {
    int status;
    if (waitpid(t->pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
      return FAIL(e, ERR_INTERNAL, "process %d ended while it was stopped", (int)t->pid);
    if (event && status >> 16 == event) return 0;
    if (!event && WSTOPSIG(status) == (SIGTRAP | 0x80)) return 0;
    if (!event && status >> 16 == PTRACE_EVENT_FORK) return 1;
    if (!(status >> 16)) t->pending = WSTOPSIG(status);
    if (ptrace(resume, t->pid, 0, 0) < 0) break;
  }
  return FAIL(e, ERR_INTERNAL, "process %d does not stop where it should", (int)t->pid);
}

static void undo_interruption(struct user_regs_struct *regs) {
  long long result = -(long long)regs->rax;
  if ((long long)regs->orig_rax < 0) return;
  if (result == RESTART_SYS || result == RESTART_NO_INTR || result == RESTART_NO_HAND) {
    regs->rax = regs->orig_rax;
    regs->rip -= 2;
  } else if (result == RESTART_BLOCK) {
    regs->rax = (unsigned long long)-EINTR;
  }
  regs->orig_rax = (unsigned long long)-1;
}

// Returns the copy's pid.
static pid_t inject(struct tracee *t, uint64_t instruction, struct error *e) {
  struct user_regs_struct call = t->regs;
  unsigned long frozen = 0;
  int stop;
  call.rax = SYS_clone;
  call.rdi = SIGCHLD;
  call.rsi = call.rdx = call.r10 = call.r8 = 0;
  call.rip = instruction;
  // Should the copy ever be let go of, its first return faults.
  call.rsp = 0;
  call.orig_rax = (unsigned long long)-1;
  if (ptrace(PTRACE_SETREGS, t->pid, 0, &call) < 0) return FAIL_ERRNO(e, "PTRACE_SETREGS");
  if (ptrace(PTRACE_SYSCALL, t->pid, 0, 0) < 0 || await_stop(t, 0, PTRACE_SYSCALL, e) != 0)
    return FAIL_ERRNO(e, "starting a system call in process %d", (int)t->pid);
  do {
    if (ptrace(PTRACE_SYSCALL, t->pid, 0, 0) < 0) return FAIL_ERRNO(e, "PTRACE_SYSCALL");
    stop = await_stop(t, 0, PTRACE_SYSCALL, e);
    if (stop < 0) return -1;
    if (stop == 1 && ptrace(PTRACE_GETEVENTMSG, t->pid, 0, &frozen) < 0)
      return FAIL_ERRNO(e, "PTRACE_GETEVENTMSG");
  } while (stop == 1);
  if (frozen) return (pid_t)frozen;
  if (ptrace(PTRACE_GETREGS, t->pid, 0, &call) < 0) return FAIL_ERRNO(e, "PTRACE_GETREGS");
  errno = (int)-(long long)call.rax;
  return FAIL_ERRNO(e, "copying process %d", (int)t->pid);
}

static pid_t with_stopped(struct tracee *t, struct error *e) {
  uint64_t instruction;
  if (ptrace(PTRACE_INTERRUPT, t->pid, 0, 0) < 0) return FAIL_ERRNO(e, "PTRACE_INTERRUPT");
  if (await_stop(t, PTRACE_EVENT_STOP, PTRACE_CONT, e) != 0) return -1;
  if (find_instruction(t->pid, &instruction, e) < 0) return -1;
  if (ptrace(PTRACE_GETREGS, t->pid, 0, &t->regs) < 0) return FAIL_ERRNO(e, "PTRACE_GETREGS");
  pid_t frozen = inject(t, instruction, e);
  undo_interruption(&t->regs);
  if (ptrace(PTRACE_SETREGS, t->pid, 0, &t->regs) < 0) {
    if (frozen > 0) freeze_end(frozen);
    return FAIL_ERRNO(e, "PTRACE_SETREGS");
  }
  return frozen;
}

pid_t freeze(pid_t pid, struct error *e) {
  struct tracee t = {.pid = pid};
  // QEMU's own filter forbids fork; it is lifted only while we hold the thread.
  long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD | PTRACE_O_SUSPEND_SECCOMP;
  if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
    return FAIL_ERRNO(e, "tracing process %d", (int)pid);
  pid_t frozen = with_stopped(&t, e);
  ptrace(PTRACE_DETACH, pid, 0, 0);
  if (t.pending) kill(pid, t.pending);
  if (frozen < 0) return -1;
  struct tracee copy = {.pid = frozen};
  if (await_stop(&copy, PTRACE_EVENT_STOP, PTRACE_CONT, e) != 0 ||
      ptrace(PTRACE_SETOPTIONS, frozen, 0, PTRACE_O_EXITKILL) < 0) {
    freeze_end(frozen);
    return -1;
  }
  return frozen;
}

void freeze_end(pid_t frozen) {
  kill(frozen, SIGKILL);
  while (waitpid(frozen, NULL, __WALL) < 0 && errno == EINTR) continue;
}
