// The child of the warden that becomes the interpreter. It has a mount namespace and a root of its
// own, as a sandbox has: warm-up code is the user's, and must not see the warden's tree.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "caps.h"
#include "setup.h"

static int random_machine_id(char *text, size_t size, struct error *e) {
  uint8_t bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) return FAIL_ERRNO(e, "getrandom");
  for (size_t i = 0; i < sizeof bytes && 2 * i + 2 < size; i++)
    snprintf(text + 2 * i, 3, "%02x", bytes[i]);
  return 0;
}

// The launcher made itself a bad victim; what it forks for others must be a good one. Undumpable,
// its files in /proc would belong to the host's root; exec sets that anew.
static void allow_oom_kill(void) {
  struct error ignored;
  prctl(PR_SET_DUMPABLE, 1);
  write_text(AT_FDCWD, "/proc/self/oom_score_adj", "0", &ignored);
}

static int confine(struct family *f, int report, struct error *e) {
  char machine_id[33];
  if (random_machine_id(machine_id, sizeof machine_id, e) < 0) return -1;
  for (size_t i = 0; i < f->entry_count; i++)
    if (write(f->entries[i], "0", 1) != 1) return FAIL_ERRNO(e, "entering a control group");
  struct root_plan root = {
      .hostname = f->spec.hostname, .machine_id = machine_id, .is_template = true};
  if (root_enter(f, &root, e) < 0) return -1;
  if (note_send_fd(report, NOTE_READY, root.upper) < 0)
    return FAIL_ERRNO(e, "sending the writable layer");
  allow_oom_kill();
  int64_t open_files = f->spec.open_files ? f->spec.open_files : OPEN_FILES_MAX;
  if (resource_limits_set(open_files, e) < 0) return -1;
  if (caps_limit(CAPS_ZYGOTE, CAPS_ZYGOTE, e) < 0) return -1;
  return filter_install(&f->zygote_filter, e);
}

// 0, 1, 2, 3 as docs/process-engine.md promises, nothing else.
static int place_descriptors(struct family *f, int *report, struct error *e) {
  int fds[3] = {f->zygote, *report, f->log};
  if (keep_only(fds, 3, e) < 0) return -1;
  *report = fds[1];
  // What is open already is the host's, and its link in /proc/self/fd says so.
  if (null_stdio(e) < 0) return -1;
  if (dup2(fds[2], 1) < 0 || dup2(fds[2], 2) < 0) return FAIL_ERRNO(e, "placing the output");
  if (fcntl(fds[0], F_SETFD, 0) < 0) return FAIL_ERRNO(e, "clearing close-on-exec");
  return 0;
}

// A template without a runtime: its sandboxes only run new processes. Something has to hold its
// place all the same, so that a template of either kind lives and ends in the same way. In a branch
// it keeps the namespaces that the new zygote is to enter.
static _Noreturn void stand_in(int report) {
  close(report); // as exec would
  for (;;) pause();
}

_Noreturn void zygote_main(struct family *f, int report) {
  struct error e;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (confine(f, report, &e) == 0) {
    setsid();
    if (chdir(f->spec.cwd) < 0) FAIL_ERRNO(&e, "chdir %s", f->spec.cwd);
    else if (place_descriptors(f, &report, &e) == 0) {
      if (!f->spec.argv[0] || f->spec.deltas[0]) stand_in(report);
      execve(f->spec.argv[0], f->spec.argv, f->spec.env);
      FAIL_ERRNO(&e, "executing %s", f->spec.argv[0]);
    }
  }
  note_send(report, NOTE_FAILED, &e);
  _exit(127);
}
