// Everything one agent holds, and the steps that agent_run is made of.
#pragma once
#include <sys/types.h>

#include "agent.h"
#include "connection.h"
#include "request.h"
#include "runtime.h"
#include "session.h"

enum {
  AGENT_REQUESTS_MAX = 4096, // open and abandoned ones of all connections
  AGENT_END_GRACE_MS = 2000, // between SIGTERM to everyone and SIGKILL
};

struct agent {
  struct loop loop;
  struct source signals;
  struct source listener;
  struct timer end;       // the sandbox is ending: the next step of it
  struct timer reconnect; // the stream's host is away
  struct timer accept_again; // there was no descriptor for a new connection
  int stream_fd;
  bool ending, finished;
  int64_t end_us;         // when those that are left get SIGKILL
  const char *const *default_env;
  const struct agent_guest *guest; // NULL: IDENTITY is refused
  struct node connections;
  size_t connection_count;
  size_t open_requests;
  struct node abandoned_requests; // of closed connections; each ends when its process has
  struct node ended_requests;     // freed at the end of the step
  struct node processes;          // every one whose status waitpid may tell
  struct buffer nowhere;          // where answers to abandoned requests are written
  struct runtime runtime;
  struct session session;
};

int agent_open(struct agent *a, const struct agent_options *options, struct error *e);
// Waits for events (at most max_wait_ms, -1 = no bound), handles them, and settles all outputs.
int agent_step(struct agent *a, int max_wait_ms, struct error *e);
void agent_close(struct agent *a);
// Collects every process that has ended, ours and those that were left to us.
void agent_reap(struct agent *a);
