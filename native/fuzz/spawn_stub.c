// Stands in for agent/spawn.c: nothing is started, nothing is signalled. Commands succeed, are
// refused or stay undecided by the length of their name.
#define _GNU_SOURCE
#include "../agent/spawn.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int spawn_prepare(int64_t open_files, const struct filter *filter, struct error *e) {
  (void)filter;
  (void)open_files;
  (void)e;
  return 0;
}

int spawn_command(const struct command *c, const int fds[3], pid_t *pid, int *report,
                  struct error *e) {
  static unsigned count;
  int ends[2];
  char some[100] = {0};
  if (strlen(c->argv[0]) % 7 == 6) return FAIL(e, ERR_EXHAUSTED, "no process for %s", c->argv[0]);
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return FAIL_ERRNO(e, "pipe");
  close(ends[1]);
  *report = ends[0];
  *pid = 1000 + (pid_t)(count++ % 8);
  ssize_t ignored = write(fds[1], some, sizeof some);
  (void)ignored;
  return 0;
}

int spawn_report(int report, const char *command, const char *cwd, struct error *e) {
  (void)report;
  if (strlen(command) % 7 == 5) return FAIL(e, ERR_NOT_FOUND, "%s is not in %s", command, cwd);
  return strlen(command) % 7 == 4 ? 0 : 1;
}

void signal_group(pid_t leader, int number) {
  (void)leader;
  (void)number;
}

void signal_process(pid_t pid, int number) {
  (void)pid;
  (void)number;
}

void signal_everyone(int number) { (void)number; }

bool process_exists(pid_t pid) { return pid % 2 == 0; }

bool is_child(pid_t pid) { return pid % 3 == 0; }

bool everyone_is_gone(void) { return false; }
