// EXEC and CALL: a process with three pipes, a deadline, and one answer at its end. An EXEC is
// forked by the agent, a CALL by the runtime; from then on both are treated alike.
#pragma once
#include "request.h"
#include "runtime.h"
#include "streams.h"

enum { PROCESS_DRAIN_MS = 200 };

struct process {
  struct request request;
  struct node link; // of agent.processes
  pid_t pid;        // 0: not known yet
  bool is_call;
  bool terminal;    // one pseudo terminal instead of three pipes
  bool started;     // STARTED was sent
  bool ended;       // `status` is valid
  bool timed_out;
  bool cancelled;
  int status;       // as waitpid tells it
  int64_t started_us, duration_us;
  int64_t grace_ms;
  uint64_t early_signals; // asked for before the pid was known
  struct timer deadline, drain;
  struct source report;   // EXEC: closes at exec
  char *name, *cwd;       // for messages
  struct input_stream input;
  struct output_stream output[2];
  struct runtime_call call;
};

int process_exec(struct connection *c, const struct frame *f, struct error *e);
int process_call(struct connection *c, const struct frame *f, struct error *e);

// Parses what EXEC and CALL have in common and makes the pipes; the child's ends go to `theirs`.
// The process is not a request yet: give it to process_open or process_discard.
struct process *process_prepare(struct connection *c, const struct frame *f, int theirs[3],
                                struct error *e);
void process_discard(struct process *p);
// Enters it into the connection's table and starts its clock.
void process_open(struct process *p, struct connection *c, uint32_t id, int64_t timeout_ms);
void process_started(struct process *p, pid_t pid);
void process_refused(struct process *p, const struct error *reason);
// Its end as waitpid or the runtime reports it.
void process_ended(struct process *p, int status);
// waitpid reported `pid`, which may or may not be one of ours.
void process_reaped(struct agent *a, pid_t pid, int status);
// Something changed: sends EXITED when nothing is left to wait for.
void process_progress(struct process *p);
