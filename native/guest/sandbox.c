// The sandbox's processes: the agent is PID 1 of a pid namespace, as in the process engine, so that
// neither this program nor the kernel's threads are seen; the runtime is PID 2.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../agent/agent.h"
#include "../common/cleanup.h"
#include "../common/seccomp.h"
#include "guest.h"

enum { RUNTIME_FD = 3 };

static int drop_capabilities(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++) continue;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return (int)syscall(SYS_capset, &header, none);
}

static int limit_open_files(int64_t most) {
  const struct rlimit files = {(rlim_t)most, (rlim_t)most};
  return most ? setrlimit(RLIMIT_NOFILE, &files) : 0;
}

_Noreturn static void become_runtime(const struct guest_spec *s, const struct filter *filter,
                                     int channel, int log) {
  struct error e;
  int null = open("/dev/null", O_RDONLY);
  setsid();
  if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
      dup2(channel, RUNTIME_FD) < 0 || syscall(SYS_close_range, RUNTIME_FD + 1, ~0U, 0) < 0 ||
      fcntl(RUNTIME_FD, F_SETFD, 0) < 0 || chdir(s->workdir) < 0 ||
      limit_open_files(s->open_files) < 0 || drop_capabilities() < 0 ||
      filter_install(filter, &e) < 0)
    _exit(126);
  execve(s->argv[0], s->argv, s->env);
  dprintf(2, "forkd: failed: the interpreter %s cannot be started: %m\n", s->argv[0]);
  _exit(127);
}

static int start_runtime(const struct guest_spec *s, int log, struct agent_options *options,
                         struct error *e) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
    return FAIL_ERRNO(e, "the runtime's channel");
  // become_runtime moves it to 3, which must not be one of the two ends.
  int high = fcntl(ends[1], F_DUPFD_CLOEXEC, 10), high_log = fcntl(log, F_DUPFD_CLOEXEC, 10);
  close(ends[1]);
  pid_t pid = high < 0 || high_log < 0 ? -1 : fork();
  if (pid == 0) become_runtime(s, options->guest->filter, high, high_log);
  close(high);
  close(high_log);
  options->runtime_fd = ends[0];
  options->runtime_pid = pid;
  return pid < 0 ? FAIL_ERRNO(e, "starting the runtime") : 0;
}

// There is no pivoting out of an initramfs (pivot_root(2)): its root is moved over instead.
static int enter_root(struct error *e) {
  if (mount("proc", GUEST_ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
    return FAIL_ERRNO(e, "mounting /proc");
  if (masks_apply(e) < 0) return -1;
  if (chdir(GUEST_ROOT) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
      chdir("/") < 0)
    return FAIL_ERRNO(e, "entering the sandbox's root");
  return 0;
}

// The value is explained at resource_limits_set of the process engine (launcher/root.c).
static int limit_core(struct error *e) {
  const struct rlimit no_core = {1, 1};
  return setrlimit(RLIMIT_CORE, &no_core) < 0 ? FAIL_ERRNO(e, "the limit of core files") : 0;
}

static int be_sandbox(const struct guest_spec *s, int cgroup, struct error *e) {
  static struct filter filter;
  struct agent_guest guest = {.cgroup_fd = cgroup, .disk_fd = -1, .filter = &filter};
  struct agent_options options = {
      .listen_fd = -1, .stream_fd = -1, .runtime_fd = -1, .guest = &guest};
  int log = -1;
  filter_build(&filter, &(struct filter_choice){false, s->syscalls});
  guest.disk_fd = open(GUEST_UPPER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (guest.disk_fd < 0) return FAIL_ERRNO(e, "opening the writable layer");
  if (limit_core(e) < 0 || port_open("forkd.agent", &options.stream_fd, e) < 0) return -1;
  if (port_open("forkd.log", &log, e) < 0 || enter_root(e) < 0) return -1;
  if (s->argv[0] && start_runtime(s, log, &options, e) < 0) return -1;
  close(log);
  options.open_files = s->open_files;
  return agent_run(&options) == 0 ? 0 : FAIL(e, ERR_INTERNAL, "the agent could not start");
}

int sandbox_run(const struct guest_spec *s, struct error *e) {
  int cgroup, status;
  if (cgroup_make(&cgroup, e) < 0) return -1;
  if (unshare(CLONE_NEWPID) < 0) return FAIL_ERRNO(e, "a pid namespace");
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) return FAIL_ERRNO(e, "starting the agent");
  if (pid == 0) {
    if (write_text(GUEST_CGROUPS "/sandbox/cgroup.procs", "0", e) < 0 ||
        (unshare(CLONE_NEWNS) < 0 ? FAIL_ERRNO(e, "a mount namespace") : 0) < 0 ||
        be_sandbox(s, cgroup, e) < 0)
      printf("forkd-init: %s\n", e->message);
    fflush(stdout);
    _exit(1);
  }
  // Orphans of the namespace go to its own first process, so this is the only child there is.
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return FAIL(e, ERR_INTERNAL, "the agent ended with status 0x%x", (unsigned)status);
}
