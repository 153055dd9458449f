#define _GNU_SOURCE
#include "job.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/cleanup.h"
#include "sys.h"

static _Noreturn void run(job_work *work, const void *plan, const int *entries, size_t count,
                          int pipe) {
  struct job_result result = {0};
  int status = 0;
  sys_name("forkd-job");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 0; status == 0 && i < count; i++)
    if (write(entries[i], "0", 1) != 1)
      status = FAIL_ERRNO(&result.error, "entering a control group");
  if (status == 0) work(plan, &result);
  _exit(write(pipe, &result, sizeof result) == sizeof result ? 0 : 1);
}

int job_start(struct job *j, job_work *work, const void *plan, const int *entries, size_t count,
              struct error *e) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return FAIL_ERRNO(e, "a pipe for a job");
  pid_t pid = sys_clone(0, &j->pidfd);
  if (pid == 0) run(work, plan, entries, count, ends[1]);
  close(ends[1]);
  if (pid > 0) {
    j->pipe = ends[0];
    return 0;
  }
  close(ends[0]);
  return FAIL_ERRNO(e, "cloning a job");
}

void job_take(struct job *j, struct job_result *result) {
  siginfo_t info = {.si_pid = 0};
  // Smaller than what a pipe takes at once: it is there as a whole, or never will be.
  ssize_t n = read(j->pipe, result, sizeof *result);
  if (n != sizeof *result) {
    *result = (struct job_result){0};
    FAIL(&result->error, ERR_RUNTIME, "the copying was killed");
  }
  // It has nothing left to do but to end.
  while (waitid(P_PIDFD, (id_t)j->pidfd, &info, WEXITED) < 0 && errno == EINTR) {
  }
  close(j->pidfd);
  close(j->pipe);
  *j = (struct job){-1, -1};
}

void job_kill(const struct job *j) {
  if (j->pidfd >= 0) sys_pidfd_kill(j->pidfd, SIGKILL);
}
