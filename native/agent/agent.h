// The agent: PID 1 of a sandbox. Starts commands, moves their bytes, reaps every orphan, and is the
// only client of the sandbox's runtime. Wire format: docs/agent-protocol.md.
#pragma once
#include <stdint.h>

// What only the first process of a virtual machine can hand over: with it the agent obeys IDENTITY.
struct agent_guest {
  int cgroup_fd; // directory of the cgroup that everything in the sandbox is in
  int disk_fd;   // root of the tmpfs that holds the writable layer
  const struct filter *filter; // of every command's system calls; the agent itself is under none
};

struct agent_options {
  int listen_fd;                  // accepts connections of the host; -1: none
  int stream_fd;                  // one stream to the host that exists already; -1: none
  int runtime_fd;                 // connected socket of the runtime channel; -1: no runtime
  int runtime_pid;                // of the runtime when it is our child; 0: READY tells it
  int64_t open_files;             // that a command may have; 0: as many as the agent was given
  const char *const *default_env; // environment of a command whose request names none; NULL: empty
  const struct agent_guest *guest; // NULL: not in a virtual machine of our own
};

// Takes ownership of the descriptors and serves until the sandbox ends. Returns the exit status for
// the process: 0 after SIGTERM (or when the only stream to the host has ended), 1 when the agent
// could not start (the reason is on stderr).
int agent_run(const struct agent_options *options);
