// Where the agent touches processes: fork, exec, kill. Nothing else in the agent does, so the fuzz
// target replaces just this file.
#pragma once
#include <sys/resource.h>
#include <sys/types.h>

#include "../common/seccomp.h"
#include "users.h"

struct command {
  char **argv;
  char **env;
  const char *cwd;
  struct identity identity;
  int port;      // 0, or: not argv, but a connection to that port of the sandbox
  bool terminal; // fds[0] is a terminal, which becomes the command's own
};

// Settings of the agent itself that its commands must not inherit. Called once at start: reserves
// descriptors 0-2, raises the limit of open files, shields the agent from the OOM killer. Commands
// get the limit back as it was, or open_files (0: none) where that is lower, and the filter, which
// must live on (NULL: the agent is under one already, which they inherit).
int spawn_prepare(int64_t open_files, const struct filter *filter, struct error *e);
// Forks a process that becomes the command, with fds as its descriptors 0, 1, 2. `report` is read
// end of a pipe that closes on a successful exec, or tells why there was none (spawn_report).
int spawn_command(const struct command *c, const int fds[3], pid_t *pid, int *report,
                  struct error *e);
// Reads the report. 1: the command runs; 0: not known yet; -1: it could not be started.
int spawn_report(int report, const char *command, const char *cwd, struct error *e);
// Signals the process group of `leader`, or `leader` alone while it has not made its group yet.
void signal_group(pid_t leader, int number);
void signal_process(pid_t pid, int number);
// Every process of the sandbox but the agent; nothing when the agent is not PID 1.
void signal_everyone(int number);
bool process_exists(pid_t pid);
// Whether waitpid will tell how it ends.
bool is_child(pid_t pid);
bool everyone_is_gone(void);
