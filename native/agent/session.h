// EVAL: one process, forked by the runtime, that evaluates source texts one after the other and
// keeps its state. It is opened by the first EVAL and again after it was lost.
#pragma once
#include "../common/channel.h"
#include "runtime.h"

enum {
  SESSION_QUEUE_MAX = 64,
  SESSION_STATUS_MS = 500, // how long the runtime has to say how the session ended
};

enum session_state {
  SESSION_NONE,
  SESSION_OPENING, // SESSION was submitted
  SESSION_OPEN,
  SESSION_ENDING,  // its socket has ended; its status is due
};

struct eval;

struct session {
  struct agent *agent;
  enum session_state state;
  struct runtime_call call;
  struct channel channel;
  struct source source;   // same descriptor as the channel, which owns it
  struct timer status_due;
  pid_t pid;
  bool had_one;           // an earlier session is gone
  bool restarted;         // the next RESULT has to say so
  bool reseed_due;        // before anything else is sent
  bool interrupted;       // SIGINT was sent, and no CALM since
  size_t reseeding;       // answers to RESEED that are due
  struct node queue;      // evals in order
  size_t queued;
  struct eval *running;
};

void session_init(struct session *s, struct agent *a);
void session_close(struct session *s);
// The runtime has ended, and the session with it.
void session_lost(struct session *s);
// Starts the next eval when there is one and the session is free, and sends what is queued.
void session_settle(struct session *s);
// The machine is a copy: the session, if there is one, gets random numbers of its own before it
// evaluates anything more. Nobody needs to wait for that.
void session_reseed(struct session *s);
// EVAL of the agent channel.
int session_eval(struct connection *c, const struct frame *f, struct error *e);
// BRANCH of the agent channel.
int session_branch(struct connection *c, const struct frame *f, struct error *e);

// Ends the session's process at once; its state is gone.
void session_kill(struct session *s);

// What the session asks of its evals (eval.c). The first that waits, or NULL:
struct eval *eval_next(struct session *s);
// Appends the EVAL frame of the session channel and makes it the running one.
int eval_start(struct eval *ev, struct buffer *out, struct error *e);
// Answers with the fields of an EVALUATED or BRANCHED frame. -1: it is not an answer to this eval.
int eval_answered(struct eval *ev, const struct frame *f, struct error *e);
// The session ended below it; `how` says how.
void eval_lost(struct eval *ev, const char *how);
void eval_failed(struct eval *ev, const struct error *reason);
