// The agent's side of the runtime channel. The runtime runs next to user code and may be taken over
// by it: whatever arrives here is checked, and nothing here ever waits for it.
#pragma once
#include "../common/channel.h"
#include "loop.h"
#include "request.h"

enum runtime_state { RUNTIME_NONE, RUNTIME_STARTING, RUNTIME_READY, RUNTIME_ENDED };

enum {
  RUNTIME_WAITING_MAX = 16 * 1048576, // bytes of frames that the runtime has not taken
  RUNTIME_STATUS_MS = 200,
};

// Something asked of the runtime. The owner embeds it, fills frame, fds and the callbacks, and
// submits it; it is unlinked by runtime_forget.
struct runtime_call {
  struct node link;
  struct runtime *runtime; // set by runtime_submit
  uint32_t id;
  struct buffer frame;
  int fds[3]; // closed once they are sent
  size_t fd_count;
  bool sent;
  // A frame with this id. -1: it makes no sense; the runtime is treated as ended.
  int (*answer)(struct runtime_call *, const struct frame *, struct error *);
  // The runtime has ended; the call is unlinked already.
  void (*lost)(struct runtime_call *, const struct error *reason);
};

struct runtime {
  struct agent *agent;
  enum runtime_state state;
  struct channel channel;
  struct source source; // same descriptor as the channel, which owns it
  pid_t pid;            // from READY; 0: not known
  bool reaped;          // `status` is valid: the runtime was our child
  int status;
  uint32_t last_id;
  struct node waiting;  // calls in order, until the channel takes them
  struct node sent;     // calls whose last answer is due
  size_t waiting_bytes;
  struct timer status_due; // its stream has ended; waitpid is about to tell how it did
  struct error reason;  // why it ended
};

// fd -1: there is no runtime.
int runtime_open(struct runtime *rt, struct agent *a, int fd, struct error *e);
void runtime_close(struct runtime *rt);
// 0 when calls can be submitted (they wait until it is ready); -1 tells why not.
int runtime_check(const struct runtime *rt, struct error *e);
uint32_t runtime_next_id(struct runtime *rt);
void runtime_submit(struct runtime *rt, struct runtime_call *call);
// Unlinks the call and frees what it holds; a late answer to it is skipped.
void runtime_forget(struct runtime_call *call);
// Reads kind and message of a RUNTIME_ERROR.
void runtime_error(const struct frame *f, struct error *out);
// waitpid reported a process; the runtime may be it.
void runtime_reaped(struct runtime *rt, pid_t pid, int status);
// Sends what is waiting, as far as the channel takes it.
void runtime_settle(struct runtime *rt);
// exit_code or signal, when known.
void runtime_put_status(const struct runtime *rt, struct frame_writer *w);
// PING_RUNTIME of the agent channel.
int runtime_ping(struct connection *c, const struct frame *f, struct error *e);
