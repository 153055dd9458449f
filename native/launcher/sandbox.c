// Becoming PID 1 of a sandbox. The order matters at four places: the control group before its
// namespace (else /proc/self/cgroup shows the host's path), proc before the old root goes, the user
// namespace after all others (so that its root owns none of them), the filter last.
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../agent/agent.h"
#include "caps.h"
#include "setup.h"

static int enter_cgroups(struct agent_plan *plan, struct error *e) {
  for (size_t i = 0; i < plan->entry_count; i++)
    if (write(plan->entries[i], "0", 1) != 1) return FAIL_ERRNO(e, "entering a control group");
  return unshare(CLONE_NEWCGROUP) < 0 ? FAIL_ERRNO(e, "unsharing the cgroup namespace") : 0;
}

static int leave_userns(const struct agent_plan *plan, struct error *e) {
  if (unshare(CLONE_NEWUSER) < 0) return FAIL_ERRNO(e, "unsharing the user namespace");
  // New credentials made this process undumpable and forgot its parent-death signal. Undumpable,
  // its uid_map belongs to the host's root and the zygote may not enter its namespaces.
  prctl(PR_SET_DUMPABLE, 1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (note_send(plan->note, NOTE_MAP_ME, NULL) < 0) return FAIL_ERRNO(e, "asking for an id map");
  return note_wait(plan->note, NOTE_MAPPED, e);
}

static int become(struct family *f, struct agent_plan *plan, struct error *e) {
  const char *hostname = plan->root.hostname;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (enter_cgroups(plan, e) < 0 || root_enter(f, &plan->root, e) < 0) return -1;
  if (loopback_up(e) < 0) return -1;
  if (sethostname(hostname, strlen(hostname)) < 0) return FAIL_ERRNO(e, "sethostname");
  if (leave_userns(plan, e) < 0 || resource_limits_set(OPEN_FILES_MAX, e) < 0) return -1;
  if (caps_limit(CAPS_AGENT, 0, e) < 0) return -1;
  return filter_install(&f->sandbox_filter, e);
}

_Noreturn void sandbox_main(struct family *f, struct agent_plan *plan) {
  struct error e;
  sys_name("forkd-agent");
  int fds[2] = {plan->listener, plan->runtime};
  if (become(f, plan, &e) < 0) {
    note_send(plan->note, NOTE_FAILED, &e);
    _exit(1);
  }
  note_send_fd(plan->note, NOTE_READY, plan->root.upper);
  bool runtime = f->spec.argv[0];
  if (keep_only(fds, runtime ? 2 : 1, &e) < 0) _exit(1);
  struct agent_options options = {
      .listen_fd = fds[0], .stream_fd = -1, .runtime_fd = runtime ? fds[1] : -1,
      .open_files = f->spec.open_files};
  _exit(agent_run(&options));
}
